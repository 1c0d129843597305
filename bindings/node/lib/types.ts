// The shapes that go in and come out. No code.

import type { Index } from '../index.js';

/** A local file: a path, or a `file:` URL. */
export type Path = string | URL;

/**
 * Content of your own that is read like a file. At most eight calls at the same time.
 * Fewer bytes than asked for are allowed; none means the end of the content.
 */
export interface ReadAtSource {
  readAt(offset: number, length: number): Uint8Array | ArrayBuffer | Promise<Uint8Array | ArrayBuffer>;
}

/**
 * Content of your own that is fetched in pieces, each with a round trip. At most eight calls at the same time.
 * Fewer bytes than asked for mean the end of the content. `signal` says that the answer is no longer wanted.
 */
export interface FetchSource {
  fetch(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array | ArrayBuffer>;
}

/** Where bytes come from: a path or URL, the bytes themselves, or an object of your own. */
export type Source = string | URL | Uint8Array | ReadAtSource | FetchSource;

/** What a running piece of work is doing. */
export type Phase =
  'idle' | 'indexing' | 'matching' | 'transferring' | 'publishing' | 'waiting' | 'verifying' | 'packing' | 'done';

/** A moment of a running piece of work. Counters and the fraction never go back. */
export interface Progress {
  readonly phase: Phase;
  /** Whether a cancel now would still stop it. */
  readonly cancellable: boolean;
  /** How much of all work is done, from 0 to 1. */
  readonly fraction: number;
  /** Bytes of the target (or of the file that is indexed or verified). */
  readonly total: number;
  /** Bytes of the target that came from seeds. */
  readonly fromSeeds: number;
  /** Bytes that arrived from the source and were lacking. */
  readonly fetched: number;
  /** Bytes that arrived from the source and were not needed. */
  readonly wasted: number;
  /** Verified bytes that were written; what was at its place already is not among them. */
  readonly written: number;
  /** Round trips to the source. */
  readonly requests: number;
  /** Requests that were repeated after a temporary failure. */
  readonly retries: number;
}

/** Something worth telling. Holds no secrets. */
export interface Event {
  readonly level: 'warning' | 'info' | 'debug';
  /** A stable name for programs, for instance `seed_dropped`. */
  readonly kind: string;
  /** One line for people. */
  readonly message: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Who watches, and may stop the work. Every call takes these. */
export interface Watch {
  /** Stops the work: the promise rejects with a `GosyncError` of kind `CANCELLED` whose cause is the signal's reason. */
  signal?: AbortSignal | undefined;
  /** At most ten times a second, and once at the end. If it throws, the work stops and the error is the cause. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** If it throws, the work stops and the error is the cause. */
  onEvent?: ((event: Event) => void) | undefined;
}

/** How to build an index. */
export interface IndexOptions extends Watch {
  /** Bytes of a block: a power of two from 1 KiB to 32 KiB. Without it, by file size. */
  blockSize?: number | undefined;
  /**
   * Bytes of a block of the top level, which receivers look for first: a power of two from 64 KiB to 1 MiB. Without it, by
   * file size. The legacy format has none.
   */
  topSize?: number | undefined;
  /** Worker threads. Without it, all cores. */
  threads?: number | undefined;
  /** Where the content will be: a file name beside the index, or a URL. Without it, the file's own name; `''` for nothing. */
  source?: string | undefined;
  /** What the index is written as. `legacy` is `.gosync` 0.2: blocks of any size (8 KiB without `blockSize`), no source. */
  format?: 'gosync' | 'legacy' | undefined;
  /** What the content is called, as the index shall say it: up to 255 bytes. */
  name?: string | undefined;
  /** Which version of it this is: up to 255 bytes. */
  version?: string | undefined;
  /** A file with the minisign secret key that signs the index. Without it, the index is not signed. */
  sign?: Path | undefined;
  /** The password of that key, if it is encrypted. */
  signPassword?: string | undefined;
  /**
   * Patterns, as in `.gitignore`, of what of a directory is left out. They come before those in files `.gosyncignore` that are in
   * the directory itself.
   */
  exclude?: Iterable<string> | undefined;
  /**
   * Of a directory: a folder that its contents are put into, in compressed packs, which the index names then. Without it,
   * they are had from the files themselves.
   */
  content?: Path | undefined;
  /** The index of the version before, whose packs are in that folder: what they have is not written again. */
  previous?: Path | undefined;
  /**
   * Of a directory: say in the index who may do what with each file and directory (the nine lowest bits of a Unix mode), so that
   * receivers set it. Without it, they know of a file only whether it may be executed.
   */
  modes?: boolean | undefined;
  /** Of a directory: say in the index when each file was last changed, in whole seconds, so that receivers set it. */
  times?: boolean | undefined;
}

/** What was removed of packs. */
export interface Pruned {
  /** How many. */
  readonly packs: number;
  /** Bytes that they had. */
  readonly bytes: number;
}

/** How to open an index or a source. */
export interface OpenOptions extends Watch {
  /** The largest index that is read, in bytes. Without it, 1 GiB. */
  maxIndexSize?: number | undefined;
  /**
   * A file that keeps the index as it was last read from a URL, so that reading it again, unchanged, is one conditional
   * request. Written by the library, never believed without the server's word. Without it, nothing is kept.
   */
  indexCache?: Path | undefined;
  /**
   * The root that the index must have: the BLAKE3 of the target, 64 hexadecimal digits as `b3sum` prints them, from someone
   * who is trusted. Any other is `GOSYNC_MISMATCH`, and nothing else needs to be trusted then.
   */
  expect?: string | undefined;
  /**
   * Whose signature the index must have: a minisign public key, as its line of 56 characters or as the text of its `.pub` file.
   * An index that is not signed, or not by the holder of this key, is `GOSYNC_MISMATCH`. Without it, signatures are not looked at.
   */
  publicKey?: string | undefined;
  /** Temporary failures in a row, without a new byte between them, that are survived. Without it, 5. */
  retries?: number | undefined;
  /** Connections to an HTTP origin at the same time. Without it, 4. */
  connections?: number | undefined;
  /**
   * How long a server may be silent, in milliseconds: while connecting, before its answer begins, and in the middle of it.
   * Without it, 30,000; and 60,000 for a request of an update, of which the source may be any. No limit on the whole.
   */
  timeout?: number | undefined;
  /** How long a connect may last (name lookup, TCP, TLS), in milliseconds. Without it, `timeout`. */
  connectTimeout?: number | undefined;
  /** How long an answer may take to begin, in milliseconds. Without it, `timeout`. */
  firstByteTimeout?: number | undefined;
  /** How long an answer may stand still, in milliseconds. Without it, `timeout`. */
  stallTimeout?: number | undefined;
  /**
   * `name:password` for basic authentication. One in the URL comes first. Like `bearer` and `headers`, it goes to the origin
   * of the location that is opened and to no other one, also after a redirect.
   */
  user?: string | undefined;
  /** A token for bearer authentication. */
  bearer?: string | undefined;
  /** Further header lines, each `Name: value`. */
  headers?: Iterable<string> | undefined;
  /**
   * The proxy: an `http:`, `https:`, `socks5:` or `socks5h:` URL. Without it, what the environment (`http_proxy`,
   * `https_proxy`, `all_proxy`) or the system names; `''` for none.
   */
  proxy?: string | URL | undefined;
  /** Hosts that are reached without the proxy, separated by commas, as in the environment's `no_proxy`; `*` means all. */
  noProxy?: string | undefined;
  /** A PEM file with certificate authorities that are trusted besides the platform's. */
  caFile?: Path | undefined;
  /** Bytes per second that are read at most, by all connections together. Without it, no limit. */
  rateLimit?: number | undefined;
}

/** What to update, from what, and how. */
export interface UpdateOptions extends OpenOptions {
  /** The file to bring up to date; what is there is a seed by itself. */
  target: Path;
  /** What the target shall become. */
  index: Index | Source;
  /** Where missing bytes come from. Without it, the one that the index names. */
  source?: Source | undefined;
  /** Where the same content is too: they stand in for the source and for each other, and share the work where that is faster. */
  mirrors?: Iterable<Source> | undefined;
  /** Local files that may help: regular files, block devices, or pipes (what a pipe gives is copied to an unnamed temporary file). */
  seeds?: Iterable<Path> | undefined;
  /** Worker threads. Without it, all cores. */
  threads?: number | undefined;
  /** Requests that the source may have unanswered. Without it, 8. */
  maxRequests?: number | undefined;
  /** Bytes asked for and not yet written. Without it, 16 MiB. */
  maxBytesInFlight?: number | undefined;
  /** Gaps between missing ranges, in bytes, that are fetched along, at most, where that is cheaper than another range. Without it, 1 MiB. */
  maxGap?: number | undefined;
  /** Plan with this round trip, in milliseconds, instead of the measured one. */
  assumeRtt?: number | undefined;
  /** Plan with this rate, in bytes per second, instead of the measured one. */
  assumeRate?: number | undefined;
  /** Do not use what is at the target as a seed. */
  ignoreTarget?: boolean | undefined;
  /** Let the index name a source outside its own directory, on another host, or by an absolute path. */
  allowAnySource?: boolean | undefined;
  /**
   * Look through all seeds to their end, however little they seem to share with the target. Otherwise the search ends
   * early where fetching is much faster.
   */
  thorough?: boolean | undefined;
  /** On Windows: how long a target that another program holds is waited for, in milliseconds. Without it, 30 seconds. */
  replaceTimeout?: number | undefined;
  /**
   * On Windows: when that time is over, move the old file aside, which works for a running program too, and remove it at
   * the next update. Otherwise it is an error.
   */
  moveAside?: boolean | undefined;
  /**
   * What the new file has of the one that it replaces, as far as the platform can: `none`, or any of `mode`, `owner`,
   * `xattrs` and `times`, with commas between. Without it, `mode,owner,xattrs`.
   */
  keep?: string | undefined;
  /** A symbolic link as the target is an error. Otherwise what it leads to is updated, and the link stays. */
  refuseSymlink?: boolean | undefined;
  /**
   * Change the target itself instead of replacing it, for targets that there is no room for twice, and for block devices.
   * From the first change to the last it is neither the old version nor the new one; an update that ends early is finished
   * by the next one.
   */
  inPlace?: boolean | undefined;
  /**
   * Of a directory: believe that a file is what an earlier update made of it if its size and its time are the same. Otherwise
   * all of it is read.
   */
  quick?: boolean | undefined;
  /** Make a directory exactly what the index says. Otherwise what no update has put there stays. */
  delete?: boolean | undefined;
  /** Where the file is by which an update in place is finished, which a block device needs. Without it, beside the target. */
  journal?: Path | undefined;
}

/** What to verify, against what. */
export interface VerifyOptions extends OpenOptions {
  /** The file or directory to compare. */
  target: Path;
  /** What it should be. */
  index: Index | Source;
  /** Worker threads. Without it, all cores. */
  threads?: number | undefined;
  /** Where the journal is if an update of the file in place was not finished. Without it, beside the file. */
  journal?: Path | undefined;
}

/** A run of the target that comes from one place. */
export type Piece =
  | { readonly targetOffset: number; readonly length: number; readonly isMissing: true }
  | {
      readonly targetOffset: number;
      readonly length: number;
      readonly isMissing: false;
      /** Number of the seed: 0 is what is at the target, those in `seeds` count from 1. */
      readonly seed: number;
      readonly seedOffset: number;
    };

/** What an update would do, and its cost. */
export interface Plan {
  /** Bytes of the target. */
  readonly total: number;
  /** Bytes that the seeds have. */
  readonly fromSeeds: number;
  /** Bytes that are missing. */
  readonly missing: number;
  /** Bytes that would be asked for. */
  readonly toFetch: number;
  /** Ranges that would be asked for. */
  readonly ranges: number;
  /** Bytes of the index that was read. */
  readonly indexSize: number;
  /** The target is the new version already. */
  readonly upToDate: boolean;
  /** An update of the target, in place or of a directory, was not finished: it is neither an old version nor a new one. */
  readonly unfinished: boolean;
  /** How the missing bytes would be fetched: not at all, the missing ranges, or everything from the first missing byte on. */
  readonly strategy: 'local' | 'ranges' | 'whole';
  /** The round trip that the plan reckons with, measured or assumed, in milliseconds. Absent if it is not known. */
  readonly roundTrip?: number;
  /** The rate that the plan reckons with, measured or assumed, in bytes per second. Absent if it is not known. */
  readonly rate?: number;
  /** Milliseconds that fetching the missing ranges would take. Absent if that is not known, or nothing is missing. */
  readonly time?: number;
  /** Milliseconds that fetching everything in one go would take. Absent if that is not known, or nothing is missing. */
  readonly timeWhole?: number;
  /** Why it would be done this way, one line. */
  readonly reason: string;
  /** An exact cover of the target, ascending. */
  readonly pieces: readonly Piece[];
  /** What would become of the entries of a directory, in the order of their paths. */
  readonly changes: readonly Change[];
}

/** An entry of a directory that would change, or be kept although the index has it otherwise. */
export interface Change {
  /** Names from the directory to the entry, with `/` between; a directory ends with one too. */
  readonly path: string;
  /** What becomes of it. `kept`: it is the user's, and stays, or is moved beside the target where something else comes. */
  readonly what: 'added' | 'changed' | 'renamed' | 'removed' | 'kept' | 'mode' | 'link' | 'time';
  /** The path that a renamed file has now. Absent for all others. */
  readonly from?: string;
  /** Bytes of the file: of the new one, or for `removed` and `kept` of the old one. */
  readonly size: number;
}

/** What an update did. */
export interface Statistics {
  /** Bytes of the target. */
  readonly total: number;
  /** Bytes of the target that came from seeds. */
  readonly fromSeeds: number;
  /** Bytes that arrived from the source and were lacking. */
  readonly fetched: number;
  /** Bytes that arrived from the source and were not needed. */
  readonly wasted: number;
  /** Verified bytes that were written; what was at its place already is not among them. */
  readonly written: number;
  /** Round trips to the source. */
  readonly requests: number;
  /** Requests that were repeated after a temporary failure. */
  readonly retries: number;
  /** Whether the target was the new version already, so that nothing was written. */
  readonly upToDate: boolean;
  /**
   * Bytes of the index that were read, in part or whole; not among the other counters. Whatever was read of it before, for a
   * plan or another update, counts as well.
   */
  readonly indexSize: number;
  /** What proves the result: `root` is the BLAKE3 of the whole target, `blocks-md5` the MD5 of each block of a legacy index. */
  readonly proof: string;
  /**
   * The root of what the target is now: that of a newer index, if one was read meanwhile. Not there with a legacy index, which
   * has none.
   */
  readonly root?: string;
  /** Why it was done this way, one line. */
  readonly reason: string;
}

/** A run of bytes. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** An entry in which a directory differs from its index. */
export interface Difference {
  /** Names from the directory to the entry, with `/` between. */
  readonly path: string;
  /** In what it differs. `extra`: the index does not know it, which does no harm. */
  readonly what: 'missing' | 'changed' | 'type' | 'mode' | 'time' | 'extra';
  /** The ranges of a file that are not right, ascending. */
  readonly damaged: readonly Range[];
}

/** What a verification found. */
export interface Verification {
  /** Whether the file is exactly what the index says; of a directory, whether everything in the index is. */
  readonly isMatch: boolean;
  /** Bytes that the file has; of a directory, those in files that are right. */
  readonly length: number;
  /** Bytes that it should have; of a directory, those of all files in the index. */
  readonly expectedLength: number;
  /** The ranges of the target that the file does not have right, ascending. Of a directory, each difference has its own. */
  readonly damaged: readonly Range[];
  /** The entries in which a directory differs, in the order of the index; what that does not know comes last. */
  readonly differences: readonly Difference[];
  /** Whether an update was not finished: a file that is updated in place is neither old nor new, a directory partly both. */
  readonly unfinished: boolean;
}
