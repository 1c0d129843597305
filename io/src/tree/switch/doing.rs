//! The steps of a switch, one after another. Each can be done again: what is in the stage no more has come to its place,
//! and what is not what it was when it was decided what becomes of it, is kept.

use std::collections::BTreeSet;
use std::io;

use cap_std::fs::Metadata;
use gosync_core::listing::{Entry, EntryKind};
use gosync_core::{ChangeKind, Result};

use super::descent::{Descent, name_of, parent_of};
use super::wire::Steps;
use super::{NEW, Switch, respelling};
use crate::disk::{DiskFolder, Rights};
use crate::output::{Keep, Old, folder_of, is_held, keep_of, while_held};
use crate::report::Level;
use crate::tree::aside::Aside;
use crate::tree::changes::{Placing, Removal, Was};
use crate::tree::record::defect;
use crate::tree::{Stamp, time_of};

/// The folder of a stage in which is what a program still runs from.
const OLD: &str = "old";
/// So many folders, and entries that have come to their places, are synced one by one; more, with all that is on their file
/// system.
const FEW: usize = 16;
/// The bit by which the owner of a file may write it.
const WRITABLE: u16 = 0o200;

/// A switch under way.
pub(super) struct Doing<'a> {
    switch: &'a Switch<'a>,
    steps: &'a Steps,
    stage: &'a DiskFolder,
    new: Option<DiskFolder>,
    tree: Descent,
    aside: Aside<'a>,
    /// The folders in which a name has changed.
    touched: BTreeSet<String>,
    /// What of replaced files could not be kept, and of how many.
    lost: (BTreeSet<&'static str>, usize),
}

