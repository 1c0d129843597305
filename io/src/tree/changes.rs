//! What an update changes in a directory: from what is there, what the index says, and the record of what an earlier
//! update installed. Decides what may be removed or replaced, and what is the user's and stays. Changes nothing.
//!
//! With a record, what it lists is ours as long as it is what was installed; all else is the user's. Without one, a file or
//! link that the index has otherwise is the old version, and what the index does not have is the user's. Where there was a
//! record that cannot be read any more, everything that differs is the user's. With `delete` everything is ours.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use gosync_core::listing::{Entry, EntryKind, path_order};
use gosync_core::{Change, ChangeKind, Digest, Listing, Result};

use super::merged::{self, At};
use super::record::Record;
use super::system_names::Here;
use super::walk::{Is, Walked};
use super::{Folder, Spellings, Stamp};
use crate::cancel::Cancel;

/// From what changes are made up.
pub(crate) struct Comparison<'a> {
    /// The target; `None` where there is none yet.
    pub(crate) folder: Option<&'a Folder<'a>>,
    pub(crate) walked: &'a Walked,
    pub(crate) listing: &'a Listing,
    /// What was walked that has the listing's spelling now, and not the one that is there.
    pub(crate) spellings: &'a Spellings,
    pub(crate) record: Option<&'a Record>,
    /// Whether there was one, which cannot be read: then everything may be the user's.
    pub(crate) is_record_lost: bool,
    /// Whether the target becomes exactly the tree: what is besides goes, and what the user changed is not kept.
    pub(crate) delete: bool,
    /// Whether a file with the record's size and time is believed to be the recorded one.
    pub(crate) quick: bool,
    /// What the file system there is like.
    pub(crate) here: Here,
    /// Whether the file at the path of this entry (by its number, from 0 on) has the entry's content.
    pub(crate) is_unchanged: &'a dyn Fn(u32) -> bool,
    /// The old path of the file that all of this entry's content comes from, if that is known.
    pub(crate) comes_from: &'a dyn Fn(u32) -> Option<String>,
    pub(crate) cancel: &'a Cancel,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// In the order of paths: for people.
    pub(crate) list: Vec<Change>,
    /// The entries (files) that must be in the stage, ascending: their contents are not at their paths.
    pub(crate) staged: Vec<u32>,
    /// What an earlier update installed and the user has changed, and which stays where it is.
    pub(super) left: Vec<String>,
    /// In the order in which they are done, before anything is placed.
    pub(super) removals: Vec<Removal>,
    /// By the number of the entry, ascending.
    pub(super) placings: Vec<Placing>,
}

/// Something that goes from its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It is the user's, and in the way: it is kept elsewhere.
    Keep {
        path: String,
    },
    Remove {
        path: String,
        was: Was,
    },
    /// A directory, if it is empty by then.
    Folder {
        path: String,
    },
    /// Everything in a directory whose name is not text.
    Strange {
        path: String,
    },
    /// A name, for the same in other letters, which is the one in the path. Where that is not done at once, it is another one
    /// in between.
    Respell {
        path: String,
        there: String,
        between: String,
    },
}

/// Something that comes to its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placing {
    pub(super) entry: u32,
    /// What is at the path.
    pub(super) was: Was,
    /// Whether that is the user's and kept elsewhere.
    pub(super) keep: bool,
    pub(super) what: ChangeKind,
    /// Whether what is there stays, and only gets another mode or time.
    pub(super) only_attributes: bool,
}

/// What was at a path when it was decided what becomes of it. What is another thing by then is not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Was {
    Nothing,
    Folder,
    Link,
    Other,
    File(Stamp),
    /// Whatever it was: nothing is kept.
    Any,
}

impl Changes {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.removals.is_empty() && self.placings.is_empty()
    }

    /// The entries of which nothing but a mode or a time is changed, ascending.
    pub(crate) fn only_attributes(&self) -> impl Iterator<Item = u32> {
        self.placings.iter().filter(|placing| placing.only_attributes).map(|placing| placing.entry)
    }
}

