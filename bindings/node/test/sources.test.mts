// Sources that the caller writes.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Index, info, plan, update, verify, type FetchSource, type ReadAtSource } from 'gosync';

import { failure, readAt, versions } from './helpers.mjs';

test('index and content through own sources, in every manner', async () => {
  const made = await versions();
  const manners: [string, (data: Uint8Array) => ReadAtSource | FetchSource][] = [
    ['readAt that answers at once', readAt],
    ['readAt that promises', (data) => ({ readAt: async (offset, length) => data.subarray(offset, offset + length) })],
    ['readAt that answers in small pieces', (data) => ({ readAt: (offset, length) => data.subarray(offset, offset + Math.min(length, 777)) })],
    ['fetch', (data) => ({ fetch: async (offset, length) => data.subarray(offset, offset + length) })],
    ['fetch that answers with array buffers', (data) => ({ fetch: async (offset, length) => Uint8Array.from(data.subarray(offset, offset + length)).buffer })],
    ['fetch that takes its time', (data) => ({
      async fetch(offset, length, signal) {
        await sleep(5 * ((offset % 7) + 1), undefined, { signal });
        return data.subarray(offset, offset + length);
      },
    })],
    ['fetch that gives more than was asked for', (data) => ({ fetch: async (offset, length) => data.subarray(offset, offset + length + 5000) })],
  ];
  for (const [manner, source] of manners) {
    await writeFile(made.target, made.old);
    const statistics = await update({ target: made.target, index: source(made.indexBytes), source: source(made.fresh) });
    assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh), manner);
    assert.ok(statistics.fetched < statistics.total / 2, manner);
  }
});

test('a source keeps its `this`, and serves several jobs at once', async () => {
  const made = await versions();
  class File implements ReadAtSource {
    #reads = 0;
    constructor(private readonly file: Awaited<ReturnType<typeof open>>) {}
    async readAt(offset: number, length: number) {
      this.#reads += 1;
      const { buffer, bytesRead } = await this.file.read(new Uint8Array(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    }
    get reads() {
      return this.#reads;
    }
  }
  const file = await open(made.at('new.bin'));
  try {
    const source = new File(file);
    const targets = ['a', 'b', 'c'].map((name) => made.at(name));
    await Promise.all(targets.map((target) => update({ target, index: made.index, source, seeds: [made.target] })));
    for (const target of targets) {
      assert.equal((await verify({ target, index: made.index })).isMatch, true);
    }
    assert.ok(source.reads >= 3);
  } finally {
    await file.close();
  }
});

test('at most eight calls at a time, however much is asked for', async () => {
  const made = await versions(8 * 1024 * 1024, 400);
  let now = 0;
  let most = 0;
  const source = {
    async fetch(offset: number, length: number) {
      most = Math.max(most, ++now);
      await sleep(2);
      now -= 1;
      return made.fresh.subarray(offset, offset + length);
    },
  };
  await update({ target: made.target, index: made.index, source, maxRequests: 64 });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.ok(most > 1 && most <= 8, `${most} at a time`);
});

test('little room: an answer that holds everything waits at a narrow window, and is asked for once', async () => {
  const made = await versions(16 * 1024 * 1024);
  let calls = 0;
  const source = { fetch: async (offset: number) => ((calls += 1), made.fresh.subarray(offset)) };
  const options = { maxBytesInFlight: 64 * 1024, maxRequests: 1, ignoreTarget: true };
  await update({ target: made.target, index: made.index, source, ...options });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.equal(calls, 1);
});

test('info and plan read the index only', async () => {
  const made = await versions();
  const forbidden = { readAt: () => assert.fail('the content was read') };
  assert.equal((await info(readAt(made.indexBytes))).root, made.index.root);
  assert.equal((await Index.open(readAt(made.indexBytes))).length, made.fresh.length);
  await plan({ target: made.target, index: readAt(made.indexBytes), source: forbidden });
});

test('a source that ends too early, answers nonsense, or holds another file', async () => {
  const made = await versions();
  const given = { target: made.target, index: made.index, retries: 0 };
  const short = await failure(update({ ...given, source: readAt(made.fresh.subarray(0, 1000)) }));
  assert.match(short.code, /^GOSYNC_(SOURCE|MISMATCH)/);
  const nonsense = await failure(update({ ...given, source: { readAt: () => 'text' as unknown as Uint8Array } }));
  assert.equal(nonsense.code, 'GOSYNC_SOURCE');
  assert.ok(nonsense.cause instanceof TypeError);
  const other = await failure(update({ ...given, source: readAt(made.fresh.map((byte) => byte ^ 1)) }));
  assert.equal(other.code, 'GOSYNC_MISMATCH');
  const wrongIndex = await failure(info(readAt(made.fresh)));
  assert.equal(wrongIndex.code, 'GOSYNC_FORMAT');
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
});

// With own sources an application decides how bytes travel. A library that ends the process at the first socket is put in
// front of the system's: the job with own sources must survive it, and the same job by URL must not.
test('the whole job without a socket', { skip: process.platform !== 'linux' && 'needs LD_PRELOAD' }, async () => {
  const made = await versions();
  const code = `#include <unistd.h>\nint socket(int a, int b, int c) { (void)a; (void)b; (void)c; _exit(99); }\n`;
  await writeFile(made.at('trap.c'), code);
  execFileSync('cc', ['-shared', '-fPIC', '-o', made.at('trap.so'), made.at('trap.c')]);
  await writeFile(made.at('other.gosync'), made.indexBytes);
  const child = fileURLToPath(new URL('./job.child.mjs', import.meta.url));
  const run = (index: string) => {
    const env = { ...process.env, LD_PRELOAD: made.at('trap.so') };
    return spawnSync(process.execPath, [child, made.target, index, made.at('new.bin')], { env, encoding: 'utf8', timeout: 60_000 });
  };
  const own = run(made.at('other.gosync'));
  assert.equal(own.status, 0, own.stderr);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.equal(run('http://127.0.0.1:9/x.gosync').status, 99, 'the trap works');
});
