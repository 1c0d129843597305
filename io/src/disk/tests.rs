//! What an update does when the disk refuses a change.

use std::sync::Mutex;

use super::*;
use crate::source::MemorySource;
use crate::{Index, IndexOptions, Job, JobOptions};

/// Lets so many changes happen, then none any more.
#[derive(Debug)]
struct Full {
    left: Mutex<u32>,
}

impl Watch for Full {
    fn before(&self, _: &Op<'_>) -> io::Result<()> {
        let mut left = self.left.lock().expect("the count");
        *left = left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn after(&self, _: &Op<'_>) {}
}

/// Has no locks.
#[cfg(unix)]
#[derive(Debug)]
struct Lockless;

#[cfg(unix)]
impl Watch for Lockless {
    fn before(&self, op: &Op<'_>) -> io::Result<()> {
        if matches!(op, Op::Lock { .. }) { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
    }

    fn after(&self, _: &Op<'_>) {}
}

fn job(index: &Arc<Index>, content: &[u8], target: &Path, disk: Disk, options: JobOptions) -> Job {
    let source = Arc::new(MemorySource::new(content.to_vec()));
    let mut job = Job::new(Arc::clone(index), Some(source), target, options).expect("a job");
    job.set_disk(disk);
    job
}

/// Where a file system has no locks, that is told, and the update goes on.
#[cfg(unix)]
#[test]
fn a_disk_without_locks() {
    let index = Arc::new(crate::index_bytes(b"new", &IndexOptions::default()).expect("an index"));
    for in_place in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        std::fs::write(&target, b"old").expect("an old version");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        let tell = move |event: &crate::Event| told.lock().expect("the events").push(event.kind);
        let observer = crate::Observer { events: Some(Arc::new(tell)), ..crate::Observer::default() };
        let options = JobOptions { in_place, observer, ..JobOptions::default() };
        job(&index, b"new", &target, Disk::watched(Arc::new(Lockless)), options).run().expect("an update");
        assert_eq!(heard.lock().expect("the events").iter().filter(|kind| **kind == "no_lock").count(), 1);
        assert_eq!(std::fs::read(&target).expect("the target"), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}

/// Whatever change of an update is the first that the disk refuses: the target is old or new, and the next update
/// is done as if nothing had been.
#[test]
fn a_disk_that_refuses_from_any_change_on() {
    let content: Vec<u8> = (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let index = Arc::new(crate::index_bytes(&content, &IndexOptions::default()).expect("an index"));
    for changes in 0.. {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        std::fs::write(&target, b"old").expect("an old version");
        let watch = Arc::new(Full { left: Mutex::new(changes) });
        let failed = job(&index, &content, &target, Disk::watched(watch), JobOptions::default()).run().is_err();
        let now = std::fs::read(&target).expect("the target");
        assert!(now == b"old" || now == content, "after {changes} changes");
        assert!(failed || now == content, "after {changes} changes");
        job(&index, &content, &target, Disk::system(), JobOptions::default()).run().expect("an update");
        assert!(std::fs::read(&target).expect("the target") == content, "after {changes} changes");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1, "after {changes} changes");
        if !failed {
            assert!(changes > 5);
            break;
        }
    }
}

/// Refuses one change, or all from it on.
#[derive(Debug)]
struct Refusing {
    /// How many changes come before it.
    left: Mutex<u32>,
    once: bool,
}

impl Watch for Refusing {
    fn before(&self, _: &Op<'_>) -> io::Result<()> {
        let mut left = self.left.lock().expect("the count");
        if *left == u32::MAX {
            return Ok(());
        }
        match left.checked_sub(1) {
            Some(fewer) => *left = fewer,
            None => {
                *left = if self.once { u32::MAX } else { 0 };
                return Err(io::ErrorKind::Other.into());
            }
        }
        Ok(())
    }

    fn after(&self, _: &Op<'_>) {}
}

/// The same in place, also where all that happens is that something is cut off: the target is old or new, or a journal says
/// that it is neither, and the error does.
#[test]
fn a_disk_that_refuses_any_change_in_place() {
    let old: Vec<u8> = (0..200_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut edited = old.clone();
    edited[70_000..70_100].fill(7);
    let grown = [&old[..], &edited[..100_000]].concat();
    for new in [&old[..131_072], &old[..100_001], &[], &edited[..150_000], &edited, &grown] {
        let index = Arc::new(crate::index_bytes(new, &IndexOptions::default()).expect("an index"));
        for once in [true, false] {
            for changes in 0.. {
                let case = format!("{} bytes, {changes} changes, once: {once}", new.len());
                let folder = tempfile::tempdir().expect("a folder");
                let target = folder.path().join("target");
                std::fs::write(&target, &old).expect("an old version");
                let watch = Arc::new(Refusing { left: Mutex::new(changes), once });
                let options = || JobOptions { in_place: true, ..JobOptions::default() };
                let outcome = job(&index, new, &target, Disk::watched(watch), options()).run();
                let now = std::fs::read(&target).expect("the target");
                let is_alone = std::fs::read_dir(folder.path()).expect("the folder").count() == 1;
                assert!(!is_alone || now == old || now == new, "{case}: lost without a word");
                match &outcome {
                    Ok(_) => assert!(now == new, "{case}"),
                    Err(error) => {
                        let is_told = error.context().iter().any(|(key, _)| *key == "unfinished");
                        assert!(is_told || now == old || now == new, "{case}: {error}");
                    }
                }
                job(&index, new, &target, Disk::system(), options()).run().expect("an update");
                assert!(std::fs::read(&target).expect("the target") == new, "{case}");
                assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1, "{case}");
                if outcome.is_ok() && (changes > 30 || !once) {
                    assert!(changes > 3);
                    break;
                }
            }
        }
    }
}
