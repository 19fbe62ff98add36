// The secret that the server can ask for. The tab keeps it until it is closed.

import { Field } from './field.js';
import { tabStorage } from './storage.js';

const WRONG = 'This is not the secret of this chat.';

const field = new Field('unlock', 'secret', 'secret-error');

// Returns the subprotocols of a WebSocket: a page cannot set its `Authorization` header. The server confirms the first.
export function subprotocols() {
  const secret = tabStorage.get('secret');
  if (secret === '') return ['threadchat.json'];
  const base64url = btoa(secret).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return ['threadchat.json', `threadchat.secret.${base64url}`];
}

// Returns true if the server asks for another secret than the tab's, which a WebSocket does not tell.
export async function isRefused() {
  const secret = tabStorage.get('secret');
  const headers = secret === '' ? {} : { Authorization: `Bearer ${secret}` };
  return fetch('chat', { headers, cache: 'no-store' }).then((response) => response.status === 401, () => false);
}

// Asks the user, who has a wrong secret or none.
export function ask() {
  const isWrong = tabStorage.get('secret') !== '';
  tabStorage.set('secret', '');
  if (isWrong) field.showError(WRONG);
  field.input.focus();
}

// Calls `listener` when the user has entered a secret.
export function onEntered(listener) {
  field.form.addEventListener('submit', (event) => {
    event.preventDefault();
    const secret = field.value.trim();
    // The server has no other secrets, and a header could not bring them.
    if (!/^[\x21-\x7e]{1,256}$/.test(secret)) return field.showError(WRONG);
    tabStorage.set('secret', secret);
    field.clearError();
    field.value = '';
    listener();
  });
}
