// The engines of a session, in the order they were first heard: each has a place, and by it a colour.
// Knows no colour.

import { MOST_ENGINES } from './frames.js';

export function createEngines() {
  /** @type {string[]} */
  const names = [];
  return {
    names,
    /** @param {unknown} name @returns {number} its place, the last one for all beyond */
    place(name) {
      const text = String(name ?? '');
      const at = names.indexOf(text);
      if (at >= 0) return at;
      if (names.length < MOST_ENGINES) return names.push(text) - 1;
      return MOST_ENGINES - 1;
    },
  };
}
