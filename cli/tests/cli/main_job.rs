//! The five verbs doing what they are for, by path and over HTTP.

use std::io::Write;
use std::process::Stdio;

use crate::server::{Habit, Server};
use crate::support::{Folder, Run, noise};

#[test]
fn index_writes_beside_the_file_and_prints_its_hash() {
    let folder = Folder::new();
    let content = noise(7, 200_000);
    folder.write("app.bin", &content);
    let run = folder.gosync(["index", "app.bin"]).expect_code(0);
    let root = blake3::hash(&content).to_string();
    assert!(run.stdout.contains("app.bin.gosync") && run.stdout.contains(&root), "{}", run.stdout);
    assert_eq!(folder.names(), ["app.bin", "app.bin.gosync"]);

    let run = folder.gosync(["index", "app.bin", "-o", "other", "--block-size", "4KiB", "--source", "x/y", "--json"]);
    let last = run.expect_code(0).last();
    assert_eq!(last["root"], root);
    assert_eq!((last["block_size"].as_u64(), last["source"].as_str()), (Some(4096), Some("x/y")));
    assert_eq!(last["path"], "other");
    assert_eq!(last["encoded_size"].as_u64(), Some(folder.read("other").len() as u64));
}

#[test]
fn index_describes_what_standard_input_gives() {
    let folder = Folder::new();
    let content = noise(8, 300_000);
    let give = |args: &[&str]| {
        let mut command = folder.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("gosync");
        // One that refuses does not read.
        let _ = child.stdin.take().expect("a pipe").write_all(&content);
        Run::of(child.wait_with_output().expect("its end"))
    };
    let last = give(&["index", "-", "-o", "app.gosync", "--json"]).expect_code(0).last();
    assert_eq!(last["root"], blake3::hash(&content).to_string());
    assert_eq!((last["length"].as_u64(), last["source"].is_null()), (Some(300_000), true));
    let run = give(&["index", "-"]).expect_code(2);
    assert!(run.error().contains("say with -o where"), "{}", run.stderr);
    assert_eq!(folder.names(), ["app.gosync"]);
}

#[test]
fn info_shows_what_the_index_says() {
    let (folder, release) = Folder::with_release();
    let run = folder.gosync(["info", "new.gosync"]).expect_code(0);
    let labels = [
        "kind",
        "format",
        "length",
        "root",
        "block size",
        "top size",
        "blocks",
        "units",
        "index size",
        "source",
        "name",
        "version",
        "signature",
        "origin",
    ];
    let shown: Vec<_> = run.stdout.lines().map(|line| line.split("  ").next().unwrap_or_default()).collect();
    assert_eq!(shown, labels);

    let last = folder.gosync(["info", "new.gosync", "--json"]).expect_code(0).last();
    assert_eq!(last["kind"], "file");
    assert_eq!(last["length"].as_u64(), Some(release.new.len() as u64));
    assert_eq!(last["root"], blake3::hash(&release.new).to_string());
    assert_eq!(last["source"], "new");
    assert_eq!(last["unit_count"].as_u64(), Some(release.new.len().div_ceil(65536) as u64));
    assert!(last["origin"].as_str().is_some_and(|origin| origin.ends_with("new.gosync")), "{last}");
    assert_eq!((last["block_size"].as_u64(), last["top_size"].as_u64()), (Some(1024), Some(65_536)));

    let given = ["index", "new", "-o", "given.gosync", "--block-size", "8KiB", "--top-size", "256KiB", "--json"];
    let last = folder.gosync(given).expect_code(0).last();
    assert_eq!((last["block_size"].as_u64(), last["top_size"].as_u64()), (Some(8192), Some(262_144)));
    folder.gosync(["index", "new", "--top-size", "100KiB"]).expect_code(2);
    folder.gosync(["index", "new", "--top-size", "64KiB", "--format", "legacy"]).expect_code(2);
}

