// The example program, run as its head says.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { versions } from './helpers.mjs';

const program = fileURLToPath(new URL('../../update.mjs', import.meta.url));
const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', timeout: 20_000 });

test('the example updates a file and says what it did', async () => {
  const made = await versions();
  const child = run(made.target, made.at('new.bin.gosync'));
  assert.equal(child.status, 0, child.stderr);
  assert.match(child.stdout, new RegExp(`^RESULT total=${made.fresh.length} from_seeds=\\d+ fetched=\\d+ .*proof=root\\n$`));
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  const elsewhere = run(made.at('elsewhere'), made.at('new.bin.gosync'), made.at('new.bin'), made.target);
  assert.equal(elsewhere.status, 0, elsewhere.stderr);
  assert.match(elsewhere.stdout, / fetched=0 /);
});

test('the example says what went wrong', async () => {
  const made = await versions(10_000);
  const child = run(made.target, made.at('nothing.gosync'));
  assert.equal(child.status, 1);
  assert.match(child.stderr, /update: .*nothing\.gosync/);
  assert.equal(child.stdout, '');
  assert.equal(run().status, 2);
});
