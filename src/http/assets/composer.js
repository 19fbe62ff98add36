// The message field: it grows with its text, sends with Enter, completes names with Tab, and brings back earlier drafts
// with the up arrow.

import { Field } from './field.js';
import { completeName } from './names.js';

// Number of drafts that the arrow keys bring back.
const MAX_DRAFTS = 50;

export const messageField = new Field('composer', 'text', 'text-error');

const { form, input } = messageField;
const drafts = []; // Drafts that were sent, the oldest first.
let position = 0; // Index of the draft that an arrow key brought back. The length of `drafts`: none.
let completion = null; // The names that Tab offers in turn, and the text after the last one.
let namesCallback = () => [];

// Sets the function that returns the names to complete.
export function onComplete(names) {
  namesCallback = names;
}

// Empties the field, and keeps its text for the up arrow.
export function takeDraft() {
  const draft = messageField.value;
  if (drafts.at(-1) !== draft) drafts.push(draft);
  if (drafts.length > MAX_DRAFTS) drafts.shift();
  position = drafts.length;
  messageField.value = '';
  return draft;
}

input.addEventListener('keydown', (event) => {
  // Keys that choose a character in an input method belong to it. Safari reports the last one with code 229 only.
  if (event.isComposing || event.keyCode === 229) return;
  if (event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
  const action = { Enter: () => (form.requestSubmit(), true), Tab: complete, ArrowUp: recallOlder, ArrowDown: recallNewer };
  if (action[event.key]?.()) event.preventDefault();
});

// ---- Earlier drafts ----

// In a draft of several lines, the arrow keys move the caret until it is in the first or the last line.
function recallOlder() {
  return !input.value.slice(0, input.selectionStart).includes('\n') && recall(position - 1);
}

function recallNewer() {
  return !input.value.slice(input.selectionEnd).includes('\n') && recall(position + 1);
}

// Shows another draft, unless the user has typed something that would be lost. Returns whether it did.
function recall(index) {
  if (index < 0 || index > drafts.length || input.value !== (drafts[position] ?? '')) return false;
  position = index;
  messageField.value = drafts[index] ?? '';
  input.setSelectionRange(input.value.length, input.value.length);
  return true;
}

// ---- Completion ----

// Inserts the next name that begins as typed. Returns false after the last one, so that Tab moves the focus again.
function complete() {
  const caret = input.selectionEnd;
  if (completion?.text !== input.value || completion.end !== caret) {
    completion = completeName(input.value.slice(0, caret), namesCallback());
    if (!completion) return false;
    Object.assign(completion, { next: 0, end: caret });
  }
  if (completion.next === completion.names.length) return false;
  const name = completion.names[completion.next];
  input.setRangeText(name, completion.start, completion.end, 'end');
  completion.next += 1;
  completion.end = completion.start + name.length;
  completion.text = input.value;
  return true;
}

// ---- Height ----

// The style sheet sets the smallest and the largest height.
function grow() {
  input.style.height = 'auto';
  input.style.height = `${input.scrollHeight + input.offsetHeight - input.clientHeight}px`;
}

input.addEventListener('input', grow);
addEventListener('resize', grow);
