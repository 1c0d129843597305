//! Arguments that make no sense, and the help that says what does.

use crate::support::Folder;

#[test]
fn help_and_version_are_not_errors() {
    let folder = Folder::new();
    let help = folder.gosync(["--help"]).expect_code(0);
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains("130"), "{}", help.stdout);
    for verb in ["index", "plan", "update", "verify", "info"] {
        assert!(help.stdout.contains(verb));
        let help = folder.gosync([verb, "--help"]).expect_code(0);
        for option in ["--json", "--quiet", "--verbose", "--log", "--threads"] {
            assert!(help.stdout.contains(option), "{verb} lacks {option}");
        }
    }
    assert!(folder.gosync(["--version"]).expect_code(0).stdout.starts_with("gosync "));
}

#[test]
fn wrong_arguments_are_refused_before_anything_happens() {
    let (folder, release) = Folder::with_release();
    let before = folder.names();
    let cases: &[&[&str]] = &[
        &[],
        &["sync"],
        &["update"],
        &["update", "app"],
        &["update", "--index", "new.gosync"],
        &["update", "app", "-o", "other", "--index", "new.gosync"],
        &["update", "app", "--index", "new.gosync", "--max-bytes-in-flight", "many"],
        &["update", "app", "--index", "new.gosync", "--retries", "-1"],
        &["update", "app", "--index", "new.gosync", "--timeout", "soon"],
        &["index", "new", "-o", "x", "--block-size", "3000"],
        &["index", "new", "-o", "x", "--block-size", "1MiB"],
        &["index", "new", "-o", "new"],
        &["index", "new", "-o", "./new"],
    ];
    for case in cases {
        let run = folder.gosync(*case).expect_code(2);
        assert_eq!(run.stdout, "", "{case:?}");
        assert_ne!(run.stderr, "", "{case:?}");
    }
    assert_eq!(folder.names(), before);
    assert_eq!((folder.read("app"), folder.read("new")), (release.old, release.new));
}

#[cfg(unix)]
#[test]
fn the_index_never_overwrites_its_file_through_a_link() {
    let (folder, release) = Folder::with_release();
    std::os::unix::fs::symlink("new", folder.path("link")).unwrap();
    folder.gosync(["index", "new", "-o", "link"]).expect_code(2).error();
    folder.gosync(["index", "link", "-o", "new"]).expect_code(2).error();
    assert_eq!(folder.read("new"), release.new);
}

#[test]
fn wrong_arguments_end_in_json_too() {
    let folder = Folder::new();
    let last = folder.gosync(["update", "app", "--json"]).expect_code(2).last();
    assert_eq!((last["event"].as_str(), last["kind"].as_str()), (Some("error"), Some("ARGUMENT")));
    assert!(last["message"].as_str().is_some_and(|text| text.contains("--index")), "{last}");
}

#[test]
fn limits_and_sizes_are_passed_on() {
    let (folder, release) = Folder::with_release();
    let run = folder.gosync(["info", "new.gosync", "--max-index-size", "1kB"]).expect_code(5);
    run.error();
    folder.gosync(["info", "new.gosync", "--max-index-size", "10 MiB"]).expect_code(0);
    let mut args = vec!["update", "app", "--index", "new.gosync", "--max-requests", "1", "--max-bytes-in-flight"];
    args.extend(["64KiB", "--retries", "0", "--timeout", "500ms", "--connections", "1", "--threads", "1"]);
    folder.gosync(args).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
}
