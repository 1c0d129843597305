// AbortSignal: before, during, and with a source that never answers.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { index, info, plan, update, verify } from 'gosync';

import { failure, versions } from './helpers.mjs';

test('a signal that is aborted already: nothing is even started', async () => {
  const made = await versions(100_000);
  const signal = AbortSignal.abort('why');
  const source = { readAt: () => assert.fail('the source was asked') };
  const attempts = [
    () => update({ target: made.target, index: made.index, source, signal }),
    () => plan({ target: made.target, index: made.index, signal }),
    () => verify({ target: made.target, index: made.index, signal }),
    () => index(made.fresh, { signal }),
    () => info(source, { signal }),
  ];
  for (const attempt of attempts) {
    const error = await failure(attempt());
    assert.equal(error.code, 'GOSYNC_CANCELLED');
    assert.equal(error.cause, 'why');
  }
});

/** Milliseconds from an abort to the rejection, the best of a few tries: the machine may be busy with other tests. */
async function quickest(attempt: (signal: AbortSignal, asked: () => void) => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let tries = 0; tries < 5 && best >= 100; tries += 1) {
    const abort = new AbortController();
    const asked = new Promise<void>((resolve) => {
      const rejected = failure(attempt(abort.signal, resolve));
      void rejected.then((error) => {
        assert.equal(error.code, 'GOSYNC_CANCELLED');
        assert.equal(error.cause, 'enough');
        best = Math.min(best, performance.now() - started);
      });
    });
    let started = Infinity;
    await asked;
    started = performance.now();
    abort.abort('enough');
    const before = best;
    for (let waited = 0; best === before && waited < 5000; waited += 1) {
      await sleep(1);
    }
  }
  return best;
}

test('a source that never answers does not hold up an abort', async () => {
  const made = await versions();
  const hung = (asked: () => void) => ({ fetch: () => (asked(), new Promise<never>(() => {})) });
  const ofContent = await quickest((signal, asked) => update({ target: made.target, index: made.index, source: hung(asked), signal }));
  assert.ok(ofContent < 100, `update: ${ofContent} ms`);
  const ofIndex = await quickest((signal, asked) => info(hung(asked), { signal }));
  assert.ok(ofIndex < 100, `info: ${ofIndex} ms`);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
  const left = (await readdir(dirname(made.target))).filter((name) => !['target', 'new.bin', 'new.bin.gosync'].includes(name));
  assert.ok(left.every((name) => name.startsWith('.target.')), `at most what a thread still holds is left: ${left.join()}`);
});

test('a source hears of the abort, and what it does then interests nobody', async () => {
  const made = await versions();
  const abort = new AbortController();
  const heard: unknown[] = [];
  const source = {
    fetch: (_offset: number, _length: number, signal: AbortSignal) =>
      new Promise<Uint8Array>((_, reject) => {
        signal.addEventListener('abort', () => {
          heard.push(signal.reason);
          reject(new Error('too late'));
        });
        abort.abort();
      }),
  };
  const error = await failure(update({ target: made.target, index: made.index, source, signal: abort.signal }));
  assert.equal(error.code, 'GOSYNC_CANCELLED');
  assert.equal((error.cause as Error).name, 'AbortError');
  assert.ok(heard.length >= 1);
});

test('a signal that is shared and never aborted collects no listeners', async () => {
  const made = await versions(100_000);
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...given: Parameters<typeof add>) => { listeners += 1; add(...given); };
  signal.removeEventListener = (...given: Parameters<typeof remove>) => { listeners -= 1; remove(...given); };
  await verify({ target: made.target, index: made.index, signal });
  await failure(index(made.at('nothing'), { signal }));
  assert.equal(listeners, 0);
});

test('work in the middle of reading stops', async () => {
  const data = new Uint8Array(256 * 1024 * 1024);
  const abort = new AbortController();
  const error = await failure(index(data, { threads: 1, signal: abort.signal, onProgress: () => abort.abort() }));
  assert.equal(error.code, 'GOSYNC_CANCELLED');
});
