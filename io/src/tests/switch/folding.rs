//! Directories on file systems that take names for the same whatever the case of their letters.

use std::fs;

use super::hostile::Outside;
use super::*;
use crate::tests::common::folds::Folding;
use crate::tree::system_names::{self, Here};
use crate::{Cancel, Error, ErrorKind};

fn check(on: &Folding, tree: &Tree) -> Result<Here, Error> {
    let stage = Disk::system().folder(&on.path()).expect("a stage");
    system_names::check(&listing(tree), &stage, None, std::iter::empty(), &Cancel::new())
}

fn scene(on: &Folding, here: Here) -> Scene {
    let mut scene = Scene::in_folder(tempfile::tempdir_in(on.path()).expect("a folder"));
    scene.here = here;
    scene
}

/// Whether files may be executed is not asked where they do not know it.
fn seen(on: &Folding, tree: Tree) -> Tree {
    if on.has_modes() { tree } else { without_modes(tree) }
}

/// Names that differ by case alone are refused where they are the same, before anything is written; where that is not
/// noticed, one does not lead through the other; and a tree that has only other cases of letters is the same tree, renamed.
#[test]
fn names_that_are_the_same_to_a_file_system() {
    Folding::each(|on| {
        let kind = on.kind;
        let outside = Outside::new();
        let clash = tree(&[("A", Node::Link(outside.text())), ("a", Node::Folder), ("a/x", file("new"))]);
        assert_eq!(check(on, &clash).expect_err("they clash").kind(), ErrorKind::Format, "{kind}");
        let good = tree(&[("A", Node::Folder), ("A/x", file("one")), ("B", file("two"))]);
        let here = check(on, &good).expect("these can be written");
        assert_eq!((here.folds, here.keeps_form, here.has_modes), (true, true, on.has_modes()), "{kind}");
        if !on.has_modes() {
            for name in ["a:b", "a?", "a*"] {
                let error = check(on, &tree(&[(name, file(""))])).expect_err("none here");
                assert_eq!(error.kind(), ErrorKind::Format, "{kind} {name:?}");
            }
        }
        let hostile = scene(on, here);
        // As if nothing had been noticed.
        let _ = hostile.update(&clash, false, &Disk::system());
        outside.check(kind);
        drop(hostile);
        let scene = scene(on, here);
        scene.install(&good);
        let other = tree(&[("a", Node::Folder), ("a/X", file("one")), ("a/y", file("more")), ("b", file("other"))]);
        let changes = scene.update(&other, false, &Disk::system()).expect("an update");
        assert_eq!(changes.staged.len(), 2, "{kind}: what is only renamed is not made anew");
        assert!(scene.kept().is_empty(), "{kind}: {:?}", scene.kept());
        assert_eq!(seen(on, read(&scene.target())), other, "{kind}");
        let again = scene.changes(&other, false, false).expect("changes");
        assert!(again.is_empty(), "{kind}: {again:?}");
        println!("{kind} folds, as it should");
    });
}

/// Whatever change of a switch is the first that is not made: the names are the new ones in the end.
#[test]
fn names_that_are_spelt_anew_survive_a_kill_anywhere() {
    let old = tree(&[
        ("Lib", Node::Folder),
        ("Lib/Sub", Node::Folder),
        ("Lib/Sub/One", file("one")),
        ("Lib/two", file("two")),
        ("Readme", file("text")),
    ]);
    let new = tree(&[
        ("LIB", Node::Folder),
        ("LIB/sub", Node::Folder),
        ("LIB/sub/ONE", file("another one")),
        ("LIB/sub/new", file("new")),
        ("LIB/two", file("two")),
        ("README", file("text")),
    ]);
    Folding::each(|on| {
        let here = check(on, &new).expect("these can be written");
        for changes in 0.. {
            let scene = scene(on, here);
            scene.install(&old);
            fs::write(scene.target().join("Lib/mine"), "mine").expect("a file");
            let (stage, _) = scene.stage(&new, false, false).expect("a stage");
            let killed = scene.finish(&stage, &Disk::watched(Arc::new(Killed(AtomicUsize::new(changes))))).is_err();
            scene.finish_if_unfinished(&Disk::system()).expect("finished");
            let mut right = new.clone();
            right.insert("LIB/mine".into(), file("mine"));
            assert_eq!(seen(on, read(&scene.target())), right, "{}: {changes} changes", on.kind);
            assert!(scene.kept().is_empty(), "{}: {:?}", on.kind, scene.kept());
            if !killed {
                break;
            }
        }
    });
}
