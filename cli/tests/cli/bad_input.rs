//! Bad input among local files gets one clear error, and what was there stays.

use std::process::Command;

use crate::support::{Folder, Release, noise};

#[test]
fn missing_files_are_named() {
    let (folder, release) = Folder::with_release();
    let before = folder.names();
    let cases: &[&[&str]] = &[
        &["index", "nowhere"],
        &["index", "new", "-o", "no/such/folder/index"],
        &["info", "nowhere"],
        &["plan", "app", "--index", "nowhere"],
        &["update", "app", "--index", "nowhere"],
        &["update", "app", "--index", "new.gosync", "--source", "nowhere"],
        &["update", "app", "--index", "new.gosync", "--seed", "nowhere"],
        &["verify", "nowhere", "--index", "new.gosync"],
        &["update", "no/such/folder/nowhere", "--index", "new.gosync"],
    ];
    for case in cases {
        let run = folder.gosync(*case).expect_code(3);
        let named = run.error().contains("nowhere") || run.error().contains("no/such/folder");
        assert!(named, "{case:?}: {}", run.error());
    }
    assert_eq!(folder.read("app"), release.old);
    assert_eq!(folder.names(), before);
}

#[test]
fn folders_are_not_files() {
    let (folder, release) = Folder::with_release();
    std::fs::create_dir(folder.path("folder")).unwrap();
    folder.write("folder/inside", b"stays");
    let before = folder.names();
    let cases: &[&[&str]] = &[
        &["index", "new", "-o", "folder"],
        &["info", "folder"],
        &["plan", "folder", "--index", "new.gosync"],
        &["update", "folder", "--index", "new.gosync"],
        &["update", "app", "--index", "new.gosync", "--source", "folder"],
        &["verify", "folder", "--index", "new.gosync"],
    ];
    for case in cases {
        let run = folder.gosync(*case).expect_one_of(&[2, 3]);
        assert!(run.error().contains("folder"), "{case:?}: {}", run.error());
    }
    assert_eq!(folder.names(), before);
    assert_eq!((folder.read("app"), folder.read("folder/inside")), (release.old, b"stays".to_vec()));
}

#[test]
fn an_index_that_is_none_is_refused() {
    let (folder, release) = Folder::with_release();
    let index = folder.read("new.gosync");
    let length = index.len();
    let mut broken: Vec<Vec<u8>> = [0, 1, 7, 8, 40, length / 2, length - 1].map(|cut| index[..cut].to_vec()).into();
    broken.push(noise(9, 5_000));
    broken.push(vec![0; 5_000]);
    broken.push(release.new.clone());
    for place in [0, 9, length / 2, length - 1] {
        let mut flipped = index.clone();
        flipped[place] ^= 0x10;
        broken.push(flipped);
    }
    for bytes in broken {
        folder.write("broken", &bytes);
        let args = ["update", "app", "--index", "broken", "--source", "new"];
        folder.gosync(args).expect_code(5).error();
        folder.gosync(["info", "broken"]).expect_code(5).error();
        assert_eq!(folder.read("app"), release.old, "{} bytes", bytes.len());
    }
    assert_eq!(folder.names(), ["app", "broken", "new", "new.gosync"]);
}

#[test]
fn an_index_does_not_lead_away_from_its_folder() {
    let (folder, release) = Folder::with_release();
    std::fs::create_dir(folder.path("sub")).unwrap();
    folder.gosync(["index", "new", "-o", "sub/index", "--source", "../new"]).expect_code(0);
    let run = folder.gosync(["update", "app", "--index", "sub/index"]).expect_one_of(&[2, 4, 5]);
    run.error();
    assert_eq!(folder.read("app"), release.old);
    folder.gosync(["update", "app", "--index", "sub/index", "--allow-any-source"]).expect_code(0);
    assert_eq!(folder.read("app"), release.new);

    folder.gosync(["index", "new", "-o", "index", "--source", ""]).expect_code(0);
    folder.write("app", &release.old);
    folder.gosync(["update", "app", "--index", "index"]).expect_code(2).error();
    assert_eq!(folder.read("app"), release.old);
}

#[test]
fn empty_targets_and_seeds_are_content_like_any_other() {
    let folder = Folder::new();
    folder.write("empty", b"");
    folder.write("full", &noise(5, 100_000));
    let run = folder.gosync(["index", "empty", "--json"]).expect_code(0);
    assert_eq!(run.last()["root"], blake3::hash(b"").to_string());
    folder.gosync(["index", "full"]).expect_code(0);
    folder.write("app", b"old content");
    folder.gosync(["update", "app", "--index", "empty.gosync"]).expect_code(0);
    assert_eq!(folder.read("app"), b"");
    folder.gosync(["verify", "app", "--index", "empty.gosync"]).expect_code(0);
    folder.gosync(["update", "app", "--index", "full.gosync", "--seed", "empty"]).expect_code(0);
    assert_eq!(folder.read("app"), folder.read("full"));
    folder.gosync(["update", "fresh", "--index", "empty.gosync"]).expect_code(0);
    assert_eq!(folder.read("fresh"), b"");
}

#[test]
fn the_target_may_be_its_own_seed() {
    let (folder, release) = Folder::with_release();
    folder.gosync(["update", "app", "--index", "new.gosync", "--seed", "app", "--seed", "./app"]).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn a_longer_target_leaves_no_tail() {
    let (folder, release) = Folder::with_release();
    let mut longer = release.new.clone();
    longer.extend_from_slice(&noise(11, 500_000));
    folder.write("app", &longer);
    folder.gosync(["update", "app", "--index", "new.gosync"]).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn sizes_at_the_borders_work() {
    let folder = Folder::new();
    for length in [1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 196_609] {
        let content = noise(length as u64, length);
        folder.write("new", &content);
        folder.write("app", &content[length / 3..]);
        folder.gosync(["index", "new"]).expect_code(0);
        folder.gosync(["update", "app", "--index", "new.gosync"]).expect_code(0);
        assert_eq!(folder.read("app"), content, "{length}");
        folder.gosync(["verify", "app", "--index", "new.gosync"]).expect_code(0);
    }
}

#[cfg(unix)]
#[test]
fn files_that_may_not_be_read_or_written_are_errors() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, release) = Folder::with_release();
    let locked = folder.path("locked");
    std::fs::create_dir(&locked).unwrap();
    folder.write("locked/app", &release.old);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o500)).unwrap();
    if std::fs::write(locked.join("probe"), b"").is_ok() {
        std::fs::remove_file(locked.join("probe")).unwrap();
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    folder.gosync(["update", "locked/app", "--index", "new.gosync"]).expect_code(3).error();
    assert_eq!(folder.read("locked/app"), release.old);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o700)).unwrap();
}

/// A file system of its own with little room, gone at the end.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "gosync-test"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_the_old_file_stays() {
    let (folder, release) = (Folder::new(), Release::new());
    folder.write("new", &release.new);
    folder.gosync(["index", "new"]).expect_code(0);
    let Some(disk) = SmallDisk::mount(folder.path("disk")) else {
        eprintln!("skipped: no right to mount a small disk");
        return;
    };
    folder.write("disk/app", &release.old);
    let run = folder.gosync(["update", "disk/app", "--index", "new.gosync", "--json"]).expect_code(3);
    assert_eq!(run.last()["kind"], "NO_SPACE");
    assert_eq!(folder.read("disk/app"), release.old);
    let names: Vec<_> = std::fs::read_dir(&disk.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["app"], "nothing is left beside the target");
    let run = folder.gosync(["update", "disk/app", "--index", "new.gosync"]).expect_code(3);
    run.error();
}
