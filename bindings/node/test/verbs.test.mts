// The five verbs, on files, bytes and URLs.

import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { Index, index, info, plan, update, verify, version } from 'gosync';

import { edited, failure, folder, noise, serve, versions } from './helpers.mjs';

test('the version is the one of the package', async () => {
  const description = JSON.parse(await readFile(new URL('../../node_modules/gosync/package.json', import.meta.url), 'utf8')) as { version: string };
  assert.equal(version, description.version);
});

test('an old file becomes the new one, and only what changed is fetched', async () => {
  const made = await versions();
  const planned = await plan({ target: made.target, index: made.index, source: made.fresh });
  assert.equal(planned.total, made.fresh.length);
  assert.equal(planned.upToDate, false);
  assert.equal(planned.fromSeeds + planned.missing, planned.total);
  assert.ok(planned.missing > 0 && planned.missing < planned.total / 2, `missing: ${planned.missing}`);
  assert.ok(planned.ranges >= 1 && planned.toFetch >= planned.missing && planned.indexSize > 0);
  let end = 0;
  for (const piece of planned.pieces) {
    assert.equal(piece.targetOffset, end);
    end += piece.length;
    assert.equal(piece.isMissing, !('seed' in piece));
  }
  assert.equal(end, planned.total);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old), 'a plan changes nothing');

  const statistics = await update({ target: made.target, index: made.index, source: made.fresh });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.equal(statistics.total, made.fresh.length);
  assert.equal(statistics.fromSeeds + statistics.fetched, statistics.total);
  assert.ok(statistics.fetched < statistics.total / 2);
  assert.ok(statistics.requests >= 1);
  assert.equal(statistics.upToDate, false);
  assert.deepEqual([statistics.proof, statistics.root], ['root', made.index.root]);
  assert.notEqual(statistics.reason, '');
  assert.deepEqual((await readdir(dirname(made.target))).sort(), ['new.bin', 'new.bin.gosync', 'target']);

  const again = await update({ target: made.target, index: made.index, source: made.fresh });
  assert.equal(again.upToDate, true);
  assert.equal(again.fetched, 0);
});

test('the format of the ancestor', async () => {
  const made = await versions();
  const legacy = await index(made.at('new.bin'), { format: 'legacy', blockSize: 1000 });
  assert.deepEqual([legacy.format, legacy.blockSize, legacy.root, legacy.source], ['legacy', 1000, undefined, undefined]);
  await legacy.save(made.at('old.gosync'));
  assert.equal((await readFile(made.at('old.gosync'))).toString('latin1', 0, 6), 'G0S9NC');
  assert.equal((await info(made.at('old.gosync'))).format, 'legacy');
  assert.equal(made.index.format, 'gosync');
  const options = { target: made.target, index: made.at('old.gosync'), source: made.fresh };
  const planned = await plan(options);
  assert.equal((await failure(update({ ...options, expect: '0'.repeat(64) }))).code, 'GOSYNC_MISMATCH');
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
  const done = await update({ ...options, expect: made.index.root });
  assert.deepEqual([done.proof, done.fetched, done.indexSize], ['blocks-md5', planned.missing, legacy.encodedSize]);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.equal((await verify(options)).isMatch, true);
  assert.equal((await failure(index(made.fresh, { format: 'legacy', topSize: 65_536 }))).code, 'GOSYNC_ARGUMENT');
});

test('the levels can be given', async () => {
  const made = await index(noise('levels', 1_000_000), { blockSize: 4096, topSize: 131_072 });
  assert.deepEqual([made.blockSize, made.topSize], [4096, 131_072]);
  assert.equal((await failure(index(noise('levels', 10), { topSize: 65_537 }))).code, 'GOSYNC_ARGUMENT');
});

test('the source may be left out where the index names one', async () => {
  const made = await versions();
  await update({ target: made.target, index: made.at('new.bin.gosync') });
  assert.equal(made.index.source, 'new.bin');
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
});

test('seeds help, and the target need not exist', async () => {
  const made = await versions();
  const target = pathToFileURL(made.at('elsewhere'));
  const seeds = new Set([made.target, pathToFileURL(made.target)]);
  const statistics = await update({ target, index: pathToFileURL(made.at('new.bin.gosync')), source: pathToFileURL(made.at('new.bin')), seeds });
  assert.deepEqual(await readFile(target), Buffer.from(made.fresh));
  assert.ok(statistics.fromSeeds > statistics.total / 2);
  const parts = made.at('parts');
  await mkdir(parts);
  await writeFile(join(parts, 'new'), made.fresh);
  const { missing } = await plan({ target: made.at('none yet'), index: made.index, source: made.fresh, seeds: [parts] });
  assert.equal(missing, 0);
});

test('what is at the target can be ignored', async () => {
  const made = await versions();
  const statistics = await update({ target: made.target, index: made.index, source: made.fresh, ignoreTarget: true, thorough: true, replaceTimeout: 1_000, moveAside: true });
  assert.equal(statistics.fromSeeds, 0);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
});

