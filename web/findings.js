// The troubles that have a shape, in words under the picture, each with the place where it was seen.
// Knows not how they are found.

import { shapes } from './shapes.js';

/** A look costs a few ms; what lasts is seen at the next one. */
const EVERY_MS = 2_000;
/** A live call is searched over its last five minutes: what is longer ago is told no more. */
const BACK = 15_000;

/** @param {{list: HTMLElement, go: (frame: number, to: number) => void}} given */
export function mountFindings({ list, go }) {
  let track = null;
  let live = false;
  let lookedAt = 0;
  let shown = '';

  function row({ name, title, cause, remedy, frame, to, many }) {
    const item = document.createElement('li');
    item.dataset.shape = name;
    const head = document.createElement('strong');
    head.textContent = title;
    const place = document.createElement('button');
    place.type = 'button';
    place.className = 'place';
    place.textContent = `frames ${frame} to ${to}${many > 1 ? `, ${many} times` : ''}`;
    place.addEventListener('click', () => go(frame, to));
    const why = document.createElement('p');
    why.textContent = cause;
    const what = document.createElement('p');
    what.className = 'remedy';
    what.textContent = remedy;
    item.append(head, place, why, what);
    return item;
  }

  function look() {
    if (!track || document.hidden) return;
    lookedAt = performance.now();
    const { first, end } = track.extent();
    const found = shapes(track, live ? Math.max(first, end - BACK) : first, end);
    // the words stay still while the numbers of a lasting shape grow
    const key = JSON.stringify(found.map(({ name, frame, many }) => [name, frame, many]));
    if (key === shown) return;
    shown = key;
    list.replaceChildren(...found.map(row));
    list.hidden = !found.length;
  }

  return {
    refresh() { if (performance.now() - lookedAt > EVERY_MS) look(); },
    /** @param {boolean} now whether it lives */
    show(next, now) {
      track = next;
      live = now;
      shown = '';
      list.replaceChildren();
      list.hidden = true;
      look();
    },
  };
}
