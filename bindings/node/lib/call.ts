// One call of the library: its listeners, its signal, its source, and what came of it.

import * as native from '#native';

import { fromFailure, GosyncError } from './error.js';
import type { OwnSource } from './source.js';
import type { Event, Progress, Watch } from './types.js';

/** @internal Starts the work on a thread of its own; the promise never rejects, failures are part of the outcome. */
export type Start = (cancel: native.CancelHandle, tell: (message: native.Message) => void, wants: native.Wants) => Promise<native.Outcome>;

/** @internal Runs one call, and rejects with what went wrong, the caller's own errors whole. */
export async function call(watch: Watch, own: readonly OwnSource[], start: Start): Promise<native.Outcome> {
  const { signal, onProgress, onEvent } = watch;
  if (signal?.aborted) {
    throw new GosyncError('CANCELLED', 'cancelled by the caller', { cause: signal.reason });
  }
  const cancel = new native.CancelHandle();
  const abort = () => cancel.trigger();
  const listeners = new Listeners(abort);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const tell = (message: native.Message) => {
      listeners.tell(onProgress, message.progress as Progress | undefined);
      listeners.tell(onEvent, message.event as Event | undefined);
      const asked = own[message.own ?? -1];
      if (message.request) {
        asked?.fetch(message.request);
      } else if (message.cancel !== undefined) {
        asked?.cancel(message.cancel);
      } else if (message.resume !== undefined) {
        asked?.resume(message.resume);
      }
    };
    const wants = { progress: onProgress !== undefined, events: onEvent !== undefined };
    return result(await start(cancel, tell, wants), listeners, own, signal);
  } finally {
    listeners.close();
    signal?.removeEventListener('abort', abort);
    own.forEach((source) => source.close());
  }
}

/** The outcome, or the error that the caller sees. */
function result(outcome: native.Outcome, listeners: Listeners, own: readonly OwnSource[], signal: AbortSignal | undefined): native.Outcome {
  const kind = outcome.failure?.[0]?.kind;
  if (listeners.thrown && kind === undefined) {
    const context = { done: 'true' };
    throw new GosyncError('CANCELLED', 'a callback failed when the work was already done', { cause: listeners.thrown.value, context });
  }
  if (listeners.thrown && kind === 'CANCELLED') {
    throw new GosyncError('CANCELLED', 'a callback failed, so the work was stopped', { cause: listeners.thrown.value });
  }
  if (outcome.failure) {
    const reason = kind === 'CANCELLED' && signal?.aborted ? { value: signal.reason as unknown } : undefined;
    const thrown = own.map((source) => source.cause(kind as GosyncError['kind'])).find((cause) => cause !== undefined);
    throw fromFailure(outcome.failure, reason ?? thrown);
  }
  return outcome;
}

/** Calls the caller's listeners; the first one that throws stops the work, and no listener is called after it. */
class Listeners {
  thrown: { value: unknown } | undefined;
  #closed = false;

  constructor(private readonly stop: () => void) {}

  tell<T>(listener: ((value: T) => unknown) | undefined, value: T | undefined): void {
    if (!listener || value === undefined || this.thrown) {
      return;
    }
    try {
      const answer = listener(value);
      if (answer instanceof Promise) {
        answer.catch((error: unknown) => this.#failed(error));
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  close(): void {
    this.#closed = true;
  }

  #failed(error: unknown): void {
    if (this.#closed) {
      throw error; // An async listener that fails after the end: nobody is left to hand it to but the process.
    }
    this.thrown ??= { value: error };
    this.stop();
  }
}
