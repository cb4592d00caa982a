// The text box and the floor: typing, sending, streaming, recalling; interrupt, pause, resume.
// Knows no channel: what should be said or done goes out as intents.

import { freshId } from './channel.js';
import { createSplitter } from './typing.js';
import { enable, enabled } from './stage.js';

const MAX_RECALLED = 50;

/**
 * @param {{store: ReturnType<import('./store.js').createStore>, choice: {stream?: boolean}, keep: (changed: object) => void,
 *   intents: {say: (text: string, how?: object) => void, bargeIn: (cause: string) => void, pause: () => void, resume: () => void}}} given
 */
export function mountComposer({ store, choice, keep, intents }) {
  const [form, box, stream, hint] = ['composer', 'text', 'stream', 'text-hint'].map((id) => document.getElementById(id));
  const [bargein, pause, resume] = ['bargein', 'pause', 'resume'].map((id) => document.getElementById(id));
  const splitter = createSplitter();
  let utterance = freshId('u');
  let typed = [];
  let recalled = null;
  let composing = false;

  stream.checked = Boolean(choice.stream);

  function explain() {
    hint.textContent = stream.checked
      ? 'Each word is spoken as soon as a space follows; Enter ends the sentence.'
      : 'Enter speaks, Shift and Enter make a new line.';
  }
  explain();

  const streaming = () => stream.checked && store.get().phase === 'live';

  function feed() {
    if (!streaming() || composing) return;
    const piece = splitter.feed(box.value);
    if (piece) intents.say(piece, { utterance, end: false });
  }

  function send() {
    const value = box.value;
    if (splitter.sent) {
      intents.say(splitter.finish(value), { utterance, end: true });
    } else {
      // after an interruption only what was not said before is new
      const text = splitter.finish(value);
      if (!text.trim()) return;
      intents.say(text, { utterance, end: true });
    }
    remember(value);
    box.value = '';
    splitter.reset();
    utterance = freshId('u');
  }

  function remember(value) {
    const text = value.trim();
    if (text && typed.at(-1) !== text) typed = [...typed, text].slice(-MAX_RECALLED);
    recalled = null;
  }

  /** Earlier texts by the arrow keys, as long as nothing else is in the box. */
  function recall(step) {
    if (!typed.length || splitter.sent) return false;
    if (recalled === null && (step > 0 || box.value)) return false;
    const at = (recalled ?? typed.length) + step;
    if (at < 0) return true;
    recalled = at >= typed.length ? null : at;
    box.value = recalled === null ? '' : typed[recalled];
    return true;
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
    box.focus();
  });
  box.addEventListener('compositionstart', () => { composing = true; });
  box.addEventListener('compositionend', () => { composing = false; feed(); });
  box.addEventListener('input', () => { recalled = null; feed(); });
  box.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && recall(-1)) event.preventDefault();
    else if (event.key === 'ArrowDown' && recall(1)) event.preventDefault();
  });
  stream.addEventListener('change', () => {
    keep({ stream: stream.checked });
    explain();
    feed();
  });

  function interrupt() {
    intents.bargeIn('button');
    // what was said of the box is cut with the rest; what follows is another utterance
    if (splitter.sent) {
      splitter.cut();
      utterance = freshId('u');
    }
  }

  // on pointerdown: the person's instant, not that of the finger's lifting
  bargein.addEventListener('pointerdown', (event) => {
    if (event.button === 0 && enabled(bargein)) interrupt();
  });
  // keyboards, switches and scripts click without a pointer
  bargein.addEventListener('click', (event) => {
    if (event.detail === 0 && enabled(bargein)) interrupt();
  });
  pause.addEventListener('click', () => { if (enabled(pause)) intents.pause(); });
  resume.addEventListener('click', () => { if (enabled(resume)) intents.resume(); });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.isComposing || event.repeat || store.get().phase !== 'live') return;
    if (event.target instanceof HTMLSelectElement) return;
    event.preventDefault();
    interrupt();
  });

  store.watch((state, before) => {
    const live = state.phase === 'live';
    enable(bargein, live);
    enable(pause, live && ['speaking', 'draining', 'priming'].includes(state.speech));
    enable(resume, live && ['paused', 'yielded'].includes(state.speech));
    // words streamed in a call that is gone belong to it
    if (before.phase === 'live' && state.phase === 'idle' && splitter.sent) {
      splitter.reset();
      utterance = freshId('u');
    }
  });
}
