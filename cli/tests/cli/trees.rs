//! Directories: described, shown, compared, updated.

use std::fs;

use crate::server::{Habit, Server};
use crate::support::{Folder, noise};

fn tree() -> Folder {
    let folder = Folder::new();
    for path in ["app/lib/deep", "app/empty"] {
        fs::create_dir_all(folder.path(path)).expect("folders");
    }
    folder.write("app/main", &noise(1, 300_000));
    folder.write("app/lib/deep/data", &noise(2, 5000));
    folder.write("app/lib/again", &noise(2, 5000));
    folder.write("app/x.log", b"a log");
    folder
}

#[test]
fn a_directory_is_described_shown_and_compared() {
    let folder = tree();
    // A slash at the end changes nothing: the index is beside the directory.
    let run = folder.gosync(["index", "app/", "--exclude", "*.log", "--json"]).expect_code(0);
    let (made, root) = (run.last(), run.last()["root"].as_str().expect("a root").to_owned());
    assert_eq!((made["kind"].as_str(), made["entry_count"].as_u64()), (Some("tree"), Some(6)));
    assert_eq!((made["source"].as_str(), made["path"].as_str()), (Some("app"), Some("app.gosync")));
    let info = folder.gosync(["info", "app.gosync", "--expect", &root]).expect_code(0).stdout;
    assert!(info.contains("tree") && info.contains(&root), "{info}");
    let run = folder.gosync(["verify", "app", "--index", "app.gosync"]).expect_code(0);
    assert!(
        run.stdout.contains("match") && run.stdout.contains("extra") && run.stdout.contains("x.log"),
        "{}",
        run.stdout
    );

    let mut content = noise(1, 300_000);
    content[100_000] ^= 1;
    folder.write("app/main", &content);
    fs::remove_file(folder.path("app/lib/again")).expect("removed");
    let run = folder.gosync(["verify", "app", "--index", "app.gosync", "--json"]).expect_code(1);
    let last = run.last();
    assert_eq!((last["is_match"].as_bool(), last["damaged"].as_array().map(Vec::len)), (Some(false), Some(0)));
    let told: Vec<_> = last["differences"].as_array().expect("a list").iter().collect();
    let what = |at: usize| (told[at]["path"].as_str().expect("a path"), told[at]["what"].as_str().expect("a word"));
    assert_eq!([what(0), what(1), what(2)], [("lib/again", "missing"), ("main", "changed"), ("x.log", "extra")]);
    assert_eq!(told[1]["damaged"][0]["offset"].as_u64(), Some(100_000 / 1024 * 1024));
    let run = folder.gosync(["verify", "app", "--index", "app.gosync"]).expect_code(1);
    assert!(run.stdout.contains("different") && run.stdout.contains("missing    lib/again"), "{}", run.stdout);
}

#[test]
fn an_index_of_a_directory_comes_from_a_server_too() {
    let folder = tree();
    folder.gosync(["index", "app", "-q"]).expect_code(0);
    let server = Server::start();
    server.publish("app.gosync", folder.read("app.gosync"), Habit::Good);
    folder.gosync(["verify", "app", "--index", &server.url("app.gosync")]).expect_code(0);
    let run = folder.gosync(["update", "app", "--index", &server.url("app.gosync"), "--json"]).expect_code(0);
    assert_eq!(run.last()["up_to_date"].as_bool(), Some(true));
    let run = folder.gosync(["plan", "new", "--index", "app.gosync", "--json"]).expect_code(0);
    assert_eq!(run.last()["missing"].as_u64(), run.last()["total"].as_u64());
    folder.gosync(["update", "app/main", "--index", "app.gosync"]).expect_code(2);
}

#[test]
fn a_directory_is_updated_from_a_seed() {
    let folder = tree();
    folder.gosync(["index", "app", "-q"]).expect_code(0);
    fs::rename(folder.path("app"), folder.path("kept")).expect("renamed");
    folder.gosync(["update", "app", "--index", "app.gosync", "--seed", "kept"]).expect_code(0);
    folder.gosync(["verify", "app", "--index", "app.gosync"]).expect_code(0);
    folder.write("app/more", b"mine");
    folder.gosync(["update", "app", "--index", "app.gosync", "--quick"]).expect_code(0);
    assert_eq!(folder.read("app/more"), b"mine");
    folder.gosync(["update", "app", "--index", "app.gosync", "--delete"]).expect_code(0);
    assert!(!folder.path("app/more").exists());
}

#[test]
fn an_index_is_not_written_into_what_it_describes() {
    let folder = tree();
    for output in ["app/x.gosync", "app/lib/deep/x.gosync"] {
        let run = folder.gosync(["index", "app", "-o", output]).expect_code(2);
        assert!(run.error().contains("in the directory that it describes"), "{}", run.stderr);
    }
    folder.gosync(["index", "app/lib/.."]).expect_code(2);
    folder.gosync(["index", "app", "--format", "legacy"]).expect_code(2);
    folder.gosync(["index", "app", "--exclude", "[z-a]"]).expect_code(2);
    folder.gosync(["verify", "app/main", "--index", "app"]).expect_code(3);
}
