// The list of messages: bounded, rendered in batches, and scrolled to its end while the user reads there. While the user
// reads older messages, they stay where they are.

import { dayElement, entryElement } from './log_entry.js';
import { Presence } from './presence.js';
import { title } from './room.js';

// Bounds of the document, so that memory does not grow with the length of the chat. The second bound counts characters,
// because a single message can have 65536 of them.
const MAX_ENTRIES = 500;
const MAX_CHARACTERS = 500_000;

// Multiple of both bounds while the user reads older messages, which are the next to be removed.
const READING_FACTOR = 2;

// Distance from the end, in pixels, that counts as the end: on zoomed pages the scroll position is fractional.
const END_TOLERANCE = 40;

// Interval at which a hidden page is rendered, in milliseconds. Hidden pages get no animation frames.
const HIDDEN_RENDER_INTERVAL = 250;

const log = document.getElementById('log');
const pendingList = document.getElementById('pending'); // The last child of the log.
const unseenButton = document.getElementById('unseen');

let queue = []; // Entries to render.
let pending = []; // Entries of messages that the server has not confirmed yet.
let queuedMessages = 0; // Messages since the last rendering, including those dropped from the queue.
let renderScheduled = false;
let lastEntry = null; // The last rendered entry.
let lastDay = new Date().toDateString(); // The day of the last message, or the day on which the page was opened.
let characters = 0; // Length of all rendered entries.
const lengths = new WeakMap(); // Length of each.
let atEnd = true; // The user reads the end of the list.
let reading = null; // The first visible text and its position in the list, while the user reads older messages.
let keptScrollTop = -1; // The scroll position that kept this text in its place.
let unseen = 0; // Messages below the visible part of the list.
let unread = 0; // Messages since the page was hidden.

// Appends a message, an action or a whisper. `label` is the sender as shown to the user. `flags` are `own`, `mention`, and
// `history` for messages from before the page was opened, which do not count as new.
export function appendMessage({ type, from, text, time = Date.now() }, label, flags) {
  enqueue({ type, from, text, time, label, ...flags });
  if (flags.history) return;
  queuedMessages += 1;
  if (document.hidden) {
    unread += 1;
    document.title = `(${unread}) ${title}`;
  }
}

// Appends an entry without a sender.
export function appendNotice(text) {
  enqueue({ type: 'notice', text });
}

// Appends the text of the server's `help` event.
export function appendHelp(text) {
  enqueue({ type: 'help', text });
}

// Reports a user who `joined` or `left`. Consecutive reports are one entry, so that a crowd does not displace messages.
export function appendPresence(event, name) {
  const last = queue.at(-1) ?? lastEntry;
  if (last?.presence?.add(event, name)) return scheduleRender();
  const presence = new Presence();
  presence.add(event, name);
  enqueue({ type: 'notice', presence });
}

// Shows a message that the server has not confirmed yet below all others. Returns its entry.
export function appendPending({ type, text }, from, label) {
  const entry = { type, from, text, time: Date.now(), label, own: true, pending: true };
  pending.push(entry);
  scheduleRender();
  return entry;
}

export function removePending(entry) {
  pending = pending.filter((other) => other !== entry);
  scheduleRender();
}

// Appends a message that did not get through, with the reason in place of the time, so that its text is not lost.
export function appendFailed(entry, reason) {
  enqueue({ ...entry, pending: false, failed: reason });
}

export function scrollToEnd() {
  atEnd = true;
  reading = null;
  unseen = 0;
  log.scrollTop = log.scrollHeight;
  updateUnseen();
}

function enqueue(entry) {
  scheduleRender();
  queue.push(entry);
  // Older entries would be trimmed as soon as they were rendered. Dropping many at a time is cheap.
  if (queue.length >= 2 * MAX_ENTRIES) queue.splice(0, MAX_ENTRIES);
}

function scheduleRender() {
  if (renderScheduled) return;
  renderScheduled = true;
  if (document.hidden) setTimeout(render, HIDDEN_RENDER_INTERVAL);
  else requestAnimationFrame(render);
}

