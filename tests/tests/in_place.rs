//! Updates in place where only the target itself has room: on full disks, and on block devices. What they take beside it
//! is bounded, and what fails midway is finished by the next one.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use gosync_tests::data::noise;
use gosync_tests::mounts::{Device, Mounted};
use gosync_tests::process::{IN_FLIGHT, Published, TARGET, verify};
use gosync_tests::{has, run};

const MIB: usize = 1 << 20;

/// An old version of `length` bytes, and the same in pieces in another order with new ones between.
fn shuffled(length: usize) -> (Vec<u8>, Vec<u8>) {
    let old = noise(length, 1);
    let mut pieces: Vec<&[u8]> = old.chunks(length / 16).collect();
    let (fresh, count) = (noise(length / 8, 2), pieces.len());
    pieces.rotate_left(count / 3);
    pieces.swap(1, count / 2);
    pieces.swap(3, count - 2);
    let mut new: Vec<u8> = Vec::new();
    for (piece, some) in pieces.iter().zip(fresh.chunks(fresh.len() / count)) {
        new.extend(*piece);
        new.extend(some);
    }
    new.truncate(length);
    (old, new)
}

/// Only the target is in the folder.
#[track_caller]
fn alone(folder: &Path) {
    let names = fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.file_name());
    let names: Vec<_> = names.filter(|name| name != "lost+found").collect();
    assert_eq!(names, [TARGET]);
}

/// Bytes that a file system holds.
fn used(folder: &Path) -> u64 {
    let said = run(Command::new("df").args(["--block-size=1", "--output=used"]).arg(folder));
    said.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number")
}

#[test]
fn where_a_second_copy_has_no_room() {
    // What an update in place may take beside the file, and a little for the file system.
    let extra = (64 * MIB + 80 * MIB / 100) as u64;
    let Some(disk) = Mounted::in_memory(80 * MIB as u64 + extra + (1 << 20)) else { return };
    let (old, new) = shuffled(80 * MIB);
    let published = Published::new(old, new, 0);
    let target = disk.folder().join(TARGET);
    fs::write(&target, &published.old).expect("the old version");
    let said = published.run(published.update(&target, &[], &[]), 0, || {});
    assert!(!said.is_well && said.kind() == "NO_SPACE", "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.old, "the target has changed: {}", said.all);
    assert_eq!(published.sent(), 0);
    alone(disk.folder());
    // In place there is enough.
    let most = std::sync::atomic::AtomicU64::new(0);
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Acquire) {
                most.fetch_max(used(disk.folder()), std::sync::atomic::Ordering::AcqRel);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
        is_over.store(true, std::sync::atomic::Ordering::Release);
        said
    });
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    alone(disk.folder());
    assert!(published.sent() <= published.missing, "{} bytes sent for {}", published.sent(), published.missing);
    let (most, length) = (most.into_inner(), published.new.len() as u64);
    println!("{most} bytes at the most on the disk for a file of {length}");
    assert!(most <= length + extra, "{most} bytes on the disk for a file of {length}");
}

