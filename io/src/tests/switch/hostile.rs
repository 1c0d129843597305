//! What an index, a tree, or somebody who changes it meanwhile may try so that something outside the target is read, written
//! or removed: each attack by a test. `outside` is what must stay as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::tree::{Folder, system_names};
use crate::{Digest, EntryKind, ErrorKind};

/// Something outside, and how it was.
struct Outside {
    folder: tempfile::TempDir,
    before: Tree,
}

impl Outside {
    fn new() -> Outside {
        let folder = tempfile::tempdir().expect("a folder");
        let before = tree(&[("folder", Node::Folder), ("folder/x", file("precious")), ("x", file("precious"))]);
        write(&before, folder.path());
        Outside { folder, before }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self) -> String {
        self.folder.path().to_str().expect("text").to_owned()
    }

    fn check(&self, what: &str) {
        assert_eq!(read(self.folder.path()), self.before, "{what}");
    }
}

/// A listing as bytes in which `name` was put in the place of a name of that length.
fn crafted(name: &[u8]) -> Vec<u8> {
    let placeholder = "Q".repeat(name.len());
    let mut bytes = listing(&tree(&[(&placeholder, file("content"))])).encode();
    let at = bytes.windows(name.len()).position(|part| part == placeholder.as_bytes()).expect("the name");
    bytes[at..at + name.len()].copy_from_slice(name);
    bytes
}

#[test]
fn names_that_are_paths_are_refused() {
    Listing::decode(&crafted(b"name")).expect("an innocent one");
    for name in
        [&b"."[..], b"..", b"/", b"/x", b"/etc/passwd", b"../x", b"a/..", b"a/../../x", b"a\0", b"\xff\xfe", b"a/"]
    {
        let error = Listing::decode(&crafted(name)).expect_err("it is no name");
        assert_eq!(error.kind(), ErrorKind::Format, "{name:?}");
    }
    // No name at all.
    let mut bytes = crafted(b"Q");
    let at = bytes.iter().rposition(|byte| *byte == b'Q').expect("the name");
    bytes.remove(at);
    bytes[at - 1] = 0;
    assert_eq!(Listing::decode(&bytes).expect_err("it has no name").kind(), ErrorKind::Format);
}

#[test]
fn paths_that_are_too_deep_or_too_long_are_refused() {
    let deep = |depth: usize, name: &str| {
        let paths: Vec<String> = (1..=depth).map(|depth| vec![name; depth].join("/")).collect();
        Listing::new(1024, 0, Digest::of(&[]), paths.iter().map(|path| (path.as_str(), EntryKind::Directory)))
    };
    deep(255, "a").expect("deep");
    assert_eq!(deep(256, "a").expect_err("too deep").kind(), ErrorKind::Limit);
    assert_eq!(deep(20, &"n".repeat(250)).expect_err("too long").kind(), ErrorKind::Limit);
    // The deepest can be switched.
    let scene = Scene::new();
    let paths: Vec<String> = (1..=255).map(|depth| vec!["a"; depth].join("/")).collect();
    let mut deepest: Tree = paths.iter().map(|path| (path.clone(), Node::Folder)).collect();
    deepest.insert(paths[254].clone(), file("deep"));
    scene.install(&deepest);
    assert_eq!(read(&scene.target()), deepest);
    scene.install(&tree(&[]));
    assert_eq!(read(&scene.target()), tree(&[]));
}

#[test]
fn more_entries_than_there_are_bytes_for_are_refused() {
    let good = listing(&tree(&[("a", file("content"))])).encode();
    for (count, kind) in [(u32::MAX, ErrorKind::Limit), (1 << 24, ErrorKind::Format), (2, ErrorKind::Format)] {
        let mut bytes = good.clone();
        bytes[..4].copy_from_slice(&count.to_le_bytes());
        assert_eq!(Listing::decode(&bytes).expect_err("it lies").kind(), kind, "{count}");
    }
}

#[test]
fn sizes_that_are_too_large_together_are_refused() {
    let kind = |number: u8| EntryKind::File { size: u64::MAX / 2, root: Digest([number; 32]), is_executable: false };
    let entries = [("a", kind(1)), ("b", kind(2)), ("c", kind(3))];
    let error = Listing::new(1024, 0, Digest::of(&[]), entries).expect_err("too much");
    assert_eq!(error.kind(), ErrorKind::Limit);
}

