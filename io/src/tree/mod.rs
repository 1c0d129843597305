//! Directories: what is in one (`walk`), what of it is left out (`ignored`), its files' contents as one (`payload`), its
//! index (`build`), and whether it is what an index says (`verify`). An update of one: its files one after another
//! (`files`), what it has in the shape of the new version (`view`), which files are right already (`verdict`), what is
//! changed (`changes`) or only spelt otherwise (`spelling`), whether its names can be written (`system_names`), where new files are made (`stage`), how it becomes
//! the new version (`switch`), and what remembers that (`record`). All reading and writing is relative to a handle of the
//! directory, so that no link in it leads outside, whoever puts one where meanwhile. How the listing is read is `listing`.

mod around;
mod aside;
mod build;
mod changes;
pub(crate) mod contents;
mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod ignored;
mod listing;
mod merged;
mod packs;
mod payload;
pub(crate) mod present;
pub(crate) mod proof;
mod record;
mod spelling;
pub(crate) mod stage;
pub(crate) mod switch;
pub(crate) mod system_names;
pub(crate) mod verdict;
mod verify;
pub(crate) mod view;
pub(crate) mod walk;

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use gosync_core::listing::Entry;
use gosync_core::{Error, Result};

use crate::seed::FileReader;

pub(crate) use self::around::Around;
pub(crate) use self::build::describe;
pub(crate) use self::changes::{Changes, Comparison};
pub(crate) use self::files::Files;
pub(crate) use self::listing::{known as known_listing, read as read_listing};
pub(crate) use self::packs::{BEFORE_PACKING, prune};
pub(crate) use self::record::Record;
pub(crate) use self::spelling::Spellings;
pub(crate) use self::switch::Switch;
pub(crate) use self::verify::verify;
pub use self::verify::{Difference, What};
#[cfg(test)]
pub(crate) use self::walk::Walked;

/// When a file is to have been changed last, if the tree says it.
pub(crate) fn time_of(entry: &Entry<'_>) -> Option<SystemTime> {
    // Far from what any system can hold.
    entry.time.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
}

/// What shows that a file is still the one that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
}

/// A directory, and its path for messages.
pub(crate) struct Folder<'a> {
    pub(crate) dir: Dir,
    pub(crate) path: Cow<'a, Path>,
    pub(crate) what: &'static str,
}

impl<'a> Folder<'a> {
    pub(crate) fn open(path: impl Into<Cow<'a, Path>>, what: &'static str) -> Result<Folder<'a>> {
        let path = path.into();
        let dir = Dir::open_ambient_dir(&path, ambient_authority());
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

impl Folder<'_> {
    /// By what the regular file at `path` is known now; nothing if there is none.
    pub(crate) fn stamp(&self, path: &str) -> Option<Stamp> {
        let about = self.dir.symlink_metadata(path).ok().filter(cap_std::fs::Metadata::is_file)?;
        let modified = about.modified().ok().map(cap_std::time::SystemTime::into_std);
        Some(Stamp { length: about.len(), modified })
    }
}

/// The stamp of an open file as it is now.
pub(crate) fn stamp_of(reader: &FileReader) -> Result<Stamp> {
    let metadata = reader.metadata()?;
    Ok(Stamp { length: metadata.len(), modified: metadata.modified().ok() })
}
