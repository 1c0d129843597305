//! An update of a directory, step by step: look at what is there, search, decide which files are right where they are, make
//! the others in the stage, switch.
//!
//! It is the update of one file, the payload: what the directory has is a seed in the payload's shape (`tree::view`), and
//! units go to new files in a stage (`tree::stage`) instead of one output. What is changed in the directory, and how, is
//! `tree::changes`' and `tree::switch`'s.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use gosync_core::assemble::Verified;
use gosync_core::listing::EntryKind;
use gosync_core::matching::Found;
use gosync_core::{Digest, Error, ErrorKind, Index, Listing, Origin, Piece, Plan, Range, ReadAt, Result};

use super::placing::{self, Place, Task};
use super::seeds::Seeds;
use super::work::{self, Goal, Searching};
use super::{Shared, adopting};
use crate::output::Replacing;
use crate::report::{Level, Phase};
use crate::tree::proof;
use crate::tree::stage::{Draft, Folders, Left, Right, Stage, Wanted, new_files};
use crate::tree::system_names::Here;
use crate::tree::verdict::{Question, Verdict};
use crate::tree::view::{Old, Slots, View};
use crate::tree::walk::{self, Walked};
use crate::tree::{Around, Changes, Comparison, Files, Folder, Record, Switch, switch, system_names};
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
    let looked = Looked::look(shared, index, &before, &around, &pool, &BTreeSet::new())?;
    let changes = looked.changes(shared, &before, Here::LIKELY)?;
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
        switching(shared, goal, &around, |switch| switch.finish(&path))?;
    }
    let before = Before::look(shared, index, &goal.target, &around)?;
    let looked = Looked::look(shared, index, &before, &around, &pool, doubted)?;
    if before.is_there() && looked.changes(shared, &before, Here::LIKELY)?.is_empty() {
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
    switching(shared, goal, around, |switch| switch.finish(stage))?;
    remove_stages(shared, goal, around, &[]);
    let target = shared.target.display();
    shared.observer.event(Level::Info, "published", "the target is the new version", &[("target", &target)]);
    shared
        .meter
        .finish(|progress| (progress.phase, progress.cancellable, progress.fraction) = (Phase::Done, false, 1.0));
    Ok(())
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
    let here = system_names::check(listing, folders.stage(), before.folder())?;
    let changes = looked.changes(shared, &before, here)?;
    if before.is_there() && changes.is_empty() {
        return settle(shared, goal, around, &before, &looked).map(|_| Staged::Nothing);
    }
    switching(shared, goal, around, |switch| switch.check(folders.stage(), listing, &changes))?;
    let stage = Stage::new(folders, looked.draft(index, &changes)?);
    stage.begin(looked.left.as_deref())?;
    place(shared, index, &mut looked, &stage)?;
    let mut late = stage.take_late();
    late.extend(looked.changed(&before));
    if !late.is_empty() {
        return Ok(Staged::Late(late));
    }
    shared.meter.update(|progress| (progress.phase, progress.cancellable) = (Phase::Publishing, false));
    shared.observer.cancel.check()?;
    stage.finish()?;
    let times = looked.times(&before, &stage);
    // Windows replaces only what nobody holds open.
    drop((stage, looked, before));
    switching(shared, goal, around, |switch| switch.commit(folders.stage(), listing, &changes, times))?;
    Ok(Staged::Committed)
}

