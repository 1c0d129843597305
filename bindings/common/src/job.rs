//! The job: one update of one file.

use std::ffi::c_char;
use std::path::{Path, PathBuf};
use std::ptr;

use gosync_ffi::{
    GOSYNC_JOB_ALLOW_ANY_SOURCE, GOSYNC_JOB_DELETE, GOSYNC_JOB_IGNORE_TARGET, GOSYNC_JOB_IN_PLACE,
    GOSYNC_JOB_MOVE_ASIDE, GOSYNC_JOB_QUICK, GOSYNC_JOB_REFUSE_SYMLINK, GOSYNC_JOB_THOROUGH, gosync_job,
    gosync_job_options, gosync_progress, gosync_statistics,
};

use crate::call::{call, make};
use crate::observer::{Lent, read_progress};
use crate::open::{ForC, retries};
use crate::{Index, Observer, OpenOptions, Plan, Progress, Result, Source, text};

/// How to plan and run an update. Zero means the default.
#[derive(Clone, Default)]
pub struct JobOptions {
    /// Worker threads.
    pub threads: u32,
    /// Requests that the source may have unanswered.
    pub max_requests: u32,
    /// Bytes asked for and not yet written.
    pub max_bytes_in_flight: u64,
    /// Temporary failures in a row that are survived; `None` is the default.
    pub retries: Option<u32>,
    /// How long a request may stay without any new byte.
    pub timeout_ms: u32,
    /// Gaps between missing ranges that are fetched along, at most.
    pub max_gap: u64,
    /// Plan with this round trip; zero: as measured.
    pub assume_rtt_ms: f64,
    /// Plan with this rate, in bytes per second; zero: as measured.
    pub assume_rate: u64,
    /// Do not use what is at the target as a seed.
    pub ignore_target: bool,
    /// Let the index name any source.
    pub allow_any_source: bool,
    /// Look through all seeds to their end.
    pub thorough: bool,
    /// How long a target that another program holds is waited for.
    pub replace_timeout_ms: u32,
    /// Move an old file aside that is held still then.
    pub move_aside: bool,
    /// What is kept of the file that is replaced; `None` is the default.
    pub keep: Option<String>,
    /// A target that is a symbolic link is an error.
    pub refuse_symlink: bool,
    /// Change the target itself instead of replacing it.
    pub in_place: bool,
    /// Believe that a file of a directory is what an earlier update made of it by its size and time.
    pub quick: bool,
    /// Make a directory exactly what the index says.
    pub delete: bool,
    /// Where the journal of an update in place is.
    pub journal: Option<PathBuf>,
    /// How the source that the index names is opened.
    pub open: Option<OpenOptions>,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// What a job did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of the target.
    pub total: u64,
    /// Bytes of the target that came from seeds.
    pub from_seeds: u64,
    /// Bytes that arrived from the source and were lacking.
    pub fetched: u64,
    /// Bytes that arrived from the source and were not needed.
    pub wasted: u64,
    /// Verified bytes that were written; what was at its place already is not among them.
    pub written: u64,
    /// Round trips to the source.
    pub requests: u64,
    /// Requests that were repeated after a temporary failure.
    pub retries: u64,
    /// Whether the target was the new version already.
    pub up_to_date: bool,
    /// Bytes of the index that were read.
    pub index_size: u64,
    /// What proves the result, for instance `root`; empty before the end.
    pub proof: String,
    /// The root of what the target is now.
    pub root: Option<String>,
    /// Why it was done this way; empty before the end.
    pub reason: String,
}

/// One update of one file. Any thread may cancel it or look at its progress.
pub struct Job(*mut gosync_job);

