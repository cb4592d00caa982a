// What is being said and was typed: the spoken-so-far line and the history.
// Knows no audio: how far words were heard is told by the store.

import { unitsOf } from './typing.js';

const EMPTY = 'What is spoken appears here, word by word, as it is heard.';
const FATES = { queued: 'waiting', speaking: 'speaking', heard: 'heard', cut: 'cut off', refused: 'not spoken' };
const COMPOSED = { queued: 'being typed' };

/** @param {{store: ReturnType<import('./store.js').createStore>}} given */
export function mountSpoken({ store }) {
  const box = document.getElementById('spoken');
  const heard = document.getElementById('heard');
  const coming = document.getElementById('coming');
  const history = document.getElementById('history');
  const historyBox = document.getElementById('history-box');
  /** @type {Map<string, {item: HTMLElement, what: HTMLElement, fate: HTMLElement, seen: object}>} */
  const rows = new Map();

  function line(state) {
    const one = state.utterances.find((found) => found.id === state.current) ?? state.utterances.at(-1);
    const cut = one ? unitsOf(one.text, one.heard) : 0;
    const before = one ? one.text.slice(0, cut) : '';
    const after = one ? one.text.slice(cut) : EMPTY;
    box.dataset.empty = String(!one);
    box.dataset.fate = one?.fate ?? '';
    if (heard.textContent !== before) {
      heard.textContent = before;
      follow();
    }
    if (coming.textContent !== after) coming.textContent = after;
  }

  /** Keeps the word being heard in view of a long text. */
  function follow() {
    const parts = heard.getClientRects();
    const last = parts[parts.length - 1];
    if (!last) return;
    const frame = box.getBoundingClientRect();
    if (last.bottom > frame.bottom - 8 || last.top < frame.top) box.scrollTop += last.bottom - frame.bottom + frame.height / 3;
  }

  function row(one) {
    const item = document.createElement('li');
    const what = document.createElement('span');
    what.className = 'what';
    const fate = document.createElement('span');
    fate.className = 'fate';
    item.append(what, fate);
    const made = { item, what, fate, seen: null };
    rows.set(one.id, made);
    history.append(item);
    return made;
  }

  function list(utterances) {
    historyBox.hidden = !utterances.length;
    const alive = new Set(utterances.map((one) => one.id));
    for (const [id, { item }] of rows) {
      if (!alive.has(id)) {
        item.remove();
        rows.delete(id);
      }
    }
    for (const one of utterances) {
      const made = rows.get(one.id) ?? row(one);
      if (made.seen === one) continue;
      made.seen = one;
      made.item.dataset.fate = one.fate;
      made.item.dataset.utterance = one.id;
      made.what.textContent = one.text;
      made.fate.textContent = (one.ended ? '' : COMPOSED[one.fate]) || FATES[one.fate];
    }
  }

  store.watch((state, before) => {
    const first = state === before;
    if (!first && state.utterances === before.utterances && state.current === before.current) return;
    const more = state.utterances.length > rows.size;
    line(state);
    list(state.utterances);
    if (more) history.scrollTop = history.scrollHeight;
  });
}
