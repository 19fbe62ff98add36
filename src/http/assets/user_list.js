// The list of users in the room. Events from the server keep it current; selecting a name starts a whisper.

import { nameHue } from './log_entry.js';

// Number of names in the server's `who` event. The server only counts further users.
const MAX_LISTED_NAMES = 100;

const list = document.getElementById('names');
const more = document.getElementById('more');
const panel = document.getElementById('users');
const heading = document.getElementById('users-title');
const toggle = document.getElementById('users-toggle');

const names = new Set(); // Known names: all users of the room, unless there are more than the server lists.
const items = new Map(); // List items by name.
let users = 0;
let ownName = '';
let renderScheduled = false;
let selectCallback = () => {};

// Sets the function to call with every name that the user selects in the list.
export function onSelect(callback) {
  selectCallback = callback;
}

// Replaces the list by these names. `count` is the number of users in the room.
export function setUsers(listed, count, own) {
  names.clear();
  listed.forEach((name) => names.add(name));
  ownName = own;
  setCount(count);
}

export function addUser(name, count) {
  if (names.size < MAX_LISTED_NAMES) names.add(name);
  setCount(count);
}

// Removes a user. Returns true if the list needs a new `who` event to name users that it only counts. Waiting until half
// of the known users have left keeps such requests rare.
export function removeUser(name, count) {
  const wasKnown = names.delete(name);
  setCount(count);
  return wasKnown && count > names.size && names.size === MAX_LISTED_NAMES / 2;
}

export function renameUser(from, to) {
  if (from === ownName) ownName = to;
  if (names.delete(from)) names.add(to);
  setCount(users);
}

// Returns the known names in the order of the list.
export function sortedNames() {
  return [...names].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
}

export function formatCount(count) {
  return count === 1 ? '1 user' : `${count} users`;
}

// Renders in the next animation frame, once for all changes until then. Hidden pages are rendered when they are shown.
function setCount(count) {
  users = count;
  if (!renderScheduled) requestAnimationFrame(render);
  renderScheduled = true;
}

function render() {
  renderScheduled = false;
  for (const [name, item] of items) {
    if (names.has(name)) continue;
    item.remove();
    items.delete(name);
  }
  // Items already in their place are not moved, because moving a button takes its focus away.
  let next = list.firstElementChild;
  for (const name of sortedNames()) {
    const item = items.get(name) ?? createItem(name);
    item.classList.toggle('own', name === ownName);
    if (item === next) next = next.nextElementSibling;
    else list.insertBefore(item, next);
  }
  more.hidden = users <= names.size;
  more.textContent = `and ${users - names.size} more`;
  const count = users === 0 ? 'Users' : formatCount(users);
  toggle.textContent = count;
  heading.textContent = count;
}

function createItem(name) {
  const item = document.createElement('li');
  const button = item.appendChild(document.createElement('button'));
  button.type = 'button';
  button.textContent = name;
  button.style.setProperty('--hue', nameHue(name));
  button.addEventListener('click', () => {
    setOpen(false);
    selectCallback(name);
  });
  items.set(name, item);
  return item;
}

// Shows or hides the list on a narrow page, where a button opens it.
function setOpen(open) {
  toggle.setAttribute('aria-expanded', open);
  panel.classList.toggle('open', open);
}

const isOpen = () => panel.classList.contains('open');

toggle.addEventListener('click', () => {
  setOpen(!isOpen());
  // The list is the last element of the document, so the Tab key would take long to reach it.
  if (isOpen()) list.querySelector('button')?.focus();
});

// The open list covers the messages, so it closes when one of their elements gets the focus.
document.querySelector('main').addEventListener('focusin', () => setOpen(false));

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !isOpen()) return;
  setOpen(false);
  toggle.focus();
});