// SAFETY: the C side allows every call on `const gosync_job *` from any thread at any time.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    /// An update of `target` to what `index` says. Without a `source`, the one that the index names is used.
    pub fn new(index: &Index, source: Option<&Source>, target: &Path, options: &JobOptions) -> Result<Self> {
        let target = text::c_path(target, "the target")?;
        let source = source.map_or(ptr::null(), Source::as_ptr);
        let open = options.open.as_ref().map(OpenOptions::for_c).transpose()?;
        let lent = options.observer.lend();
        let keep = options.keep.as_deref().map(|text| text::c_text(text, "what is kept")).transpose()?;
        let kept = keep.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        let journal = options.journal.as_deref().map(|path| text::c_path(path, "the journal")).transpose()?;
        let mut options = options.to_c(&lent, open.as_ref().map_or(ptr::null(), ForC::as_ptr), kept);
        options.journal = journal.as_ref().map_or(ptr::null(), |path| path.as_ptr());
        let (index, target) = (index.as_ptr(), target.as_ptr());
        // SAFETY: every pointer is valid during the call.
        make(|out, error| unsafe { gosync_ffi::gosync_job_new(index, source, target, &options, out, error) }).map(Job)
    }

    /// Adds a file that may help.
    pub fn add_seed(&self, path: &Path) -> Result<()> {
        let path = text::c_path(path, "the seed")?;
        // SAFETY: the job is valid until it is dropped, the path during the call.
        call(|error| unsafe { gosync_ffi::gosync_job_add_seed(self.0, path.as_ptr(), error) })
    }

    /// Adds a source of the same content.
    pub fn add_mirror(&self, source: &Source) -> Result<()> {
        // SAFETY: the job and the source are valid until they are dropped.
        call(|error| unsafe { gosync_ffi::gosync_job_add_mirror(self.0, source.as_ptr(), error) })
    }

    /// Says what an update would do. Fetches and writes nothing.
    pub fn plan(&self) -> Result<Plan> {
        // SAFETY: the job is valid until it is dropped.
        let made = make(|out, error| unsafe { gosync_ffi::gosync_job_plan(self.0, out, error) })?;
        // SAFETY: a plan that was just made for us.
        Ok(unsafe { Plan::from_raw(made) })
    }

    /// Does the update; blocks until it is published or failed. A job runs once.
    pub fn run(&self) -> Result<Statistics> {
        // SAFETY: the job is valid until it is dropped.
        call(|error| unsafe { gosync_ffi::gosync_job_run(self.0, error) })?;
        Ok(self.statistics())
    }

    /// Asks the job to stop.
    pub fn cancel(&self) {
        // SAFETY: the job is valid until it is dropped.
        unsafe { gosync_ffi::gosync_job_cancel(self.0) };
    }

    /// Where the job is now.
    pub fn progress(&self) -> Progress {
        let mut progress = gosync_progress::default();
        // SAFETY: the job is valid until it is dropped, the progress valid for writing.
        unsafe { gosync_ffi::gosync_job_progress(self.0, &mut progress) };
        read_progress(&progress)
    }

    /// What the job has done so far.
    pub fn statistics(&self) -> Statistics {
        let mut from = gosync_statistics::default();
        // SAFETY: the job is valid until it is dropped, the statistics valid for writing; the texts are copied at once.
        let (proof, root, reason) = unsafe {
            gosync_ffi::gosync_job_statistics(self.0, &mut from);
            (
                text::copied(gosync_ffi::gosync_job_proof(self.0)),
                text::copied(gosync_ffi::gosync_job_root(self.0)),
                text::copied(gosync_ffi::gosync_job_reason(self.0)),
            )
        };
        Statistics {
            total: from.total,
            from_seeds: from.from_seeds,
            fetched: from.fetched,
            wasted: from.wasted,
            written: from.written,
            requests: from.requests,
            retries: from.retries,
            up_to_date: from.up_to_date != 0,
            index_size: from.index_size,
            proof: proof.unwrap_or_default(),
            root,
            reason: reason.unwrap_or_default(),
        }
    }
}

impl JobOptions {
    fn to_c(
        &self,
        lent: &Lent,
        open: *const gosync_ffi::gosync_open_options,
        keep: *const c_char,
    ) -> gosync_job_options {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        gosync_job_options {
            threads: self.threads,
            max_requests: self.max_requests,
            max_bytes_in_flight: self.max_bytes_in_flight,
            retries: retries(self.retries),
            timeout_ms: self.timeout_ms,
            max_gap: self.max_gap,
            assume_rtt_ms: self.assume_rtt_ms,
            assume_rate: self.assume_rate,
            flags: flag(self.ignore_target, GOSYNC_JOB_IGNORE_TARGET)
                | flag(self.allow_any_source, GOSYNC_JOB_ALLOW_ANY_SOURCE)
                | flag(self.thorough, GOSYNC_JOB_THOROUGH)
                | flag(self.move_aside, GOSYNC_JOB_MOVE_ASIDE)
                | flag(self.refuse_symlink, GOSYNC_JOB_REFUSE_SYMLINK)
                | flag(self.in_place, GOSYNC_JOB_IN_PLACE)
                | flag(self.quick, GOSYNC_JOB_QUICK)
                | flag(self.delete, GOSYNC_JOB_DELETE),
            keep,
            replace_timeout_ms: self.replace_timeout_ms,
            open,
            observer: lent.as_ptr(),
            ..Default::default()
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: owned, and not used after this.
        unsafe { gosync_ffi::gosync_job_free(self.0) };
    }
}
