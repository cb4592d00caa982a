// The probe's ear on the audio thread: first loud block, first quiet block, a recording.
// Knows no page; Date.now() is the clock it shares with everything on this machine.

class Probe extends AudioWorkletProcessor {
  constructor() {
    super();
    this.wish = null;
    this.take = null;
    this.port.onmessage = ({ data }) => this.begin(data);
  }

  begin(data) {
    if (data.kind === 'record') this.take = { samples: new Float32Array(Math.round(data.seconds * sampleRate)), filled: 0, at: null };
    else this.wish = { ...data, quiet: 0, at: 0 };
  }

  process([[block]]) {
    const now = Date.now();
    const { wish, take } = this;
    let peak = 0;
    for (let at = 0; block && at < block.length; at += 1) peak = Math.max(peak, Math.abs(block[at]));
    if (wish) this.judge(wish, peak, now);
    if (take) {
      take.at ??= now;
      const room = Math.min(128, take.samples.length - take.filled);
      if (block) take.samples.set(block.subarray(0, room), take.filled);
      take.filled += room;
      if (take.filled >= take.samples.length) {
        this.take = null;
        this.port.postMessage({ kind: 'record', samples: take.samples, rate: sampleRate, at: take.at }, [take.samples.buffer]);
      }
    }
    return true;
  }

  judge(wish, peak, now) {
    if (wish.kind === 'on') {
      if (peak > wish.threshold) this.tell(wish, now);
    } else if (peak >= wish.threshold) wish.quiet = 0;
    else {
      if (wish.quiet === 0) wish.at = now;
      wish.quiet += 128;
      if (wish.quiet * 1000 >= wish.holdMs * sampleRate) this.tell(wish, wish.at);
    }
  }

  tell(wish, at) {
    this.wish = null;
    this.port.postMessage({ kind: wish.kind, at });
  }
}

registerProcessor('probe', Probe);
