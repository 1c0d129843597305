//! What there is before an update of a directory, and what is known of it once everything was looked through: which files
//! are right where they are, and where the rest can come from.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use gosync_core::listing::{Entry, EntryKind};
use gosync_core::matching::Found;
use gosync_core::{Digest, Error, ErrorKind, Index, Listing, Origin, Piece, Range, ReadAt, Result, Source};

use super::listing_of;
use crate::job::seeds::Seeds;
use crate::job::work::{self, Searching};
use crate::job::{Shared, adopting};
use crate::parts;
use crate::report::Level;
use crate::tree::present::Seen;
use crate::tree::proof;
use crate::tree::stage::{Draft, Left, Right, Stage, Wanted, new_files};
use crate::tree::system_names::Here;
use crate::tree::verdict::{Question, Verdict};
use crate::tree::view::{Old, Slots, View};
use crate::tree::walk::{self, Walked};
use crate::tree::{Around, Changes, Comparison, Files, Folder, Record, Spellings, Stamp, time_of};

/// Files of up to so many bytes are compared by their roots before any block of them is looked for; of a larger one that has
/// changed, much would be read twice.
const SMALL: u64 = 4 << 20;

/// What there is before the update.
pub(super) struct Before {
    pub(super) walked: Walked,
    /// What of it is spelt otherwise there.
    spellings: Spellings,
    /// Its files; nothing if there is no directory.
    pub(super) old: Option<Arc<Old>>,
    pub(super) record: Option<Record>,
    /// Whether there is a record that cannot be read.
    pub(super) is_record_lost: bool,
}

impl Before {
    pub(super) fn look(shared: &Shared, index: &Index, target: &Path, around: &Around) -> Result<Before> {
        let record = Record::read(around)?;
        let is_record_lost = record.is_none() && around.record().symlink_metadata().is_ok();
        if is_record_lost {
            let text = "what the last update installed cannot be read any more: what differs is kept";
            let path = around.record();
            shared.observer.event(Level::Warning, "record_lost", text, &[("path", &path.display())]);
        }
        if !target.exists() {
            let (walked, spellings) = Default::default();
            return Ok(Before { walked, spellings, old: None, record, is_record_lost });
        }
        let folder = Folder::open(target.to_owned(), "target")?;
        let cancel = &shared.observer.cancel;
        let mut walked = if shared.options.delete {
            // What nobody may look at cannot be removed either.
            walk::walk(&folder, None, cancel)?
        } else {
            walk::walk_readable(&folder, cancel, &|error| {
                let text = format!("something in the directory cannot be read, and stays: {error}");
                let path = error.context().iter().find(|(key, _)| *key == "path").map_or("", |(_, path)| path);
                shared.observer.event(Level::Warning, "unreadable", text, &[("path", &path)]);
            })?
        };
        let spellings = Spellings::settle(&mut walked.found, listing_of(index)?, &folder);
        let old = Old::new(folder, &walked, index.block_size(), &shared.observer)?;
        Ok(Before { walked, spellings, old: Some(Arc::new(old)), record, is_record_lost })
    }

    /// What the file system is like, as far as can be said without trying.
    pub(super) fn likely(&self) -> Here {
        Here::likely(self.folder(), &self.walked.found)
    }

    /// The names that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let others: HashSet<&str> = self.spellings.by_path().map(|(_, path)| path).collect();
        let there = self.walked.found.iter().map(|found| &*found.path).filter(move |path| !others.contains(path));
        there.map(|path| path.rsplit_once('/').map_or(path, |(_, name)| name))
    }

    /// Whether there is a directory.
    pub(super) fn is_there(&self) -> bool {
        self.old.is_some()
    }

    pub(super) fn folder(&self) -> Option<&Folder<'static>> {
        self.old.as_deref().map(Old::folder)
    }

    /// For each entry of `listing` whether the file at its path is as an update left it, by size and time, and that is the
    /// content that it is to have.
    fn known(&self, listing: &Listing) -> Vec<bool> {
        let Some(record) = &self.record else { return Vec::new() };
        let (found, roots) = (self.by_path(), self.roots(record));
        let is_known = |entry: Entry<'_>| match entry.kind {
            EntryKind::File { root, .. } => found.get(&*entry.path).is_some_and(|number| roots[*number] == Some(root)),
            _ => false,
        };
        listing.entries().map(is_known).collect()
    }

    /// The roots that the files have, by their numbers, if their sizes and times are those of `record`.
    fn roots(&self, record: &Record) -> Vec<Option<Digest>> {
        let found = self.by_path();
        let mut roots: Vec<Option<Digest>> = vec![None; self.walked.found.len()];
        for (entry, time) in record.entries() {
            let EntryKind::File { size, root, .. } = entry.kind else { continue };
            let Some(number) = found.get(&*entry.path) else { continue };
            let is_same = |stamp: Stamp| stamp.length == size && time.is_some() && stamp.modified == time;
            if self.walked.found[*number].stamp().is_some_and(is_same) {
                roots[*number] = Some(root);
            }
        }
        roots
    }

    /// The numbers of what was found, by both spellings where there are two.
    fn by_path(&self) -> HashMap<&str, usize> {
        let mut numbers: HashMap<&str, usize> =
            self.walked.found.iter().enumerate().map(|(number, found)| (&*found.path, number)).collect();
        for (there, path) in self.spellings.by_path() {
            if let Some(number) = numbers.get(path) {
                numbers.insert(there, *number);
            }
        }
        numbers
    }
}

