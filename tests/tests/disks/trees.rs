//! Updates of a directory that cannot be written everywhere, is mounted, in use or changed by somebody else, or fails in the
//! middle of the switch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gosync_tests::data::noise;
use gosync_tests::mounts::Mounted;
use gosync_tests::process::{IN_FLIGHT, Said, index, run_by, run_while, verify};
use gosync_tests::{has, run};

use crate::tree_site::Site;
use crate::{AS_NOBODY, MIB, allow, failing};

/// A published directory, with the files of an older version at the target.
struct Trees {
    folder: tempfile::TempDir,
}

impl Trees {
    fn new() -> Trees {
        let folder = tempfile::tempdir().expect("a folder");
        let trees = Trees { folder };
        for (top, seed) in [("site/app", 1), ("copy/target", 2)] {
            let top = trees.path(top);
            fs::create_dir_all(top.join("lib/deep")).expect("a folder");
            fs::write(top.join("same"), noise(100_000, 9)).expect("a file");
            fs::write(top.join("main"), noise(300_000, seed)).expect("a file");
            fs::write(top.join("lib/deep/part"), noise(200_000, seed + 10)).expect("a file");
        }
        index(&trees.path("site/app"), &trees.index());
        trees
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn index(&self) -> PathBuf {
        self.path("site/app.gosync")
    }

    fn target(&self) -> PathBuf {
        self.path("copy/target")
    }

    fn update(&self, before: &[&str]) -> Said {
        let mut command = run_by(before);
        command.arg("update").arg(self.target()).arg("--index").arg(self.index()).args(["--json", "--quiet"]);
        Said::new(&command.arg("--seed").arg(self.path("site/app")).output().expect("a process"))
    }

    /// The target is the old version still, and nothing lies beside it but what is named.
    #[track_caller]
    fn is_old(&self, beside: &[&str]) {
        assert!(fs::read(self.target().join("main")).expect("a file") == noise(300_000, 2), "changed");
        assert!(fs::read(self.target().join("lib/deep/part")).expect("a file") == noise(200_000, 12), "changed");
        let names = fs::read_dir(self.path("copy")).expect("a folder").flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).filter(|name| name != "target").collect();
        assert_eq!(names, beside);
    }

    #[track_caller]
    fn then_it_goes_well(&self, before: &[&str]) {
        let said = self.update(before);
        assert!(said.is_well, "{}", said.all);
        let said = verify(&self.target(), &self.index());
        assert!(said.is_well && said.last["unfinished"] == false, "{}", said.all);
    }
}

#[test]
fn a_folder_of_a_directory_that_may_not_be_written() {
    let trees = Trees::new();
    let everything = [chown_all(&trees.path("copy")), chown_all(&trees.path("site"))];
    if everything.iter().any(Option::is_none) {
        return;
    }
    allow(trees.folder.path(), 0o755);
    allow(&trees.target().join("lib/deep"), 0o555);
    let said = trees.update(&AS_NOBODY);
    assert_eq!((said.is_well, said.kind()), (false, "PERMISSION"), "{}", said.all);
    // It is named, and known before anything is done.
    assert!(said.last["context"]["path"].as_str().is_some_and(|path| path.ends_with("lib/deep")), "{}", said.all);
    trees.is_old(&[]);
    allow(&trees.target().join("lib/deep"), 0o755);
    // Files that may not be written are replaced like others.
    allow(&trees.target().join("main"), 0o444);
    trees.then_it_goes_well(&AS_NOBODY);
}

/// Gives everything to nobody; nothing, said aloud, if this is not root.
fn chown_all(path: &Path) -> Option<()> {
    let done = Command::new("chown").args(["-R", "65534:65534"]).arg(path).output();
    let done = done.is_ok_and(|output| output.status.success());
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(done || !strict, "not root");
    if !done {
        eprintln!("skipped: not root");
    }
    done.then_some(())
}

#[test]
fn a_folder_of_a_directory_on_another_file_system() {
    let trees = Trees::new();
    let Some(disk) = Mounted::in_memory(4 << 20) else { return };
    let place = trees.target().join("lib/deep");
    fs::copy(place.join("part"), disk.folder().join("part")).expect("copied");
    run(Command::new("mount").arg("--bind").arg(disk.folder()).arg(&place));
    let said = trees.update(&[]);
    run(Command::new("umount").arg(&place));
    assert_eq!((said.is_well, said.kind()), (false, "STATE"), "{}", said.all);
    assert!(said.last["context"]["path"].as_str().is_some_and(|path| path.ends_with("lib/deep")), "{}", said.all);
    trees.is_old(&[]);
    trees.then_it_goes_well(&[]);
}

