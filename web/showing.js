// Which session is looked at: the call's own, an old one of the server, or a file; and how its log gets here.
// Knows no picture: it hands over tracks and says when they grew.

import { follow } from './feed.js';
import { readLines } from './ndjson.js';
import { restorer } from './thrift.js';
import { createTrack } from './track.js';

/**
 * @typedef {{kind: 'call' | 'session' | 'file', id: string, name: string, live: boolean, track: ReturnType<typeof createTrack>, listening: boolean}} Shown
 * `listening`: a server has its log, so it can be heard and exported
 * @param {{http: ReturnType<import('./http.js').createHttp>, has: () => boolean, show: (shown: Shown) => void, grew: () => void,
 *   loading: (text: string) => void, trouble: (text: string) => void, calling: () => boolean}} given
 * `has`: the server keeps logs; `calling`: a call is up, so its feed is worth another try
 */
export function createShowing({ http, has, show, grew, loading, trouble, calling }) {
  const blank = () => ({ kind: 'call', id: '', name: 'this call', live: true, track: createTrack(), listening: false });
  /** The call's own session goes on while another is looked at. */
  let call = blank();
  let shown = call;
  let endFeed = () => {};
  let endOther = () => {};

  function put(next) {
    shown = next;
    show(next);
  }

  function taken(of) {
    return (record) => { if (of.track.take(record) && of === shown) grew(); };
  }

  const cut = (of, why) => trouble(`The log of ${of.name} cannot be trusted beyond byte ${why?.offset ?? 'unknown'}: ${why?.why ?? 'it is broken'}.`);

  /** Follows the log of a session that lives, from where its track is. */
  const watch = (of, again) => follow((after) => timeline(of.id, after), {
    take: taken(of), again, after: of.track.about.seq,
    broken: (why) => cut(of, why),
    ended() {
      of.live = false;
      if (of === shown) grew();
    },
  });

  const timeline = (id, after = -1) => http.withToken(`/sessions/${encodeURIComponent(id)}/timeline${after < 0 ? '' : `?after=${after}`}`);

  /** Reads a stream of lines into a track; resolves when all is there. */
  async function read(of, stream, bytes) {
    let stopped = false;
    endOther();
    endOther = () => { stopped = true; };
    let records = 0;
    const whole = restorer();
    const found = await readLines(stream, {
      stopped: () => stopped,
      take(row, line) {
        const record = whole(row);
        if (record?.broken) cut(of, record.broken);
        else if (of.track.take(Number.isInteger(record?.seq) ? record : { ...record, seq: line })) records += 1;
      },
      bytes: (read_) => loading(bytes ? `Reading ${of.name}: ${Math.round((100 * read_) / bytes)} %` : `Reading ${of.name}: ${(read_ / 1e6).toFixed(1)} MB`),
    });
    if (stopped) return;
    loading('');
    if (!records) {
      trouble(`${of.name} is no log of a session.`);
      return;
    }
    if (found.broken) trouble(`${found.broken} lines of ${of.name} could not be read, the first is line ${found.firstBroken + 1}.`);
    put(of);
  }

  return {
    get shown() { return shown; },
    get call() { return call; },

    /** The call has a session: its log is followed. A conversation that goes on after a break keeps what it has. */
    begin(id) {
      endFeed();
      if (id !== call.id) {
        const before = call;
        call = { ...blank(), id, listening: has() };
        if (shown === before) put(call);
      }
      if (!has()) return;
      const mine = call;
      endFeed = watch(mine, calling);
    },

    /** The call broke: its log is asked for again when it is back. */
    rest: () => endFeed(),

    /** The panel's ten looks a second: the depth to the frame, and records where the server keeps no log. */
    telemetry(data) {
      call.track.snapshot(data);
      if (!has()) for (const record of Array.isArray(data.events) ? data.events : []) call.track.take(record);
      if (call === shown) grew();
    },

    /** An old session of the server, or one that lives elsewhere. */
    async open({ id, live }) {
      if (id === call.id) return put(call);
      const of = { kind: 'session', id, name: `session ${id}`, live, track: createTrack(), listening: true };
      if (live) {
        endOther();
        endOther = watch(of, () => of === shown);
        return put(of);
      }
      loading(`Reading ${of.name}`);
      try {
        const response = await http.request(`/sessions/${encodeURIComponent(id)}/timeline`);
        await read(of, response.body, 0);
      } catch (problem) {
        loading('');
        trouble(problem.message);
      }
      return undefined;
    },

    /** @param {File} file */
    async file(file, known = () => false) {
      const of = { kind: 'file', id: '', name: file.name, live: false, track: createTrack(), listening: false };
      try {
        await read(of, file.stream(), file.size);
        if (known(of.track.about.session)) {
          Object.assign(of, { id: of.track.about.session, listening: true });
          if (shown === of) show(of);
        }
      } catch (problem) {
        loading('');
        trouble(`${file.name} could not be read: ${problem.message}`);
      }
    },

    home() {
      endOther();
      loading('');
      put(call);
    },
  };
}
