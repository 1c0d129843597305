//! The options structures of the blocking calls, and how each becomes `gosync-io`'s options.

use std::ffi::c_char;
use std::time::Duration;

use gosync_io::{Format, HttpOptions, IndexOptions, JobOptions, OpenOptions, Result, VerifyOptions};

use crate::guard::{argument, list, optional_path, optional_text};
use crate::observer::{gosync_observer, take};
use crate::sized::{self, sized};

/// Flag of gosync_job_options: do not use what is at the target as a seed.
pub const GOSYNC_JOB_IGNORE_TARGET: u32 = 1;
/// Flag of gosync_job_options: let the index name a source outside its own directory, on another host, or by an
/// absolute path.
pub const GOSYNC_JOB_ALLOW_ANY_SOURCE: u32 = 2;
/// Flag of gosync_job_options: look through all seeds to their end, however little they seem to share with the target.
/// Otherwise the search ends early where fetching is much faster.
pub const GOSYNC_JOB_THOROUGH: u32 = 4;
/// Flag of gosync_job_options: on Windows, move an old file aside that another program holds still after
/// `replace_timeout_ms`, which works for a running program too. What lies aside is removed at the next update.
pub const GOSYNC_JOB_MOVE_ASIDE: u32 = 8;
/// Flag of gosync_job_options: a target that is a symbolic link is an error. Otherwise what the link leads to is updated, and
/// the link stays.
pub const GOSYNC_JOB_REFUSE_SYMLINK: u32 = 16;
/// Flag of gosync_job_options: change the target itself instead of replacing it, for targets that there is no room for
/// twice, and for block devices. From the first change to the last it is neither the old version nor the new one.
pub const GOSYNC_JOB_IN_PLACE: u32 = 32;
/// Flag of gosync_job_options: of a directory, believe that a file is what an earlier update made of it if its size and its
/// time are the same. Otherwise all of it is read.
pub const GOSYNC_JOB_QUICK: u32 = 64;
/// Flag of gosync_job_options: make a directory exactly what the index says. Otherwise what no update has put there stays.
pub const GOSYNC_JOB_DELETE: u32 = 128;
/// Of a directory: say in the index who may do what with each file and directory (the nine lowest bits of a Unix mode), so that
/// receivers set it. GOSYNC_E_ARGUMENT where there are no modes. Since 0.1.
pub const GOSYNC_INDEX_MODES: u32 = 1;
/// Of a directory: say in the index when each file was last changed, in whole seconds, so that receivers set it. Since 0.1.
pub const GOSYNC_INDEX_TIMES: u32 = 2;

/// All flags of gosync_index_options.
const INDEX_FLAGS: u32 = GOSYNC_INDEX_MODES | GOSYNC_INDEX_TIMES;

/// All flags of gosync_job_options.
const JOB_FLAGS: u32 = GOSYNC_JOB_IGNORE_TARGET
    | GOSYNC_JOB_ALLOW_ANY_SOURCE
    | GOSYNC_JOB_THOROUGH
    | GOSYNC_JOB_MOVE_ASIDE
    | GOSYNC_JOB_REFUSE_SYMLINK
    | GOSYNC_JOB_IN_PLACE
    | GOSYNC_JOB_QUICK
    | GOSYNC_JOB_DELETE;

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
    /// What the index is written as: "gosync" or NULL, or "legacy" for `.gosync` 0.2, which takes blocks of any size (0 means
    /// 8192) and names no source.
    pub format: *const c_char,
    /// What the publisher calls the content, as the index shall say it: up to 255 bytes. NULL and "": nothing.
    pub name: *const c_char,
    /// Which version of it this is: up to 255 bytes. NULL and "": nothing.
    pub version: *const c_char,
    /// A file, by its path, with the minisign secret key that signs the index. NULL: it is not signed.
    pub sign: *const c_char,
    /// The password of that key. NULL: it is not encrypted.
    pub sign_password: *const c_char,
    /// Bytes of a block of the top level, which receivers look for first: a power of two from 65536 to 1048576. 0 chooses by
    /// length. The legacy format has none.
    pub top_size: u32,
    /// Any of GOSYNC_INDEX_MODES and GOSYNC_INDEX_TIMES, or 0.
    pub flags: u32,
    /// `exclude_count` patterns, as in .gitignore, of what of a directory is left out of its index. They come before those in
    /// files .gosyncignore that are in the directory itself. NULL: none.
    pub exclude: *const *const c_char,
    /// Number of patterns.
    pub exclude_count: usize,
    /// Of a directory: a folder, by its path, that its contents are put into, in compressed packs, which the index names
    /// then. It is made if it is not there. NULL: they are had from the files themselves. Since 0.1.
    pub content: *const c_char,
    /// The path of the index of the version before, whose packs are in that folder: what they have is not written again.
    /// NULL: there is none.
    pub previous: *const c_char,
}

