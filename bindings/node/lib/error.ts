// The error that every promise rejects with.

import * as native from '#native';

/** What went wrong, in one word: the list that all languages share. */
export type ErrorKind =
  | 'ARGUMENT'
  | 'STATE'
  | 'CANCELLED'
  | 'IO'
  | 'NOT_FOUND'
  | 'PERMISSION'
  | 'NO_SPACE'
  | 'SOURCE'
  | 'SOURCE_TEMPORARY'
  | 'SOURCE_CHANGED'
  | 'SOURCE_UNSUPPORTED'
  | 'TIMEOUT'
  | 'FORMAT'
  | 'VERSION'
  | 'LIMIT'
  | 'MISMATCH'
  | 'INTERNAL';

/** A kind with its number, and whether doing the same again later may help. */
export interface ErrorKindInfo {
  readonly number: number;
  readonly name: ErrorKind;
  readonly retryable: boolean;
}

/** Every kind, in the order of the numbers. */
export const errorKinds: readonly ErrorKindInfo[] = native.errorKinds() as ErrorKindInfo[];

/**
 * Why a call failed. `cause` is what your own source or callback threw, whole, if that is what ended the work;
 * the signal's reason, if it was aborted; else what caused it, if that is known.
 *
 * A source of your own may throw one: its kind is what the work ends with, and a retryable one is tried again.
 */
export class GosyncError extends Error {
  override readonly name = 'GosyncError';
  /** For instance `GOSYNC_MISMATCH`. */
  readonly code: `GOSYNC_${ErrorKind}`;
  /** For instance `MISMATCH`. */
  readonly kind: ErrorKind;
  /** Whether doing the same again later may help. */
  readonly retryable: boolean;
  /** The facts: `offset`, `block`, `path`, `url` and the like. */
  readonly context: Readonly<Record<string, string>>;

  constructor(kind: ErrorKind, message: string, options: { cause?: unknown; context?: Record<string, string> } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.kind = kind;
    this.code = `GOSYNC_${kind}`;
    this.retryable = errorKinds.find((known) => known.name === kind)?.retryable ?? false;
    this.context = { ...options.context };
  }
}

/** @internal The error of a native call; `cause`, if there is one, stands in for what the library knows. */
export function fromFailure(chain: readonly native.Failure[], cause?: { value: unknown }): GosyncError {
  const [failure, ...deeper] = chain;
  if (!failure) {
    return new GosyncError('INTERNAL', 'the addon reports a failure without saying which', cause ? { cause: cause.value } : {});
  }
  const options: { cause?: unknown; context: Record<string, string> } = { context: failure.context };
  if (cause) {
    options.cause = cause.value;
  } else if (deeper.length > 0) {
    options.cause = fromFailure(deeper);
  }
  return new GosyncError(failure.kind as ErrorKind, failure.text, options);
}

/** @internal What is wrong with a value that the caller passed. */
export function badArgument(message: string, argument: string): GosyncError {
  return new GosyncError('ARGUMENT', message, { context: { argument } });
}
