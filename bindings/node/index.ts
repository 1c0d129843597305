// gosync for Node: the five verbs. A thin layer over the addon: checks what comes in, gives promises, signals and errors
// the shape that JavaScript expects. All work happens in the library, on threads of its own.

import * as native from '#native';

import { call } from './lib/call.js';
import * as input from './lib/input.js';
import { OwnSource } from './lib/source.js';
import type { IndexOptions, OpenOptions, Path, Plan, Pruned, Source, Statistics, UpdateOptions, Verification, VerifyOptions, Watch } from './lib/types.js';

export { errorKinds, GosyncError, type ErrorKind, type ErrorKindInfo } from './lib/error.js';
export type * from './lib/types.js';

/** The version of the library. */
export const version: string = native.version();

/** What a target *is*: its length, its digest, and the checksums of its blocks. */
export class Index {
  readonly #handle: native.IndexHandle;
  /** What it describes: a file, or a directory as a tree. */
  readonly kind: 'file' | 'tree';
  /** Number of files, directories and links in a directory; 0 for a file. */
  readonly entryCount: number;
  /** Bytes of the target. */
  readonly length: number;
  /** The BLAKE3 hash of the target, in hexadecimal; `undefined` in a legacy index, which has none. */
  readonly root: string | undefined;
  /** The format: `legacy` is `.gosync` 0.2. */
  readonly format: 'gosync' | 'legacy';
  /** Bytes of a block. */
  readonly blockSize: number;
  /** Bytes of a block of the top level, which is looked for first. */
  readonly topSize: number;
  /** Number of blocks. */
  readonly blockCount: number;
  /** Number of verified units: of 64 KiB, or the blocks of a legacy index. */
  readonly unitCount: number;
  /** Bytes that the index has when it is written. */
  readonly encodedSize: number;
  /** Where the content is, as the publisher wrote it. Not to be trusted. */
  readonly source: string | undefined;
  /** What the publisher calls the content. Nothing vouches for it unless the index was opened with a public key. */
  readonly name: string | undefined;
  /** Which version of it this is, as the publisher says it. */
  readonly version: string | undefined;
  /** The signature, as minisign writes it. That there is one proves nothing: `publicKey` checks it. */
  readonly signature: string | undefined;
  /** Where this index was read from, without what may be secret in a URL. */
  readonly origin: string | undefined;

  private constructor(handle: native.IndexHandle, facts: native.IndexFacts) {
    this.#handle = handle;
    this.kind = facts.kind;
    this.entryCount = facts.entryCount;
    this.length = facts.length;
    this.root = facts.root;
    this.format = facts.format;
    this.blockSize = facts.blockSize;
    this.topSize = facts.topSize;
    this.blockCount = facts.blockCount;
    this.unitCount = facts.unitCount;
    this.encodedSize = facts.encodedSize;
    this.source = facts.source;
    this.name = facts.name;
    this.version = facts.version;
    this.signature = facts.signature;
    this.origin = facts.origin;
  }

  /** Reads an index from a path, a URL, bytes, or a source of your own. */
  static async open(from: Index | Source, options?: OpenOptions): Promise<Index> {
    const given = input.options(options, 'options');
    return openIndex(from, given, input.watch(given));
  }

