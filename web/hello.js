// "Say hello": a sentence whose arrival at the loudspeaker is measured, told in words.
// Knows no call: it is given how to say, how to listen and how to tell.

/** What is said. */
export const GREETING = 'Hello. If you can hear this, the sound works.';
/** Louder than this (RMS) is a voice, not a noise floor. */
const LOUD = 0.004;
const PATIENCE_MS = 6_000;
const LOOK_MS = 40;

/**
 * @param {{say: (text: string) => void, rms: () => number, energy: () => Promise<number>, route: () => string, volume: () => number,
 *   blocked: () => boolean, tell: (text: string) => void, live: () => boolean}} given
 */
export function createHello({ say, rms, energy, route, volume, blocked, tell, live }) {
  let running = null;

  async function arrived(before) {
    // on the element's way there is no meter: the energy that was decoded has to do
    return route() === 'context' ? rms() > LOUD : (await energy()) > before + 1e-6;
  }

  return async function hello() {
    clearInterval(running);
    const began = performance.now();
    const before = await energy();
    tell('Saying hello…');
    say(GREETING);
    running = setInterval(async () => {
      const waited = performance.now() - began;
      if (!live()) {
        clearInterval(running);
        tell('');
      } else if (volume() === 0) {
        clearInterval(running);
        tell('The volume is at zero: turn it up to hear anything.');
      } else if (await arrived(before)) {
        clearInterval(running);
        tell(blocked() ? 'The sound arrives, but the browser holds it back: tap to hear.'
          : `Sound is playing, ${Math.round(waited)} ms after it was asked for. If it is silent, check the loudspeaker.`);
      } else if (waited > PATIENCE_MS) {
        clearInterval(running);
        tell(blocked() ? 'The browser holds the sound back: tap to hear.' : 'No sound arrived within six seconds. The list of events below may say why.');
      }
    }, LOOK_MS);
  };
}