/// A link that is there already, where the index has a directory.
#[test]
fn a_link_where_a_directory_must_be_is_not_followed() {
    for has_record in [false, true] {
        let (scene, outside) = (Scene::new(), Outside::new());
        if has_record {
            scene.install(&tree(&[("folder", Node::Folder), ("folder/x", file("old"))]));
            fs::remove_dir_all(scene.target()).expect("removed");
        }
        fs::create_dir(scene.target()).expect("a target");
        symlink(outside.path("folder"), scene.target().join("folder")).expect("a link");
        let new = tree(&[("folder", Node::Folder), ("folder/x", file("new")), ("folder/y", file("new"))]);
        scene.install(&new);
        assert_eq!(read(&scene.target()), new);
        outside.check("after the first");
        // And where everything in it is removed.
        fs::remove_dir_all(scene.target().join("folder")).expect("removed");
        symlink(outside.path("folder"), scene.target().join("folder")).expect("a link");
        scene.install(&tree(&[]));
        scene.update(&tree(&[]), true, &Disk::system()).expect("an exact mirror");
        assert_eq!(read(&scene.target()), tree(&[]));
        outside.check("after the last");
    }
}

#[test]
fn a_link_where_a_file_must_be_is_not_followed() {
    let (scene, outside) = (Scene::new(), Outside::new());
    fs::create_dir(scene.target()).expect("a target");
    symlink(outside.path("x"), scene.target().join("x")).expect("a link");
    scene.install(&tree(&[("x", file("new"))]));
    assert_eq!(read(&scene.target()), tree(&[("x", file("new"))]));
    outside.check("replaced");
    // One bit is to be changed of what was a file when it was looked at.
    scene.install(&tree(&[("x", file("new"))]));
    let (stage, changes) = scene.stage(&tree(&[("x", Node::File("new".into(), true))]), false, false).expect("a stage");
    assert!(changes.staged.is_empty());
    fs::remove_file(scene.target().join("x")).expect("removed");
    symlink(outside.path("x"), scene.target().join("x")).expect("a link");
    scene.finish(&stage, &Disk::system()).expect("switched");
    outside.check("the mode");
}

/// A link that one version of the index makes, through which the next one would write.
#[test]
fn a_link_that_the_index_makes_is_not_followed() {
    let (scene, outside) = (Scene::new(), Outside::new());
    let link = tree(&[("a", Node::Link(outside.text())), ("b", Node::Link(format!("{}/x", outside.text())))]);
    scene.install(&link);
    assert_eq!(read(&scene.target()), link);
    let through =
        tree(&[("a", Node::Folder), ("a/folder", Node::Folder), ("a/folder/x", file("new")), ("b", file("new"))]);
    scene.install(&through);
    assert_eq!(read(&scene.target()), through);
    outside.check("written");
    scene.install(&link);
    scene.install(&tree(&[]));
    outside.check("removed");
}

/// Puts a link in the place of a folder of the target, in the moment before one of the changes.
#[derive(Debug)]
struct Swap {
    left: AtomicUsize,
    folder: PathBuf,
    to: PathBuf,
}

impl Watch for Swap {
    fn before(&self, _: &Op<'_>) -> io::Result<()> {
        if self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)) == Ok(1) {
            let _ = fs::rename(&self.folder, self.folder.with_file_name("swapped away"));
            let _ = symlink(&self.to, &self.folder);
        }
        Ok(())
    }

    fn after(&self, _: &Op<'_>) {}
}

