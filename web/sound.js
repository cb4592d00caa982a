// Microphone and loudness controls.
// Knows no stream: it shows the store and hands out intents.

/**
 * @param {{store: ReturnType<import('./store.js').createStore>, keep: (changed: object) => void,
 *   choice: {afterVoice?: string}, intents: {microphone: (on: boolean) => void, device: (id: string) => void,
 *   volume: (level: number) => void, afterVoice: (what: 'resume' | 'wait') => void}}} given
 */
export function mountSound({ store, choice, keep, intents }) {
  const [mic, device, volume, volumeOut] = ['mic', 'device', 'volume', 'volume-out'].map((id) => document.getElementById(id));
  const afterVoice = document.getElementById('after-voice');

  afterVoice.checked = choice.afterVoice !== 'wait';
  afterVoice.addEventListener('change', () => {
    const what = afterVoice.checked ? 'resume' : 'wait';
    keep({ afterVoice: what });
    intents.afterVoice(what);
  });

  mic.addEventListener('change', () => {
    keep({ mic: mic.checked });
    intents.microphone(mic.checked);
  });
  device.addEventListener('change', () => {
    keep({ device: device.value });
    intents.device(device.value);
  });
  volume.addEventListener('input', () => intents.volume(Number(volume.value) / 100));
  volume.addEventListener('change', () => keep({ volume: Number(volume.value) / 100 }));

  store.watch((state, before) => {
    if (state !== before && state.mic === before.mic && state.volume === before.volume) return;
    mic.checked = state.mic.wanted;
    const listed = state.mic.devices.length ? state.mic.devices : [{ id: '', label: state.mic.wanted ? 'The browser’s choice' : 'None' }];
    const key = JSON.stringify(listed);
    if (device.dataset.key !== key) {
      device.dataset.key = key;
      device.replaceChildren(...listed.map((one) => {
        const made = document.createElement('option');
        made.value = one.id;
        made.textContent = one.label;
        return made;
      }));
    }
    if (listed.some((one) => one.id === state.mic.device)) device.value = state.mic.device;
    device.disabled = !state.mic.wanted || state.mic.devices.length === 0;
    const percent = Math.round(state.volume * 100);
    if (Number(volume.value) !== percent) volume.value = String(percent);
    volumeOut.textContent = `${percent} %`;
  });
}
