//! The stage: the folder in which the files of a new version are made that are not at their paths yet: `new/N`, N being the
//! number of the entry in the listing. Takes only verified bytes. What an earlier update left in it is gone on with where the
//! job has checked it. What is in place already is not written; that it is the right content is looked at where that
//! could be in doubt. How the stage becomes the new version is `switch`'s.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cap_fs_ext::DirExt;
use gosync_core::assemble::{Ledger, Verified};
use gosync_core::{Error, ErrorKind, Index, Listing, Origin, Piece, Range, ReadAt, Result};

use super::payload::fill;
use super::switch::NEW;
use super::view::{Slots, View};
use super::{Around, Files, Folder};
use crate::disk::{Disk, DiskFile, DiskFolder, Rights};
use crate::output::{Room, check_room, is_ours};
use crate::report::Observer;

/// Files that are open at the same time.
const OPEN: usize = 32;
/// So many files are synced one by one; more of them by one call for all of the file system, where there is such a call.
const FEW: usize = 32;

/// What an earlier update left of the same version, to be read. Nothing of it is believed.
pub(crate) struct Left {
    files: Files,
    view: Arc<View>,
    contents: Arc<Slots>,
    /// For each content that has one, the entry whose new file is there, and its number among `files`.
    of: HashMap<usize, (u32, usize)>,
    /// All that is there.
    entries: BTreeSet<u32>,
}

impl Left {
    /// What is in the stage at `path`, if there is anything.
    pub(crate) fn at(
        path: &Path,
        view: &Arc<View>,
        contents: &Arc<Slots>,
        block_size: u32,
        observer: &Observer,
    ) -> Option<Left> {
        let folder = new_files(path)?;
        let numbers = folder.dir.entries().ok()?.flatten().filter_map(|entry| number_of(&entry.file_name()));
        let entries: BTreeSet<u32> = numbers.collect();
        let first = |content: usize| contents.entries(content).find(|entry| entries.contains(entry));
        let there: Vec<(usize, u32)> =
            (0..contents.places().len()).filter_map(|content| Some((content, first(content)?))).collect();
        let names: Vec<String> = there.iter().map(|(_, entry)| entry.to_string()).collect();
        let lengths = there.iter().map(|(content, _)| contents.places()[*content].length);
        let files = names.iter().map(String::as_str).zip(lengths);
        let files = Files::of(folder, files, block_size, 0, observer).ok()?;
        let of = there.iter().enumerate().map(|(number, (content, entry))| (*content, (*entry, number))).collect();
        let (view, contents) = (Arc::clone(view), Arc::clone(contents));
        Some(Left { files, view, contents, of, entries })
    }

    /// The new file of this content that is there, by the number of its entry.
    pub(crate) fn entry_of(&self, content: usize) -> Option<u32> {
        self.of.get(&content).map(|(entry, _)| *entry)
    }

    /// Where a content is.
    pub(crate) fn place(&self, content: usize) -> Range {
        self.contents.places().get(content).copied().unwrap_or(Range::new(0, 0))
    }

    /// The contents of which there is a new file, ascending.
    pub(crate) fn contents(&self) -> Vec<usize> {
        let mut contents: Vec<usize> = self.of.keys().copied().collect();
        contents.sort_unstable();
        contents
    }
}

/// The new version as far as it is there: a new file where there is one, or else the old one.
impl ReadAt for Left {
    fn length(&self) -> u64 {
        self.contents.places().last().map_or(0, |place| place.end())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let length = self.length().saturating_sub(offset).min(buffer.len() as u64) as usize;
        fill(
            self.contents.places(),
            |place| *place,
            offset,
            &mut buffer[..length],
            |content, from, part| {
                match self.of.get(&content) {
                    Some((_, file)) => self.files.read(*file, from, part),
                    None => self.view.read(content, from, part),
                }
                Ok(())
            },
        )?;
        Ok(length)
    }
}

/// The folder with the new files of the stage at `path`, if there is one.
pub(crate) fn new_files(path: &Path) -> Option<Folder<'static>> {
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
    let stage = Folder::open(path.to_owned(), "stage").ok().filter(|_| is_folder)?;
    let dir = stage.dir.open_dir_nofollow(NEW).ok()?;
    Some(Folder { dir, path: path.join(NEW).into(), what: "stage" })
}

