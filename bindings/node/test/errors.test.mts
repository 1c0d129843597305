// What goes wrong comes back with a kind, the facts, and whatever the caller's own code threw.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { errorKinds, GosyncError, index, info, plan, update, verify, type ErrorKind } from 'gosync';

import { failure, folder, readAt, versions } from './helpers.mjs';

class Own extends Error {
  readonly extra = { whole: true };
}

test('a missing file', async () => {
  const at = await folder();
  const error = await failure(index(at('nothing')));
  assert.ok(error instanceof GosyncError && error instanceof Error);
  assert.equal(error.name, 'GosyncError');
  assert.equal(error.code, 'GOSYNC_NOT_FOUND');
  assert.equal(error.kind, 'NOT_FOUND');
  assert.equal(error.retryable, false);
  assert.equal(error.context['path'], at('nothing'));
  assert.ok(error.message.includes(at('nothing')));
  assert.ok(error.cause instanceof Error, 'the system error is the cause');
  assert.equal((await failure(info(at('nothing')))).kind, 'NOT_FOUND');
});

test('arguments are refused before anything happens', async () => {
  const made = await versions(10_000);
  const good = { target: made.target, index: made.index };
  const bad: [string, () => Promise<unknown>][] = [
    ['content', () => index(undefined as never)],
    ['content', () => index('')],
    ['content', () => index('a\0b')],
    ['content', () => index('half of a pair: \ud800')],
    ['content', () => index(new URL('http://localhost/x'))],
    ['blockSize', () => index(made.fresh, { blockSize: 1.5 })],
    ['threads', () => index(made.fresh, { threads: -1 })],
    ['source', () => index(made.fresh, { source: 7 as never })],
    ['options', () => index(made.fresh, 7 as never)],
    ['options', () => update(null as never)],
    ['target', () => update({ ...good, target: 7 as never })],
    ['target', () => verify({ ...good, target: '' })],
    ['target', () => plan({ ...good, target: new URL('file://host.example/x') })],
    ['index', () => update({ ...good, index: {} as never })],
    ['index', () => info(undefined as never)],
    ['source', () => update({ ...good, source: 7 as never })],
    ['seeds', () => update({ ...good, seeds: made.target })],
    ['seeds', () => update({ ...good, seeds: [7 as never] })],
    ['retries', () => update({ ...good, retries: Number.NaN })],
    ['timeout', () => update({ ...good, timeout: 2 ** 31 })],
    ['maxBytesInFlight', () => update({ ...good, maxBytesInFlight: 2 ** 53 })],
    ['maxIndexSize', () => info(made.indexBytes, { maxIndexSize: '1' as never })],
    ['ignoreTarget', () => update({ ...good, ignoreTarget: 1 as never })],
    ['thorough', () => update({ ...good, thorough: 'yes' as never })],
    ['replaceTimeout', () => update({ ...good, replaceTimeout: -1 })],
    ['moveAside', () => update({ ...good, moveAside: 0 as never })],
    ['keep', () => update({ ...good, keep: 7 as never })],
    ['quick', () => update({ ...good, quick: 'yes' as never })],
    ['delete', () => update({ ...good, delete: 1 as never })],
    ['refuseSymlink', () => update({ ...good, refuseSymlink: 1 as never })],
    ['signal', () => update({ ...good, signal: {} as never })],
    ['onProgress', () => update({ ...good, onProgress: {} as never })],
    ['onEvent', () => update({ ...good, onEvent: 'x' as never })],
  ];
  for (const [argument, attempt] of bad) {
    const error = await failure(attempt());
    assert.equal(error.code, 'GOSYNC_ARGUMENT', `${argument}: ${error.message}`);
    assert.equal(error.context['argument'], argument);
  }
  assert.equal((await failure(index(made.fresh, { blockSize: 1000 }))).code, 'GOSYNC_ARGUMENT');
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
});

