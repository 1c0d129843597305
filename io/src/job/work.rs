//! One update, step by step: open the seeds, match, transfer and place, publish.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gosync_core::assemble::Verified;
use gosync_core::matching::{self, Found, Observe};
use gosync_core::schedule::Limits;
use gosync_core::{Error, ErrorKind, Plan, ReadAt, Result, Source};

use super::{Shared, placing};
use crate::open;
use crate::output::{self, Output};
use crate::report::{Level, Phase};
use crate::seed::FileReader;
use crate::verbs;

/// What an update would do.
pub(super) fn plan(shared: &Shared) -> Result<Plan> {
    output::real_target(&shared.target)?;
    let seeds = Seeds::open(shared)?;
    begin(shared, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    let up_to_date = pool.install(|| seeds.are_up_to_date(shared))?;
    let found = matching(shared, &pool, &seeds, None)?;
    let plan = Plan::new(&shared.index, found.cover(), limits(shared).merge_gap, up_to_date);
    shared.observer.event(Level::Info, "planned", &*plan.reason, &[("missing", &plan.missing), ("total", &plan.total)]);
    shared
        .meter
        .finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    Ok(plan)
}

/// The update.
pub(super) fn update(shared: &Shared) -> Result<()> {
    let index = &shared.index;
    let seeds = Seeds::open(shared)?;
    begin(shared, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    if pool.install(|| seeds.are_up_to_date(shared))? {
        return up_to_date(shared);
    }
    let output = Output::create(&shared.target, index)?;
    shared.state().temporary = Some(output.temporary().to_path_buf());
    let found = matching(shared, &pool, &seeds, Some(&output))?;
    let limits = limits(shared);
    let plan = Plan::new(index, found.cover(), limits.merge_gap, false);
    // The cover says it all from here on.
    drop(found);
    shared.observer.event(
        Level::Info,
        "planned",
        &*plan.reason,
        &[("missing", &plan.missing), ("ranges", &plan.ranges), ("total", &plan.total)],
    );
    shared.state().statistics.reason = plan.reason;
    let source = if plan.missing > 0 { Some(source(shared)?) } else { None };
    shared.meter.update(|progress| progress.phase = Phase::Transferring);
    placing::place(shared, &seeds, &output, plan.pieces, source, limits)?;
    publish(shared, seeds, output)
}

fn begin(shared: &Shared, seed_bytes: u64) {
    shared.meter.update(|progress| {
        progress.phase = Phase::Matching;
        progress.cancellable = true;
        progress.total = shared.index.length();
    });
    let (length, root) = (shared.index.length(), shared.index.root());
    let target = shared.target.display();
    shared.observer.event(
        Level::Info,
        "started",
        "looking for what is already here",
        &[("target", &target), ("length", &length), ("root", &root), ("seed_bytes", &seed_bytes)],
    );
}

fn up_to_date(shared: &Shared) -> Result<()> {
    let reason = "up to date: the target is the new version already";
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
    shared.state().temporary = None;
    output.publish()?;
    let target = shared.target.display();
    shared.observer.event(Level::Info, "published", "the target is the new version", &[("target", &target)]);
    shared.meter.finish(|progress| (progress.phase, progress.fraction) = (Phase::Done, 1.0));
    Ok(())
}

/// The bounds of the transfer, from the options.
fn limits(shared: &Shared) -> Limits {
    let (options, default) = (&shared.options, Limits::default());
    Limits {
        max_requests: if options.max_requests == 0 { default.max_requests } else { options.max_requests },
        max_bytes: if options.max_bytes_in_flight == 0 { default.max_bytes } else { options.max_bytes_in_flight },
        retries: options.retries.unwrap_or(default.retries),
        timeout: if options.timeout.is_zero() { default.timeout } else { options.timeout },
        ..default
    }
}

/// Where missing bytes come from.
pub(super) fn source(shared: &Shared) -> Result<Arc<dyn Source>> {
    if let Some(source) = &shared.source {
        return Ok(Arc::clone(source));
    }
    let options = &shared.options;
    let mut open_options = options.open.clone();
    open_options.observer = shared.observer.clone();
    open::named_source(&shared.index, &shared.target, options.allow_any_source, &open_options)?.ok_or_else(|| {
        Error::new(ErrorKind::Argument, "bytes are missing, no source was given, and the index names none")
    })
}

/// Runs the matcher; with an output, whole units are written as they are found.
fn matching(shared: &Shared, pool: &rayon::ThreadPool, seeds: &Seeds, output: Option<&Output>) -> Result<Found> {
    let work = seeds.bytes().saturating_add(shared.index.length());
    let watcher = Watcher { shared, output, scanned: AtomicU64::new(0), work };
    let readers: Vec<&dyn ReadAt> = seeds.readers.iter().map(|reader| &**reader as &dyn ReadAt).collect();
    pool.install(|| matching::find(&shared.index, &readers, &matching::Options::default(), &watcher))
}

/// Hears of what the matcher finds.
struct Watcher<'a> {
    shared: &'a Shared,
    output: Option<&'a Output>,
    scanned: AtomicU64,
    /// Bytes to scan and to write.
    work: u64,
}

impl Observe for Watcher<'_> {
    fn unit(&self, unit: u64, bytes: Verified<'_>) -> Result<()> {
        self.shared.observer.cancel.check()?;
        let Some(output) = self.output else { return Ok(()) };
        // Two threads that find the same unit at the same time both write it: the same bytes, so no harm.
        if output.has(unit) {
            return Ok(());
        }
        if !output.write(bytes)? {
            return Ok(());
        }
        let length = bytes.bytes().len() as u64;
        self.shared.meter.update(|progress| {
            progress.from_seeds += length;
            progress.written += length;
        });
        Ok(())
    }

    fn scanned(&self, bytes: u64) -> Result<()> {
        let scanned = self.scanned.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let work = self.work;
        self.shared.meter.update(|progress| progress.fraction = verbs::share(scanned + progress.written, work));
        self.shared.observer.cancel.check()
    }

    fn unreadable(&self, seed: u32, error: Error) {
        let text = format!("a part of a seed cannot be read and is left out: {error}");
        self.shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &seed)]);
    }
}

