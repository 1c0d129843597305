//! File systems of our own, in loop devices and in memory: ones that can clone files, and ones that are full.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Heard, index_of, names, noise};
use gosync_io::source::{BlockingRead, BlockingSource};
use gosync_io::{ErrorKind, Index, Job, JobOptions, Result, Source, Statistics};

const MIB: usize = 1 << 20;

/// Counts what is asked for.
struct Counting(Vec<u8>, Arc<AtomicU64>);

impl BlockingRead for Counting {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
        Ok(buffer.len())
    }
}

fn source(content: &[u8], asked: &Arc<AtomicU64>) -> Arc<dyn Source> {
    Arc::new(BlockingSource::new(Counting(content.to_vec(), Arc::clone(asked)), 2).expect("a source"))
}

/// A mounted file system.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// Makes and mounts one; nothing where that is not possible, which on the machines of the project is a failure.
    fn new(kind: &str, size: u64) -> Option<Mounted> {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("image");
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).expect("a folder");
        let run = |program: &str, args: &[&str]| -> std::result::Result<(), String> {
            let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
            let output = Command::new(program)
                .args(args)
                .env("PATH", path)
                .output()
                .map_err(|cause| format!("{program}: {cause}"))?;
            output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (image, at) = (image.to_string_lossy().into_owned(), mounted.to_string_lossy().into_owned());
        let outcome = if kind == "tmpfs" {
            run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &at])
        } else {
            File::create(&image).and_then(|file| file.set_len(size)).expect("an image");
            run(&format!("mkfs.{kind}"), &["-q", &image]).and_then(|()| run("mount", &["-o", "loop", &image, &at]))
        };
        match outcome {
            Ok(()) => Some(Mounted(folder)),
            Err(problem) => {
                let is_strict = std::env::var("CI").is_ok_and(|value| value == "true");
                assert!(!is_strict, "no {kind}: {problem}");
                println!("skipped: no {kind}: {problem}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("mounted").join(name)
    }

    fn names(&self) -> Vec<String> {
        names(&self.path(""))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path("")).status();
    }
}

fn update(index: &Arc<Index>, source: Arc<dyn Source>, target: &Path) -> (Result<Statistics>, Vec<&'static str>) {
    let heard = Heard::default();
    let options = JobOptions { observer: heard.observer(), ..JobOptions::default() };
    let result = Job::new(Arc::clone(index), Some(source), target, options).and_then(|job| job.run());
    let events = heard.events().iter().map(|event| event.kind).collect();
    (result, events)
}

/// Bytes of a file that it shares with another.
fn shared(path: &Path) -> u64 {
    let output = Command::new("filefrag").arg("-b4096").arg("-v").arg(path).output().expect("filefrag");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "  0:   0..  4095:  10..  4105:   4096:   shared"
    let blocks = text
        .lines()
        .filter(|line| line.contains("shared"))
        .filter_map(|line| line.split(':').nth(3).and_then(|count| count.trim().parse::<u64>().ok()));
    blocks.sum::<u64>() * 4096
}

#[test]
fn the_new_file_shares_what_has_not_changed_with_the_old_one() {
    let old = noise(48 * MIB, 1);
    let mut new = old.clone();
    for at in [5 * MIB, 20 * MIB + 7, 40 * MIB] {
        new[at..at + 1000].copy_from_slice(&noise(1000, at as u64));
    }
    // What was something is a hole now, and the other way round.
    new[30 * MIB..32 * MIB].fill(0);
    let mut old = old;
    old[10 * MIB..12 * MIB].fill(0);
    new.extend_from_slice(&noise(100_000, 3));
    let index = index_of(&new);
    for kind in ["btrfs", "xfs"] {
        let Some(disk) = Mounted::new(kind, 512 << 20) else { continue };
        let (target, other) = (disk.path("target"), disk.path("other"));
        fs::write(&target, &old).expect("an old version");
        // Something that stays, to share with.
        fs::hard_link(&target, &other).expect("a link");
        let asked = Arc::new(AtomicU64::new(0));
        let (done, events) = update(&index, source(&new, &asked), &target);
        let done = done.expect("an update");
        assert!(events.contains(&"cloned"), "{kind}: {events:?}");
        assert!(fs::read(&target).expect("the target") == new, "{kind}");
        assert!(fs::read(&other).expect("the old file") == old, "{kind}");
        assert!(done.fetched < 4 * MIB as u64, "{kind}: {done:?}");
        File::open(&target).and_then(|file| file.sync_all()).expect("a sync");
        let shared = shared(&target);
        assert!(shared >= 40 * MIB as u64, "{kind}: {shared} bytes are shared");
        let taken = fs::metadata(&target).expect("it").blocks() * 512;
        assert!(taken <= (new.len() - MIB) as u64, "{kind}: the hole was filled: {taken}");
        assert_eq!(disk.names(), ["other", "target"], "{kind}");
        // Where nothing is alike, a clone is no use.
        let unlike = noise(40 * MIB, 9);
        let (done, events) = update(&index_of(&unlike), source(&unlike, &asked), &target);
        done.expect("an update");
        assert!(fs::read(&target).expect("the target") == unlike, "{kind}");
        assert!(!events.contains(&"cloned"), "{kind}: {events:?}");
    }
}

