//! The options of every blocking call, as values. Zero and `None` mean the default everywhere.

use std::time::Duration;

use crate::report::Observer;

/// How to build an index.
#[derive(Clone, Debug, Default)]
pub struct IndexOptions {
    /// Bytes of a block: a power of two from 1 KiB to 32 KiB. 0 chooses by file size.
    pub block_size: u32,
    /// Worker threads. 0 uses all cores.
    pub threads: usize,
    /// Where the content is, as the index shall say it: a file name beside the index, or a URL.
    /// `None` writes the file's own name; an empty string writes nothing.
    pub source: Option<String>,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// How to open an index or a source.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The largest index that is read, in bytes; a larger one is `LIMIT`. 0 means 1 GiB.
    pub max_index_size: u64,
    /// Connections to an HTTP origin at the same time. 0 means 4.
    pub connections: usize,
    /// How long a connect, or a silence in an answer, may last. Zero means 30 seconds.
    pub timeout: Duration,
    /// Who watches, and may cancel.
    pub observer: Observer,
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
    /// Do not use what is at the target as a seed.
    pub ignore_target: bool,
    /// Let the index name a source outside its own directory, on another host, or by an absolute path.
    pub allow_any_source: bool,
    /// How the source that the index names is opened.
    pub open: OpenOptions,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// How to verify a file.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Worker threads. 0 uses all cores.
    pub threads: usize,
    /// Who watches, and may cancel.
    pub observer: Observer,
}
