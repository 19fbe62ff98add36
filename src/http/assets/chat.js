// The chat: a connection that reconnects by itself, the commands sent over it, and the events received from the server.
// The page uses the subprotocol threadchat.json: one JSON object per message.

import { parseCommand } from './commands.js';
import { appendMessage, appendNotice, scrollToEnd } from './message_log.js';
import * as userList from './user_list.js';

// Shortest and longest delay before an attempt to reconnect, in milliseconds. Each attempt doubles the delay. A
// connection that lasted longer than the longest delay resets it.
const MIN_BACKOFF = 500;
const MAX_BACKOFF = 30_000;

// Interval of the liveness check, in milliseconds. The server's pings are invisible to a page, so after an interval
// without an event the page sends a `who` command. After another one without an event the connection counts as lost.
const LIVENESS_INTERVAL = 20_000;

// When a connection is lost, the server can keep its user until a ping times out, by default after 30 seconds. While the
// user's name is taken, the page requests it at this interval, in milliseconds, for a little longer than that.
const NAME_RETRY_INTERVAL = 3_000;
const NAME_RETRIES = 15;

const byId = (id) => document.getElementById(id);

// The two input fields. Errors are shown at the field whose input caused them.
const messageField = { form: byId('composer'), input: byId('text'), error: byId('text-error') };
const nameField = { form: byId('rename'), input: byId('name'), error: byId('name-error') };

let socket = null;
let welcomedAt = 0; // Time of this connection's `welcome` event. 0: not received yet.
let ownName = ''; // The name that the server gave last.
let requestedName = storedName(); // The name that the user chose, requested again on every connection.
let nameRetries = 0; // Remaining requests for it on this connection.
let connectAttempts = 0; // Failed attempts since the last lasting connection.
let refusals = 0; // Failed attempts in a row at which the server was healthy.
let reconnectTimer = 0;
let receivedSinceCheck = false; // An event arrived since the last liveness check.
let probing = false; // The last liveness check sent a `who` command.
let rejectedLength = Infinity; // Length of the shortest command that the server rejected as too long.

// Commands that the server has not answered yet. The server answers every command once and in order, with an error or
// with the event that the command caused, so an answer belongs to the first of them.
let unconfirmed = [];

// ---- Connection ----

