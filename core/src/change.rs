//! What an update does with the entries of a directory, as a plan says it. Who decides that is in io.

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
    /// Who may do what with it changes: who may execute it, or what else of a mode the tree says.
    Mode,
    /// It is a link that says something else from now on.
    Link,
    /// The time of its last change becomes the one that the tree says.
    Time,
}

impl ChangeKind {
    /// Every kind; the position is its number in files.
    pub const ALL: &'static [ChangeKind] = &[
        ChangeKind::Added,
        ChangeKind::Changed,
        ChangeKind::Renamed,
        ChangeKind::Removed,
        ChangeKind::Kept,
        ChangeKind::Mode,
        ChangeKind::Link,
        ChangeKind::Time,
    ];

    /// The name that all faces share, for instance `added`.
    pub const fn name(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Changed => "changed",
            ChangeKind::Renamed => "renamed",
            ChangeKind::Removed => "removed",
            ChangeKind::Kept => "kept",
            ChangeKind::Mode => "mode",
            ChangeKind::Link => "link",
            ChangeKind::Time => "time",
        }
    }
}

/// One entry of a directory that an update changes, or keeps although the index has it otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names from the directory to the entry, with `/` between; a directory ends with one too.
    pub path: String,
    /// What becomes of it.
    pub what: ChangeKind,
    /// For `renamed`, the path that the file had.
    pub from: Option<String>,
    /// Bytes of the file: of the new one, or for `removed` and `kept` of the old one.
    pub size: u64,
}
