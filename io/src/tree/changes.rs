//! What an update changes in a directory: from what is there, what the index says, and the record of what an earlier
//! update installed. Decides what may be removed or replaced, and what is the user's and stays. Changes nothing.

use gosync_core::{Error, ErrorKind, Listing, Result};

use super::Folder;
use super::record::Record;
use super::walk::Walked;
use crate::cancel::Cancel;

/// What an update does with one entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It gets another content, or becomes something else.
    Changed,
    /// It is new, and its content is that of an old file, which goes.
    Renamed,
    /// It goes.
    Removed,
    /// It is the user's, who has added or changed it. It stays; where something else takes its place (its path is among
    /// the changes once more), it is moved beside the target.
    Kept,
    /// It may be executed from now on, or not any more.
    Mode,
    /// It is a link that says something else from now on.
    Link,
}

/// One entry of a directory that an update changes, or could have been thought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names from the directory to the entry, with `/` between; a directory ends with one too.
    pub path: String,
    /// What becomes of it.
    pub what: ChangeKind,
    /// For `renamed`, the path that the file had.
    pub from: Option<String>,
    /// Bytes of the file: the new one's, or for `removed` and `kept` the old one's.
    pub size: u64,
}

/// From what changes are made up.
pub(crate) struct Comparison<'a> {
    /// The target; `None` where there is none yet.
    pub(crate) folder: Option<&'a Folder<'a>>,
    pub(crate) walked: &'a Walked,
    pub(crate) listing: &'a Listing,
    pub(crate) record: Option<&'a Record>,
    /// Whether the target becomes exactly the tree: what is besides goes, and what the user changed is not kept.
    pub(crate) delete: bool,
    /// Whether a file with the record's size and time is believed to be the recorded one.
    pub(crate) quick: bool,
    /// Whether names that differ by case or form of letters are one to the target (`system_names`).
    pub(crate) folds: bool,
    /// Whether the file at the path of this entry (by its number, from 0 on) has the entry's content.
    pub(crate) is_unchanged: &'a dyn Fn(u32) -> bool,
    /// The old path of the file that all of this entry's content comes from, if there is one.
    pub(crate) comes_from: &'a dyn Fn(u32) -> Option<String>,
    pub(crate) cancel: &'a Cancel,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// In the order of paths: for people.
    pub(crate) list: Vec<Change>,
    /// The entries (files) that must be in the stage, ascending: their contents are not at their paths.
    pub(crate) staged: Vec<u32>,
    /// For `switch`.
    pub(super) actions: Vec<super::switch::Action>,
}

impl Changes {
    /// Whether nothing is to be done.
    pub(crate) fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

impl Comparison<'_> {
    /// Finds out what is to be done. Files that may be the user's are read.
    pub(crate) fn changes(&self) -> Result<Changes> {
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }
}
