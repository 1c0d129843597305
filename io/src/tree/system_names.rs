//! Whether the names of a tree can be written where the target is: what this system, or this file system, takes for
//! something else. Asked before anything is written, except for what is tried in the stage.

use gosync_core::listing::{Folded, portable_fault};
use gosync_core::{Error, ErrorKind, Listing, Result};
use unicode_normalization::UnicodeNormalization;

use super::Folder;
use crate::disk::DiskFolder;

/// Refuses a tree with names that cannot all be written (`ARGUMENT`? see docs/output.md), and says whether names that
/// differ by case or form of letters are one here. `stage` is where is tried; `target` is looked at if it is there.
pub(crate) fn check(listing: &Listing, stage: &DiskFolder, target: Option<&Folder<'_>>) -> Result<bool> {
    let _ = (listing, stage, target, Folded::default(), portable_fault("a"), "a".nfc());
    Err(Error::new(ErrorKind::Internal, "not built yet"))
}
