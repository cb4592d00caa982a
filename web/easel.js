// A canvas that is drawn at most once per animation frame, never while nobody can see it.
// Knows not what is drawn.

/**
 * @param {HTMLCanvasElement} canvas
 * @param {(context: CanvasRenderingContext2D, width: number, height: number) => void} draw in CSS pixels
 */
export function createEasel(canvas, draw) {
  const context = canvas.getContext('2d');
  let dirty = true;
  let inView = true;
  let asked = false;

  function now() {
    asked = false;
    if (!dirty || document.hidden || !inView) return;
    dirty = false;
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    if (!width || !height) return;
    const wide = Math.round(width * ratio);
    const high = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, width, height);
  }

  function refresh() {
    dirty = true;
    if (asked || document.hidden || !inView) return;
    asked = true;
    requestAnimationFrame(now);
  }

  document.addEventListener('visibilitychange', refresh);
  new ResizeObserver(refresh).observe(canvas);
  new IntersectionObserver(([entry]) => { inView = entry.isIntersecting; refresh(); }).observe(canvas);
  return { refresh };
}
