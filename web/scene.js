// One view made ready to be drawn: a look per pixel, and where frames fall on the width.
// Knows no canvas. What it costs depends on the pixels, not on how long the call was.

/** Pixels for a frame below which a view is from afar: on a desk it holds seven minutes and more. */
const FAR = 0.05;

/**
 * @param {ReturnType<import('./track.js').createTrack>} track @param {import('./view.js').View} view
 * @param {{left: number, right: number, narrow?: boolean}} box the drawn part in CSS pixels
 */
export function createScene(track, view, { left, right, narrow = false }) {
  const width = Math.max(1, Math.floor(right - left));
  const scale = width / view.span;
  const x = (frame) => left + (frame - view.from) * scale;
  const frameAt = (at) => view.from + (at - left) / scale;
  const looks = [];
  // where a pixel holds many frames its edges may lie an eighth of it off: on those of the coarser copies, which are read faster
  const grain = 4 ** Math.max(0, Math.floor(Math.log(1 / scale / 8) / Math.log(4)));
  const edge = (at) => Math.floor((view.from + at / scale) / grain) * grain;
  for (let at = 0; at < width; at += 1) looks.push(track.frames.look(edge(at), Math.max(edge(at) + 1, edge(at + 1))));
  // from afar one sees a texture, not single things: half as many of them look the same
  const far = scale < FAR;
  return { track, view, left, right: left + width, width, scale, narrow, far, x, frameAt, looks, end: track.extent().end };
}

/**
 * The rows of a lane that can be told apart in the view: at most one for each `least` pixels, or twice as many from afar.
 * A row hidden by the one before it is counted in `many`.
 * @param {ReturnType<typeof createScene>} scene @param {ReturnType<import('./rows.js').createRows>} rows
 * @param {{least?: number, begins?: (row: any) => number, ends?: (row: any) => number | null}} [how]
 * @returns {{row: any, x: number, to: number, many: number}[]}
 */
export function visible(scene, rows, { least = 2, begins = (row) => row.frame, ends = (row) => row.to } = {}) {
  const found = [];
  const stop = scene.view.from + scene.view.span;

  /** The first row that begins at or after a frame; rows begin in their order, or nearly. The next pixel's is near: looked for in growing steps. */
  function place(frame, low = 0, stride = rows.length) {
    let high = Math.min(rows.length, low + stride);
    while (high < rows.length && begins(rows.get(high)) < frame) {
      low = high;
      stride *= 2;
      high = Math.min(rows.length, low + stride);
    }
    while (low < high) {
      const middle = (low + high) >> 1;
      if (begins(rows.get(middle)) < frame) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // a span may have begun before the view; lanes are such that few overlap
  const apart = scene.far ? 2 * least : least;
  for (let at = Math.max(0, place(scene.view.from) - 2); at < rows.length;) {
    const row = rows.get(at);
    const begin = begins(row);
    if (begin >= stop) break;
    const end = ends(row);
    const from = scene.x(begin);
    const to = scene.x(end === undefined ? begin : end ?? scene.end);
    // all that begins within the same pixels is one
    const next = Math.max(at + 1, place(scene.frameAt(from + apart), at + 1, 8));
    if (to >= scene.left && from < scene.right) found.push({ row, x: Math.max(scene.left, from), to: Math.min(scene.right, to), many: next - at });
    at = next;
  }
  return found;
}
