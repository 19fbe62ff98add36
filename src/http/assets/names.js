// Users' names in texts: mentions, and completion after @ and as the receiver of a whisper.

const NAME_CHARACTER = '[\\p{L}\\p{M}\\p{N}_-]';
const MENTION = new RegExp(`(?:^|[\\s(])@(${NAME_CHARACTER}*)$`, 'u');
const RECEIVER = /^\/(?:whisper|w)\s+(\S*)$/i;

// Returns true if the name is a word of the text, in any spelling.
export function mentions(text, name) {
  // No character of a name has a meaning in an expression.
  return new RegExp(`(?<!${NAME_CHARACTER})${fold(name)}(?!${NAME_CHARACTER})`, 'u').test(fold(text));
}

// Returns the names that complete the text before the caret, each with a space after it, and the position at which they
// begin. Returns `null` if the caret is not in a name that can be completed.
export function completeName(before, names) {
  const [, typed] = before.match(RECEIVER) ?? before.match(MENTION) ?? [];
  if (typed === undefined) return null;
  const prefix = fold(typed);
  const found = names.filter((name) => fold(name).startsWith(prefix));
  return found.length === 0 ? null : { start: before.length - typed.length, names: found.map((name) => `${name} `) };
}

// Returns the form that all spellings share: upper and lower case, composed and decomposed, wide and narrow. Upper case,
// because the small letter of Σ depends on its place in the word.
function fold(text) {
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFC');
}
