//! Modes and times that a publisher says: every receiver has them, and nothing is fetched for them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use gosync_io::{ChangeKind, IndexOptions, VerifyOptions, What, verify_file};

use crate::model::{Site, Tree, Version, assert_same, file, put, read};

const YEAR: u64 = 365 * 24 * 3600;

fn release() -> Tree {
    let mut tree = Tree::new();
    put(&mut tree, "docs/page", file("a page"));
    put(&mut tree, "docs/copy", file("a page"));
    put(&mut tree, "private", file("x".repeat(3000)));
    put(&mut tree, "nothing", file(""));
    tree
}

fn set_time(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("a time");
}

fn time(path: &Path) -> u64 {
    let time = fs::metadata(path).expect("a file").modified().expect("a time");
    time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// What `verify` and a plan say of the target, which must be the same.
fn told(site: &Site, version: &Version) -> Vec<(String, What)> {
    let plan = site.job(&version.index, version.source(), site.options()).plan().expect("a plan");
    assert_eq!(plan.missing, 0);
    let planned = plan.changes.iter().map(|change| {
        let what = match change.what {
            ChangeKind::Mode => What::Mode,
            ChangeKind::Time => What::Time,
            other => panic!("{other:?} of {}", change.path),
        };
        (change.path.trim_end_matches('/').to_owned(), what)
    });
    let planned: Vec<(String, What)> = planned.collect();
    let verification = verify_file(&site.target, &version.index, &VerifyOptions::default()).expect("a verification");
    let found = verification.differences.into_iter().map(|difference| (difference.path, difference.what));
    assert_eq!(found.collect::<Vec<_>>(), planned);
    assert_eq!(plan.up_to_date, planned.is_empty());
    planned
}

#[test]
fn times_come_to_new_files_and_to_those_that_are_there() {
    let tree = release();
    let of = |page: u64| {
        let options = IndexOptions { times: true, ..IndexOptions::default() };
        Version::with(&tree, options, |folder| {
            set_time(&folder.join("docs/page"), page);
            set_time(&folder.join("docs/copy"), 20 * YEAR);
            set_time(&folder.join("private"), 30 * YEAR);
            set_time(&folder.join("nothing"), 1);
        })
    };
    let (first, second) = (of(10 * YEAR), of(11 * YEAR));
    assert_ne!(first.index.root(), second.index.root());
    let site = Site::empty();
    site.update(&first).expect("an update");
    assert_same(&read(&site.target), &tree, "made");
    let times = || ["docs/page", "docs/copy", "private", "nothing"].map(|path| time(&site.target.join(path)));
    assert_eq!(times(), [10 * YEAR, 20 * YEAR, 30 * YEAR, 1]);
    assert_eq!(told(&site, &first), []);

    // A version in which nothing but a time is another.
    assert_eq!(told(&site, &second), [("docs/page".to_owned(), What::Time)]);
    let done = site.update(&second).expect("an update");
    assert_eq!((done.fetched, done.written, done.up_to_date), (0, 0, false));
    assert_eq!(times(), [11 * YEAR, 20 * YEAR, 30 * YEAR, 1]);

    // Somebody has touched a file. What a file system rounds is none of that.
    set_time(&site.target.join("private"), 40 * YEAR);
    set_time(&site.target.join("docs/copy"), 20 * YEAR + 1);
    assert_eq!(told(&site, &second), [("private".to_owned(), What::Time)]);
    site.update(&second).expect("an update");
    assert_eq!(times(), [11 * YEAR, 20 * YEAR + 1, 30 * YEAR, 1]);
    assert_eq!(told(&site, &second), []);
    // The record knows the times that were given: nothing need be read.
    let nothing = crate::model::Failing::source(&second.payload, 0, |_| ());
    let quick = gosync_io::JobOptions { quick: true, ..site.options() };
    assert!(site.job(&second.index, nothing, quick).run().expect("an update").up_to_date);
}

#[cfg(not(unix))]
#[test]
fn modes_are_not_to_be_had_everywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = IndexOptions { modes: true, ..IndexOptions::default() };
    let error = gosync_io::index_file(folder.path(), &options).expect_err("no modes");
    assert_eq!(error.kind(), gosync_io::ErrorKind::Argument);
}

#[cfg(unix)]
mod modes {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use gosync_io::{JobOptions, Keep};