test('an index above the limit', async () => {
  const made = await versions();
  for (const way of [made.at('new.bin.gosync'), made.indexBytes, readAt(made.indexBytes)]) {
    assert.equal((await failure(info(way, { maxIndexSize: 100 }))).code, 'GOSYNC_LIMIT');
  }
});

test('what a source throws is the cause, whole', async () => {
  const made = await versions();
  const thrown = new Own('the disk is on fire');
  const sources = [
    { readAt: () => { throw thrown; } },
    { readAt: async () => { throw thrown; } },
    { fetch: async () => { throw thrown; } },
    { fetch: () => { throw thrown; } },
  ];
  for (const source of sources) {
    const error = await failure(update({ target: made.target, index: made.index, source }));
    assert.equal(error.code, 'GOSYNC_SOURCE');
    assert.equal(error.cause, thrown);
    assert.match(error.message, /the disk is on fire/);
    assert.equal((await failure(info(source))).cause, thrown);
  }
  for (const value of [undefined, null, 'text', 7, Symbol('s'), { toString: () => { throw thrown; } }]) {
    const source = { readAt: () => { throw value; } };
    const error = await failure(update({ target: made.target, index: made.index, source }));
    assert.equal(error.code, 'GOSYNC_SOURCE');
    assert.ok('cause' in error && error.cause === value);
  }
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
});

test('a source says by the kind whether to try again', async () => {
  const made = await versions();
  let calls = 0;
  const flaky = {
    async fetch(offset: number, length: number) {
      calls += 1;
      if (calls <= 2) {
        throw new GosyncError('SOURCE_TEMPORARY', 'come back later');
      }
      return made.fresh.subarray(offset, offset + length);
    },
  };
  const statistics = await update({ target: made.target, index: made.index, source: flaky });
  assert.ok(statistics.retries >= 1);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));

  const thrown = new GosyncError('SOURCE_TEMPORARY', 'never', { context: { url: 'x' }, cause: 1 });
  const source = { fetch: async () => { throw thrown; } };
  const error = await failure(update({ target: made.at('other'), index: made.index, source, retries: 0 }));
  assert.equal(error.code, 'GOSYNC_SOURCE_TEMPORARY');
  assert.equal(error.retryable, true);
  assert.equal(error.cause, thrown);
});

test('what a callback throws stops the work and is the cause, whole', async () => {
  const made = await versions();
  const thrown = new Own('no more');
  const throws = () => { throw thrown; };
  const rejects = (async () => { throw thrown; }) as () => void;
  const attempts: [string, () => Promise<unknown>][] = [
    ['onProgress of update', () => update({ target: made.at('other'), index: made.index, source: made.fresh, onProgress: throws })],
    ['onEvent of update', () => update({ target: made.at('other'), index: made.index, source: made.fresh, onEvent: throws })],
    ['onProgress of index', () => index(made.fresh, { onProgress: throws })],
    ['onProgress of plan', () => plan({ target: made.target, index: made.index, onProgress: throws })],
    ['onProgress of verify', () => verify({ target: made.target, index: made.index, onProgress: throws })],
    ['async onProgress', () => update({ target: made.target, index: made.index, source: made.fresh, onProgress: rejects })],
  ];
  for (const [name, attempt] of attempts) {
    const error = await failure(attempt());
    assert.equal(error.code, 'GOSYNC_CANCELLED', name);
    assert.equal(error.cause, thrown, name);
  }
});

test('an error can be made by hand', () => {
  const error = new GosyncError('TIMEOUT', 'late', { cause: 5, context: { url: 'x' } });
  assert.deepEqual([error.code, error.kind, error.retryable, error.cause], ['GOSYNC_TIMEOUT', 'TIMEOUT', true, 5]);
  assert.equal('cause' in new GosyncError('TIMEOUT', 'late'), false);
  const kinds: ErrorKind[] = errorKinds.map((kind) => kind.name);
  assert.equal(new Set(kinds).size, kinds.length);
});