impl Comparison<'_> {
    /// Finds out what is to be done. Files that may be the user's are read.
    pub(crate) fn changes(&self) -> Result<Changes> {
        let (open, in_the_way, whole) = (Vec::new(), None, None);
        let mut deciding = Deciding { given: self, changes: Changes::default(), open, in_the_way, whole };
        for at in merged::merged(&self.walked.found, self.listing, self.record, self.spellings, self.here.folds) {
            self.cancel.check()?;
            deciding.leave(&at.path);
            deciding.decide(at)?;
        }
        deciding.leave("");
        let Deciding { mut changes, .. } = deciding;
        if self.delete {
            let mut folders: Vec<&str> = self.walked.strange.iter().map(|strange| strange.folder.as_str()).collect();
            folders.dedup();
            changes.removals.extend(folders.iter().map(|path| Removal::Strange { path: (*path).to_owned() }));
        }
        // What is kept comes before all, and what a directory has in it, before the directory.
        changes.removals.sort_by_key(|removal| match removal {
            Removal::Keep { .. } => 0,
            Removal::Strange { .. } => 1,
            Removal::Remove { .. } | Removal::Folder { .. } => 2,
            Removal::Respell { .. } => 3,
        });
        self.find_renamed(&mut changes);
        let told: HashSet<String> = changes.list.iter().map(|change| change.path.clone()).collect();
        for (step, change) in self.spellings.steps(&self.walked.found, self.listing, self.here) {
            changes.removals.push(step);
            changes.list.extend(Some(change).filter(|change| !told.contains(&change.path)));
        }
        let path = |change: &Change| change.path.trim_end_matches('/').len();
        changes.list.sort_by(|one, next| path_order(&one.path[..path(one)], &next.path[..path(next)]));
        Ok(changes)
    }

    /// What is new and was at the path of something that goes was renamed.
    fn find_renamed(&self, changes: &mut Changes) {
        let gone = changes.list.iter().filter(|change| change.what == ChangeKind::Removed);
        let mut gone: HashMap<String, bool> = gone.map(|change| (change.path.clone(), false)).collect();
        if gone.is_empty() {
            return;
        }
        let mut by_root: HashMap<Digest, Vec<String>> = HashMap::new();
        for (entry, _) in self.record.into_iter().flat_map(Record::entries) {
            if let EntryKind::File { size: 1.., root, .. } = entry.kind
                && gone.contains_key(&entry.path)
            {
                by_root.entry(root).or_default().push(entry.path);
            }
        }
        let mut entries = (0..).zip(self.listing.entries());
        let mut from: HashMap<String, String> = HashMap::new();
        for placing in changes.placings.iter_mut().filter(|placing| placing.what == ChangeKind::Added) {
            let Some((number, entry)) = entries.find(|(number, _)| *number == placing.entry) else { break };
            let EntryKind::File { root, .. } = entry.kind else { continue };
            let recorded = by_root.get_mut(&root).into_iter().flat_map(|paths| std::iter::from_fn(|| paths.pop()));
            let mut candidates = (self.comes_from)(number).into_iter().chain(recorded);
            if let Some(old) = candidates.find(|old| gone.get(old) == Some(&false)) {
                gone.insert(old.clone(), true);
                placing.what = ChangeKind::Renamed;
                from.insert(entry.path, old);
            }
        }
        changes.list.retain(|change| change.what != ChangeKind::Removed || gone.get(&change.path) == Some(&false));
        for change in changes.list.iter_mut().filter(|change| change.what == ChangeKind::Added) {
            if let Some(old) = from.remove(&change.path) {
                (change.what, change.from) = (ChangeKind::Renamed, Some(old));
            }
        }
    }

    /// Whether what is at a path is the old version's, and so may go.
    fn is_ours(&self, at: &At<'_>, is: &Is) -> Result<bool> {
        if self.delete {
            return Ok(true);
        }
        if self.record.is_none() && !self.is_record_lost {
            // Where the new version has something else.
            return Ok(at.new.is_some() && matches!(is, Is::File { .. } | Is::Symlink { .. }));
        }
        Ok(match (is, &at.old) {
            (Is::File { stamp, .. }, Some((EntryKind::File { size, root, .. }, time))) => {
                stamp.length == *size && self.is_recorded(&at.path, *stamp, *root, *time)?
            }
            (Is::Symlink { target }, Some((EntryKind::Symlink { target: old }, _))) => target == old,
            (Is::Directory { .. }, Some((EntryKind::Directory, _))) => true,
            _ => false,
        })
    }

    fn is_recorded(&self, path: &str, stamp: Stamp, root: Digest, time: Option<SystemTime>) -> Result<bool> {
        if self.quick && time.is_some() && stamp.modified == time {
            return Ok(true);
        }
        self.has_content(path, root)
    }

    fn has_content(&self, path: &str, root: Digest) -> Result<bool> {
        let Some(folder) = self.folder else { return Ok(false) };
        match folder.file(path) {
            Ok((file, _)) => Ok(Digest::of_reader(&file, &|_| self.cancel.check())? == root),
            // Of what cannot be read nothing is known.
            Err(_) => Ok(false),
        }
    }
}