    use super::*;
    use crate::model::Node;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("an entry").permissions().mode() & 0o7777
    }

    fn version(tree: &Tree, modes: &[(&str, u32)]) -> Version {
        let options = IndexOptions { modes: true, times: true, ..IndexOptions::default() };
        Version::with(tree, options, |folder| {
            modes.iter().for_each(|(path, mode)| set_mode(&folder.join(path), *mode));
        })
    }

    #[test]
    fn modes_come_to_files_and_directories() {
        let mut tree = release();
        put(&mut tree, "app", Node::File("#!".into(), true));
        let said = [("docs/page", 0o444), ("docs/copy", 0o666), ("private", 0o600), ("app", 0o4750), ("docs", 0o750)];
        let first = version(&tree, &said);
        let site = Site::empty();
        site.update(&first).expect("an update");
        let modes = || said.map(|(path, _)| mode(&site.target.join(path)));
        // Nobody becomes another user by it.
        assert_eq!(modes(), [0o444, 0o666, 0o600, 0o750, 0o750]);
        assert_eq!(told(&site, &first), []);

        // What is there already gets other modes, and files of which nothing else changed are not written.
        let others = [("docs/page", 0o400), ("docs/copy", 0o666), ("private", 0o640), ("app", 0o700), ("docs", 0o711)];
        let second = version(&tree, &others);
        let numbers = || said.map(|(path, _)| fs::metadata(site.target.join(path)).expect("an entry").ino());
        let before = numbers();
        // Times are those of two folders made one after the other: what differs besides is their affair.
        let changed: Vec<String> =
            told(&site, &second).into_iter().filter(|(_, what)| *what == What::Mode).map(|(path, _)| path).collect();
        assert_eq!(changed, ["app", "docs", "docs/page", "private"]);
        let done = site.update(&second).expect("an update");
        assert_eq!((done.fetched, done.written, numbers()), (0, 0, before));
        assert_eq!(modes(), [0o400, 0o666, 0o640, 0o700, 0o711]);
        assert_eq!(told(&site, &second), []);
        assert!(!site.heard("mode_not_set"));
    }

    #[test]
    fn what_a_publisher_says_comes_before_what_would_be_kept() {
        let tree = |text: &str| {
            let mut tree = Tree::new();
            put(&mut tree, "file", file(text));
            tree
        };
        let site = Site::with(&tree("one"));
        set_mode(&site.target.join("file"), 0o600);
        set_time(&site.target.join("file"), YEAR);
        let second = version(&tree("two"), &[("file", 0o444)]);
        let keep: Keep = "mode,times".parse().expect("what is kept");
        let options = JobOptions { keep, ..site.options() };
        site.job(&second.index, second.source(), options).run().expect("an update");
        assert_eq!(mode(&site.target.join("file")), 0o444);
        assert_eq!(told(&site, &second), []);
    }

    #[test]
    fn what_has_another_name_elsewhere_is_not_touched_but_replaced() {
        let tree = release();
        let site = Site::empty();
        site.update(&version(&tree, &[("private", 0o600)])).expect("an update");
        let outside = site.folder.path().join("outside");
        fs::hard_link(site.target.join("private"), &outside).expect("a link");
        let second = version(&tree, &[("private", 0o644)]);
        site.update(&second).expect("an update");
        assert_eq!((mode(&site.target.join("private")), mode(&outside)), (0o644, 0o600));
        assert_eq!(told(&site, &second), []);
    }

    #[test]
    fn a_tree_never_locks_its_next_update_out() {
        // Even of a folder that its publisher cannot change, and a file that only others may read.
        let tree = release();
        let first = version(&tree, &[("docs/page", 0o044), ("docs", 0o055)]);
        let site = Site::empty();
        site.update(&first).expect("an update");
        assert_eq!((mode(&site.target.join("docs")), mode(&site.target.join("docs/page"))), (0o755, 0o444));
        assert_eq!(told(&site, &first), []);
    }

    #[test]
    fn a_finished_file_of_a_stage_is_gone_on_with_though_it_is_read_only() {
        // The stage of an update that ended before its switch: made by hand, and damaged since.
        let tree = release();
        let second = version(&tree, &[("private", 0o444)]);
        let site = Site::empty();
        let root = &second.index.root().expect("a root").to_string()[..16];
        let stage = site.folder.path().join(format!(".target.{root}.gosync-stage"));
        fs::create_dir_all(stage.join("new")).expect("a stage");
        let listing = second.index.listing().expect("a tree");
        let number = listing.entries().position(|entry| entry.path == "private").expect("the entry");
        let left = stage.join("new").join(number.to_string());
        fs::write(&left, "y".repeat(3000)).expect("a file");
        set_mode(&left, 0o444);
        site.update(&second).expect("an update");
        assert_same(&read(&site.target), &tree, "finished");
        assert_eq!(told(&site, &second), []);
    }
}
