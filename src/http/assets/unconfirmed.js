// Commands that the server has not answered yet. The server answers every command once and in order, with an error or
// with the event that the command caused, so an answer belongs to the first of them.

let commands = [];

export function add(command) {
  commands.push(command);
}

// Removes and returns all commands.
export function takeAll() {
  return commands.splice(0);
}

// Removes and returns the command that the event answers, if it answers one.
export function takeAnswered({ type, from }, ownName) {
  if (from !== ownName && !['who', 'help', 'error'].includes(type)) return undefined;
  // A newer server can answer a line with an event that this page ignores. The answer to a later `who` or `help` command
  // shows that the line has been answered.
  if (['who', 'help'].includes(type) && commands.some((command) => command.type === type)) {
    while (commands[0].type === 'line') commands.shift();
  }
  return commands.shift();
}
