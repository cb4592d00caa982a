// The lanes of the panel: their order, height, name and what draws them.
// Knows no canvas; a lane without painter is a lane without height.

import * as columns from './columns.js';
import * as spans from './spans.js';

/** Heights in CSS pixels; the drawing fits none of them to its content, so that lanes never jump. */
export const LANES = Object.freeze([
  { name: 'inputs', label: 'Text', height: 24, paint: spans.inputs },
  { name: 'words', label: 'Words', height: 22, paint: spans.words },
  { name: 'windows', label: 'Windows', height: 26, paint: spans.windows },
  { name: 'audio', label: 'Audio', height: 58, paint: columns.audio },
  { name: 'depth', label: 'Depth, ms', height: 84, paint: columns.depth },
  { name: 'ladder', label: 'Chunk size', height: 66, paint: spans.ladder },
  { name: 'engine', label: 'Swaps', height: 22, paint: spans.engine },
  { name: 'floor', label: 'The floor', height: 24, paint: spans.floor },
  { name: 'mic', label: 'Caller', height: 20, paint: spans.mic },
  { name: 'heard', label: 'Heard late', height: 44, paint: columns.heard },
  { name: 'trouble', label: 'Trouble', height: 24, paint: spans.trouble },
  { name: 'tools', label: 'Tools', height: 22, paint: spans.tools },
]);
const BETWEEN = 6;
export const AXIS = 26;
export const HEIGHT = LANES.reduce((sum, lane) => sum + lane.height + BETWEEN, BETWEEN) + AXIS;

/** @returns {{name: string, label: string, y: number, height: number, paint: Function}[]} lanes with their place */
export function stacked() {
  let y = BETWEEN;
  return LANES.map((lane) => {
    const placed = { ...lane, y };
    y += lane.height + BETWEEN;
    return placed;
  });
}

/** Colours of the engines, by their place in the session; CSS names them. */
export const engineColour = (palette, place) => palette[`engine${place}`] ?? palette.soft;
