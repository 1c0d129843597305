//! Whether the names of a tree can be written where the target is: what this system, or the file system there, takes for
//! something else, or for the same. Asked before anything is written but what is tried here, in the stage.

use std::collections::HashSet;
use std::io;

use cap_std::fs::Dir;
use gosync_core::listing::{EntryKind, Folded, portable_fault};
use gosync_core::{Error, ErrorKind, Listing, Result};

use super::Folder;
use super::around::is_ours;
use super::walk::{Found, Is, is_executable};
use crate::cancel::Cancel;
use crate::disk::{DiskFolder, Rights};
use crate::folding::folded;

/// Where names are tried.
const PROBE: &str = "probe";
/// Names of up to so many bytes fit everywhere.
const SHORT: usize = 100;
/// A name, and others that some file systems take for the same.
const TWINS: (&str, [&str; 3]) = ("Gosync-\u{c4}", ["gosync-\u{c4}", "Gosync-\u{e4}", "Gosync-A\u{308}"]);

/// What a file system is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    /// Names that differ by case or form of letters are the same.
    pub(crate) folds: bool,
    /// A name has the form of letters that it was given.
    pub(crate) keeps_form: bool,
    /// Of a file it is known whether it may be executed.
    pub(crate) has_modes: bool,
}

impl Here {
    /// What it is most likely like, going by what was `found` in a directory there, if there is one: where nothing may be tried.
    pub(crate) fn likely(folder: Option<&Folder<'_>>, found: &[Found]) -> Here {
        let folds = cfg!(windows) || folder.is_some_and(|folder| looks_folding(&folder.dir, found));
        let has_modes = cfg!(unix) && !folder.is_some_and(|folder| looks_without_modes(&folder.dir, found));
        // It is known of names themselves (`Spellings`).
        Here { folds, keeps_form: false, has_modes }
    }
}

/// Refuses a tree whose names cannot all be written (`FORMAT`), and says what the file system is like. It is tried in
/// `stage`. The target is looked at, if it is there, and what was `found` in it; the names that are `there` need no trial.
pub(crate) fn check<'a>(
    listing: &Listing,
    stage: &DiskFolder,
    target: Option<(&Folder<'_>, &[Found])>,
    there: impl Iterator<Item = &'a str>,
    cancel: &Cancel,
) -> Result<Here> {
    check_by_rule(listing)?;
    let failed = |cause| Error::from_io(cause, "cannot try names", stage.path().display());
    let probe = Probe::make(stage).map_err(failed)?;
    let (folds, keeps_form) = probe.folds().map_err(failed)?;
    let folds = folds || target.is_some_and(|(target, found)| looks_folding(&target.dir, found));
    let has_modes = probe.has_modes().map_err(failed)?;
    probe.try_names(listing, there, cancel)?;
    drop(probe);
    if folds {
        check_clashes(listing)?;
    }
    Ok(Here { folds, keeps_form, has_modes })
}

/// As `check`, of those names of which it is known without a try.
pub(crate) fn check_by_rule(listing: &Listing) -> Result<()> {
    for entry in listing.entries() {
        let name = name_of(&entry.path);
        if name.len() == entry.path.len() && is_ours(name) {
            return Err(refused("is one that gosync gives to what it keeps itself", &entry.path));
        }
        if let Some(fault) = portable_fault(name).filter(|_| cfg!(windows)) {
            return Err(refused(&format!("{fault}, which this system does not take"), &entry.path));
        }
        if let EntryKind::Symlink { target } = entry.kind
            && cfg!(windows)
            && target.contains('\\')
        {
            let text = "a link of the tree says something with a backslash, which is a slash to this system";
            return Err(Error::new(ErrorKind::Format, text).with("path", entry.path.escape_debug()));
        }
    }
    Ok(())
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn refused(fault: &str, path: &str) -> Error {
    let text = format!("a name in the tree cannot be written here: it {fault}");
    Error::new(ErrorKind::Format, text).with("path", path.escape_debug())
}

/// Refuses a tree with names that are the same where names are folded.
pub(crate) fn check_clashes(listing: &Listing) -> Result<()> {
    let mut known = Folded::default();
    for entry in listing.entries() {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if let Some(other) = known.add(folder, folded(name), name) {
            let fault = format!("differs from `{}` by case or form of letters alone", other.escape_debug());
            return Err(refused(&fault, &entry.path));
        }
    }
    Ok(())
}

/// Whether something in a directory can be had by a name of another case, which is not that of something else.
fn looks_folding(dir: &Dir, found: &[Found]) -> bool {
    let names = || found.iter().map(|found| &*found.path).filter(|path| !path.contains('/'));
    let known: HashSet<&str> = names().collect();
    let other_case = |name: &str| -> String {
        name.chars()
            .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect()
    };
    let mut others = names().map(other_case).filter(|other| !known.contains(other.as_str()));
    others.next().is_some_and(|other| dir.symlink_metadata(other).is_ok())
}

/// Whether it most likely is not known of files if they may be executed: the file system is of a kind that does not know it, or
/// may not, and then all can be that are there.
fn looks_without_modes(dir: &Dir, found: &[Found]) -> bool {
    let mut files = found.iter().filter_map(|found| match found.is {
        Is::File { is_executable, .. } => Some(is_executable),
        _ => None,
    });
    match knows_modes(dir) {
        Some(knows) => !knows,
        None => files.all(|is_executable| is_executable),
    }
}

/// Whether a file system of this kind knows it; `None` if that depends.
#[cfg(target_os = "linux")]
fn knows_modes(dir: &Dir) -> Option<bool> {
    const FAT: [u32; 2] = [0x4d44, 0x2011_bab0];
    // Two drivers for NTFS, two for SMB, and FUSE, by which there are all kinds.
    const OTHERS: [u32; 5] = [0x7366_746e, 0x5346_544e, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546];
    let kind = rustix::fs::fstatfs(dir).ok()?.f_type as u32;
    if FAT.contains(&kind) { Some(false) } else { (!OTHERS.contains(&kind)).then_some(true) }
}

/// Of what kind it is, is not asked there.
#[cfg(not(target_os = "linux"))]
fn knows_modes(_: &Dir) -> Option<bool> {
    Some(true)
}

/// A folder in which names are tried. It is removed in the end: by the second field, once the first is closed, because Windows
/// removes no folder that is held open.
struct Probe<'a> {
    folder: DiskFolder,
    _removed: Removed<'a>,
}

