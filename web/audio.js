// The sound that comes out: one gain for barge-in, one for volume, a meter, and the browser's autoplay rule.
// Knows no call: it is given a stream and asked to be silent.

/*
 * Two ways to be heard. "context": stream → ear before the hush → hush gain → volume gain → meter → device, beside a muted <audio> with
 * the same stream, without which Chromium lets no remote audio flow into Web Audio. It is the first choice because a
 * gain can be ramped to nothing in 5 ms at a sample-exact place. Browsers cancel echo against what their device
 * plays, so this path is known to them as well. "element": the <audio> itself, for a browser whose AudioContext
 * will not run; its mute is as fast, but hard.
 */

/** Time constant of the hush (s): inaudible after five of them, and no click. */
const HUSH_S = 0.001;
const VOLUME_S = 0.02;
const RESUME_MS = 400;
/** Root mean square below which nothing is heard (-50 dBFS). */
const QUIET = 0.003;

/** @param {(sound: 'none' | 'playing' | 'blocked') => void} told */
export function createAudio(told) {
  const element = new Audio();
  element.autoplay = true;
  element.setAttribute('playsinline', '');

  let context = null;
  let hush = null;
  let loud = null;
  let meter = null;
  let before = null;
  let source = null;
  let stream = null;
  let volume = 1;
  let hushed = false;
  let route = 'none';
  const samples = new Float32Array(512);
  const moment = new Float32Array(256);

  function ramp(gain, target, constant) {
    const now = context.currentTime;
    gain.cancelScheduledValues(now);
    gain.setValueAtTime(gain.value, now);
    gain.setTargetAtTime(target, now, constant);
    // an exponential never arrives: end it at the value itself
    gain.setValueAtTime(target, now + constant * 7);
  }

  function build() {
    if (context) return;
    const Context = window.AudioContext ?? window.webkitAudioContext;
    if (!Context) return;
    try {
      context = new Context({ latencyHint: 'interactive', sampleRate: 48_000 });
    } catch {
      return;
    }
    hush = context.createGain();
    loud = context.createGain();
    before = context.createAnalyser();
    before.fftSize = moment.length;
    before.connect(hush);
    meter = context.createAnalyser();
    meter.fftSize = samples.length;
    hush.gain.value = hushed ? 0 : 1;
    loud.gain.value = volume;
    hush.connect(loud).connect(meter).connect(context.destination);
    context.addEventListener('statechange', () => { if (stream) void play(); });
  }

  async function running() {
    build();
    if (!context) return false;
    if (context.state !== 'running') {
      // a blocked context never settles its promise, so it gets a deadline
      await Promise.race([context.resume().catch(() => {}), new Promise((done) => setTimeout(done, RESUME_MS))]);
    }
    return context.state === 'running';
  }

  function byContext() {
    route = 'context';
    element.muted = true;
    source?.disconnect();
    source = context.createMediaStreamSource(stream);
    source.connect(before);
    void element.play().catch(() => {});
  }

  async function byElement() {
    source?.disconnect();
    source = null;
    element.muted = hushed;
    element.volume = volume;
    try {
      await element.play();
      route = 'element';
      return true;
    } catch {
      // not heard; muted it still flows, ready for the tap
      route = 'none';
      element.muted = true;
      void element.play().catch(() => {});
      return false;
    }
  }

  let playing = null;

  /** Plays the stream by whichever way the browser allows, and says how it went. */
  async function play() {
    if (!stream) return;
    if (route === 'context' && context.state === 'running') return;
    playing ??= attempt().finally(() => { playing = null; });
    await playing;
  }

  async function attempt() {
    const wanted = stream;
    const clean = await running();
    if (stream !== wanted || !stream) return;
    if (clean) byContext();
    told(clean || await byElement() ? 'playing' : 'blocked');
  }

  return {
    /** Makes the context while a click lasts; the call may still be on its way. */
    prepare() {
      build();
      void context?.resume().catch(() => {});
    },
    /** @param {MediaStream} given */
    attach(given) {
      stream = given;
      route = 'none';
      element.srcObject = given;
      return play();
    },
    /** From a person's tap, where the browser blocked the sound. */
    tap: () => { route = 'none'; return play(); },
    detach() {
      stream = null;
      route = 'none';
      source?.disconnect();
      source = null;
      element.srcObject = null;
      told('none');
    },
    /** Silence within 10 ms. */
    mute() {
      hushed = true;
      if (context) ramp(hush.gain, 0, HUSH_S);
      if (route === 'element') element.muted = true;
    },
    open() {
      hushed = false;
      if (context) ramp(hush.gain, 1, HUSH_S);
      if (route === 'element') element.muted = false;
    },
    /** @param {number} level 0 to 1 */
    setVolume(level) {
      volume = level;
      if (context) ramp(loud.gain, level, VOLUME_S);
      element.volume = level;
    },
    /** @returns {number} root mean square of what leaves for the device now, 0 to 1; 0 on the element's way */
    rms() {
      if (!meter || route !== 'context') return 0;
      meter.getFloatTimeDomainData(samples);
      return rmsOf(samples);
    },
    /** Whether what arrives before the hush is silent now; true where there is no telling. */
    quiet() {
      if (!before || route !== 'context') return true;
      before.getFloatTimeDomainData(moment);
      return rmsOf(moment) < QUIET;
    },
    get route() { return route; },
    get context() { return context; },
    get outlet() { return loud; },
  };
}

/** @param {Float32Array} samples @returns {number} root mean square */
export function rmsOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / samples.length);
}
