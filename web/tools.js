// The buttons of the panel, what it shows in words, and the notice that a log has a gap.
// Knows no drawing: it asks the panel.

import { rove } from './rove.js';
import { grouped, minutes } from './view.js';

const ZOOM = 1.6;
/** The links of the export change with the view; ten times a second would only cost. */
const LINKS_MS = 500;

/**
 * @param {{panel: ReturnType<import('./panel.js').mountPanel>, audition: ReturnType<import('./audition.js').mountAudition>,
 *   showing: ReturnType<import('./showing.js').createShowing>, sessions: ReturnType<import('./sessions.js').mountSessions>}} given
 */
export function mountTools({ panel, audition, showing, sessions }) {
  const $ = (id) => document.getElementById(id);
  let offeredAt = 0;
  let busy = '';

  rove(document.querySelector('.tools'), 'button');
  $('follow').addEventListener('click', () => panel.follow(!panel.view.follow));
  $('zoom-in').addEventListener('click', () => panel.zoom(ZOOM));
  $('zoom-out').addEventListener('click', () => panel.zoom(1 / ZOOM));
  $('zoom-all').addEventListener('click', () => panel.all());
  $('mark-back').addEventListener('click', () => panel.jump(-1));
  $('mark-on').addEventListener('click', () => panel.jump(1));
  $('audition').addEventListener('click', () => {
    if (audition.running) audition.stop();
    else audition.play(showing.shown.track, panel.fromWhere());
  });

  function say() {
    const { name, live, track } = showing.shown;
    const { end } = track.extent();
    const words = busy || (end ? `${name}${live ? '' : ' (over)'} · ${grouped(end)} frames · ${minutes(end)}` : '');
    if ($('shown').textContent !== words && (busy || !live || panel.view.follow)) $('shown').textContent = live && !busy ? name : words;
    const { gaps, lost } = track.about;
    $('gap').hidden = !gaps;
    if (gaps) $('gap').textContent = `This log has ${gaps === 1 ? 'a gap' : `${gaps} gaps`}: ${lost} records could not be written (a full queue or a full disk). The sound went on; what happened there is not shown.`;
  }

  function offer() {
    offeredAt = performance.now();
    sessions.offer(showing.shown, panel.view);
  }

  return {
    /** The view moved or another session is shown. */
    moved() {
      $('follow').setAttribute('aria-pressed', String(panel.view.follow));
      say();
      offer();
    },
    grew() {
      say();
      if (performance.now() - offeredAt > LINKS_MS) offer();
    },
    loading(text) {
      busy = text;
      say();
    },
  };
}
