// A program of its own for `sources.test`: updates a target, reading index and content through own sources; an index by
// URL is left to the library.

import { openSync, readSync } from 'node:fs';

import { update } from 'gosync';

const [target = '', index = '', content = ''] = process.argv.slice(2);

function file(path: string) {
  const handle = openSync(path, 'r');
  return {
    readAt(offset: number, length: number) {
      const buffer = new Uint8Array(length);
      return buffer.subarray(0, readSync(handle, buffer, 0, length, offset));
    },
  };
}

await update({ target, index: index.startsWith('http') ? index : file(index), source: file(content) });
