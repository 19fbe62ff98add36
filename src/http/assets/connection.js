// The connection to the server. It reconnects by itself, and shows its status.
// The page uses the subprotocol threadchat.json: one JSON object per message.

import * as secret from './secret.js';

// Shortest and longest delay before an attempt to reconnect, in milliseconds. Each attempt doubles the delay. A
// connection that lasted longer than the longest delay resets it.
const MIN_BACKOFF = 500;
const MAX_BACKOFF = 30_000;

// Interval of the liveness check, in milliseconds. The server's pings are invisible to a page, so after an interval
// without an event the page sends a `who` command. After another one without an event the connection counts as lost.
const LIVENESS_INTERVAL = 20_000;

const REFUSED =
  'The server is full, has too many connections from your address, or refuses this page (origin not allowed).';

const statusText = document.getElementById('status');
const reconnectButton = document.getElementById('reconnect');

// The `path` of the WebSocket and the functions of the chat: `requestedName`, `place` (further parameters of the URL),
// `onEvent`, `onClose` (for every connection that ends), `onLost` (for one that was welcomed), `onRefused`, and `probe`.
let chat = null;
let socket = null;
let welcomedAt = 0; // Time of this connection's `welcome` event. 0: not received yet.
let connectAttempts = 0; // Failed attempts since the last lasting connection.
let refusals = 0; // Failed attempts in a row at which the server was healthy.
let reconnectTimer = 0;
let receivedSinceCheck = false; // An event arrived since the last liveness check.
let probing = false; // The last liveness check sent a `who` command.

// Shows that the page does not connect, because its address names a room that cannot exist.
export function showInvalidRoom() {
  setStatus('invalid-room', 'Not connected');
}

// Connects, and reconnects until `leave` is called.
export function start(callbacks) {
  chat = callbacks;
  setInterval(checkLiveness, LIVENESS_INTERVAL);
  connect();
}

// True from the `welcome` event to the end of the connection.
export function isOpen() {
  return welcomedAt !== 0;
}

export function send(json) {
  socket.send(json);
}

export function leave() {
  clearTimeout(reconnectTimer);
  closeSocket();
  setStatus('left', 'You left', 'Join again');
}

function connect() {
  clearTimeout(reconnectTimer);
  closeSocket();
  const url = new URL(chat.path, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const name = chat.requestedName();
  if (name) url.searchParams.set('name', name);
  for (const [key, value] of Object.entries(chat.place())) url.searchParams.set(key, value);
  socket = new WebSocket(url, secret.subprotocols());
  socket.onmessage = (message) => onEvent(JSON.parse(message.data));
  socket.onclose = (close) => onClose(close.code);
}

function connectNow() {
  setStatus('connecting', 'Connecting…');
  connect();
}

function onEvent(event) {
  receivedSinceCheck = true;
  if (event.type === 'welcome') {
    welcomedAt = Date.now();
    refusals = 0;
    setStatus('connected', 'Connected');
  }
  chat.onEvent(event);
}

function onClose(code) {
  if (isOpen()) {
    chat.onLost();
    if (Date.now() - welcomedAt > MAX_BACKOFF) connectAttempts = 0;
  } else {
    checkRefusal();
  }
  closeSocket();
  chat.onClose(code);
  const backoff = Math.min(MIN_BACKOFF * 2 ** connectAttempts, MAX_BACKOFF);
  connectAttempts += 1;
  // Up to half of the delay is random, so that the clients of a restarted server do not all reconnect at once.
  reconnectTimer = setTimeout(connect, backoff * (1 - Math.random() / 2));
  showDisconnected();
}

// Closes the socket if it is open. Its remaining events are ignored, because they would seem to come from the next one.
function closeSocket() {
  if (socket) socket.onmessage = socket.onclose = null;
  socket?.close();
  socket = null;
  welcomedAt = 0;
  probing = false;
}

// Distinguishes a server that refuses the connection from one that is unreachable, which look alike to a WebSocket. A
// single refusal does not count: a server that has just restarted can be healthy a moment after the attempt failed.
async function checkRefusal() {
  const healthy = await fetch('health', { cache: 'no-store' }).then((response) => response.ok, () => false);
  const locked = healthy && (await secret.isRefused());
  if (document.body.dataset.status !== 'disconnected') return;
  if (locked) return askForSecret();
  refusals = healthy ? refusals + 1 : 0;
  if (refusals === 2) chat.onRefused(REFUSED);
  showDisconnected();
}

function askForSecret() {
  clearTimeout(reconnectTimer);
  closeSocket();
  connectAttempts = refusals = 0;
  setStatus('locked', 'Secret needed');
  secret.ask();
}

function checkLiveness() {
  if (!isOpen()) return;
  if (probing && !receivedSinceCheck) return onClose();
  probing = !receivedSinceCheck;
  if (probing) chat.probe();
  receivedSinceCheck = false;
}

// ---- Status ----

function showDisconnected() {
  setStatus('disconnected', refusals > 1 ? 'Refused. Retrying…' : 'Reconnecting…', 'Retry now');
}

function setStatus(status, text, action = '') {
  if (document.body.dataset.status === status && statusText.textContent === text) return;
  document.body.dataset.status = status;
  statusText.textContent = text;
  reconnectButton.textContent = action;
  reconnectButton.hidden = action === '';
}

reconnectButton.addEventListener('click', () => {
  // The button is hidden next, so the focus moves to the message field.
  document.getElementById('text').focus();
  connectNow();
});

secret.onEntered(() => {
  connectNow();
  // The field of the secret is hidden now.
  document.getElementById('text').focus();
});

addEventListener('online', () => {
  if (document.body.dataset.status === 'disconnected') connectNow();
});

// The browser caches a page that the user left, with its connection. The connection would keep the user's name in use.
addEventListener('pagehide', () => socket?.close());