/// What is known once everything was looked through.
pub(super) struct Looked {
    pub(super) listing: Listing,
    pub(super) root: Digest,
    pub(super) contents: Arc<Slots>,
    pub(super) view: Arc<View>,
    pub(super) seeds: Seeds,
    /// What an earlier update of this version left.
    pub(super) left: Option<Arc<Left>>,
    /// The newest stage of another version.
    pub(super) other: Option<PathBuf>,
    pub(super) cover: Vec<Piece>,
    pub(super) right: Vec<Right>,
    pub(super) verdict: Verdict,
    /// Whether sizes and times are believed: not any more once they have lied.
    pub(super) quick: bool,
    /// Where the rest comes from, if that was opened already.
    pub(super) source: Option<Result<Arc<dyn Source>>>,
}

impl Looked {
    /// `begin_to_fetch` is told what most likely has to be fetched, if that is known before the search.
    pub(super) fn look(
        shared: &Shared,
        index: &Arc<Index>,
        before: &Before,
        around: &Around,
        pool: &rayon::ThreadPool,
        doubted: &BTreeSet<usize>,
        begin_to_fetch: &dyn Fn(&[Range]),
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
            // Once they have lied, sizes and times are not believed any more.
            _ if shared.options.quick && doubted.is_empty() => before.known(listing),
            // What is known needs nothing of an index of which little is here. If that is no more than root and listing, an
            // update has installed it, and most likely everything is right.
            Some(folder) if !index.is_whole() => {
                let most = if index.has_top() { SMALL } else { u64::MAX };
                // Looking again is for what has changed since.
                let seen = if doubted.is_empty() { Seen::with(index, &folder.path) } else { None };
                let roots = seen.map(|seen| before.roots(seen.record())).unwrap_or_default();
                pool.install(|| proof::right(folder, walked, listing, most, &roots, &shared.observer.cancel))?
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
            return Ok(Looked {
                listing,
                root,
                contents,
                view,
                seeds,
                left,
                other,
                cover,
                right,
                verdict,
                quick: shared.options.quick,
                source: None,
            });
        }
        let seeds = seeds(shared, index, &view, other.as_deref(), left.clone())?;
        work::begin(shared, index, seeds.bytes());
        let is_known = |entry: u32| known.get(entry as usize) == Some(&true);
        let mut begun = Found::new(index);
        let mut right = vec![Right::No; index.unit_count() as usize];
        if !known.is_empty() {
            let is_compared = |size: u64| size <= SMALL && !shared.options.quick;
            let known = Known { is_known: &is_known, is_compared: &is_compared, doubted };
            let lacking = take_known(index, listing, walked, &contents, &view, &known, &mut begun);
            // What else there is may have some of it.
            if left.is_none() && seeds.searched == 1 {
                begin_to_fetch(&lacking);
            }
        }
        if let Some(left) = &left {
            parts::with_top(index, &work::open_options(shared))?;
            adopt(shared, index, left, seeds.own_part, pool, &mut begun, &mut right)?;
        }
        if known.contains(&true) {
            let lacking: Vec<u64> = (0..index.unit_count()).filter(|unit| begun.lacks_any(*unit)).collect();
            parts::with_likely_blocks_of(index, &lacking, &work::open_options(shared))?;
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
        let quick = shared.options.quick && doubted.is_empty();
        Ok(Looked { listing, root, contents, view, seeds, left, other, cover, right, verdict, quick, source: None })
    }

    /// What is to be done to the directory.
    pub(super) fn changes(&self, shared: &Shared, before: &Before, here: Here) -> Result<Changes> {
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
            spellings: &before.spellings,
            record: before.record.as_ref(),
            is_record_lost: before.is_record_lost,
            delete: shared.options.delete,
            quick: self.quick,
            here,
            is_unchanged: &unchanged,
            comes_from: &comes_from,
            cancel: &shared.observer.cancel,
        };
        comparison.changes()
    }

