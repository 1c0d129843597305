//! The job: one update of one file or directory. Matches, fetches, verifies, places, publishes.
//!
//! Here: what callers see, and the thread that can be let go of when a cancel must not wait. `work` is the update
//! itself, step by step, `tree` that of a directory, `inplace` that of a file in place; `placing` is its middle, where fetched bytes and seeds become verified units.

mod adopting;
mod ahead;
mod changed;
mod inplace;
mod levels;
mod placing;
mod seeds;
mod tree;
mod work;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gosync_core::{Error, ErrorKind, Index, Plan, Result, Source};

use crate::disk::Disk;
use crate::options::JobOptions;
use crate::output::Expected;
use crate::report::{Meter, Observer, Phase, Progress, Statistics};
use crate::seed::{FileReader, Kind};
use crate::tree::Folder;

/// How often a waiting caller looks for a cancel.
const TICK: Duration = Duration::from_millis(20);
/// How long a cancelled job gets to end in order before its caller is let go.
const GRACE: Duration = Duration::from_millis(50);

/// One update of one file, or of one directory if that is what the index describes. Thread-safe: any thread may cancel it or look at its progress.
/// Dropping a running job cancels it.
pub struct Job {
    shared: Arc<Shared>,
}

/// What the caller's handle and the working threads have in common.
struct Shared {
    index: Arc<Index>,
    source: Option<Arc<dyn Source>>,
    target: PathBuf,
    options: JobOptions,
    observer: Observer,
    /// Where it writes.
    disk: Disk,
    /// Bytes of a batch of an update in place.
    batch: u64,
    /// Whether a regular file at the target is taken for a block device.
    as_device: bool,
    meter: Meter,
    state: Mutex<State>,
    /// Whether `run` was called.
    started: AtomicBool,
    /// Whether a cancelled call has returned without waiting for its thread: nobody is to hear of that any more.
    abandoned: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    seeds: Vec<Added>,
    mirrors: Vec<Arc<dyn Source>>,
    /// The index of a newer version, if one turned out to be there.
    newer: Option<Arc<Index>>,
    statistics: Statistics,
    /// The journal, once the target is neither the old version nor the new one.
    unfinished: Option<PathBuf>,
}

/// A seed that was added.
#[derive(Clone)]
struct Added {
    path: PathBuf,
    /// What came out of it, if it is a pipe: that can be had only once.
    spooled: Option<Arc<FileReader>>,
}

