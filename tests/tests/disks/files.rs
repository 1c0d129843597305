//! Updates of a file on disks that are not as they should be.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gosync_tests::data::{edited, noise};
use gosync_tests::mounts::{Device, Mounted};
use gosync_tests::process::{IN_FLIGHT, Published, Said, TARGET};
use gosync_tests::{has, run};

use crate::{AS_NOBODY, MIB, allow, failing, room};

/// Somebody who is not root.
const NOBODY: u32 = 65534;

/// 3 MiB, of which the old version (of 2 MiB) has half.
fn published(rate: u64) -> Published {
    let new = noise(3 * MIB, 1);
    let old = [&new[..MIB + MIB / 2], &noise(MIB / 2, 2)].concat();
    Published::new(old, new, rate)
}

/// What lies beside the target: nothing, or its partial file, and the lock where that cannot be removed.
#[track_caller]
fn beside(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("the folder").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.filter(|name| name != TARGET && name != "lost+found" && name != "ballast").collect();
    let own = names.iter().filter(|name| name.starts_with(&format!(".{TARGET}.")));
    let is_known = |name: &&String| name.ends_with(".gosync-part") || name.ends_with(".gosync-lock");
    assert!(names.len() <= 2 && own.filter(is_known).count() == names.len(), "{names:?} beside the target");
    names
}

/// An update that failed in this way and has left the target alone.
#[track_caller]
fn failed(said: &Said, kind: &str, target: &Path, before: &[u8]) {
    assert!(!said.is_well && said.signal.is_none(), "{}", said.all);
    assert_eq!(said.kind(), kind, "{}", said.all);
    assert!(fs::read(target).expect("the target") == before, "the target has changed: {}", said.all);
}

/// An update that is not hindered ends in the new version with nothing beside it, and over all, at most what was missing
/// was sent, and for each try before it what may have been in flight.
#[track_caller]
fn then_it_goes_well(published: &Published, target: &Path, tries: u64) -> Said {
    let said = published.run(published.update(target, &[], &[]), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(target).expect("the target") == published.new, "another result");
    assert_eq!(beside(target.parent().expect("a folder")), [""; 0]);
    let most = published.missing + tries * IN_FLIGHT;
    assert!(published.sent() <= most, "{} bytes sent, {most} at the most had to be: {}", published.sent(), said.all);
    said
}

fn old_version(folder: &Path, published: &Published) -> PathBuf {
    let target = folder.join(TARGET);
    fs::write(&target, &published.old).expect("the old version");
    target
}

/// A disk on which there is no room for a second copy, and a way to make some.
#[track_caller]
fn full(disk: &Mounted, make_room: impl FnOnce()) {
    let published = published(0);
    let target = old_version(disk.folder(), &published);
    let said = published.run(published.update(&target, &[], &[]), 0, || {});
    failed(&said, "NO_SPACE", &target, &published.old);
    // Known before anything was fetched; and how much is needed.
    assert_eq!(published.sent(), 0, "{}", said.all);
    let needed = said.last["context"]["needed"].as_str().and_then(|text| text.parse::<u64>().ok());
    assert!(needed.is_some_and(|bytes| (1..=published.new.len() as u64).contains(&bytes)), "{}", said.all);
    assert_eq!(beside(disk.folder()), [""; 0]);
    make_room();
    then_it_goes_well(&published, &target, 0);
}

#[test]
fn a_full_disk_in_memory() {
    let Some(disk) = Mounted::in_memory(4 << 20) else { return };
    full(&disk, || disk.remount("size=16777216"));
}

#[test]
fn a_full_ext4() {
    let Some(disk) = Mounted::in_a_file(24 << 20, &["mkfs.ext4", "-q", "-F", "-m", "0"]) else { return };
    let ballast = disk.folder().join("ballast");
    // Until there is room for the old version and not much more.
    fs::write(&ballast, vec![1; room(disk.folder()) as usize - 4 * MIB]).expect("the ballast");
    run(Command::new("sync").arg("-f").arg(&ballast));
    full(&disk, || fs::remove_file(&ballast).expect("removed"));
}