/// The number that is a name in the stage.
fn number_of(name: &std::ffi::OsStr) -> Option<u32> {
    let number: u32 = name.to_str()?.parse().ok()?;
    (name.to_str() == Some(&*number.to_string())).then_some(number)
}

/// A file that is to be made.
pub(crate) struct Wanted {
    pub(crate) entry: u32,
    pub(crate) size: u64,
    pub(crate) is_executable: bool,
    /// What the tree says of its mode and of the time of its last change.
    pub(crate) mode: Option<u16>,
    pub(crate) time: Option<SystemTime>,
}

/// Whether a unit was verified where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    No,
    /// In the old files that are shown there.
    Old,
    /// In what an earlier update left, together with these.
    Left,
}

/// What is to be in the stage.
pub(crate) struct Draft<'a> {
    pub(crate) index: &'a Index,
    pub(crate) contents: Arc<Slots>,
    pub(crate) view: Arc<View>,
    /// For each unit.
    pub(crate) right: &'a [Right],
    pub(crate) left: Option<&'a Left>,
    /// Ascending by entry.
    pub(crate) wanted: Vec<Wanted>,
    /// For each content: the file shown at its place has it, and stays.
    pub(crate) kept: Vec<bool>,
}

/// A folder for a new version, empty or as an earlier update left it.
pub(crate) struct Folders {
    stage: DiskFolder,
    new: DiskFolder,
    /// Whether anything in it is worth to be kept for the next update.
    is_kept: AtomicBool,
}

impl Folders {
    /// Opens the stage at `path`, or makes it. Whoever asks holds the target's lock.
    pub(crate) fn open(disk: &Disk, around: &Around, path: &Path) -> Result<Folders> {
        let failed = |cause| Error::from_io(cause, "cannot make a folder for new files", path.display());
        if std::fs::symlink_metadata(path).is_ok_and(|about| !about.is_dir()) {
            // Whatever it is, a link for instance, it is none of ours.
            disk.remove(path).map_err(failed)?;
        }
        match disk.create_folder(path, true) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(failed(cause)),
            _ => {}
        }
        let stage = around.open_stage(disk, path)?;
        let (new, is_new) = match stage.make(NEW) {
            Ok(new) => (new, true),
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => (stage.below(NEW).map_err(failed)?, false),
            Err(cause) => return Err(failed(cause)),
        };
        Ok(Folders { stage, new, is_kept: AtomicBool::new(!is_new) })
    }

    pub(crate) fn stage(&self) -> &DiskFolder {
        &self.stage
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Acquire)
    }
}

/// A new version in the making.
pub(crate) struct Stage<'a> {
    folders: &'a Folders,
    contents: Arc<Slots>,
    view: Arc<View>,
    kept: Vec<bool>,
    /// Ascending by entry.
    wanted: Vec<Wanted>,
    /// Which of these were made by this update, and are a hole wherever nothing was written.
    blank: Vec<AtomicBool>,
    open: Mutex<VecDeque<(usize, Arc<DiskFile>)>>,
    ledger: Ledger,
    late: Mutex<BTreeSet<usize>>,
}

