// The chat: the commands that the user sends, and the events received from the server.

import { addressDraft, formatDraft, parseDraft } from './commands.js';
import { messageField, onComplete, takeDraft } from './composer.js';
import * as connection from './connection.js';
import { Field } from './field.js';
import * as log from './message_log.js';
import { mentions } from './names.js';
import { notify } from './notifier.js';
import * as place from './place.js';
import * as room from './room.js';
import { browserStorage, tabStorage } from './storage.js';
import * as unconfirmed from './unconfirmed.js';
import * as userList from './user_list.js';

// When a connection is lost, the server can keep its user until a ping times out, by default after 30 seconds. While the
// user's name is taken, the page requests it at this interval, in milliseconds, for a little longer than that.
const NAME_RETRY_INTERVAL = 3_000;
const NAME_RETRIES = 15;

const TOO_LONG = 'This is longer than the server accepts. Send it in parts.';
const NOT_CONFIRMED = 'The connection was lost before the server confirmed this.';
const NOT_CONNECTED = 'Not connected. Send this when the connection is restored.';

// Code of a connection's end (RFC 6455, section 7.4.1).
const MESSAGE_TOO_BIG = 1009;

const nameField = new Field('rename', 'name', 'name-error');
const offerButton = document.getElementById('offer');

let ownName = ''; // The name that the server gave last.
// The name that the user chose, requested again on every connection. It is the tab's, because two tabs that shared a name
// would compete for it. A new tab only offers the name that was chosen last.
let requestedName = tabStorage.get('name');
let nameRetries = 0; // Remaining requests for it on this connection.
let greeting = ''; // The notice that follows the missed messages. Empty: it was shown.
let rejectedLength = Infinity; // Length of the shortest command that the server rejected as too long, in bytes.

// ---- Commands ----

// Sends a command. `input` is the field with the input that caused it, see `refuse`. Commands that the page sends by
// itself have none.
function sendCommand(command, input) {
  const json = JSON.stringify(command);
  const length = new TextEncoder().encode(json).length;
  const sent = { type: command.type, name: command.name, length, ...input };
  if (!connection.isOpen()) return refuse(sent, NOT_CONNECTED);
  if (length >= rejectedLength) return refuse(sent, TOO_LONG);
  if (input && command.text !== undefined && command.type !== 'line') {
    sent.entry = log.appendPending(command, ownName, senderLabel({ ...command, from: ownName }, true));
  }
  unconfirmed.add(sent);
  connection.send(json);
}

// Shows the error at the field and restores the refused line in it, together with other refused lines of its draft. If
// the user has typed something else there, a message stays in the log.
function refuse({ type, field, draft, line, entry }, error) {
  if (!field) return;
  field.showError(error, type);
  draft.refused.push(line);
  const text = formatDraft(draft, draft.refused);
  if (field.restore(text, draft.restored)) draft.restored = text;
  else if (entry) log.appendFailed(entry, error === NOT_CONFIRMED ? 'Not confirmed' : 'Not sent');
}

messageField.form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (messageField.value.trim() === '') return;
  messageField.clearError();
  const parsed = parseDraft(messageField.value);
  if (typeof parsed === 'string') return messageField.showError(parsed);
  takeDraft();
  log.scrollToEnd();
  if (parsed.type === 'quit') return quit();
  const draft = { ...parsed, refused: [] };
  parsed.commands.forEach((command, index) => {
    sendCommand(command, { field: messageField, draft, line: parsed.lines[index] });
  });
});

nameField.form.addEventListener('submit', (event) => {
  event.preventDefault();
  requestName(nameField.value.trim());
});

nameField.input.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  nameField.clearError();
  nameField.value = ownName;
  messageField.input.focus();
});

offerButton.addEventListener('click', () => requestName(browserStorage.get('name')));

userList.onSelect((name) => {
  if (name === ownName) return nameField.input.select();
  messageField.value = addressDraft(messageField.value, name);
  messageField.input.focus();
});

onComplete(() => userList.sortedNames().filter((name) => name !== ownName));

function requestName(name) {
  nameField.clearError();
  const draft = { type: 'rename', prefix: '', refused: [] };
  sendCommand({ type: 'rename', name }, { field: nameField, draft, line: name });
}

function quit() {
  connection.leave();
  unconfirmed.takeAll().forEach(({ entry }) => entry && log.removePending(entry));
  userList.setUsers([], 0, '');
  log.appendNotice('You left the chat.');
}

// ---- Events ----

function onEvent(event) {
  const isReplayed = place.update(event);
  // The refusal of the name in the URL comes before the missed messages, every other event after them.
  if (!isReplayed && event.type !== 'welcome' && event.type !== 'error') onCaughtUp();
  const command = isReplayed ? unconfirmed.takeArrived(event) : unconfirmed.takeAnswered(event, ownName);
  if (command?.entry) log.removePending(command.entry);
  handleEvent(event, command);
  if (place.isCaughtUp()) onCaughtUp();
}

// `command` is the one that the event answers.
function handleEvent(event, command) {
  switch (event.type) {
    case 'welcome':
      return onWelcome(event);
    case 'message':
    case 'action':
    case 'whisper':
      return onMessage(event, command);
    case 'joined':
      userList.addUser(event.name, event.users);
      return log.appendPresence('joined', event.name);
    case 'left':
      if (userList.removeUser(event.name, event.users)) sendCommand({ type: 'who' });
      return log.appendPresence('left', event.name);
    case 'renamed':
      return onRenamed(event);
    case 'who':
      return onWho(event, command);
    case 'help':
      return log.appendHelp(event.text);
    case 'error':
      return onError(event, command);
    // A newer server can send events of other types. The page ignores them.
  }
}

