// The chat: a connection that is restored by itself, what is asked through it, and what the server tells. It speaks
// the subprotocol threadchat.json, one JSON object per message.

import { read } from './commands.js';
import { notice, say, toEnd } from './log.js';
import * as people from './people.js';

// Pauses between attempts to connect, in milliseconds, doubled each time. A connection that has held for longer than
// the longest of them is a new beginning.
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;

// The server pings, but a page can't see that. After this long without a word, in milliseconds, it asks who is here,
// and when that is not answered in as long again the connection is dead.
const SILENCE = 20_000;

// When a connection breaks, the server may take the old self for alive until a ping goes unanswered, 30 seconds by
// default. So a name that is taken then is asked for again, for a little longer than that.
const RECLAIM_PAUSE = 3_000;
const RECLAIMS = 15;

const byId = (id) => document.getElementById(id);

// The two places to type at. What is refused is refused there.
const composer = { form: byId('composer'), input: byId('text'), refusal: byId('text-refusal') };
const naming = { form: byId('naming'), input: byId('name'), refusal: byId('name-refusal') };

let socket = null;
let welcomedAt = 0; // When this connection's welcome came. 0: it hasn't.
let me = ''; // What the server calls us, or did last.
let wanted = remembered(); // The name that was chosen, to be had again on every connection.
let reclaims = 0; // How often it may still be asked for on this connection.
let attempts = 0; // To connect, since a connection last held.
let retry = 0; // The timer of the next one.
let heard = false; // Whether anything came since the silence was last looked into.
let probing = false; // Whether the page has asked because nothing came.
let tooLong = Infinity; // The shortest request that the server has refused for its length.

// What was asked and is not answered yet. The server answers everything once and in order, by an error or by telling
// what was done, so the first of these is what its next answer is for.
let unanswered = [];

// ---- The connection ----

function connect() {
  clearTimeout(retry);
  forgetConnection();
  const url = new URL('chat', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  if (wanted) url.searchParams.set('name', wanted);
  socket = new WebSocket(url, 'threadchat.json');
  socket.onmessage = (event) => {
    heard = true;
    told(JSON.parse(event.data));
  };
  socket.onclose = (event) => lost(event.code);
}

function connectNow() {
  show('connecting', 'Connecting…');
  connect();
}

function lost(code) {
  if (welcomedAt !== 0) {
    notice('The connection is lost.');
    if (Date.now() - welcomedAt > LONGEST_PAUSE) attempts = 0;
  }
  forgetConnection();
  giveBack(code);
  const pause = Math.min(FIRST_PAUSE * 2 ** attempts, LONGEST_PAUSE);
  attempts += 1;
  // Up to half of it is left to chance, so that a restarted server doesn't meet everybody at once.
  retry = setTimeout(connect, pause * (1 - Math.random() / 2));
  show('lost', 'Not connected, trying again…', 'Try now');
}

function leave() {
  clearTimeout(retry);
  forgetConnection();
  unanswered = [];
  notice('You left.');
  show('left', 'You left', 'Join again');
}

// Closes it if it isn't closed yet. What it still has to say must not be taken for the next one's.
function forgetConnection() {
  if (socket) socket.onmessage = socket.onclose = null;
  socket?.close();
  socket = null;
  welcomedAt = 0;
  probing = false;
  people.here([], 0, '');
}

// The writer gets back what was not answered when the connection ended: it may not have arrived. If that is several
// texts, then the longest, which is the one that can have been too long.
function giveBack(code) {
  const typed = unanswered.filter((request) => request.place === composer);
  unanswered = [];
  if (typed.length === 0) return;
  const longest = typed.reduce((a, b) => (b.length > a.length ? b : a));
  if (code === 1009) {
    tooLong = longest.length;
    refuse(longest, TOO_LONG);
  } else {
    refuse(longest, 'The connection was lost before the server confirmed this.');
  }
}

function lookIntoSilence() {
  if (welcomedAt === 0) return;
  if (probing && !heard) return lost();
  probing = !heard;
  if (probing) ask({ type: 'who' });
  heard = false;
}

function show(state, words, action = '') {
  if (document.body.dataset.state === state) return;
  document.body.dataset.state = state;
  byId('state').textContent = words;
  byId('again').textContent = action;
  byId('again').hidden = action === '';
}

// ---- What is asked ----

const TOO_LONG = 'This is longer than the server takes. Send it in parts.';
const NOT_CONNECTED = 'Not connected: this stays here until it can be sent.';

// `place` is where it was typed and `typed` what was; both are missing for what the page asks by itself.
function ask(request, place, typed) {
  const message = JSON.stringify(request);
  const asked = { type: request.type, place, typed, length: message.length };
  if (welcomedAt === 0) return refuse(asked, NOT_CONNECTED);
  if (message.length >= tooLong) return refuse(asked, TOO_LONG);
  unanswered.push(asked);
  socket.send(message);
}

// Says why where it was typed, and puts back what was, unless something else was begun there meanwhile.
function refuse({ place, typed }, why) {
  if (!place) return;
  place.refusal.textContent = why;
  place.input.setAttribute('aria-invalid', 'true');
  if (place.input.value === '') place.input.value = typed;
}

function forgetRefusal(place) {
  place.refusal.textContent = '';
  place.input.removeAttribute('aria-invalid');
}

composer.form.addEventListener('submit', (event) => {
  event.preventDefault();
  const typed = composer.input.value;
  if (typed.trim() === '') return;
  forgetRefusal(composer);
  const request = read(typed);
  if (typeof request === 'string') return refuse({ place: composer, typed }, request);
  composer.input.value = '';
  toEnd();
  if (request.type === 'quit') leave();
  else ask(request, composer, typed);
});

naming.form.addEventListener('submit', (event) => {
  event.preventDefault();
  forgetRefusal(naming);
  const name = naming.input.value.trim();
  ask({ type: 'rename', name }, naming, name);
});

naming.input.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  forgetRefusal(naming);
  naming.input.value = me;
  composer.input.focus();
});

