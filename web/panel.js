// The strip chart: depth with its band, chunk sizes on their ladder, events; x is the frame number.
// Knows no feed: it draws the series it was given, once per animation frame, and nothing while hidden.

import { at, GROUPS, runs, SPAN, top } from './timeline.js';

/** Frames across the chart (20 ms each): it widens with the call, and stays narrower on a narrow screen. */
const SPANS = [750, 1_500, SPAN];
const NARROW_PX = 560;
const LEFT = 46;
const RIGHT = 22;
const EDGE = 12;
const SPEECH = { speaking: 'depth', draining: 'depth', priming: 'chunk', yielded: 'cut', paused: 'hold' };

/** A mark's shape says the same as its colour. Around (0, 0), about 8 across. */
const SHAPES = {
  text: 'M-3.5-4h7v8h-7z',
  cut: 'M0-5L5 4H-5z',
  hold: 'M-4-4h3v8h-3zM1-4h3v8h-3z',
  swap: 'M0-5L5 0 0 5-5 0z',
  trouble: 'M-1.4-5h2.8v6h-2.8zM-1.4 2.6h2.8v2.8h-2.8z',
  call: 'M-4-1.2h8v2.4h-8z',
  mic: 'M0-4a4 4 0 1 1 0 8 4 4 0 1 1 0-8z',
  chunk: 'M0-2.6a2.6 2.6 0 1 1 0 5.2 2.6 2.6 0 1 1 0-5.2z',
};
const LEGEND = { depth: ['Depth', 'M-5 0h10v1.6h-10z'], band: ['Comfort band', 'M-5-5h10v10h-10z'], ladder: ['Chunk size', 'M-5 3h5v-6h5v1.8h-3.2v6h-6.8z'] };
const SVG = 'http://www.w3.org/2000/svg';

function legendItem(group, label, shape) {
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
}

/**
 * @param {{canvas: HTMLCanvasElement, legend: HTMLElement, readout: HTMLElement, blank: HTMLElement, series: import('./timeline.js').Series}} given
 */