/// Removes the folder from the stage when it goes.
struct Removed<'a>(&'a DiskFolder);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = self.0.remove_folder(PROBE);
    }
}

impl Probe<'_> {
    fn make(stage: &DiskFolder) -> io::Result<Probe<'_>> {
        let folder = match stage.make(PROBE) {
            // A kill has left it.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => stage.below(PROBE)?,
            made => made?,
        };
        let probe = Probe { folder, _removed: Removed(stage) };
        probe.clear()?;
        Ok(probe)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.folder.dir().entries()?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn clear(&self) -> io::Result<()> {
        self.names()?.iter().try_for_each(|name| self.folder.remove(name))
    }

    /// Whether names are folded, and keep their form.
    fn folds(&self) -> io::Result<(bool, bool)> {
        let (name, twins) = TWINS;
        match self.folder.create(name, 0o600) {
            Ok(_) => {}
            // A file system without such letters.
            Err(cause) if is_about_name(&cause) => return Ok((self.folds_ascii()?, true)),
            Err(cause) => return Err(cause),
        }
        let keeps_form = self.names()?.iter().any(|there| there == name);
        let mut folds = false;
        for twin in twins {
            folds = folds || self.folder.look(twin)?.is_some();
        }
        self.clear().map(|()| (folds, keeps_form))
    }

    /// Some file systems let everything be executed.
    fn has_modes(&self) -> io::Result<bool> {
        self.folder.create("mode", 0o600)?;
        let has_modes = self.set_executable(true).is_ok_and(|is_set| is_set)
            && self.folder.look("mode")?.is_some_and(|about| is_executable(&about))
            && self.set_executable(false).is_ok()
            && self.folder.look("mode")?.is_some_and(|about| !is_executable(&about));
        self.clear().map(|()| has_modes)
    }

    fn set_executable(&self, is_executable: bool) -> io::Result<bool> {
        self.folder.set_attributes("mode", Rights::Executable(is_executable), None, false)
    }

    fn folds_ascii(&self) -> io::Result<bool> {
        self.folder.create("Gosync", 0o600)?;
        let folds = self.folder.look("gosync")?.is_some();
        self.clear().map(|()| folds)
    }

    /// Makes a file for each name that some file systems do not take and is not `there`, and looks whether it is then.
    fn try_names<'a>(&self, listing: &Listing, there: impl Iterator<Item = &'a str>, cancel: &Cancel) -> Result<()> {
        let is_plain = |name: &str| name.len() <= SHORT && name.is_ascii() && portable_fault(name).is_none();
        let mut known: HashSet<&str> = there.filter(|name| !is_plain(name)).collect();
        let paths: Vec<String> =
            listing.entries().map(|entry| entry.path).filter(|path| !is_plain(name_of(path))).collect();
        for path in &paths {
            cancel.check()?;
            let name = name_of(path);
            if !known.insert(name) {
                continue;
            }
            let made = self.folder.create(name, 0o600).map(drop).and_then(|()| self.names());
            let is_there = match made {
                Ok(names) => names.iter().any(|there| folded(there) == folded(name)),
                Err(cause) if is_about_name(&cause) => false,
                Err(cause) => return Err(Error::from_io(cause, "cannot try a name", path.escape_debug())),
            };
            if !is_there {
                return Err(refused("is none to this file system", path));
            }
            let failed = |cause| Error::from_io(cause, "cannot remove what was tried", path.escape_debug());
            self.clear().map_err(failed)?;
        }
        Ok(())
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

/// Whether an error says that a file system does not take a name.
fn is_about_name(cause: &io::Error) -> bool {
    use io::ErrorKind as K;
    // EILSEQ has no kind of its own.
    let is_sequence = cfg!(unix) && matches!(cause.raw_os_error(), Some(84 | 92));
    is_sequence || matches!(cause.kind(), K::InvalidInput | K::InvalidFilename | K::NotFound)
}

#[cfg(test)]
mod tests {
    use gosync_core::{Digest, EntryKind};

    use super::*;
    use crate::disk::{Disk, Op, Watch};

    fn listing(paths: &[&str]) -> Listing {
        let empty = EntryKind::File { size: 0, root: Digest::of(&[]), is_executable: false };
        let kind = |path: &str| {
            let is_folder =
                paths.iter().any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
            if is_folder { EntryKind::Directory } else { empty }
        };
        let entries = paths.iter().map(|path| (*path, kind(path)));
        Listing::new(1024, 0, Digest::of(&[]), entries).expect("a listing")
    }

    fn check_here(paths: &[&str]) -> Result<Here> {
        let folder = tempfile::tempdir().expect("a folder");
        let stage = Disk::system().folder(folder.path()).expect("a stage");
        let checked = check(&listing(paths), &stage, None, std::iter::empty(), &Cancel::new());
        assert_eq!(std::fs::read_dir(folder.path()).expect("the stage").count(), 0);
        checked
    }

    #[test]
    fn usual_names_are_taken_and_our_own_are_not() {
        check_here(&["Program Files", "a", "a/.gosync-stage", "ä", "日本語"]).expect("they can be written");
        for name in [".a.0123456789abcdef.gosync-stage", ".a.gosync-installed", "a.gosync-kept", ".gosync-lock"] {
            let error = check_here(&[name]).expect_err("it is ours");
            assert_eq!(error.kind(), ErrorKind::Format, "{name}");
        }
    }

    /// Hears of the names that are tried.
    #[derive(Debug, Default)]
    struct Tried(std::sync::Mutex<Vec<String>>);

    impl Watch for Tried {
        fn before(&self, op: &Op<'_>) -> io::Result<()> {
            if let Op::Create { path, .. } = op {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                self.0.lock().expect("the names").push(name);
            }
            Ok(())
        }

        fn after(&self, _: &Op<'_>) {}
    }

    #[test]
    fn only_names_that_are_not_there_are_tried_and_not_after_a_cancel() {
        let folder = tempfile::tempdir().expect("a folder");
        let (tried, cancel) = (std::sync::Arc::new(Tried::default()), Cancel::new());
        let watch: std::sync::Arc<Tried> = std::sync::Arc::clone(&tried);
        let stage = Disk::watched(watch).folder(folder.path()).expect("a stage");
        let listing = listing(&["a", "plain", "\u{e4}", "\u{f6}"]);
        let check = || check(&listing, &stage, None, ["\u{e4}", "plain"].into_iter(), &cancel);
        check().expect("they can be written");
        let is_tried = |name: &str| tried.0.lock().expect("the names").iter().any(|tried| tried == name);
        assert!(is_tried("\u{f6}") && !is_tried("\u{e4}") && !is_tried("plain"));
        tried.0.lock().expect("the names").clear();
        cancel.cancel();
        assert_eq!(check().expect_err("cancelled").kind(), ErrorKind::Cancelled);
        assert!(!is_tried("\u{f6}"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("the stage").count(), 0);
    }

    #[test]
    fn names_that_clash_are_refused() {
        for pair in [
            ["A", "a"],
            ["Stra\u{df}e\u{c4}", "Stra\u{df}eA\u{308}"],
            ["\u{c4}", "\u{e4}"],
            ["\u{c4}", "a\u{308}"],
            ["Ma\u{df}", "mass"],
        ] {
            let mut pair = pair;
            pair.sort_unstable();
            let error = check_clashes(&listing(&pair)).expect_err("they clash");
            assert_eq!(error.kind(), ErrorKind::Format);
        }
        check_clashes(&listing(&["A", "A/a", "b", "b/A", "b/b"])).expect("they do not");
    }

    #[cfg(windows)]
    #[test]
    fn what_windows_takes_for_something_else_is_refused() {
        for name in
            ["C:", "C:a", "a:stream", "a\\b", "..\\a", "con", "NUL.txt", "com1", "LPT9.x", "a.", "a ", "a?", "a\u{1}"]
        {
            let error = check_here(&[name]).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::Format, "{name:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn here_such_names_are_names() {
        let here = check_here(&["A", "C:", "a", "a.", "con"]).expect("they can be written");
        assert_eq!(here, Here { folds: false, keeps_form: true, has_modes: true });
    }
}
