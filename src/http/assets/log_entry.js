// The entries of the message list as elements. Texts enter the document as text, never as HTML.

import { appendLinked } from './links.js';

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });

// Characters shown of a long text, until the user asks for all. The layout of 65536 characters can take seconds, if they
// change their direction often.
const MAX_SHOWN = 4_000;

// What the page's keys do, shown below the commands that the server lists.
const KEYS = [
  ['Shift+Enter', 'start a new line; each line is sent as a message of its own'],
  ['Tab', 'complete a name after @ or /whisper'],
  ['↑', 'bring back what you typed before'],
];

// Returns the element of an entry. `previous` is the entry above it.
export function entryElement(entry, previous) {
  if (entry.type === 'help') return helpElement(entry.text);
  const element = document.createElement('p');
  element.className = entry.type;
  if (entry.label === undefined) {
    appendChild(element, 'span', 'text', entry.text ?? entry.presence.toString()).dir = 'auto';
    return element;
  }
  for (const flag of ['own', 'mention', 'pending', 'failed']) element.classList.toggle(flag, Boolean(entry[flag]));
  element.classList.toggle('grouped', isGrouped(entry, previous));
  element.append(timeElement(entry), ' ');
  const sender = appendChild(element, 'span', 'sender', entry.label);
  sender.style.setProperty('--hue', nameHue(entry.from));
  element.append(' ');
  const text = appendChild(element, 'span', 'text', '');
  text.dir = 'auto';
  appendText(text, entry.text);
  return element;
}

function appendText(element, text) {
  if (text.length <= MAX_SHOWN) return appendLinked(element, text);
  // A character outside of the Basic Multilingual Plane has two halves, which are not separated.
  appendLinked(element, text.slice(0, MAX_SHOWN).replace(/[\ud800-\udbff]$/, ''));
  element.append('… ');
  const button = appendChild(element, 'button', '', `Show all ${text.length} characters`);
  button.type = 'button';
  button.addEventListener('click', () => {
    element.replaceChildren();
    appendLinked(element, text);
  });
}

// Returns the mark before the first message of a day.
export function dayElement(time) {
  const element = document.createElement('p');
  element.className = 'day';
  appendChild(element, 'span', 'text', dayFormat.format(time));
  return element;
}

// Returns the hue for a name, which is the same on every page.
export function nameHue(name) {
  let hash = 0;
  for (const character of name.toLowerCase()) hash = (hash * 31 + character.codePointAt(0)) % 65_536;
  // Multiples of the golden angle give similar names distant hues.
  return Math.round(hash * 137.508) % 360;
}

// Consecutive messages of one sender within a minute share one visible name and time.
function isGrouped({ type, label, time, failed }, previous) {
  const minute = (milliseconds) => Math.floor(milliseconds / 60_000);
  return (
    !failed &&
    !previous?.failed &&
    previous?.type === type &&
    previous.label === label &&
    minute(previous.time) === minute(time)
  );
}

function timeElement({ time, pending, failed }) {
  const element = document.createElement('time');
  element.dateTime = new Date(time).toISOString();
  element.textContent = failed ?? (pending ? 'Sending' : timeFormat.format(time));
  return element;
}

// The server's help has one line for each command: its syntax, a colon, and its effect.
function helpElement(help) {
  const element = document.createElement('div');
  element.className = 'notice help';
  const list = appendChild(element, 'dl', 'text', '');
  for (const line of help.split('\n')) {
    const [, syntax, effect] = line.match(/^(.*?): (.*)$/) ?? [line, line, ''];
    appendRow(list, 'code', syntax, effect);
  }
  for (const [key, effect] of KEYS) appendRow(list, 'kbd', key, effect);
  return element;
}

function appendRow(list, tag, term, description) {
  appendChild(appendChild(list, 'dt', '', ''), tag, '', term);
  // The space separates the words of the two cells where the list is read as plain text.
  list.append(' ');
  appendChild(list, 'dd', '', description);
}

function appendChild(parent, tag, className, text) {
  const child = document.createElement(tag);
  child.className = className;
  child.textContent = text;
  return parent.appendChild(child);
}
