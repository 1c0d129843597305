// Content of the caller's own as the library asks for it: requests come in as handles, are read by calls of `readAt` or
// `fetch`, and finished exactly once. Knows nothing of the work that the bytes are for.

import type * as native from '#native';

import { GosyncError, type ErrorKind } from './error.js';
import type { FetchSource, ReadAtSource } from './types.js';

/** Calls of the caller's code at the same time. */
const CALLS = 8;
/** What is asked for at once where the end is not known. */
const STEP = 1024 * 1024;
/** What is handed over at once: small beside the bytes that may be in flight, so that it fits soon. */
const SLICE = 256 * 1024;
/** How long to wait before offering again, should nobody say when. */
const PATIENCE = 50;

interface Open {
  readonly request: native.RequestHandle;
  readonly abort: AbortController;
  readonly wake: Set<() => void>;
}

/** @internal One object of the caller's, for one call of the library. */
export class OwnSource {
  readonly #source: ReadAtSource & Partial<FetchSource>;
  readonly #open = new Map<number, Open>();
  readonly #thrown = new Map<ErrorKind, unknown>();
  readonly #waiting: (() => void)[] = [];
  #free = CALLS;

  constructor(source: ReadAtSource | FetchSource) {
    this.#source = source as ReadAtSource & Partial<FetchSource>;
  }

  /** What the caller's code threw, if a call that ended with `kind` is due to that. */
  cause(kind: ErrorKind): { value: unknown } | undefined {
    return this.#thrown.has(kind) ? { value: this.#thrown.get(kind) } : undefined;
  }

  /** The library asks for ranges. */
  fetch(request: native.RequestHandle): void {
    const open: Open = { request, abort: new AbortController(), wake: new Set() };
    this.#open.set(request.id, open);
    this.#answer(open).then(
      () => this.#finish(open),
      (error: unknown) => this.#fail(open, error),
    );
  }

  /** The answer is no longer wanted. Whatever the caller's code still does, the request ends here. */
  cancel(id: number): void {
    const open = this.#open.get(id);
    if (open) {
      this.#finish(open, 'CANCELLED', 'cancelled by the library');
    }
  }

  /** There is room again. */
  resume(id: number): void {
    this.#open.get(id)?.wake.forEach((wake) => wake());
  }

  /** The call is over: lets go of every request. */
  close(): void {
    [...this.#open.keys()].forEach((id) => this.cancel(id));
  }

  #fail(open: Open, error: unknown): void {
    if (!this.#open.has(open.request.id)) {
      return; // Cancelled meanwhile: what the caller's code makes of that interests nobody.
    }
    const kind = error instanceof GosyncError ? error.kind : 'SOURCE';
    // The first of each kind stays: a temporary failure may have been survived.
    if (!this.#thrown.has(kind)) {
      this.#thrown.set(kind, error);
    }
    this.#finish(open, kind, `the source threw: ${describe(error)}`);
  }

  #finish(open: Open, kind?: ErrorKind, message?: string): void {
    if (this.#open.delete(open.request.id)) {
      open.request.finish(kind, message);
      open.abort.abort(new GosyncError('CANCELLED', 'the answer is no longer wanted'));
      open.wake.forEach((wake) => wake());
    }
  }

  async #answer(open: Open): Promise<void> {
    await Promise.all(open.request.ranges.map((range) => this.#range(open, range.offset, range.length)));
  }

  async #range(open: Open, offset: number, length: number | undefined): Promise<void> {
    const end = length === undefined ? Number.MAX_SAFE_INTEGER : offset + length;
    while (offset < end && !open.abort.signal.aborted) {
      const wanted = Math.min(end - offset, length === undefined ? STEP : end - offset);
      const data = await this.#read(offset, wanted, open.abort.signal);
      await this.#supply(open, offset, data);
      offset += data.length;
      if (data.length === 0 || (this.#source.fetch && data.length < wanted)) {
        return; // The end of the content; whether that is too early is for the library to say.
      }
    }
  }

  async #read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    while (this.#free === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#free -= 1;
    try {
      signal.throwIfAborted();
      const source = this.#source;
      const data: unknown = await (source.fetch ? source.fetch(offset, length, signal) : source.readAt(offset, length));
      if (data instanceof Uint8Array) {
        return data;
      }
      if (data instanceof ArrayBuffer) {
        return new Uint8Array(data);
      }
      throw new TypeError(`a source must answer with a Uint8Array or an ArrayBuffer, not ${describe(data)}`);
    } finally {
      this.#free += 1;
      this.#waiting.shift()?.();
    }
  }

  async #supply(open: Open, offset: number, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length && !open.abort.signal.aborted; at += SLICE) {
      const slice = data.subarray(at, at + SLICE);
      while (!open.abort.signal.aborted && open.request.supply(offset + at, slice) === 'again') {
        await room(open);
      }
    }
  }
}

/** Waits until the library says that there is room, or a little while. */
function room(open: Open): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      open.wake.delete(wake);
      resolve();
    };
    const timer = setTimeout(wake, PATIENCE);
    open.wake.add(wake);
  });
}

/** One line about anything that was thrown or returned, even if it does not want to be described. */
function describe(value: unknown): string {
  try {
    return (value instanceof Error ? `${value.name}: ${value.message}` : String(value)).replaceAll('\0', ' ');
  } catch {
    return typeof value;
  }
}