#[test]
fn plan_changes_nothing_and_its_numbers_add_up() {
    let (folder, release) = Folder::with_release();
    let before = folder.names();
    let run = folder.gosync(["plan", "app", "--index", "new.gosync"]).expect_code(0);
    for label in ["total", "from seeds", "missing", "to fetch", "ranges", "index bytes", "reason"] {
        assert!(run.stdout.lines().any(|line| line.starts_with(label)), "{label}: {}", run.stdout);
    }
    let last = folder.gosync(["plan", "app", "--index", "new.gosync", "--json", "-v"]).expect_code(0).last();
    let number = |key: &str| last[key].as_u64().unwrap_or_else(|| panic!("{key}: {last}"));
    assert_eq!(number("total"), release.new.len() as u64);
    assert_eq!(number("from_seeds") + number("missing"), number("total"));
    assert!(number("missing") < 100_000 && number("to_fetch") >= number("missing"), "{last}");
    assert_eq!(last["up_to_date"], false);
    let pieces = last["pieces"].as_array().expect("pieces with -v");
    let mut end = 0;
    for piece in pieces {
        assert_eq!(piece["target_offset"].as_u64(), Some(end), "an exact cover");
        assert_eq!(piece["is_missing"] == false, piece["seed_offset"].is_u64());
        end += piece["length"].as_u64().expect("a length");
    }
    assert_eq!(end, number("total"));
    assert_eq!(folder.read("app"), release.old);
    assert_eq!(folder.names(), before);

    let last = folder.gosync(["plan", "app", "--index", "new.gosync", "--json"]).expect_code(0).last();
    assert!(last.get("pieces").is_none(), "pieces only with -v");
}

#[test]
fn update_by_path_takes_the_source_that_the_index_names() {
    let (folder, release) = Folder::with_release();
    let run = folder.gosync(["update", "app", "--index", "new.gosync"]).expect_code(0);
    assert!(run.stdout.starts_with("updated"), "{}", run.stdout);
    assert_eq!(folder.read("app"), release.new);
    assert_eq!(folder.names(), ["app", "new", "new.gosync"]);

    let last = folder.gosync(["update", "app", "--index", "new.gosync", "--json"]).expect_code(0).last();
    assert_eq!(last["up_to_date"], true);
    assert_eq!(last["fetched"].as_u64(), Some(0));
    assert!(folder.gosync(["update", "app", "--index", "new.gosync"]).expect_code(0).stdout.starts_with("up to date"));
}

#[test]
fn update_with_source_and_seeds_writes_a_new_file() {
    let (folder, release) = Folder::with_release();
    std::fs::create_dir(folder.path("sub")).unwrap();
    let args = ["update", "-o", "sub/fresh", "--index", "new.gosync", "--source", "new", "--seed", "app", "--json"];
    let last = folder.gosync(args).expect_code(0).last();
    assert_eq!(folder.read("sub/fresh"), release.new);
    let number = |key: &str| last[key].as_u64().unwrap_or_else(|| panic!("{key}: {last}"));
    assert_eq!(number("from_seeds") + number("fetched"), number("total"));
    assert!(number("from_seeds") > 2_700_000, "{last}");
    assert_eq!(number("index_size"), folder.read("new.gosync").len() as u64);
    assert_eq!((last["proof"].as_str(), last["verb"].as_str()), (Some("root"), Some("update")));
}

#[test]
fn a_directory_is_a_seed() {
    let (folder, release) = Folder::with_release();
    std::fs::create_dir_all(folder.path("old/lib")).expect("folders");
    folder.write("old/lib/first", &release.old[..1_500_000]);
    folder.write("old/second", &release.old[1_500_000..]);
    let args = ["update", "fresh", "--index", "new.gosync", "--source", "new", "--seed", "old", "--json"];
    let last = folder.gosync(args).expect_code(0).last();
    assert_eq!(folder.read("fresh"), release.new);
    assert!(last["from_seeds"].as_u64() > Some(2_700_000), "{last}");
}