impl Job {
    /// An update of `target` to what `index` says. Without a `source`, the one that the index names is used, if it is needed.
    /// An existing target is the first seed (unless the options say otherwise).
    pub fn new(
        index: Arc<Index>,
        source: Option<Arc<dyn Source>>,
        target: impl Into<PathBuf>,
        options: JobOptions,
    ) -> Result<Job> {
        let target = target.into();
        if target.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::Argument, "the target has no name"));
        }
        crate::trust::check_index(&index, &options.open)?;
        if options.in_place && index.listing().is_some() {
            return Err(Error::new(ErrorKind::Argument, "a directory is not updated in place"));
        }
        if let Some(place) = source.as_ref().filter(|source| !source.has_content() && index.kind() == "file") {
            let text = "the source is a directory, and the index describes a file";
            return Err(Error::new(ErrorKind::Argument, text).with("source", place.describe()));
        }
        let abandoned = Arc::new(AtomicBool::new(false));
        let mut observer = options.observer.in_turn(&abandoned);
        // The caller may have given the same token to other work, which a cancel (or the end) of this job is no reason to stop.
        observer.cancel = observer.cancel.child();
        let meter = Meter::new(&observer);
        let state = Mutex::new(State { statistics: statistics_of(&index), ..State::default() });
        let shared = Shared {
            index,
            source,
            target,
            options,
            observer,
            disk: Disk::system(),
            batch: inplace::BATCH,
            as_device: false,
            meter,
            state,
            started: AtomicBool::new(false),
            abandoned,
        };
        Ok(Job { shared: Arc::new(shared) })
    }

    /// Has the job write by `disk`, before anything else is done with it.
    #[cfg(test)]
    pub(crate) fn set_disk(&mut self, disk: Disk) {
        Arc::get_mut(&mut self.shared).expect("nothing is done with it yet").disk = disk;
    }

    /// Has an update in place make batches of so many bytes, before anything else is done with it.
    #[cfg(test)]
    pub(crate) fn set_batch(&mut self, batch: u64) {
        Arc::get_mut(&mut self.shared).expect("nothing is done with it yet").batch = batch;
    }

    /// Has the job take the target for a block device, before anything else is done with it.
    #[cfg(test)]
    pub(crate) fn set_as_device(&mut self) {
        Arc::get_mut(&mut self.shared).expect("nothing is done with it yet").as_device = true;
    }

    /// Adds a file that may help: an old version, a damaged one, a partial download. It must be readable now. It may be
    /// a block device, or a pipe; what a pipe gives is copied to an unnamed temporary file when the job first looks.
    /// It may be a directory: all regular files in it are one seed, links are not followed, and what of it cannot be read
    /// is left out. Seeds are numbered from 1 on, in this order; seed 0 is the target itself.
    pub fn add_seed(&self, path: impl Into<PathBuf>) -> Result<()> {
        let path = path.into();
        match Kind::at(&path, "seed")? {
            Kind::Pipe => {}
            Kind::Folder => drop(Folder::open(&*path, "seed")?),
            _ => drop(FileReader::open(&path, "seed")?),
        }
        self.shared.state().seeds.push(Added { path, spooled: None });
        Ok(())
    }

    /// Adds another place that the same content can be fetched from, besides the source.
    pub fn add_mirror(&self, source: Arc<dyn Source>) {
        self.shared.state().mirrors.push(source);
    }

    /// Looks through the seeds and says what an update would do. Fetches and writes nothing.
    pub fn plan(&self) -> Result<Plan> {
        let shared = Arc::clone(&self.shared);
        self.detachable(move || work::plan(&shared))
    }

    /// Does the update; blocks until it is published or failed. A job runs once.
    pub fn run(&self) -> Result<Statistics> {
        if self.shared.started.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::State, "the job has been run already"));
        }
        let shared = Arc::clone(&self.shared);
        let result = self.detachable(move || work::update(&shared));
        if let Err(error) = &result {
            let kind = error.kind();
            self.shared.observer.event(
                crate::report::Level::Warning,
                "failed",
                error.to_string(),
                &[("kind", &kind), ("target", &self.shared.target.display())],
            );
        }
        result.map(|()| self.statistics())
    }

    /// Asks the job to stop: `plan` and `run` return `CANCELLED` within 100 ms, unless the result is being published already.
    pub fn cancel(&self) {
        self.shared.observer.cancel.cancel();
    }

    /// Where the job is now.
    pub fn progress(&self) -> Progress {
        self.shared.meter.get()
    }

    /// What the job has done so far.
    pub fn statistics(&self) -> Statistics {
        let progress = self.progress();
        let state = self.shared.state();
        let index_size = self.shared.index.read_size() + state.newer.as_ref().map_or(0, |index| index.read_size());
        Statistics {
            index_size,
            from_seeds: progress.from_seeds,
            fetched: progress.fetched,
            wasted: progress.wasted,
            written: progress.written,
            requests: progress.requests,
            retries: progress.retries,
            ..state.statistics.clone()
        }
    }

    /// Does `work` on a thread of its own and waits for it; after a cancel, not for long: a seed on a dead network
    /// drive must not hold the caller. The thread then ends by itself; until then it holds the target's lock.
    fn detachable<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let cancel = &self.shared.observer.cancel;
        cancel.check()?;
        self.shared.meter.restart();
        let (sender, receiver) = std::sync::mpsc::channel();
        let guarded = move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            let defect = |_| Err(Error::new(ErrorKind::Internal, "a worker thread panicked"));
            let _ = sender.send(result.unwrap_or_else(defect));
        };
        std::thread::Builder::new()
            .name("gosync-job".into())
            .spawn(guarded)
            .map_err(|cause| Error::new(ErrorKind::Io, "cannot start a thread").caused_by(cause))?;
        let mut cancelled: Option<Instant> = None;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(result) => return result,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(ErrorKind::Internal, "a worker thread ended early"));
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
            // What is being published is seen through: it can no longer be stopped half-way. Where that waits for another
            // program, it looks for a cancel itself.
            if cancel.is_cancelled() && self.progress().phase < Phase::Publishing {
                let since = *cancelled.get_or_insert_with(Instant::now);
                if since.elapsed() >= GRACE {
                    self.shared.abandoned.store(true, Ordering::Release);
                    let error = Error::new(ErrorKind::Cancelled, "cancelled by the caller");
                    return Err(inplace::unfinished(&self.shared, error));
                }
            }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// What is known of the result before anything is done.
fn statistics_of(index: &Index) -> Statistics {
    Statistics { total: index.length(), proof: index.proof(), root: index.root(), ..Statistics::default() }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another version, that of `index`, is the goal now: what describes the result begins anew.
    fn restart(&self, index: &Arc<Index>) {
        {
            let mut state = self.state();
            state.statistics = statistics_of(index);
            state.newer = Some(Arc::clone(index));
        }
        self.begin_anew();
    }

    /// Everything is looked for once more.
    fn begin_anew(&self) {
        self.meter.update(|progress| {
            progress.phase = Phase::Matching;
            (progress.from_seeds, progress.written) = (0, 0);
        });
    }

    /// Adds to the reason why it was done in this way.
    fn add_reason(&self, reason: Option<String>) {
        if let Some(reason) = reason {
            let statistics = &mut self.state().statistics;
            statistics.reason = format!("{}; {reason}", statistics.reason);
        }
    }

    /// Where the target really is.
    fn real_target(&self) -> Result<PathBuf> {
        let expected = match self.index.listing() {
            Some(_) => Expected::Folder,
            None if self.options.in_place => Expected::FileOrDevice,
            None => Expected::File,
        };
        crate::output::real_target(&self.target, self.options.refuse_symlink, expected)
    }

    /// Whether the target is a block device.
    fn is_device(&self) -> bool {
        self.as_device || Kind::at(&self.target, "target").is_ok_and(|kind| kind == Kind::BlockDevice)
    }

    /// The target, if it is there to be a seed.
    fn old_target(&self) -> Option<&Path> {
        let is_there = self.target.is_file() || self.options.in_place && self.is_device();
        (!self.options.ignore_target && is_there).then_some(&*self.target)
    }
}
