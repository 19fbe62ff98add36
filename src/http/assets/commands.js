// Typed lines as commands of the protocol.

// The commands that this page knows, by the word after the slash. Each entry takes the rest of the line and returns the
// command to send, or the text of an error. A test compares the keys with the server's help text.
const COMMANDS = {
  nick: (name) => (name === '' ? usageError('a name: /nick NAME') : { type: 'rename', name: name.trimEnd() }),
  whisper,
  w: whisper,
  who: () => ({ type: 'who' }),
  me: (text) => (text === '' ? usageError('what you do: /me ACTION') : { type: 'action', text }),
  help: () => ({ type: 'help' }),
  quit: () => ({ type: 'quit' }),
};

// Returns the command for a typed line, or the text of an error. A line with an unknown command is sent as typed, because
// a newer server can have more commands.
export function parseCommand(line) {
  if (!line.startsWith('/')) return { type: 'message', text: line };
  if (line.startsWith('//')) return { type: 'message', text: line.slice(1) };
  const [word, rest] = splitWord(line.slice(1));
  const name = word.toLowerCase();
  return Object.hasOwn(COMMANDS, name) ? COMMANDS[name](rest) : { type: 'line', text: line };
}

function whisper(rest) {
  const [to, text] = splitWord(rest);
  if (to === '') return usageError('a name and a text: /whisper NAME TEXT');
  if (text === '') return usageError(`a text: /whisper ${to} TEXT`);
  return { type: 'whisper', to, text };
}

function usageError(missing) {
  return `That needs ${missing}`;
}

// Splits off the first word and removes the white space after it.
function splitWord(text) {
  const [, word, rest] = text.match(/^(\S*)\s*(.*)$/s);
  return [word, rest];
}
