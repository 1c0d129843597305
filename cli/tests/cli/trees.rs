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

#[cfg(unix)]
#[test]
fn modes_and_times_are_said_and_set() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tree();
    fs::set_permissions(folder.path("app/main"), fs::Permissions::from_mode(0o640)).expect("a mode");
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(folder.path("app/main")).expect("a file");
    file.set_modified(time).expect("a time");
    folder.gosync(["index", "app", "--modes", "--times", "-q"]).expect_code(0);
    folder.gosync(["update", "new", "--index", "app.gosync", "-q"]).expect_code(0);
    let about = fs::metadata(folder.path("new/main")).expect("a file");
    assert_eq!((about.mode() & 0o7777, about.mtime()), (0o640, 1_000_000_000));
    folder.gosync(["verify", "new", "--index", "app.gosync"]).expect_code(0);
    fs::set_permissions(folder.path("new/main"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let run = folder.gosync(["plan", "new", "--index", "app.gosync"]).expect_code(0);
    assert!(run.stdout.contains("mode") && run.stdout.contains("main"), "{}", run.stdout);
    let run = folder.gosync(["verify", "new", "--index", "app.gosync"]).expect_code(1);
    assert!(run.stdout.contains("mode") && run.stdout.contains("main"), "{}", run.stdout);
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
fn a_plan_lists_what_changes_and_an_update_keeps_what_is_the_users() {
    let folder = tree();
    folder.gosync(["index", "app", "-q", "-o", "app.gosync"]).expect_code(0);
    folder.gosync(["update", "copy", "--index", "app.gosync", "--seed", "app"]).expect_code(0);
    fs::create_dir(folder.path("app/moved")).expect("a folder");
    fs::rename(folder.path("app/lib/again"), folder.path("app/moved/again")).expect("renamed");
    folder.write("app/main", b"the next version");
    folder.gosync(["index", "app", "-q", "-o", "app.gosync"]).expect_code(0);
    folder.write("copy/main", b"edited");
    let arguments = ["copy", "--index", "app.gosync", "--seed", "app"];
    let run = folder.gosync([&["plan", "--json"], &arguments[..]].concat()).expect_code(0);
    let changes: Vec<_> = run.last()["changes"].as_array().expect("a list").clone();
    let text = |at: usize, key: &str| changes[at][key].as_str().map(str::to_owned);
    let list: Vec<_> = (0..changes.len()).map(|at| (text(at, "path"), text(at, "what"), text(at, "from"))).collect();
    let entry = |path: &str, what: &str, from: Option<&str>| {
        (Some(path.to_owned()), Some(what.to_owned()), from.map(str::to_owned))
    };
    let right = [
        entry("main", "kept", None),
        entry("main", "changed", None),
        entry("moved/", "added", None),
        entry("moved/again", "renamed", Some("lib/again")),
    ];
    assert_eq!(list, right);
    assert_eq!(changes[0]["size"].as_u64(), Some(6));
    let run = folder.gosync([&["plan"], &arguments[..]].concat()).expect_code(0);
    assert!(run.stdout.contains("moved/again (was lib/again)") && run.stdout.contains("1 entry"), "{}", run.stdout);
    folder.gosync([&["update"], &arguments[..]].concat()).expect_code(0);
    assert_eq!(folder.read("copy/main"), b"the next version");
    assert_eq!(folder.read("copy.gosync-kept/main"), b"edited");
    folder.gosync(["verify", "copy", "--index", "app.gosync"]).expect_code(0);
}

/// Two ways to have the directory: put there by somebody, and installed by an update, which has left its record.
#[test]
fn a_damaged_directory_is_repaired_by_what_is_damaged_and_keeps_what_is_the_users() {
    for is_installed in [false, true] {
        let folder = tree();
        let missing = noise(3, 40_000);
        folder.write("app/lib/missing", &missing);
        folder.gosync(["index", "app", "-q"]).expect_code(0);
        // The index is here, so that the server counts content alone.
        let server = Server::start();
        for name in ["main", "lib/deep/data", "lib/again", "lib/missing", "x.log"] {
            server.publish(&format!("app/{name}"), folder.read(format!("app/{name}")), Habit::Good);
        }
        if is_installed {
            folder.gosync(["update", "copy", "--index", "app.gosync"]).expect_code(0);
        } else {
            fs::rename(folder.path("app"), folder.path("copy")).expect("renamed");
        }
        let right = noise(1, 300_000);
        let mut damaged = right.clone();
        damaged[100_000] ^= 1;
        folder.write("copy/main", &damaged);
        fs::remove_file(folder.path("copy/lib/missing")).expect("removed");
        folder.write("copy/lib/mine", b"of the user");

        let (source, index) = (server.url("app/"), ["verify", "copy", "--index", "app.gosync"]);
        let run = folder.gosync([&index[..], &["--repair", "--source", &source, "--json"]].concat()).expect_code(0);
        let last = run.last();
        assert_eq!((last["repaired"].as_bool(), last["is_match"].as_bool()), (Some(true), Some(false)));
        let told = last["differences"].as_array().expect("a list").iter();
        let told: Vec<_> = told.map(|one| (one["path"].as_str(), one["what"].as_str())).collect();
        let differences = [("lib/missing", "missing"), ("main", "changed"), ("lib/mine", "extra")];
        assert_eq!(told, differences.map(|(path, what)| (Some(path), Some(what))));
        // What is missing as a whole, and a block at the place that is damaged: no more, neither sent nor said.
        let (sent, fetched) = (server.bytes(), last["fetched"].as_u64().expect("a number"));
        let range = missing.len() as u64 + 1..=missing.len() as u64 + 2048;
        assert!(range.contains(&sent) && range.contains(&fetched), "{sent} bytes sent: {last}");

        assert!(folder.read("copy/main") == right && folder.read("copy/lib/missing") == missing, "another result");
        assert_eq!(folder.read("copy/lib/mine"), b"of the user");
        // Nobody knows whether the user has damaged what an update had installed.
        let kept = folder.path("copy.gosync-kept/main");
        assert_eq!(fs::read(kept).ok(), is_installed.then_some(damaged));
        let run = folder.gosync([&index[..], &["--json"]].concat()).expect_code(0);
        let (last, sent) = (run.last(), server.bytes());
        assert_eq!((last["is_match"].as_bool(), last["unfinished"].as_bool()), (Some(true), Some(false)));
        let told: Vec<_> =
            last["differences"].as_array().expect("a list").iter().map(|one| one["path"].as_str()).collect();
        assert_eq!(told, [Some("lib/mine")]);
        // Once more there is nothing to do.
        folder.gosync([&index[..], &["--repair", "--source", &source]].concat()).expect_code(0);
        assert_eq!(server.bytes(), sent);
    }
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

#[test]
fn a_directory_is_published_in_packs() {
    let folder = tree();
    fs::create_dir(folder.path("site")).expect("a folder");
    let publish = ["index", "app", "-o", "site/app.gosync", "--content", "site/packs", "--json"];
    let run = folder.gosync(publish).expect_code(0);
    assert_eq!(run.last()["source"].as_str(), Some("packs"));
    let packs = || fs::read_dir(folder.path("site/packs")).expect("packs").count();
    assert_eq!(packs(), 1);
    folder.gosync(["update", "copy", "--index", "site/app.gosync"]).expect_code(0);
    folder.gosync(["verify", "copy", "--index", "site/app.gosync"]).expect_code(0);
    // What is replaced is the version before: a small pack more.
    folder.write("app/more", b"something new");
    folder.gosync(publish).expect_code(0);
    assert_eq!(packs(), 2);
    let server = Server::start();
    server.publish("app.gosync", folder.read("site/app.gosync"), Habit::Good);
    for pack in fs::read_dir(folder.path("site/packs")).expect("packs") {
        let path = pack.expect("a pack").path();
        let name = format!("packs/{}", path.file_name().expect("a name").to_str().expect("text"));
        server.publish(&name, fs::read(&path).expect("a pack"), Habit::Good);
    }
    let run = folder.gosync(["update", "copy", "--index", &server.url("app.gosync"), "--json"]).expect_code(0);
    assert!(run.last()["fetched"].as_u64().is_some_and(|fetched| fetched < 2000), "{}", run.stdout);
    assert_eq!(folder.read("copy/more"), b"something new");
    // Another version beside it keeps its packs; when it is gone, they go.
    fs::copy(folder.path("site/app.gosync"), folder.path("site/kept.gosync")).expect("a copy");
    folder.write("app/main", &noise(9, 300_000));
    let mut with_prune = publish.to_vec();
    with_prune.push("--prune");
    let run = folder.gosync(&with_prune).expect_code(0);
    assert_eq!((run.last()["pruned"].as_u64(), packs()), (Some(0), 3));
    fs::remove_file(folder.path("site/kept.gosync")).expect("removed");
    let run = folder.gosync(&with_prune).expect_code(0);
    assert!(run.last()["pruned"].as_u64() >= Some(1), "{}", run.stdout);
    folder.gosync(["update", "copy", "--index", "site/app.gosync"]).expect_code(0);
    folder.gosync(["verify", "copy", "--index", "site/app.gosync"]).expect_code(0);
    folder.gosync(["index", "app/main", "--content", "site/packs"]).expect_code(2);
    folder.gosync(["index", "app", "--prune"]).expect_code(2);
}