/// Puts everything that is to be new into the stage.
fn place(shared: &Shared, index: &Arc<Index>, looked: &mut Looked, stage: &Stage<'_>) -> Result<()> {
    let there: u64 =
        (0..index.unit_count()).filter(|unit| stage.has(*unit)).map(|unit| index.unit_range(unit).length).sum();
    shared.meter.update(|progress| progress.from_seeds += there);
    let lacks = |top: &u64| index.top_units(*top).any(|unit| !stage.has(unit));
    parts::with_values_of(index, (0..index.top_count()).filter(lacks), &work::open_options(shared))?;
    let source = work::source(shared, index);
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
    act(&Switch { disk: &shared.disk, around, target: &goal.target, how: &how, observer: &shared.observer })
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

/// What there is before the update.
struct Before {
    walked: Walked,
    /// Its files; nothing if there is no directory.
    old: Option<Arc<Old>>,
    record: Option<Record>,
}

impl Before {
    fn look(shared: &Shared, index: &Index, target: &Path, around: &Around) -> Result<Before> {
        let record = Record::read(around)?;
        if !target.exists() {
            return Ok(Before { walked: Walked::default(), old: None, record });
        }
        let folder = Folder::open(target.to_owned(), "target")?;
        let walked = walk::walk(&folder, None, &shared.observer.cancel)?;
        let old = Old::new(folder, &walked, index.block_size(), &shared.observer)?;
        Ok(Before { walked, old: Some(Arc::new(old)), record })
    }

    /// Whether there is a directory.
    fn is_there(&self) -> bool {
        self.old.is_some()
    }

    fn folder(&self) -> Option<&Folder<'static>> {
        self.old.as_deref().map(Old::folder)
    }

    /// For each entry of `listing` whether the file at its path is as an update left it, by size and time, and that is the
    /// content that it is to have.
    fn known(&self, listing: &Listing) -> Vec<bool> {
        let Some(record) = &self.record else { return Vec::new() };
        let found: HashMap<&str, usize> =
            self.walked.found.iter().enumerate().map(|(number, found)| (&*found.path, number)).collect();
        let mut roots: Vec<Option<Digest>> = vec![None; self.walked.found.len()];
        for (entry, time) in record.entries() {
            let EntryKind::File { size, root, .. } = entry.kind else { continue };
            let Some(number) = found.get(&*entry.path) else { continue };
            let is_same = |stamp: crate::tree::Stamp| stamp.length == size && time.is_some() && stamp.modified == time;
            if self.walked.found[*number].stamp().is_some_and(is_same) {
                roots[*number] = Some(root);
            }
        }
        let is_known = |entry: gosync_core::listing::Entry<'_>| match entry.kind {
            EntryKind::File { root, .. } => found.get(&*entry.path).is_some_and(|number| roots[*number] == Some(root)),
            _ => false,
        };
        listing.entries().map(is_known).collect()
    }
}

/// What is known once everything was looked through.
struct Looked {
    listing: Listing,
    root: Digest,
    contents: Arc<Slots>,
    view: Arc<View>,
    seeds: Seeds,
    /// What an earlier update of this version left.
    left: Option<Arc<Left>>,
    /// The newest stage of another version.
    other: Option<std::path::PathBuf>,
    cover: Vec<Piece>,
    right: Vec<Right>,
    verdict: Verdict,
}

impl Looked {
    fn look(
        shared: &Shared,
        index: &Arc<Index>,
        before: &Before,
        around: &Around,
        pool: &rayon::ThreadPool,
        doubted: &BTreeSet<usize>,
    ) -> Result<Looked> {
        let listing = listing_of(index)?;
        let root = index.root().ok_or_else(|| Error::new(ErrorKind::Internal, "the index has no root"))?;
        let nothing = Walked::default();
        let walked = if shared.options.ignore_target { &nothing } else { &before.walked };
        let contents = Arc::new(Slots::of(listing));
        let view = Arc::new(View::new(before.old.clone(), walked, listing, Arc::clone(&contents))?);
        let path = around.stage(root);
        let left = Left::at(&path, &view, &contents, index.block_size(), &shared.observer).map(Arc::new);
        let other = around.stages().into_iter().find(|stage| *stage != path);
        let known = match before.folder() {
            _ if shared.options.quick => before.known(listing),
            // Of the index nothing but root and listing was read, because an update has installed it.
            Some(folder) if !index.has_top() => {
                pool.install(|| proof::right(folder, walked, listing, &shared.observer.cancel))?
            }
            _ => Vec::new(),
        };
        if doubted.is_empty() && is_all(listing, &known) {
            // Nothing is looked through, and of the index nothing more is needed.
            let seeds = Seeds::alone(Arc::clone(&view) as Arc<dyn ReadAt>);
            work::begin(shared, index, 0);
            let target = Range::new(0, index.length());
            let cover = vec![Piece { target, origin: Origin::Seed { seed: 0, offset: 0 } }];
            let verdict = Verdict::unchanged(listing, &contents);
            let (right, listing) = (vec![Right::Old; index.unit_count() as usize], listing.clone());
            return Ok(Looked { listing, root, contents, view, seeds, left, other, cover, right, verdict });
        }
        let seeds = seeds(shared, index, &view, other.as_deref(), left.clone())?;
        work::begin(shared, index, seeds.bytes());
        let is_known = |entry: u32| known.get(entry as usize) == Some(&true);
        let mut begun = Found::new(index);
        let mut right = vec![Right::No; index.unit_count() as usize];
        if !known.is_empty() {
            take_known(index, listing, walked, &contents, &view, &is_known, doubted, &mut begun);
        }
        if let Some(left) = &left {
            parts::with_top(index, &work::open_options(shared))?;
            adopt(shared, index, left, seeds.own_part, pool, &mut begun, &mut right)?;
        }
        let search = Searching { shared, index, seeds: &seeds, place: None };
        let found = search.run(pool, begun)?;
        for (_, right) in (0u64..).zip(&mut right).filter(|(unit, _)| found.is_unchanged(*unit)) {
            *right = Right::Old;
        }
        let mut cover = search.join(pool, &found);
        drop(found);
        let own_left = |content: usize| left.as_ref().is_some_and(|left| left.entry_of(content).is_some());
        let is_own = |content: usize, origin: Origin, at: u64| match origin {
            Origin::Seed { seed, offset } if offset == at => seed == 0 || seed == seeds.own_part && !own_left(content),
            _ => false,
        };
        let question = Question {
            listing,
            contents: &contents,
            view: &view,
            old: walked,
            folder: before.folder(),
            is_known: &is_known,
            doubted,
            is_own: &is_own,
            cancel: &shared.observer.cancel,
        };
        let verdict = pool.install(|| question.answer(&mut cover))?;
        let listing = listing.clone();
        Ok(Looked { listing, root, contents, view, seeds, left, other, cover, right, verdict })
    }

