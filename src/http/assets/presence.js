// The users who joined and left since the last message, for one notice.

// Names shown of each kind. The notice counts the others.
const MAX_SHOWN = 5;

// Users of one notice. A bound on memory; the next user starts another notice.
const MAX_USERS = 1000;

export class Presence {
  #users = new Map(); // The first and the last event of each user, by name.

  // Adds an event, `joined` or `left`. Returns false if the notice is full.
  add(event, name) {
    const user = this.#users.get(name);
    if (!user && this.#users.size === MAX_USERS) return false;
    this.#users.set(name, { first: user?.first ?? event, last: event });
    return true;
  }

  toString() {
    return [
      this.#sentence('joined', 'joined', 'joined.'),
      this.#sentence('left', 'left', 'left.'),
      this.#sentence('joined', 'left', 'joined and left.'),
      this.#sentence('left', 'joined', 'left and joined again.'),
    ]
      .filter((sentence) => sentence !== '')
      .join(' ');
  }

  #sentence(first, last, verb) {
    const names = [...this.#users].filter(([, user]) => user.first === first && user.last === last).map(([name]) => name);
    return names.length === 0 ? '' : `${formatNames(names)} ${verb}`;
  }
}

function formatNames(names) {
  if (names.length > MAX_SHOWN) return `${names.slice(0, MAX_SHOWN).join(', ')} and ${names.length - MAX_SHOWN} more`;
  if (names.length === 1) return names[0];
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
