// A notification and a sound while the page is hidden, for mentions and whispers. Off until the user asks for them.

import { browserStorage } from './storage.js';

// Least time between two sounds, in milliseconds.
const SOUND_INTERVAL = 1_000;

// Characters of a text that a notification shows.
const MAX_BODY = 200;

const checkbox = document.getElementById('notify');
const note = document.getElementById('notify-note');

let audio = null; // Browsers create it silenced, unless the user is just using the page.
let soundAt = 0; // Time of the last sound.

// Notifies the user if the page is hidden.
export function notify(title, text) {
  if (!checkbox.checked || !document.hidden) return;
  playSound();
  if (!isPermitted()) return;
  try {
    // A new notification replaces the last one, so that a flood of them does not cover the screen.
    const notification = new Notification(title, { body: text.slice(0, MAX_BODY), tag: 'threadchat' });
    notification.onclick = () => {
      focus();
      notification.close();
    };
  } catch {
    // Browsers of phones have notifications only for pages with a service worker.
  }
}

function isPermitted() {
  return globalThis.Notification?.permission === 'granted';
}

// Plays two short tones.
function playSound() {
  if (audio?.state !== 'running' || Date.now() - soundAt < SOUND_INTERVAL) return;
  soundAt = Date.now();
  const start = audio.currentTime;
  const volume = new GainNode(audio, { gain: 0.15 });
  volume.connect(audio.destination);
  // The end is a fade, because a tone that is cut off ends with a click.
  volume.gain.setValueAtTime(0.15, start + 0.2);
  volume.gain.linearRampToValueAtTime(0, start + 0.3);
  const tone = new OscillatorNode(audio, { frequency: 660 });
  tone.frequency.setValueAtTime(880, start + 0.12);
  tone.connect(volume);
  tone.start(start);
  tone.stop(start + 0.3);
}

function unlockSound() {
  if (!checkbox.checked) return;
  audio ??= new AudioContext();
  if (audio.state !== 'running') audio.resume();
}

function showNote() {
  const missing = checkbox.checked && !isPermitted();
  note.textContent = missing ? 'The browser does not permit notifications here, so there is only a sound.' : '';
}

checkbox.addEventListener('change', async () => {
  browserStorage.set('notify', checkbox.checked ? 'on' : '');
  unlockSound();
  if (checkbox.checked) await globalThis.Notification?.requestPermission();
  showNote();
});

for (const gesture of ['pointerdown', 'keydown']) addEventListener(gesture, unlockSound);
checkbox.checked = browserStorage.get('notify') === 'on';
showNote();