    /// What is to be done to the directory.
    fn changes(&self, shared: &Shared, before: &Before, here: Here) -> Result<Changes> {
        let unchanged = |entry: u32| self.verdict.unchanged.get(entry as usize) == Some(&true);
        let places: Vec<Range> = self.listing.entries().map(|entry| entry.place).collect();
        let comes_from = |entry: u32| {
            let content = self.contents.at(*places.get(entry as usize)?)?;
            let old = self.view.shown(content).filter(|_| self.verdict.whole.get(content) == Some(&true))?;
            before.walked.found.get(old as usize).map(|found| found.path.clone())
        };
        let comparison = Comparison {
            folder: before.folder(),
            walked: &before.walked,
            listing: &self.listing,
            record: before.record.as_ref(),
            delete: shared.options.delete,
            quick: shared.options.quick,
            here,
            is_unchanged: &unchanged,
            comes_from: &comes_from,
            cancel: &shared.observer.cancel,
        };
        comparison.changes()
    }

    fn draft<'a>(&'a self, index: &'a Index, changes: &Changes) -> Result<Draft<'a>> {
        let mut staged = changes.staged.iter().copied().peekable();
        let mut wanted = Vec::new();
        for (number, entry) in (0u32..).zip(self.listing.entries()) {
            if staged.next_if_eq(&number).is_none() {
                continue;
            }
            if let EntryKind::File { size, is_executable, .. } = entry.kind {
                wanted.push(Wanted { entry: number, size, is_executable });
            }
        }
        Ok(Draft {
            index,
            contents: Arc::clone(&self.contents),
            view: Arc::clone(&self.view),
            right: &self.right,
            left: self.left.as_deref(),
            wanted,
            kept: self.verdict.kept.clone(),
        })
    }

    /// The contents of files that stay and are no longer what they were when they were looked at.
    fn changed(&self, before: &Before) -> BTreeSet<usize> {
        let Some(folder) = before.folder() else { return BTreeSet::new() };
        let by_path: HashMap<&str, usize> =
            before.walked.found.iter().enumerate().map(|(number, found)| (&*found.path, number)).collect();
        let entries = self.listing.entries().zip(&self.verdict.unchanged).filter(|(_, unchanged)| **unchanged);
        let is_changed = |path: &str| {
            let stamp = by_path.get(path).and_then(|number| before.walked.found[*number].stamp());
            folder.stamp(path) != stamp
        };
        entries
            .filter(|(entry, _)| is_changed(&entry.path))
            .map(|(entry, _)| self.contents.at(entry.place).unwrap_or(usize::MAX))
            .collect()
    }

    /// When the files of all entries were last changed that are at their paths.
    fn old_times(&self, before: &Before) -> Vec<Option<SystemTime>> {
        let by_path: HashMap<&str, Option<SystemTime>> =
            before.walked.found.iter().filter_map(|found| Some((&*found.path, found.stamp()?.modified))).collect();
        let time = |entry: gosync_core::listing::Entry<'_>| by_path.get(&*entry.path).copied().flatten();
        let is_file = |entry: &gosync_core::listing::Entry<'_>| matches!(entry.kind, EntryKind::File { .. });
        self.listing.entries().map(|entry| if is_file(&entry) { time(entry) } else { None }).collect()
    }

