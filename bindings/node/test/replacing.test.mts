// What becomes of the file whose place a new one takes: what the new one has of it, and links that lead to it.

import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';

import { index, update } from 'gosync';

import { failure, folder, versions } from './helpers.mjs';

const skip = process.platform === 'win32' ? 'there are no such modes, and making links may be forbidden' : false;

async function mode(path: string): Promise<number> {
  return (await stat(path)).mode & 0o7777;
}

test('the mode of a replaced file is kept or not', { skip }, async () => {
  for (const [keep, isKept] of [[undefined, true], ['mode', true], ['none', false], ['times', false]] as const) {
    const made = await versions(200_000);
    await writeFile(made.at('fresh'), '');
    await chmod(made.target, 0o604);
    assert.notEqual(await mode(made.at('fresh')), 0o604);
    // What else there is to set has an effect on Windows alone, and is no error elsewhere.
    await update({ target: made.target, index: made.index, source: made.fresh, keep, replaceTimeout: 500, moveAside: true });
    assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
    assert.equal(await mode(made.target), isKept ? 0o604 : await mode(made.at('fresh')), keep);
  }
});

test('the mode of a replaced file in a directory is kept or not', { skip }, async () => {
  for (const [keep, isKept] of [[undefined, true], ['none', false]] as const) {
    const at = await folder();
    for (const [name, text] of [['app', 'new'], ['copy', 'old']] as const) {
      await mkdir(at(name));
      await writeFile(at(`${name}/file`), text);
    }
    await chmod(at('copy/file'), 0o604);
    await (await index(at('app'))).save(at('app.gosync'));
    await update({ target: at('copy'), index: at('app.gosync'), keep });
    assert.equal(await readFile(at('copy/file'), 'utf8'), 'new');
    assert.equal(await mode(at('copy/file')), isKept ? 0o604 : await mode(at('app/file')), keep);
  }
});

test('what cannot be kept is a wrong argument', async () => {
  const made = await versions(200_000);
  const error = await failure(update({ target: made.target, index: made.index, source: made.fresh, keep: 'mode,colour' }));
  assert.equal(error.code, 'GOSYNC_ARGUMENT');
  assert.match(error.message, /keep/);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
});

test('a link is refused or followed', { skip }, async () => {
  const made = await versions(200_000);
  const target = made.at('link');
  await symlink('target', target);
  const error = await failure(update({ target, index: made.index, source: made.fresh, refuseSymlink: true }));
  assert.deepEqual([error.code, error.kind, error.context['path']], ['GOSYNC_ARGUMENT', 'ARGUMENT', target]);
  assert.deepEqual(await readFile(made.target), Buffer.from(made.old));
  await update({ target, index: made.index, source: made.fresh });
  assert.ok((await lstat(target)).isSymbolicLink());
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
  // What is no link is not refused.
  await writeFile(made.target, made.old);
  await update({ target: made.target, index: made.index, source: made.fresh, refuseSymlink: true });
  assert.deepEqual(await readFile(made.target), Buffer.from(made.fresh));
});
