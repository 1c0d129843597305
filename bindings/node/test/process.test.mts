// The addon in its process: it ends by itself, both module systems share one library, threads of Node may come and go,
// and a host's own libgosync is not mistaken for the addon's.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import * as gosync from 'gosync';

import { folder, versions } from './helpers.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

/** Runs a program as a module beside this file; it has to end by itself. */
function run(program: string, env: Record<string, string> = {}) {
  const options = { cwd: here, encoding: 'utf8', timeout: 20_000, env: { ...process.env, ...env } } as const;
  const child = spawnSync(process.execPath, ['--input-type=module', '--eval', program], options);
  assert.equal(child.status, 0, `${child.signal ?? ''} ${child.stderr}`);
  return child.stdout.trim();
}

test('require gives the same objects as import', () => {
  const required = createRequire(import.meta.url)('gosync') as typeof gosync;
  // Newer versions of Node add names of their own to a CommonJS module that is imported.
  const names = (module: object) => Object.keys(module).filter((name) => !['__esModule', 'default', 'module.exports'].includes(name)).sort();
  assert.deepEqual(names(gosync), names(required));
  assert.equal(required.Index, gosync.Index);
  assert.equal(required.GosyncError, gosync.GosyncError);
  assert.equal(required.update, gosync.update);
});

test('a CommonJS program', async () => {
  const made = await versions(100_000);
  const program = `
    const { update } = require('gosync');
    update({ target: process.argv[1], index: process.argv[2] }).then((s) => console.log(s.proof));
  `;
  const child = spawnSync(process.execPath, ['--input-type=commonjs', '--eval', program, made.target, made.at('new.bin.gosync')], { cwd: here, encoding: 'utf8', timeout: 20_000 });
  assert.equal(child.stdout.trim(), 'root', child.stderr);
});

test('the process ends by itself after use', async () => {
  const at = await folder();
  const program = `
    import { index, update } from 'gosync';
    const data = new Uint8Array(200_000).fill(7);
    const made = await index(data, { onProgress() {}, onEvent() {} });
    const target = process.env.TARGET;
    await update({ target, index: made, source: { readAt: (o, n) => data.subarray(o, o + n) }, onProgress() {}, onEvent() {} });
    console.log('done');
  `;
  assert.equal(run(program, { TARGET: at('target') }), 'done');
});

test('a running call keeps the process alive until its result is there', () => {
  const program = `
    import { index } from 'gosync';
    index(new Uint8Array(50_000_000)).then((made) => console.log(made.length));
  `;
  assert.equal(run(program), '50000000');
});

test('calls that wait occupy neither the main thread nor the threads that Node itself works with', () => {
  const program = `
    import { readFile } from 'node:fs/promises';
    import { info } from 'gosync';
    const abort = new AbortController();
    let asked = 0;
    const all = await new Promise((resolve) => {
      const hung = { fetch: () => { asked += 1; if (asked === 8) resolve(calls); return new Promise(() => {}); } };
      const calls = Array.from({ length: 8 }, () => info(hung, { signal: abort.signal }));
    });
    console.log((await readFile(process.execPath)).length > 0);
    abort.abort();
    console.log((await Promise.allSettled(all)).filter(({ reason }) => reason?.code === 'GOSYNC_CANCELLED').length);
  `;
  assert.equal(run(program, { UV_THREADPOOL_SIZE: '1' }), 'true\n8');
});

test('after an abort, a source that never answers does not keep the process alive', () => {
  const program = `
    import { info } from 'gosync';
    const abort = new AbortController();
    const hung = { fetch: () => { setTimeout(() => abort.abort(), 20); return new Promise(() => {}); } };
    await info(hung, { signal: abort.signal }).catch((error) => console.log(error.code));
  `;
  assert.equal(run(program), 'GOSYNC_CANCELLED');
});

test('an exit in the middle of the work is clean', () => {
  const program = `
    import { index, info } from 'gosync';
    void info({ fetch: () => { process.exit(0); } });
    void index(new Uint8Array(400_000_000), { onProgress() {} });
  `;
  run(program);
});

test('threads of Node: the addon works in them, and survives their end in the middle of the work', async () => {
  const program = `
    const { parentPort } = require('node:worker_threads');
    const { index, info } = require('gosync');
    index(new Uint8Array(1000)).then((made) => {
      void info({ fetch: () => { parentPort.postMessage(made.root); return new Promise(() => {}); } });
      void index(new Uint8Array(100_000_000), { onProgress() {}, onEvent() {} });
    });
  `;
  const wanted = (await gosync.index(new Uint8Array(1000))).root;
  for (let i = 0; i < 5; i += 1) {
    const worker = new Worker(program, { eval: true });
    const root = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    assert.equal(root, wanted);
    await worker.terminate();
  }
  assert.equal((await gosync.index(new Uint8Array(1000))).root, wanted);
});

test('a loaded library with the same names is not called', { skip: process.platform !== 'linux' && 'needs LD_PRELOAD' }, async () => {
  const at = await folder();
  const code = '#include <unistd.h>\n' + ['gosync_version', 'gosync_status_name', 'gosync_cancel_new', 'gosync_index_build_from_memory']
    .map((name) => `void *${name}(void) { _exit(98); }`).join('\n');
  await writeFile(at('other.c'), code);
  execFileSync('cc', ['-shared', '-fPIC', '-o', at('other.so'), at('other.c')]);
  const program = `
    import { errorKinds, index, version } from 'gosync';
    await index(new Uint8Array(1000));
    console.log(version, errorKinds[0].name);
  `;
  assert.equal(run(program, { LD_PRELOAD: at('other.so') }), `${gosync.version} ARGUMENT`);
});