#[test]
fn the_target_is_left_out_as_a_seed_when_asked() {
    let (folder, release) = Folder::with_release();
    let args = ["update", "app", "-o", "app", "--index", "new.gosync", "--ignore-target", "--thorough", "--json"];
    let last = folder.gosync(args).expect_code(0).last();
    assert_eq!(last["from_seeds"].as_u64(), Some(0));
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn a_damaged_file_is_repaired_by_its_damaged_blocks() {
    let (folder, release) = Folder::with_release();
    let mut damaged = release.new.clone();
    damaged[300_000] ^= 1;
    damaged.truncate(damaged.len() - 10);
    folder.write("damaged", &damaged);
    let repair = ["verify", "damaged", "--index", "new.gosync", "--repair"];
    let last = folder.gosync(repair.into_iter().chain(["--json"])).expect_code(0).last();
    assert_eq!((&last["repaired"], &last["is_match"]), (&true.into(), &false.into()));
    assert!(last["fetched"].as_u64().is_some_and(|fetched| fetched > 0 && fetched < 70_000), "{last}");
    assert_eq!(folder.read("damaged"), release.new);
    // The file itself, by request: all its names show that.
    damaged.extend(b"more");
    folder.write("damaged", &damaged);
    std::fs::hard_link(folder.path("damaged"), folder.path("other")).expect("a link");
    let last = folder.gosync(repair.into_iter().chain(["--in-place", "--json"])).expect_code(0).last();
    assert!(last["fetched"].as_u64().is_some_and(|fetched| fetched > 0 && fetched < 140_000), "{last}");
    assert_eq!([folder.read("damaged"), folder.read("other")], [&release.new[..]; 2]);
    // There is nothing left to do, and where the source is then does not matter.
    folder.gosync(repair.into_iter().chain(["--source", "nowhere"])).expect_code(0);
    folder.gosync(["verify", "damaged", "--index", "new.gosync", "--source", "new"]).expect_code(2);
}

#[test]
fn verify_tells_match_from_damage() {
    let (folder, release) = Folder::with_release();
    let run = folder.gosync(["verify", "new", "--index", "new.gosync"]).expect_code(0);
    assert!(run.stdout.starts_with("match"), "{}", run.stdout);

    let mut damaged = release.new.clone();
    damaged[200_000] ^= 1;
    folder.write("damaged", &damaged);
    let run = folder.gosync(["verify", "damaged", "--index", "new.gosync"]).expect_code(1);
    assert!(run.stdout.starts_with("different") && run.stdout.contains("65536"), "{}", run.stdout);
    let last = folder.gosync(["verify", "damaged", "--index", "new.gosync", "--json"]).expect_code(1).last();
    assert_eq!((last["event"].as_str(), last["is_match"].as_bool()), (Some("result"), Some(false)));
    assert_eq!(last["damaged"], serde_json::json!([{ "offset": 3 * 65536, "length": 65536 }]));

    folder.write("short", &release.new[..1000]);
    let run = folder.gosync(["verify", "short", "--index", "new.gosync"]).expect_code(1);
    assert!(run.stdout.contains("expected"), "{}", run.stdout);

    // Any file in the place of a journal says that an update in place was not finished.
    assert!(!run.stdout.contains("unfinished"), "{}", run.stdout);
    folder.write("journal", b"anything");
    let verify = ["verify", "short", "--index", "new.gosync", "--journal", "journal"];
    let run = folder.gosync(verify).expect_code(1);
    assert!(run.stdout.contains("unfinished"), "{}", run.stdout);
    folder.gosync(verify.into_iter().chain(["--repair"])).expect_code(0);
    assert!(!folder.path("journal").exists());
}

#[test]
fn everything_works_over_http() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Good);
    server.publish("new.gosync", folder.read("new.gosync"), Habit::Good);
    let index = server.url("new.gosync");

    let run = folder.gosync(["info", &index, "--json"]).expect_code(0);
    assert_eq!(run.last()["origin"], index);
    let secret = index.replace("http://", "http://user:hunter2@") + "?token=hunter2";
    let run = folder.gosync(["info", &secret, "-vv"]).expect_code(0);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter2"), "{}{}", run.stdout, run.stderr);
    folder.gosync(["plan", "app", "--index", &index]).expect_code(0);
    folder.gosync(["verify", "new", "--index", &index]).expect_code(0);
    let before = server.bytes();
    let last = folder.gosync(["update", "app", "--index", &index, "--json"]).expect_code(0).last();
    assert_eq!(folder.read("app"), release.new);
    let sent = server.bytes() - before;
    assert!(sent < 300_000, "{sent} bytes were sent for an update of 50,777 new bytes");
    assert_eq!(
        sent - folder.read("new.gosync").len() as u64,
        last["fetched"].as_u64().unwrap() + last["wasted"].as_u64().unwrap()
    );
}

