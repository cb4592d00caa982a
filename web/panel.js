// The synchrony panel: a session's lanes on one axis of frames, live or of old, to look at, walk through and listen to.
// Knows no feed and no server: it draws the track it was given and says which frame somebody wants to hear.

import { EIGHT_SECONDS } from './audition.js';
import { createEasel } from './easel.js';
import { drawScene, drawStrip, hit } from './drawing.js';
import { watchKeys, watchPointer, watchStrip } from './gestures.js';
import { HEIGHT } from './lanes.js';
import { readPalette } from './palette.js';
import { createPen } from './pen.js';
import { provenance, told } from './provenance.js';
import { createScene } from './scene.js';
import * as views from './view.js';

const LEFT = 78;
/** Below this width (px) the names of the lanes stand in the lanes. */
const NARROW = 560;
/** The strip of the whole session changes slowly: it is drawn anew when a pixel of it can have changed. */
const STRIP_MS = 400;
const SUMMARY_MS = 2_000;
/** A call grows in many small records; ten pictures a second show it as well as sixty, and leave the processor to the sound. */
const GROWN_MS = 100;

/**
 * @param {{canvas: HTMLCanvasElement, strip: HTMLCanvasElement, readout: HTMLElement, blank: HTMLElement,
 *   listen: (frame: number) => void, moved: (state: {view: views.View, cursor: number | null}) => void}} given
 */
