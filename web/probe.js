// Measuring the sound from outside: onset, silence, recording, as tests and the bench need it.
// Knows no call; it hangs a worklet on the page's last gain and costs nothing until it is asked.

/**
 * @param {{context: () => AudioContext | null, outlet: () => AudioNode | null}} given
 */
export function createProbe({ context, outlet }) {
  let ready = null;
  const waiting = new Set();

  async function node() {
    const where = context();
    if (!where) return null;
    ready ??= (async () => {
      await where.audioWorklet.addModule('/probe-worklet.js');
      const made = new AudioWorkletNode(where, 'probe', { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1 });
      outlet().connect(made);
      made.port.onmessage = ({ data }) => {
        for (const one of [...waiting]) if (one.kind === data.kind) { waiting.delete(one); one.done(data); }
      };
      return made;
    })();
    return ready;
  }

  async function ask(message, timeoutMs) {
    const made = await node();
    if (!made) return null;
    return new Promise((done) => {
      const one = { kind: message.kind, done: (data) => { clearTimeout(timer); done(data); } };
      const timer = setTimeout(() => { waiting.delete(one); done(null); }, timeoutMs);
      waiting.add(one);
      made.port.postMessage(message);
    });
  }

  return {
    /** Loads the worklet, so that the first measurement is not late. */
    warm: async () => (await node()) !== null,
    /**
     * When sound begins or ends at the loudspeaker's side of the page.
     * @param {'on' | 'off'} kind @param {{threshold?: number, holdMs?: number, timeoutMs?: number}} [options]
     * @returns {Promise<number | null>} epoch ms of the first block, null when it did not happen
     */
    async listen(kind, { threshold = 0.02, holdMs = 80, timeoutMs = 10_000 } = {}) {
      return (await ask({ kind, threshold, holdMs }, timeoutMs))?.at ?? null;
    },
    /** @param {number} seconds @returns {Promise<{samples: number[], rate: number, at: number} | null>} `at` in epoch ms */
    async record(seconds) {
      const got = await ask({ kind: 'record', seconds }, seconds * 1000 + 5_000);
      return got && { samples: Array.from(got.samples), rate: got.rate, at: got.at };
    },
  };
}