/// Goes through all paths in their order.
struct Deciding<'a> {
    given: &'a Comparison<'a>,
    changes: Changes,
    /// The directories that lead to the path and go if nothing in them stays; whether something does.
    open: Vec<(String, bool)>,
    /// The directory around the path in whose place something else comes: everything in it goes.
    in_the_way: Option<String>,
    /// The directory around the path that is left alone, or kept elsewhere, as a whole.
    whole: Option<String>,
}

impl Deciding<'_> {
    /// The next path is this: directories end.
    fn leave(&mut self, path: &str) {
        self.in_the_way.take_if(|folder| !is_in(path, folder));
        self.whole.take_if(|folder| !is_in(path, folder));
        while let Some((folder, stays)) = self.open.pop_if(|(folder, _)| !is_in(path, folder)) {
            if !stays {
                self.changes.removals.push(Removal::Folder { path: folder.clone() });
                self.tell(&folder, ChangeKind::Removed, &Is::Directory { mode: 0 });
            } else if let Some((_, stays)) = self.open.last_mut() {
                *stays = true;
            }
        }
    }

    fn decide(&mut self, at: At<'_>) -> Result<()> {
        if self.whole.is_some() {
            return Ok(());
        }
        match (at.found, &at.new) {
            (None, None) => Ok(()),
            (Some(is), None) => self.without(&at, is),
            (None, Some((number, entry))) => {
                self.place(*number, entry, None, false, ChangeKind::Added);
                Ok(())
            }
            (Some(is), Some((number, entry))) => self.with(&at, is, *number, entry),
        }
    }

    /// The new version has nothing at this path.
    fn without(&mut self, at: &At<'_>, is: &Is) -> Result<()> {
        let is_ours = self.given.is_ours(at, is)?;
        match is {
            Is::Directory { .. } if is_ours => {
                let has_strange = self.given.walked.strange.iter().any(|strange| strange.folder == at.path);
                self.open.push((at.path.to_string(), has_strange && !self.given.delete));
            }
            _ if is_ours => {
                let was = self.was(Some(is));
                self.changes.removals.push(Removal::Remove { path: at.path.to_string(), was });
                self.tell(&at.path, ChangeKind::Removed, is);
            }
            _ if self.in_the_way.is_some() => {
                self.changes.removals.push(Removal::Keep { path: at.path.to_string() });
                self.tell(&at.path, ChangeKind::Kept, is);
                self.leave_whole(at, is);
            }
            _ => {
                if at.old.is_some() {
                    self.tell(&at.path, ChangeKind::Kept, is);
                    self.changes.left.push(at.path.to_string());
                }
                if let Some((_, stays)) = self.open.last_mut() {
                    *stays = true;
                }
                self.leave_whole(at, is);
            }
        }
        Ok(())
    }

    /// The new version has something at the path of what is there.
    fn with(&mut self, at: &At<'_>, is: &Is, number: u32, entry: &Entry<'_>) -> Result<()> {
        let what = match (is, entry.kind) {
            (Is::Directory { .. }, EntryKind::Directory) => {
                self.set_attributes(number, entry, is);
                return Ok(());
            }
            (Is::Symlink { target }, EntryKind::Symlink { target: new }) if target == new => return Ok(()),
            (Is::Symlink { .. }, EntryKind::Symlink { .. }) => ChangeKind::Link,
            (Is::File { .. }, EntryKind::File { .. }) if (self.given.is_unchanged)(number) => {
                self.set_attributes(number, entry, is);
                return Ok(());
            }
            _ => ChangeKind::Changed,
        };
        let is_ours = self.given.is_ours(at, is)?;
        if let (Is::File { stamp, .. }, EntryKind::File { size, root, .. }) = (is, entry.kind)
            && !is_ours
            && stamp.length == size
            && self.given.has_content(&at.path, root)?
        {
            // The user has what comes, which was not seen: nothing is to be kept.
            self.set_attributes(number, entry, is);
            return Ok(());
        }
        if !is_ours {
            self.tell(&at.path, ChangeKind::Kept, is);
            self.leave_whole(at, is);
        } else if matches!(is, Is::Directory { .. }) {
            self.in_the_way = Some(at.path.to_string());
        }
        self.place(number, entry, Some(is), !is_ours, what);
        Ok(())
    }

    /// Nothing below what is at this path is looked at.
    fn leave_whole(&mut self, at: &At<'_>, is: &Is) {
        if matches!(is, Is::Directory { .. }) {
            self.whole = Some(at.path.to_string());
        }
    }

    fn place(&mut self, number: u32, entry: &Entry<'_>, found: Option<&Is>, keep: bool, what: ChangeKind) {
        if matches!(entry.kind, EntryKind::File { .. }) {
            self.changes.staged.push(number);
        }
        let placing = Placing { entry: number, was: self.was(found), keep, what, only_attributes: false };
        self.changes.placings.push(placing);
        self.push(entry, what);
    }

    /// The content is right; its mode and its time perhaps not. What has other names may be known elsewhere by them: it
    /// is not touched, but replaced by a copy.
    fn set_attributes(&mut self, number: u32, entry: &Entry<'_>, found: &Is) {
        let Some(what) = attribute_fault(entry, found, self.given.here.has_modes) else { return };
        let is_shared = matches!(found, Is::File { is_shared: true, .. });
        if is_shared {
            self.changes.staged.push(number);
        }
        let was = self.was(Some(found));
        self.changes.placings.push(Placing { entry: number, was, keep: false, what, only_attributes: !is_shared });
        self.push(entry, what);
    }

    fn was(&self, found: Option<&Is>) -> Was {
        match found {
            _ if self.given.delete => Was::Any,
            None => Was::Nothing,
            Some(Is::Directory { .. }) => Was::Folder,
            Some(Is::Symlink { .. }) => Was::Link,
            Some(Is::Other) => Was::Other,
            Some(Is::File { stamp, .. }) => Was::File(*stamp),
        }
    }

    fn push(&mut self, entry: &Entry<'_>, what: ChangeKind) {
        let (end, size) = match entry.kind {
            EntryKind::Directory => ("/", 0),
            EntryKind::File { size, .. } => ("", size),
            EntryKind::Symlink { .. } => ("", 0),
        };
        self.changes.list.push(Change { path: format!("{}{end}", entry.path), what, from: None, size });
    }

    fn tell(&mut self, path: &str, what: ChangeKind, is: &Is) {
        let (end, size) = match is {
            Is::Directory { .. } => ("/", 0),
            Is::File { stamp, .. } => ("", stamp.length),
            Is::Symlink { .. } | Is::Other => ("", 0),
        };
        self.changes.list.push(Change { path: format!("{path}{end}"), what, from: None, size });
    }
}

