//! The options of every blocking call, as values. Zero and `None` mean the default everywhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gosync_core::Digest;
use gosync_core::index::{Format, PublicKey};

use crate::output::Keep;
use crate::report::Observer;

/// How to build an index.
#[derive(Clone, Default)]
pub struct IndexOptions {
    /// Bytes of a block: a power of two from 1 KiB to 32 KiB. 0 chooses by file size (8 KiB in the legacy format).
    pub block_size: u32,
    /// Bytes of a block of the top level, which receivers look for first: a power of two from 64 KiB to 1 MiB. 0 chooses by
    /// file size. The legacy format has none.
    pub top_size: u32,
    /// Worker threads. 0 uses all cores.
    pub threads: usize,
    /// Where the content is, as the index shall say it: a file name beside the index, or a URL.
    /// `None` writes the file's own name; an empty string writes nothing.
    pub source: Option<String>,
    /// What the index is written as. The legacy format takes blocks of any size, and names no source.
    pub format: Format,
    /// What the publisher calls the content, as the index shall say it: up to 255 bytes. `None` and empty: nothing.
    pub name: Option<String>,
    /// Which version of it this is: up to 255 bytes. `None` and empty: nothing.
    pub version: Option<String>,
    /// A file with the minisign secret key that signs the index. `None`: it is not signed.
    pub sign: Option<PathBuf>,
    /// The password of that key. `None`: it is not encrypted.
    pub sign_password: Option<String>,
    /// What of a directory is left out of its index: patterns as in `.gitignore`, before those in files `.gosyncignore` that
    /// are in the directory itself.
    pub exclude: Vec<String>,
    /// Of a directory: a folder that its contents are put into, in compressed packs, which the index names then. `None`:
    /// they are had from the files themselves.
    pub content: Option<PathBuf>,
    /// The index of the version before, whose packs are in that folder: what they have is not written again.
    pub previous: Option<PathBuf>,
    /// Of a directory: say in the index who may do what with each file and directory (the nine lowest bits of a Unix mode), so that
    /// receivers set it. Without it, they know of a file only whether it may be executed. Where there are no modes, `ARGUMENT`.
    pub modes: bool,
    /// Of a directory: say in the index when each file was last changed, in whole seconds, so that receivers set it.
    pub times: bool,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

impl fmt::Debug for IndexOptions {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexOptions")
            .field("block_size", &self.block_size)
            .field("top_size", &self.top_size)
            .field("format", &self.format)
            .field("source", &self.source)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("sign", &self.sign)
            .field("exclude", &self.exclude)
            .field("content", &self.content)
            .field("previous", &self.previous)
            .field("modes", &self.modes)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// How to open an index or a source.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The largest index that is read, in bytes; a larger one is `LIMIT`. 0 means 1 GiB.
    pub max_index_size: u64,
    /// A file that keeps the index as it was last read from a URL, so that reading it again, unchanged, is one
    /// conditional request. Written by the library, never believed without the server's word. `None`: nothing is kept.
    pub index_cache: Option<PathBuf>,
    /// The root that the index must have: the BLAKE3 of the target, from someone who is trusted. Any other is `MISMATCH`, and
    /// nothing else needs to be trusted then. `None`: whatever the index says. Sources do not look at it.
    pub expect: Option<Digest>,
    /// Whose minisign signature the index must have: one that is not signed, or not by the holder of this key, is `MISMATCH`.
    /// `None`: signatures are not looked at. Sources do not look at it.
    pub public_key: Option<PublicKey>,
    /// Temporary failures in a row, without a new byte between them, that are survived. `None` means 5.
    pub retries: Option<u32>,
    /// What the index is opened for, as far as that is known: a target that may be a directory which an earlier update
    /// installed. If the index describes what is there, little more than its root is read; where no update
    /// has, its files are read meanwhile, so that of the index only what is new is. `None`: not known.
    pub target: Option<PathBuf>,
    /// Worker threads that read the files of `target` meanwhile. 0 uses all cores; a job takes its own.
    pub threads: usize,
    /// Decide with this round trip, instead of the measured one, how much of an index is asked for at once. Zero: as measured;
    /// a job takes its own.
    pub assume_rtt: Duration,
    /// Decide with this rate, in bytes per second, instead of the measured one, how much of an index is asked for at once.
    /// 0: as measured; a job takes its own.
    pub assume_rate: u64,
    /// How to talk to HTTP servers.
    pub http: HttpOptions,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// How to talk to HTTP servers. Zero, `None` and empty mean the default.
///
/// Credentials (`user`, `bearer`, `headers`) go to the origin of the location that is opened with these options, and to
/// the same origin only: not after a redirect to another one, nor to another one that an index names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HttpOptions {
    /// Connections to an origin at the same time. 0 means 6.
    pub connections: usize,
    /// How long a server may be silent: while connecting, before its answer begins, and in the middle of it.
    /// Zero means 30 seconds. There is no limit on the whole.
    pub timeout: Duration,
    /// How long a connect may last (name lookup, TCP, TLS). Zero means `timeout`.
    pub connect_timeout: Duration,
    /// How long an answer may take to begin. Zero means `timeout`.
    pub first_byte_timeout: Duration,
    /// How long an answer may stand still. Zero means `timeout`.
    pub stall_timeout: Duration,
    /// `name:password` for basic authentication. One in the URL comes first.
    pub user: Option<String>,
    /// A token for bearer authentication.
    pub bearer: Option<String>,
    /// Further header lines, `Name: value`.
    pub headers: Vec<String>,
    /// The proxy: an `http:`, `https:`, `socks5:` or `socks5h:` URL. `None` uses what the environment (`http_proxy`,
    /// `https_proxy`, `all_proxy`) or the system names; an empty string uses none.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy, as the environment's `no_proxy` would list them. `*` means all.
    pub no_proxy: Option<String>,
    /// A PEM file with certificate authorities that are trusted besides the platform's.
    pub ca_file: Option<PathBuf>,
    /// Bytes per second that are read at most, by all connections together. 0 means no limit.
    pub rate_limit: u64,
}

impl fmt::Debug for HttpOptions {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// How to plan and run an update.
#[derive(Clone, Debug, Default)]
pub struct JobOptions {
    /// Worker threads. 0 uses all cores.
    pub threads: usize,
    /// Requests that the source may have unanswered. 0 means 8.
    pub max_requests: usize,
    /// Bytes asked for and not yet written. 0 means 16 MiB.
    pub max_bytes_in_flight: u64,
    /// Temporary failures in a row, without a new byte between them, that are survived. `None` means 5.
    pub retries: Option<u32>,
    /// How long a request may stay without any new byte before it is given up and asked for again. Zero means 60 seconds.
    pub timeout: Duration,
    /// Gaps between missing ranges that are fetched along, at most, where that is cheaper than another range. 0 means 1 MiB.
    pub max_gap: u64,
    /// Plan with this round trip instead of the measured one. Zero: as measured.
    pub assume_rtt: Duration,
    /// Plan with this rate, in bytes per second, instead of the measured one. 0: as measured.
    pub assume_rate: u64,
    /// Do not use what is at the target as a seed.
    pub ignore_target: bool,
    /// Let the index name a source outside its own directory, on another host, or by an absolute path.
    pub allow_any_source: bool,
    /// Look through all seeds to their end, however little they seem to share with the target. Otherwise the search ends
    /// early where fetching is much faster.
    pub thorough: bool,
    /// On Windows: how long a target that another program holds is waited for before it counts as not to be replaced.
    /// Zero means 30 seconds.
    pub replace_timeout: Duration,
    /// On Windows: when that time is over, move the old file aside, which works for a running program too, and put the
    /// new one in its place. What lies aside is removed at the next update. Otherwise it is an error.
    pub move_aside: bool,
    /// What the new file has of the one that it replaces: its mode, owner and extended attributes, unless this says otherwise.
    pub keep: Keep,
    /// A target that is a symbolic link is an error. Otherwise what the link leads to is updated, and the link stays.
    pub refuse_symlink: bool,
    /// Change the target itself instead of replacing it: for targets that there is no room for twice, and for block devices.
    /// From the first change to the last it is neither the old version nor the new one. See docs/in-place.md.
    pub in_place: bool,
    /// Where the journal of an update in place is. `None`: beside the target, by its name. A block device needs one.
    pub journal: Option<PathBuf>,
    /// Of a directory: believe that a file is what an earlier update made of it if its size and its time are the same.
    /// Otherwise all of it is read.
    pub quick: bool,
    /// Of a directory: make it exactly what the index says. Otherwise what no update has put there stays.
    pub delete: bool,
    /// How the source that the index names is opened.
    pub open: OpenOptions,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// How to verify a file or a directory.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Worker threads. 0 uses all cores.
    pub threads: usize,
    /// Where the journal is if an update of the file in place was not finished. `None`: beside it, by its name.
    pub journal: Option<PathBuf>,
    /// Who watches, and may cancel.
    pub observer: Observer,
}
