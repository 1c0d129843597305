//! The moment in which a directory becomes the new version. Everything new is in the stage (`new/N`, N being the number
//! of the entry in the listing), complete, verified and durable. `commit` writes down what is to be done: from there on it
//! is only gone forward, by `finish`, which may be interrupted anywhere and called again.
//!
//! `wire` is the file that it is written down in, `doing` does it (`respelling`, where only letters of a name change), and `descent`
//! is the way to each path, by handles.

mod descent;
mod doing;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod respelling;
mod wire;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gosync_core::listing::EntryKind;
use gosync_core::{Error, ErrorKind, Listing, Result};

use self::descent::{Descent, parent_of};
use self::doing::Doing;
use self::wire::Steps;
use super::around::Around;
use super::changes::Changes;
use super::record::{Record, defect, read_below};
use crate::disk::{Disk, DiskFolder};
use crate::output::{Keep, Replacing};
use crate::report::{Level, Observer};

/// The folder of a stage in which everything new is.
pub(crate) const NEW: &str = "new";
/// The file of a stage that says what is to be done. Once it is there, it is to be done.
const SWITCH: &str = "switch";
/// The largest one that is read.
const LARGEST: u64 = 8 << 30;

/// The switch of one directory.
pub(crate) struct Switch<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) around: &'a Around,
    /// Where the directory is, or is to be made.
    pub(crate) target: &'a Path,
    /// How long what another program holds is waited for (on Windows), and whether it may be moved aside.
    pub(crate) how: &'a Replacing<'a>,
    /// What new files have of those whose places they take.
    pub(crate) keep: Keep,
    pub(crate) observer: &'a Observer,
}

/// The stage of a switch that was begun and not finished, if there is one.
pub(crate) fn unfinished(around: &Around) -> Option<PathBuf> {
    let is_begun = |stage: &PathBuf| std::fs::symlink_metadata(stage.join(SWITCH)).is_ok_and(|about| about.is_file());
    around.stages().into_iter().find(is_begun)
}