impl Removal {
    pub(super) fn path(&self) -> &str {
        match self {
            Removal::Keep { path }
            | Removal::Remove { path, .. }
            | Removal::Folder { path }
            | Removal::Strange { path }
            | Removal::Respell { path, .. } => path,
        }
    }
}

/// In what an entry that is there with the right content is not what the tree says: in its mode, where there are modes, or in
/// its time.
pub(super) fn attribute_fault(entry: &Entry<'_>, found: &Is, has_modes: bool) -> Option<ChangeKind> {
    /// What file systems round times to at most, in seconds; FAT's are even.
    const ROUNDED: u64 = 1;
    /// What all can hold, FAT in any zone and old ones of 32 bits: from the second day of 1980 to January 2038. What is before or behind
    /// is set, and may have become another time.
    const HELD: (u64, u64) = (315_619_200, 2_147_400_000);
    let is_mode_right = match (entry.mode, entry.kind, found) {
        _ if !has_modes => true,
        (Some(wanted), _, Is::File { mode, .. } | Is::Directory { mode }) => wanted == *mode,
        (None, EntryKind::File { is_executable: wanted, .. }, Is::File { is_executable, .. }) => {
            wanted == *is_executable
        }
        _ => true,
    };
    let held = |time: u64| time.clamp(HELD.0, HELD.1);
    let time = |stamp: Stamp| stamp.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let is_time_right = match (entry.time, found) {
        (Some(wanted), Is::File { stamp, .. }) => {
            time(*stamp).is_some_and(|time| held(time.as_secs()).abs_diff(held(wanted)) <= ROUNDED)
        }
        _ => true,
    };
    match (is_mode_right, is_time_right) {
        (false, _) => Some(ChangeKind::Mode),
        (true, false) => Some(ChangeKind::Time),
        (true, true) => None,
    }
}

/// Whether a path leads into a directory.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}
