// Links in the texts of users. They are built as elements, and only http and https count, so that a link can neither run
// a script nor open another program.

// Links of one text. Without this bound, a message of 65536 characters could have thousands of elements.
const MAX_LINKS = 100;

const CLOSING = { ')': '(', ']': '[', '}': '{' };

// Appends a text to an element, with its URLs as links.
export function appendLinked(element, text) {
  let end = 0;
  let links = 0;
  for (const { 0: found, index } of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/gi)) {
    const url = trimPunctuation(found);
    if (!isWebAddress(url)) continue;
    element.append(text.slice(end, index), linkElement(url));
    end = index + url.length;
    links += 1;
    if (links === MAX_LINKS) break;
  }
  element.append(text.slice(end));
}

function linkElement(url) {
  const link = document.createElement('a');
  link.href = url;
  link.rel = 'noopener noreferrer nofollow';
  link.target = '_blank';
  link.textContent = url;
  return link;
}

// Removes the punctuation of the sentence after a URL. A bracket stays if it closes one in the URL.
function trimPunctuation(url) {
  const counts = new Map();
  for (const character of url) counts.set(character, (counts.get(character) ?? 0) + 1);
  let end = url.length;
  while (end > 0) {
    const last = url[end - 1];
    const opening = CLOSING[last];
    const isUnmatched = opening && counts.get(last) > (counts.get(opening) ?? 0);
    if (!isUnmatched && !'.,;:!?\'*_~'.includes(last)) break;
    counts.set(last, counts.get(last) - 1);
    end -= 1;
  }
  return url.slice(0, end);
}

function isWebAddress(url) {
  return URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol);
}
