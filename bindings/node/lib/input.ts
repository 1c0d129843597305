// What the caller passed becomes what the addon takes, or one clear error. Touches no file.

import { fileURLToPath } from 'node:url';

import type { OpenInput } from '#native';

import { badArgument } from './error.js';
import type { FetchSource, OpenOptions, ReadAtSource, Source, Watch } from './types.js';

/** @internal Refuses what is not an object of options. */
export function options<T extends object>(value: T | undefined, what: string): T {
  if (value === undefined) {
    return {} as T;
  }
  if (typeof value !== 'object' || value === null) {
    throw badArgument(`${what} must be an object`, what);
  }
  return value;
}

/** @internal A whole number from 0 on; `undefined` is the default. */
export function count(value: number | undefined, name: string, most = Number.MAX_SAFE_INTEGER): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > most) {
    throw badArgument(`${name} must be a whole number from 0 to ${most}`, name);
  }
  return value;
}

/** @internal As `count`, for what the library keeps in 32 bits. */
export function count32(value: number | undefined, name: string): number | undefined {
  return count(value, name, 2 ** 31 - 1);
}

/** @internal A number of milliseconds, of which fractions count; `undefined` is the default. */
export function duration(value: number | undefined, name: string): number | undefined {
  if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value) || value < 0)) {
    throw badArgument(`${name} must be a number of milliseconds from 0 on`, name);
  }
  return value;
}

/** @internal A switch; `undefined` is off. */
export function flag(value: boolean | undefined, name: string): boolean {
  if (value !== undefined && typeof value !== 'boolean') {
    throw badArgument(`${name} must be true or false`, name);
  }
  return value ?? false;
}

/** @internal Text that survives the way to the library: no half of a surrogate pair would, nor a zero byte. */
export function text(value: unknown, name: string): string {
  if (typeof value !== 'string') {
    throw badArgument(`${name} must be a string`, name);
  }
  if (/\p{Surrogate}|\0/u.test(value)) {
    throw badArgument(`${name} holds a zero byte or half of a surrogate pair`, name);
  }
  return value;
}

/** @internal A local path. */
export function path(value: unknown, name: string): string {
  if (value instanceof URL) {
    if (value.protocol !== 'file:') {
      throw badArgument(`${name} must be a path or a file: URL`, name);
    }
    try {
      return text(fileURLToPath(value), name);
    } catch (cause) {
      throw Object.assign(badArgument(`${name} is not the URL of a local file`, name), { cause });
    }
  }
  const found = text(value, name);
  if (found === '') {
    throw badArgument(`${name} is empty`, name);
  }
  return found;
}

/** @internal What `read` makes of each member of a list; none without a value. */
export function list<T, R>(value: Iterable<T> | undefined, name: string, what: string, read: (each: T, name: string) => R): R[] {
  if (value === undefined) {
    return [];
  }
  // A string is iterable too, but nobody means its letters; nor the numbers that bytes are.
  if (typeof value === 'string' || value instanceof Uint8Array || typeof value?.[Symbol.iterator] !== 'function') {
    throw badArgument(`${name} must be a list of ${what}`, name);
  }
  return Array.from(value, (each) => read(each, name));
}

/** @internal What `read` makes of a value; `undefined` is the default. */
export function maybe<T, R>(value: T | undefined, name: string, read: (value: T, name: string) => R): R | undefined {
  return value === undefined ? undefined : read(value, name);
}

/** @internal A source, sorted by how it is opened: exactly one member is set. */
export interface SortedSource {
  location?: string;
  bytes?: Uint8Array;
  own?: ReadAtSource | FetchSource;
}

/** @internal Sorts what may be a path, a URL, bytes or an object of the caller's own. */
export function source(value: Source, name: string): SortedSource {
  if (value instanceof Uint8Array) {
    return { bytes: value };
  }
  if (value instanceof URL) {
    return { location: value.protocol === 'file:' ? path(value, name) : text(value.href, name) };
  }
  if (typeof value === 'string') {
    return { location: path(value, name) };
  }
  const own = value as Partial<ReadAtSource & FetchSource> | null;
  if (typeof own === 'object' && own !== null && (typeof own.readAt === 'function' || typeof own.fetch === 'function')) {
    return { own: value };
  }
  throw badArgument(`${name} must be a path, a URL, a Uint8Array, or an object with readAt or fetch`, name);
}

/** @internal The members of `Watch`, checked. */
export function watch(value: Watch): Watch {
  const { signal, onProgress, onEvent } = value;
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.addEventListener !== 'function') {
    throw badArgument('signal must be an AbortSignal', 'signal');
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw badArgument('onProgress must be a function', 'onProgress');
  }
  if (onEvent !== undefined && typeof onEvent !== 'function') {
    throw badArgument('onEvent must be a function', 'onEvent');
  }
  return { signal, onProgress, onEvent };
}

/** @internal The members of `OpenOptions` that the addon takes. */
export function open(value: OpenOptions): OpenInput {
  return defined({
    maxIndexSize: count(value.maxIndexSize, 'maxIndexSize'),
    indexCache: maybe(value.indexCache, 'indexCache', path),
    expect: maybe(value.expect, 'expect', text),
    publicKey: maybe(value.publicKey, 'publicKey', text),
    retries: count32(value.retries, 'retries'),
    connections: count32(value.connections, 'connections'),
    timeout: count32(value.timeout, 'timeout'),
    connectTimeout: count32(value.connectTimeout, 'connectTimeout'),
    firstByteTimeout: count32(value.firstByteTimeout, 'firstByteTimeout'),
    stallTimeout: count32(value.stallTimeout, 'stallTimeout'),
    user: maybe(value.user, 'user', text),
    bearer: maybe(value.bearer, 'bearer', text),
    headers: list(value.headers, 'headers', 'strings', text),
    proxy: maybe(value.proxy, 'proxy', url),
    noProxy: maybe(value.noProxy, 'noProxy', text),
    caFile: maybe(value.caFile, 'caFile', path),
    rateLimit: count(value.rateLimit, 'rateLimit'),
  });
}

/** A URL as text. */
function url(value: string | URL, name: string): string {
  return text(value instanceof URL ? value.href : value, name);
}

/** @internal Leaves out what is not set: the addon takes an absent member for a default. */
export function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as never;
}