    /// The same, with the new ones.
    fn times(&self, before: &Before, stage: &Stage<'_>) -> Vec<Option<SystemTime>> {
        let mut times = self.old_times(before);
        for (entry, time) in stage.times() {
            if let Some(slot) = times.get_mut(entry as usize) {
                *slot = time;
            }
        }
        times
    }
}

/// Whether all files of `listing` are known.
fn is_all(listing: &Listing, known: &[bool]) -> bool {
    let is_file = |entry: &gosync_core::listing::Entry<'_>| matches!(entry.kind, EntryKind::File { .. });
    !known.is_empty() && listing.entries().zip(known).all(|(entry, known)| *known || !is_file(&entry))
}

/// The seeds: the directory itself, those that were added, the newest stage of another version, and last what an earlier
/// update of this version left, which is not looked through.
fn seeds(
    shared: &Shared,
    index: &Index,
    view: &Arc<View>,
    other: Option<&Path>,
    left: Option<Arc<Left>>,
) -> Result<Seeds> {
    let own = Arc::clone(view) as Arc<dyn ReadAt>;
    let mut seeds = Seeds::of_tree(shared, index, own)?;
    if let Some(folder) = other.and_then(new_files) {
        let walked = walk::walk(&folder, None, &shared.observer.cancel)?;
        let lengths = walked.found.iter().filter_map(|found| Some((&*found.path, found.length()?)));
        let lengths = lengths.filter(|(_, length)| *length > 0);
        let number = seeds.readers.len();
        let files = Files::of(folder, lengths, index.block_size(), number, &shared.observer)?;
        seeds.readers.push(Arc::new(files));
    }
    seeds.searched = seeds.readers.len();
    seeds.own_part = seeds.searched as u32;
    if let Some(left) = left {
        seeds.readers.push(left);
    }
    Ok(seeds)
}

/// Notes what need not be looked at: units of nothing but contents of files that are known.
#[expect(clippy::too_many_arguments, reason = "what is known, and of what")]
fn take_known(
    index: &Index,
    listing: &Listing,
    walked: &Walked,
    contents: &Slots,
    view: &View,
    is_known: &dyn Fn(u32) -> bool,
    doubted: &BTreeSet<usize>,
    begun: &mut Found,
) {
    let mut is_there = vec![false; contents.places().len()];
    for (number, entry) in (0u32..).zip(listing.entries()) {
        let Some(content) = contents.at(entry.place).filter(|content| !doubted.contains(content)) else { continue };
        let shown = view.shown(content).and_then(|old| walked.found.get(old as usize));
        if is_known(number) && shown.is_some_and(|found| found.path == entry.path) {
            is_there[content] = true;
        }
    }
    for unit in (0..index.unit_count()).map(|unit| index.unit_range(unit)) {
        if contents.within(unit).all(|content| is_there[content]) {
            begun.take(0, unit, unit.offset);
        }
    }
}

/// Looks at what an earlier update left, and notes what of it is right, together with the old files around it.
fn adopt(
    shared: &Shared,
    index: &Index,
    left: &Arc<Left>,
    own: u32,
    pool: &rayon::ThreadPool,
    begun: &mut Found,
    right: &mut [Right],
) -> Result<()> {
    let section = adopting::section(index);
    let mut starts: Vec<u64> = Vec::new();
    for content in left.contents() {
        let place = left.place(content);
        let first = starts.last().map_or(0, |last| last + section).max(place.offset / section * section);
        starts.extend((first..place.end()).step_by(section as usize));
    }
    let found = pool.install(|| adopting::look(shared, index, &**left, starts, section, &|_| ()))?;
    let mut bytes = 0;
    for range in found {
        begun.take(own, range, range.offset);
        bytes += range.length;
        let units = range.offset / index.unit_size()..range.end().div_ceil(index.unit_size());
        right[units.start as usize..units.end as usize].fill(Right::Left);
    }
    let text = "an earlier update left new files, which are gone on with";
    shared.observer.event(Level::Info, "resumed", text, &[("bytes", &bytes), ("total", &index.length())]);
    Ok(())
}
