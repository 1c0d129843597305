//! The last step of publishing: the finished file takes the target's name, by one rename.
//!
//! On Windows that fails while another program holds the target, or a scanner looks at the finished file, so it is tried
//! for a while. If it is still held then, the old file can be moved aside, which works for a running program too; it is
//! removed at the next update. What is synced, and what happens to the finished file after a failure, is the caller's.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gosync_core::{Error, Result};

use crate::cancel::Cancel;
use crate::disk::Disk;

/// How long a target that is held is waited for, unless the caller says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The first pause between two tries; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How often a pause looks for a cancel.
const TICK: Duration = Duration::from_millis(20);
/// Old files of one target that may lie aside at the same time, because programs still run from them.
const MOST_ASIDE: u32 = 16;

/// How a target is replaced that another program holds.
pub(crate) struct Replacing<'a> {
    /// How long it is tried. Zero means 30 seconds.
    pub(crate) timeout: Duration,
    /// Whether the old file is moved aside afterwards; otherwise that is an error.
    pub(crate) move_aside: bool,
    pub(crate) cancel: &'a Cancel,
    /// Called once, when the target turns out to be held, with why.
    pub(crate) waiting: &'a dyn Fn(&io::Error),
}

/// Gives the file `new` the name `target`, in place of what has it. Both are in the same folder, and `new` is closed.
/// Returns where the old file is now, if it had to be moved aside.
pub(crate) fn replace(disk: &Disk, new: &Path, target: &Path, how: &Replacing<'_>) -> Result<Option<PathBuf>> {
    let read_only = ReadOnly::lift(target);
    let outcome = in_place_of(new, target, how, &System { rename: &|from, to| disk.rename(from, to), is_held });
    // What the old file was, the new one is; and if it is still the old one, it is as it was.
    read_only.restore();
    outcome
}

/// What the tests do differently.
struct System<'a> {
    rename: &'a dyn Fn(&Path, &Path) -> io::Result<()>,
    is_held: fn(&io::Error) -> bool,
}

fn in_place_of(new: &Path, target: &Path, how: &Replacing<'_>, system: &System<'_>) -> Result<Option<PathBuf>> {
    let Err(cause) = patiently(&|| (system.rename)(new, target), how, system)? else { return Ok(None) };
    if !(system.is_held)(&cause) {
        return Err(Error::from_io(cause, "cannot replace the target", target.display()));
    }
    let held = "cannot replace the target, which another program seems to use";
    if !how.move_aside {
        return Err(Error::from_io(cause, held, target.display()));
    }
    let aside = aside(target);
    let free = match aside.iter().rposition(|path| exists(path)) {
        None => aside.first(),
        Some(last) => aside.get(last + 1),
    };
    let Some(free) = free else {
        let held = format!("{held}, and {MOST_ASIDE} old ones lie aside already");
        return Err(Error::from_io(cause, &held, target.display()));
    };
    let failed = |cause| Error::from_io(cause, "cannot move the old target aside", target.display());
    (system.rename)(target, free).map_err(failed)?;
    // From here to the next rename there is nothing under the target's name; see `tidy_up`.
    (system.rename)(new, target).map(|()| Some(free.clone())).map_err(|cause| {
        let back = (system.rename)(free, target);
        let error = Error::from_io(cause, "cannot replace the target", target.display());
        if back.is_err() { error.with("old", free.display()) } else { error }
    })
}

