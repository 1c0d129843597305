//! An update in place, step by step: open the target to change it, match, prove the length, then batch by batch copy what
//! is still needed to the journal and write units.
//!
//! What goes on in between is `placing`'s, what the target and the journal are is `crate::inplace`'s.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosync_core::assemble::Verified;
use gosync_core::inplace::{self, Batch, Given};
use gosync_core::matching::Found;
use gosync_core::{Digest, Error, ErrorKind, Index, Piece, Plan, ReadAt, Result};

use super::Shared;
use super::placing::{self, Place, Site, Task};
use super::seeds::Seeds;
use super::work::{self, Searching};
use crate::inplace::{InPlace, journal};
use crate::output::names;
use crate::report::{Level, Phase};
use crate::seed::{FileReader, Start};
use crate::tree::Around;
use crate::{parts, trust, verbs};

/// Bytes that a batch copies to the journal at most, and writes at least where it has to copy any.
pub(super) const BATCH: u64 = 32 << 20;

impl Place for InPlace {
    fn has(&self, unit: u64) -> bool {
        InPlace::has(self, unit)
    }

    fn write(&self, verified: Verified<'_>, pieces: &[Piece]) -> Result<(u64, u64)> {
        InPlace::write(self, verified, pieces)
    }
}

/// Where the journal of this target is, whether it is there or not.
pub(super) fn journal_path(shared: &Shared) -> Result<PathBuf> {
    if let Some(path) = &shared.options.journal {
        return Ok(path.clone());
    }
    let target = shared.real_target()?;
    if shared.is_device() {
        let text = "a block device is updated with a journal elsewhere, which must be named";
        return Err(Error::new(ErrorKind::Argument, text).with("option", "journal"));
    }
    names::journal(&target)
}

/// What is locked: the target; of a device the journal, since hardly anybody may write where devices are, and a directory where
/// everything is that belongs to it.
pub(super) fn locked(shared: &Shared) -> Result<PathBuf> {
    let target = shared.real_target()?;
    match () {
        () if shared.is_device() => journal_path(shared),
        () if shared.index.listing().is_some() => Around::of(&target).map(|around| around.locked(&target)),
        () => Ok(target),
    }
}

/// The journal that an unfinished update left, as a seed: as much of it as one has at most.
pub(super) fn left_journal(shared: &Shared, target_length: u64) -> Result<Option<Arc<dyn ReadAt>>> {
    let Ok(path) = journal_path(shared) else { return Ok(None) };
    if !journal::is_there(&path)? {
        return Ok(None);
    }
    let bytes = Arc::new(FileReader::open(&path, "journal")?);
    Ok(Some(Arc::new(Start::new(bytes, journal::room(target_length).end()))))
}

/// The target is what the index says: if it was unfinished, it no longer is.
pub(super) fn settle(shared: &Shared) -> Result<()> {
    let path = journal_path(shared)?;
    if journal::look(&path).is_some() {
        let failed = |cause| Error::from_io(cause, "cannot sync the target", shared.target.display());
        // Windows syncs only what may be written.
        let target = std::fs::OpenOptions::new().read(true).write(cfg!(windows)).open(&shared.target);
        target.and_then(|target| target.sync_all()).map_err(failed)?;
        journal::remove(&shared.disk, &path)?;
    }
    Ok(())
}

/// Tells if the target is neither an old version nor a new one.
pub(super) fn tell_unfinished(shared: &Shared) -> bool {
    let Some((path, about)) =
        journal_path(shared).ok().and_then(|path| journal::look(&path).map(|about| (path, about)))
    else {
        return false;
    };
    let root = about.and_then(|about| about.root).map_or_else(|| String::from("unknown"), |root| root.to_string());
    shared.observer.event(
        Level::Warning,
        "unfinished",
        "an update of the target in place was not finished: it is neither the old version nor the new one",
        &[("root", &root), ("journal", &path.display())],
    );
    true
}

/// One try at the version that `index` describes.
pub(super) fn attempt(shared: &Shared, index: &Arc<Index>) -> Result<()> {
    let in_order = AtomicBool::new(false);
    match attempt_once(shared, index, &in_order) {
        // Only now it turned out how the source has to be asked.
        Err(_) if in_order.load(Ordering::Acquire) => {
            shared.begin_anew();
            attempt_once(shared, index, &in_order)
        }
        outcome => outcome,
    }
}