/// An update during which a system call fails; then one that goes well.
#[track_caller]
fn with_failing(call: &str, error: &str, when: &str, kind: &str) -> Published {
    let published = published(0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = old_version(folder.path(), &published);
    let before = failing(call, error, when);
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let said = published.run(published.update(&target, &before, &[]), 0, || {});
    failed(&said, kind, &target, &published.old);
    beside(folder.path());
    // What is in flight may be asked for once more between the failure and the end.
    then_it_goes_well(&published, &target, 2);
    published
}

#[test]
fn writes_that_fail() {
    if !has("strace") {
        return;
    }
    with_failing("pwrite64", "ENOSPC", "2+", "NO_SPACE");
    with_failing("pwrite64", "EDQUOT", "2+", "NO_SPACE");
    with_failing("pwrite64", "EIO", "2+", "IO");
}

#[test]
fn room_that_cannot_be_reserved() {
    if !has("strace") {
        return;
    }
    with_failing("fallocate", "ENOSPC", "1+", "NO_SPACE");
    with_failing("fallocate", "EDQUOT", "1+", "NO_SPACE");
}

#[test]
fn a_sync_or_a_rename_that_fails() {
    if !has("strace") {
        return;
    }
    with_failing("fsync,fdatasync", "EIO", "1", "IO");
    let published = with_failing("rename,renameat,renameat2", "EACCES", "1+", "PERMISSION");
    // The finished file was kept: nothing was fetched again.
    assert_eq!(published.sent(), published.missing);
}

#[test]
fn a_limit_on_the_size_of_files() {
    let published = published(0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = old_version(folder.path(), &published);
    let before = ["prlimit", "--fsize=2500000"];
    let said = published.run(published.update(&target, &before, &[]), 0, || {});
    failed(&said, "NO_SPACE", &target, &published.old);
    then_it_goes_well(&published, &target, 1);
}

#[test]
fn a_disk_that_is_read_only() {
    let Some(disk) = Mounted::in_memory(16 << 20) else { return };
    let published = published(0);
    let target = old_version(disk.folder(), &published);
    disk.remount("ro");
    let said = published.run(published.update(&target, &[], &[]), 0, || {});
    failed(&said, "PERMISSION", &target, &published.old);
    assert_eq!(published.sent(), 0, "{}", said.all);
    // What is up to date needs no writing.
    disk.remount("rw");
    fs::write(&target, &published.new).expect("the new version");
    disk.remount("ro");
    let said = published.run(published.update(&target, &[], &[]), 0, || {});
    assert!(said.is_well && said.last["up_to_date"] == true, "{}", said.all);
}

/// A folder that belongs to nobody, with the old version in it, where the tests are run by root.
fn of_nobody(published: &Published) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    let target = old_version(folder.path(), published);
    let owned =
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).and_then(|()| chown(&target, Some(NOBODY), Some(NOBODY)));
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(owned.is_ok() || !strict, "not root");
    if owned.is_err() {
        eprintln!("skipped: not root");
    }
    owned.ok().map(|()| folder)
}

#[test]
fn a_folder_that_may_not_be_written() {
    let published = published(0);
    let Some(folder) = of_nobody(&published) else { return };
    let target = folder.path().join(TARGET);
    allow(folder.path(), 0o555);
    let said = published.run(published.update(&target, &AS_NOBODY, &[]), 0, || {});
    failed(&said, "PERMISSION", &target, &published.old);
    assert_eq!(published.sent(), 0, "{}", said.all);
    assert_eq!(beside(folder.path()), [""; 0]);
}

#[test]
fn a_folder_that_may_not_be_written_any_more() {
    let published = published(4_000_000);
    let Some(folder) = of_nobody(&published) else { return };
    let target = folder.path().join(TARGET);
    let said =
        published.run(published.update(&target, &AS_NOBODY, &[]), MIB as u64 / 2, || allow(folder.path(), 0o555));
    failed(&said, "PERMISSION", &target, &published.old);
    // They could not be removed; and the partial file is of use.
    assert!(beside(folder.path()).iter().any(|name| name.ends_with(".gosync-part")));
    allow(folder.path(), 0o755);
    let most = published.sent();
    let said = published.run(published.update(&target, &AS_NOBODY, &[]), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    assert_eq!(beside(folder.path()), [""; 0]);
    assert_eq!((most, published.sent()), (published.missing, published.missing));
}

#[test]
fn a_target_that_somebody_else_replaces_or_removes_midway() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("ballast");
    let published = published(4_000_000);
    let target = old_version(folder.path(), &published);
    fs::write(&other, b"of another program").expect("a file");
    let said = published.run(published.update(&target, &[], &[]), MIB as u64 / 2, || {
        fs::rename(&other, &target).expect("a rename");
    });
    failed(&said, "STATE", &target, b"of another program");
    beside(folder.path());
    // Asked once more, it is wanted.
    then_it_goes_well(&published, &target, 1);
    // One that is gone is nobody's: what was asked for takes its place.
    let published = self::published(4_000_000);
    let target = old_version(folder.path(), &published);
    let said = published.run(published.update(&target, &[], &[]), MIB as u64 / 2, || {
        fs::remove_file(&target).expect("removed");
    });
    assert!(said.is_well && fs::read(&target).expect("the target") == published.new, "{}", said.all);
    assert_eq!(beside(folder.path()), [""; 0]);
}

#[test]
fn a_seed_on_a_disk_that_fails() {
    let new = noise(4 * MIB, 3);
    let published = Published::new(edited(&new, 20), new.clone(), 0);
    let Some(device) = Device::new(&published.old) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    device.break_behind(3 * MIB as u64);
    let seed = device.path().to_string_lossy().into_owned();
    let target = folder.path().join(TARGET);
    let log = published.index().with_extension("log");
    let options = ["--seed", &seed, "--log", &log.to_string_lossy()];
    let said = published.run(published.update(&target, &[], &options), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    // Not everything: what could be read was used. (Not each byte of it: the last part was read in one go with what broke.)
    let sent = published.sent();
    assert!((MIB as u64..3 * MIB as u64).contains(&sent), "{sent} bytes sent: {}", said.all);
    let log = fs::read_to_string(log).expect("the log");
    assert!(log.contains("cannot be read"), "{log}");
}

#[test]
fn a_target_on_a_disk_that_fails() {
    if !has("strace") {
        return;
    }
    let new = noise(4 * MIB, 3);
    let published = Published::new(edited(&new, 20), new.clone(), 0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = old_version(folder.path(), &published);
    // Only where the old version is read.
    let path = target.to_string_lossy().into_owned();
    let mut before = failing("pread64", "EIO", "3+");
    before.splice(1..1, ["-P".to_owned(), path]);
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let mut command = published.update(&target, &before, &[]);
    command.stdout(Stdio::piped());
    let said = published.run(command, 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    assert!(published.sent() > published.missing, "{}", said.all);
    assert_eq!(beside(folder.path()), [""; 0]);
}
