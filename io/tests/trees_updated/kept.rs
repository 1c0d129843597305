//! What an update of a directory leaves as it was: modes and attributes of files that are replaced, holes, what it knows
//! nothing of, and what it cannot look at.

use std::fs;

#[cfg(unix)]
use gosync_io::{JobOptions, Keep};

#[cfg(unix)]
use crate::model::Chance;
use crate::model::{Site, Tree, Version, assert_same, file, put, read};

#[cfg(unix)]
fn mode(site: &Site, path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(site.target.join(path)).expect("a file").permissions().mode() & 0o7777
}

#[cfg(unix)]
#[test]
fn of_replaced_files_modes_and_attributes_are_kept() {
    use std::os::unix::fs::PermissionsExt;

    use crate::model::Node;
    let tree = |content: &str, is_executable| {
        let mut tree = Tree::new();
        put(&mut tree, "private", file(content));
        put(&mut tree, "program", Node::File(content.into(), is_executable));
        put(&mut tree, "special", Node::File(content.into(), true));
        tree
    };
    let site = Site::with(&tree("one", true));
    let set = |path: &str, mode| {
        fs::set_permissions(site.target.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    set("private", 0o640);
    set("program", 0o750);
    set("special", 0o6755);
    let attribute = xattr::set(site.target.join("private"), "user.note", b"mine");
    site.update(&Version::of(&tree("two", false))).expect("an update");
    assert_eq!(fs::read(site.target.join("private")).expect("a file"), b"two");
    // Whether it may be executed, the index says; who else may, the old file; and nobody becomes another user by it.
    assert_eq!([mode(&site, "private"), mode(&site, "program"), mode(&site, "special")], [0o640, 0o640, 0o755]);
    if attribute.is_ok() {
        assert_eq!(xattr::get(site.target.join("private"), "user.note").expect("attributes"), Some(b"mine".to_vec()));
    }
    site.update(&Version::of(&tree("three", true))).expect("an update");
    assert_eq!([mode(&site, "private"), mode(&site, "program")], [0o640, 0o750]);
    // Who may execute a program without reading it may still do so.
    set("program", 0o751);
    site.update(&Version::of(&tree("more", true))).expect("an update");
    assert_eq!(mode(&site, "program"), 0o751);
    // As any new file, where that is asked for.
    let version = Version::of(&tree("four", true));
    let options = JobOptions { keep: Keep::NONE, ..site.options() };
    site.job(&version.index, version.source(), options).run().expect("an update");
    let beside = site.folder.path().join("beside");
    fs::write(&beside, "").expect("a file");
    let usual = fs::metadata(&beside).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&site, "private"), usual);
    assert!(!site.heard("not_kept"));
}

#[cfg(unix)]
#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    const MIB: usize = 1 << 20;
    let mut chance = Chance::new(1);
    let mut content = vec![0; 40 * MIB];
    content[..MIB].copy_from_slice(&chance.bytes(MIB));
    content[39 * MIB..].copy_from_slice(&chance.bytes(MIB));
    let mut tree = Tree::new();
    put(&mut tree, "image", file(content));
    let site = Site::empty();
    site.update(&Version::of(&tree)).expect("an update");
    assert_same(&read(&site.target), &tree, "made");
    let taken = fs::metadata(site.target.join("image")).expect("a file").blocks() * 512;
    assert!(taken < 8 * MIB as u64, "{taken} bytes are taken");
}

#[test]
fn where_the_record_is_lost_everything_that_differs_is_the_users() {
    let tree = |content: &str| {
        let mut tree = Tree::new();
        put(&mut tree, "a/one", file(content));
        put(&mut tree, "same", file("same"));
        tree
    };
    let site = Site::empty();
    site.update(&Version::of(&tree("first"))).expect("an update");
    fs::write(site.target.join("a/one"), "edited").expect("a file");
    let record = site.folder.path().join(".target.gosync-installed");
    let mut bytes = fs::read(&record).expect("the record");
    bytes[40] ^= 1;
    fs::write(&record, bytes).expect("the record");
    site.update(&Version::of(&tree("second"))).expect("an update");
    assert!(site.heard("record_lost") && site.heard("kept"), "{:?}", site.events);
    assert_same(&read(&site.target), &tree("second"), "updated");
    let kept = site.folder.path().join("target.gosync-kept");
    assert_eq!(fs::read(kept.join("a/one")).expect("what was kept"), b"edited");
    // There is a record again.
    site.events.lock().expect("the events").clear();
    site.update(&Version::of(&tree("third"))).expect("an update");
    assert!(!site.heard("record_lost") && !site.heard("kept"), "{:?}", site.events);
}

/// Deeper than a listing goes, so that nothing in there is looked at.
#[test]
#[cfg_attr(windows, ignore = "paths are not as long there")]
fn what_cannot_be_looked_at_is_left_alone() {
    let tree = |content: &str| {
        let mut tree = Tree::new();
        put(&mut tree, "one", file(content));
        tree
    };
    let site = Site::with(&tree("first"));
    let deep = site.target.join(["d"; 300].join("/"));
    fs::create_dir_all(&deep).and_then(|()| fs::write(deep.join("mine"), "mine")).expect("a deep file");
    site.update(&Version::of(&tree("second"))).expect("an update");
    assert!(site.heard("unreadable"));
    assert_eq!(fs::read(deep.join("mine")).expect("a deep file"), b"mine");
    assert_eq!(fs::read(site.target.join("one")).expect("a file"), b"second");
    // Who wants nothing besides is told.
    site.mirror(&Version::of(&tree("third"))).expect_err("it cannot be removed");
    assert_eq!(fs::read(deep.join("mine")).expect("a deep file"), b"mine");
}
