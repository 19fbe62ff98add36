// Who is here: a list that is kept up to date by what the server tells, and that starts a whisper.

import { hue } from './log.js';

// The server names this many of those who are here, and counts the rest.
const WHO_NAMES = 100;

const list = document.getElementById('names');
const more = document.getElementById('more');
const panel = document.getElementById('people');
const heading = document.getElementById('people-title');
const toggle = document.getElementById('people-toggle');

const names = new Set(); // Those whose names are known: all who are here, unless it is a crowd.
const items = new Map(); // The list's items by their names.
let users = 0;
let me = '';
let scheduled = false;
let chosen = () => {};

// Calls this with every name that is chosen in the list.
export function onChoose(callback) {
  chosen = callback;
}

// This many are here, these among them, and we are called that.
export function here(all, count, own) {
  names.clear();
  all.forEach((name) => names.add(name));
  me = own;
  redraw(count);
}

export function joined(name, count) {
  if (names.size < WHO_NAMES) names.add(name);
  redraw(count);
}

// Returns whether it is time to ask who is here. In a crowd the others have names too; asking only when half of the
// known ones have left keeps the questions few.
export function left(name, count) {
  const known = names.delete(name);
  redraw(count);
  return known && count > names.size && names.size === WHO_NAMES / 2;
}

export function renamed(from, to) {
  if (from === me) me = to;
  if (names.delete(from)) names.add(to);
  redraw(users);
}

// Drawn a moment later, once for all that happens until then. A hidden page is drawn when it is seen again.
function redraw(count) {
  users = count;
  if (!scheduled) requestAnimationFrame(draw);
  scheduled = true;
}

function draw() {
  scheduled = false;
  for (const [name, item] of items) {
    if (names.has(name)) continue;
    item.remove();
    items.delete(name);
  }
  const sorted = [...names].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  // Only what has to move is moved: a button that stays where it is keeps the focus.
  let at = list.firstElementChild;
  for (const name of sorted) {
    const item = items.get(name) ?? newItem(name);
    item.classList.toggle('own', name === me);
    if (item === at) at = at.nextElementSibling;
    else list.insertBefore(item, at);
  }
  more.hidden = users <= names.size;
  more.textContent = `and ${users - names.size} more`;
  const count = users === 0 ? 'Who is here' : `${users} here`;
  toggle.textContent = count;
  heading.textContent = count;
}

function newItem(name) {
  const item = document.createElement('li');
  const button = item.appendChild(document.createElement('button'));
  button.type = 'button';
  button.textContent = name;
  button.style.setProperty('--hue', hue(name));
  button.addEventListener('click', () => {
    open(false);
    chosen(name);
  });
  items.set(name, item);
  return item;
}

// On a phone the list is behind a button.
function open(shown) {
  toggle.setAttribute('aria-expanded', shown);
  panel.classList.toggle('open', shown);
}

const isOpen = () => panel.classList.contains('open');

toggle.addEventListener('click', () => {
  open(!isOpen());
  // The list comes last in the document, so the focus would have a long way to it.
  if (isOpen()) list.querySelector('button')?.focus();
});

// Whatever gets the focus there is to be seen.
document.querySelector('main').addEventListener('focusin', () => open(false));

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !isOpen()) return;
  open(false);
  toggle.focus();
});