#[test]
fn a_server_without_ranges_still_does() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::NoRanges);
    let args = ["update", "app", "--index", "new.gosync", "--source", &server.url("new"), "--connections", "2"];
    folder.gosync(args).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_text() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let (folder, release) = (Folder::new(), crate::support::Release::new());
    let new = OsStr::from_bytes(b"new \xff#%41.bin");
    let old = OsStr::from_bytes(b"old-\xfe");
    folder.write(new, &release.new);
    folder.write(old, &release.old);
    let mut index = OsString::from(new);
    index.push(".gosync");
    let args = |words: &[&OsStr]| words.iter().map(OsString::from).collect::<Vec<_>>();
    folder.gosync(args(&["index".as_ref(), new, "--source".as_ref(), "".as_ref()])).expect_code(0);
    assert!(folder.path(&index).exists());
    let plain = args(&["info".as_ref(), &index]);
    folder.gosync(plain).expect_code(0);
    let update = args(&["update".as_ref(), old, "--index".as_ref(), &index, "--source".as_ref(), new]);
    folder.gosync(update).expect_code(0);
    assert_eq!(folder.read(old), release.new);
}

#[test]
fn an_index_of_the_legacy_format_does_all_that_any_does() {
    let (folder, release) = Folder::with_release();
    let run =
        folder.gosync(["index", "new", "-o", "old.gosync", "--format", "legacy", "--block-size", "1000", "--json"]);
    let last = run.expect_code(0).last();
    assert_eq!(
        (last["format"].as_str(), last["block_size"].as_u64(), last["root"].is_null()),
        (Some("legacy"), Some(1000), true)
    );
    assert!(folder.read("old.gosync").starts_with(b"G0S9NC"));
    assert!(folder.gosync(["info", "old.gosync"]).expect_code(0).stdout.contains("legacy"));

    let plan = folder.gosync(["plan", "app", "--index", "old.gosync", "--json"]).expect_code(0).last();
    // It names no source.
    folder.gosync(["update", "app", "--index", "old.gosync"]).expect_code(2);
    let args = ["update", "app", "--index", "old.gosync", "--source", "new", "--json"];
    let last = folder.gosync(args).expect_code(0).last();
    assert_eq!((last["proof"].as_str(), last["root"].is_null()), (Some("blocks-md5"), true));
    assert_eq!(last["fetched"], plan["missing"]);
    assert!(last["from_seeds"].as_u64() > Some(0) && folder.read("app") == release.new);
    folder.gosync(["verify", "app", "--index", "old.gosync"]).expect_code(0);
    folder.write("app", &release.old);
    folder.gosync(["verify", "app", "--index", "old.gosync"]).expect_code(1);

    folder.gosync(["index", "new", "--format", "legacy", "--source", "x"]).expect_code(2);
    folder.gosync(["index", "new", "--format", "zsync"]).expect_code(2);
}
