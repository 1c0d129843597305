//! One update, step by step: open the seeds, match, transfer and place, publish.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gosync_core::assemble::Verified;
use gosync_core::cost::Way;
use gosync_core::index::UNIT;
use gosync_core::matching::{self, Flow, Found, Observe};
use gosync_core::schedule::Limits;
use gosync_core::{Error, ErrorKind, Index, Plan, ReadAt, Result, Source};

use super::ahead::Search;
use super::placing::{self, Site, Task};
use super::{Added, Shared, adopting, inplace, levels};
use crate::open;
use crate::output::{self, Lock, Output, Replacing, names};
use crate::parts::Reading;
use crate::report::{Level, Phase};
use crate::seed::{FileReader, Kind};
use crate::{spool, trust, verbs};

/// What an update would do. If parts of the index are needed and these are of another version now, the index is read
/// again, once.
pub(super) fn plan(shared: &Shared) -> Result<Plan> {
    inplace::real_target(shared)?;
    match plan_for(shared, &shared.index) {
        Err(error) if error.kind() == ErrorKind::SourceChanged => plan_for(shared, &newer(shared, error)?),
        outcome => outcome,
    }
}

fn plan_for(shared: &Shared, index: &Arc<Index>) -> Result<Plan> {
    let seeds = Seeds::open(shared, index)?;
    begin(shared, index, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    let up_to_date = pool.install(|| seeds.are_up_to_date(shared, index))?;
    let search = Searching { shared, index, seeds: &seeds, place: None };
    let nothing = || Found::new(index);
    let mut plan = if up_to_date {
        Plan::up_to_date(index, search.run(&pool, nothing())?.cover())
    } else {
        let way = way(shared, &source(shared, index));
        Plan::new(index, search.run(&pool, nothing())?.cover(), &way, limits(shared, index).max_gap)
    };
    plan.unfinished = inplace::tell_unfinished(shared);
    tell(shared, &plan);
    shared
        .meter
        .finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    Ok(plan)
}

/// The update. If the content turns out to be of another version than the index, the index is read again, once, and
/// what was put together by then serves as one more seed.
pub(super) fn update(shared: &Shared) -> Result<()> {
    let target = inplace::real_target(shared)?;
    let in_place = shared.options.in_place && target.exists();
    // A target that needs no update may be where nothing can be locked.
    let lock = Lock::take(&shared.disk, &inplace::locked(shared)?);
    if let Ok(lock) = &lock {
        if !lock.is_real() {
            let text = "this file system has no locks: nothing keeps another update of the target from running too";
            shared.observer.event(Level::Warning, "no_lock", text, &[("target", &shared.target.display())]);
        }
        output::tidy_up(&shared.disk, &target);
    }
    inplace::tell_unfinished(shared);
    let attempt = |index: &Arc<Index>| match &lock {
        Ok(_) if in_place => inplace::attempt(shared, index),
        Err(error) if in_place => Err(error.clone()),
        _ => attempt(shared, index, &lock),
    };
    let error = match attempt(&shared.index) {
        Err(error) if may_be_another_version(&error) => error,
        outcome => return outcome,
    };
    attempt(&newer(shared, error)?)
}

/// The index as it is now where it came from; `error` if it is no other.
fn newer(shared: &Shared, error: Error) -> Result<Arc<Index>> {
    let mut options = shared.options.open.clone();
    options.observer = shared.observer.clone();
    // An index that cannot be read any more is not what the caller is to hear of.
    let index = match open::reopen(&shared.index, &options) {
        Ok(Some(index)) if !index.is_same(&shared.index) => Arc::new(index),
        _ => return Err(error),
    };
    shared.observer.event(
        Level::Warning,
        "replanned",
        format!("there is a newer version, which is what the target will be now: {error}"),
        &[("root", &verbs::root_text(&index))],
    );
    shared.restart(&index);
    Ok(index)
}

/// Whether an error can come of content and index not being of the same version.
fn may_be_another_version(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SourceChanged | ErrorKind::Mismatch | ErrorKind::Source)
}

