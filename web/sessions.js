// The shelf of logs: those the server has, one from a file, and the way out as WAV and JSON.
// Knows no track: it says which one somebody wants.

import { grouped, minutes } from './view.js';

function when(text) {
  const date = new Date(text ?? NaN);
  return Number.isNaN(date.getTime()) ? 'unknown time' : date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/**
 * @param {{box: HTMLDetailsElement, list: HTMLElement, input: HTMLInputElement, back: HTMLButtonElement, links: Record<'whole' | 'part' | 'json', HTMLAnchorElement>,
 *   http: ReturnType<import('./http.js').createHttp>, has: () => boolean, open: (one: {id: string, live: boolean}) => void, file: (file: File) => void,
 *   home: () => void, trouble: (text: string) => void}} given
 */
export function mountSessions({ box, list, input, back, links, http, has, open, file, home, trouble }) {
  let known = new Set();

  function row(one) {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.session = one.id;
    const what = document.createElement('span');
    what.textContent = when(one.started);
    const more = document.createElement('span');
    more.className = 'more';
    more.textContent = [one.adapter, minutes(one.frames ?? 0), `${grouped(one.frames ?? 0)} frames`, one.live ? 'going on' : one.ended].filter(Boolean).join(' · ');
    button.append(what, more);
    button.addEventListener('click', () => open({ id: one.id, live: Boolean(one.live) }));
    item.append(button);
    return item;
  }

  async function refresh() {
    if (!has()) {
      list.replaceChildren();
      list.dataset.empty = 'This server keeps no logs. One can be opened from a file.';
      return;
    }
    try {
      const found = await http.json('/sessions');
      const sessions = Array.isArray(found?.sessions) ? found.sessions.filter((one) => typeof one?.id === 'string') : [];
      known = new Set(sessions.map((one) => one.id));
      list.dataset.empty = 'No session has been logged yet.';
      list.replaceChildren(...sessions.map(row));
    } catch (problem) {
      trouble(problem.message);
    }
  }

  box.addEventListener('toggle', () => { if (box.open) void refresh(); });
  input.addEventListener('change', async () => {
    const [chosen] = input.files;
    if (chosen) {
      if (has() && !known.size) await refresh();
      file(chosen);
    }
    input.value = '';
  });
  back.addEventListener('click', home);

  function link(element, path, name) {
    if (path) Object.assign(element, { href: http.withToken(path), download: name });
    else element.removeAttribute('href');
    element.setAttribute('aria-disabled', String(!path));
  }

  return {
    known: (id) => known.has(id),
    /** The ways out of what is shown. @param {import('./showing.js').Shown} shown @param {{from: number, span: number}} view */
    offer(shown, view) {
      const { id, listening, track } = shown;
      const base = listening && id ? `/sessions/${encodeURIComponent(id)}` : '';
      const from = Math.max(0, Math.floor(view.from));
      const to = Math.max(from + 1, Math.min(track.extent().end, Math.ceil(view.from + view.span)));
      link(links.whole, base && `${base}/audio`, `${id}.wav`);
      link(links.part, base && `${base}/audio?from=${from}&to=${to}`, `${id}-${from}-${to}.wav`);
      link(links.json, base && `${base}/timeline`, `${id}.ndjson`);
      back.hidden = shown.kind === 'call';
    },
  };
}