/// How to open an index or a source. Start from GOSYNC_OPEN_OPTIONS_INIT; zero means the default in each member.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_open_options {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// The largest index that is read, in bytes; a larger one is GOSYNC_E_LIMIT. 0 means 1 GiB.
    pub max_index_size: u64,
    /// Connections to an HTTP origin at the same time. 0 means 6.
    pub connections: u32,
    /// How long a server may be silent, in milliseconds: while connecting, before its answer begins, and in the middle of
    /// it. 0 means 30000. There is no limit on the whole.
    pub timeout_ms: u32,
    /// Who watches, and may cancel. NULL: nobody.
    pub observer: *const gosync_observer,
    /// A file, by its path, that keeps the index as it was last read from a URL, so that reading it again, unchanged, is
    /// one conditional request. Written by the library, never believed without the server's word. NULL: nothing is kept.
    pub index_cache: *const c_char,
    /// Temporary failures in a row, without a new byte between them, that are survived. 0 means 5, -1 means none.
    pub retries: i32,
    /// How long a connect may last (name lookup, TCP, TLS), in milliseconds. 0 means `timeout_ms`.
    pub connect_timeout_ms: u32,
    /// How long an answer may take to begin, in milliseconds. 0 means `timeout_ms`.
    pub first_byte_timeout_ms: u32,
    /// How long an answer may stand still, in milliseconds. 0 means `timeout_ms`.
    pub stall_timeout_ms: u32,
    /// "name:password" for basic authentication. One in the URL comes first. Like the next two members, it goes to the
    /// origin of the location that is opened with these options and to no other one, also after a redirect. NULL: none.
    pub user: *const c_char,
    /// A token for bearer authentication. NULL: none.
    pub bearer: *const c_char,
    /// `header_count` further header lines, each "Name: value". NULL: none.
    pub headers: *const *const c_char,
    /// Number of header lines.
    pub header_count: usize,
    /// The proxy: an http:, https:, socks5: or socks5h: URL. NULL uses what the environment (http_proxy, https_proxy,
    /// all_proxy) or the system names; "" uses none.
    pub proxy: *const c_char,
    /// Hosts that are reached without the proxy, separated by commas, as the environment's no_proxy would list them.
    /// "*" means all. NULL: as the environment says.
    pub no_proxy: *const c_char,
    /// A PEM file, by its path, with certificate authorities that are trusted besides the platform's. NULL: none.
    pub ca_file: *const c_char,
    /// Bytes per second that are read at most, by all connections together. 0 means no limit.
    pub rate_limit: u64,
    /// The root that an index must have, as 64 hexadecimal digits: the BLAKE3 of the target, as b3sum prints it, from
    /// someone who is trusted. Any other is GOSYNC_E_MISMATCH, and nothing else needs to be trusted then. Sources do not
    /// look at it. NULL: whatever the index says.
    pub expect: *const c_char,
    /// Whose signature an index must have: a minisign public key, as the line of 56 characters that begins with "RW" or as the
    /// text of a .pub file. One that is not signed, or not by the holder of this key, is GOSYNC_E_MISMATCH. Sources do not
    /// look at it. NULL: signatures are not looked at.
    pub public_key: *const c_char,
    /// What an index is opened for, by its path, as far as that is known: a target that may be a directory which an earlier
    /// update installed. If the index describes what is there, little more than its root is read; where no update has,
    /// its files are read meanwhile, so that of the index only what is new is. NULL: not known.
    pub target: *const c_char,
    /// Decide with this round trip, in milliseconds, instead of the measured one, how much of an index is asked for at once.
    /// 0: as measured. A job takes its own.
    pub assume_rtt_ms: f64,
    /// Decide with this rate, in bytes per second, instead of the measured one, how much of an index is asked for at once.
    /// 0: as measured. A job takes its own.
    pub assume_rate: u64,
    /// Worker threads that read the files of `target` meanwhile. 0 uses all cores. A job takes its own.
    pub threads: u32,
    /// 0.
    pub reserved: u32,
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
    /// Any of GOSYNC_JOB_IGNORE_TARGET, GOSYNC_JOB_ALLOW_ANY_SOURCE, GOSYNC_JOB_THOROUGH, GOSYNC_JOB_MOVE_ASIDE,
    /// GOSYNC_JOB_REFUSE_SYMLINK, GOSYNC_JOB_IN_PLACE, GOSYNC_JOB_QUICK and GOSYNC_JOB_DELETE, or 0.
    pub flags: u32,
    /// On Windows: how long a target that another program holds is waited for before it counts as not to be replaced, in
    /// milliseconds. 0 means 30000.
    pub replace_timeout_ms: u32,
    /// How the source that the index names is opened; what there is to tell is told to the job's own observer.
    /// NULL: all defaults.
    pub open: *const gosync_open_options,
    /// Who watches, and may cancel. NULL: nobody.
    pub observer: *const gosync_observer,
    /// Gaps between missing ranges, in bytes, that are fetched along, at most, where that is cheaper than another range.
    /// 0 means 1 MiB.
    pub max_gap: u64,
    /// Plan with this round trip, in milliseconds, instead of the measured one. 0: as measured.
    pub assume_rtt_ms: f64,
    /// Plan with this rate, in bytes per second, instead of the measured one. 0: as measured.
    pub assume_rate: u64,
    /// What the new file has of the one that it replaces, as far as the platform can: "none", or any of "mode" (with access
    /// control lists; on Windows the read-only mark), "owner", "xattrs" and "times", with commas between. NULL means
    /// "mode,owner,xattrs".
    pub keep: *const c_char,
    /// With GOSYNC_JOB_IN_PLACE: a path, where the journal is by which an update that ended early is finished. A block
    /// device needs one. NULL: beside the target, by its name.
    pub journal: *const c_char,
}