/// One try at the version that `index` describes.
fn attempt(shared: &Shared, index: &Arc<Index>, lock: &Result<Lock>) -> Result<()> {
    let seeds = Seeds::open(shared, index)?;
    begin(shared, index, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    if pool.install(|| seeds.are_up_to_date(shared, index))? {
        pool.install(|| trust::check_content(index, &shared.options.open, &*seeds.readers[0], &shared.observer))?;
        drop(seeds);
        if lock.is_ok() {
            inplace::settle(shared)?;
            names::remove_parts(&shared.disk, &output::real_target(&shared.target)?, &[]);
        }
        return up_to_date(shared);
    }
    lock.as_ref().map_err(Clone::clone)?;
    let output = Output::open(&shared.disk, &shared.target, index)?;
    let kept: Vec<&Path> = seeds.parts.iter().map(PathBuf::as_path).chain([output.path()]).collect();
    names::remove_parts(&shared.disk, &output::real_target(&shared.target)?, &kept);
    let source = source(shared, index);
    let task = Task { shared, index, seeds: &seeds, output: &output, source: &source, limits: limits(shared, index) };
    let placed = placing::place(task, |site| {
        let begun = adopting::adopt(shared, index, &output, seeds.own_part, &pool)?;
        let found = Searching { shared, index, seeds: &seeds, place: Some((&output, site)) }.run(&pool, begun)?;
        let plan = Plan::new(index, found.cover(), &site.way(), limits(shared, index).max_gap);
        // The cover says it all from here on.
        drop(found);
        tell(shared, &plan);
        site.begin(plan)
    });
    if let Ok(source) = &source {
        shared.add_reason(source.link().reason);
    }
    placed?;
    let content = output.reader()?;
    let checked = pool.install(|| trust::check_content(index, &shared.options.open, &content, &shared.observer));
    drop(content);
    if let Err(error) = checked {
        if error.kind() == ErrorKind::Mismatch {
            output.discard();
        }
        return Err(error);
    }
    publish(shared, seeds, output)
}

/// Tells what will be done.
pub(super) fn tell(shared: &Shared, plan: &Plan) {
    shared.observer.event(
        Level::Info,
        "planned",
        &*plan.reason,
        &[
            ("strategy", &plan.strategy.name()),
            ("missing", &plan.missing),
            ("ranges", &plan.ranges),
            ("total", &plan.total),
        ],
    );
    shared.state().statistics.reason.clone_from(&plan.reason);
}

/// What is known of the way to the source. What the caller assumes comes first.
pub(super) fn way(shared: &Shared, source: &Result<Arc<dyn Source>>) -> Way {
    let options = &shared.options;
    let mut way = source.as_ref().map_or_else(|_| Way::default(), |source| Way::from(&source.link()));
    if !options.assume_rtt.is_zero() {
        way.round_trip = Some(options.assume_rtt);
    }
    if options.assume_rate > 0 {
        way.rate = Some(options.assume_rate);
    }
    way
}

pub(super) fn begin(shared: &Shared, index: &Index, seed_bytes: u64) {
    shared.meter.update(|progress| {
        progress.phase = Phase::Matching;
        progress.cancellable = true;
        progress.total = index.length();
    });
    let (length, root) = (index.length(), verbs::root_text(index));
    let target = shared.target.display();
    shared.observer.event(
        Level::Info,
        "started",
        "looking for what is already here",
        &[("target", &target), ("length", &length), ("root", &root), ("seed_bytes", &seed_bytes)],
    );
}

pub(super) fn up_to_date(shared: &Shared) -> Result<()> {
    let reason = gosync_core::plan::UP_TO_DATE;
    {
        let mut state = shared.state();
        state.statistics.up_to_date = true;
        state.statistics.reason = reason.into();
    }
    shared.observer.event(Level::Info, "up_to_date", reason, &[]);
    shared.meter.finish(|progress| {
        progress.from_seeds = progress.total;
        (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0);
    });
    Ok(())
}

fn publish(shared: &Shared, seeds: Seeds, output: Output) -> Result<()> {
    // Windows replaces only what nobody holds open, the old target included.
    drop(seeds);
    // First the phase, then the last look: whoever cancels from here on sees that it is too late.
    shared.meter.update(|progress| (progress.phase, progress.cancellable) = (Phase::Publishing, false));
    shared.observer.cancel.check()?;
    let target = shared.target.display();
    let waiting = |cause: &std::io::Error| {
        let text = format!("the target is held by another program, which is waited for: {cause}");
        shared.observer.event(Level::Info, "waiting", text, &[("target", &target)]);
        // Nothing else tells of progress until that is over.
        shared.meter.finish(|progress| (progress.phase, progress.cancellable) = (Phase::Waiting, true));
    };
    let options = &shared.options;
    let (timeout, move_aside, cancel) = (options.replace_timeout, options.move_aside, &shared.observer.cancel);
    let real = output::real_target(&shared.target)?;
    let aside = output.publish(&Replacing { timeout, move_aside, cancel, waiting: &waiting })?;
    inplace::settle(shared)?;
    names::remove_parts(&shared.disk, &real, &[]);
    if let Some(aside) = aside {
        let text = "the old target, which is still held, was moved aside";
        shared.observer.event(Level::Info, "moved_aside", text, &[("target", &target), ("old", &aside.display())]);
    }
    shared.observer.event(Level::Info, "published", "the target is the new version", &[("target", &target)]);
    shared
        .meter
        .finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    Ok(())
}

/// The bounds of the transfer, from the options.
pub(super) fn limits(shared: &Shared, index: &Index) -> Limits {
    let (options, default) = (&shared.options, Limits::default());
    let max_bytes = if options.max_bytes_in_flight == 0 { default.max_bytes } else { options.max_bytes_in_flight };
    Limits {
        max_requests: if options.max_requests == 0 { default.max_requests } else { options.max_requests },
        max_gap: if options.max_gap == 0 { default.max_gap } else { options.max_gap },
        // A unit is verified as a whole; those of a legacy index may be large.
        max_bytes: if index.unit_size() > UNIT { max_bytes.max(2 * index.unit_size()) } else { max_bytes },
        retries: options.retries.unwrap_or(default.retries),
        timeout: if options.timeout.is_zero() { default.timeout } else { options.timeout },
    }
}

/// Where missing bytes come from.
pub(super) fn source(shared: &Shared, index: &Index) -> Result<Arc<dyn Source>> {
    let source = match &shared.source {
        Some(source) => Arc::clone(source),
        None => named_source(shared, index)?,
    };
    let mirrors = shared.state().mirrors.clone();
    open::with_mirrors(source, mirrors, index.unit_size(), &shared.observer)
}

fn named_source(shared: &Shared, index: &Index) -> Result<Arc<dyn Source>> {
    let options = &shared.options;
    let mut open_options = options.open.clone();
    open_options.observer = shared.observer.clone();
    open::named_source(index, &shared.target, options.allow_any_source, &open_options)?.ok_or_else(|| {
        Error::new(ErrorKind::Argument, "bytes are missing, no source was given, and the index names none")
    })
}

/// The search through the seeds.
pub(super) struct Searching<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: &'a Index,
    pub(super) seeds: &'a Seeds,
    /// Where whole units are written as they are found, and what may be fetched meanwhile; a plan does neither.
    pub(super) place: Option<(&'a Output, &'a Site<'a>)>,
}

impl Searching<'_> {
    /// Looks for what `begun` lacks.
    pub(super) fn run(&self, pool: &rayon::ThreadPool, begun: Found) -> Result<Found> {
        let seed_bytes = self.seeds.bytes();
        let work = seed_bytes.saturating_add(self.index.length());
        let readers: Vec<&dyn ReadAt> = self.seeds.readers.iter().map(|reader| &**reader as &dyn ReadAt).collect();
        let last = readers.iter().rposition(|reader| reader.length() > 0);
        // What was looked through before this search says nothing about how it is going.
        let watcher = || {
            let (scanned, start) = (AtomicU64::new(0), Instant::now());
            Watcher { search: self, scanned, work, seed_bytes, last, start }
        };
        let whole = |begun| {
            let watcher = watcher();
            let options = matching::Options::default();
            pool.install(|| matching::find_rest(self.index, &readers, &options, &watcher, begun))
        };
        if self.index.is_whole() {
            return whole(begun);
        }
        let above = watcher();
        let mut open = self.shared.options.open.clone();
        open.observer = self.shared.observer.clone();
        let found = std::thread::scope(|scope| {
            let mut reading = Reading::new(scope, self.index, &open);
            levels::search(pool, self.index, &readers, &above, &open, &mut reading, begun.clone())
        })?;
        found.map_or_else(|| whole(begun), Ok)
    }
}