#[test]
fn a_disk_that_has_no_room_for_what_grows() {
    let Some(disk) = Mounted::in_memory(8 << 20) else { return };
    let new = noise(12 * MIB, 3);
    let published = Published::new(new[..6 * MIB].to_vec(), new.clone(), 0);
    let target = disk.folder().join(TARGET);
    fs::write(&target, &published.old).expect("the old version");
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    assert!(!said.is_well && said.kind() == "NO_SPACE", "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.old, "the target has changed: {}", said.all);
    assert_eq!(published.sent(), 0, "{}", said.all);
    alone(disk.folder());
    disk.remount("size=20971520");
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    alone(disk.folder());
}

/// What an update that was killed had reserved is not needed once more.
#[test]
fn room_that_was_reserved_is_not_needed_twice() {
    let Some(disk) = Mounted::in_memory(13 << 20) else { return };
    let new = noise(12 * MIB, 5);
    let published = Published::new(new[..6 * MIB].to_vec(), new.clone(), 3_000_000);
    let target = disk.folder().join(TARGET);
    fs::write(&target, &published.old).expect("the old version");
    let mut killed = published.update(&target, &["timeout", "--signal=KILL", "0.8"], &["--in-place"]);
    let said = Command::output(&mut killed).expect("a process");
    assert!(!said.status.success(), "{said:?}");
    assert!(disk.folder().join(format!(".{TARGET}.gosync-journal")).exists(), "killed too early: {said:?}");
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    alone(disk.folder());
}

#[test]
fn a_block_device() {
    let (old, new) = shuffled(6 * MIB);
    let published = Published::new(old, new, 1_000_000);
    let Some(device) = Device::new(&published.old) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal");
    let options = ["--in-place", "--journal", &journal.to_string_lossy()];
    // Killed on the way, once.
    let mut killed = published.update(device.path(), &["timeout", "--signal=KILL", "0.35"], &options);
    let said = Command::output(&mut killed).expect("a process");
    assert!(!said.status.success(), "{said:?}");
    if journal.exists() {
        let said = verify(device.path(), &published.index());
        assert!(!said.is_well, "{}", said.all);
    }
    let said = published.run(published.update(device.path(), &[], &options), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(device.path()).expect("the device") == published.new, "another result");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
    let most = published.missing + IN_FLIGHT;
    assert!(published.sent() <= most, "{} bytes sent, {most} at the most had to be", published.sent());
}

/// An update in place during which a system call fails: it says so, and what it leaves the next one finishes.
#[track_caller]
fn with_failing(call: &str, error: &str, when: &str, kind: &str) {
    let (old, new) = shuffled(3 * MIB);
    let published = Published::new(old, new, 0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join(TARGET);
    fs::write(&target, &published.old).expect("the old version");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={when}"));
    let before = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "--"];
    let said = published.run(published.update(&target, &before, &["--in-place"]), 0, || {});
    assert!(!said.is_well && said.kind() == kind, "{call}, {error}: {}", said.all);
    let found = fs::read(&target).expect("the target");
    let journal = folder.path().join(format!(".{TARGET}.gosync-journal"));
    assert!(found == published.old || journal.exists(), "neither the old version nor a journal: {}", said.all);
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == published.new, "another result");
    alone(folder.path());
    let most = published.missing + 2 * IN_FLIGHT;
    assert!(published.sent() <= most, "{} bytes sent, {most} at the most had to be", published.sent());
}

#[test]
fn writes_and_syncs_that_fail_midway() {
    if !has("strace") {
        return;
    }
    with_failing("pwrite64", "EIO", "3+", "IO");
    with_failing("pwrite64", "ENOSPC", "3+", "NO_SPACE");
    with_failing("pwrite64", "EDQUOT", "6+", "NO_SPACE");
    with_failing("fsync,fdatasync", "EIO", "2+", "IO");
}

#[test]
fn a_file_that_runs_is_left_alone() {
    let program = fs::read("/bin/sleep").expect("a program");
    let published = Published::new(program.clone(), [program.as_slice(), &noise(5000, 4)].concat(), 0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join(TARGET);
    fs::copy("/bin/sleep", &target).expect("a copy");
    let mut running = Command::new(&target).arg("60").spawn().expect("it runs");
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    running.kill().and_then(|()| running.wait()).expect("an end");
    assert!(!said.is_well && said.signal.is_none(), "{}", said.all);
    assert!(["STATE", "IO"].contains(&said.kind()), "{}", said.all);
    assert!(fs::read(&target).expect("the target") == program, "the target has changed");
    alone(folder.path());
    assert_eq!(published.sent(), 0);
}

/// A mapping that is shared shows the change; whoever reads the file in the usual way does not stand in the way.
#[test]
fn a_file_that_is_mapped_is_left_alone() {
    if !has("python3") {
        return;
    }
    let (old, new) = (noise(20 * 65536, 5), noise(21 * 65536, 6));
    let published = Published::new(old.clone(), new.clone(), 0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join(TARGET);
    fs::write(&target, &old).expect("an old version");
    let hold = |script: &str| {
        let script = format!("import mmap, sys; f = open(sys.argv[1], 'rb'); {script}; print(); sys.stdin.read()");
        let mut holder = Command::new("python3");
        holder.args(["-c", &script]).arg(&target).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().expect("it runs");
        holder.stdout.take().expect("a pipe").read_exact(&mut [0]).expect("a line");
        holder
    };
    let mut mapping = hold("m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)");
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    mapping.kill().and_then(|()| mapping.wait()).expect("an end");
    assert!(!said.is_well && said.kind() == "STATE", "{}", said.all);
    assert!(fs::read(&target).expect("the target") == old, "the target has changed");
    alone(folder.path());
    let mut reading = hold("f.read()");
    let said = published.run(published.update(&target, &[], &["--in-place"]), 0, || {});
    reading.kill().and_then(|()| reading.wait()).expect("an end");
    assert!(said.is_well, "{}", said.all);
    assert!(fs::read(&target).expect("the target") == new, "another content");
}