function connect() {
  clearTimeout(reconnectTimer);
  closeSocket();
  const url = new URL('chat', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  if (requestedName) url.searchParams.set('name', requestedName);
  socket = new WebSocket(url, 'threadchat.json');
  socket.onmessage = (message) => {
    receivedSinceCheck = true;
    onServerEvent(JSON.parse(message.data));
  };
  socket.onclose = (close) => onClose(close.code);
}

function connectNow() {
  setStatus('connecting', 'Connecting…');
  connect();
}

function onClose(code) {
  if (welcomedAt !== 0) {
    appendNotice('Connection lost.');
    if (Date.now() - welcomedAt > MAX_BACKOFF) connectAttempts = 0;
  } else {
    checkHealth();
  }
  closeSocket();
  restoreUnconfirmed(code);
  const backoff = Math.min(MIN_BACKOFF * 2 ** connectAttempts, MAX_BACKOFF);
  connectAttempts += 1;
  // Up to half of the delay is random, so that the clients of a restarted server do not all reconnect at once.
  reconnectTimer = setTimeout(connect, backoff * (1 - Math.random() / 2));
  showDisconnected();
}

// Distinguishes a server that refuses the connection from one that is unreachable, which look alike to a WebSocket. A
// single refusal does not count: a server that has just restarted can be healthy a moment after the attempt failed.
async function checkHealth() {
  const healthy = await fetch('health', { cache: 'no-store' }).then((response) => response.ok, () => false);
  if (document.body.dataset.status !== 'disconnected') return;
  refusals = healthy ? refusals + 1 : 0;
  if (refusals === 2) appendNotice('The server is full or refuses this page (origin not allowed).');
  showDisconnected();
}

function showDisconnected() {
  setStatus('disconnected', refusals > 1 ? 'Refused. Retrying…' : 'Reconnecting…', 'Retry now');
}

function quit() {
  clearTimeout(reconnectTimer);
  closeSocket();
  unconfirmed = [];
  appendNotice('You left the chat.');
  setStatus('left', 'You left', 'Join again');
}

// Closes the socket if it is open. Its remaining events are ignored, because they would seem to come from the next one.
function closeSocket() {
  if (socket) socket.onmessage = socket.onclose = null;
  socket?.close();
  socket = null;
  welcomedAt = 0;
  probing = false;
  userList.setUsers([], 0, '');
}

// Puts an unconfirmed text back into the message field, because it might not have arrived. Of several texts it takes the
// longest, which is the one that can have been too long.
function restoreUnconfirmed(code) {
  const typed = unconfirmed.filter((command) => command.field === messageField);
  unconfirmed = [];
  if (typed.length === 0) return;
  const longest = typed.reduce((a, b) => (b.length > a.length ? b : a));
  if (code === 1009) {
    rejectedLength = longest.length;
    showError(longest, TOO_LONG);
  } else {
    showError(longest, 'The connection was lost before the server confirmed this.');
  }
}

function checkLiveness() {
  if (welcomedAt === 0) return;
  if (probing && !receivedSinceCheck) return onClose();
  probing = !receivedSinceCheck;
  if (probing) sendCommand({ type: 'who' });
  receivedSinceCheck = false;
}

function setStatus(status, text, action = '') {
  if (document.body.dataset.status === status && byId('status').textContent === text) return;
  document.body.dataset.status = status;
  byId('status').textContent = text;
  byId('reconnect').textContent = action;
  byId('reconnect').hidden = action === '';
}

// ---- Commands ----

const TOO_LONG = 'This is longer than the server accepts. Send it in parts.';
const NOT_CONNECTED = 'Not connected. Send this when the connection is restored.';

// Sends a command. `field` and `text` are the field and its input; commands that the page sends by itself have neither.
function sendCommand(command, field, text) {
  const json = JSON.stringify(command);
  const sent = { type: command.type, field, text, length: json.length };
  if (welcomedAt === 0) return showError(sent, NOT_CONNECTED);
  if (json.length >= rejectedLength) return showError(sent, TOO_LONG);
  unconfirmed.push(sent);
  socket.send(json);
}

// Shows the error at the field and restores its input, unless the user has typed something else there.
function showError({ field, text }, error) {
  if (!field) return;
  field.error.textContent = error;
  field.input.setAttribute('aria-invalid', 'true');
  if (field.input.value === '') field.input.value = text;
}

function clearError(field) {
  field.error.textContent = '';
  field.input.removeAttribute('aria-invalid');
}

messageField.form.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = messageField.input.value;
  if (text.trim() === '') return;
  clearError(messageField);
  const command = parseCommand(text);
  if (typeof command === 'string') return showError({ field: messageField, text }, command);
  messageField.input.value = '';
  scrollToEnd();
  if (command.type === 'quit') quit();
  else sendCommand(command, messageField, text);
});

nameField.form.addEventListener('submit', (event) => {
  event.preventDefault();
  clearError(nameField);
  const name = nameField.input.value.trim();
  sendCommand({ type: 'rename', name }, nameField, name);
});

nameField.input.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  clearError(nameField);
  nameField.input.value = ownName;
  messageField.input.focus();
});

userList.onSelect((name) => {
  if (name === ownName) return nameField.input.select();
  messageField.input.value = `/whisper ${name} `;
  messageField.input.focus();
});

byId('reconnect').addEventListener('click', () => {
  messageField.input.focus();
  connectNow();
});

addEventListener('online', () => {
  if (document.body.dataset.status === 'disconnected') connectNow();
});

// The browser caches a page that the user left, with its connection. The connection would keep the user's name in use.
addEventListener('pagehide', () => socket?.close());

