//! The moment in which a directory becomes the new version. Everything new is in the stage (`new/N`, N being the number
//! of the entry in the listing), complete, verified and durable. `commit` writes down what is to be done: from there on it
//! is only gone forward, by `finish`, which may be interrupted anywhere and called again.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gosync_core::{Error, ErrorKind, Listing, Result};

use super::around::Around;
use super::changes::Changes;
use crate::disk::{Disk, DiskFolder};
use crate::output::Replacing;
use crate::report::Observer;

/// One step of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {}

/// The names in a stage.
pub(crate) const NEW: &str = "new";

/// What is switched.
pub(crate) struct Switch<'a> {
    pub(crate) disk: &'a Disk,
    pub(crate) around: &'a Around,
    /// Where the directory is, or is to be made.
    pub(crate) target: &'a Path,
    /// How long what another program holds is waited for (on Windows), and whether it may be moved aside.
    pub(crate) how: &'a Replacing<'a>,
    pub(crate) observer: &'a Observer,
}

/// A switch that was begun and not finished: the stage that it is in.
pub(crate) fn unfinished(around: &Around) -> Result<Option<PathBuf>> {
    let _ = around;
    Ok(None)
}

impl Switch<'_> {
    /// Looks whether everything can be done, as far as that can be known, before anything is fetched: whether folders may
    /// be written, and are on the file system of the stage.
    pub(crate) fn check(&self, stage: &DiskFolder, changes: &Changes) -> Result<()> {
        let _ = (stage, changes);
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    /// Writes down what is to be done. All of `changes.staged` is in `new/`, closed and synced, links excepted, which are
    /// made here. `times` are those that the files of all entries have (the staged ones in the stage), for the record.
    pub(crate) fn commit(
        &self,
        stage: &DiskFolder,
        listing: &Listing,
        changes: &Changes,
        times: Vec<Option<SystemTime>>,
    ) -> Result<()> {
        let _ = (stage, listing, changes, times);
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    /// Does what is written down in `stage`, writes the record, and removes the stage. Each file that comes to its place,
    /// and each that is kept, is told in an event.
    pub(crate) fn finish(&self, stage: &Path) -> Result<()> {
        let _ = (stage, self.disk, self.around, self.target, self.how, self.observer);
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }
}

/// Removes a stage with all that is in it.
pub(crate) fn remove_stage(disk: &Disk, stage: &Path) -> Result<()> {
    let _ = (disk, stage);
    Err(Error::new(ErrorKind::Internal, "not built yet"))
}