/// What a clone shares has to be taken once more where it is written to.
#[test]
fn a_clone_needs_room_for_what_differs() {
    let old = noise(40 * MIB, 10);
    let mut new = old.clone();
    new[8 * MIB..28 * MIB].copy_from_slice(&noise(20 * MIB, 11));
    let index = index_of(&new);
    for kind in ["btrfs", "xfs"] {
        let Some(disk) = Mounted::new(kind, 512 << 20) else { continue };
        let (target, ballast) = (disk.path("target"), disk.path("ballast"));
        fs::write(&target, &old).and_then(|()| File::open(&target)?.sync_all()).expect("an old version");
        let said =
            Command::new("df").args(["--block-size=1", "--output=avail"]).arg(disk.path("")).output().expect("df");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let available = said.lines().last().and_then(|line| line.trim().parse::<u64>().ok());
        let most = available.expect("a number") - (8 << 20);
        let made = Command::new("fallocate").args(["--length", &most.to_string()]).arg(&ballast).status();
        assert!(made.expect("fallocate").success(), "{kind}");
        let asked = Arc::new(AtomicU64::new(0));
        let error = update(&index, source(&new, &asked), &target).0.expect_err("there is no room");
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{kind}: {error}");
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{kind}");
        assert!(fs::read(&target).expect("the target") == old, "{kind}");
        assert_eq!(disk.names(), ["ballast", "target"], "{kind}");
        // Room is there again only when the file system gets round to it.
        File::options().write(true).open(&ballast).and_then(|file| file.set_len(0)).expect("emptied");
        assert!(Command::new("sync").arg("--file-system").arg(&target).status().expect("sync").success());
        let (done, events) = update(&index, source(&new, &asked), &target);
        done.expect("an update");
        assert!(events.contains(&"cloned"), "{kind}: {events:?}");
        assert!(fs::read(&target).expect("the target") == new, "{kind}");
    }
}

#[test]
fn a_full_disk_is_known_before_anything_is_fetched() {
    let new = noise(24 * MIB, 4);
    let index = index_of(&new);
    for kind in ["tmpfs", "ext4"] {
        let Some(disk) = Mounted::new(kind, 40 << 20) else { continue };
        let target = disk.path("target");
        fs::write(&target, noise(20 * MIB, 5)).expect("an old version");
        let before = fs::read(&target).expect("the target");
        let asked = Arc::new(AtomicU64::new(0));
        let error = update(&index, source(&new, &asked), &target).0.expect_err("there is no room");
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{kind}: {error}");
        let fact = |name: &str| {
            let fact = error.context().iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
            fact.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{kind}: no {name}: {error:?}"))
        };
        assert_eq!(fact("needed"), new.len() as u64, "{kind}");
        assert!(fact("available") < fact("needed"), "{kind}");
        assert_eq!(asked.load(Ordering::Relaxed), 0, "{kind}");
        assert!(fs::read(&target).expect("the target") == before, "{kind}");
        assert_eq!(disk.names(), ["target"], "{kind}");
        // With the old one out of the way there is room.
        fs::write(&target, b"").expect("nothing");
        update(&index, source(&new, &asked), &target).0.expect("an update");
        assert!(fs::read(&target).expect("the target") == new, "{kind}");
    }
}

