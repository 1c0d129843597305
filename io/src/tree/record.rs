//! What an update installed in a directory: kept beside it, so that the next update can tell what is its own from what
//! users have put there or changed.

use std::path::Path;
use std::time::SystemTime;

use gosync_core::listing::Entry;
use gosync_core::{Error, ErrorKind, Listing, Result};

use crate::disk::Disk;

/// The tree as it was installed, and when each file of it was last changed then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    listing: Listing,
    /// By the number of the entry; `None` for what is no file.
    times: Vec<Option<SystemTime>>,
}

impl Record {
    /// `times` are those of all entries, `None` for what is no file.
    pub(crate) fn new(listing: Listing, times: Vec<Option<SystemTime>>) -> Record {
        Record { listing, times }
    }

    /// What is at `path`: `None` if there is nothing, or nothing that can be believed.
    pub(crate) fn read(path: &Path) -> Result<Option<Record>> {
        let _ = path;
        Ok(None)
    }

    /// Writes it to `path`, durably.
    pub(crate) fn write(&self, disk: &Disk, path: &Path) -> Result<()> {
        let _ = (disk, path);
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    pub(crate) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The entries in their order, each with the time of its file.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Entry<'_>, Option<SystemTime>)> {
        self.listing.entries().zip(self.times.iter().copied())
    }
}