#[test]
fn a_link_that_is_swapped_in_between_is_not_followed() {
    let old = tree(&[
        ("folder", Node::Folder),
        ("folder/folder", Node::Folder),
        ("folder/folder/x", file("old")),
        ("folder/gone", file("old")),
        ("folder/x", file("old")),
    ]);
    let new = tree(&[
        ("folder", Node::Folder),
        ("folder/folder", Node::Folder),
        ("folder/folder/x", file("new")),
        ("folder/new", Node::Folder),
        ("folder/new/y", file("new")),
        ("folder/x", file("new")),
    ]);
    for changes in 1..60 {
        let (scene, outside) = (Scene::new(), Outside::new());
        scene.install(&old);
        fs::write(scene.target().join("folder/folder/x"), "edited").expect("edited");
        let (stage, _) = scene.stage(&new, false, false).expect("a stage");
        let (left, folder) = (AtomicUsize::new(changes), scene.target().join("folder"));
        let swap = Swap { left, folder, to: outside.folder.path().to_owned() };
        // Whether it can be done is another matter.
        let _ = scene.finish(&stage, &Disk::watched(Arc::new(swap)));
        outside.check(&format!("at {changes}"));
        let _ = scene.finish_if_unfinished(&Disk::system());
        outside.check(&format!("finished, at {changes}"));
    }
}

/// A hard link to something outside: what it leads to is not changed, neither content nor mode.
#[test]
fn a_file_outside_that_has_a_name_in_the_target_too_is_not_changed() {
    let (scene, outside) = (Scene::new(), Outside::new());
    scene.install(&tree(&[("a", file("precious")), ("b", file("precious"))]));
    for name in ["a", "b"] {
        fs::remove_file(scene.target().join(name)).expect("removed");
        fs::hard_link(outside.path("x"), scene.target().join(name)).expect("a hard link");
    }
    let mode = fs::metadata(outside.path("x")).expect("a file").mode();
    let new = tree(&[("a", file("new")), ("b", Node::File("precious".into(), true))]);
    scene.install(&new);
    assert_eq!(read(&scene.target()), new);
    assert_eq!(fs::metadata(outside.path("x")).expect("a file").mode(), mode);
    outside.check("changed");
    // And one that gets its other name in the last moment.
    let (stage, _) = scene.stage(&tree(&[("b", file("precious"))]), false, false).expect("a stage");
    fs::hard_link(scene.target().join("b"), outside.path("b")).expect("a hard link");
    let mode = fs::metadata(outside.path("b")).expect("a file").mode();
    scene.finish(&stage, &Disk::system()).expect("switched");
    assert_eq!(fs::metadata(outside.path("b")).expect("a file").mode(), mode);
}

#[test]
fn set_user_id_is_not_kept_by_a_change_of_the_mode() {
    let scene = Scene::new();
    scene.install(&tree(&[("a", file("program"))]));
    fs::set_permissions(scene.target().join("a"), fs::Permissions::from_mode(0o4644)).expect("a mode");
    scene.install(&tree(&[("a", Node::File("program".into(), true))]));
    assert_eq!(fs::metadata(scene.target().join("a")).expect("a file").mode() & 0o7777, 0o755);
}

/// Links in the places of what lies around the target.
#[test]
fn links_beside_the_target_are_not_followed() {
    let (scene, outside) = (Scene::new(), Outside::new());
    scene.install(&tree(&[("x", file("one"))]));
    symlink(outside.folder.path(), scene.folder.path().join("tree.gosync-kept")).expect("a link");
    fs::write(scene.target().join("x"), "edited").expect("edited");
    scene.install(&tree(&[("x", file("two"))]));
    outside.check("kept");
    let kept = read(&scene.folder.path().join("tree.gosync-kept.1"));
    assert_eq!(kept, tree(&[("x", file("edited"))]));
    // A stage that is a link is none.
    let stage = scene.around().stage(Digest([3; 32]));
    symlink(outside.folder.path(), &stage).expect("a link");
    fs::write(outside.path("switch"), "not ours").expect("a file");
    assert_eq!(switch::unfinished(&scene.around()), None);
    scene.around().open_stage(&Disk::system(), &stage).expect_err("it is a link");
}

#[test]
fn pipes_and_the_like_are_moved_aside_and_not_opened() {
    let scene = Scene::new();
    fs::create_dir(scene.target()).expect("a target");
    let pipe = scene.target().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("a pipe");
    let is_unchanged = read_without(&scene.target(), "pipe");
    assert!(is_unchanged.is_empty());
}

/// What is in a directory without one entry.
fn read_without(top: &Path, name: &str) -> Vec<String> {
    let folder = Folder::open(top, "tree").expect("a folder");
    let walked = crate::tree::walk::walk(&folder, None, &crate::Cancel::new()).expect("a walk");
    walked.found.iter().map(|found| found.path.clone()).filter(|path| path != name).collect()
}