// ---- Events ----

// Removes and returns the command that the event answers, if it answers one.
function takeConfirmed({ type, from }) {
  if (from !== ownName && !['who', 'help', 'error'].includes(type)) return undefined;
  // A newer server can answer a line with an event that this page ignores. The answer to a later `who` or `help` command
  // shows that the line has been answered.
  if (['who', 'help'].includes(type) && unconfirmed.some((command) => command.type === type)) {
    while (unconfirmed[0].type === 'line') unconfirmed.shift();
  }
  return unconfirmed.shift();
}

function onServerEvent(event) {
  const command = takeConfirmed(event);
  switch (event.type) {
    case 'welcome':
      return onWelcome(event);
    case 'message':
    case 'action':
    case 'whisper':
      return appendMessage(event, senderLabel(event), event.from === ownName);
    case 'joined':
      userList.addUser(event.name, event.users);
      return appendNotice(`${event.name} joined.`);
    case 'left':
      if (userList.removeUser(event.name, event.users)) sendCommand({ type: 'who' });
      return appendNotice(`${event.name} left.`);
    case 'renamed':
      return onRenamed(event);
    case 'who':
      userList.setUsers(event.names, event.users, ownName);
      if (command?.field) appendNotice(formatUserList(event));
      return;
    case 'help':
      return appendNotice(event.text);
    case 'error':
      return onError(event, command);
    // A newer server can send events of other types. The page ignores them.
  }
}

function onWelcome({ name, users }) {
  const greeting = ownName === '' ? 'Connected' : 'Reconnected';
  appendNotice(`${greeting} as ${name}. ${userList.formatCount(users)} here.`);
  welcomedAt = Date.now();
  refusals = 0;
  setOwnName(name);
  userList.setUsers([name], users, name);
  setStatus('connected', 'Connected');
  if (messageField.error.textContent === NOT_CONNECTED) clearError(messageField);
  nameRetries = NAME_RETRIES;
  // The server rejected the name in the URL. Its error comes next and answers no command that the page sent.
  if (requestedName && requestedName !== name) unconfirmed.push({ type: 'rename' });
  sendCommand({ type: 'who' });
}

function onRenamed({ from, to }) {
  userList.renameUser(from, to);
  if (from !== ownName) return appendNotice(`${from} is now ${to}.`);
  setOwnName(to);
  storeName(to);
  appendNotice(`You are now ${to}.`);
}

function onError({ text }, command) {
  if (command?.field) return showError(command, text);
  // Of the commands that the page sends by itself, the server rejects only the request for the previous name.
  if (nameRetries > 0) return setTimeout(retryName, NAME_RETRY_INTERVAL);
  appendNotice(`The name ${requestedName} is still taken. You are ${ownName} for now.`);
}

function retryName() {
  if (welcomedAt === 0 || ownName === requestedName) return;
  nameRetries -= 1;
  sendCommand({ type: 'rename', name: requestedName });
}

function senderLabel({ type, from, to }) {
  if (type === 'whisper') return from === ownName ? `You whisper to ${to}` : `${from} whispers to you`;
  return from === ownName && type === 'message' ? 'You' : from;
}

function formatUserList({ names, users }) {
  const more = users > names.length ? ` and ${users - names.length} more` : '';
  return `${userList.formatCount(users)} here: ${names.join(', ')}${more}.`;
}

// ---- The user's name ----

function setOwnName(name) {
  ownName = name;
  nameField.input.value = name;
  clearError(nameField);
}

// Stores the name for the lifetime of the tab, because two tabs that shared a name would compete for it. If the browser
// forbids storage, the name lasts as long as the page.
function storeName(name) {
  requestedName = name;
  try {
    sessionStorage.setItem('name', name);
  } catch {}
}

function storedName() {
  try {
    return sessionStorage.getItem('name') ?? '';
  } catch {
    return '';
  }
}

setInterval(checkLiveness, LIVENESS_INTERVAL);
connect();
