// Name, version and signature of an index, as a publisher gives them and a receiver demands them.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';

import { index, info, plan, update, verify } from 'gosync';

import { failure, versions } from './helpers.mjs';

// Encrypted with the password "secret" and less work than minisign's program takes.
const SECRET_KEY = `untrusted comment: minisign encrypted secret key
RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AgAAAAAAAAAAAAAEAAAAALbYG5ELogTnCyOVXf+PdjNDUyg0ssU4OmETtY5lyf/Sx35nwyZd257MUtWxVBkeGcLYOIB8L9z3KcaI8NthxysBiiKclaZa00ZbzDkkawWPjPfTAAmxHC+NmNkRc+WCqevrEhP3ucg4=
`;
const PUBLIC_KEY = 'RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB';

test('a demanded signature is checked everywhere', async () => {
  const { at, target, fresh, index: unsigned, indexBytes } = await versions();
  await writeFile(at('key'), SECRET_KEY);
  const signed = await index(at('new.bin'), { name: 'app', version: '2.0', sign: at('key'), signPassword: 'secret' });
  assert.ok(signed.signature?.startsWith('untrusted comment: '));
  assert.deepEqual([unsigned.name, unsigned.version, unsigned.signature], [undefined, undefined, undefined]);
  for (const given of [unsigned, indexBytes]) {
    const options = { target, index: given, source: fresh, publicKey: PUBLIC_KEY };
    for (const call of [() => info(given, { publicKey: PUBLIC_KEY }), () => plan(options), () => update(options), () => verify(options)]) {
      assert.equal((await failure(call())).code, 'GOSYNC_MISMATCH');
    }
  }
  const publicKey = `untrusted comment: a public key\n${PUBLIC_KEY}\n`;
  const opened = await info(await signed.toBytes(), { publicKey });
  assert.deepEqual([opened.name, opened.version, opened.signature], ['app', '2.0', signed.signature]);
  await update({ target, index: opened, source: fresh, publicKey });
  assert.deepEqual(await readFile(target), Buffer.from(fresh));
});

test('keys that are none are argument errors', async () => {
  const { at, indexBytes } = await versions();
  assert.equal((await failure(info(indexBytes, { publicKey: 'RWTz' }))).code, 'GOSYNC_ARGUMENT');
  await writeFile(at('key'), SECRET_KEY);
  for (const signPassword of [undefined, 'wrong']) {
    const error = await failure(index(at('new.bin'), { sign: at('key'), signPassword }));
    assert.equal(error.code, 'GOSYNC_ARGUMENT');
    assert.match(error.message, /password/);
  }
});
