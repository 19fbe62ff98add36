// Drafts of one or several lines as commands of the protocol.

// Lines of one draft. A bound on the messages that one key can send.
const MAX_LINES = 50;

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

// Returns the commands of a draft, or the text of an error. A text is one line for the server, so each line becomes a
// message of its own. All lines go to whom the first one goes to: only the first one can be a command.
//
// `lines` are the texts of the commands, `prefix` is what stands before them in the draft, and `type` is their type.
export function parseDraft(draft) {
  const [first, ...others] = draft.split('\n').filter((line) => line.trim() !== '');
  const command = parseCommand(first);
  if (typeof command === 'string') return command;
  if (!['message', 'action', 'whisper'].includes(command.type)) {
    if (others.length > 0) return 'Only messages, /me and /whisper can have several lines.';
    return { type: command.type, prefix: '', lines: [first], commands: [command] };
  }
  const lines = [command.text, ...others];
  if (lines.length > MAX_LINES) return `These are ${lines.length} lines. At most ${MAX_LINES} can be sent at once.`;
  const prefix = first.slice(0, first.length - command.text.length);
  return { type: command.type, prefix, lines, commands: lines.map((text) => ({ ...command, text })) };
}

// Returns the draft that would send these lines of a parsed draft.
export function formatDraft({ type, prefix }, lines) {
  const escape = type === 'message' && prefix === '' && lines[0].startsWith('/') ? '/' : '';
  return prefix + escape + lines.join('\n');
}

// Returns the draft as a whisper to this user. If the draft is a whisper, its receiver is replaced.
export function addressDraft(draft, to) {
  return draft.replace(/^(\/w(hisper)?[^\S\n]+\S*[^\S\n]*)?/i, `/whisper ${to} `);
}

// Returns the command for a typed line, or the text of an error. A line with an unknown command is sent as typed, because
// a newer server can have more commands.
function parseCommand(line) {
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