function onWelcome({ name, users, gap }) {
  const verb = ownName === '' ? 'Connected' : 'Reconnected';
  greeting = `${verb} as ${name}. ${userList.formatCount(users)} here.`;
  if (gap) log.appendNotice('Messages sent meanwhile may be missing.');
  setOwnName(name);
  userList.setUsers([name], users, name);
  if (messageField.shows(NOT_CONNECTED)) messageField.clearError();
  nameRetries = NAME_RETRIES;
  // The server rejected the name in the URL. Its error comes next and answers no command that the page sent.
  if (requestedName && requestedName !== name) unconfirmed.add({ type: 'rename' });
  sendCommand({ type: 'who' });
}

// The page has received all messages that it missed. Of its own, those that are not among them did not arrive.
function onCaughtUp() {
  if (greeting === '') return;
  place.catchUp();
  log.appendNotice(greeting);
  greeting = '';
  restoreUnconfirmed(unconfirmed.takeDoubtful(), NOT_CONFIRMED);
}

function onMessage(event, command) {
  // The user can have had another name when the connection was lost, and another user its name since then.
  const own = command !== undefined || (event.from === ownName && !place.isMissed(event));
  const history = place.isHistory(event);
  const mention = !own && event.type !== 'whisper' && isMentioned(event.text);
  const label = senderLabel(event, own, mention);
  log.appendMessage(event, label, { own, mention, history });
  if (!history && (mention || (event.type === 'whisper' && !own))) notify(label, event.text);
}

// Until the user has its name again, messages can address it by that name.
function isMentioned(text) {
  if (mentions(text, ownName)) return true;
  return requestedName !== '' && nameRetries > 0 && mentions(text, requestedName);
}

function onWho({ names, users }, command) {
  userList.setUsers(names, users, ownName);
  offerLastName(names);
  if (!command?.field) return;
  const more = users > names.length ? ` and ${users - names.length} more` : '';
  log.appendNotice(`${userList.formatCount(users)} here: ${names.join(', ')}${more}.`);
}

function onRenamed({ from, to }) {
  userList.renameUser(from, to);
  if (from !== ownName) return log.appendNotice(`${from} is now ${to}.`);
  requestedName = to;
  tabStorage.set('name', to);
  browserStorage.set('name', to);
  setOwnName(to);
  messageField.clearErrorOf('rename');
  log.appendNotice(`You are now ${to}.`);
}

function onError({ text }, command) {
  if (command?.field) return refuse(command, text);
  // Of the commands that the page sends by itself, the server rejects only the request for the previous name. Other errors
  // answer no command: a whisper was refused after its copy had arrived.
  if (command?.type !== 'rename') return log.appendNotice(text);
  if (nameRetries > 0) return setTimeout(retryName, NAME_RETRY_INTERVAL);
  log.appendNotice(`The name ${requestedName} is still taken. You are ${ownName} for now.`);
}

function onClose(code) {
  userList.setUsers([], 0, '');
  const commands = unconfirmed.takeAll();
  // Before this Close the server sends all other results. After any other end, commands can have arrived, and the missed
  // messages tell.
  if (code === MESSAGE_TOO_BIG) restoreUnconfirmed(commands, TOO_LONG);
  else unconfirmed.addDoubtful(commands);
}

// Puts an unconfirmed draft back into the message field, because it might not have arrived. Of several drafts it takes the
// one with the longest text, which can have been too long. The others stay in the log.
function restoreUnconfirmed(all, error) {
  const commands = all.filter(({ field }) => field === messageField);
  if (commands.length === 0) return;
  const longest = commands.reduce((a, b) => (b.length > a.length ? b : a));
  if (error === TOO_LONG) rejectedLength = longest.length;
  for (const command of commands) {
    if (command.entry) log.removePending(command.entry);
    if (command.draft === longest.draft) refuse(command, error);
    else if (command.entry) log.appendFailed(command.entry, 'Not confirmed');
  }
}

function senderLabel({ type, from, to }, own, mention = false) {
  if (type === 'whisper') return own ? `You whisper to ${to}` : `${from} whispers to you`;
  if (type === 'action') return from;
  if (own) return 'You';
  return mention ? `${from} mentions you` : from;
}

// ---- The user's name ----

function setOwnName(name) {
  ownName = name;
  nameField.clearError();
  nameField.value = name;
  if (requestedName !== '') offerButton.hidden = true;
}

// Offers a new tab the name that another tab or an earlier visit had, unless a user has it now.
function offerLastName(names) {
  const name = browserStorage.get('name');
  offerButton.hidden = name === '' || requestedName !== '' || names.includes(name);
  offerButton.textContent = `Be ${name} again`;
}

function retryName() {
  if (!connection.isOpen() || ownName === requestedName) return;
  nameRetries -= 1;
  sendCommand({ type: 'rename', name: requestedName });
}

const chat = {
  path: room.path,
  place: place.query,
  requestedName: () => requestedName,
  onEvent,
  onClose,
  onLost: () => log.appendNotice('Connection lost.'),
  onRefused: (reason) => log.appendNotice(room.name === '' ? reason : `${reason} Or it has no place for another room.`),
  probe: () => sendCommand({ type: 'who' }),
};

if (room.isValid) connection.start(chat);
else {
  connection.showInvalidRoom();
  log.appendNotice(room.refuseName());
}
