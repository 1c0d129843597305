//! What an index, a tree, or somebody who changes it meanwhile may try so that something outside the target is read, written
//! or removed: each attack by a test, by links above all. `outside` is what must stay as it is. Names are `names`'.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::Published;
use super::*;
use crate::tree::Folder;
use crate::{Digest, ErrorKind};

/// Something outside, and how it was.
pub(super) struct Outside {
    folder: tempfile::TempDir,
    before: Tree,
}

impl Outside {
    pub(super) fn new() -> Outside {
        let folder = tempfile::tempdir().expect("a folder");
        let before = tree(&[("folder", Node::Folder), ("folder/x", file("precious")), ("x", file("precious"))]);
        write(&before, folder.path());
        Outside { folder, before }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn text(&self) -> String {
        self.folder.path().to_str().expect("text").to_owned()
    }

    pub(super) fn check(&self, what: &str) {
        assert_eq!(read(self.folder.path()), self.before, "{what}");
    }
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

/// A system that does not let this account make links.
#[derive(Debug, Default)]
struct NoLinks(Mutex<Vec<PathBuf>>);

impl Watch for NoLinks {
    fn before(&self, op: &Op<'_>) -> io::Result<()> {
        match op {
            Op::Link { .. } => Err(io::Error::from_raw_os_error(1314)),
            Op::Create { path, .. } => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push((*path).to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn after(&self, _: &Op<'_>) {}
}

/// As on Windows, for whose number of an error no other system has a meaning.
#[test]
fn who_may_not_make_links_is_told_so_before_anything_is_made() {
    let old = tree(&[("good", file("old"))]);
    let scene = Scene::new();
    Published::new(&old).update(&scene, false, Disk::system()).expect("the old version");
    let new = tree(&[("good", file("new")), ("link", Node::Link("good".into()))]);
    let watch = Arc::new(NoLinks::default());
    let watched = Disk::watched(Arc::clone(&watch) as Arc<dyn Watch>);
    let error = Published::new(&new).update(&scene, false, watched).expect_err("it may not");
    assert_eq!(error.kind(), ErrorKind::Permission);
    assert!(error.to_string().contains("SeCreateSymbolicLinkPrivilege"), "{error}");
    assert_eq!(error.context().iter().find(|(key, _)| *key == "path").map(|(_, path)| &**path), Some("link"));
    assert_eq!((read(&scene.target()), scene.beside()), (old, vec![".tree.gosync-installed".to_owned()]));
    let made = watch.0.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(made.iter().all(|path| !path.parent().is_some_and(|folder| folder.ends_with("new"))), "{made:?}");
}
