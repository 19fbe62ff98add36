// The list of messages: bounded, rendered in batches, and scrolled to its end while the user reads there.
// Entries enter the document as text, never as HTML.

// Bounds of the document, so that memory does not grow with the length of the chat. The second bound counts characters,
// because a single message can have 65536 of them.
const MAX_ENTRIES = 500;
const MAX_CHARACTERS = 500_000;

// Distance from the end, in pixels, that counts as the end: on zoomed pages the scroll position is fractional.
const END_TOLERANCE = 40;

// Interval at which a hidden page is rendered, in milliseconds. Hidden pages get no animation frames.
const HIDDEN_RENDER_INTERVAL = 250;

const log = document.getElementById('log');
const unseenButton = document.getElementById('unseen');
const title = document.title;
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

let queue = []; // Entries to render.
let queuedMessages = 0; // Messages since the last rendering, including those dropped from the queue.
let lastEntry = null; // The last rendered entry.
let characters = 0; // Length of all rendered entries.
let atEnd = true; // The user reads the end of the list.
let unseen = 0; // Messages below the visible part of the list.
let unread = 0; // Messages since the page was hidden.

// Appends a message, an action or a whisper. `label` is the sender as shown to the user.
export function appendMessage({ type, from, text }, label, own) {
  enqueue({ type, from, label, text, own });
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

export function scrollToEnd() {
  atEnd = true;
  unseen = 0;
  log.scrollTop = log.scrollHeight;
  updateUnseen();
}

// Returns the hue for a name, which is the same on every page.
export function nameHue(name) {
  let hash = 0;
  for (const character of name.toLowerCase()) hash = (hash * 31 + character.codePointAt(0)) % 65_536;
  // Multiples of the golden angle give similar names distant hues.
  return Math.round(hash * 137.508) % 360;
}

function enqueue(entry) {
  entry.receivedAt = Date.now();
  if (queue.length === 0) {
    if (document.hidden) setTimeout(render, HIDDEN_RENDER_INTERVAL);
    else requestAnimationFrame(render);
  }
  queue.push(entry);
  // Older entries would be trimmed as soon as they were rendered. Dropping many at a time is cheap.
  if (queue.length >= 2 * MAX_ENTRIES) queue.splice(0, MAX_ENTRIES);
}

function render() {
  const batch = document.createDocumentFragment();
  for (const entry of queue.slice(-MAX_ENTRIES)) batch.append(entryElement(entry));
  queue = [];
  log.append(batch);
  trim();
  unseen += queuedMessages;
  queuedMessages = 0;
  if (atEnd) scrollToEnd();
  else updateUnseen();
}

function entryElement(entry) {
  const { type, from, label, text, own } = entry;
  const element = document.createElement('p');
  element.className = type;
  element.classList.toggle('own', own === true);
  if (label) {
    const sender = appendElement(element, 'span', 'sender', label);
    sender.style.setProperty('--hue', nameHue(from));
    element.append(' ');
  }
  appendElement(element, 'span', 'text', text).dir = 'auto';
  if (label) {
    entry.time = timeFormat.format(entry.receivedAt);
    element.append(' ');
    appendElement(element, 'time', '', entry.time);
    // Consecutive messages of one sender within a minute share one visible name and time.
    const grouped = lastEntry?.type === type && lastEntry.label === label && lastEntry.time === entry.time;
    element.classList.toggle('grouped', grouped);
  }
  lastEntry = entry;
  characters += element.textContent.length;
  return element;
}

function appendElement(parent, tag, className, text) {
  const child = document.createElement(tag);
  child.className = className;
  child.textContent = text;
  return parent.appendChild(child);
}

function trim() {
  const overLimit = () => log.childElementCount > MAX_ENTRIES || characters > MAX_CHARACTERS;
  while (log.childElementCount > 1 && overLimit()) {
    characters -= log.firstElementChild.textContent.length;
    log.firstElementChild.remove();
  }
  // The first entry shows its own name and time, because the entry that it was grouped with can have been removed.
  log.firstElementChild?.classList.remove('grouped');
}

function updateUnseen() {
  unseenButton.hidden = unseen === 0;
  unseenButton.textContent = unseen === 1 ? '1 new message ↓' : `${unseen} new messages ↓`;
}

log.addEventListener('scroll', () => {
  atEnd = log.scrollHeight - log.clientHeight - log.scrollTop < END_TOLERANCE;
  if (atEnd && unseen > 0) scrollToEnd();
});

// An on-screen keyboard shrinks the list; the last messages stay visible.
new ResizeObserver(() => atEnd && scrollToEnd()).observe(log);

unseenButton.addEventListener('click', () => {
  scrollToEnd();
  // The button is hidden now, so the focus moves to the list.
  log.focus();
});

document.addEventListener('visibilitychange', () => {
  unread = 0;
  document.title = title;
});
