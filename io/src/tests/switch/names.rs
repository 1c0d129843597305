//! Names that an index may have and that lead elsewhere, or are something else to the system: refused before anything is
//! touched, or written as what they are. On every system, because each has others.

use super::job::Published;
use super::*;
use crate::{Digest, EntryKind, ErrorKind};

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
}

#[test]
#[cfg_attr(windows, ignore = "paths are not as long there")]
fn the_deepest_path_can_be_switched() {
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

/// Names that are names to Unix, and to Windows a drive, a stream, a path, a device or another name.
#[test]
fn what_a_system_takes_for_something_else_is_refused_there_and_nothing_is_touched() {
    let old = tree(&[("good", file("old"))]);
    for name in [
        "C:",
        "C:good",
        "C:\\x",
        "good:stream",
        "\\\\server\\x",
        "..\\x",
        "a\\..\\..\\x",
        "con",
        "NUL.txt",
        "Com1",
        "lpt9.x",
        "aux ",
        "CONOUT$",
        "a.",
        "good.",
        "good ",
        "a?",
        "a*",
        "a<",
        "a|b",
        "a\"b",
        "a\u{1}b",
    ] {
        let scene = Scene::new();
        Published::new(&old).update(&scene, false, Disk::system()).expect("the old version");
        let new = Published::named(&[(name, "new")]);
        let outcome = new.update(&scene, true, Disk::system());
        if cfg!(windows) {
            assert_eq!(outcome.expect_err("it is refused").kind(), ErrorKind::Format, "{name:?}");
            assert_eq!(read(&scene.target()), old, "{name:?}");
        } else {
            outcome.expect(name);
            assert_eq!(read(&scene.target()), tree(&[(name, file("new"))]));
        }
        assert_eq!(scene.beside(), [".tree.gosync-installed"], "{name:?}");
        assert!(scene.kept().is_empty(), "{name:?}");
    }
}

#[test]
fn names_that_are_one_to_the_system_are_refused_there_and_nothing_is_touched() {
    let old = tree(&[("good", file("old"))]);
    for [one, other] in [["GOOD", "good"], ["Good", "gooD"], ["\u{c4}", "\u{e4}"]] {
        let scene = Scene::new();
        Published::new(&old).update(&scene, false, Disk::system()).expect("the old version");
        let new = Published::named(&[(one, "one"), (other, "other")]);
        let outcome = new.update(&scene, true, Disk::system());
        if cfg!(any(windows, target_os = "macos")) {
            assert_eq!(outcome.expect_err("it is refused").kind(), ErrorKind::Format, "{one}");
            assert_eq!(read(&scene.target()), old, "{one}");
        } else {
            outcome.expect(one);
            assert_eq!(read(&scene.target()), tree(&[(one, file("one")), (other, file("other"))]));
        }
        assert_eq!(scene.beside(), [".tree.gosync-installed"], "{one}");
    }
}

#[test]
fn a_name_of_what_gosync_keeps_itself_is_refused_whatever_its_letters() {
    for name in [
        ".tree.gosync-installed",
        ".TREE.GOSYNC-INSTALLED",
        ".tree.0123456789abcdef.Gosync-Stage",
        "tree.go\u{17f}ync-\u{212a}ept",
        ".x.gosync\u{ad}-lock",
    ] {
        let scene = Scene::new();
        let error = Published::named(&[(name, "x")]).update(&scene, false, Disk::system()).expect_err("it is ours");
        assert_eq!(error.kind(), ErrorKind::Format, "{name:?}");
        assert!(!scene.target().exists() && scene.beside().is_empty(), "{name:?}");
    }
}

/// Only letters of names change: to a file system that folds they are the same names, to others they are others.
#[test]
fn names_become_exactly_those_of_the_new_version() {
    let old =
        tree(&[("Lib", Node::Folder), ("Lib/One", file("one")), ("Lib/two", file("two")), ("Readme", file("text"))]);
    let new =
        tree(&[("README", file("text")), ("lib", Node::Folder), ("lib/ONE", file("1")), ("lib/two", file("two"))]);
    let scene = Scene::new();
    Published::new(&old).update(&scene, false, Disk::system()).expect("the old version");
    let published = Published::new(&new);
    published.update(&scene, false, Disk::system()).expect("an update");
    assert_eq!(read(&scene.target()), new);
    assert!(scene.kept().is_empty(), "{:?}", scene.kept());
    let again = published.update(&scene, false, Disk::system()).expect("an update");
    assert!(again.up_to_date, "{again:?}");
}
