// The vectors that all languages run. Where they are is said by GOSYNC_VECTORS; without them this fails.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { errorKinds, GosyncError, index, info, type ErrorKind, type ErrorKindInfo } from 'gosync';

import { failure } from './helpers.mjs';

async function vectors<T>(name: string): Promise<T> {
  const folder = process.env['GOSYNC_VECTORS'];
  assert.ok(folder, 'GOSYNC_VECTORS is not set');
  return JSON.parse(await readFile(join(folder, name), 'utf8')) as T;
}

test('errors: numbers, names and what may be tried again', async () => {
  const { errors } = await vectors<{ errors: ErrorKindInfo[] }>('errors.json');
  assert.ok(errors.length > 0);
  assert.deepEqual(errorKinds, errors.map(({ number, name, retryable }) => ({ number, name, retryable })));
  // The type lists the same names: this object does not compile with one too many or too few.
  const names: Record<ErrorKind, true> = {
    ARGUMENT: true, STATE: true, CANCELLED: true,
    IO: true, NOT_FOUND: true, PERMISSION: true, NO_SPACE: true,
    SOURCE: true, SOURCE_TEMPORARY: true, SOURCE_CHANGED: true, SOURCE_UNSUPPORTED: true, TIMEOUT: true,
    FORMAT: true, VERSION: true, LIMIT: true, MISMATCH: true,
    INTERNAL: true,
  };
  assert.deepEqual(Object.keys(names), errors.map((error) => error.name));
  for (const { name, retryable } of errors) {
    const made = new GosyncError(name, 'a line');
    assert.deepEqual([made.code, made.kind, made.retryable], [`GOSYNC_${name}`, name, retryable]);
  }
});

test('index: the same bytes for the same content', async () => {
  interface Vector {
    length: number;
    block_size: number;
    format: 'gosync' | 'legacy';
    root: string | null;
    encoded_size: number;
    encoded_blake3: string;
  }
  const all = await vectors<Vector[]>('index.json');
  assert.ok(all.length > 0);
  for (const vector of all) {
    const content = Uint8Array.from({ length: vector.length }, (_, i) => i % 251);
    const made = await index(content, { blockSize: vector.block_size, source: '', format: vector.format });
    const name = `${vector.format}, length ${vector.length}, block size ${vector.block_size}`;
    assert.equal(made.root, vector.root ?? undefined, name);
    assert.equal(made.format, vector.format, name);
    assert.equal(made.encodedSize, vector.encoded_size, name);
    const bytes = await made.toBytes();
    assert.equal(bytes.length, vector.encoded_size, name);
    // The root of an index over these bytes is their BLAKE3.
    assert.equal((await index(bytes)).root, vector.encoded_blake3, name);
  }
});

test('bad indexes: one clear error each', async () => {
  const all = await vectors<{ name: string; hex: string; error: string }[]>('bad_index.json');
  assert.ok(all.length > 0);
  for (const { name, hex, error } of all) {
    const found = await failure(info(Buffer.from(hex, 'hex')));
    assert.equal(found.code, `GOSYNC_${error}`, name);
  }
});