/// The seeds of one run, open. Number 0 is the target itself, or nothing.
pub(super) struct Seeds {
    pub(super) readers: Vec<Box<dyn ReadAt>>,
    has_target: bool,
}

impl Seeds {
    fn open(shared: &Shared) -> Result<Seeds> {
        let target = shared.old_target();
        let own: Option<Box<dyn ReadAt>> = target.and_then(|target| match FileReader::open(target, "target") {
            Ok(reader) => Some(Box::new(reader) as Box<dyn ReadAt>),
            Err(error) => {
                let text = format!("the old target cannot be read and is left out: {error}");
                shared.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &0)]);
                None
            }
        });
        let has_target = own.is_some();
        let mut readers = vec![own.unwrap_or_else(|| Box::new(Vec::new()))];
        // Not in the loop's head, where the lock would be held while files are opened.
        let paths = shared.state().seeds.clone();
        for path in paths {
            // The target given once more as a seed has nothing new to say.
            if has_target && open::same_file(&path, &shared.target) {
                readers.push(Box::new(Vec::new()));
            } else {
                readers.push(Box::new(FileReader::open(&path, "seed")?));
            }
        }
        Ok(Seeds { readers, has_target })
    }

    fn bytes(&self) -> u64 {
        self.readers.iter().map(|reader| reader.length()).sum()
    }

    /// Whether the target is the new version already.
    fn are_up_to_date(&self, shared: &Shared) -> Result<bool> {
        match self.readers.first() {
            Some(target) if self.has_target => verbs::is_target(&**target, &shared.index, &shared.observer),
            _ => Ok(false),
        }
    }
}
