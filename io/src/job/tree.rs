//! An update of a directory, step by step: look at what is there, search, decide which files are right where they are, make
//! the others in the stage, switch.
//!
//! It is the update of one file, the payload: what the directory has is a seed in the payload's shape (`tree::view`), and
//! units go to new files in a stage (`tree::stage`) instead of one output. What is changed in the directory, and how, is
//! `tree::changes`' and `tree::switch`'s.

mod look;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use gosync_core::assemble::Verified;
use gosync_core::{Error, ErrorKind, Index, Listing, Piece, Plan, Range, Result};

use self::look::{Before, Looked};
use super::Shared;
use super::placing::{self, Place, Task};
use super::work::{self, Goal};
use crate::output::Replacing;
use crate::report::{Level, Phase};
use crate::tree::stage::{Folders, Stage};
use crate::tree::system_names::Here;
use crate::tree::{Around, Record, Switch, switch, system_names};
use crate::{parts, verbs};

/// How often everything is looked at again because old files turn out to be others than they were.
const LOOKS: u32 = 2;

impl Place for Stage<'_> {
    fn has(&self, unit: u64) -> bool {
        Stage::has(self, unit)
    }

    fn write(&self, verified: Verified<'_>, pieces: &[Piece]) -> Result<(u64, u64)> {
        let written = Stage::write(self, &verified, pieces)?;
        Ok((written, verified.bytes().len() as u64 - written))
    }
}

/// What an update would do.
pub(super) fn plan(shared: &Shared, index: &Arc<Index>) -> Result<Plan> {
    system_names::check_by_rule(listing_of(index)?)?;
    let target = shared.real_target()?;
    let (around, pool) = (Around::of(&target)?, verbs::pool(shared.options.threads)?);
    let before = Before::look(shared, index, &target, &around)?;
    let here = before.likely();
    if here.folds {
        system_names::check_clashes(listing_of(index)?)?;
    }
    let looked = Looked::look(shared, index, &before, &around, &pool, &BTreeSet::new(), &|_| ())?;
    let changes = looked.changes(shared, &before, here)?;
    let mut plan = if before.is_there() && changes.is_empty() {
        Plan::up_to_date(index, looked.cover)
    } else {
        let way = work::way(shared, &work::source(shared, index));
        Plan::new(index, looked.cover, &way, work::limits(shared, index).max_gap)
    };
    plan.unfinished = switch::unfinished(&around).is_some();
    plan.changes = changes.list;
    Ok(plan)
}

/// One try at the version that `index` describes.
pub(super) fn attempt(shared: &Shared, index: &Arc<Index>, goal: &Goal) -> Result<()> {
    let mut doubted = BTreeSet::new();
    for look in 0..LOOKS {
        let more = attempt_once(shared, index, goal, &doubted)?;
        if more.is_empty() {
            return Ok(());
        }
        if look + 1 < LOOKS {
            let text = "old files turned out to be others than they were, and everything is looked at again";
            let files = more.len();
            shared.observer.event(Level::Warning, "looked_again", text, &[("files", &files)]);
            shared.begin_anew();
        }
        doubted.extend(more);
    }
    let error = Error::new(ErrorKind::State, "files of the target change while it is updated");
    Err(error.with("path", shared.target.display()))
}

