//! Directories: what is in one (`walk`), what of it is left out (`ignored`), its files' contents as one (`payload`), its
//! index (`build`), and whether it is what an index says (`verify`). All reading is relative to a handle of the directory,
//! so that no link in it leads outside, whoever puts one where while it is read. Nothing here writes.

mod build;
pub(crate) mod contents;
mod ignored;
mod packs;
mod payload;
mod verify;
mod walk;

use std::path::Path;
use std::time::SystemTime;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use gosync_core::{Error, Result};

use crate::seed::FileReader;

pub(crate) use self::build::describe;
pub(crate) use self::packs::prune;
pub(crate) use self::verify::verify;
pub use self::verify::{Difference, What};

/// What shows that a file is still the one that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

/// A directory, and its path for messages.
pub(crate) struct Folder<'a> {
    dir: Dir,
    path: &'a Path,
    what: &'static str,
}

impl<'a> Folder<'a> {
    pub(crate) fn open(path: &'a Path, what: &'static str) -> Result<Folder<'a>> {
        let dir = Dir::open_ambient_dir(path, ambient_authority());
        let dir = dir.map_err(|cause| Error::from_io(cause, &format!("cannot open the {what}"), path.display()))?;
        Ok(Folder { dir, path, what })
    }

    /// Opens a regular file in it, and says what its stamp is. A link is not followed, a pipe not waited for.
    pub(crate) fn file(&self, path: &str) -> Result<(FileReader, Stamp)> {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        let shown = self.path.join(path);
        let failed =
            |cause| Error::from_io(cause, &format!("cannot open a file of the {}", self.what), shown.display());
        let file = self.dir.open_with(path, &options).map_err(failed)?;
        let reader = FileReader::new(file.into_std(), &shown, "file")?;
        let stamp = stamp_of(&reader)?;
        Ok((reader, stamp))
    }
}

/// The stamp of an open file as it is now.
fn stamp_of(reader: &FileReader) -> Result<Stamp> {
    let metadata = reader.metadata()?;
    Ok(Stamp { length: metadata.len(), modified: metadata.modified().ok() })
}
