// The room of this page, which its address names, and the form that enters another one.

const NAME = /^[a-z0-9_-]{1,32}$/i;

// Characters shown of an invalid name.
const MAX_SHOWN = 40;

const toggle = document.getElementById('room-toggle');
const form = document.getElementById('room');
const input = document.getElementById('room-name');

const given = new URLSearchParams(location.search).get('room') ?? '';

// False if the address names a room that cannot exist.
export const isValid = given === '' || NAME.test(given);

// The room's name. Empty: the main room.
export const name = isValid ? given.toLowerCase() : '';

// The path of the room's WebSocket, relative to the page.
export const path = name === '' ? 'chat' : `chat/${name}`;

// The title of the page, which names the room.
export const title = name === '' ? document.title : `${name} – ${document.title}`;

// Returns the reason why the page does not connect, and opens the form to enter another room.
export function refuseName() {
  const shown = given.length > MAX_SHOWN ? `${given.slice(0, MAX_SHOWN)}…` : given;
  input.value = given.slice(0, input.maxLength);
  form.showPopover();
  return `There is no room “${shown}”: a room is called 1 to 32 of a-z 0-9 _ -. Enter another room.`;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const url = new URL(location.href);
  url.searchParams.delete('room');
  if (input.value !== '') url.searchParams.set('room', input.value.toLowerCase());
  url.hash = '';
  location.assign(url);
});

document.title = title;
if (name !== '') {
  toggle.textContent = name;
  toggle.ariaLabel = `Room ${name}`;
  toggle.title = name;
}
