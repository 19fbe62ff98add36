// The messages: drawn in batches, bounded, and followed while the reader is at their end.
// All of it goes into the document as text, never as HTML.

// What the document holds at most, so that a day of chat costs no more than an hour of it. Characters count as well:
// a single message may have 65536 of them.
const MAX_ENTRIES = 500;
const MAX_CHARACTERS = 500_000;

// As close to the end as this, in pixels, is at the end: zoomed pages scroll by fractions.
const END = 40;

// How often a hidden page is drawn, in milliseconds. It gets no animation frames.
const HIDDEN_PAUSE = 250;

const log = document.getElementById('log');
const unseenButton = document.getElementById('unseen');
const title = document.title;
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

let waiting = []; // Entries that are not drawn yet.
let said = 0; // How many messages came since the last drawing, those that will not be drawn included.
let drawn = null; // The last entry that is.
let characters = 0; // Of all that are.
let following = true;
let unseen = 0; // Messages below what the reader looks at.
let unread = 0; // Messages since the page was hidden.

// Something that was said or done. `label` names the sender the way it is to be read.
export function say({ type, from, text }, label, own) {
  add({ type, from, label, text, own });
  said += 1;
  if (document.hidden) {
    unread += 1;
    document.title = `(${unread}) ${title}`;
  }
}

// Something that nobody said.
export function notice(text) {
  add({ type: 'notice', text });
}

export function toEnd() {
  following = true;
  unseen = 0;
  log.scrollTop = log.scrollHeight;
  showUnseen();
}

// A hue for a name, the same on every page.
export function hue(name) {
  let hash = 0;
  for (const character of name.toLowerCase()) hash = (hash * 31 + character.codePointAt(0)) % 65_536;
  // The golden angle sets names apart that differ by little.
  return Math.round(hash * 137.508) % 360;
}

function add(entry) {
  entry.time = Date.now();
  if (waiting.length === 0) {
    if (document.hidden) setTimeout(draw, HIDDEN_PAUSE);
    else requestAnimationFrame(draw);
  }
  waiting.push(entry);
  // Older ones would be dropped as soon as they were drawn. Dropping many at a time is cheap.
  if (waiting.length >= 2 * MAX_ENTRIES) waiting.splice(0, MAX_ENTRIES);
}

function draw() {
  const batch = document.createDocumentFragment();
  for (const entry of waiting.slice(-MAX_ENTRIES)) batch.append(element(entry));
  waiting = [];
  log.append(batch);
  trim();
  unseen += said;
  said = 0;
  if (following) toEnd();
  else showUnseen();
}

function element(entry) {
  const { type, from, label, text, own } = entry;
  const element = document.createElement('p');
  element.className = type;
  element.classList.toggle('own', own === true);
  if (label) {
    const sender = append(element, 'span', 'sender', label);
    sender.style.setProperty('--hue', hue(from));
    element.append(' ');
  }
  append(element, 'span', 'text', text).dir = 'auto';
  if (label) {
    entry.clock = clock.format(entry.time);
    element.append(' ');
    append(element, 'time', '', entry.clock);
    // What a sender goes on saying within the same minute stands under one name.
    const same = drawn?.type === type && drawn.label === label && drawn.clock === entry.clock;
    element.classList.toggle('follows', same);
  }
  drawn = entry;
  characters += element.textContent.length;
  return element;
}

function append(parent, tag, className, text) {
  const child = document.createElement(tag);
  child.className = className;
  child.textContent = text;
  return parent.appendChild(child);
}

function trim() {
  const tooMuch = () => log.childElementCount > MAX_ENTRIES || characters > MAX_CHARACTERS;
  while (log.childElementCount > 1 && tooMuch()) {
    characters -= log.firstElementChild.textContent.length;
    log.firstElementChild.remove();
  }
  // The first one can't stand under the name of one that is gone.
  log.firstElementChild?.classList.remove('follows');
}

function showUnseen() {
  unseenButton.hidden = unseen === 0;
  unseenButton.textContent = unseen === 1 ? '1 new message ↓' : `${unseen} new messages ↓`;
}

log.addEventListener('scroll', () => {
  following = log.scrollHeight - log.clientHeight - log.scrollTop < END;
  if (following && unseen > 0) toEnd();
});

// A keyboard that comes up on a phone takes room from the messages; the last ones stay in view.
new ResizeObserver(() => following && toEnd()).observe(log);

unseenButton.addEventListener('click', () => {
  toEnd();
  // The button is gone, so the focus has to go somewhere.
  log.focus();
});

document.addEventListener('visibilitychange', () => {
  unread = 0;
  document.title = title;
});
