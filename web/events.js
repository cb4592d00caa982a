// The list of events: the same as the marks of the lanes, for keyboards and screen readers.
// Knows no canvas: it mirrors the marks of a track when it is open.

import { rove } from './rove.js';

export const LABELS = Object.freeze({
  text: 'Text', cut: 'Barge-in', hold: 'Pause, resume', swap: 'Voice, engine', trouble: 'Trouble', fill: 'Hole', call: 'Call', mic: 'Microphone', tool: 'Tool',
});
const MAX_ROWS = 120;

/** @param {{list: HTMLElement, details: HTMLDetailsElement, go: (frame: number) => void}} given `go`: somebody wants to see this frame */
export function mountEvents({ list, details, go }) {
  let track = null;
  let newest = 0;

  function row(mark) {
    const item = document.createElement('li');
    item.dataset.group = mark.group;
    item.dataset.kind = mark.kind;
    const at = document.createElement('button');
    at.type = 'button';
    at.className = 'at';
    at.tabIndex = -1;
    at.textContent = String(mark.frame);
    at.setAttribute('aria-label', `Show frame ${mark.frame}`);
    at.addEventListener('click', () => go(mark.frame));
    item.append(at);
    for (const [name, text] of [['kind', LABELS[mark.group] ?? mark.kind], ['more', mark.text || mark.kind]]) {
      const cell = document.createElement('span');
      cell.className = name;
      cell.textContent = text;
      item.append(cell);
    }
    return item;
  }

  /** Adds what is new. */
  function draw() {
    if (!details.open || !track) return;
    const { marks } = track;
    const fresh = [];
    for (let at = marks.length - 1; at >= 0 && marks.get(at).key > newest && fresh.length < MAX_ROWS; at -= 1) fresh.push(marks.get(at));
    if (!fresh.length) return;
    newest = fresh.reduce((most, mark) => Math.max(most, mark.key), newest);
    list.prepend(...fresh.map(row));
    while (list.children.length > MAX_ROWS) list.lastElementChild.remove();
  }

  rove(list, 'button');
  details.addEventListener('toggle', draw);
  return {
    draw,
    show(next) {
      track = next;
      newest = 0;
      list.replaceChildren();
      draw();
    },
  };
}
