// What a draw costs is bounded by the pixels, not by the length of the call; and everything falls on the axis of frames.
// Knows no browser: the canvas is a list of strokes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawScene, drawStrip, hit } from '../../web/drawing.js';
import { HEIGHT, LANES, stacked } from '../../web/lanes.js';
import { createPen } from '../../web/pen.js';
import { createScene } from '../../web/scene.js';
import { createTrack } from '../../web/track.js';
import { session } from './synthetic.mjs';

const WIDTH = 1_000;
/** Primitives for each pixel of width, over twelve lanes: a test that fails tells of a lane that draws what nobody can see. */
const PER_PIXEL = 8;
const palette = new Proxy({}, { get: (_, name) => String(name) });

/** A canvas that remembers what was filled, in which colour. */
function easel() {
  const strokes = [];
  const context = {
    save() {}, restore() {}, beginPath() {}, stroke() {}, moveTo() {}, lineTo() {}, translate() {}, fillText() {}, fill() {},
    rect(x, y, w, h) { strokes.push({ colour: this.fillStyle, x, y, w, h }); },
  };
  return { strokes, pen: createPen(context, palette, (shape) => shape) };
}

function of(frames) {
  const track = createTrack();
  for (const record of session(frames)) track.take(record);
  return track;
}

const hour = of(180_000);
const view = (from, span) => ({ from, span, follow: false });

function drawn(track, from, span) {
  const { strokes, pen } = easel();
  const scene = createScene(track, view(from, span), { left: 0, right: WIDTH });
  drawScene(pen, scene, { cursor: from + span / 2, playhead: from });
  return { strokes, count: pen.count, scene };
}

test('a draw of an hour has no more primitives than one of a minute times what pixels allow', () => {
  for (const span of [180_000, 60_000, 9_000, 3_000, 500, 50]) {
    const { count } = drawn(hour, 90_000 - span / 2, span);
    console.log(`# ${span} frames on ${WIDTH} pixels: ${count} primitives`);
    assert.ok(count <= PER_PIXEL * WIDTH, `${count} for ${span} frames`);
  }
});

test('four hours cost no more than one', () => {
  const long = of(720_000);
  const { count } = drawn(long, 0, 720_000);
  assert.ok(count <= 1.25 * drawn(hour, 0, 180_000).count, `${count}`);
});

test('the strip of the whole session is bounded too', () => {
  const { pen } = easel();
  drawStrip(pen, createScene(hour, view(0, 180_000), { left: 0, right: WIDTH }), view(500, 3_000), 48);
  assert.ok(pen.count <= 4 * WIDTH);
});

test('sound is drawn in its lane, at its frames, in the colour of its engine', () => {
  const { strokes, scene } = drawn(hour, 4_000, 1_500);
  const lane = stacked().find((one) => one.name === 'audio');
  const bars = strokes.filter(({ colour }) => colour === 'engine0' || colour === 'engine1');
  assert.ok(bars.length > 500);
  for (const bar of bars) {
    assert.ok(bar.y >= lane.y && bar.y + bar.h <= lane.y + lane.height, 'within its lane');
    assert.ok(hour.frames.look(Math.floor(scene.frameAt(bar.x)) - 1, Math.ceil(scene.frameAt(bar.x + 1)) + 1).level > 0, 'where there is sound');
  }
  // sentences 8 and 9 on either side of the swap at frame 4 500
  const at = (colour) => bars.filter((bar) => bar.colour === colour).map((bar) => scene.frameAt(bar.x));
  assert.ok(Math.max(...at('engine0')) < 4_500 && Math.min(...at('engine1')) >= 4_499);
});

test('a mark is hit where it is drawn and nowhere else', () => {
  const { scene } = drawn(hour, 2_000, 1_000);
  const lane = stacked().find((one) => one.name === 'floor');
  const row = hit(scene, scene.x(2_449), lane.y + 5);
  assert.deepEqual([row.kind, row.frame], ['barge', 2_449]);
  assert.equal(hit(scene, scene.x(2_300), lane.y + 5), null);
  assert.equal(hit(scene, scene.x(2_449), stacked().find((one) => one.name === 'audio').y + 5), null);
});

test('every lane the issue names is there, one below the other', () => {
  assert.deepEqual(LANES.map((lane) => lane.name), ['inputs', 'words', 'windows', 'audio', 'depth', 'ladder', 'engine', 'floor', 'mic', 'heard', 'trouble', 'tools']);
  const placed = stacked();
  placed.slice(1).forEach((lane, at) => assert.ok(lane.y >= placed[at].y + placed[at].height));
  assert.ok(placed.at(-1).y + placed.at(-1).height < HEIGHT);
});
