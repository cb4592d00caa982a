// The colours of the drawing, as CSS names them.
// Knows no lane; read anew when the scheme changes.

import { MOST_ENGINES } from './frames.js';

const PLAIN = ['ink', 'soft', 'line', 'faint', 'card', 'sunk', 'sans', 'accent'];
const LANE = ['depth', 'band', 'ladder', 'text', 'cut', 'hold', 'swap', 'trouble', 'fill', 'call', 'mic', 'chunk', 'heard', 'tool', ...Array.from({ length: MOST_ENGINES }, (_, at) => `engine${at}`)];

/** @returns {Record<string, string>} */
export function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return Object.fromEntries([...PLAIN.map((name) => [name, of(`--${name}`)]), ...LANE.map((name) => [name, of(`--c-${name}`)])]);
}
