// What the tests share: folders, bytes, a server.

import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

import { index, type GosyncError } from 'gosync';

/** Bytes that are the same for the same name. */
export function noise(name: string, length: number): Uint8Array {
  if (length === 0) {
    return new Uint8Array(0);
  }
  return createHash('shake256', { outputLength: length }).update(name).digest();
}

/** `data` with small changes spread over it. */
export function edited(data: Uint8Array, edits: number): Uint8Array {
  const copy = Uint8Array.from(data);
  for (let i = 0; i < edits; i += 1) {
    const at = Math.floor(((i + 0.5) / edits) * copy.length);
    copy[at] = (copy[at] ?? 0) ^ 0xff;
  }
  return copy;
}

/** A new folder that is gone after the tests of the file. */
export async function folder(): Promise<(name: string) => string> {
  const path = await mkdtemp(join(tmpdir(), 'gosync-node-'));
  after(() => rm(path, { recursive: true, force: true }));
  return (name) => join(path, name);
}

/** An old and a new version, the new one published with an index beside it. */
export async function versions(length = 3 * 1024 * 1024 + 77, edits = 5) {
  const at = await folder();
  const fresh = noise('new', length);
  const old = edited(fresh, edits);
  const target = at('target');
  await writeFile(at('new.bin'), fresh);
  await writeFile(target, old);
  const made = await index(at('new.bin'));
  await made.save(at('new.bin.gosync'));
  return { at, target, fresh, old, index: made, indexBytes: await made.toBytes() };
}

/** Reads `data` as a source of the caller's own. */
export function readAt(data: Uint8Array) {
  return { readAt: (offset: number, length: number) => data.subarray(offset, offset + length) };
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<GosyncError> {
  try {
    await promise;
  } catch (error) {
    return error as GosyncError;
  }
  throw new Error('this should have failed');
}

/** An HTTP server on loopback that knows single ranges; puts the headers of each request into `heads`. */
export async function serve(files: Record<string, Uint8Array>, heads: IncomingHttpHeaders[] = []): Promise<string> {
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    heads.push(request.headers);
    const data = files[(request.url ?? '').replace(/\?.*/, '')];
    if (!data) {
      response.writeHead(404).end();
      return;
    }
    if (request.headers['if-none-match'] === '"1"') {
      response.writeHead(304, { etag: '"1"' }).end();
      return;
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    if (!range) {
      response.writeHead(200, { etag: '"1"', 'accept-ranges': 'bytes', 'content-length': data.length }).end(data);
      return;
    }
    const from = Number(range[1]);
    const to = Math.min(range[2] ? Number(range[2]) : data.length - 1, data.length - 1);
    if (from > to) {
      response.writeHead(416, { 'content-range': `bytes */${data.length}` }).end();
      return;
    }
    response.writeHead(206, { etag: '"1"', 'content-range': `bytes ${from}-${to}/${data.length}`, 'content-length': to - from + 1 });
    response.end(data.subarray(from, to + 1));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