impl<'a> Stage<'a> {
    /// Nothing of it is written yet, but for what was right where it is, and stays there.
    pub(crate) fn new(folders: &'a Folders, draft: Draft<'_>) -> Stage<'a> {
        let Draft { index, contents, view, right, left, wanted, kept } = draft;
        let needs_nothing = |unit: u64| {
            let left = match right.get(unit as usize) {
                Some(Right::Left) => left,
                Some(Right::Old) => None,
                _ => return false,
            };
            contents.within(index.unit_range(unit)).all(|content| {
                let mut entries = wanted_of(&contents, &wanted, content).map(|at| wanted[at].entry);
                match entries.next() {
                    None => true,
                    first => entries.next().is_none() && left.is_some_and(|left| left.entry_of(content) == first),
                }
            })
        };
        let ledger = Ledger::with(index, needs_nothing);
        let blank = wanted.iter().map(|_| AtomicBool::new(false)).collect();
        let (open, late) = (Mutex::default(), Mutex::default());
        Stage { folders, contents, view, kept, wanted, blank, open, ledger, late }
    }

    /// The files of a content that are to be made, as positions in `wanted`.
    fn wanted_of(&self, content: usize) -> impl Iterator<Item = usize> {
        wanted_of(&self.contents, &self.wanted, content)
    }

    pub(crate) fn has(&self, unit: u64) -> bool {
        self.ledger.has(unit)
    }

    /// Makes what has no content, and removes what an earlier update left and is no longer wanted. Then looks whether there
    /// is room for the rest: `NO_SPACE` if not.
    pub(crate) fn begin(&self, index: &Index, listing: &Listing, left: Option<&Left>) -> Result<()> {
        for entry in left.iter().flat_map(|left| &left.entries).filter(|entry| !self.is_wanted(**entry)) {
            self.folders
                .new
                .remove(&entry.to_string())
                .map_err(|cause| self.failed(cause, "cannot remove an old file of the stage"))?;
        }
        let there: u64 = left.map_or(0, |_| self.wanted.iter().map(|wanted| self.taken(wanted)).sum());
        let room = Room::of(index);
        let entries = (0u32..).zip(listing.entries()).filter(|(number, _)| self.is_wanted(*number));
        let needed = entries.fold(0u64, |needed, (_, entry)| needed.saturating_add(room.within(entry.place)));
        check_room(self.folders.stage.path(), needed.saturating_sub(there))?;
        for at in (0..self.wanted.len()).filter(|at| self.wanted[*at].size == 0) {
            self.file(at)?;
        }
        Ok(())
    }

    /// Bytes that a new file has of the disk.
    fn taken(&self, wanted: &Wanted) -> u64 {
        let about = self.folders.new.look(&wanted.entry.to_string()).ok().flatten();
        about.map_or(0, |about| taken(&about)).min(wanted.size)
    }

    /// Writes what of a unit belongs to new files, to all of them that have it. How many bytes, each counted once.
    pub(crate) fn write(&self, verified: &Verified<'_>, pieces: &[Piece]) -> Result<u64> {
        let unit = Range::new(verified.offset(), verified.bytes().len() as u64);
        let mut written = 0;
        for content in self.contents.within(unit) {
            let place = self.contents.places()[content];
            let part = Range::new(place.offset.max(unit.offset), 0);
            let part = Range::new(part.offset, place.end().min(unit.end()) - part.offset);
            let bytes = &verified.bytes()[(part.offset - unit.offset) as usize..(part.end() - unit.offset) as usize];
            let mut is_new = false;
            for at in self.wanted_of(content) {
                self.write_part(at, part.offset - place.offset, bytes)?;
                is_new = true;
            }
            written += if is_new { part.length } else { 0 };
            let fetched = |piece: &Piece| piece.origin == Origin::Missing && overlaps(piece.target, part);
            if self.kept.get(content) == Some(&true) && pieces.iter().any(fetched) {
                self.compare(content, part.offset - place.offset, bytes);
            }
        }
        self.folders.is_kept.store(true, Ordering::Release);
        self.ledger.note(verified);
        Ok(written)
    }

    fn write_part(&self, at: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let file = self.file(at)?;
        let written = if bytes.iter().any(|byte| *byte != 0) {
            file.write_all_at(bytes, offset)
        } else if self.blank[at].load(Ordering::Acquire) {
            // Nothing but a hole, which stays one.
            Ok(())
        } else {
            file.zero(offset, bytes.len() as u64)
        };
        written.map_err(|cause| self.failed(cause, "cannot write a new file"))
    }

    /// What was thought to be in an old file had to be fetched: it may not be there.
    fn compare(&self, content: usize, offset: u64, bytes: &[u8]) {
        let mut old = vec![0; bytes.len()];
        self.view.read(content, offset, &mut old);
        if old != bytes {
            self.late.lock().unwrap_or_else(PoisonError::into_inner).insert(content);
        }
    }

    /// The contents of old files that turned out to be others.
    pub(crate) fn take_late(&self) -> BTreeSet<usize> {
        std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new file, open; of its length.
    fn file(&self, at: usize) -> Result<Arc<DiskFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.iter().position(|(number, _)| *number == at) {
            return Ok(Arc::clone(&open[found].1));
        }
        let wanted = &self.wanted[at];
        let file =
            self.open_file(wanted, &self.blank[at]).map_err(|cause| self.failed(cause, "cannot make a new file"))?;
        let file = Arc::new(file);
        if open.len() >= OPEN {
            open.pop_front();
        }
        open.push_back((at, Arc::clone(&file)));
        Ok(file)
    }

    fn open_file(&self, wanted: &Wanted, blank: &AtomicBool) -> io::Result<DiskFile> {
        let (name, new) = (wanted.entry.to_string(), &self.folders.new);
        for _ in 0..2 {
            match new.create(&name, if wanted.is_executable { 0o777 } else { 0o666 }) {
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    let file = made?;
                    file.set_length(wanted.size)?;
                    blank.store(true, Ordering::Release);
                    return Ok(file);
                }
            }
            match self.open_again(&name) {
                Ok(file) if is_ours(file.file(), None)? => {
                    if file.file().metadata()?.len() != wanted.size {
                        file.set_length(wanted.size)?;
                    }
                    return Ok(file);
                }
                // Whatever it is, it is none of ours.
                _ => new.remove(&name)?,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Opens a file that is there already. One that was finished may be read-only.
    fn open_again(&self, name: &str) -> io::Result<DiskFile> {
        let new = &self.folders.new;
        match new.open(name) {
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                new.make_writable(name)?;
                new.open(name)
            }
            opened => opened,
        }
    }

    fn is_wanted(&self, entry: u32) -> bool {
        self.wanted.binary_search_by_key(&entry, |wanted| wanted.entry).is_ok()
    }

    /// Makes all new files durable. Their names are `switch`'s.
    pub(crate) fn finish(&self) -> Result<()> {
        if !self.ledger.is_complete() {
            return Err(Error::new(ErrorKind::Internal, "the directory was to be switched before it was complete"));
        }
        self.folders.is_kept.store(true, Ordering::Release);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let failed = |cause| self.failed(cause, "cannot sync the new files");
        let new = &self.folders.new;
        for wanted in self.wanted.iter().filter(|wanted| wanted.mode.is_some() || wanted.time.is_some()) {
            set_attributes(new, wanted)
                .map_err(|cause| self.failed(cause, "cannot set the mode or time of a new file"))?;
        }
        if self.wanted.len() <= FEW || !new.sync_all().map_err(failed)? {
            for wanted in &self.wanted {
                new.open_as_it_is(&wanted.entry.to_string()).and_then(|file| file.sync()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// When each new file was last changed, by entry.
    pub(crate) fn times(&self) -> impl Iterator<Item = (u32, Option<SystemTime>)> {
        self.wanted.iter().map(|wanted| {
            let about = self.folders.new.look(&wanted.entry.to_string()).ok().flatten();
            let time = about.and_then(|about| about.modified().ok());
            (wanted.entry, time.map(cap_std::time::SystemTime::into_std))
        })
    }

    fn failed(&self, cause: io::Error, text: &str) -> Error {
        Error::from_io(cause, text, self.folders.new.path().display())
    }
}

/// Gives a new file what the tree says of it. Where modes are not to be had, that is nothing.
fn set_attributes(new: &DiskFolder, wanted: &Wanted) -> io::Result<()> {
    let file = new.open_as_it_is(&wanted.entry.to_string())?;
    if let Some(mode) = wanted.mode {
        file.set_metadata("mode", |file| Rights::Mode(mode).give(file))?;
    }
    // Where times cannot be set, the next update finds that and tells it.
    let _ = wanted.time.map(|time| file.set_metadata("times", |file| file.set_modified(time)));
    Ok(())
}

fn wanted_of(contents: &Slots, wanted: &[Wanted], content: usize) -> impl Iterator<Item = usize> {
    let position = |entry: u32| wanted.binary_search_by_key(&entry, |wanted| wanted.entry).ok();
    contents.entries(content).filter_map(position)
}

fn overlaps(one: Range, other: Range) -> bool {
    one.offset < other.end() && other.offset < one.end()
}

#[cfg(unix)]
fn taken(about: &cap_std::fs::Metadata) -> u64 {
    const BLOCK: u64 = 512;
    cap_std::fs::MetadataExt::blocks(about).saturating_mul(BLOCK)
}

#[cfg(not(unix))]
fn taken(about: &cap_std::fs::Metadata) -> u64 {
    about.len()
}