/// Hears of what the matcher finds.
pub(super) struct Watcher<'a> {
    search: &'a Searching<'a>,
    /// Bytes of seeds that have been looked through.
    pub(super) scanned: AtomicU64,
    /// Bytes to scan and to write.
    work: u64,
    pub(super) seed_bytes: u64,
    /// The last seed that has anything.
    last: Option<usize>,
    start: Instant,
}

impl Observe for Watcher<'_> {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        let shared = self.search.shared;
        shared.observer.cancel.check()?;
        let Some((output, site)) = self.search.place else { return Ok(()) };
        let length = bytes.bytes().len() as u64;
        let units = unit..unit + length.div_ceil(self.search.index.unit_size());
        // Two threads that find the same unit at the same time both write it: the same bytes, so no harm.
        if units.clone().all(|unit| output.has(unit)) {
            return Ok(());
        }
        let new = output.write(bytes)?;
        units.for_each(|unit| site.found(unit));
        shared.meter.update(|progress| {
            progress.from_seeds += new;
            progress.written += new;
        });
        Ok(())
    }

    fn scanned(&self, bytes: u64) -> Result<()> {
        let scanned = self.scanned.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let (shared, work) = (self.search.shared, self.work);
        shared.meter.update(|progress| progress.fraction = verbs::share(scanned + progress.written, work));
        shared.observer.cancel.check()
    }

    fn passed(&self, found: &Found, seed: u32, bytes: u64) -> Result<Flow> {
        // What an earlier seed has not may be in a later one.
        let Some((_, site)) = self.search.place.filter(|_| self.last == Some(seed as usize)) else {
            return Ok(Flow::On);
        };
        let index = self.search.index;
        let total = index.length();
        let search = Search {
            elapsed: self.start.elapsed(),
            scanned: self.scanned.load(Ordering::Relaxed),
            to_scan: self.seed_bytes,
            passed: 0,
            missing: 0,
            missed: 0,
            late: 0,
            found: (index.block_count() - found.missing_blocks()) * u64::from(index.block_size()),
            total,
            rate: site.way().rate.unwrap_or(0),
            thorough: self.search.shared.options.thorough,
        };
        site.passed(found, bytes.min(total), search)
    }

    fn unreadable(&self, seed: u32, error: Error) {
        let text = format!("a part of a seed cannot be read and is left out: {error}");
        self.search.shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &seed)]);
    }
}

