// Progress and events.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { index, update, verify, type Event, type Progress } from 'gosync';

import { readAt, versions } from './helpers.mjs';

const COUNTERS = ['fraction', 'fromSeeds', 'fetched', 'wasted', 'written', 'requests', 'retries'] as const;
const PHASES = ['idle', 'indexing', 'matching', 'transferring', 'publishing', 'waiting', 'verifying', 'packing', 'done'];

function check(seen: Progress[], total: number): Progress {
  const last = seen.at(-1);
  assert.ok(last);
  for (const [i, progress] of seen.entries()) {
    assert.ok(PHASES.includes(progress.phase), progress.phase);
    assert.equal(typeof progress.cancellable, 'boolean');
    assert.ok(progress.fraction >= 0 && progress.fraction <= 1);
    const before = seen[i - 1];
    for (const counter of before ? COUNTERS : []) {
      assert.ok(progress[counter] >= (before?.[counter] ?? 0), `${counter} went back`);
    }
  }
  assert.equal(last.fraction, 1);
  assert.equal(last.phase, 'done');
  assert.equal(last.total, total);
  return last;
}

test('progress never goes back, is not told too often, and its end is told before the result', async () => {
  const made = await versions(4 * 1024 * 1024, 30);
  const seen: Progress[] = [];
  const started = performance.now();
  const source = {
    async fetch(offset: number, length: number) {
      await sleep(30);
      return made.fresh.subarray(offset, offset + length);
    },
  };
  const statistics = await update({ target: made.target, index: made.index, source, maxRequests: 1, onProgress: (progress) => seen.push(progress) });
  const took = performance.now() - started;
  const told = seen.length;
  const last = check(seen, made.fresh.length);
  assert.ok(told <= took / 100 + 2, `${told} calls in ${took} ms`);
  for (const counter of ['fromSeeds', 'fetched', 'wasted', 'written', 'requests', 'retries'] as const) {
    assert.equal(last[counter], statistics[counter]);
  }
  await sleep(50);
  assert.equal(seen.length, told, 'nothing comes after the result');
});

test('index and verify tell progress too', async () => {
  const made = await versions();
  const ofIndex: Progress[] = [];
  await index(made.at('new.bin'), { onProgress: (progress) => ofIndex.push(progress) });
  check(ofIndex, made.fresh.length);
  const ofVerify: Progress[] = [];
  await verify({ target: made.at('new.bin'), index: made.indexBytes, onProgress: (progress) => ofVerify.push(progress) });
  check(ofVerify, made.fresh.length);
});

test('events have a level, a kind, a line and facts', async () => {
  const made = await versions();
  const events: Event[] = [];
  await update({ target: made.target, index: readAt(made.indexBytes), source: readAt(made.fresh), onEvent: (event) => events.push(event) });
  assert.ok(events.length > 0);
  for (const event of events) {
    assert.ok(['warning', 'info', 'debug'].includes(event.level));
    assert.match(event.kind, /^[a-z_]+$/);
    assert.match(event.message, /^[^\n]+$/);
    assert.ok(Object.values(event.fields).every((value) => typeof value === 'string'));
  }
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
});