export function mountPanel({ canvas, legend, readout, blank, series }) {
  const pen = canvas.getContext('2d');
  const paths = Object.fromEntries(Object.entries(SHAPES).map(([name, shape]) => [name, new Path2D(shape)]));
  let colours = null;
  let dirty = true;
  let inView = true;
  let asked = false;
  /** @type {number | null} */
  let cursor = null;
  let described = 0;

  legend.replaceChildren(
    ...Object.entries(LEGEND).map(([group, [label, shape]]) => legendItem(group, label, shape)),
    ...Object.entries(GROUPS).map(([group, { label }]) => legendItem(group, label, SHAPES[group])),
  );

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    colours = { ink: of('--ink'), soft: of('--soft'), line: of('--line'), faint: of('--faint'), card: of('--card'), sans: of('--sans') };
    for (const group of [...Object.keys(GROUPS), ...Object.keys(LEGEND)]) colours[group] = of(`--c-${group}`);
  }

  function refresh() {
    dirty = true;
    if (asked || document.hidden || !inView) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      if (!dirty || document.hidden || !inView) return;
      dirty = false;
      draw();
    });
  }

  function area() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const last = series.points.at(-1)?.frame ?? 0;
    const lived = last - Math.min(series.points[0]?.frame ?? 0, series.marks[0]?.frame ?? Infinity);
    const spans = width < NARROW_PX ? SPANS.slice(0, 2) : SPANS;
    const span = spans.find((one) => one >= lived) ?? spans.at(-1);
    const from = Math.max(0, Math.ceil((last - span) / 10) * 10, Math.min(last - lived, last));
    const bottom = height - 24;
    const lanes = {
      depth: { top: EDGE + 8, bottom: bottom * 0.46 },
      ladder: { top: bottom * 0.46 + 26, bottom: bottom * 0.82 },
      marks: { top: bottom * 0.82 + 12, bottom },
    };
    const scale = (width - LEFT - RIGHT) / span;
    return { width, height, from, to: from + span, lanes, x: (frame) => LEFT + (frame - from) * scale, frameAt: (x) => Math.round(from + (x - LEFT) / scale) };
  }

  function label(text, x, y, { align = 'right', colour = colours.soft, weight = 400, size = 11 } = {}) {
    pen.font = `${weight} ${size}px ${colours.sans}`;
    pen.textAlign = align;
    pen.textBaseline = 'middle';
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }

  function rule(x1, x2, y, colour = colours.line) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x1, Math.round(y) + 0.5);
    pen.lineTo(x2, Math.round(y) + 0.5);
    pen.stroke();
  }

  function axis(view) {
    const step = (view.to - view.from) / (view.width < NARROW_PX ? 3 : 6);
    for (let frame = Math.ceil(view.from / step) * step; frame <= view.to; frame += step) {
      const x = Math.round(view.x(frame)) + 0.5;
      pen.strokeStyle = colours.line;
      pen.beginPath();
      pen.moveTo(x, view.lanes.depth.top);
      pen.lineTo(x, view.lanes.marks.bottom);
      pen.stroke();
      label(frame.toLocaleString('en').replace(/,/g, ' '), x, view.height - 11, { align: 'center' });
    }
    label('frame', LEFT - 8, view.height - 11);
  }

  function depth(view) {
    const { top: high, bottom: low } = view.lanes.depth;
    const most = top(series.points);
    const y = (ms) => low - (Math.min(ms, most) / most) * (low - high);
    for (const part of [0, 0.5, 1]) {
      rule(LEFT, view.width - RIGHT, y(most * part));
      label(String(Math.round(most * part)), LEFT - 8, y(most * part));
    }
    label('depth, ms', LEFT + 6, high - 10, { align: 'left', weight: 600 });
    for (const run of runs(series.points)) {
      fillBetween(run, view, (one) => y(one.high), (one) => y(one.low), colours.band, 0.13);
      fillBetween(run, view, (one) => y(one.depthMs), () => low, colours.depth, 0.1);
      pen.strokeStyle = colours.depth;
      pen.lineWidth = 1.8;
      pen.lineJoin = 'round';
      pen.beginPath();
      run.forEach((one, at_) => (at_ ? pen.lineTo(view.x(one.frame), y(one.depthMs)) : pen.moveTo(view.x(one.frame), y(one.depthMs))));
      pen.stroke();
    }
  }

  function fillBetween(run, view, upper, lower, colour, alpha) {
    pen.globalAlpha = alpha;
    pen.fillStyle = colour;
    pen.beginPath();
    run.forEach((one, at_) => (at_ ? pen.lineTo(view.x(one.frame), upper(one)) : pen.moveTo(view.x(one.frame), upper(one))));
    for (let at_ = run.length - 1; at_ >= 0; at_ -= 1) pen.lineTo(view.x(run[at_].frame), lower(run[at_]));
    pen.fill();
    pen.globalAlpha = 1;
  }

  function ladder(view) {
    const { top: high, bottom: low } = view.lanes.ladder;
    const rungs = series.rungs.length ? series.rungs : [...new Set(series.points.map((one) => one.rung).filter((one) => one !== null))].sort((a, b) => a - b);
    label('chunk size, ms', LEFT + 6, high - 12, { align: 'left', weight: 600 });
    if (!rungs.length) return;
    // equal steps: it is a ladder, not a scale
    const y = (rung) => {
      // another engine had other rungs: the nearest of this one's tells the size
      const place = rungs.reduce((best, one, at) => (Math.abs(one - rung) < Math.abs(rungs[best] - rung) ? at : best), 0);
      return low - (rungs.length > 1 ? place / (rungs.length - 1) : 0.5) * (low - high);
    };
    const crowded = (low - high) / rungs.length < 11.5;
    rungs.forEach((rung, place) => {
      pen.globalAlpha = 0.6;
      rule(LEFT, view.width - RIGHT, y(rung));
      pen.globalAlpha = 1;
      if (!crowded || place % 2 === 0) label(String(Math.round(rung * 10) / 10), LEFT - 8, y(rung));
    });
    pen.strokeStyle = colours.ladder;
    pen.lineWidth = 2;
    for (const run of runs(series.points)) {
      pen.beginPath();
      let before = null;
      for (const one of run) {
        if (one.rung === null) continue;
        if (before === null) pen.moveTo(view.x(one.frame), y(one.rung));
        else {
          pen.lineTo(view.x(one.frame), y(before));
          pen.lineTo(view.x(one.frame), y(one.rung));
        }
        before = one.rung;
      }
      pen.stroke();
    }
    for (const mark of series.marks) {
      if (mark.group !== 'chunk' || mark.frame < view.from) continue;
      const rung = at(series.points, mark.frame)?.rung ?? null;
      if (rung === null) continue;
      pen.fillStyle = colours.ladder;
      pen.beginPath();
      pen.arc(view.x(mark.frame), y(rung), 2.2, 0, 7);
      pen.fill();
    }
  }

  function marks(view) {
    const { top: high, bottom: low } = view.lanes.marks;
    const middle = (high + low) / 2;
    // what the voice was doing, as a strip under the marks
    for (const run of runs(series.points)) {
      run.forEach((one, place) => {
        const group = SPEECH[one.speech];
        const next = run[place + 1];
        if (!group || !next) return;
        pen.globalAlpha = 0.75;
        pen.fillStyle = colours[group];
        pen.fillRect(view.x(one.frame), low - 4, view.x(next.frame) - view.x(one.frame) + 0.5, 3);
        pen.globalAlpha = 1;
      });
    }
    let lastX = -Infinity;
    let row = 0;
    for (const mark of series.marks) {
      if (mark.frame < view.from || mark.group === 'chunk') continue;
      const x = view.x(mark.frame);
      // marks of one instant stand above each other, at most three high
      row = x - lastX < 10 ? (row + 1) % 3 : 0;
      lastX = x;
      if (mark.group === 'cut' || mark.group === 'swap' || mark.group === 'trouble') {
        pen.globalAlpha = 0.4;
        pen.strokeStyle = colours[mark.group];
        pen.lineWidth = 1;
        pen.setLineDash([3, 3]);
        pen.beginPath();
        pen.moveTo(x, view.lanes.depth.top);
        pen.lineTo(x, middle);
        pen.stroke();
        pen.setLineDash([]);
        pen.globalAlpha = 1;
      }
      pen.save();
      pen.translate(x, middle + 1 - row * 9);
      pen.fillStyle = colours[mark.group];
      pen.fill(paths[mark.group]);
      pen.restore();
    }
  }

  function crosshair(view) {
    if (cursor === null) {
      readout.textContent = '';
      return;
    }
    const x = Math.max(LEFT, Math.min(view.width - RIGHT, view.x(cursor)));
    pen.strokeStyle = colours.ink;
    pen.globalAlpha = 0.5;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(Math.round(x) + 0.5, view.lanes.depth.top);
    pen.lineTo(Math.round(x) + 0.5, view.lanes.marks.bottom);
    pen.stroke();
    pen.globalAlpha = 1;
    const point = at(series.points, cursor);
    const near = series.marks.filter((mark) => mark.group !== 'chunk' && Math.abs(mark.frame - cursor) <= 15).slice(-2);
    readout.textContent = [
      `frame ${cursor}`,
      point && cursor - point.frame < 30 ? `${Math.round(point.depthMs)} ms deep${point.rung === null ? '' : `, chunk ${Math.round(point.rung)} ms`}, ${point.speech || '–'}` : 'idle',
      ...near.map((mark) => `${GROUPS[mark.group].label}${mark.text ? `: ${mark.text}` : ''}`),
    ].join(' · ').slice(0, 160);
  }

  function describe() {
    const last = series.points.at(-1);
    if (!last || performance.now() - described < 2_000) return;
    described = performance.now();
    canvas.setAttribute('aria-label', `Depth ${Math.round(last.depthMs)} milliseconds, band ${Math.round(last.low)} to ${Math.round(last.high)}, chunk ${last.rung ?? 'unknown'} milliseconds, at frame ${last.frame}; ${series.marks.length} marks in the last minute`);
  }

  function draw() {
    if (!colours) readColours();
    const view = area();
    blank.hidden = series.points.length > 0;
    if (!series.points.length) {
      readout.textContent = '';
      return;
    }
    pen.save();
    axis(view);
    depth(view);
    ladder(view);
    marks(view);
    crosshair(view);
    pen.restore();
    describe();
  }

  function move(frame) {
    const last = series.points.at(-1)?.frame ?? 0;
    cursor = frame === null ? null : Math.max(Math.max(0, last - SPAN), Math.min(last, frame));
    refresh();
  }

  canvas.addEventListener('pointermove', (event) => {
    if (series.points.length) move(area().frameAt(event.clientX - canvas.getBoundingClientRect().left));
  });
  canvas.addEventListener('pointerleave', () => move(null));
  canvas.addEventListener('blur', () => move(null));
  canvas.addEventListener('keydown', (event) => {
    const last = series.points.at(-1)?.frame;
    const steps = { ArrowLeft: -25, ArrowRight: 25, PageUp: -250, PageDown: 250 };
    if (last === undefined) return;
    if (event.key in steps) move((cursor ?? last) + steps[event.key]);
    else if (event.key === 'Home') move(series.points[0].frame);
    else if (event.key === 'End') move(last);
    else return;
    event.preventDefault();
  });
  document.addEventListener('visibilitychange', refresh);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { colours = null; refresh(); });
  new ResizeObserver(refresh).observe(canvas);
  new IntersectionObserver(([entry]) => { inView = entry.isIntersecting; refresh(); }).observe(canvas);
  refresh();
  return { refresh };
}