fn attempt_once(shared: &Shared, index: &Arc<Index>, in_order: &AtomicBool) -> Result<()> {
    let (target, journal) = (shared.real_target()?, journal_path(shared)?);
    let place = InPlace::open(&shared.disk, &target, &journal, shared.is_device())?;
    place.check_length(index)?;
    let was_there = journal::is_there(&journal)?;
    let mut seeds = Seeds::open(shared, index)?;
    seeds.set_target(place.old());
    work::begin(shared, index, seeds.bytes());
    let pool = verbs::pool(shared.options.threads)?;
    let start = Arc::new(Start::new(place.old(), index.length()));
    if place.may_be(index.length())
        && !shared.options.ignore_target
        && pool.install(|| verbs::is_target(&*start, index, &shared.observer))?
    {
        pool.install(|| trust::check_content(index, &shared.options.open, &*start, &shared.observer))?;
        if was_there {
            place.sync()?;
            journal::remove(&shared.disk, &journal)?;
        }
        names::remove_parts(&shared.disk, &target, &[]);
        return work::up_to_date(shared);
    }
    if place.names() > 1 {
        let text = "the target has further names, under which it changes too";
        shared.observer.event(Level::Warning, "hard_links", text, &[("names", &place.names())]);
    }
    let search = Searching { shared, index, seeds: &seeds, place: None };
    let found = search.run(&pool, Found::new(index))?;
    let source = work::source(shared, index);
    let limits = work::limits(shared, index);
    let plan = Plan::new(index, search.join(&pool, &found), &work::way(shared, &source), limits.max_gap);
    work::tell(shared, &plan);
    place.keep(index, &found);
    let unchanged: Vec<bool> = (0..index.unit_count()).map(|unit| found.is_unchanged(unit)).collect();
    drop(found);
    let kept: u64 =
        (0..).zip(&unchanged).filter(|(_, kept)| **kept).map(|(unit, _)| index.unit_range(unit).length).sum();
    shared.meter.update(|progress| progress.from_seeds += kept);
    let tops = (0..index.top_count()).filter(|top| index.top_units(*top).any(|unit| !unchanged[unit as usize]));
    parts::with_values_of(index, tops, &work::open_options(shared))?;
    let task = Task { shared, index, seeds: &seeds, output: &place, source: &source, limits, there: kept };
    let max_bytes = limits.max_bytes;
    let placed = placing::place(task, |site| {
        let mut work = InBatches { shared, index, place: &place, site, journal: seeds.journal, max_bytes, in_order };
        work.place_all(plan, unchanged)
    });
    if let Ok(source) = &source {
        shared.add_reason(source.link().reason);
    }
    let done = placed.and_then(|()| finish(shared, index, &place, &pool));
    done.map_err(|error| {
        place.give_up(was_there);
        unfinished(shared, error)
    })
}

/// The last steps: the length, the proof of the whole where the index has none, and the end of the journal.
fn finish(shared: &Shared, index: &Index, place: &InPlace, pool: &rayon::ThreadPool) -> Result<()> {
    shared.meter.update(|progress| (progress.phase, progress.cancellable) = (Phase::Publishing, false));
    shared.observer.cancel.check()?;
    let check = || {
        let content = Start::new(Arc::new(place.now()?), index.length());
        pool.install(|| trust::check_content(index, &shared.options.open, &content, &shared.observer))
    };
    // What is cut off is old bytes too, and may be all that changes.
    let is_cut = place.old().length() > index.length();
    if is_cut {
        check()?;
        overwrite(shared, place)?;
    }
    place.set_length(index)?;
    if !is_cut {
        check()?;
    }
    place.finish()?;
    names::remove_parts(&shared.disk, &shared.real_target()?, &[]);
    shared.state().unfinished = None;
    work::published(shared);
    Ok(())
}

/// Old bytes are overwritten or cut off from here on, unless nobody wants that any more.
fn overwrite(shared: &Shared, place: &InPlace) -> Result<()> {
    if !place.has_begun() {
        shared.observer.cancel.check()?;
        shared.state().unfinished = Some(journal_path(shared)?);
        place.overwrite();
    }
    Ok(())
}

/// The same error; if the target is neither old nor new, it says so.
pub(super) fn unfinished(shared: &Shared, error: Error) -> Error {
    let Some(journal) = shared.state().unfinished.clone() else { return error };
    let more = "the target is neither the old version nor the new one until an update of it is finished";
    let error = work::saying_more(error, more).with("unfinished", shared.target.display());
    error.with("journal", journal.display())
}

/// The steps between matching and the end.
struct InBatches<'a, 'b> {
    shared: &'a Shared,
    index: &'a Arc<Index>,
    place: &'a InPlace,
    site: &'a Site<'b>,
    /// The seed that is the journal of an earlier try.
    journal: Option<u32>,
    max_bytes: u64,
    /// Whether the source gives everything in one go, so that batches have to follow it.
    in_order: &'a AtomicBool,
}

/// Units of a batch that are wanted already: how many, and which of them lack nothing.
type Wanted = (usize, Vec<u64>);

impl InBatches<'_, '_> {
    fn place_all(&mut self, plan: Plan, unchanged: Vec<bool>) -> Result<()> {
        let (index, site) = (self.index, self.site);
        let cover = plan.pieces;
        site.begin_batches(cover.clone(), false);
        let held = index.unit_count().checked_sub(1).filter(|last| unchanged.get(*last as usize) != Some(&true));
        self.prove_length(held)?;
        if site.way().is_whole {
            self.in_order.store(true, Ordering::Release);
        }
        let in_order = self.in_order.load(Ordering::Acquire);
        let old_length = self.place.old().length();
        let order = inplace::order(Given {
            cover,
            length: index.length(),
            unit_size: index.unit_size(),
            block_size: index.block_size().into(),
            unchanged,
            held,
            journal: self.journal,
            room: journal::room(index.length().max(old_length)),
            batch: self.shared.batch,
            in_order,
        });
        self.tell(&order);
        site.begin_batches(order.cover, in_order);
        self.shared.observer.cancel.check()?;
        self.place.begin(index, order.journal_end)?;
        self.place_batches(&order.batches, held, in_order && plan.missing > 0, plan.missing + order.lost > 0)?;
        self.place_late()
    }

