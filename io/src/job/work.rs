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
use gosync_core::{Error, ErrorKind, Index, Piece, Plan, ReadAt, Result, Source};

use super::ahead::Search;
use super::placing::{self, Site, Task};
use super::seeds::Seeds;
use super::{Shared, adopting, inplace, levels, tree};
use crate::in_part::InPart;
use crate::open;
use crate::options::OpenOptions;
use crate::output::{self, Identity, Lock, Output, Replacing, names};
use crate::parts::{self, Reading};
use crate::report::{Level, Phase};
use crate::seed::FileReader;
use crate::{trust, verbs};

/// What an update would do. If parts of the index are needed and these are of another version now, the index is read
/// again, once.
pub(super) fn plan(shared: &Shared) -> Result<Plan> {
    shared.real_target()?;
    let plan = |index: &Arc<Index>| match index.listing() {
        Some(_) => tree::plan(shared, index),
        None => plan_for(shared, index),
    };
    let plan = match plan(&shared.index) {
        Err(error) if error.kind() == ErrorKind::SourceChanged => plan(&newer(shared, error)?)?,
        outcome => outcome?,
    };
    tell(shared, &plan);
    shared
        .meter
        .finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    Ok(plan)
}

fn plan_for(shared: &Shared, index: &Arc<Index>) -> Result<Plan> {
    let seeds = Seeds::open(shared, index)?;
    begin(shared, index, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    let up_to_date = pool.install(|| seeds.are_up_to_date(shared, index))?;
    let search = Searching { shared, index, seeds: &seeds, place: None };
    let nothing = || Found::new(index);
    let mut plan = if up_to_date {
        Plan::up_to_date(index, search.cover(&pool, nothing())?)
    } else {
        let way = way(shared, &source(shared, index));
        Plan::new(index, search.cover(&pool, nothing())?, &way, limits(shared, index).max_gap)
    };
    plan.unfinished = inplace::tell_unfinished(shared);
    Ok(plan)
}

/// The update. If the content turns out to be of another version than the index, the index is read again, once, and
/// what was put together by then serves as one more seed.
pub(super) fn update(shared: &Shared) -> Result<()> {
    let target = shared.real_target()?;
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
    let goal = Goal { before: Identity::at(&target), target, lock };
    // A plan may have found a newer version; here it begins with what the job is for.
    shared.state().statistics = super::statistics_of(&shared.index);
    let attempt = |index: &Arc<Index>| match &goal.lock {
        Ok(_) if in_place => inplace::attempt(shared, index),
        Err(error) if in_place => Err(error.clone()),
        _ if index.listing().is_some() => tree::attempt(shared, index, &goal),
        _ => attempt(shared, index, &goal),
    };
    let error = match attempt(&shared.index) {
        Err(error) if may_be_another_version(&error) => error,
        outcome => return outcome,
    };
    attempt(&newer(shared, error)?)
}

/// The same error, with more in its text.
pub(super) fn saying_more(error: Error, more: &str) -> Error {
    let mut told = Error::new(error.kind(), format!("{}; {more}", error.message()));
    for (key, value) in error.context() {
        told = told.with(key, value);
    }
    told.caused_by(error)
}

/// What an update is to replace.
pub(super) struct Goal {
    /// Where it really is.
    pub(super) target: PathBuf,
    /// What was there when the update began.
    before: Option<Identity>,
    pub(super) lock: Result<Lock>,
}

/// The index as it is now where it came from; `error` if it is no other. Of one that is read in part, another may say the
/// same: it was signed anew, say, and its groups are elsewhere.
fn newer(shared: &Shared, error: Error) -> Result<Arc<Index>> {
    let (options, old) = (open_options(shared), &shared.index);
    let is_replaced = InPart::of(old).is_some_and(InPart::is_replaced);
    // An index that cannot be read any more is not what the caller is to hear of.
    let index = match open::reopen(old, &options) {
        Ok(Some(index)) if index.kind() == old.kind() && (is_replaced || !index.is_same(old)) => Arc::new(index),
        _ => return Err(error),
    };
    let what = match index.is_same(old) {
        true => "the index was published anew, for the same version",
        false => "there is a newer version, which is what the target will be now",
    };
    let (text, root) = (format!("{what}: {error}"), verbs::root_text(&index));
    shared.observer.event(Level::Warning, "replanned", text, &[("root", &root)]);
    shared.restart(&index);
    Ok(index)
}

/// Whether an error can come of content and index not being of the same version.
fn may_be_another_version(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::SourceChanged | ErrorKind::Mismatch | ErrorKind::Source)
}

