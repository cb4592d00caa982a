// One attempt at a call: a peer connection, its two channels, its end.
// Knows neither what the messages mean nor whether to try again.

import { NOW } from './channel.js';
import { Trouble } from './http.js';
import { errorWords } from './words.js';

const CONNECT_MS = 6_000;
/** A short loss of the path heals by itself; after this (ms) it is taken for broken. */
const PATIENCE_MS = 2_500;
/** The server answers a hang-up in a few ms; one that does not is not waited for. */
const FAREWELL_MS = 1_000;
/** More than this (bytes) unsent means the path is gone; what is urgent does not queue behind it. */
const MAX_BUFFERED = 256 * 1024;

/** The first connection of a page loads half a browser: done once in idle time, so that the first click does not wait for it. */
export async function warmUp() {
  if (typeof RTCPeerConnection !== 'function') return;
  const pc = new RTCPeerConnection();
  pc.addTransceiver('audio');
  pc.createDataChannel('warm');
  await pc.createOffer().catch(() => {});
  pc.close();
}

/**
 * @param {{http: ReturnType<import('./http.js').createHttp>, iceServers: RTCIceServer[], conversation: string, track: MediaStreamTrack | null, echo: boolean | null,
 *   mark: (name: string) => void, onStream: (stream: MediaStream) => void, onMessage: (text: string) => void,
 *   onLost: (trouble: Trouble) => void}} given
 * `echo`: whether the browser cancels echo, null where nobody can say
 */
export function placeCall({ http, iceServers, conversation, track, echo, mark, onStream, onMessage, onLost }) {
  const pc = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
  // sendrecv without a track yet: a microphone may come, go and change without negotiating again
  const transceiver = pc.addTransceiver('audio', { direction: 'sendrecv' });
  const sure = pc.createDataChannel('synchrony');
  const now = pc.createDataChannel('synchrony.now', { ordered: false, maxRetransmits: 0 });
  let location = '';
  let ended = false;
  let patience = null;
  const connectTimer = setTimeout(() => lose('connect_timeout'), CONNECT_MS);

  function lose(code, trouble = new Trouble(code, errorWords(code))) {
    if (ended) return;
    close();
    onLost(trouble);
  }

  function close() {
    forget();
    pc.close();
  }

  /** From now on nobody hears what becomes of this connection. */
  function forget() {
    if (ended) return;
    ended = true;
    clearTimeout(connectTimer);
    clearTimeout(patience);
    sure.onclose = null;
    sure.onmessage = null;
    now.onmessage = null;
    pc.onconnectionstatechange = null;
    pc.ontrack = null;
  }

  function watchState() {
    clearTimeout(patience);
    if (pc.connectionState === 'connected') {
      clearTimeout(connectTimer);
      mark('connected');
    }
    if (pc.connectionState === 'failed' || pc.connectionState === 'closed') lose('lost');
    if (pc.connectionState === 'disconnected') patience = setTimeout(() => lose('lost'), PATIENCE_MS);
  }

  pc.onconnectionstatechange = watchState;
  pc.ontrack = (event) => onStream(event.streams[0] ?? new MediaStream([event.track]));
  sure.onopen = () => mark('channel');
  sure.onclose = () => lose('lost');
  for (const channel of [sure, now]) channel.onmessage = (event) => { if (typeof event.data === 'string') onMessage(event.data); };

  async function negotiate() {
    if (track) void transceiver.sender.replaceTrack(track);
    // without waiting for candidates: the server is reachable and learns ours from the first packet
    await pc.setLocalDescription();
    mark('offer');
    const headers = { 'Content-Type': 'application/sdp' };
    if (conversation) headers['Synchrony-Session'] = conversation;
    if (echo !== null) headers['Synchrony-AEC'] = String(echo);
    const response = await http.request('/calls', { method: 'POST', headers, body: pc.localDescription.sdp });
    location = response.headers.get('Location') ?? '';
    const sdp = await response.text();
    mark('answer');
    if (ended) {
      hangUp();
      return;
    }
    await pc.setRemoteDescription({ type: 'answer', sdp });
  }

  const tell = (hold) => http.request(`${location}${hold ? '?hold=1' : ''}`, { method: 'DELETE', keepalive: true }).catch(() => {});

  /** Tells the server, then ends: a connection that closes first looks like one that was lost, and the conversation is held. */
  function hangUp() {
    forget();
    if (!location) {
      pc.close();
      return;
    }
    const late = new Promise((done) => setTimeout(done, FAREWELL_MS));
    void Promise.race([tell(false), late]).then(() => pc.close());
  }

  /** The page goes away: only what may outlive it still leaves. */
  function leave() {
    if (location && !('keepalive' in Request.prototype)) navigator.sendBeacon?.(http.withToken(`${location}/bye`));
    else if (location) void tell(true);
    close();
  }

  /** @param {string} text @param {string} lane @returns {boolean} it left */
  function send(text, lane) {
    const channel = lane === NOW ? now : sure;
    if (channel.readyState !== 'open' || channel.bufferedAmount > MAX_BUFFERED) return false;
    try {
      channel.send(text);
      return true;
    } catch {
      return false;
    }
  }

  /** @returns {Promise<{delayS: number, emitted: number, concealed: number, stats: object} | null>} of the sound that arrives */
  async function inbound() {
    if (ended) return null;
    const reports = await transceiver.receiver.getStats().catch(() => new Map());
    for (const one of reports.values()) {
      if (one.type !== 'inbound-rtp') continue;
      // what was concealed with silence was silence anyway: nobody missed it
      const concealed = (one.concealedSamples ?? 0) - (one.silentConcealedSamples ?? 0);
      return { delayS: one.jitterBufferDelay ?? 0, emitted: one.jitterBufferEmittedCount ?? 0, concealed, stats: one };
    }
    return null;
  }

  negotiate().catch((problem) => {
    lose('refused', problem instanceof Trouble ? problem : new Trouble('refused', `The call could not be set up: ${problem.message}`));
  });

  return {
    pc,
    send,
    hangUp,
    leave,
    close,
    /** Somebody found out that nobody is there. */
    fail: () => lose('lost'),
    inbound,
    /** @param {MediaStreamTrack | null} given */
    useTrack: (given) => transceiver.sender.replaceTrack(given).catch(() => {}),
    /** @returns {number | null} the RTP timestamp being played */
    rtp: () => transceiver.receiver.getSynchronizationSources?.()[0]?.rtpTimestamp ?? null,
    get location() { return location; },
  };
}
