// Drawing with a count: every primitive that reaches the canvas is counted, so that a test can bound them.
// Knows no lane.

/** A mark's shape says the same as its colour. Around (0, 0), about 8 across. */
export const MARKS = Object.freeze({
  text: 'M-3.5-4h7v8h-7z',
  cut: 'M0-5L5 4H-5z',
  hold: 'M-4-4h3v8h-3zM1-4h3v8h-3z',
  swap: 'M0-5L5 0 0 5-5 0z',
  trouble: 'M-1.4-5h2.8v6h-2.8zM-1.4 2.6h2.8v2.8h-2.8z',
  fill: 'M-4-1.5h2v3h-2zM-1-1.5h2v3h-2zM2-1.5h2v3h-2z',
  call: 'M-4-1.2h8v2.4h-8z',
  mic: 'M0-4a4 4 0 1 1 0 8 4 4 0 1 1 0-8z',
  tool: 'M-4-4h8v3h-2.5v5h-3v-5h-2.5z',
});

/** @param {CanvasRenderingContext2D} context @param {Record<string, string>} palette @param {(shape: string) => any} [path] */
export function createPen(context, palette, path = (shape) => new Path2D(shape)) {
  const paths = Object.fromEntries(Object.entries(MARKS).map(([name, shape]) => [name, path(shape)]));
  const pen = {
    count: 0,
    palette,
    context,

    /** Rectangles of one colour, filled at once: [x, y, w, h, x, y, w, h, …]. */
    rects(flat, colour, alpha = 1) {
      if (!flat.length) return;
      context.globalAlpha = alpha;
      context.fillStyle = colour;
      context.beginPath();
      for (let at = 0; at < flat.length; at += 4) context.rect(flat[at], flat[at + 1], flat[at + 2], flat[at + 3]);
      context.fill();
      context.globalAlpha = 1;
      pen.count += flat.length / 4;
    },

    /** A line through [x, y, x, y, …]; NaN lifts it. */
    line(flat, colour, width = 1.5, alpha = 1) {
      context.globalAlpha = alpha;
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.lineJoin = 'round';
      context.beginPath();
      let lifted = true;
      for (let at = 0; at < flat.length; at += 2) {
        if (Number.isNaN(flat[at])) lifted = true;
        else if (lifted) {
          context.moveTo(flat[at], flat[at + 1]);
          lifted = false;
        } else context.lineTo(flat[at], flat[at + 1]);
        pen.count += 1;
      }
      context.stroke();
      context.globalAlpha = 1;
    },

    text(words, x, y, { align = 'left', colour = palette.soft, weight = 400, size = 11 } = {}) {
      context.font = `${weight} ${size}px ${palette.sans}`;
      context.textAlign = align;
      context.textBaseline = 'middle';
      context.fillStyle = colour;
      context.fillText(words, x, y);
      pen.count += 1;
    },

    /** A number of a scale, readable over what is drawn. */
    tag(words, x, y) {
      pen.rects([x - 2, y - 6, words.length * 6 + 4, 12], palette.sunk, 0.8);
      pen.text(words, x, y, { size: 10 });
    },

    /** As much of the words as fits: guessed, because measuring costs more than drawing. */
    clipped(words, x, y, width, how = {}) {
      const fits = Math.floor(width / ((how.size ?? 11) * 0.54));
      if (fits >= 2 && words) pen.text(words.length > fits ? `${words.slice(0, fits - 1)}…` : words, x, y, how);
    },

    mark(group, x, y) {
      context.save();
      context.translate(x, y);
      context.fillStyle = palette[group] ?? palette.soft;
      context.fill(paths[group] ?? paths.call);
      context.restore();
      pen.count += 1;
    },
  };
  return pen;
}