impl Switch<'_> {
    /// Looks whether everything can be done, as far as that can be known, before anything is fetched: folders must allow it,
    /// and be on the file system of the stage, and links must be such that they can be made.
    pub(crate) fn check(&self, stage: &DiskFolder, listing: &Listing, changes: &Changes) -> Result<()> {
        try_link(stage, listing, changes)?;
        let root = match self.disk.folder(self.target) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            root => root.map_err(|cause| self.failed(cause, "open a folder of the target", ""))?,
        };
        let mut descent = Descent::new(root);
        let mut folders: BTreeSet<&str> = changes.removals.iter().map(|removal| parent_of(removal.path())).collect();
        let numbers: HashSet<u32> = changes.placings.iter().map(|placing| placing.entry).collect();
        let placed = (0..).zip(listing.entries()).filter(|(number, _)| numbers.contains(number));
        let placed: BTreeSet<String> = placed.map(|(_, entry)| parent_of(&entry.path).to_owned()).collect();
        folders.extend(placed.iter().map(String::as_str));
        for path in folders {
            let folder =
                descent.folder(path).map_err(|cause| self.failed(cause, "open a folder of the target", path))?;
            let Some(folder) = folder else { continue };
            may_change(folder).map_err(|cause| self.failed(cause, "write in a folder of the target", path))?;
            if !is_same_device(folder, stage).map_err(|cause| self.failed(cause, "look at a folder", path))? {
                let text = "a folder of the target is on another file system than the rest";
                return Err(Error::new(ErrorKind::State, text).with("path", folder.path().display()));
            }
        }
        Ok(())
    }

    /// Writes down what is to be done. All of `changes.staged` is in `new/`, closed and durable; links are made here.
    /// `times` are those that the files of all entries have (the staged ones in the stage), for the record.
    pub(crate) fn commit(
        &self,
        stage: &DiskFolder,
        listing: &Listing,
        changes: &Changes,
        times: Vec<Option<SystemTime>>,
    ) -> Result<()> {
        let failed = |cause| Error::from_io(cause, "cannot write in the stage", stage.path().display());
        let new = match stage.below(NEW) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => stage.make(NEW).map_err(failed)?,
            new => new.map_err(failed)?,
        };
        self.check_stage(&new, listing, changes)?;
        // The stage itself, too: what is to be done must be found again.
        let around = self.disk.sync_folder(self.around.folder());
        around.and_then(|()| new.sync()).and_then(|()| stage.sync()).map_err(failed)?;
        for path in &changes.left {
            let text = "what is there is not what was installed, and stays";
            self.observer.event(Level::Warning, "kept", text, &[("path", path)]);
        }
        let record = Record::new(listing.clone(), times);
        let steps = Steps { record, removals: changes.removals.clone(), placings: changes.placings.clone() };
        stage.put(SWITCH, &steps.encode()).map_err(failed)
    }

    /// Looks whether everything new is there, and makes the links.
    fn check_stage(&self, new: &DiskFolder, listing: &Listing, changes: &Changes) -> Result<()> {
        let folders: HashSet<String> = if cfg!(windows) {
            let folders = listing.entries().filter(|entry| entry.kind == EntryKind::Directory);
            folders.map(|entry| entry.path).collect()
        } else {
            HashSet::new()
        };
        let mut entries = (0..).zip(listing.entries());
        for placing in changes.placings.iter().filter(|placing| !placing.only_attributes) {
            let entry = entries.find(|(number, _)| *number == placing.entry);
            let (number, entry) = entry.ok_or_else(|| defect("what is placed is not in the tree"))?;
            let name = number.to_string();
            match entry.kind {
                EntryKind::Directory => {}
                EntryKind::File { size, .. } => {
                    let about = new.look(&name).map_err(|cause| link_failed(cause, &entry.path))?;
                    if !about.is_some_and(|about| about.is_file() && about.len() == size) {
                        return Err(defect("a new file is not in the stage").with("path", entry.path.escape_debug()));
                    }
                }
                EntryKind::Symlink { target } => {
                    let is_there = new.look(&name).map_err(|cause| link_failed(cause, &entry.path))?.is_some();
                    // Of an update that was killed.
                    if is_there {
                        new.remove(&name).map_err(|cause| link_failed(cause, &entry.path))?;
                    }
                    let to_folder = leads_to(&entry.path, target).is_some_and(|path| folders.contains(&path));
                    new.link(&name, target, to_folder).map_err(|cause| link_failed(cause, &entry.path))?;
                }
            }
        }
        Ok(())
    }

    /// Does what is written down in `stage`, writes the record, and removes the stage. Each entry that comes to its place or
    /// goes is told in an event, and so is each that is kept.
    pub(crate) fn finish(&self, path: &Path) -> Result<()> {
        let stage = self.around.open_stage(self.disk, path)?;
        let failed =
            |cause, what: &str| Error::from_io(cause, &format!("cannot {what} the stage of an update"), path.display());
        let bytes = read_below(stage.dir(), SWITCH, LARGEST).map_err(|cause| failed(cause, "read"))?;
        let Some(steps) = bytes.as_deref().and_then(Steps::decode) else {
            // It was complete when it got its name: somebody else has changed it, or the disk.
            let text = "what an update had begun cannot be read any more; it is looked for what is left to do";
            self.observer.event(Level::Warning, "switch_damaged", text, &[("path", &path.display())]);
            return stage.remove(SWITCH).and_then(|()| stage.sync()).map_err(|cause| failed(cause, "change"));
        };
        Doing::new(self, &stage, &steps)?.all()?;
        steps.record.write(self.disk, self.around)?;
        drop(stage);
        match self.remove_stage(path) {
            // Everything is done. What is left of the stage, the next update removes.
            Err(_) if unfinished(self.around).is_none() => Ok(()),
            removed => removed,
        }
    }

    /// Removes a stage with all that is in it. Windows does so only where nobody, the caller among them, has it open.
    pub(crate) fn remove_stage(&self, path: &Path) -> Result<()> {
        let failed = |cause| Error::from_io(cause, "cannot remove the stage of an update", path.display());
        let stage = self.around.open_stage(self.disk, path)?;
        // First of all: what is left of a stage without it is of no consequence.
        match stage.remove(SWITCH) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
            _ => stage.sync().map_err(failed)?,
        }
        let emptied = descent::empty(&stage);
        drop(stage);
        let folder = self.disk.folder(self.around.folder()).map_err(failed)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match emptied.and_then(|()| folder.remove_folder(name)) {
            // A program that was moved aside still runs from there: the next update removes it.
            Err(cause) if crate::output::is_held(&cause) => {}
            removed => removed.map_err(failed)?,
        }
        folder.sync().map_err(failed)
    }

    /// The error for an entry, whose path is told.
    fn failed(&self, cause: io::Error, what: &str, path: &str) -> Error {
        Error::from_io(cause, &format!("cannot {what}"), self.target.join(path).display())
    }
}

