// The list of events: the same as the chart's marks, for keyboards and screen readers.
// Knows no telemetry: it mirrors the series when it is open.

import { GROUPS } from './timeline.js';

const MAX_ROWS = 120;

/** @param {{list: HTMLElement, details: HTMLDetailsElement, series: import('./timeline.js').Series}} given */
export function mountEvents({ list, details, series }) {
  let newest = 0;

  function row(mark) {
    const item = document.createElement('li');
    item.dataset.group = mark.group;
    item.dataset.kind = mark.kind;
    for (const [name, text] of [['at', String(mark.frame)], ['kind', GROUPS[mark.group].label], ['more', mark.text || mark.kind]]) {
      const cell = document.createElement('span');
      cell.className = name;
      cell.textContent = text;
      item.append(cell);
    }
    item.firstElementChild.title = 'frame';
    return item;
  }

  /** Adds what is new; chunks come ten a second and are left to the chart. */
  function draw() {
    if (!details.open) return;
    const fresh = series.marks.filter((mark) => mark.key > newest && mark.group !== 'chunk');
    newest = series.marks.at(-1)?.key ?? newest;
    if (fresh.length) list.prepend(...fresh.slice(-MAX_ROWS).reverse().map(row));
    while (list.children.length > MAX_ROWS) list.lastElementChild.remove();
  }

  details.addEventListener('toggle', draw);
  return { draw, clear: () => { list.replaceChildren(); newest = 0; } };
}