/// One try at the version that `index` describes.
fn attempt(shared: &Shared, index: &Arc<Index>, goal: &Goal) -> Result<()> {
    let seeds = Seeds::open(shared, index)?;
    begin(shared, index, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    if pool.install(|| seeds.are_up_to_date(shared, index))? {
        pool.install(|| trust::check_content(index, &shared.options.open, &*seeds.readers[0], &shared.observer))?;
        drop(seeds);
        if goal.lock.is_ok() {
            inplace::settle(shared)?;
            names::remove_parts(&shared.disk, &goal.target, &[]);
        }
        return up_to_date(shared);
    }
    goal.lock.as_ref().map_err(Clone::clone)?;
    let mut output = Output::open(&shared.disk, &goal.target, index, shared.options.keep, shared.old_target())?;
    let kept: Vec<&Path> = seeds.parts.iter().map(PathBuf::as_path).chain([output.path()]).collect();
    names::remove_parts(&shared.disk, &goal.target, &kept);
    let (begun, there) = adopting::adopt(shared, index, &mut output, seeds.own_part, &pool)?;
    output.reserve(index)?;
    let source = source(shared, index);
    let limits = limits(shared, index);
    let task = Task { shared, index, seeds: &seeds, output: &output, source: &source, limits, there };
    let placed = placing::place(task, |site| {
        let cover = Searching { shared, index, seeds: &seeds, place: Some((&output, site)) }.cover(&pool, begun)?;
        let plan = Plan::new(index, cover, &site.way(), limits.max_gap);
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
    publish(shared, index, goal, seeds, output)
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

/// How the job opens and reads things: it is the job's observer that hears of it, and what the job assumes of the way counts.
pub(super) fn open_options(shared: &Shared) -> OpenOptions {
    let job = &shared.options;
    let mut options = job.open.clone();
    options.observer = shared.observer.clone();
    options.target.get_or_insert_with(|| shared.target.clone());
    if job.threads > 0 {
        options.threads = job.threads;
    }
    if !job.assume_rtt.is_zero() {
        options.assume_rtt = job.assume_rtt;
    }
    if job.assume_rate > 0 {
        options.assume_rate = job.assume_rate;
    }
    options
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

fn publish(shared: &Shared, index: &Index, goal: &Goal, seeds: Seeds, output: Output) -> Result<()> {
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
    let (part, lost) = output.finish(options.keep)?;
    if !lost.is_empty() {
        let text = format!("not everything of the old file could be kept: {}", lost.join(", "));
        shared.observer.event(Level::Warning, "not_kept", text, &[("target", &target)]);
    }
    if !is_replaced(shared, index, goal)? {
        let how = Replacing { timeout, move_aside, cancel, waiting: &waiting };
        if let Some(aside) = part.publish(&goal.target, &how)? {
            let text = "the old target, which is still held, was moved aside";
            shared.observer.event(Level::Info, "moved_aside", text, &[("target", &target), ("old", &aside.display())]);
        }
    }
    inplace::settle(shared)?;
    names::remove_parts(&shared.disk, &goal.target, &[]);
    published(shared);
    Ok(())
}

/// The target is the new version, which is all that there was to do.
pub(super) fn published(shared: &Shared) {
    let target = shared.target.display();
    shared.observer.event(Level::Info, "published", "the target is the new version", &[("target", &target)]);
    shared
        .meter
        .finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
}

/// Whether somebody else has put the new version at the target meanwhile. If it was something else, that stays, and is an
/// error. Between this look and the rename, nobody's file is safe: no system has a rename that compares.
fn is_replaced(shared: &Shared, index: &Index, goal: &Goal) -> Result<bool> {
    let now = Identity::at(&goal.target);
    if now.is_none() || now == goal.before {
        return Ok(false);
    }
    let is_new = FileReader::open(&goal.target, "target")
        .and_then(|reader| verbs::is_target(&reader, index, &shared.observer))
        .unwrap_or(false);
    if is_new {
        return Ok(true);
    }
    let error = Error::new(ErrorKind::State, "another program has put something else at the target during the update");
    Err(error.with("path", shared.target.display()))
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

/// Where missing bytes come from: content, or of a directory the payload.
pub(super) fn source(shared: &Shared, index: &Index) -> Result<Arc<dyn Source>> {
    let of = |source: Arc<dyn Source>| match index.listing() {
        Some(_) => crate::source::of_tree(index, source),
        None => Ok(source),
    };
    let source = match &shared.source {
        Some(source) => of(Arc::clone(source))?,
        None => named_source(shared, index)?,
    };
    let mirrors = shared.state().mirrors.clone();
    let mirrors = mirrors.into_iter().map(of).collect::<Result<_>>()?;
    open::with_mirrors(source, mirrors, index.unit_size(), &shared.observer)
}

fn named_source(shared: &Shared, index: &Index) -> Result<Arc<dyn Source>> {
    let options = open_options(shared);
    let named = match index.listing() {
        Some(_) => open::tree_source,
        None => open::named_source,
    };
    named(index, &shared.target, shared.options.allow_any_source, &options)?.ok_or_else(|| {
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
    /// What they have of what `begun` lacks.
    pub(super) fn run(&self, pool: &rayon::ThreadPool, begun: Found) -> Result<Found> {
        if begun.missing_blocks() == 0 {
            return Ok(begun);
        }
        let seed_bytes = self.seeds.bytes();
        let work = seed_bytes.saturating_add(self.index.length());
        let readers = self.readers();
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
        let open = open_options(self.shared);
        parts::with_top(self.index, &open)?;
        let found = std::thread::scope(|scope| {
            let reading = Reading::new(scope, self.index, &open);
            levels::search(pool, self.index, &readers, &above, &open, reading, begun.clone())
        })?;
        found.map_or_else(|| whole(begun), Ok)
    }

    /// The cover of the target by what they have, and by what was found before.
    fn cover(&self, pool: &rayon::ThreadPool, begun: Found) -> Result<Vec<Piece>> {
        Ok(self.join(pool, &self.run(pool, begun)?))
    }

    /// The same, of what was found.
    pub(super) fn join(&self, pool: &rayon::ThreadPool, found: &Found) -> Vec<Piece> {
        let cover = pool.install(|| matching::join_seams(self.index, &self.readers(), found.cover()));
        match self.seeds.output() {
            Some((own, output)) => adopting::lasting(cover, own, output),
            None => cover,
        }
    }

    fn readers(&self) -> Vec<&dyn ReadAt> {
        self.seeds.searched().iter().map(|reader| &**reader as &dyn ReadAt).collect()
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
    pub(super) last: Option<usize>,
    start: Instant,
}

impl Watcher<'_> {
    /// Where content is fetched.
    pub(super) fn site(&self) -> Option<&Site<'_>> {
        self.search.place.map(|(_, site)| site)
    }
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
        let done = scanned + self.search.place.map_or(0, |(_, site)| site.there());
        shared.meter.update(|progress| progress.fraction = verbs::share(done + progress.written, work));
        shared.observer.cancel.check()
    }

    fn passed(&self, found: &mut Found, seed: u32, bytes: u64) -> Result<Flow> {
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