export function mountPanel({ canvas, strip, readout, blank, listen, moved }) {
  let track = null;
  let view = views.OPENING;
  let pens = null;
  let scene = null;
  let cursor = null;
  let hovered = null;
  let playhead = null;
  let stripAt = 0;
  let summaryAt = 0;
  let grownAt = 0;
  let growing = null;
  const cost = { draws: 0, ms: 0, mostMs: 0, primitives: 0 };

  canvas.style.height = `${HEIGHT}px`;
  const extent = () => track.extent();
  const lively = () => track && extent().end > extent().first;

  function penOf(context, name) {
    pens ??= { palette: readPalette() };
    pens[name] ??= createPen(context, pens.palette);
    pens[name].count = 0;
    return pens[name];
  }

  function box(width) {
    const narrow = width < NARROW;
    return { left: narrow ? 6 : LEFT, right: width - 6, narrow };
  }

  const easel = createEasel(canvas, (context, width) => {
    blank.hidden = Boolean(lively());
    if (!lively()) return;
    const began = performance.now();
    view = views.settle(view, extent());
    scene = createScene(track, view, box(width));
    const pen = penOf(context, 'main');
    drawScene(pen, scene, { cursor: hovered ?? cursor, playhead });
    const ms = performance.now() - began;
    Object.assign(cost, { draws: cost.draws + 1, ms, mostMs: Math.max(cost.mostMs, ms), primitives: pen.count });
    say();
  });

  const stripEasel = createEasel(strip, (context, width, height) => {
    if (!lively()) return;
    const { first, end } = extent();
    const whole = { from: first, span: Math.max(views.BEGINNING, end - first), follow: false };
    drawStrip(penOf(context, 'strip'), createScene(track, whole, { ...box(width), left: 0, right: width }), view, height, playhead);
  });

  /** There is more to show. */
  function refresh() {
    growing = null;
    grownAt = performance.now();
    strip.hidden = !lively();
    easel.refresh();
    if (performance.now() - stripAt < STRIP_MS) return;
    stripAt = performance.now();
    stripEasel.refresh();
  }

  /** The view moved: both pictures, and whoever shows buttons for it. */
  function go(next) {
    if (!lively()) return;
    view = next;
    easel.refresh();
    stripEasel.refresh();
    moved({ view, cursor });
  }

  function say() {
    const frame = hovered ?? cursor;
    const words = frame === null ? '' : told(provenance(track, frame));
    if (readout.textContent !== words) readout.textContent = words;
    if (performance.now() - summaryAt < SUMMARY_MS) return;
    summaryAt = performance.now();
    const { first, end } = extent();
    canvas.setAttribute('aria-label', `Timeline of frames ${first} to ${end}, shown ${Math.round(view.from)} to ${Math.round(view.from + view.span)}${view.follow ? ', following' : ''}; ${told(provenance(track, Math.max(0, end - 1)))}; ${track.marks.length} events`);
  }

  function put(frame) {
    if (!lively()) return;
    cursor = frame === null ? null : Math.max(extent().first, Math.min(extent().end - 1, Math.round(frame)));
    hovered = null;
    go(cursor === null ? view : views.reveal(view, extent(), cursor));
  }

  const whereTo = () => cursor ?? Math.round(view.follow ? extent().end - 1 : view.from + view.span / 2);
  /** Who follows wants to hear again what was just said. */
  const fromWhere = () => cursor ?? Math.max(extent().first, view.follow ? extent().end - EIGHT_SECONDS : Math.round(view.from));

  function jump(direction) {
    if (!lively()) return;
    const row = direction > 0 ? track.marks.after(whereTo()) : track.marks.before(whereTo() - 1);
    if (row) put(row.frame);
  }

  watchPointer(canvas, {
    pan: (px) => { if (scene) go(views.pan(view, extent(), px / scene.scale)); },
    zoom: (factor, x) => { if (scene) go(views.zoom(view, extent(), factor, x === undefined || view.follow ? undefined : scene.frameAt(x))); },
    hover(x) {
      if (!scene) return;
      hovered = x === null || x < scene.left ? null : Math.max(0, Math.floor(scene.frameAt(x)));
      easel.refresh();
    },
    click(x, y) {
      if (!scene) return;
      const row = hit(scene, x, y);
      put(row?.frame ?? scene.frameAt(x));
      if (row) listen(row.frame);
    },
  });
  watchKeys(canvas, {
    step: (direction, far) => { if (lively()) put(whereTo() + direction * Math.max(1, Math.round(view.span / (far ? 10 : 120)))); },
    zoom: (factor) => { if (lively()) go(views.zoom(view, extent(), factor, cursor ?? undefined)); },
    first: () => { if (lively()) put(extent().first); },
    last: () => { if (lively()) put(extent().end - 1); },
    all: () => { if (lively()) go(views.everything(view, extent())); },
    follow: () => panel.follow(!view.follow),
    play: () => { if (lively()) listen(fromWhere()); },
    mark: jump,
    leave: () => put(null),
  });
  watchStrip(strip, (share) => {
    if (!lively()) return;
    const { first, end } = extent();
    go(views.settle({ ...view, from: first + share * Math.max(views.BEGINNING, end - first) - view.span / 2, follow: false }, extent()));
  });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { pens = null; easel.refresh(); stripEasel.refresh(); });

  const panel = {
    /** The track grew. */
    grew() { growing ??= setTimeout(refresh, Math.max(0, GROWN_MS - (performance.now() - grownAt))); },
    /** Another session is shown, from its end while it lives and as a whole when it is over. */
    show(next, live) {
      track = next;
      cursor = hovered = playhead = null;
      view = { ...views.OPENING, span: canvas.clientWidth < NARROW ? views.OPENING.span / 2 : views.OPENING.span, follow: live };
      stripAt = 0;
      refresh();
      moved({ view, cursor });
    },
    all: () => { if (lively()) go(views.everything(view, extent())); },
    zoom: (factor) => { if (lively()) go(views.zoom(view, extent(), factor, cursor ?? undefined)); },
    follow(on) { if (lively()) go(on ? views.follow(view, extent()) : { ...view, follow: false }); },
    jump,
    put,
    fromWhere: () => (lively() ? fromWhere() : 0),
    /** @param {number | null} frame that is being played */
    play(frame) {
      playhead = frame;
      if (frame !== null && !view.follow) view = views.reveal(view, extent(), frame);
      easel.refresh();
      stripEasel.refresh();
    },
    get view() { return view; },
    get cost() { return { ...cost }; },
    get laidOut() { return scene; },
  };
  return panel;
}
