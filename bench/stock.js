// A page as the library's examples have it: gathers first, then calls; no mute of its own.
// Measured by the same probe as ours.

import { createProbe } from '/probe.js';

let context = null;
let outlet = null;
let pc = null;
let channel = null;
const probe = createProbe({ context: () => context, outlet: () => outlet });

function gathered() {
  return new Promise((done) => {
    if (pc.iceGatheringState === 'complete') done();
    pc.onicegatheringstatechange = () => { if (pc.iceGatheringState === 'complete') done(); };
  });
}

async function call() {
  const began = Date.now();
  pc = new RTCPeerConnection({ iceServers: [] });
  context ??= new AudioContext({ latencyHint: 'interactive', sampleRate: 48_000 });
  outlet ??= context.createGain();
  outlet.connect(context.destination);
  pc.addTransceiver('audio', { direction: 'recvonly' });
  channel = pc.createDataChannel('synchrony');
  const element = new Audio();
  pc.ontrack = ({ streams: [stream] }) => {
    element.srcObject = stream;
    element.muted = true;
    void element.play();
    context.createMediaStreamSource(stream).connect(outlet);
  };
  const open = new Promise((done) => { channel.onopen = done; });
  const connected = new Promise((done) => { pc.onconnectionstatechange = () => { if (pc.connectionState === 'connected') done(Date.now()); }; });
  await pc.setLocalDescription();
  await gathered();
  const response = await fetch('/calls', { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  const at = await connected;
  await open;
  await context.resume();
  return at - began;
}

window.stock = {
  call,
  hangUp: () => pc.close(),
  send: (intent) => channel.send(JSON.stringify({ intent })),
  listen: (kind, options) => probe.listen(kind, options),
  warm: () => probe.warm(),
  async stats() {
    for (const one of (await pc.getReceivers()[0].getStats()).values()) if (one.type === 'inbound-rtp') return one;
    return null;
  },
};