function render() {
  renderScheduled = false;
  updatePresence();
  // Screen readers would read the whole history aloud.
  log.ariaLive = queue.some((entry) => entry.history) ? 'off' : 'polite';
  const batch = document.createDocumentFragment();
  for (const entry of queue.slice(-MAX_ENTRIES)) appendEntry(batch, entry);
  queue = [];
  pendingList.before(batch);
  pendingList.replaceChildren(...pending.map((entry, index) => entryElement(entry, pending[index - 1] ?? lastEntry)));
  trim();
  unseen += queuedMessages;
  queuedMessages = 0;
  if (atEnd) return scrollToEnd();
  keepReadingPosition();
  updateUnseen();
}

// Users can have joined and left since the last entry was rendered.
function updatePresence() {
  if (!lastEntry?.presence) return;
  const element = lastEntry.element.lastElementChild;
  const text = lastEntry.presence.toString();
  // A screen reader would read the same text again.
  if (element.textContent !== text) element.textContent = text;
}

function appendEntry(batch, entry) {
  const day = entry.time && new Date(entry.time).toDateString();
  if (entry.time && day !== lastDay) {
    append(batch, dayElement(entry.time));
    lastDay = day;
    lastEntry = null;
  }
  entry.element = append(batch, entryElement(entry, lastEntry), entry.text);
  lastEntry = entry;
}

// `text` can be longer than the part of it that the element shows.
function append(batch, element, text = '') {
  const length = Math.max(element.textContent.length, text.length);
  lengths.set(element, length);
  characters += length;
  return batch.appendChild(element);
}

function trim() {
  const factor = atEnd ? 1 : READING_FACTOR;
  const entries = () => log.childElementCount - 1;
  while (entries() > 1 && (entries() > factor * MAX_ENTRIES || characters > factor * MAX_CHARACTERS)) {
    characters -= lengths.get(log.firstElementChild);
    log.firstElementChild.remove();
  }
  // The first entry shows its own name and time, because the entry that it was grouped with can have been removed.
  log.firstElementChild.classList.remove('grouped');
}

// ---- Scrolling ----

// Finds the first visible text, so that it can be kept in its place. Only some browsers do that by themselves (scroll
// anchoring), and not if the layout of other entries changes.
function findReading() {
  let [first, end] = [0, log.childElementCount - 1];
  while (first < end) {
    const middle = (first + end) >> 1;
    if (positionOf(log.children[middle], 'bottom') <= 0) first = middle + 1;
    else end = middle;
  }
  const text = log.children[first].lastElementChild;
  return text && { text, position: positionOf(text, 'top') };
}

function positionOf(element, edge) {
  return element.getBoundingClientRect()[edge] - log.getBoundingClientRect().top;
}

function keepReadingPosition() {
  // The bounds can have removed the text.
  if (!reading?.text.isConnected) reading = findReading();
  const moved = reading ? positionOf(reading.text, 'top') - reading.position : 0;
  if (moved === 0) return;
  log.scrollTop += moved;
  keptScrollTop = log.scrollTop;
}

function updateUnseen() {
  unseenButton.hidden = unseen === 0;
  unseenButton.textContent = unseen === 1 ? '1 new message ↓' : `${unseen} new messages ↓`;
}

log.addEventListener('scroll', () => {
  // Browsers round the scroll position. Measuring again after each adjustment would add up the differences.
  if (log.scrollTop === keptScrollTop) return;
  atEnd = log.scrollHeight - log.clientHeight - log.scrollTop < END_TOLERANCE;
  reading = atEnd ? null : findReading();
  if (atEnd && unseen > 0) scrollToEnd();
});

// An on-screen keyboard or a longer draft shrinks the list, and a rotated screen breaks its lines anew.
new ResizeObserver(() => (atEnd ? scrollToEnd() : keepReadingPosition())).observe(log);

unseenButton.addEventListener('click', () => {
  scrollToEnd();
  // The button is hidden now, so the focus moves to the list.
  log.focus();
});

document.addEventListener('visibilitychange', () => {
  unread = 0;
  document.title = title;
});
