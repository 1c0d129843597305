//! The folder `NAME.gosync-kept` beside a target, into which is moved what an update may not remove and cannot leave where
//! it is. Nothing in it is ever replaced: what would have a name that is there gets a number. Each move is durable at once.

use std::io;
use std::path::Path;

use gosync_core::{Error, Result};

use super::around::Around;
use crate::disk::{Disk, DiskFolder};
use crate::report::{Level, Observer};

/// Numbers that a name gets at most.
const MOST: u32 = 1_000_000;
/// Bytes of a name that are used where it gets a number.
const LONGEST: usize = 240;

pub(super) struct Aside<'a> {
    disk: &'a Disk,
    around: &'a Around,
    target: &'a Path,
    observer: &'a Observer,
    kept: Option<DiskFolder>,
}

impl<'a> Aside<'a> {
    pub(super) fn new(disk: &'a Disk, around: &'a Around, target: &'a Path, observer: &'a Observer) -> Aside<'a> {
        Aside { disk, around, target, observer, kept: None }
    }

    /// Moves what is at `path` of the target, whose last folder is `folder`, to the same path there.
    pub(super) fn keep(&mut self, folder: &DiskFolder, path: &str) -> Result<()> {
        let shown = self.target.join(path);
        let failed = |cause| Error::from_io(cause, "cannot move aside what is not gosync's", shown.display());
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut to = self.top().map_err(failed)?;
        for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
            to = enter(&to, parent).map_err(failed)?;
        }
        let free = free(&to, name).map_err(failed)?;
        folder.rename(name, &to, &free).and_then(|()| to.sync()).and_then(|()| folder.sync()).map_err(failed)?;
        let kept = to.path().join(free);
        let text = "what is not what was installed was moved aside";
        self.observer.event(Level::Warning, "kept", text, &[("path", &path), ("kept", &kept.display())]);
        Ok(())
    }

    /// The folder itself.
    fn top(&mut self) -> io::Result<DiskFolder> {
        if let Some(kept) = &self.kept {
            return kept.same();
        }
        let kept = enter(&self.disk.folder(self.around.folder())?, &self.around.kept())?;
        self.kept.insert(kept).same()
    }
}

/// Opens a directory, or makes it; where something else has the name, by one with a number.
fn enter(folder: &DiskFolder, name: &str) -> io::Result<DiskFolder> {
    for number in 0..MOST {
        let name = numbered(name, number);
        match folder.look(&name)? {
            Some(there) if there.is_dir() => return folder.below(&name),
            Some(_) => {}
            None => {
                let made = folder.make(&name)?;
                folder.sync()?;
                return Ok(made);
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A name that nothing has.
fn free(folder: &DiskFolder, name: &str) -> io::Result<String> {
    for number in 0..MOST {
        let name = numbered(name, number);
        if folder.look(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn numbered(name: &str, number: u32) -> String {
    if number == 0 {
        return name.to_owned();
    }
    let end = (0..=name.len().min(LONGEST)).rev().find(|end| name.is_char_boundary(*end));
    format!("{}.{number}", &name[..end.unwrap_or_default()])
}
