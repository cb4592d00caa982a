// The colours of the lanes, explained beside their marks.
// Knows no canvas.

import { LABELS } from './events.js';
import { MARKS } from './pen.js';

const SVG = 'http://www.w3.org/2000/svg';
const AREAS = { depth: ['Depth', 'M-5 0h10v1.6h-10z'], band: ['Comfort band', 'M-5-5h10v10h-10z'], ladder: ['Chunk size', 'M-5 3h5v-6h5v1.8h-3.2v6h-6.8z'], heard: ['Sent to heard', 'M-5 1.5h3v-3h4v-1.6h3v1.6h-1.8v3h-3.6v1.6h-4.6z'] };

/** @param {HTMLElement} list */
export function drawLegend(list) {
  const entries = [...Object.entries(AREAS), ...Object.entries(LABELS).map(([group, label]) => [group, [label, MARKS[group] ?? MARKS.call]])];
  list.replaceChildren(...entries.map(([group, [label, shape]]) => {
    const item = document.createElement('li');
    item.dataset.group = group;
    const icon = document.createElementNS(SVG, 'svg');
    icon.setAttribute('viewBox', '-6 -6 12 12');
    icon.setAttribute('aria-hidden', 'true');
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', shape);
    path.setAttribute('stroke', 'none');
    icon.append(path);
    const text = document.createElement('span');
    text.textContent = label;
    item.append(icon, text);
    return item;
  }));
}