/// Opens the seed that was added as `number`, from 0 on. A pipe is read to its end, and what it gave is kept for the
/// next run of the same job.
fn open_seed(shared: &Shared, number: usize, seed: Added) -> Result<Arc<dyn ReadAt>> {
    if let Some(spooled) = seed.spooled {
        return Ok(spooled);
    }
    let is_pipe = Kind::at(&seed.path, "seed")? == Kind::Pipe;
    let reader = Arc::new(spool::open(&seed.path, "seed", &shared.observer)?);
    if let (true, Some(kept)) = (is_pipe, shared.state().seeds.get_mut(number)) {
        kept.spooled = Some(Arc::clone(&reader));
    }
    Ok(reader)
}

/// The seeds of one run, open. Number 0 is the target itself, or nothing; behind those that were added come the partial
/// file of this version, or nothing, and the newest one of another version, if there is any.
pub(super) struct Seeds {
    pub(super) readers: Vec<Arc<dyn ReadAt>>,
    has_target: bool,
    /// The number of the partial file of this version.
    own_part: u32,
    /// The paths of the partial files that are among them.
    parts: Vec<PathBuf>,
    /// The number of the journal that an unfinished update in place left.
    pub(super) journal: Option<u32>,
}

impl Seeds {
    /// The target, the seeds that were added, and what earlier tries left behind.
    pub(super) fn open(shared: &Shared, index: &Index) -> Result<Seeds> {
        let target = shared.old_target();
        let own: Option<Arc<dyn ReadAt>> = target.and_then(|target| match FileReader::open(target, "target") {
            Ok(reader) => Some(Arc::new(reader) as Arc<dyn ReadAt>),
            Err(error) => {
                let text = format!("the old target cannot be read and is left out: {error}");
                shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &0)]);
                None
            }
        });
        let has_target = own.is_some();
        let nothing = || Arc::new(Vec::new()) as Arc<dyn ReadAt>;
        let mut readers = vec![own.unwrap_or_else(nothing)];
        // Not in the loop's head, where the lock would be held while files are opened.
        let seeds = shared.state().seeds.clone();
        for (number, seed) in seeds.into_iter().enumerate() {
            // The target given once more as a seed has nothing new to say.
            let is_target = has_target && open::same_file(&seed.path, &shared.target);
            readers.push(if is_target { nothing() } else { open_seed(shared, number, seed)? });
        }
        let own_part = readers.len() as u32;
        let target = inplace::real_target(shared)?;
        let own = names::part(&target, index)?;
        // One that cannot be read is none.
        let open = |path: &Path| FileReader::open(path, "partial file").ok();
        let mut parts = Vec::new();
        let mut add = |path: PathBuf, reader: Option<FileReader>| {
            let reader = reader.map(|reader| Arc::new(reader) as Arc<dyn ReadAt>);
            parts.extend(reader.is_some().then_some(path));
            readers.push(reader.unwrap_or_else(nothing));
        };
        let reader = open(&own);
        add(own.clone(), reader);
        if let Some(other) = names::parts(&target).into_iter().find(|path| *path != own) {
            let reader = open(&other);
            add(other, reader);
        }
        let length = index.length().max(readers.first().map_or(0, |target| target.length()));
        let journal = inplace::left_journal(shared, length)?.map(|journal| {
            readers.push(journal);
            readers.len() as u32 - 1
        });
        Ok(Seeds { readers, has_target, own_part, parts, journal })
    }

    /// The target is read by `reader` from here on.
    pub(super) fn set_target(&mut self, reader: Arc<dyn ReadAt>) {
        if let Some(target) = self.readers.first_mut().filter(|_| self.has_target) {
            *target = reader;
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.readers.iter().map(|reader| reader.length()).sum()
    }

    /// Whether the target is the new version already.
    fn are_up_to_date(&self, shared: &Shared, index: &Index) -> Result<bool> {
        match self.readers.first() {
            Some(target) if self.has_target => verbs::is_target(&**target, index, &shared.observer),
            _ => Ok(false),
        }
    }
}