/// Tries `attempt` until it succeeds, fails for another reason than that a file is held, or the time is over. Fails itself
/// only on a cancel.
fn patiently(attempt: &dyn Fn() -> io::Result<()>, how: &Replacing<'_>, system: &System<'_>) -> Result<io::Result<()>> {
    let timeout = if how.timeout.is_zero() { TIMEOUT } else { how.timeout };
    let (start, mut pause, mut told) = (Instant::now(), FIRST_PAUSE, false);
    loop {
        let outcome = attempt();
        let left = timeout.saturating_sub(start.elapsed());
        match &outcome {
            Err(cause) if (system.is_held)(cause) => {
                if !std::mem::replace(&mut told, true) {
                    (how.waiting)(cause);
                }
                if left.is_zero() {
                    return Ok(outcome);
                }
            }
            _ => return Ok(outcome),
        }
        let until = Instant::now() + pause.min(left);
        loop {
            how.cancel.check()?;
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            std::thread::sleep(rest.min(TICK));
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// As `patiently`, with what this system says of a file that is held.
pub(crate) fn while_held(attempt: &dyn Fn() -> io::Result<()>, how: &Replacing<'_>) -> Result<io::Result<()>> {
    patiently(attempt, how, &System { rename: &|_, _| Ok(()), is_held })
}

/// What Windows says of a file that another program holds: access denied, sharing violation, lock violation.
pub(crate) fn is_held(cause: &io::Error) -> bool {
    cfg!(windows) && matches!(cause.raw_os_error(), Some(5 | 32 | 33))
}

/// Removes what earlier updates of `target` moved aside, as far as no program runs from it any more. Where a kill came
/// between the two renames, so that nothing is at the target, the old file gets its name back.
pub(crate) fn tidy_up(disk: &Disk, target: &Path) {
    // Nowhere else is anything moved aside.
    if cfg!(windows) {
        tidy(disk, target);
    }
}

fn tidy(disk: &Disk, target: &Path) {
    let mut aside = aside(target);
    // Each is numbered after all that were there: the last one is the newest.
    aside.reverse();
    for path in aside {
        if exists(target) {
            ReadOnly::lift(&path);
            let _ = disk.remove(&path);
        } else if exists(&path) {
            let _ = disk.rename(&path, target);
        }
    }
}

/// Where old versions of `target` may lie: beside it, by its name and a number.
fn aside(target: &Path) -> Vec<PathBuf> {
    let name = target.file_name().unwrap_or_default();
    let numbered = |number: u32| {
        let mut aside = OsString::from(".");
        aside.push(name);
        aside.push(format!(".{number}.gosync-old"));
        target.with_file_name(aside)
    };
    (1..=MOST_ASIDE).map(numbered).collect()
}

/// Whether there is anything by this name.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The read-only mark of a file, which on Windows keeps the file's name too from being given to another.
struct ReadOnly<'a>(Option<(&'a Path, fs::Permissions)>);

impl<'a> ReadOnly<'a> {
    fn lift(path: &'a Path) -> Self {
        if !cfg!(windows) {
            return ReadOnly(None);
        }
        let marked = fs::metadata(path).map(|about| about.permissions()).ok().filter(fs::Permissions::readonly);
        let Some(marked) = marked else { return ReadOnly(None) };
        let mut free = marked.clone();
        #[expect(clippy::permissions_set_readonly_false, reason = "on Windows it only takes the mark away")]
        free.set_readonly(false);
        ReadOnly(fs::set_permissions(path, free).is_ok().then_some((path, marked)))
    }

    /// Marks what has the name now.
    fn restore(self) {
        if let Some((path, marked)) = self.0 {
            let _ = fs::set_permissions(path, marked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use gosync_core::ErrorKind;

    use super::*;

    /// As Windows' sharing violation, here by a name that every system has.
    fn held() -> io::Error {
        io::ErrorKind::ResourceBusy.into()
    }

    fn is_busy(cause: &io::Error) -> bool {
        cause.kind() == io::ErrorKind::ResourceBusy
    }

    /// A folder with a target, `old`, and a finished file, `new`.
    struct Place {
        folder: tempfile::TempDir,
        told: Cell<u32>,
        cancel: Cancel,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("target"), "old").expect("a target");
            fs::write(folder.path().join("part"), "new").expect("a finished file");
            Place { folder, told: Cell::new(0), cancel: Cancel::new() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap_or_default()
        }

        /// Replaces the target, where `rename` may fail before the real one is tried.
        fn replace(
            &self,
            milliseconds: u64,
            move_aside: bool,
            refuse: &dyn Fn(&Path, &Path) -> Option<io::Error>,
        ) -> Result<Option<PathBuf>> {
            let timeout = Duration::from_millis(milliseconds);
            let waiting = |_: &io::Error| self.told.set(self.told.get() + 1);
            let how = Replacing { timeout, move_aside, cancel: &self.cancel, waiting: &waiting };
            let rename = |from: &Path, to: &Path| refuse(from, to).map_or_else(|| fs::rename(from, to), Err);
            let system = System { rename: &rename, is_held: is_busy };
            in_place_of(&self.path("part"), &self.path("target"), &how, &system)
        }
    }

    #[test]
    fn what_nobody_holds_is_replaced_at_once() {
        let place = Place::new();
        assert!(matches!(place.replace(1, false, &|_, _| None), Ok(None)));
        assert_eq!((place.read("target").as_str(), place.told.get()), ("new", 0));
        assert!(!place.path("part").exists());
    }

    #[test]
    fn what_is_held_for_a_while_is_waited_for() {
        let (place, tries) = (Place::new(), Cell::new(0));
        let start = Instant::now();
        let refuse = |_: &Path, _: &Path| {
            tries.set(tries.get() + 1);
            (tries.get() < 5).then(held)
        };
        assert!(matches!(place.replace(60_000, false, &refuse), Ok(None)));
        assert_eq!((place.read("target").as_str(), place.told.get(), tries.get()), ("new", 1, 5));
        // Each pause is twice as long as the one before.
        assert!(start.elapsed() >= FIRST_PAUSE * 15, "{:?}", start.elapsed());
    }

    #[test]
    fn what_is_held_for_too_long_stays_and_so_does_the_finished_file() {
        let place = Place::new();
        let start = Instant::now();
        let error = place.replace(80, false, &|_, _| Some(held())).expect_err("it is held");
        assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
        assert!(error.to_string().contains("another program"), "{error}");
        assert_eq!((place.read("target").as_str(), place.read("part").as_str(), place.told.get()), ("old", "new", 1));
    }

    #[test]
    fn another_failure_is_not_waited_for() {
        let place = Place::new();
        let refuse = |_: &Path, _: &Path| Some(io::ErrorKind::PermissionDenied.into());
        let error = place.replace(60_000, true, &refuse).expect_err("it is refused");
        assert_eq!((error.kind(), place.told.get()), (ErrorKind::Permission, 0));
        assert_eq!(place.read("target"), "old");
    }

    #[test]
    fn waiting_can_be_cancelled() {
        let place = Place::new();
        let cancel = place.cancel.clone();
        let asked = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            cancel.cancel();
            Instant::now()
        });
        let error = place.replace(60_000, true, &|_, _| Some(held())).expect_err("it is cancelled");
        let late = asked.join().expect("a time").elapsed();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(late < Duration::from_millis(100), "{late:?}");
        assert_eq!((place.read("target").as_str(), place.read("part").as_str()), ("old", "new"));
    }

    #[test]
    fn what_is_held_can_be_moved_aside_and_is_removed_later() {
        let place = Place::new();
        let target = place.path("target");
        // As a running program: its file cannot be replaced, but it can be renamed.
        let refuse = |from: &Path, to: &Path| (to == target && from.ends_with("part") && to.exists()).then(held);
        let aside = place.replace(30, true, &refuse).expect("it is moved aside").expect("where it is");
        assert_eq!(
            (place.read("target"), fs::read_to_string(&aside).expect("the old file")),
            ("new".into(), "old".into())
        );
        // The next one gets a name of its own.
        fs::write(place.path("part"), "newer").expect("a finished file");
        let second = place.replace(30, true, &refuse).expect("it is moved aside").expect("where it is");
        assert_eq!((place.read("target"), fs::read_to_string(&second).expect("it")), ("newer".into(), "new".into()));
        tidy(&Disk::system(), &target);
        assert_eq!(place.read("target"), "newer");
        assert!(!aside.exists() && !second.exists());
    }

    #[test]
    fn the_old_file_comes_back_where_the_new_one_cannot_take_its_place() {
        let place = Place::new();
        let target = place.path("target");
        let refuse = |from: &Path, to: &Path| (to == target && from.ends_with("part")).then(held);
        place.replace(30, true, &refuse).expect_err("the finished file is held too");
        assert_eq!((place.read("target").as_str(), place.read("part").as_str()), ("old", "new"));
        assert_eq!(fs::read_dir(place.folder.path()).expect("the folder").count(), 2);
    }

    #[test]
    fn after_a_kill_between_the_renames_the_newest_old_file_comes_back() {
        let place = Place::new();
        let target = place.path("target");
        let aside = aside(&target);
        fs::write(&aside[0], "older").expect("an old file");
        fs::rename(&target, &aside[1]).expect("moved aside");
        tidy(&Disk::system(), &target);
        assert_eq!(place.read("target"), "old");
        assert!(!aside[0].exists() && !aside[1].exists());
        // And where nothing lies aside, nothing happens.
        fs::remove_file(&target).expect("removed");
        tidy(&Disk::system(), &target);
        assert!(!target.exists());
    }

    #[test]
    fn only_so_many_lie_aside() {
        let (place, order) = (Place::new(), RefCell::new(Vec::new()));
        let target = place.path("target");
        for path in aside(&target).iter().skip(1) {
            fs::write(path, "old").expect("an old file");
        }
        let refuse = |from: &Path, to: &Path| {
            order.borrow_mut().push(to.to_owned());
            (to == target && from.ends_with("part")).then(held)
        };
        let error = place.replace(1, true, &refuse).expect_err("there is no place left");
        assert!(error.to_string().contains("16 old ones"), "{error}");
        assert!(order.borrow().iter().all(|to| *to == target));
        assert_eq!(place.read("target"), "old");
    }
}
