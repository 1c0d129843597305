// How servers are talked to, what a plan reckons with, and that no secret is shown.

import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { info, plan, update, verify, type Plan } from 'gosync';

import { failure, readAt, serve, versions } from './helpers.mjs';

/** Two versions, the new one and its index on a server; the heads of the requests. */
async function published() {
  const made = await versions();
  const heads: IncomingHttpHeaders[] = [];
  const base = await serve({ '/new.bin.gosync': made.indexBytes, '/new.bin': made.fresh }, heads);
  return { ...made, heads, base, url: `${base}/new.bin.gosync` };
}

test('a plan reckons with what it is told', async () => {
  const made = await versions();
  const at = (assumeRate: number): Promise<Plan> => plan({ target: made.target, index: made.index, source: made.fresh, assumeRtt: 100.5, assumeRate });
  const [slow, fast] = [await at(100_000), await at(12_500_000)];
  for (const planned of [slow, fast]) {
    assert.ok(planned.strategy === 'ranges' || planned.strategy === 'whole');
    assert.ok(Math.abs((planned.roundTrip ?? 0) - 100.5) < 0.001, `${planned.roundTrip}`);
    assert.notEqual(planned.reason, '');
  }
  assert.deepEqual([slow.rate, fast.rate], [100_000, 12_500_000]);
  assert.ok(slow.time! > fast.time! && fast.time! > 100, `${slow.time} ${fast.time}`);
  assert.ok(slow.timeWhole! > slow.time!);
  const right = await plan({ target: made.at('new.bin'), index: made.index, source: made.fresh, assumeRtt: 1, assumeRate: 1000 });
  assert.deepEqual([right.strategy, right.upToDate, right.time, right.timeWhole], ['local', true, undefined, undefined]);
});

test('all options together', async () => {
  const made = await published();
  const opening = { maxIndexSize: 1 << 20, retries: 2, connections: 1, timeout: 20_000, connectTimeout: 20_000, firstByteTimeout: 20_000, stallTimeout: 20_000, proxy: '', noProxy: '*', rateLimit: 100_000_000 };
  assert.equal((await info(made.url, opening)).root, made.index.root);
  await update({ target: made.target, index: made.url, maxGap: 4096, ...opening });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
});

test('what cannot be is refused', async () => {
  const made = await versions(10_000);
  const good = { target: made.target, index: made.index, source: made.fresh };
  const bad: [string, () => Promise<unknown>][] = [
    ['headers', () => update({ ...good, headers: 'Name: value' })],
    ['headers', () => update({ ...good, headers: [7 as never] })],
    ['headers', () => update({ ...good, headers: ['a\0b'] })],
    ['mirrors', () => update({ ...good, mirrors: made.target })],
    ['mirrors', () => update({ ...good, mirrors: made.fresh as never })],
    ['mirrors', () => update({ ...good, mirrors: [7 as never] })],
    ['user', () => update({ ...good, user: 7 as never })],
    ['bearer', () => info(made.indexBytes, { bearer: 'a\0b' })],
    ['proxy', () => info(made.indexBytes, { proxy: 7 as never })],
    ['noProxy', () => info(made.indexBytes, { noProxy: ['host'] as never })],
    ['caFile', () => info(made.indexBytes, { caFile: '' })],
    ['indexCache', () => info(made.indexBytes, { indexCache: new URL('http://localhost/x') })],
    ['rateLimit', () => info(made.indexBytes, { rateLimit: '10MB' as never })],
    ['stallTimeout', () => info(made.indexBytes, { stallTimeout: -1 })],
    ['assumeRtt', () => plan({ ...good, assumeRtt: Number.NaN })],
    ['assumeRate', () => plan({ ...good, assumeRate: 0.5 })],
    ['maxGap', () => plan({ ...good, maxGap: -1 })],
  ];
  for (const [argument, attempt] of bad) {
    const error = await failure(attempt());
    assert.equal(error.code, 'GOSYNC_ARGUMENT', `${argument}: ${error.message}`);
    assert.equal(error.context['argument'], argument);
  }
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
});

test('the origin is shown without secrets', async () => {
  const made = await published();
  const opened = await info(`${made.url.replace('http://', 'http://name:hunter2@')}?token=hunter2`);
  assert.equal(opened.origin, made.url);
  await update({ target: made.target, index: opened });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.ok(made.heads.every((head) => head.authorization?.startsWith('Basic ')));
});

test('credentials arrive', async () => {
  const made = await published();
  const heard: unknown[] = [];
  const headers = new Set(['X-One: hunter2-one', 'X-Two: hunter2-two']);
  await update({ target: made.target, index: made.url, bearer: 'hunter2', headers, onEvent: (event) => heard.push(event) });
  assert.ok(made.heads.length >= 2);
  for (const head of made.heads) {
    assert.deepEqual([head.authorization, head['x-one'], head['x-two']], ['Bearer hunter2', 'hunter2-one', 'hunter2-two']);
  }
  assert.ok(!JSON.stringify(heard).includes('hunter2'));
  made.heads.length = 0;
  await info(made.url, { user: 'name:hunter2' });
  assert.ok(made.heads.every((head) => head.authorization === 'Basic bmFtZTpodW50ZXIy'));
});

test('a CA file that cannot be read is a clear error', async () => {
  const made = await published();
  const error = await failure(info(made.url, { caFile: pathToFileURL(made.at('missing.pem')) }));
  assert.equal(error.code, 'GOSYNC_NOT_FOUND');
  assert.ok(error.message.includes('missing.pem'), error.message);
});

test('an expected root', async () => {
  const made = await published();
  const other = '0'.repeat(64);
  for (const index of [made.index, made.indexBytes, made.url]) {
    for (const call of [() => info(index, { expect: other }), () => update({ target: made.target, index, expect: other }),
      () => plan({ target: made.target, index, expect: other }), () => verify({ target: made.target, index, expect: other })]) {
      const error = await failure(call());
      assert.equal(error.code, 'GOSYNC_MISMATCH');
      assert.equal(error.context['expected'], other);
    }
    assert.equal((await info(index, { expect: made.index.root })).root, made.index.root);
  }
  assert.equal((await failure(info(made.url, { expect: 'af13' }))).code, 'GOSYNC_ARGUMENT');
});

test('mirrors stand in, also several of the caller\'s own', async () => {
  const made = await published();
  const reads: number[] = [0, 0];
  const counted = (number: number) => ({
    readAt(offset: number, length: number) {
      reads[number]! += 1;
      return readAt(made.fresh).readAt(offset, length);
    },
  });
  const broken = { readAt: (): never => { throw new Error('the disk is on fire'); } };
  await update({ target: made.target, index: made.index, source: broken, mirrors: [`${made.base}/missing`, counted(0), counted(1)] });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  assert.ok(reads[0]! + reads[1]! > 0);
});

test('a kept index is one conditional request', async () => {
  const made = await published();
  for (let i = 0; i < 2; i += 1) {
    made.heads.length = 0;
    assert.equal((await info(made.url, { indexCache: made.at('kept') })).root, made.index.root);
  }
  assert.deepEqual(made.heads.map((head) => head['if-none-match']), ['"1"']);
});