/// What a partial file has taken already is not needed once more.
#[test]
fn a_partial_file_needs_only_what_it_lacks() {
    struct Half(Vec<u8>);
    impl BlockingRead for Half {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            if offset > 16 * MIB as u64 {
                return Err(gosync_io::Error::new(ErrorKind::Source, "no more"));
            }
            buffer.copy_from_slice(&self.0[offset as usize..][..buffer.len()]);
            Ok(buffer.len())
        }
    }
    let new = noise(24 * MIB, 6);
    let index = index_of(&new);
    for kind in ["tmpfs", "ext4"] {
        let Some(disk) = Mounted::new(kind, 40 << 20) else { continue };
        let target = disk.path("target");
        let half = Arc::new(BlockingSource::new(Half(new.clone()), 1).expect("a source"));
        update(&index, half, &target).0.expect_err("half of it is missing");
        assert_eq!(disk.names().len(), 1, "{kind}");
        let asked = Arc::new(AtomicU64::new(0));
        update(&index, source(&new, &asked), &target).0.expect("an update");
        assert!(asked.load(Ordering::Relaxed) < 12 * MIB as u64, "{kind}: {asked:?}");
        assert!(fs::read(&target).expect("the target") == new, "{kind}");
        assert_eq!(disk.names(), ["target"], "{kind}");
    }
}

#[test]
fn a_directory_that_has_no_room_is_known_before_anything_is_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let contents: Vec<Vec<u8>> = (0..8).map(|number| noise(3 * MIB, 20 + number)).collect();
    for (number, content) in contents.iter().enumerate() {
        fs::write(folder.path().join(number.to_string()), content).expect("a file");
    }
    let index = Arc::new(gosync_io::index_file(folder.path(), &gosync_io::IndexOptions::default()).expect("an index"));
    // Each content begins at a whole block as it is.
    let payload = contents.concat();
    assert_eq!(index.length(), payload.len() as u64);
    for kind in ["tmpfs", "ext4"] {
        let Some(disk) = Mounted::new(kind, 40 << 20) else { continue };
        let target = disk.path("target");
        fs::create_dir(&target).expect("a folder");
        fs::write(target.join("0"), &contents[0]).expect("a file");
        fs::write(target.join("large"), noise(17 * MIB, 30)).expect("a file");
        let asked = Arc::new(AtomicU64::new(0));
        let error = update(&index, source(&payload, &asked), &target).0.expect_err("there is no room");
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{kind}: {error}");
        assert_eq!(
            error.context().iter().find(|(key, _)| *key == "needed").map(|(_, value)| &**value),
            Some("22020096")
        );
        assert_eq!((asked.load(Ordering::Relaxed), disk.names()), (0, vec![String::from("target")]), "{kind}");
        fs::remove_file(target.join("large")).expect("removed");
        update(&index, source(&payload, &asked), &target).0.expect("an update");
        for (number, content) in contents.iter().enumerate() {
            assert!(fs::read(target.join(number.to_string())).expect("a file") == *content, "{kind}: {number}");
        }
        assert_eq!(disk.names(), [".target.gosync-installed", "target"], "{kind}");
    }
}

/// What is zeros needs none.
#[test]
fn a_directory_of_holes_has_room() {
    let Some(disk) = Mounted::new("tmpfs", 16 << 20) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut content = noise(64 * MIB, 40);
    content[MIB..63 * MIB].fill(0);
    fs::write(folder.path().join("image"), &content).expect("a file");
    let index = Arc::new(gosync_io::index_file(folder.path(), &gosync_io::IndexOptions::default()).expect("an index"));
    let target = disk.path("target");
    update(&index, source(&content, &Arc::default()), &target).0.expect("an update");
    assert!(fs::read(target.join("image")).expect("a file") == content);
}

/// Everything that belongs to a mounted directory is in it, the lock too: who updates it may not write beside it.
#[test]
fn a_mounted_directory_is_locked_inside() {
    let Some(disk) = Mounted::new("tmpfs", 16 << 20) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "content").expect("a file");
    let index = Arc::new(gosync_io::index_file(folder.path(), &gosync_io::IndexOptions::default()).expect("an index"));
    let (inside, beside) = (disk.path(""), disk.0.path().to_owned());
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let note = Arc::clone(&seen);
    let watch: gosync_io::OnEvent = Arc::new(move |event| {
        if event.kind == "planned" {
            let lists = [names(&inside), names(&beside)].concat();
            note.lock().expect("the names").extend(lists);
        }
    });
    let observer = gosync_io::Observer { events: Some(watch), ..Default::default() };
    let options = JobOptions { observer, ..JobOptions::default() };
    let source = source(b"content", &Arc::default());
    Job::new(index, Some(source), disk.path(""), options).expect("a job").run().expect("an update");
    let mut seen = seen.lock().expect("the names").clone();
    seen.retain(|name| name.ends_with("lock"));
    assert_eq!(seen, [".mounted.gosync-lock"]);
    assert_eq!(names(disk.0.path()), ["mounted"]);
    assert_eq!(disk.names(), [".mounted.gosync-installed", "file"]);
}
