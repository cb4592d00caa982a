// The microphone: asking for it, choosing it, its level, its mute.
// Knows no call: it hands over a track and takes it back.

import { microphoneTrouble } from './words.js';
import { rmsOf } from './audio.js';

const CONSTRAINTS = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/**
 * @param {{onTrack: (track: MediaStreamTrack | null) => void, onChange: (mic: object) => void, onTrouble: (code: string) => void,
 *   context: () => AudioContext | null}} given
 */
export function createMicrophone({ onTrack, onChange, onTrouble, context }) {
  let stream = null;
  let muted = false;
  let asked = 0;
  let meter = null;
  let source = null;
  const samples = new Float32Array(512);

  const media = () => navigator.mediaDevices;

  async function list() {
    if (!media()?.enumerateDevices) return;
    try {
      const found = (await media().enumerateDevices()).filter((one) => one.kind === 'audioinput' && one.deviceId);
      onChange({ devices: found.map((one, at) => ({ id: one.deviceId, label: one.label || `Microphone ${at + 1}` })) });
    } catch {
      // some browsers refuse the list before the permission; it is asked again after it
    }
  }

  function drop() {
    source?.disconnect();
    source = null;
    meter = null;
    for (const track of stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    stream = null;
  }

  async function open(device) {
    const wanted = device ? { ...CONSTRAINTS, deviceId: { exact: device } } : CONSTRAINTS;
    try {
      return await media().getUserMedia({ audio: wanted });
    } catch (problem) {
      // a device of yesterday that is not plugged in today: any other will do
      if (device && problem?.name === 'OverconstrainedError') return media().getUserMedia({ audio: CONSTRAINTS });
      throw problem;
    }
  }

  /** @param {string} device id, or empty for the browser's choice */
  async function start(device) {
    const mine = ++asked;
    if (!media()?.getUserMedia) {
      onChange({ state: 'failed' });
      onTrouble('mic_insecure');
      return;
    }
    onChange({ state: 'asking' });
    try {
      const given = await open(device);
      if (mine !== asked) {
        given.getTracks().forEach((track) => track.stop());
        return;
      }
      drop();
      stream = given;
    } catch (problem) {
      if (mine !== asked) return;
      drop();
      onTrack(null);
      onChange({ state: 'failed' });
      onTrouble(microphoneTrouble(problem));
      return;
    }
    const [track] = stream.getAudioTracks();
    track.enabled = !muted;
    track.onended = () => {
      stop('failed');
      onTrouble('mic_none');
    };
    onTrack(track);
    onChange({ state: 'on', device: track.getSettings?.().deviceId ?? device });
    void list();
  }

  function stop(state = 'off') {
    asked += 1;
    drop();
    onTrack(null);
    onChange({ state });
  }

  function mute(on) {
    muted = on;
    for (const track of stream?.getAudioTracks() ?? []) track.enabled = !on;
    onChange({ muted: on });
  }

  /** @returns {number} root mean square of the microphone now, 0 to 1 */
  function rms() {
    const where = context();
    if (!stream || !where || where.state !== 'running') return 0;
    if (!meter) {
      meter = where.createAnalyser();
      meter.fftSize = samples.length;
      source = where.createMediaStreamSource(stream);
      source.connect(meter);
    }
    meter.getFloatTimeDomainData(samples);
    return rmsOf(samples);
  }

  /** Whether echo is cancelled: as the track says, before there is one as the browser promises. @returns {boolean | null} */
  function echo() {
    const said = stream?.getAudioTracks()[0]?.getSettings?.().echoCancellation;
    if (typeof said === 'boolean') return said;
    return media()?.getSupportedConstraints?.().echoCancellation ? true : null;
  }

  media()?.addEventListener?.('devicechange', () => void list());
  return { start, stop, mute, list, rms, echo, get track() { return stream?.getAudioTracks()[0] ?? null; } };
}
