//! `gosync lint`: what a publisher hears of a payload.

use std::fs;

use crate::support::{Folder, noise};

#[test]
fn a_packed_file_is_told_with_what_to_do() {
    let folder = Folder::new();
    folder.write("app.xz", &[b"\xfd7zXZ\0".as_slice(), &noise(1, 50_000)].concat());
    let run = folder.gosync(["lint", "app.xz"]).expect_code(0);
    for words in ["kind", "xz", "packed", "one stream", "publish what is in it uncompressed"] {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
    let last = folder.gosync(["lint", "app.xz", "--json"]).expect_code(0).last();
    assert_eq!((last["verb"].as_str(), last["kind"].as_str()), (Some("lint"), Some("xz")));
    assert_eq!(last["findings"][0]["rule"].as_str(), Some("packed"));
    assert_eq!(last["findings"][0]["level"].as_str(), Some("warning"));
    assert!(last["measured"].is_null() && last["length"].as_u64() == Some(50_006), "{last}");
}

#[test]
fn a_new_version_is_measured_against_an_old_one() {
    let (folder, release) = Folder::with_release();
    let last = folder.gosync(["lint", "new", "--old", "app", "--json"]).expect_code(0).last();
    let measured = &last["measured"];
    assert_eq!(measured["total"].as_u64(), Some(release.new.len() as u64));
    assert_eq!(
        measured["from_old"].as_u64().zip(measured["missing"].as_u64()).map(|(here, missing)| here + missing),
        measured["total"].as_u64()
    );
    let missing = measured["missing"].as_u64().expect("a number");
    assert!((50_777..55_000).contains(&missing), "{last}");
    assert!(last["findings"].as_array().is_some_and(Vec::is_empty), "{last}");
    let run = folder.gosync(["lint", "new", "--old", "app"]).expect_code(0);
    assert!(run.stdout.contains("findings") && run.stdout.contains("from old"), "{}", run.stdout);
}

#[test]
fn a_directory_is_looked_through() {
    let folder = Folder::new();
    for (version, seed) in [("old", 7), ("new", 8)] {
        fs::create_dir_all(folder.path(version).join("lib")).expect("folders");
        folder.write(format!("{version}/lib/same"), &noise(1, 100_000));
        folder.write(format!("{version}/lib/other"), &noise(seed, 10_000));
        folder.write(
            format!("{version}/page.gz"),
            &[b"\x1f\x8b\x08\0\x01\x02\x03\x04".as_slice(), &noise(2, 9000)].concat(),
        );
        folder.write(format!("{version}/left.log"), &noise(seed, 50_000));
    }
    let last = folder.gosync(["lint", "new/", "--old", "old", "--exclude", "*.log", "--json"]).expect_code(0).last();
    assert_eq!((last["kind"].as_str(), last["members"].as_u64()), (Some("directory"), Some(3)));
    let rules = last["findings"].as_array().expect("a list").iter().map(|finding| finding["rule"].as_str());
    assert_eq!(rules.collect::<Vec<_>>(), [Some("packed"), Some("time")], "{last}");
    let members = last["measured"]["members"].as_array().expect("a list");
    assert_eq!(members.len(), 1, "{last}");
    assert_eq!((members[0]["path"].as_str(), members[0]["missing"].as_u64()), (Some("lib/other"), Some(10_000)));
    let run = folder.gosync(["lint", "new", "--old", "old"]).expect_code(0);
    assert!(run.stdout.contains("48.83 KiB of 48.83 KiB missing: left.log"), "{}", run.stdout);
}

#[test]
fn what_cannot_be_looked_at_is_an_error() {
    let (folder, _) = Folder::with_release();
    folder.gosync(["lint", "nowhere"]).expect_code(3);
    folder.gosync(["lint", "new", "--old", "nowhere"]).expect_code(3);
    folder.gosync(["lint", "new", "--block-size", "3000"]).expect_code(2);
    folder.gosync(["lint", "new", "--exclude", "[z-a]"]).expect_code(0);
    folder.gosync(["lint"]).expect_code(2);
}