    fn tell(&self, order: &inplace::Order) {
        let spilled: u64 = order.batches.iter().flat_map(|batch| &batch.spills).map(|spill| spill.old.length).sum();
        self.shared.observer.event(
            Level::Debug,
            "ordered",
            "the order is known in which the target is written",
            &[("batches", &order.batches.len()), ("journal", &spilled), ("lost", &order.lost)],
        );
        let lost = (order.lost > 0).then(|| {
            format!("{} bytes that are moved have no room in the journal, and are fetched instead", order.lost)
        });
        self.shared.add_reason(lost);
    }

    /// Has the last unit in memory, verified, unless it is at its place: nothing is cut or overwritten for a length that
    /// is only claimed.
    fn prove_length(&self, held: Option<u64>) -> Result<()> {
        let Some(last) = held else {
            let is_empty = self.index.length() == 0;
            return match self.index.root() {
                Some(root) if is_empty && root != Digest::of(&[]) => {
                    Err(Error::new(ErrorKind::Mismatch, "the index does not prove that the target is empty"))
                }
                _ => Ok(()),
            };
        };
        self.place.want_last(last);
        let mut units = vec![last];
        loop {
            self.place_batch(&units)?;
            if let Some(fetched) = self.place.last() {
                self.site.keep(fetched);
                return Ok(());
            }
            // Whoever gave it wrong may have been the first of several.
            units = self.site.take_late();
        }
    }

    fn place_batches(&self, batches: &[Batch], held: Option<u64>, all: bool, fetches: bool) -> Result<()> {
        let units = |batch: &Batch| -> Vec<u64> {
            batch.units.iter().map(|unit| u64::from(*unit)).filter(|unit| Some(*unit) != held).collect()
        };
        let mut wanted: Vec<Wanted> = Vec::new();
        if all {
            let units: Vec<Vec<u64>> = batches.iter().map(units).collect();
            // In the order that they have in the target.
            let (_, whole) = self.site.want(&units.concat(), u64::MAX)?;
            let of =
                |units: &Vec<u64>| units.iter().copied().filter(|unit| whole.binary_search(unit).is_ok()).collect();
            wanted = units.iter().map(|units| (units.len(), of(units))).collect();
        }
        wanted.resize_with(batches.len(), Wanted::default);
        let mut is_spilled = false;
        for (number, batch) in batches.iter().enumerate() {
            let now = units(batch);
            let (mut done, mut whole) = std::mem::take(&mut wanted[number]);
            let more = self.site.want(&now[done..], u64::MAX)?;
            done += more.0;
            whole.extend(more.1);
            if !is_spilled {
                self.place.spill(&batch.spills, &self.shared.observer.cancel)?;
            }
            overwrite(self.shared, self.place)?;
            self.site.open(&now[..done], whole);
            if held.is_some_and(|held| batch.units.contains(&(held as u32))) {
                let written = self.place.write_last(self.index)?;
                self.site.keep(0);
                self.shared.meter.update(|progress| progress.written += written);
            }
            let next = batches.get(number + 1);
            let early = next.filter(|next| !next.apart);
            is_spilled = early.is_some();
            if let Some(next) = early {
                self.place.spill(&next.spills, &self.shared.observer.cancel)?;
            }
            let ahead = wanted.get_mut(number + 1).filter(|_| !all);
            self.site.finish(|| {
                // Whoever sends everything for it would do so in vain: see below.
                if let (Some(next), Some(ahead), false) = (next, ahead, self.site.way().is_whole) {
                    *ahead = self.site.want(&units(next), self.max_bytes / 2)?;
                }
                Ok(())
            })?;
            if next.is_some() {
                self.place.sync()?;
                if fetches && !all && self.site.way().is_whole {
                    self.in_order.store(true, Ordering::Release);
                    return Err(Error::new(ErrorKind::Source, "the source gives everything in one go"));
                }
            }
        }
        Ok(())
    }

    /// Has these units placed, which need nothing of the journal.
    fn place_batch(&self, units: &[u64]) -> Result<()> {
        let (_, whole) = self.site.want(units, u64::MAX)?;
        self.site.open(units, whole);
        self.site.finish(|| Ok(()))
    }

    /// Units that were wrong, which are fetched whole by now. Nothing is read from the target any more.
    fn place_late(&self) -> Result<()> {
        loop {
            let late = self.site.take_late();
            if late.is_empty() {
                return Ok(());
            }
            self.place.sync()?;
            overwrite(self.shared, self.place)?;
            self.place_batch(&late)?;
        }
    }
}
