//! What lies beside a directory that is updated, and how it is named:
//!
//! | name | what |
//! |---|---|
//! | `.NAME.ROOT.gosync-stage` | a stage; ROOT is the first 16 hex digits of the root that the tree will have |
//! | `.NAME.gosync-installed` | the record of what the last update installed (`record`) |
//! | `NAME.gosync-kept` | what users had changed and an update had to move away (`switch`) |
//!
//! They are in the directory itself where it is on another file system than the folder that it is in (a mount point):
//! nothing can be renamed from one to the other. There they are no part of the tree ([`is_ours`]).

use std::path::{Path, PathBuf};

use gosync_core::{Digest, Error, ErrorKind, Result};

use crate::disk::{Disk, DiskFolder};
use crate::folding::folded;
use crate::output::names;

const STAGE: &str = ".gosync-stage";
const RECORD: &str = ".gosync-installed";
const KEPT: &str = ".gosync-kept";
const LOCK: &str = ".gosync-lock";
/// What is being written of one of the files.
const PART: &str = ".gosync-part";

/// Where these are for one target.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    folder: PathBuf,
    /// What their names begin with.
    beginning: String,
}

impl Around {
    /// Around the directory `target`, which is not reached through a link, and may not be there yet.
    pub(crate) fn of(target: &Path) -> Result<Around> {
        let beside = names::folder_of(target);
        let failed = |cause| Error::from_io(cause, "cannot look at the target", target.display());
        let is_inside = target.is_dir() && !is_same_device(beside, target).map_err(failed)?;
        let folder = if is_inside { target } else { beside }.to_owned();
        let beginning = names::beginning(target)?.to_string_lossy().into_owned();
        Ok(Around { folder, beginning })
    }

    /// The path beside which the lock of the directory `target` is.
    pub(crate) fn locked(&self, target: &Path) -> PathBuf {
        target.file_name().map_or_else(|| target.to_owned(), |name| self.folder.join(name))
    }

    /// The folder in which they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The stage of the tree that has this root.
    pub(crate) fn stage(&self, root: Digest) -> PathBuf {
        let root = root.to_string();
        self.folder.join(format!("{}.{}{STAGE}", self.beginning, &root[..root.len().min(names::DIGITS)]))
    }

    /// The stages of all versions that lie there, the newest first.
    pub(crate) fn stages(&self) -> Vec<PathBuf> {
        let names = names::matching(&self.folder, self.beginning.as_ref(), STAGE, std::fs::Metadata::is_dir);
        names.into_iter().map(|name| self.folder.join(name)).collect()
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.folder.join(self.record_name())
    }

    pub(super) fn record_name(&self) -> String {
        format!("{}{RECORD}", self.beginning)
    }

    /// Opens one of the stages, if it is a directory that nobody else can have put there.
    pub(crate) fn open_stage(&self, disk: &Disk, path: &Path) -> Result<DiskFolder> {
        let failed = |cause| Error::from_io(cause, "cannot open the stage of an update", path.display());
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stage = disk.folder(&self.folder).and_then(|folder| folder.below(name)).map_err(failed)?;
        if !is_mine(&stage).map_err(failed)? {
            let error = Error::new(ErrorKind::State, "the stage of an update belongs to another user");
            return Err(error.with("path", path.display()));
        }
        Ok(stage)
    }

    /// The name of the folder with what was kept.
    pub(crate) fn kept(&self) -> String {
        format!("{}{KEPT}", self.beginning.strip_prefix('.').unwrap_or(&self.beginning))
    }
}

/// Whether a name at the top of a directory is one of these, and so none of a tree. So is what some file system takes for one.
pub(crate) fn is_ours(name: &str) -> bool {
    let name = folded(name);
    name.ends_with(KEPT) || name.starts_with('.') && [STAGE, RECORD, LOCK, PART].iter().any(|end| name.ends_with(end))
}

#[cfg(unix)]
fn is_mine(stage: &DiskFolder) -> std::io::Result<bool> {
    let about = stage.dir().dir_metadata()?;
    Ok(cap_std::fs::MetadataExt::uid(&about) == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn is_mine(_: &DiskFolder) -> std::io::Result<bool> {
    Ok(true)
}

#[cfg(unix)]
fn is_same_device(one: &Path, other: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(one)?.dev() == std::fs::metadata(other)?.dev())
}

/// What is mounted in a folder is reached by a junction there, which the caller has followed.
#[cfg(not(unix))]
fn is_same_device(_: &Path, _: &Path) -> std::io::Result<bool> {
    Ok(true)
}
