// What a typed line asks for, in the commands of the plain-text protocol.

// Returns the request, or a text that says what is wrong with the line.
export function read(line) {
  if (!line.startsWith('/')) return { type: 'message', text: line };
  if (line.startsWith('//')) return { type: 'message', text: line.slice(1) };
  const [word, rest] = splitWord(line.slice(1));
  switch (word.toLowerCase()) {
    case 'nick':
      return rest === '' ? 'That needs a name: /nick NAME' : { type: 'rename', name: rest.trimEnd() };
    case 'whisper':
    case 'w':
      return whisper(rest);
    case 'who':
      return { type: 'who' };
    case 'me':
      return rest === '' ? 'That needs what you do: /me ACTION' : { type: 'action', text: rest };
    case 'help':
      return { type: 'help' };
    case 'quit':
      return { type: 'quit' };
    default:
      return `There is no command /${word}. /help lists those there are.`;
  }
}

function whisper(rest) {
  const [to, text] = splitWord(rest);
  if (to === '') return 'That needs a name and a text: /whisper NAME TEXT';
  if (text === '') return `That needs a text: /whisper ${to} TEXT`;
  return { type: 'whisper', to, text };
}

// The first word, and what follows the white space behind it.
function splitWord(text) {
  const [, word, rest] = text.match(/^(\S*)\s*(.*)$/s);
  return [word, rest];
}
