//! The options structures of the blocking calls, and how each becomes `gosync-io`'s options.

use std::ffi::c_char;
use std::time::Duration;

use gosync_io::{HttpOptions, IndexOptions, JobOptions, OpenOptions, Result, VerifyOptions};

use crate::guard::{argument, optional_text};
use crate::observer::{gosync_observer, take};
use crate::sized::{self, sized};

/// Flag of gosync_job_options: do not use what is at the target as a seed.
pub const GOSYNC_JOB_IGNORE_TARGET: u32 = 1;
/// Flag of gosync_job_options: let the index name a source outside its own directory, on another host, or by an
/// absolute path.
pub const GOSYNC_JOB_ALLOW_ANY_SOURCE: u32 = 2;

/// How to build an index. Start from GOSYNC_INDEX_OPTIONS_INIT; zero means the default in each member.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_index_options {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// Bytes of a block: a power of two from 1024 to 32768. 0 chooses by length.
    pub block_size: u32,
    /// Worker threads. 0 uses all cores.
    pub threads: u32,
    /// Where the content is, as the index shall say it: a file name beside the index, or a URL.
    /// NULL writes the file's own name (nothing, for content in memory); "" writes nothing.
    pub source: *const c_char,
    /// Who watches, and may cancel. NULL: nobody.
    pub observer: *const gosync_observer,
}

/// How to open an index or a source. Start from GOSYNC_OPEN_OPTIONS_INIT; zero means the default in each member.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_open_options {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// The largest index that is read, in bytes; a larger one is GOSYNC_E_LIMIT. 0 means 1 GiB.
    pub max_index_size: u64,
    /// Connections to an HTTP origin at the same time. 0 means 4.
    pub connections: u32,
    /// How long a connect, or a silence in an answer, may last, in milliseconds. 0 means 30000.
    pub timeout_ms: u32,
    /// Who watches, and may cancel. NULL: nobody.
    pub observer: *const gosync_observer,
}

/// How to plan and run an update. Start from GOSYNC_JOB_OPTIONS_INIT; zero means the default in each member.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_job_options {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// Worker threads. 0 uses all cores.
    pub threads: u32,
    /// Requests that the source may have unanswered. 0 means 8.
    pub max_requests: u32,
    /// Bytes asked for and not yet written. 0 means 16 MiB.
    pub max_bytes_in_flight: u64,
    /// Temporary failures in a row, without a new byte between them, that are survived. 0 means 5, -1 means none.
    pub retries: i32,
    /// How long a request may stay without any new byte before it is asked for again, in milliseconds. 0 means 60000.
    pub timeout_ms: u32,
    /// GOSYNC_JOB_IGNORE_TARGET, GOSYNC_JOB_ALLOW_ANY_SOURCE, both, or 0.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// How the source that the index names is opened; what there is to tell is told to the job's own observer.
    /// NULL: all defaults.
    pub open: *const gosync_open_options,
    /// Who watches, and may cancel. NULL: nobody.
    pub observer: *const gosync_observer,
}

/// How to verify a file. Start from GOSYNC_VERIFY_OPTIONS_INIT; zero means the default in each member.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_verify_options {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// Worker threads. 0 uses all cores.
    pub threads: u32,
    /// 0.
    pub reserved: u32,
    /// Who watches, and may cancel. NULL: nobody.
    pub observer: *const gosync_observer,
}

sized!(gosync_index_options, gosync_open_options, gosync_job_options, gosync_verify_options);

/// # Safety
/// `pointer` is NULL or points to options as the header describes them; so for all functions below.
pub(crate) unsafe fn index_options(pointer: *const gosync_index_options) -> Result<IndexOptions> {
    // SAFETY: as the caller says, here and for what the structure points to.
    unsafe {
        let options = sized::read(pointer, "options")?.unwrap_or_default();
        let observer = take(options.observer)?;
        Ok(IndexOptions {
            block_size: options.block_size,
            threads: options.threads as usize,
            source: optional_text(options.source, "options.source")?.map(str::to_owned),
            observer,
        })
    }
}

/// # Safety
/// As [`index_options`].
pub(crate) unsafe fn open_options(pointer: *const gosync_open_options) -> Result<OpenOptions> {
    // SAFETY: as the caller says, here and for what the structure points to.
    unsafe {
        let options = sized::read(pointer, "options")?.unwrap_or_default();
        Ok(OpenOptions {
            max_index_size: options.max_index_size,
            http: HttpOptions {
                connections: options.connections as usize,
                timeout: Duration::from_millis(options.timeout_ms.into()),
                ..HttpOptions::default()
            },
            observer: take(options.observer)?,
            ..OpenOptions::default()
        })
    }
}

/// # Safety
/// As [`index_options`].
pub(crate) unsafe fn job_options(pointer: *const gosync_job_options) -> Result<JobOptions> {
    // SAFETY: as the caller says, here and for what the structure points to.
    unsafe {
        let options = sized::read(pointer, "options")?.unwrap_or_default();
        let observer = take(options.observer)?;
        let open = open_options(options.open)?;
        if options.flags & !(GOSYNC_JOB_IGNORE_TARGET | GOSYNC_JOB_ALLOW_ANY_SOURCE) != 0 || options.reserved != 0 {
            return Err(argument("options.flags", "has a bit that this version of gosync does not know"));
        }
        Ok(JobOptions {
            threads: options.threads as usize,
            max_requests: options.max_requests as usize,
            max_bytes_in_flight: options.max_bytes_in_flight,
            retries: match options.retries {
                0 => None,
                -1 => Some(0),
                retries => Some(u32::try_from(retries).map_err(|_| argument("options.retries", "is below -1"))?),
            },
            timeout: Duration::from_millis(options.timeout_ms.into()),
            ignore_target: options.flags & GOSYNC_JOB_IGNORE_TARGET != 0,
            allow_any_source: options.flags & GOSYNC_JOB_ALLOW_ANY_SOURCE != 0,
            open,
            observer,
            ..JobOptions::default()
        })
    }
}

/// # Safety
/// As [`index_options`].
pub(crate) unsafe fn verify_options(pointer: *const gosync_verify_options) -> Result<VerifyOptions> {
    // SAFETY: as the caller says, here and for what the structure points to.
    unsafe {
        let options = sized::read(pointer, "options")?.unwrap_or_default();
        let observer = take(options.observer)?;
        if options.reserved != 0 {
            return Err(argument("options.reserved", "is not 0"));
        }
        Ok(VerifyOptions { threads: options.threads as usize, observer })
    }
}
