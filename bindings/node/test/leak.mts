// Not part of the tests by name: run by `npm run test:leak` with --expose-gc. Repeats every kind of call and compares the
// memory of the process between two late moments; growth that follows the number of calls fails.

import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { GosyncError, index, info, plan, update, verify } from 'gosync';

const gc = (globalThis as { gc?: () => void }).gc;
if (!gc) {
  throw new Error('run with --expose-gc');
}
const ROUNDS = Number(process.env['GOSYNC_LEAK_ROUNDS'] ?? 300);
const ALLOWED = 16 * 1024 * 1024;

const fresh = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) % 251);
const old = fresh.with(150_000, 255);
const target = join(tmpdir(), `gosync-node-leak-${process.pid}`);
const made = await index(fresh);
const bytes = await made.toBytes();

async function round(): Promise<void> {
  await writeFile(target, old);
  const readAt = (offset: number, length: number) => fresh.subarray(offset, offset + length);
  const quiet = { onProgress() {}, onEvent() {} };
  await index(fresh, quiet);
  await plan({ target, index: bytes, ...quiet });
  await update({ target, index: { readAt: (offset, length) => bytes.subarray(offset, offset + length) }, source: { readAt }, ...quiet });
  await verify({ target, index: await info(bytes), ...quiet });
  await writeFile(target, old);
  const failures = [
    update({ target, index: made, source: { fetch: async () => { throw new Error('no'); } } }),
    update({ target, index: made, source: fresh, onProgress: () => { throw new Error('no'); } }),
  ];
  const abort = new AbortController();
  const hung = { fetch: () => (abort.abort(), new Promise<never>(() => {})) };
  failures.push(update({ target: `${target}.2`, index: made, source: hung, signal: abort.signal }));
  for (const result of await Promise.allSettled(failures)) {
    if (result.status !== 'rejected' || !(result.reason instanceof GosyncError)) {
      throw new Error('this should have failed with a GosyncError');
    }
  }
}

async function memory(): Promise<number> {
  for (let i = 0; i < 5; i += 1) {
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().rss;
}

for (let i = 0; i < ROUNDS; i += 1) {
  await round();
}
const before = await memory();
for (let i = 0; i < ROUNDS; i += 1) {
  await round();
}
const after = await memory();
await rm(target, { force: true });
await rm(`${target}.2`, { force: true });
const growth = after - before;
console.log(`${ROUNDS} rounds: ${(before / 1e6).toFixed(1)} MB, ${ROUNDS} more: ${(after / 1e6).toFixed(1)} MB`);
if (growth > ALLOWED) {
  throw new Error(`the process grew by ${(growth / 1e6).toFixed(1)} MB in ${ROUNDS} rounds`);
}