/// The same; the contents whose old files turned out not to have them, if there are any.
fn attempt_once(
    shared: &Shared,
    index: &Arc<Index>,
    goal: &Goal,
    doubted: &BTreeSet<usize>,
) -> Result<BTreeSet<usize>> {
    system_names::check_by_rule(listing_of(index)?)?;
    let (around, pool) = (Around::of(&goal.target)?, verbs::pool(shared.options.threads)?);
    if let Some(path) = switch::unfinished(&around) {
        goal.lock.as_ref().map_err(Clone::clone)?;
        switching(shared, goal, &around, |switch| switch.finish(&path)).map_err(|error| unfinished(shared, error))?;
    }
    let before = Before::look(shared, index, &goal.target, &around)?;
    let source = OnceLock::new();
    let begin_to_fetch = |ranges: &[Range]| {
        // Only what is sure to be written then, and not where everything is to be looked through first.
        if goal.lock.is_ok()
            && !shared.options.thorough
            && let Ok(source) = source.get_or_init(|| work::source(shared, index))
        {
            source.prepare(ranges, work::limits(shared, index).max_bytes);
        }
    };
    let mut looked = Looked::look(shared, index, &before, &around, &pool, doubted, &begin_to_fetch)?;
    looked.source = source.into_inner();
    // Modes are tried, if there is any doubt.
    let likely = Here { has_modes: cfg!(unix), ..before.likely() };
    if before.is_there() && looked.changes(shared, &before, likely)?.is_empty() {
        return settle(shared, goal, &around, &before, &looked);
    }
    goal.lock.as_ref().map_err(Clone::clone)?;
    let path = around.stage(looked.root);
    remove_stages(shared, goal, &around, &[Some(&*path), looked.other.as_deref()]);
    let folders = Folders::open(&shared.disk, &around, &path)?;
    let staged = with_stage(shared, index, goal, &around, before, looked, &folders);
    let is_kept = folders.is_kept();
    // Windows removes only what nobody holds open.
    drop(folders);
    match staged {
        Ok(Staged::Committed) => finish(shared, goal, &around, &path).map(|()| BTreeSet::new()),
        staged => {
            if !is_kept {
                let _ = switching(shared, goal, &around, |switch| switch.remove_stage(&path));
            }
            staged.map(|staged| if let Staged::Late(late) = staged { late } else { BTreeSet::new() })
        }
    }
}

/// What came of what was done in a stage.
enum Staged {
    /// Nothing had to be done.
    Nothing,
    /// These contents turned out not to be where they were.
    Late(BTreeSet<usize>),
    /// It is written down what is to be done, and there is no way back.
    Committed,
}

/// Does what is written down.
fn finish(shared: &Shared, goal: &Goal, around: &Around, stage: &Path) -> Result<()> {
    switching(shared, goal, around, |switch| switch.finish(stage)).map_err(|error| unfinished(shared, error))?;
    remove_stages(shared, goal, around, &[]);
    work::published(shared);
    Ok(())
}

/// The same error, which says that the directory is neither old nor new.
fn unfinished(shared: &Shared, error: Error) -> Error {
    let more = "the directory is partly the old version and partly the new one until an update of it is finished";
    work::saying_more(error, more).with("unfinished", shared.target.display())
}

/// The rest, with a stage, up to the point from which there is no way back.
fn with_stage(
    shared: &Shared,
    index: &Arc<Index>,
    goal: &Goal,
    around: &Around,
    before: Before,
    mut looked: Looked,
    folders: &Folders,
) -> Result<Staged> {
    let listing = listing_of(index)?;
    let target = before.folder().map(|folder| (folder, &*before.walked.found));
    let here = system_names::check(listing, folders.stage(), target, before.names(), &shared.observer.cancel)?;
    let changes = looked.changes(shared, &before, here)?;
    if before.is_there() && changes.is_empty() {
        return settle(shared, goal, around, &before, &looked).map(|_| Staged::Nothing);
    }
    switching(shared, goal, around, |switch| switch.check(folders.stage(), listing, &changes))?;
    let stage = Stage::new(folders, looked.draft(index, &changes, here)?);
    stage.begin(index, listing, looked.left.as_deref())?;
    place(shared, index, &mut looked, &stage)?;
    let mut late = stage.take_late();
    late.extend(looked.changed(&before));
    if !late.is_empty() {
        return Ok(Staged::Late(late));
    }
    shared.meter.update(|progress| (progress.phase, progress.cancellable) = (Phase::Publishing, false));
    shared.observer.cancel.check()?;
    stage.finish()?;
    let times = looked.times(&before, &stage, &changes);
    // Windows replaces only what nobody holds open.
    drop((stage, looked, before));
    let committed = switching(shared, goal, around, |switch| switch.commit(folders.stage(), listing, &changes, times));
    committed.map_err(|error| match switch::unfinished(around) {
        // It is written down, but may not be durable.
        Some(_) => unfinished(shared, error),
        None => error,
    })?;
    Ok(Staged::Committed)
}

