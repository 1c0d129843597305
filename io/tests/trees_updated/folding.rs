//! New versions of which only letters of names are others: on file systems that take them for the same, and on those that do not.

use std::fs;

#[cfg(target_os = "linux")]
use gosync_io::ErrorKind;
use gosync_io::{ChangeKind, JobOptions, Verification, VerifyOptions, What, verify_file};

#[cfg(target_os = "linux")]
use crate::common::folds::Folding;
use crate::model::{Chance, Failing, Node, Site, Tree, Version, file, put, read};

/// What both versions have, by the names of either.
fn release(names: [&str; 4], changed: &str) -> Tree {
    let content = |seed| Chance::new(seed).bytes(50_000);
    let [readme, folder, one, two] = names;
    let mut tree = Tree::new();
    put(&mut tree, readme, file(content(1)));
    put(&mut tree, &format!("{folder}/{one}"), file(changed));
    put(&mut tree, &format!("{folder}/{two}"), file(content(2)));
    put(&mut tree, &format!("{folder}/below/deep"), file(content(3)));
    put(&mut tree, "same", file(content(4)));
    tree
}

/// Whether files may be executed is not asked where they do not know it.
fn without_modes(tree: Tree) -> Tree {
    let node = |node| if let Node::File(content, _) = node { Node::File(content, false) } else { node };
    tree.into_iter().map(|(path, of)| (path, node(of))).collect()
}

fn verify(site: &Site, version: &Version) -> Verification {
    verify_file(&site.target, &version.index, &VerifyOptions::default()).expect("verified")
}

/// Plan, update and verification agree that nothing is to be done.
fn check_settled(site: &Site, version: &Version, what: &str) {
    let job = site.job(&version.index, Failing::source(&version.payload, 0, |_| ()), site.options());
    let plan = job.plan().expect("a plan");
    assert!(plan.up_to_date, "{what}: {:?}", plan.changes);
    let done = job.run().expect("an update");
    assert!(done.up_to_date && done.written == 0, "{what}: {done:?}");
    let differences = verify(site, version).differences;
    assert!(differences.iter().all(|difference| difference.what == What::Extra), "{what}: {differences:?}");
}

fn names_become_the_new_ones(what: &str, place: impl Fn() -> Site, folds: bool) {
    let old = release(["Readme", "Lib", "One", "Stra\u{df}e"], "one");
    let new = release(["README", "lib", "ONE", "stra\u{df}e"], "another");
    for (has_record, quick, delete) in
        [(true, false, false), (false, false, false), (true, true, false), (true, false, true)]
    {
        let what = format!("{what}: record {has_record}, quick {quick}, delete {delete}");
        let (site, first, next) = (place(), Version::of(&old), Version::of(&new));
        if has_record {
            site.update(&first).expect("the old version");
        } else {
            crate::model::write(&old, &site.target);
        }
        fs::write(site.target.join("Lib/mine"), "mine").expect("a file");
        let differences = verify(&site, &next).differences;
        let missing = differences.iter().filter(|difference| difference.what == What::Missing);
        let missing: Vec<&str> = missing.map(|difference| difference.path.as_str()).collect();
        let options = JobOptions { quick, delete, ..site.options() };
        let plan = site.job(&next.index, next.source(), options.clone()).plan().expect("a plan");
        let renamed = plan.changes.iter().filter(|change| change.what == ChangeKind::Renamed);
        let renamed: Vec<_> =
            renamed.map(|change| (change.from.as_deref().unwrap_or_default(), &*change.path)).collect();
        assert!(!plan.up_to_date, "{what}");
        if folds {
            assert_eq!(missing, ["README", "lib", "lib/stra\u{df}e"], "{what}");
            assert_eq!(
                renamed,
                [("Readme", "README"), ("Lib/", "lib/"), ("Lib/Stra\u{df}e", "lib/stra\u{df}e")],
                "{what}: {:?}",
                plan.changes
            );
        }
        let done = site.job(&next.index, next.source(), options.clone()).run().expect("an update");
        let (mut found, mut right) = (without_modes(read(&site.target)), new.clone());
        if folds {
            if !options.delete {
                right.insert("lib/mine".to_owned(), file("mine"));
            }
            assert_eq!(done.written, "another".len() as u64, "{what}: what is only renamed is not written");
        } else {
            // What was the user's or may be is still there under the old names.
            found.retain(|path, _| new.contains_key(path));
        }
        assert!(found == right, "{what}: {:?}", found.keys());
        assert!(!site.names().iter().any(|name| name.contains("kept") || name.contains("stage")), "{what}");
        check_settled(&site, &next, &what);
    }
}

#[test]
fn letters_of_names_become_those_of_the_new_version() {
    names_become_the_new_ones("here", Site::empty, cfg!(any(windows, target_os = "macos")));
}

#[cfg(target_os = "linux")]
#[test]
fn letters_of_names_become_those_of_the_new_version_where_names_fold() {
    Folding::each(|on| {
        let place = || Site::in_folder(tempfile::tempdir_in(on.path()).expect("a folder"));
        names_become_the_new_ones(on.kind, place, true);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_one_are_refused_by_plan_and_update_alike() {
    Folding::each(|on| {
        let site = Site::in_folder(tempfile::tempdir_in(on.path()).expect("a folder"));
        let old = release(["Readme", "Lib", "One", "two"], "one");
        site.update(&Version::of(&old)).expect("the old version");
        let mut clash = old.clone();
        put(&mut clash, "Lib/ONE", file("another"));
        let version = Version::of(&clash);
        let job = site.job(&version.index, version.source(), site.options());
        assert_eq!(job.plan().expect_err("they clash").kind(), ErrorKind::Format, "{}", on.kind);
        assert_eq!(job.run().expect_err("they clash").kind(), ErrorKind::Format, "{}", on.kind);
        assert!(without_modes(read(&site.target)) == old, "{}", on.kind);
    });
}
