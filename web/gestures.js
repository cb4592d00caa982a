// What fingers, wheels and keys want of the picture.
// Knows no drawing: it calls the wishes it is given, with pixels of the canvas or frames.

/** Less than this (px) is a click, not a drag. */
const SLIP = 4;
const STEP = 1.35;
const WHEEL = 0.0022;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{pan: (px: number) => void, zoom: (factor: number, x?: number) => void, hover: (x: number | null) => void, click: (x: number, y: number) => void}} want
 */
export function watchPointer(canvas, want) {
  /** @type {Map<number, number>} */
  const held = new Map();
  let moved = 0;
  let apart = 0;

  const place = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    held.set(event.pointerId, event.clientX);
    canvas.setPointerCapture(event.pointerId);
    moved = held.size > 1 ? Infinity : 0;
    apart = 0;
  });
  canvas.addEventListener('pointermove', (event) => {
    const [x] = place(event);
    if (!held.has(event.pointerId)) {
      want.hover(x);
      return;
    }
    const by = event.clientX - held.get(event.pointerId);
    held.set(event.pointerId, event.clientX);
    if (held.size === 2) {
      const [one, other] = [...held.values()];
      const now = Math.max(8, Math.abs(one - other));
      if (apart) want.zoom(now / apart, (one + other) / 2 - canvas.getBoundingClientRect().left);
      apart = now;
      return;
    }
    moved += Math.abs(by);
    if (moved > SLIP) want.pan(-by);
  });
  const release = (event) => {
    if (!held.delete(event.pointerId) || event.type !== 'pointerup' || moved > SLIP) return;
    want.click(...place(event));
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => want.hover(null));
  canvas.addEventListener('wheel', (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    // a page that scrolls past the picture must not be caught by it: it zooms once it was clicked, or with Ctrl
    if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    if (sideways) want.pan(event.deltaX || event.deltaY);
    else want.zoom(Math.exp(-event.deltaY * WHEEL * (event.ctrlKey ? 3 : 1)), place(event)[0]);
  }, { passive: false });
}

/**
 * @param {HTMLElement} element
 * @param {{step: (direction: number, far: boolean) => void, zoom: (factor: number) => void, first: () => void, last: () => void,
 *   all: () => void, follow: () => void, play: () => void, mark: (direction: number) => void, leave: () => void}} want
 */
export function watchKeys(element, want) {
  const keys = {
    ArrowLeft: ({ shiftKey }) => want.step(-1, shiftKey), ArrowRight: ({ shiftKey }) => want.step(1, shiftKey),
    PageUp: () => want.step(-1, true), PageDown: () => want.step(1, true),
    '+': () => want.zoom(STEP), '=': () => want.zoom(STEP), '-': () => want.zoom(1 / STEP), _: () => want.zoom(1 / STEP),
    Home: want.first, End: want.last, 0: want.all, f: want.follow, ' ': want.play, Enter: want.play,
    '[': () => want.mark(-1), ']': () => want.mark(1), Escape: want.leave,
  };
  element.addEventListener('keydown', (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key) ? null : keys[event.key];
    if (!act) return;
    // Escape also interrupts the voice; the picture does not keep it for itself
    if (event.key !== 'Escape') event.preventDefault();
    act(event);
  });
}

/** The strip of the whole session: where one presses or drags, there the view goes. @param {(share: number) => void} go */
export function watchStrip(canvas, go) {
  let held = false;
  const to = (event) => {
    const { left, width } = canvas.getBoundingClientRect();
    go(Math.max(0, Math.min(1, (event.clientX - left) / width)));
  };
  canvas.addEventListener('pointerdown', (event) => {
    held = true;
    canvas.setPointerCapture(event.pointerId);
    to(event);
  });
  canvas.addEventListener('pointermove', (event) => { if (held) to(event); });
  for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { held = false; });
}