/// How to verify a file or a directory. Start from GOSYNC_VERIFY_OPTIONS_INIT; zero means the default in each member.
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
    /// A path, where the journal is if an update of the file in place was not finished. NULL: beside it, by its name.
    pub journal: *const c_char,
}

sized!(gosync_index_options, gosync_open_options, gosync_job_options, gosync_verify_options);

/// # Safety
/// `pointer` is NULL or points to options as the header describes them; so for all functions below.
pub(crate) unsafe fn index_options(pointer: *const gosync_index_options) -> Result<IndexOptions> {
    // SAFETY: as the caller says, here and for what the structure points to.
    unsafe {
        let options = sized::read(pointer, "options")?.unwrap_or_default();
        let observer = take(options.observer)?;
        if options.flags & !INDEX_FLAGS != 0 {
            return Err(argument("options.flags", "has a bit that means nothing"));
        }
        let patterns = list(options.exclude, options.exclude_count, "options.exclude")?;
        let pattern = |&pattern: &*const c_char| {
            let text = optional_text(pattern, "options.exclude")?;
            text.map(str::to_owned).ok_or_else(|| argument("options.exclude", "has a pattern that is NULL"))
        };
        Ok(IndexOptions {
            block_size: options.block_size,
            top_size: options.top_size,
            threads: options.threads as usize,
            source: optional_text(options.source, "options.source")?.map(str::to_owned),
            format: optional_text(options.format, "options.format")?
                .map_or(Ok(Format::default()), Format::from_name)?,
            name: optional_text(options.name, "options.name")?.map(str::to_owned),
            version: optional_text(options.version, "options.version")?.map(str::to_owned),
            sign: optional_path(options.sign, "options.sign")?,
            sign_password: optional_text(options.sign_password, "options.sign_password")?.map(str::to_owned),
            exclude: patterns.iter().map(pattern).collect::<Result<_>>()?,
            content: optional_path(options.content, "options.content")?,
            previous: optional_path(options.previous, "options.previous")?,
            modes: options.flags & GOSYNC_INDEX_MODES != 0,
            times: options.flags & GOSYNC_INDEX_TIMES != 0,
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
        let observer = take(options.observer)?;
        if options.reserved != 0 {
            return Err(argument("options.reserved", "is not 0"));
        }
        Ok(OpenOptions {
            max_index_size: options.max_index_size,
            index_cache: optional_path(options.index_cache, "options.index_cache")?,
            expect: optional_text(options.expect, "options.expect")?.map(str::parse).transpose()?,
            public_key: optional_text(options.public_key, "options.public_key")?.map(str::parse).transpose()?,
            target: optional_path(options.target, "options.target")?,
            threads: options.threads as usize,
            assume_rtt: round_trip(options.assume_rtt_ms)?,
            assume_rate: options.assume_rate,
            retries: retries(options.retries)?,
            http: http_options(&options)?,
            observer,
        })
    }
}

/// # Safety
/// The members of `options` are as the header describes them.
unsafe fn http_options(options: &gosync_open_options) -> Result<HttpOptions> {
    // SAFETY: as the caller says; so for the header lines.
    let copied = |text, name| unsafe { optional_text(text, name) }.map(|text| text.map(str::to_owned));
    // SAFETY: as above.
    let ca_file = unsafe { optional_path(options.ca_file, "options.ca_file") }?;
    // SAFETY: as above.
    let lines = unsafe { list(options.headers, options.header_count, "options.headers") }?;
    let line = |&line: &*const c_char| {
        copied(line, "options.headers")?.ok_or_else(|| argument("options.headers", "has a line that is NULL"))
    };
    Ok(HttpOptions {
        connections: options.connections as usize,
        timeout: milliseconds(options.timeout_ms),
        connect_timeout: milliseconds(options.connect_timeout_ms),
        first_byte_timeout: milliseconds(options.first_byte_timeout_ms),
        stall_timeout: milliseconds(options.stall_timeout_ms),
        user: copied(options.user, "options.user")?,
        bearer: copied(options.bearer, "options.bearer")?,
        headers: lines.iter().map(line).collect::<Result<_>>()?,
        proxy: copied(options.proxy, "options.proxy")?,
        no_proxy: copied(options.no_proxy, "options.no_proxy")?,
        ca_file,
        rate_limit: options.rate_limit,
    })
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

/// C's number of retries, where 0 is the default and -1 is none.
fn retries(count: i32) -> Result<Option<u32>> {
    match count {
        0 => Ok(None),
        -1 => Ok(Some(0)),
        count => u32::try_from(count).map(Some).map_err(|_| argument("options.retries", "is below -1")),
    }
}

/// A round trip that may be a fraction of a millisecond.
fn round_trip(milliseconds: f64) -> Result<Duration> {
    let problem = || argument("options.assume_rtt_ms", "is not a number of milliseconds that can be waited");
    Duration::try_from_secs_f64(milliseconds / 1000.0).map_err(|_| problem())
}

/// # Safety
/// As [`index_options`].
pub(crate) unsafe fn job_options(pointer: *const gosync_job_options) -> Result<JobOptions> {
    // SAFETY: as the caller says, here and for what the structure points to.
    unsafe {
        let options = sized::read(pointer, "options")?.unwrap_or_default();
        let observer = take(options.observer)?;
        let open = open_options(options.open)?;
        if options.flags & !JOB_FLAGS != 0 {
            return Err(argument("options.flags", "has a bit that this version of gosync does not know"));
        }
        Ok(JobOptions {
            threads: options.threads as usize,
            max_requests: options.max_requests as usize,
            max_bytes_in_flight: options.max_bytes_in_flight,
            retries: retries(options.retries)?,
            timeout: milliseconds(options.timeout_ms),
            max_gap: options.max_gap,
            assume_rtt: round_trip(options.assume_rtt_ms)?,
            assume_rate: options.assume_rate,
            ignore_target: options.flags & GOSYNC_JOB_IGNORE_TARGET != 0,
            allow_any_source: options.flags & GOSYNC_JOB_ALLOW_ANY_SOURCE != 0,
            thorough: options.flags & GOSYNC_JOB_THOROUGH != 0,
            replace_timeout: milliseconds(options.replace_timeout_ms),
            move_aside: options.flags & GOSYNC_JOB_MOVE_ASIDE != 0,
            keep: optional_text(options.keep, "options.keep")?.map(str::parse).transpose()?.unwrap_or_default(),
            refuse_symlink: options.flags & GOSYNC_JOB_REFUSE_SYMLINK != 0,
            in_place: options.flags & GOSYNC_JOB_IN_PLACE != 0,
            quick: options.flags & GOSYNC_JOB_QUICK != 0,
            delete: options.flags & GOSYNC_JOB_DELETE != 0,
            journal: optional_path(options.journal, "options.journal")?,
            open,
            observer,
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
        let journal = optional_path(options.journal, "options.journal")?;
        Ok(VerifyOptions { threads: options.threads as usize, journal, observer })
    }
}