/// Where the directory itself is mounted, what an update needs beside it is in it.
#[test]
fn a_directory_that_is_mounted() {
    let trees = Trees::new();
    let Some(disk) = Mounted::in_memory(8 << 20) else { return };
    for name in ["same", "main"] {
        fs::copy(trees.target().join(name), disk.folder().join(name)).expect("copied");
    }
    run(Command::new("mount").arg("--bind").arg(disk.folder()).arg(trees.target()));
    let said = trees.update(&[]);
    let found = verify(&trees.target(), &trees.index());
    let names = fs::read_dir(trees.target()).expect("a folder").flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    run(Command::new("umount").arg(trees.target()));
    assert!(said.is_well && found.is_well, "{} {}", said.all, found.all);
    assert_eq!(found.last["differences"].as_array().map(Vec::len), Some(0), "{}", found.all);
    assert_eq!(names, [".target.gosync-installed", "lib", "main", "same"]);
}

/// A program of a directory goes on running from what it was.
#[test]
fn a_program_that_runs_from_a_directory() {
    let trees = Trees::new();
    let program = trees.target().join("sleep");
    fs::copy("/bin/sleep", &program).expect("a program");
    fs::write(trees.path("site/app/sleep"), noise(5000, 77)).expect("a file");
    index(&trees.path("site/app"), &trees.index());
    let mut running = Command::new(&program).arg("30").spawn().expect("a process");
    trees.then_it_goes_well(&[]);
    assert!(running.try_wait().expect("a process").is_none(), "it goes on");
    running.kill().and_then(|()| running.wait()).expect("ended");
}

/// In the middle of a switch the disk refuses: it is told, and the next update goes on from there.
#[test]
fn a_switch_that_fails_in_the_middle() {
    if !has("strace") {
        return;
    }
    let trees = Trees::new();
    let before = failing("rename,renameat,renameat2", "EIO", "3+");
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let said = trees.update(&before);
    assert!(!said.is_well && said.kind() == "IO", "{}", said.all);
    assert!(said.all.contains("partly the old version and partly the new one"), "{}", said.all);
    let found = verify(&trees.target(), &trees.index());
    assert_eq!(found.last["unfinished"], true, "{}", found.all);
    trees.then_it_goes_well(&[]);
}

/// What another program puts into a directory while its update is fetched is not lost: it is moved aside where something else
/// takes its place. A file that was to stay becomes right again.
#[test]
fn files_that_another_program_replaces_midway() {
    for is_installed in [false, true] {
        let site = Site::new(1_500_000);
        let folder = tempfile::tempdir().expect("a folder");
        let (target, missing) = site.old_version(folder.path());
        if is_installed {
            // An update to what is there already leaves its record.
            let old = site.index().with_extension("old");
            index(&target, &old);
            run(run_by(&[]).args(["update", "--quiet"]).arg(&target).arg("--index").arg(old));
        }
        let path = |name: &str| target.join(name);
        let theirs = |name: &str| {
            let other = folder.path().join("ballast");
            fs::write(&other, name).and_then(|()| fs::rename(&other, path(name))).expect("a file");
        };
        // One that is to be replaced, one where there was none, one that the new version has not, and one that is to stay. Where
        // there is no record, that makes all that is there then the old version.
        let names = ["main", "more/of/it/7", "theirs", "same"];
        let names = if is_installed { &names[..] } else { &names[..3] };
        let change = || {
            fs::create_dir_all(path("more/of/it")).expect("a folder");
            names.iter().for_each(|name| theirs(name));
        };
        let said = run_while(site.update(&target, &[]), || site.sent() >= MIB as u64, change);
        assert!(said.is_well, "{}", said.all);
        let kept = folder.path().join("app.gosync-kept");
        for name in names {
            let found = if *name == "theirs" { path(name) } else { kept.join(name) };
            assert_eq!(fs::read_to_string(found).ok().as_deref(), Some(*name), "{}", said.all);
        }
        fs::remove_file(path("theirs")).and_then(|()| fs::remove_dir_all(kept)).expect("removed");
        // What was to stay had to be fetched.
        let more = if is_installed { (MIB / 4) as u64 + IN_FLIGHT } else { 0 };
        site.then_it_goes_well(&target, missing + more);
    }
}
