//! `gosync_job`: one update of one file.

use std::ffi::{CString, c_char};
use std::sync::{Arc, OnceLock};

use gosync_io::{Job, Statistics};

use crate::error::gosync_error;
use crate::guard::{Out, c_string, call, free, get, object, path as read_path, quiet};
use crate::index::gosync_index;
use crate::observer::{gosync_progress, gosync_statistics, progress_of, statistics_of};
use crate::options::{gosync_job_options, job_options};
use crate::plan::gosync_plan;
use crate::sized;
use crate::source::gosync_source;
use crate::status::gosync_status;

/// One update of one file or directory. Any thread may add seeds, cancel it, or look at its progress and statistics while another
/// one runs it.
pub struct gosync_job {
    // Shared with the call that runs it, so that the handle may be freed meanwhile.
    inner: Arc<Inner>,
}

struct Inner {
    job: Job,
    end: OnceLock<End>,
}

/// What is only known once the job is over.
struct End {
    proof: CString,
    root: Option<CString>,
    reason: CString,
}

impl Inner {
    fn finish(&self, statistics: &Statistics) {
        self.end.get_or_init(|| End {
            proof: c_string(statistics.proof),
            root: statistics.root.map(|root| c_string(&root.to_string())),
            reason: c_string(&statistics.reason),
        });
    }
}

/// Makes an update of the file or directory at `target` to what `index` says.
///
/// `source` may be NULL: the one that the index names is opened then, if it is needed (below the index's own directory
/// or URL, unless the flags allow more). An existing target is the first seed, unless the flags say otherwise; it stays
/// as it is until the new version is published: a file in its place by one rename, a directory by one for each file that has
/// changed. `options` may be NULL. The job keeps what it
/// needs: `index` and `source` may be freed at once. `*out` is the caller's, freed by gosync_job_free.
/// Errors: GOSYNC_E_ARGUMENT (NULL, or a bad option). Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_new(
    index: *const gosync_index,
    source: *const gosync_source,
    target: *const c_char,
    options: *const gosync_job_options,
    out: *mut *mut gosync_job,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            let options = job_options(options)?;
            out.check()?;
            let index = object(index, "index")?.index.clone();
            let source = source.as_ref().map(|source| source.0.clone());
            let job = Job::new(index, source, read_path(target, "target")?, options)?;
            out.put(gosync_job { inner: Arc::new(Inner { job, end: OnceLock::new() }) })
        })
    }
}

/// Adds a file that may help: an old version, a damaged one, a partial download. It must be readable now. It may be
/// a block device, or a pipe: what a pipe gives is copied to an unnamed temporary file when the job first looks. It may
/// be a directory: all regular files in it are one seed (links are not followed, and what of it cannot be read is left
/// out), one after another in the order of their paths, each at the next multiple of the index's block size, with zeros
/// between. Seeds that are added after gosync_job_run was called are of no use.
///
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_NOT_FOUND, GOSYNC_E_PERMISSION, GOSYNC_E_IO.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_add_seed(
    job: *const gosync_job,
    path: *const c_char,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe { call(error, || object(job, "job")?.inner.job.add_seed(read_path(path, "path")?)) }
}

/// Adds a source of the same content, besides the one that the job has: where one fails, or has wrong bytes, another
/// goes on, and ranges are spread over them when one alone is slower than the link. Mirrors that are added after
/// gosync_job_run was called are of no use. `source` is borrowed for the time of the call.
///
/// Errors: GOSYNC_E_ARGUMENT. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_add_mirror(
    job: *const gosync_job,
    source: *const gosync_source,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let source = object(source, "source")?.0.clone();
            object(job, "job")?.inner.job.add_mirror(source);
            Ok(())
        })
    }
}

/// A dry run: looks through the seeds and says what an update would do. Fetches and writes nothing. Blocks until done
/// or cancelled.
///
/// `*out` is the caller's, freed by gosync_plan_free.
/// Errors: GOSYNC_E_ARGUMENT, GOSYNC_E_CANCELLED, GOSYNC_E_IO and the like about seeds. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_plan(
    job: *const gosync_job,
    out: *mut *mut gosync_plan,
    error: *mut *mut gosync_error,
) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let out = Out::new(out);
            out.check()?;
            let inner = object(job, "job")?.inner.clone();
            out.put(gosync_plan::new(inner.job.plan()?))
        })
    }
}