    pub(super) fn draft<'a>(&'a self, index: &'a Index, changes: &Changes, here: Here) -> Result<Draft<'a>> {
        let mut staged = changes.staged.iter().copied().peekable();
        let mut wanted = Vec::new();
        for (number, entry) in (0u32..).zip(self.listing.entries()) {
            if staged.next_if_eq(&number).is_none() {
                continue;
            }
            if let EntryKind::File { size, is_executable, .. } = entry.kind {
                let (mode, time) = (entry.mode.filter(|_| here.has_modes), time_of(&entry));
                wanted.push(Wanted { entry: number, size, is_executable, mode, time });
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
    pub(super) fn changed(&self, before: &Before) -> BTreeSet<usize> {
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
    pub(super) fn old_times(&self, before: &Before) -> Vec<Option<SystemTime>> {
        let by_path: HashMap<&str, Option<SystemTime>> =
            before.walked.found.iter().filter_map(|found| Some((&*found.path, found.stamp()?.modified))).collect();
        let time = |entry: Entry<'_>| by_path.get(&*entry.path).copied().flatten();
        let is_file = |entry: &Entry<'_>| matches!(entry.kind, EntryKind::File { .. });
        self.listing.entries().map(|entry| if is_file(&entry) { time(entry) } else { None }).collect()
    }

    /// The same, with the new ones.
    pub(super) fn times(&self, before: &Before, stage: &Stage<'_>, changes: &Changes) -> Vec<Option<SystemTime>> {
        let mut times = self.old_times(before);
        let mut set = changes.only_attributes().peekable();
        for ((number, entry), slot) in (0u32..).zip(self.listing.entries()).zip(&mut times) {
            if set.next_if_eq(&number).is_some() && slot.is_some() {
                *slot = time_of(&entry).or(*slot);
            }
        }
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
    let is_file = |entry: &Entry<'_>| matches!(entry.kind, EntryKind::File { .. });
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

/// What is known of files before the search.
struct Known<'a> {
    /// Whether the file of this entry is at its path.
    is_known: &'a dyn Fn(u32) -> bool,
    /// Whether a file of this size would be known if it were.
    is_compared: &'a dyn Fn(u64) -> bool,
    /// Contents that are to be looked for in any case.
    doubted: &'a BTreeSet<usize>,
}

/// Notes what need not be looked at: units of nothing but contents of files that are known. The contents that no old file
/// is likely to have as they are.
fn take_known(
    index: &Index,
    listing: &Listing,
    walked: &Walked,
    contents: &Slots,
    view: &View,
    known: &Known<'_>,
    begun: &mut Found,
) -> Vec<Range> {
    let (mut is_there, mut is_likely) = (vec![false; contents.places().len()], vec![false; contents.places().len()]);
    for (number, entry) in (0u32..).zip(listing.entries()) {
        let Some(content) = contents.at(entry.place).filter(|content| !known.doubted.contains(content)) else {
            continue;
        };
        let Some(shown) = view.shown(content).and_then(|old| walked.found.get(old as usize)) else { continue };
        let (is_own, size) = (shown.path == entry.path, entry.place.length);
        is_there[content] |= is_own && (known.is_known)(number);
        // One that is shown because of its size may have another name now.
        is_likely[content] |= shown.length() == Some(size) && !(is_own && (known.is_compared)(size));
    }
    for unit in (0..index.unit_count()).map(|unit| index.unit_range(unit)) {
        if contents.within(unit).all(|content| is_there[content]) {
            begun.take(0, unit, unit.offset);
        }
    }
    let lacks = |content: &usize| !is_there[*content] && !is_likely[*content];
    (0..contents.places().len()).filter(lacks).map(|content| contents.places()[content]).collect()
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
