// Commands that the server has not answered yet. The server answers every command once and in order, with an error or
// with the event that the command caused, so an answer belongs to the first of them.

// The error for a whisper that would fill its receiver's backlog.
const WHISPER_REFUSED = /^\S+ is reading too slowly to receive this whisper/;

let commands = [];
let doubtful = []; // Commands of lost connections. The server can have received them.

export function add(command) {
  commands.push(command);
}

// Removes and returns all commands.
export function takeAll() {
  return commands.splice(0);
}

// Removes and returns the command that the event answers, if it answers one.
export function takeAnswered({ type, from, text }, ownName) {
  if (from !== ownName && !['who', 'help', 'error'].includes(type)) return undefined;
  // In a chat on several nodes, a whisper can be refused after its copy. If another whisper is unanswered then, the page
  // cannot tell which of them is refused. Both kinds of events answer whispers alone, so that other commands keep theirs.
  const isWhisper = type === 'whisper' || (type === 'error' && WHISPER_REFUSED.test(text));
  if (isWhisper && !['whisper', 'line'].includes(commands[0]?.type)) return undefined;
  // A newer server can answer a line with an event that this page ignores. The answer to a later `who` or `help` command
  // shows that the line has been answered.
  if (['who', 'help'].includes(type) && commands.some((command) => command.type === type)) {
    while (commands[0].type === 'line') commands.shift();
  }
  return commands.shift();
}

// ---- Commands of lost connections ----

// Keeps commands until the messages that the page missed tell which of them have arrived.
export function addDoubtful(lost) {
  doubtful.push(...lost);
}

// Removes and returns all of them, because the page has received what it missed.
export function takeDoubtful() {
  return doubtful.splice(0);
}

// Removes and returns the command that a missed message shows to have arrived, if there is one.
export function takeArrived({ type, from, text }) {
  // A rename among them can have succeeded before a message was sent.
  const names = doubtful.filter((command) => command.type === 'rename').map(({ name }) => name);
  const index = doubtful.findIndex(({ entry }) => {
    return entry?.type === type && [entry.from, ...names].includes(from) && bare(entry.text) === bare(text);
  });
  return index === -1 ? undefined : doubtful.splice(index, 1)[0];
}

// Returns the text without the characters that the server can change: blanks, and characters that are invisible.
function bare(text) {
  return text.replace(/[\s\p{C}\p{M}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]/gu, '');
}
