// Completion of a user's name: after @, and as the receiver of a whisper.

const MENTION = /(?:^|[\s(])@([\p{L}\p{M}\p{N}_-]*)$/u;
const RECEIVER = /^\/(?:whisper|w)\s+(\S*)$/i;

// Returns the names that complete the text before the caret, each with a space after it, and the position at which they
// begin. Returns `null` if the caret is not in a name that can be completed.
export function completeName(before, names) {
  const [, typed] = before.match(RECEIVER) ?? before.match(MENTION) ?? [];
  if (typed === undefined) return null;
  const prefix = typed.toLowerCase();
  const found = names.filter((name) => name.toLowerCase().startsWith(prefix));
  return found.length === 0 ? null : { start: before.length - typed.length, names: found.map((name) => `${name} `) };
}
