// The door for `require`: its types and its values, in a program that is CommonJS.

import assert = require('node:assert/strict');
import test = require('node:test');

import gosync = require('gosync');

test('a CommonJS program has the types and the values', async () => {
  const made: gosync.Index = await gosync.index(new Uint8Array(1000));
  const found: Promise<gosync.Index> = gosync.info(await made.toBytes());
  assert.equal((await found).root, made.root);
  await assert.rejects(gosync.info(new Uint8Array(5)), (error) => error instanceof gosync.GosyncError && error.kind === 'FORMAT');
});