  /** Writes the index to a file: beside it first, then by one rename. */
  async save(path: Path): Promise<void> {
    const to = input.path(path, 'path');
    await call({}, [], (_, tell) => native.saveIndex(this.#handle, to, tell));
  }

  /** The bytes of the index, as `save` writes them. */
  async toBytes(): Promise<Uint8Array> {
    const outcome = await call({}, [], (_, tell) => native.encodeIndex(this.#handle, tell));
    return there(outcome.bytes);
  }

  /** Compares a file or directory with this index. */
  async verify(path: Path, options?: Watch & Pick<VerifyOptions, 'threads' | 'journal'>): Promise<Verification> {
    return verify({ ...input.options(options, 'options'), target: path, index: this });
  }

  /** @internal */
  static from(outcome: native.Outcome): Index {
    return new Index(there(outcome.index), there(outcome.facts));
  }

  /** @internal */
  static handle(index: Index): native.IndexHandle {
    return index.#handle;
  }
}

/** Reads a file, a directory or bytes once and describes it. Bytes are copied first. */
export async function index(content: Path | Uint8Array, options?: IndexOptions): Promise<Index> {
  const given = input.options(options, 'options');
  const from = content instanceof Uint8Array ? { bytes: content } : { path: input.path(content, 'content') };
  const how = input.defined({
    blockSize: input.count(given.blockSize, 'blockSize', 2 ** 32 - 1),
    topSize: input.count32(given.topSize, 'topSize'),
    threads: input.count32(given.threads, 'threads'),
    format: input.maybe(given.format, 'format', input.text),
    source: input.maybe(given.source, 'source', input.text),
    name: input.maybe(given.name, 'name', input.text),
    version: input.maybe(given.version, 'version', input.text),
    sign: input.maybe(given.sign, 'sign', input.path),
    signPassword: input.maybe(given.signPassword, 'signPassword', input.text),
    exclude: input.list(given.exclude, 'exclude', 'strings', input.text),
    content: input.maybe(given.content, 'content', input.path),
    previous: input.maybe(given.previous, 'previous', input.path),
    modes: input.flag(given.modes, 'modes'),
    times: input.flag(given.times, 'times'),
  });
  const outcome = await call(input.watch(given), [], (cancel, tell, wants) => native.buildIndex(from, how, cancel, wants, tell));
  return Index.from(outcome);
}

/** Says what an update would do and what it would cost. Fetches no content and writes nothing. */
export async function plan(options: UpdateOptions): Promise<Plan> {
  const outcome = await job(options, native.planUpdate);
  return there(outcome.plan) as Plan;
}

/**
 * Brings `target` up to date: finds what is here, fetches the rest, verifies every byte, and publishes the result under
 * the target's name at once. Until then, and if anything fails, what was there stays as it was.
 */
export async function update(options: UpdateOptions): Promise<Statistics> {
  const outcome = await job(options, native.runUpdate);
  return there(outcome.statistics);
}

/** Compares `target`, a file or directory, with an index. What differs is a finding, not an error. */
export async function verify(options: VerifyOptions): Promise<Verification> {
  const given = input.options(options, 'options');
  const watch = input.watch(given);
  const target = input.path(given.target, 'target');
  const how = input.defined({
    threads: input.count32(given.threads, 'threads'),
    journal: input.maybe(given.journal, 'journal', input.path),
  });
  const handle = Index.handle(await openIndex(given.index, given, { ...watch, onProgress: undefined }, { target }));
  const outcome = await call(watch, [], (cancel, tell, wants) => native.verifyFile(handle, target, how, cancel, wants, tell));
  return there(outcome.verification);
}

/**
 * Removes from the folder `content` the packs that none of the indexes at these paths names. If an index cannot be read,
 * nothing is removed.
 */
export async function prune(content: Path, indexes: Iterable<Path>): Promise<Pruned> {
  const folder = input.path(content, 'content');
  const paths = input.list(indexes, 'indexes', 'paths', input.path);
  const outcome = await call({}, [], (_, tell) => native.pruneContent(folder, paths, tell));
  return there(outcome.pruned);
}

/** Reads an index and says what it holds. */
export async function info(index: Index | Source, options?: OpenOptions): Promise<Index> {
  return Index.open(index, options);
}

/** `known` is what the call knows besides that of what the index is opened for. */
async function openIndex(from: Index | Source, options: OpenOptions, watch: Watch, known: Known = {}): Promise<Index> {
  const how = { ...input.open(options), ...known };
  if (from instanceof Index) {
    if (how.expect !== undefined || how.publicKey !== undefined) {
      await call({}, [], (_, tell) => native.checkIndex(Index.handle(from), how, tell));
    }
    return from;
  }
  const own: OwnSource[] = [];
  const given = sourceInput(input.source(from, 'index'), own);
  const outcome = await call(watch, own, (cancel, tell, wants) => native.openIndex(given, how, cancel, wants, tell));
  return Index.from(outcome);
}

type Known = Pick<native.OpenInput, 'target' | 'threads' | 'assumeRtt' | 'assumeRate'>;

async function job(options: UpdateOptions, verb: typeof native.runUpdate): Promise<native.Outcome> {
  const given = input.options(options, 'options');
  const watch = input.watch(given);
  const how = jobOptions(given);
  const own: OwnSource[] = [];
  const source = given.source === undefined ? {} : sourceInput(input.source(given.source, 'source'), own);
  const mirrors = input.list(given.mirrors, 'mirrors', 'sources', input.source).map((mirror) => sourceInput(mirror, own));
  const { target, threads, assumeRtt, assumeRate } = how;
  const known = input.defined({ target, threads, assumeRtt, assumeRate });
  const handle = Index.handle(await openIndex(given.index, given, { ...watch, onProgress: undefined }, known));
  return call(watch, own, (cancel, tell, wants) => verb(handle, source, mirrors, how, cancel, wants, tell));
}

/** What the addon takes for a source; the caller's own objects are added to `all`, in which messages name them by number. */
function sourceInput({ own, ...rest }: input.SortedSource, all: OwnSource[]): native.SourceInput {
  return own ? { own: all.push(new OwnSource(own)) - 1 } : rest;
}

function jobOptions(given: UpdateOptions): native.JobInput {
  return {
    target: input.path(given.target, 'target'),
    open: input.open(given),
    ...input.defined({
      threads: input.count32(given.threads, 'threads'),
      maxRequests: input.count32(given.maxRequests, 'maxRequests'),
      maxBytesInFlight: input.count(given.maxBytesInFlight, 'maxBytesInFlight'),
      maxGap: input.count(given.maxGap, 'maxGap'),
      assumeRtt: input.duration(given.assumeRtt, 'assumeRtt'),
      assumeRate: input.count(given.assumeRate, 'assumeRate'),
      replaceTimeout: input.count32(given.replaceTimeout, 'replaceTimeout'),
      keep: input.maybe(given.keep, 'keep', input.text),
      journal: input.maybe(given.journal, 'journal', input.path),
    }),
    ignoreTarget: input.flag(given.ignoreTarget, 'ignoreTarget'),
    allowAnySource: input.flag(given.allowAnySource, 'allowAnySource'),
    thorough: input.flag(given.thorough, 'thorough'),
    moveAside: input.flag(given.moveAside, 'moveAside'),
    refuseSymlink: input.flag(given.refuseSymlink, 'refuseSymlink'),
    inPlace: input.flag(given.inPlace, 'inPlace'),
    quick: input.flag(given.quick, 'quick'),
    delete: input.flag(given.delete, 'delete'),
    seeds: input.list(given.seeds, 'seeds', 'paths', input.path),
  };
}

/** What a successful outcome of this call always has. */
function there<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('the addon gave no result');
  }
  return value;
}