test('by URL', async () => {
  const made = await versions();
  const base = await serve({ '/v2/new.bin.gosync': made.indexBytes, '/v2/new.bin': made.fresh });
  const statistics = await update({ target: made.target, index: new URL(`${base}/v2/new.bin.gosync`), connections: 2, timeout: 10_000 });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.ok(statistics.fetched < statistics.total / 2);
  assert.equal((await info(`${base}/v2/new.bin.gosync`)).root, made.index.root);
});

test('all options together', async () => {
  const made = await versions();
  const options = { threads: 1, maxRequests: 2, maxBytesInFlight: 256 * 1024, retries: 0, timeout: 20_000, maxIndexSize: 1 << 20, connections: 1 };
  await update({ target: made.target, index: made.indexBytes, source: made.fresh, allowAnySource: true, ...options });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
});

test('an index says what the target is, by whatever way it comes', async () => {
  const made = await versions();
  const fromBytes = await index(made.fresh, { source: 'new.bin' });
  assert.equal(fromBytes.root, made.index.root);
  assert.match(fromBytes.root ?? '', /^[0-9a-f]{64}$/);
  assert.equal(fromBytes.length, made.fresh.length);
  assert.equal(fromBytes.source, 'new.bin');
  assert.equal(fromBytes.encodedSize, (await fromBytes.toBytes()).length);
  assert.equal(fromBytes.blockCount, Math.ceil(made.fresh.length / fromBytes.blockSize));
  assert.equal(fromBytes.unitCount, Math.ceil(made.fresh.length / 65536));
  assert.deepEqual(Buffer.from(await fromBytes.toBytes()), await readFile(made.at('new.bin.gosync')));
  for (const way of [made.at('new.bin.gosync'), made.indexBytes, made.index]) {
    const opened = await info(way);
    assert.ok(opened instanceof Index);
    assert.equal(opened.root, made.index.root);
    assert.deepEqual(await opened.toBytes(), made.indexBytes);
  }
  assert.equal((await Index.open(made.at('new.bin.gosync'))).origin, made.at('new.bin.gosync'));
  assert.equal((await index(made.fresh, { blockSize: 4096, threads: 2, source: '' })).blockSize, 4096);
});

test('verify finds what is wrong', async () => {
  const made = await versions();
  const found = await verify({ target: made.target, index: made.index, threads: 1 });
  assert.equal(found.isMatch, false);
  assert.equal(found.expectedLength, made.fresh.length);
  assert.equal(found.length, made.old.length);
  assert.ok(found.damaged.length >= 1);
  assert.deepEqual(await made.index.verify(made.target), found);
  const right = await verify({ target: made.at('new.bin'), index: made.indexBytes });
  const length = made.fresh.length;
  assert.deepEqual(right, { isMatch: true, length, expectedLength: length, damaged: [], differences: [], unfinished: false });
});

test('verify knows of an update in place that was not finished, wherever its journal is', async () => {
  const made = await versions();
  const journal = made.at('journal');
  await writeFile(journal, 'anything');
  const given = { target: made.target, index: made.index };
  assert.equal((await verify(given)).unfinished, false);
  assert.equal((await verify({ ...given, journal })).unfinished, true);
  assert.equal((await made.index.verify(made.target, { journal })).unfinished, true);
});

test('targets of every critical length', async () => {
  const at = await folder();
  const block = 2048;
  for (const length of [0, 1, 1023, 1024, 1025, block - 1, block, block + 1, 2 * block, 3 * block + 1, 65535, 65536, 65537]) {
    const fresh = noise(`length ${length}`, length);
    const target = at(`t${length}`);
    await writeFile(target, edited(noise('older and longer', length + 10_000), 3));
    const made = await index(fresh, { blockSize: block });
    await update({ target, index: made, source: fresh });
    assert.deepEqual(await readFile(target), Buffer.from(fresh), `length ${length}`);
    assert.equal((await verify({ target, index: made })).isMatch, true);
  }
});

test('a failed update leaves what was there', async () => {
  const made = await versions();
  const error = await failure(update({ target: made.target, index: made.index, source: noise('another file', made.fresh.length) }));
  assert.equal(error.code, 'GOSYNC_MISMATCH');
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
});

test('an update in place writes what has changed', async () => {
  const made = await versions();
  const changed = Uint8Array.from(made.fresh);
  changed[700_000] = (changed[700_000] ?? 0) ^ 1;
  await writeFile(made.target, changed);
  const before = await stat(made.target);
  const statistics = await update({ target: made.target, index: made.index, source: made.fresh, inPlace: true, journal: made.at('elsewhere') });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.equal((await stat(made.target)).ino, before.ino);
  assert.ok(statistics.written > 0 && statistics.written <= 65536, `written: ${statistics.written}`);
  assert.deepEqual((await readdir(dirname(made.target))).sort(), ['new.bin', 'new.bin.gosync', 'target']);
});
