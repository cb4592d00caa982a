// Listening again: the sound of some frames, made anew from the log by the server, with its words.
// Knows no lane: it says which frame sounds, and shows the words of a track.

/** Eight seconds from a mark are enough to know what it was (frames). */
export const EIGHT_SECONDS = 400;
const WORDS_BEFORE = 50;

/**
 * The words of [from, to) with the frame where each begins to sound.
 * @param {ReturnType<import('./track.js').createTrack>} track
 */
export function captionsOf(track, from, to) {
  return track.lanes.words.within(Math.max(0, from - WORDS_BEFORE), to, 300)
    .filter((row, at, all) => row.frame >= from || (all[at + 1]?.frame ?? to) > from)
    .map((row) => ({ frame: row.frame, text: track.source.slice(row.utterance, row.from, row.to) }));
}

/** Which caption sounds at a frame: its place, or -1 before the first. */
export const captionAt = (captions, frame) => captions.findLastIndex((one) => one.frame <= frame);

/**
 * @param {{audio: HTMLAudioElement, button: HTMLButtonElement, line: HTMLElement, path: (from: number, to: number) => string | null,
 *   volume: () => number, playing: (frame: number | null) => void, trouble: (text: string) => void}} given
 * `path` is null where there is no server that could make the sound
 */
export function mountAudition({ audio, button, line, path, volume, playing, trouble }) {
  let from = 0;
  let to = 0;
  let captions = [];
  let lit = -2;
  let running = false;

  function words(track) {
    captions = captionsOf(track, from, to);
    lit = -2;
    line.replaceChildren(...captions.flatMap(({ text }) => {
      const word = document.createElement('span');
      word.textContent = text;
      return [word, ' '];
    }));
    line.hidden = !captions.length;
  }

  function light(frame) {
    const at = captionAt(captions, frame);
    if (at === lit) return;
    lit = at;
    [...line.children].forEach((word, place) => { word.className = place < at ? 'past' : place === at ? 'now' : ''; });
    line.children[at]?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function tick() {
    if (!running) return;
    const frame = Math.min(to, from + Math.floor(audio.currentTime * 50));
    light(frame);
    playing(frame);
    requestAnimationFrame(tick);
  }

  function stop() {
    if (!running) return;
    running = false;
    audio.pause();
    audio.removeAttribute('src');
    audio.load();
    button.setAttribute('aria-pressed', 'false');
    button.dataset.state = 'idle';
    light(Infinity);
    playing(null);
  }

  audio.addEventListener('playing', () => { button.dataset.state = 'playing'; });
  audio.addEventListener('ended', stop);
  audio.addEventListener('error', () => {
    if (!running) return;
    stop();
    trouble('The server could not make this sound again.');
  });

  return {
    /** Plays from a frame. @param {ReturnType<import('./track.js').createTrack>} track @param {number} frame */
    play(track, frame) {
      stop();
      const end = track.extent().end;
      from = Math.max(0, Math.min(frame, end - 1));
      to = Math.min(end, from + EIGHT_SECONDS);
      words(track);
      const source = path(from, to);
      if (!source) {
        trouble('Only a server that has this log can make its sound again.');
        return;
      }
      running = true;
      audio.src = source;
      audio.volume = volume();
      button.setAttribute('aria-pressed', 'true');
      button.dataset.state = 'waiting';
      audio.play().then(tick, (problem) => {
        if (!running || problem.name === 'AbortError') return;
        stop();
        trouble('The server could not make this sound again.');
      });
      playing(from);
    },
    stop,
    get running() { return running; },
    get word() { return captions[lit]?.text ?? ''; },
  };
}