/// A file system that takes names for the same that differ by case, in a file that is mounted. Only root can do that.
struct Mounted {
    folder: tempfile::TempDir,
    device: String,
}

impl Mounted {
    fn new(kind: &str) -> Option<Mounted> {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, mount) = (folder.path().join("image"), folder.path().join("mount"));
        fs::File::create(&image).and_then(|file| file.set_len(32 << 20)).expect("an image");
        fs::create_dir(&mount).expect("a folder");
        let (image, mount) = (image.to_str()?, mount.to_str()?);
        let made = match kind {
            "ext4" => run("mkfs.ext4", &["-q", "-O", "casefold", image]),
            kind => run(&format!("mkfs.{kind}"), &[image]),
        };
        let device = made.and_then(|_| run("losetup", &["--find", "--show", image]));
        let Some(device) = device.map(|device| device.trim().to_owned()) else {
            println!("skipped: no {kind} can be made here");
            return None;
        };
        let mounted = run("mount", &["-t", kind, &device, mount])
            .or_else(|| run(&format!("mount.{kind}-fuse"), &[&device, mount]));
        if mounted.is_none() {
            run("losetup", &["--detach", &device]);
            println!("skipped: no {kind} can be mounted here");
            return None;
        }
        let mounted = Mounted { device, folder };
        if kind == "ext4" {
            fs::create_dir(mounted.path()).expect("a folder");
            run("chattr", &["+F", mounted.path().to_str()?]).expect("a folder that folds");
        } else {
            fs::create_dir(mounted.path()).expect("a folder");
        }
        Some(mounted)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mount/folder")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[self.folder.path().join("mount").to_str().expect("text")]);
        run("losetup", &["--detach", &self.device]);
    }
}

/// What a program says, if it succeeds.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names that differ by case alone are refused where they are the same, before anything is written; where that is not
/// noticed, one does not lead through the other; and a tree that has only other cases of letters is the same tree.
#[test]
fn names_that_are_the_same_to_a_file_system() {
    for kind in ["vfat", "exfat", "ext4"] {
        let Some(mounted) = Mounted::new(kind) else { continue };
        let stage = Disk::system().folder(&mounted.path()).expect("a stage");
        let outside = Outside::new();
        let clash = tree(&[("A", Node::Link(outside.text())), ("a", Node::Folder), ("a/x", file("new"))]);
        let error = system_names::check(&listing(&clash), &stage, None).expect_err("they clash");
        assert_eq!(error.kind(), ErrorKind::Format, "{kind}");
        let good = tree(&[("A", Node::Folder), ("A/x", file("one")), ("B", file("two"))]);
        let here = system_names::check(&listing(&good), &stage, None).expect("these can be written");
        assert_eq!((here.folds, here.has_modes), (true, kind == "ext4"), "{kind}");
        if kind != "ext4" {
            for name in ["a:b", "a?", "a*"] {
                let error = system_names::check(&listing(&tree(&[(name, file(""))])), &stage, None);
                assert_eq!(error.expect_err("none here").kind(), ErrorKind::Format, "{kind} {name:?}");
            }
        }
        let mut scene = Scene::in_folder(tempfile::tempdir_in(mounted.path()).expect("a folder"));
        scene.here = here;
        // As if nothing had been noticed.
        let _ = scene.update(&clash, false, &Disk::system());
        outside.check(kind);
        drop(scene);
        let mut scene = Scene::in_folder(tempfile::tempdir_in(mounted.path()).expect("a folder"));
        scene.here = here;
        scene.install(&good);
        let other = tree(&[("a", Node::Folder), ("a/X", file("one")), ("a/y", file("more")), ("b", file("other"))]);
        scene.update(&other, false, &Disk::system()).expect("an update");
        assert!(scene.kept().is_empty(), "{kind}: {:?}", scene.kept());
        for (path, content) in [("a/x", "one"), ("A/Y", "more"), ("b", "other")] {
            assert_eq!(fs::read_to_string(scene.target().join(path)).expect("a file"), content, "{kind}");
        }
        assert_eq!(read(&scene.target()).len(), 4, "{kind}");
        println!("{kind} folds, as it should");
    }
}