/// Puts everything that is to be new into the stage.
fn place(shared: &Shared, index: &Arc<Index>, looked: &mut Looked, stage: &Stage<'_>) -> Result<()> {
    let there: u64 =
        (0..index.unit_count()).filter(|unit| stage.has(*unit)).map(|unit| index.unit_range(unit).length).sum();
    shared.meter.update(|progress| progress.from_seeds += there);
    let lacks = |top: &u64| index.top_units(*top).any(|unit| !stage.has(unit));
    let mut lacking = (0..index.top_count()).filter(lacks).peekable();
    if lacking.peek().is_some() {
        let options = work::open_options(shared);
        parts::with_top(index, &options)?;
        parts::with_values_of(index, lacking, &options)?;
    }
    let source = looked.source.take().unwrap_or_else(|| work::source(shared, index));
    let limits = work::limits(shared, index);
    let cover = std::mem::take(&mut looked.cover);
    let task = Task { shared, index, seeds: &looked.seeds, output: stage, source: &source, limits, there };
    let placed = placing::place(task, |site| {
        let plan = Plan::new(index, cover, &site.way(), limits.max_gap);
        work::tell(shared, &plan);
        site.begin(plan)
    });
    if let Ok(source) = &source {
        shared.add_reason(source.link().reason);
    }
    placed
}

/// Does something of a switch.
fn switching<T>(
    shared: &Shared,
    goal: &Goal,
    around: &Around,
    act: impl FnOnce(&Switch<'_>) -> Result<T>,
) -> Result<T> {
    let target = shared.target.display();
    let waiting = |cause: &std::io::Error| {
        let text = format!("a file of the target is held by another program, which is waited for: {cause}");
        shared.observer.event(Level::Info, "waiting", text, &[("target", &target)]);
        shared.meter.finish(|progress| progress.phase = Phase::Waiting);
    };
    let options = &shared.options;
    let (timeout, move_aside, cancel) = (options.replace_timeout, options.move_aside, &shared.observer.cancel);
    let how = Replacing { timeout, move_aside, cancel, waiting: &waiting };
    let (disk, target, observer, keep) = (&shared.disk, &goal.target, &shared.observer, options.keep);
    act(&Switch { disk, around, target, how: &how, keep, observer })
}

/// Nothing is to be done: nothing of other tries is left, and the record says what there is.
fn settle(shared: &Shared, goal: &Goal, around: &Around, before: &Before, looked: &Looked) -> Result<BTreeSet<usize>> {
    if goal.lock.is_ok() {
        remove_stages(shared, goal, around, &[]);
        let record = Record::new(looked.listing.clone(), looked.old_times(before));
        if before.record.as_ref() != Some(&record) {
            record.write(&shared.disk, around)?;
        }
    }
    work::up_to_date(shared)?;
    Ok(BTreeSet::new())
}

/// Removes the stages that nobody needs any more: all but these.
fn remove_stages(shared: &Shared, goal: &Goal, around: &Around, kept: &[Option<&Path>]) {
    for path in around.stages().iter().filter(|path| !kept.contains(&Some(path.as_path()))) {
        // What cannot be removed now may be the next time.
        let _ = switching(shared, goal, around, |switch| switch.remove_stage(path));
    }
}

fn listing_of(index: &Index) -> Result<&Listing> {
    index.listing().ok_or_else(|| Error::new(ErrorKind::Internal, "the index does not describe a directory"))
}
