//! The names of what lies beside a target while it is updated, and what is left of it after a failure or a kill.
//!
//! | name | what |
//! |---|---|
//! | `.NAME.ROOT.gosync-part` | a partial file; ROOT is the first 16 hex digits of the root that it will have |
//! | `.NAME.gosync-journal` | what an update in place needs to be finished (`inplace::journal`) |
//! | `.NAME.gosync-lock` | the lock of whoever updates the target |
//! | `.NAME.N.gosync-old` | on Windows: an old target that a program still runs from (`replace`) |

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use gosync_core::{Digest, Error, ErrorKind, Index, Result};

use crate::disk::Disk;
use crate::folding::folded;

pub(super) const PART: &str = ".gosync-part";
const JOURNAL: &str = ".gosync-journal";
const LOCK: &str = ".gosync-lock";
/// Hex digits of a root that are in a name.
pub(crate) const DIGITS: usize = 16;
/// Bytes of a target's name that are used as they are: the rest of 255 is for what we add.
const LONGEST: usize = 200;

/// Whether a file or folder of this name is one that updates keep beside their targets, or the same to some file system.
pub(crate) fn is_ours(name: &str) -> bool {
    let name = folded(name);
    name.starts_with('.') && name.rsplit_once('.').is_some_and(|(_, end)| end.starts_with("gosync-"))
}

/// The folder that the target is in.
pub(crate) fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Where the lock of a target is.
pub(crate) fn lock(target: &Path) -> Result<PathBuf> {
    let mut name = beginning(target)?;
    name.push(LOCK);
    Ok(target.with_file_name(name))
}

/// Where the journal of a target is, unless the caller says otherwise.
pub(crate) fn journal(target: &Path) -> Result<PathBuf> {
    let mut name = beginning(target)?;
    name.push(JOURNAL);
    Ok(target.with_file_name(name))
}

/// Where the partial file of the version that `index` describes is.
pub(crate) fn part(target: &Path, index: &Index) -> Result<PathBuf> {
    // A legacy index has no root; it says the same of the same blocks.
    let root = index.root().unwrap_or_else(|| Digest::of(&index.encode())).to_string();
    let mut name = beginning(target)?;
    name.push(format!(".{}{PART}", &root[..root.len().min(DIGITS)]));
    Ok(target.with_file_name(name))
}

/// The partial files of all versions of a target that lie there, the newest first.
pub(crate) fn parts(target: &Path) -> Vec<PathBuf> {
    let Ok(beginning) = beginning(target) else { return Vec::new() };
    let names = matching(folder_of(target), &beginning, PART, std::fs::Metadata::is_file);
    names.into_iter().map(|name| target.with_file_name(name)).collect()
}

/// The names in `folder` that have this beginning and end with a root between, the newest first.
pub(crate) fn matching(
    folder: &Path,
    beginning: &OsStr,
    end: &str,
    is_right: impl Fn(&std::fs::Metadata) -> bool,
) -> Vec<OsString> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| has_root(&entry.file_name(), beginning, end))
        .filter_map(|entry| {
            // Not what a link leads to.
            let about = entry.metadata().ok().filter(&is_right)?;
            Some((about.modified().ok(), entry.file_name()))
        })
        .collect();
    found.sort_unstable_by(|one, next| next.cmp(one));
    found.into_iter().map(|(_, name)| name).collect()
}

/// Removes partial files of a target that nobody needs any more: all but those in `kept`.
pub(crate) fn remove_parts(disk: &Disk, target: &Path, kept: &[&Path]) {
    for path in parts(target).iter().filter(|path| !kept.contains(&path.as_path())) {
        // What cannot be removed now may be the next time.
        let _ = disk.remove(path);
    }
}

/// Removes what writers of the file `target` that were killed have left: temporary files that begin and end so, with
/// something random between, and are older than a day.
pub(super) fn remove_stale(disk: &Disk, target: &Path, beginning: &str) {
    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
    const RANDOM: usize = 6;
    let Ok(entries) = std::fs::read_dir(folder_of(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(beginning)?.strip_suffix(PART));
        let is_old = || {
            entry.metadata().and_then(|about| about.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > DAY))
        };
        if random
            .is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            && is_old()
        {
            let _ = disk.remove(&target.with_file_name(name));
        }
    }
}

fn has_root(name: &OsStr, beginning: &OsStr, end: &str) -> bool {
    let (name, beginning) = (name.as_encoded_bytes(), beginning.as_encoded_bytes());
    let root = name.strip_prefix(beginning).and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(end.as_bytes()));
    root.is_some_and(|root| root.len() == DIGITS && root.iter().all(u8::is_ascii_hexdigit))
}

/// What all these names begin with. A name that would become too long is cut, and told apart by its hash.
pub(crate) fn beginning(target: &Path) -> Result<OsString> {
    let name = target
        .file_name()
        .ok_or_else(|| Error::new(ErrorKind::Argument, "the target has no file name").with("path", target.display()))?;
    let mut beginning = OsString::from(".");
    if name.len() <= LONGEST {
        beginning.push(name);
        return Ok(beginning);
    }
    let text = name.to_string_lossy();
    let mut end = LONGEST - DIGITS - 1;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let hash = Digest::of(name.as_encoded_bytes()).to_string();
    beginning.push(format!("{}~{}", &text[..end], &hash[..hash.len().min(DIGITS)]));
    Ok(beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_tell_targets_apart() {
        let long = |last: char| PathBuf::from("folder").join(format!("{}{last}", "ä".repeat(127)));
        let (one, next) = (lock(&long('a')).expect("a name"), lock(&long('b')).expect("a name"));
        assert_ne!(one, next);
        assert_eq!(one.parent(), Some(Path::new("folder")));
        assert!(one.file_name().expect("a name").len() <= 255 - DIGITS);
        assert_eq!(lock(Path::new("a.bin")).expect("a name"), Path::new(".a.bin.gosync-lock"));
    }

    #[test]
    fn only_partial_files_of_this_very_target_are_listed() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a");
        for name in [
            ".a.0123456789abcdef.gosync-part",
            ".a.b.0123456789abcdef.gosync-part",
            ".a.0123456789abcde.gosync-part",
            ".a.0123456789abcdeg.gosync-part",
            "a.0123456789abcdef.gosync-part",
            ".a.gosync-lock",
        ] {
            std::fs::write(folder.path().join(name), "x").expect("a file");
        }
        assert_eq!(parts(&target), [folder.path().join(".a.0123456789abcdef.gosync-part")]);
        remove_parts(&Disk::system(), &target, &[]);
        assert!(parts(&target).is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 5);
    }
}