people.onChoose((name) => {
  if (name === me) return naming.input.select();
  composer.input.value = `/whisper ${name} `;
  composer.input.focus();
});

byId('again').addEventListener('click', () => {
  composer.input.focus();
  connectNow();
});

addEventListener('online', () => {
  if (document.body.dataset.state === 'lost') connectNow();
});

// A browser keeps a page that was left for the way back, connection included: nobody would be at it, under our name.
addEventListener('pagehide', () => socket?.close());

// ---- What the server tells ----

function told(message) {
  const answers = message.from === me || ['who', 'help', 'error'].includes(message.type);
  const asked = answers ? unanswered.shift() : undefined;
  switch (message.type) {
    case 'welcome':
      return welcome(message);
    case 'message':
    case 'action':
    case 'whisper':
      return say(message, label(message), message.from === me);
    case 'joined':
      people.joined(message.name, message.users);
      return notice(`${message.name} came.`);
    case 'left':
      if (people.left(message.name, message.users)) ask({ type: 'who' });
      return notice(`${message.name} left.`);
    case 'renamed':
      return renamed(message);
    case 'who':
      people.here(message.names, message.users, me);
      if (asked?.place) notice(who(message));
      return;
    case 'help':
      return notice(message.text);
    case 'error':
      return refused(message, asked);
    // A newer server may tell what this page knows nothing of.
  }
}

function welcome({ name, users }) {
  const greeting = me === '' ? 'You are connected' : 'You are connected again';
  const count = users === 1 ? 'Nobody else is here' : `${users} are here`;
  notice(`${greeting} as ${name}. ${count}.`);
  welcomedAt = Date.now();
  beCalled(name);
  people.here([name], users, name);
  show('connected', 'Connected');
  if (composer.refusal.textContent === NOT_CONNECTED) forgetRefusal(composer);
  reclaims = RECLAIMS;
  // Why the wanted name can't be had comes next, without being asked for.
  if (wanted && wanted !== name) unanswered.push({ type: 'rename' });
  ask({ type: 'who' });
}

function renamed({ from, to }) {
  people.renamed(from, to);
  if (from !== me) return notice(`${from} is now ${to}.`);
  beCalled(to);
  remember(to);
  notice(`You are now ${to}.`);
}

function refused({ text }, asked) {
  if (asked?.place) return refuse(asked, text);
  // The page itself asks for nothing that is refused but the name it had.
  if (reclaims > 0) return setTimeout(reclaim, RECLAIM_PAUSE);
  notice(`${wanted} is still taken, so you are ${me} for now.`);
}

function reclaim() {
  if (welcomedAt === 0 || me === wanted) return;
  reclaims -= 1;
  ask({ type: 'rename', name: wanted });
}

function label({ type, from, to }) {
  if (type === 'whisper') return from === me ? `You whisper to ${to}` : `${from} whispers to you`;
  return from === me && type === 'message' ? 'You' : from;
}

function who({ names, users }) {
  const more = users > names.length ? ` and ${users - names.length} more` : '';
  return `${users} here: ${names.join(', ')}${more}.`;
}

// ---- What we are called ----

function beCalled(name) {
  me = name;
  naming.input.value = name;
  forgetRefusal(naming);
}

// For as long as the tab lives: two tabs would fight for a name that they shared. Storage may be forbidden, and then
// the name lives as long as the page.
function remember(name) {
  wanted = name;
  try {
    sessionStorage.setItem('name', name);
  } catch {}
}

function remembered() {
  try {
    return sessionStorage.getItem('name') ?? '';
  } catch {
    return '';
  }
}

setInterval(lookIntoSilence, SILENCE);
connect();