/// Does the update: blocks until the new version is published, or failed, or was cancelled. Whatever happens, the target
/// is the old version or the new one, whole; but with GOSYNC_JOB_IN_PLACE it may be neither, and a directory that is switched to
/// the new version partly both, until an update is finished: the error has "unfinished" among its facts then. A job runs once.
///
/// Errors: GOSYNC_E_STATE (it was run before), GOSYNC_E_CANCELLED, GOSYNC_E_ARGUMENT (NULL, or bytes are missing and
/// neither the caller nor the index names a source that is allowed); about local files GOSYNC_E_IO, GOSYNC_E_NOT_FOUND,
/// GOSYNC_E_PERMISSION, GOSYNC_E_NO_SPACE; about the source GOSYNC_E_SOURCE..., GOSYNC_E_TIMEOUT, and whatever an own
/// source finishes with; GOSYNC_E_MISMATCH if the source has other content than the index says. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_run(job: *const gosync_job, error: *mut *mut gosync_error) -> gosync_status {
    // SAFETY: all pointers are as the header asks.
    unsafe {
        call(error, || {
            let inner = object(job, "job")?.inner.clone();
            let statistics = inner.job.run()?;
            inner.finish(&statistics);
            Ok(())
        })
    }
}

/// Asks the job to stop: gosync_job_plan and gosync_job_run return GOSYNC_E_CANCELLED within about 100 ms. From any
/// thread, any number of times. Does not wait. NULL is ignored. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_cancel(job: *const gosync_job) {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(job, (), |job| job.inner.job.cancel()) }
}

/// Writes where the job is now to `*out`, whose `struct_size` the caller has set (GOSYNC_PROGRESS_INIT). Writes nothing
/// if a pointer is NULL or the struct_size is none that this structure can have. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_progress(job: *const gosync_job, out: *mut gosync_progress) {
    quiet(|| {
        // SAFETY: NULL or live and writable, as the header asks.
        if let (Some(job), false) = (unsafe { job.as_ref() }, out.is_null()) {
            let progress = progress_of(&job.inner.job.progress());
            // SAFETY: not NULL, and as large as its first field says. A refused size leaves it as it is, as promised.
            let _ = unsafe { sized::write(out, &progress, "out") };
        }
    });
}

/// Writes what the job has done so far to `*out`, whose `struct_size` the caller has set (GOSYNC_STATISTICS_INIT).
/// Writes nothing if a pointer is NULL or the struct_size is none that this structure can have. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_statistics(job: *const gosync_job, out: *mut gosync_statistics) {
    quiet(|| {
        // SAFETY: NULL or live and writable, as the header asks.
        if let (Some(job), false) = (unsafe { job.as_ref() }, out.is_null()) {
            let statistics = statistics_of(&job.inner.job.statistics());
            // SAFETY: not NULL, and as large as its first field says. A refused size leaves it as it is, as promised.
            let _ = unsafe { sized::write(out, &statistics, "out") };
        }
    });
}

/// What proves the result: "root", the BLAKE3 hash of the whole target, or "blocks-md5" with an index of the format 0.2. NULL
/// until the job has ended successfully.
/// Borrowed until the job is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_proof(job: *const gosync_job) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(job, std::ptr::null(), |job| job.inner.end.get().map_or(std::ptr::null(), |end| end.proof.as_ptr())) }
}

/// The root of what the target is now, as 64 hexadecimal digits: that of a newer index, if one was read meanwhile. NULL until
/// the job has ended successfully, and with an index of the format 0.2. Borrowed until the job is freed. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_root(job: *const gosync_job) -> *const c_char {
    let root = |end: &End| end.root.as_ref().map_or(std::ptr::null(), |root| root.as_ptr());
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(job, std::ptr::null(), |job| job.inner.end.get().map_or(std::ptr::null(), root)) }
}

/// Why it was done this way, one line. NULL until the job has ended successfully. Borrowed until the job is freed.
/// Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_reason(job: *const gosync_job) -> *const c_char {
    // SAFETY: NULL or live, as the header asks.
    unsafe { get(job, std::ptr::null(), |job| job.inner.end.get().map_or(std::ptr::null(), |end| end.reason.as_ptr())) }
}

/// Frees a job. One that is running is cancelled and detached: its call returns on its own, and what it borrowed from
/// callbacks is dropped then. NULL is fine. Since 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gosync_job_free(job: *mut gosync_job) {
    // SAFETY: NULL or from `gosync_job_new`, and not used again, as the header asks.
    unsafe {
        gosync_job_cancel(job);
        free(job);
    }
}