impl<'a> Doing<'a> {
    pub(super) fn new(switch: &'a Switch<'a>, stage: &'a DiskFolder, steps: &'a Steps) -> Result<Doing<'a>> {
        let failed = |cause| switch.failed(cause, "open the target", "");
        let root = match switch.disk.folder(switch.target) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                switch.disk.create_folder(switch.target, false).map_err(failed)?;
                switch.disk.sync_folder(folder_of(switch.target)).map_err(failed)?;
                switch.disk.folder(switch.target)
            }
            root => root,
        };
        let new = match stage.below(NEW) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            new => Some(new.map_err(|cause| switch.failed(cause, "open the stage of the target", ""))?),
        };
        let tree = Descent::new(root.map_err(failed)?);
        let aside = Aside::new(switch.disk, switch.around, switch.target, switch.observer);
        Ok(Doing { switch, steps, stage, new, tree, aside, touched: BTreeSet::new(), lost: Default::default() })
    }

    /// Does everything, durably.
    pub(super) fn all(mut self) -> Result<()> {
        for (number, removal) in self.steps.removals.iter().enumerate() {
            self.remove(number, removal)?;
        }
        self.touched.extend(respelling::all(self.switch, &self.steps.removals, &mut self.tree)?);
        // What is moved into a folder would be lost with it.
        self.place(|kind| kind == EntryKind::Directory)?;
        self.sync()?;
        self.place(|kind| kind != EntryKind::Directory)?;
        self.set_modes_of_folders()?;
        self.sync()?;
        let (lost, files) = self.lost;
        if !lost.is_empty() {
            let lost: Vec<&str> = lost.into_iter().collect();
            let text = format!("not everything of {files} replaced files could be kept: {}", lost.join(", "));
            let target = self.switch.target.display();
            self.switch.observer.event(Level::Warning, "not_kept", text, &[("target", &target), ("files", &files)]);
        }
        Ok(())
    }

    /// Brings to their places those entries that are such.
    fn place(&mut self, is_such: fn(EntryKind<'_>) -> bool) -> Result<()> {
        let steps = self.steps;
        let mut entries = (0..).zip(steps.record.listing().entries());
        for placing in &steps.placings {
            let entry = entries.find(|(number, _)| *number == placing.entry);
            let (_, entry) = entry.ok_or_else(|| defect("what is placed is not in the tree"))?;
            if is_such(entry.kind) {
                self.place_entry(placing, &entry)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, number: usize, removal: &Removal) -> Result<()> {
        let Doing { switch, stage, tree, aside, touched, .. } = self;
        let (path, name) = (removal.path(), name_of(removal.path()));
        let failed = |cause| switch.failed(cause, "remove what the new version does not have", path);
        let parent = if matches!(removal, Removal::Strange { .. }) { path } else { parent_of(path) };
        let Some(folder) = tree.folder(parent).map_err(failed)? else { return Ok(()) };
        match removal {
            Removal::Strange { .. } => {
                touched.insert(parent.to_owned());
                return remove_strange(folder).map_err(failed);
            }
            // All of a folder at once (`respelling`).
            Removal::Respell { .. } => return Ok(()),
            _ => {}
        }
        let Some(there) = folder.look(name).map_err(failed)? else { return Ok(()) };
        match removal {
            Removal::Keep { .. } => aside.keep(folder, path)?,
            Removal::Folder { .. } if !there.is_dir() => return Ok(()),
            Removal::Folder { .. } => match folder.remove_folder(name) {
                // Something was put there meanwhile.
                Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
                removed => removed.map_err(failed)?,
            },
            Removal::Remove { was, .. } if there.is_dir() || !was.is(&there) => {
                let text = "what is there is not what it was any more, and stays";
                switch.observer.event(Level::Warning, "kept", text, &[("path", &path)]);
                return Ok(());
            }
            _ => {
                lift(folder, name, &there);
                let old = format!("removed-{number}");
                insist(switch, stage, (folder, path, "remove"), &old, &|| folder.remove(name), true)?;
            }
        }
        touched.insert(parent.to_owned());
        if !matches!(removal, Removal::Keep { .. }) {
            tell(switch, path, ChangeKind::Removed);
        }
        Ok(())
    }

    fn place_entry(&mut self, placing: &Placing, entry: &Entry<'_>) -> Result<()> {
        let is_done = match entry.kind {
            EntryKind::Directory => self.make_folder(placing, &entry.path)?,
            EntryKind::File { .. } if placing.only_attributes => self.set_attributes(placing, entry)?,
            EntryKind::File { is_executable, .. } => {
                self.keep(placing, entry, is_executable)?;
                self.put(placing, &entry.path, Metadata::is_file)?
            }
            EntryKind::Symlink { .. } => self.put(placing, &entry.path, Metadata::is_symlink)?,
        };
        if is_done {
            self.touched.insert(parent_of(&entry.path).to_owned());
            tell(self.switch, &entry.path, placing.what);
        }
        Ok(())
    }

    /// Makes a directory, unless it is there. Whether anything was to be done.
    fn make_folder(&mut self, placing: &Placing, path: &str) -> Result<bool> {
        let Doing { switch, tree, aside, .. } = self;
        let failed = |cause| switch.failed(cause, "make a folder of the target", path);
        let folder = tree.make(parent_of(path), |folder, path| aside.keep(folder, path), failed)?;
        let name = name_of(path);
        match folder.look(name).map_err(failed)? {
            Some(there) if there.is_dir() => return Ok(false),
            Some(there) if !placing.keep && placing.was.is(&there) => {
                lift(folder, name, &there);
                folder.remove(name).map_err(failed)?;
            }
            Some(_) => aside.keep(folder, path)?,
            None => {}
        }
        folder.make(name).map_err(failed)?;
        Ok(true)
    }

    /// Gives a new file what is to be kept of the one whose place it will take. Nothing is written to it any more.
    fn keep(&mut self, placing: &Placing, entry: &Entry<'_>, is_executable: bool) -> Result<()> {
        let Doing { switch, steps, new, tree, lost, .. } = self;
        // What the tree says is not that of the old file.
        let (mode, times) = (switch.keep.mode && entry.mode.is_none(), switch.keep.times && entry.time.is_none());
        let (keep, path) = (Keep { mode, times, ..switch.keep }, entry.path.as_str());
        // There, nothing but times is kept of a directory's files.
        let is_wanted = keep != Keep::NONE && (cfg!(unix) || keep.times);
        let Some(new) = new.as_ref().filter(|_| is_wanted) else { return Ok(()) };
        let failed = |cause| switch.failed(cause, "keep the mode of a file of the target", path);
        let Some(folder) = tree.folder(parent_of(path)).map_err(failed)? else { return Ok(()) };
        if !folder.look(name_of(path)).map_err(failed)?.is_some_and(|there| there.is_file()) {
            return Ok(());
        }
        let file = match new.open_as_it_is(&placing.entry.to_string()) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file,
        };
        // What cannot be opened tells nothing of itself, and takes nothing.
        let kept = match (folder.file(name_of(path)), file) {
            (Ok(old), Ok(file)) => {
                // Whoever may not write may not set all of it.
                let read_only = entry.mode.filter(|mode| mode & WRITABLE == 0);
                let give = |mode: u16| file.set_metadata("mode", |file| Rights::Mode(mode).give(file)).map_err(failed);
                read_only.map_or(Ok(()), |mode| give(mode | WRITABLE))?;
                let kept = keep_of(keep, Old::Open(&old, is_executable), &file).map_err(failed)?;
                read_only.map_or(Ok(()), give)?;
                // More of them are synced together, at the end.
                if steps.placings.len() <= FEW {
                    file.sync().map_err(failed)?;
                }
                kept
            }
            _ => Keep::NAMES.to_vec(),
        };
        lost.1 += usize::from(!kept.is_empty());
        lost.0.extend(kept);
        Ok(())
    }

    /// Gives what is in the stage its name in the tree, unless it has it already. Whether anything was to be done.
    fn put(&mut self, placing: &Placing, path: &str, is_right: fn(&Metadata) -> bool) -> Result<bool> {
        let Doing { switch, stage, new, tree, aside, .. } = self;
        let failed = |cause| switch.failed(cause, "replace what the new version has otherwise", path);
        let number = placing.entry.to_string();
        let Some(new) = new else { return Ok(false) };
        if !new.look(&number).map_err(failed)?.as_ref().is_some_and(is_right) {
            return Ok(false);
        }
        let folder = tree.make(parent_of(path), |folder, path| aside.keep(folder, path), failed)?;
        let name = name_of(path);
        match folder.look(name).map_err(failed)? {
            None => {}
            Some(there) if !placing.keep && there.is_dir() => match folder.remove_folder(name) {
                Err(cause) if cause.kind() == io::ErrorKind::DirectoryNotEmpty => aside.keep(folder, path)?,
                removed => removed.map_err(failed)?,
            },
            Some(there) if placing.keep || !placing.was.is(&there) => aside.keep(folder, path)?,
            Some(there) => lift(folder, name, &there),
        }
        insist(switch, stage, (folder, path, "replace"), &number, &|| new.rename(&number, folder, name), false)?;
        Ok(true)
    }

    /// Sets who may do what with a file, and at last when it was last changed: what has another time then, which is not the new one, was
    /// changed by somebody else.
    fn set_attributes(&mut self, placing: &Placing, entry: &Entry<'_>) -> Result<bool> {
        let Doing { switch, steps, tree, .. } = self;
        let path = entry.path.as_str();
        let failed = |cause| switch.failed(cause, "open a folder of the target", path);
        let Some(folder) = tree.folder(parent_of(path)).map_err(failed)? else { return Ok(false) };
        let is_executable = matches!(entry.kind, EntryKind::File { is_executable: true, .. });
        let rights = entry.mode.map_or(Rights::Executable(is_executable), Rights::Mode);
        let (name, time) = (name_of(path), time_of(entry));
        let Some(there) = folder.look(name).map_err(failed)? else { return Ok(false) };
        if !placing.was.is(&there) {
            let modified = there.modified().ok().map(cap_std::time::SystemTime::into_std);
            if time.is_none() || modified != time {
                let text = "what is there is not what it was any more, and stays";
                switch.observer.event(Level::Warning, "kept", text, &[("path", &path)]);
            }
            return Ok(false);
        }
        // Many are synced together, where there is a call for that.
        let is_durable = steps.placings.len() <= FEW || !cfg!(target_os = "linux");
        let set = folder.set_attributes(name, rights, time, is_durable);
        Ok(set.unwrap_or_else(|cause| not_set(switch, path, &cause)))
    }

    /// Gives directories the modes that the tree says: at last, so that everything has come into them.
    fn set_modes_of_folders(&mut self) -> Result<()> {
        let Doing { switch, steps, tree, touched, .. } = self;
        if !steps.record.listing().has_modes() {
            return Ok(());
        }
        let mut entries = (0..).zip(steps.record.listing().entries());
        let mut is_told = false;
        for placing in &steps.placings {
            let Some((_, entry)) = entries.find(|(number, _)| *number == placing.entry) else { break };
            let Some(mode) = entry.mode.filter(|_| entry.kind == EntryKind::Directory) else { continue };
            let set = match tree.folder(&entry.path) {
                Ok(None) => continue,
                Ok(Some(folder)) => folder.set_mode(mode),
                Err(cause) => Err(cause),
            };
            match set {
                // A file system without modes has none for any of them.
                Err(cause) if !is_told => is_told = !not_set(switch, &entry.path, &cause),
                Err(_) => {}
                Ok(()) if placing.only_attributes => tell(switch, &entry.path, placing.what),
                Ok(()) => {}
            }
            touched.insert(entry.path);
        }
        Ok(())
    }

    /// Makes all names durable that were changed.
    fn sync(&mut self) -> Result<()> {
        let Doing { switch, steps, tree, touched, .. } = self;
        let failed = |cause| switch.failed(cause, "sync a folder of the target", "");
        let touched = std::mem::take(touched);
        let are_many = touched.len().max(if touched.is_empty() { 0 } else { steps.placings.len() }) > FEW;
        if are_many && tree.root().sync_all().map_err(failed)? {
            return Ok(());
        }
        for path in &touched {
            if let Some(folder) = tree.folder(path).map_err(failed)? {
                folder.sync().map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Was {
    /// Whether it is still what it was.
    fn is(self, there: &Metadata) -> bool {
        match self {
            Was::Any => true,
            Was::Nothing => false,
            Was::Folder => there.is_dir(),
            Was::Link => there.is_symlink(),
            Was::Other => !there.is_dir() && !there.is_symlink() && !there.is_file(),
            Was::File(stamp) => {
                let modified = there.modified().ok().map(cap_std::time::SystemTime::into_std);
                there.is_file() && stamp == Stamp { length: there.len(), modified }
            }
        }
    }
}

/// Does a step with what is at a path in a folder, in which another program may be in the way for a while (on Windows). What
/// is held still can be moved into the stage, as `old`; a step that only takes it away is done by that.
fn insist(
    switch: &Switch<'_>,
    stage: &DiskFolder,
    (folder, path, what): (&DiskFolder, &str, &str),
    old: &str,
    step: &dyn Fn() -> io::Result<()>,
    takes_away: bool,
) -> Result<()> {
    let Err(cause) = while_held(step, switch.how)? else { return Ok(()) };
    if !is_held(&cause) {
        return Err(switch.failed(cause, &format!("{what} a file of the target"), path));
    }
    if !switch.how.move_aside {
        let what = format!("{what} a file of the target, which another program seems to use");
        return Err(switch.failed(cause, &what, path));
    }
    let failed = |cause| switch.failed(cause, "move a file of the target aside", path);
    let aside = match stage.below(OLD) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => stage.make(OLD),
        aside => aside,
    };
    folder.rename(name_of(path), &aside.map_err(failed)?, old).map_err(failed)?;
    if takes_away { Ok(()) } else { step().map_err(failed) }
}

/// Takes the mark away that on Windows keeps a file's name from being given to another.
fn lift(folder: &DiskFolder, name: &str, there: &Metadata) {
    if cfg!(windows) && there.is_file() && there.permissions().readonly() {
        let _ = folder.make_writable(name);
    }
}

fn remove_strange(folder: &DiskFolder) -> io::Result<()> {
    for entry in folder.dir().entries()? {
        let name = entry?.file_name();
        if name.to_str().is_none() {
            folder.remove_strange(&name)?;
        }
    }
    Ok(())
}

/// Says that a mode or time could not be set, which is no reason to stop.
fn not_set(switch: &Switch<'_>, path: &str, cause: &io::Error) -> bool {
    let text = format!("cannot set the mode or the time of something in the target: {cause}");
    switch.observer.event(Level::Warning, "mode_not_set", text, &[("path", &path)]);
    false
}

/// Says that an entry is what it is to be.
pub(super) fn tell(switch: &Switch<'_>, path: &str, what: ChangeKind) {
    // Many, and mostly nobody listens.
    if switch.observer.events.is_some() {
        let text = format!("{}: {path}", what.name());
        switch.observer.event(Level::Info, "entry", text, &[("path", &path), ("what", &what.name())]);
    }
}