/// Makes a link that is new, and removes it again: not everybody may, and not every file system has them. On Windows all of
/// them, because there it counts what they say too.
fn try_link(stage: &DiskFolder, listing: &Listing, changes: &Changes) -> Result<()> {
    const TRIAL: &str = "link";
    let numbers: HashSet<u32> = changes.placings.iter().map(|placing| placing.entry).collect();
    let new = (0..).zip(listing.entries()).filter(|(number, _)| numbers.contains(number)).map(|(_, entry)| entry);
    let links = new.filter(|entry| matches!(entry.kind, EntryKind::Symlink { .. }));
    for entry in links.take(if cfg!(windows) { usize::MAX } else { 1 }) {
        let EntryKind::Symlink { target } = entry.kind else { continue };
        let made = match stage.link(TRIAL, target, false) {
            // A kill has left it.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        made.and_then(|()| stage.remove(TRIAL)).map_err(|cause| link_failed(cause, &entry.path))?;
    }
    Ok(())
}

/// The error for a link that cannot be made.
fn link_failed(cause: io::Error, path: &str) -> Error {
    // ERROR_PRIVILEGE_NOT_HELD, which no other system has.
    if cause.raw_os_error() == Some(1314) {
        let text = "the tree has symbolic links, and this account lacks the privilege to make them \
                    (SeCreateSymbolicLinkPrivilege): an administrator has it, and everybody in Windows' developer mode";
        return Error::new(ErrorKind::Permission, text).with("path", path.escape_debug()).caused_by(cause);
    }
    Error::from_io(cause, "cannot make a link of the tree", path.escape_debug())
}

/// Where a link leads as a path of the tree, by names alone; `None` if outside.
fn leads_to(link: &str, target: &str) -> Option<String> {
    let mut names: Vec<&str> = parent_of(link).split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split(['/', '\\']) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    (!target.starts_with('/')).then(|| names.join("/"))
}

#[cfg(unix)]
fn may_change(folder: &DiskFolder) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, accessat};
    // What the system refuses to say may be allowed.
    match accessat(folder.dir(), ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Err(error) if [rustix::io::Errno::NOSYS, rustix::io::Errno::INVAL].contains(&error) => Ok(()),
        outcome => outcome.map_err(io::Error::from),
    }
}

/// Who may write where is known there only by trying.
#[cfg(not(unix))]
fn may_change(_: &DiskFolder) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_same_device(folder: &DiskFolder, stage: &DiskFolder) -> io::Result<bool> {
    use cap_std::fs::MetadataExt;
    Ok(folder.dir().dir_metadata()?.dev() == stage.dir().dir_metadata()?.dev())
}

/// Directories of other file systems are links there, which are not gone through.
#[cfg(not(unix))]
fn is_same_device(_: &DiskFolder, _: &DiskFolder) -> io::Result<bool> {
    Ok(true)
}
