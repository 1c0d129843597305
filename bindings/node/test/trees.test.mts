// Directories: described, compared and updated.

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { index, plan, prune, update, verify } from 'gosync';

import { failure } from './helpers.mjs';

type Entry =
  | { path: string; kind: 'directory' }
  | { path: string; kind: 'symlink'; target: string }
  | { path: string; kind: 'file' | 'program'; from: number; length: number };

async function make(entries: readonly Entry[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gosync-tree-'));
  for (const entry of entries) {
    const path = join(folder, entry.path);
    if (entry.kind === 'directory') {
      await mkdir(path);
    } else if (entry.kind === 'symlink') {
      await symlink(entry.target, path);
    } else {
      await writeFile(path, Uint8Array.from({ length: entry.length }, (_, i) => (entry.from + i) % 251));
      await chmod(path, entry.kind === 'program' ? 0o755 : 0o644);
    }
  }
  return folder;
}

test('directories are what the vectors say', async () => {
  interface Vector {
    name: string;
    block_size: number;
    entries: Entry[];
    entry_count: number;
    length: number;
    root: string;
    encoded_size: number;
    encoded_blake3: string;
  }
  const folder = process.env['GOSYNC_VECTORS'];
  assert.ok(folder, 'GOSYNC_VECTORS is not set');
  const all = JSON.parse(await readFile(join(folder, 'tree.json'), 'utf8')) as Vector[];
  assert.ok(all.length > 0);
  for (const vector of all) {
    if (process.platform === 'win32' && vector.entries.some(({ kind }) => kind === 'program' || kind === 'symlink')) {
      continue;
    }
    const made = await make(vector.entries);
    const described = await index(made, { blockSize: vector.block_size, source: '' });
    assert.equal(described.kind, 'tree', vector.name);
    assert.deepEqual([described.entryCount, described.root, described.length], [vector.entry_count, vector.root, vector.length]);
    const bytes = await described.toBytes();
    assert.equal(bytes.length, vector.encoded_size, vector.name);
    assert.equal((await index(bytes)).root, vector.encoded_blake3, vector.name);
    assert.equal((await verify({ target: made, index: bytes })).isMatch, true, vector.name);
    await rm(made, { recursive: true });
  }
});

test('modes and times that an index says are set', async () => {
  const folder = await make([{ path: 'a', kind: 'file', from: 1, length: 5000 }]);
  const time = new Date(10 ** 12);
  await utimes(join(folder, 'a'), time, time);
  const hasModes = process.platform !== 'win32';
  if (hasModes) await chmod(join(folder, 'a'), 0o640);
  const described = await index(folder, { times: true, modes: hasModes });
  const target = `${folder}-made`;
  await update({ target, index: described, source: Uint8Array.from({ length: 5000 }, (_, i) => (i + 1) % 251) });
  const made = await stat(join(target, 'a'));
  assert.equal(made.mtimeMs, time.getTime());
  if (hasModes) assert.equal(made.mode & 0o7777, 0o640);
  await utimes(join(target, 'a'), new Date(0), new Date(0));
  assert.deepEqual((await described.verify(target)).differences, [{ path: 'a', what: 'time', damaged: [] }]);
  await rm(target, { recursive: true });
});

test('a directory that differs is told entry by entry', async () => {
  const file = (path: string): Entry => ({ path, kind: 'file', from: 1, length: 5000 });
  const folder = await make([file('a'), file('b'), file('c.log')]);
  const described = await index(folder, { exclude: ['*.log'] });
  const right = await described.verify(folder);
  assert.deepEqual([right.isMatch, right.differences], [true, [{ path: 'c.log', what: 'extra', damaged: [] }]]);
  await writeFile(join(folder, 'a'), Uint8Array.from({ length: 5000 }, (_, i) => (i < 4096 ? (i + 1) % 251 : 0)));
  await rm(join(folder, 'b'));
  const found = await verify({ target: folder, index: described });
  assert.equal(found.isMatch, false);
  assert.deepEqual(found.differences, [
    { path: 'a', what: 'changed', damaged: [{ offset: 4096, length: 904 }] },
    { path: 'b', what: 'missing', damaged: [] },
    { path: 'c.log', what: 'extra', damaged: [] },
  ]);
  // The source has the payload: each content once, and both files have the same one.
  const source = Uint8Array.from({ length: 5000 }, (_, i) => (i + 1) % 251);
  // What is not installed helps all the same: here is nothing of it any more.
  await writeFile(join(folder, 'a'), new Uint8Array(5000));
  await writeFile(join(folder, 'c.log'), 'a log');
  const planned = await plan({ target: folder, index: described, source });
  assert.ok(planned.missing > 0);
  assert.deepEqual(
    planned.changes.map(({ path, what, from, size }) => [path, what, from ?? null, size]),
    [
      ['a', 'changed', null, 5000],
      ['b', 'added', null, 5000],
    ],
  );
  const done = await update({ target: folder, index: described, source });
  assert.ok(done.fetched === source.length && !done.upToDate);
  assert.equal((await update({ target: folder, index: described, quick: true })).upToDate, true);
  assert.equal((await described.verify(folder)).differences.length, 1);
  await update({ target: folder, index: described, delete: true });
  assert.deepEqual((await described.verify(folder)).differences, []);
  assert.equal((await failure(update({ target: join(folder, 'a'), index: described }))).code, 'GOSYNC_ARGUMENT');
  await rm(folder, { recursive: true });
});

test('the contents of a directory are put into packs', async () => {
  const file = (path: string, from: number): Entry => ({ path, kind: 'file', from, length: 5000 });
  const folder = await make([file('a', 1), file('b', 2)]);
  const site = await mkdtemp(join(tmpdir(), 'gosync-site-'));
  const [content, saved] = [join(site, 'packs'), join(site, 'app.gosync')];
  const described = await index(folder, { content });
  assert.equal(described.source, 'packs');
  await described.save(saved);
  const [pack] = await readdir(content);
  assert.match(pack ?? '', /^[0-9a-f]{64}\.pack$/);
  await writeFile(join(folder, 'c'), 'new');
  await (await index(folder, { content, previous: saved })).save(saved);
  const packs = await readdir(content);
  assert.ok(packs.length === 2 && packs.includes(pack ?? ''));
  const copy = join(site, 'copy');
  const done = await update({ target: copy, index: saved });
  assert.ok(done.fetched > 0);
  assert.equal(await readFile(join(copy, 'c'), 'utf8'), 'new');
  assert.deepEqual(await prune(content, [saved]), { packs: 0, bytes: 0 });
  assert.equal((await prune(content, [])).packs, 2);
  assert.equal((await failure(prune(content, [join(site, 'none')]))).code, 'GOSYNC_NOT_FOUND');
  await rm(folder, { recursive: true });
  await rm(site, { recursive: true });
});
