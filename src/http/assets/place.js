// The place of this page in the messages of its room, for asking the server for those that it missed.

let epoch; // The life of the room in which the page received messages. Undefined before the first one.
let received; // The id of the last message received in it. Undefined until there is one.
let replayEnd = 0; // The newest message at the time of the `welcome` event. Those up to it are sent again.
let isFirstVisit = true; // The page had not been in this room before the last `welcome` event.

// Returns the parameters of the URL that ask for the missed messages.
export function query() {
  return received === undefined ? {} : { since: received, epoch };
}

// Takes an event into account. Returns true for a message that was sent before this connection was opened.
export function update(event) {
  if (event.type === 'welcome') onWelcome(event);
  if (event.id === undefined) return false;
  received = event.id;
  return received <= replayEnd;
}

function onWelcome(event) {
  isFirstVisit = epoch === undefined;
  if (event.epoch !== epoch) received = undefined;
  epoch = event.epoch;
  replayEnd = event.last ?? 0;
}

// Returns true for the messages from before the page was opened.
export function isHistory(event) {
  return isFirstVisit && event.id <= replayEnd;
}

// Returns true for the messages that the page missed.
export function isMissed(event) {
  return !isFirstVisit && event.id <= replayEnd;
}

// Returns true when everything that was missed has been received.
export function isCaughtUp() {
  return (received ?? 0) >= replayEnd;
}

// Ends the replay. The server does not keep all messages, so there can be fewer than their ids tell.
export function catchUp() {
  if (epoch !== undefined) received = Math.max(received ?? 0, replayEnd);
}
