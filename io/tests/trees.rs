//! Directories: what their index says, what is left out, and how a directory that differs is told.

use std::fs;
use std::path::{Path, PathBuf};

use gosync_core::listing::EntryKind;
use gosync_io::{
    Cancel, Digest, ErrorKind, Format, Index, IndexOptions, Observer, OpenOptions, Range, VerifyOptions, What,
    index_file, index_from_bytes, open_index, save_index, verify_file,
};
use serde_json::{Value, json};

fn bytes(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|at| (at % 251) as u8).collect()
}

fn write(folder: &Path, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(&path, content).expect("a file");
    path
}

fn describe(folder: &Path) -> Index {
    index_file(folder, &IndexOptions::default()).expect("an index")
}

fn paths(index: &Index) -> Vec<String> {
    index.listing().expect("a tree").entries().map(|entry| entry.path).collect()
}

/// A folder with files of many sizes, the larger ones spread over what threads read at a time.
fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    for (number, length) in [0, 1, 1023, 1024, 1025, 65_536, 65_537, 1 << 20, 3_500_001].into_iter().enumerate() {
        write(at, &format!("sizes/{number}/file-{length}"), bytes(number, length));
    }
    write(at, "a/same", bytes(7, 70_000));
    write(at, "b/same too", bytes(7, 70_000));
    write(at, "b/other", bytes(8, 70_000));
    write(at, "b.txt", "text\n");
    fs::create_dir(at.join("empty")).expect("a folder");
    folder
}

#[test]
fn a_directory_is_described_by_what_is_in_it() {
    let folder = sample();
    let index = describe(folder.path());
    let listing = index.listing().expect("a tree");
    assert_eq!((index.kind(), index.format()), ("tree", Format::Gosync));
    assert_eq!(index.root(), Some(Digest::of(&listing.encode())));
    assert_eq!(index.source(), folder.path().file_name().and_then(|name| name.to_str()));
    let mut total = 0;
    for entry in listing.entries() {
        let path = folder.path().join(&entry.path);
        match entry.kind {
            EntryKind::Directory => assert!(path.is_dir()),
            EntryKind::File { size, root, is_executable } => {
                let content = fs::read(path).expect("a file");
                assert_eq!((size, root), (content.len() as u64, Digest::of(&content)), "{}", entry.path);
                assert!(!is_executable);
                total += size;
            }
            EntryKind::Symlink { .. } => panic!("no link was made"),
        }
    }
    assert_eq!(listing.total(), total);
    let top: Vec<String> = paths(&index).into_iter().filter(|path| !path.starts_with("sizes/")).collect();
    assert_eq!(top, ["a", "a/same", "b", "b/other", "b/same too", "b.txt", "empty", "sizes"]);
    // The payload is those contents, each once.
    let of = |path: &str| listing.entries().find(|entry| entry.path == path).expect("an entry").place;
    assert_eq!(of("a/same"), of("b/same too"));
    let mut payload = vec![0; index.length() as usize];
    for entry in listing.entries().filter(|entry| entry.place.length > 0) {
        let content = fs::read(folder.path().join(&entry.path)).expect("a file");
        payload[entry.place.offset as usize..entry.place.end() as usize].copy_from_slice(&content);
    }
    assert_eq!(listing.payload_root(), Digest::of(&payload));
    for unit in 0..index.unit_count() {
        let range = index.unit_range(unit);
        assert!(index.unit_is(unit, &payload[range.offset as usize..range.end() as usize]));
    }
}

#[test]
fn the_same_directory_has_the_same_index() {
    let (one, other) = (sample(), sample());
    let options = |threads| IndexOptions { threads, source: Some(String::new()), ..IndexOptions::default() };
    let first = index_file(one.path(), &options(0)).expect("an index").encode();
    assert_eq!(index_file(other.path(), &options(1)).expect("an index").encode(), first);
    assert_eq!(index_from_bytes(&first, &OpenOptions::default()).expect("an index").encode(), first);
    write(other.path(), "b.txt", "text\r");
    let changed = index_file(other.path(), &options(0)).expect("an index");
    assert_ne!(changed.root(), index_from_bytes(&first, &OpenOptions::default()).expect("an index").root());
}

#[test]
fn an_index_of_a_directory_is_saved_and_demanded_by_its_root() {
    let folder = sample();
    let index = describe(folder.path());
    let path = folder.path().join("../tree.gosync").canonicalize().unwrap_or(folder.path().with_extension("gosync"));
    save_index(&index, &path).expect("saved");
    let open = |expect| {
        open_index(path.to_str().expect("text"), &OpenOptions { expect: Some(expect), ..OpenOptions::default() })
    };
    let read = open(index.root().expect("a root")).expect("the index");
    assert_eq!(read.encode(), index.encode());
    // The hash of the payload is not that of the tree.
    let payload = index.listing().expect("a tree").payload_root();
    assert_eq!(open(payload).expect_err("another root").kind(), ErrorKind::Mismatch);
    fs::remove_file(path).expect("removed");
}

#[test]
fn a_directory_has_no_index_in_the_legacy_format_nor_with_blocks_of_any_size() {
    let folder = sample();
    let legacy = IndexOptions { format: Format::Legacy, ..IndexOptions::default() };
    assert_eq!(index_file(folder.path(), &legacy).expect_err("no room").kind(), ErrorKind::Argument);
    for block_size in [1000, 512, 65_536] {
        let options = IndexOptions { block_size, ..IndexOptions::default() };
        assert_eq!(index_file(folder.path(), &options).expect_err("a size").kind(), ErrorKind::Argument);
    }
}

#[test]
fn what_is_excluded_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["keep", "a.log", "src/b.log", "src/c", "target/x/y", "src/target", "src/.cache/z"] {
        write(folder.path(), path, path);
    }
    write(folder.path(), ".gosyncignore", "*.log\n/target/\n");
    write(folder.path(), "src/.gosyncignore", "!b.log\n.cache\n");
    assert_eq!(paths(&describe(folder.path())), ["keep", "src", "src/b.log", "src/c", "src/target"]);
    let options = IndexOptions { exclude: vec!["src/c".into(), "!a.log".into()], ..IndexOptions::default() };
    let index = index_file(folder.path(), &options).expect("an index");
    assert_eq!(paths(&index), ["a.log", "keep", "src", "src/b.log", "src/target"]);
    write(folder.path(), "src/.gosyncignore", b"\xff");
    assert_eq!(index_file(folder.path(), &options).expect_err("no text").kind(), ErrorKind::Argument);
}

#[test]
fn a_directory_that_differs_is_told_entry_by_entry() {
    let folder = sample();
    let index = describe(folder.path());
    let verify = || verify_file(folder.path(), &index, &VerifyOptions::default()).expect("a verification");
    let found = verify();
    assert!(found.is_match() && found.differences.is_empty() && found.check().is_ok());
    assert_eq!((found.length, found.expected_length), (index.listing().expect("a tree").total(), found.length));

    write(folder.path(), "extra/deep/file", "not known");
    let found = verify();
    assert!(found.is_match(), "what is there besides does no harm");
    assert_eq!(found.differences.len(), 1, "a directory that is extra is told once");
    assert_eq!((&*found.differences[0].path, found.differences[0].what), ("extra", What::Extra));

    fs::remove_dir_all(folder.path().join("extra")).expect("removed");
    let mut content = bytes(8, 3_500_001);
    content[5] ^= 1;
    content[2_000_000..2_000_100].fill(9);
    *content.last_mut().expect("bytes") ^= 1;
    write(folder.path(), "sizes/8/file-3500001", &content);
    write(folder.path(), "sizes/6/file-65537", bytes(6, 65_000));
    write(folder.path(), "sizes/5/file-65536", [&bytes(5, 65_536)[..], b"more"].concat());
    fs::remove_file(folder.path().join("b.txt")).expect("removed");
    fs::remove_dir(folder.path().join("empty")).expect("removed");
    write(folder.path(), "empty", "a file now");
    fs::remove_dir_all(folder.path().join("a")).expect("removed");
    let found = verify();
    assert!(!found.is_match());
    let told: Vec<_> = found.differences.iter().map(|difference| (&*difference.path, difference.what)).collect();
    let expected = [
        ("a", What::Missing),
        ("a/same", What::Missing),
        ("b.txt", What::Missing),
        ("empty", What::Type),
        ("sizes/5/file-65536", What::Changed),
        ("sizes/6/file-65537", What::Changed),
        ("sizes/8/file-3500001", What::Changed),
    ];
    assert_eq!(told, expected);
    let block = u64::from(index.block_size());
    let ranges = |number: usize| &*found.differences[number].damaged;
    assert_eq!(ranges(4), [], "what is too long has all that it should have");
    let cut = 65_000 / block * block;
    assert_eq!(ranges(5), [Range::new(cut, 65_537 - cut)]);
    let (middle, end) = (2_000_000 / block * block, 3_500_000 / block * block);
    assert_eq!(ranges(6), [Range::new(0, block), Range::new(middle, block), Range::new(end, 3_500_001 - end)]);
    let error = found.check().expect_err("a difference");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("path: a, difference: missing"), "{error}");
    let missing = folder.path().join("none");
    assert_eq!(verify_file(&missing, &index, &VerifyOptions::default()).expect_err("none").kind(), ErrorKind::NotFound);
    let file = folder.path().join("b/other");
    assert_eq!(verify_file(&file, &index, &VerifyOptions::default()).expect_err("a file").kind(), ErrorKind::Io);
}

/// Where names of devices and names that differ by case are names.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    use gosync_io::Event;
    use std::sync::{Arc, Mutex};

    let folder = tempfile::tempdir().expect("a folder");
    // Such names are told after the walk and before any content is read.
    let path = write(folder.path(), "A", bytes(0, 100));
    write(folder.path(), "a", bytes(0, 200));
    write(folder.path(), "nul.d/x", bytes(0, 300));
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let seen = Arc::clone(&events);
    let changed = path.clone();
    let listener = move |event: &Event| {
        seen.lock().expect("events").push(event.clone());
        if event.kind == "not_portable" {
            fs::write(&changed, "shorter").expect("written");
        }
    };
    let observer = Observer { events: Some(Arc::new(listener)), ..Observer::default() };
    let error = index_file(folder.path(), &IndexOptions { observer, ..IndexOptions::default() }).expect_err("a change");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("changed while"), "{error}");
    let event = events.lock().expect("events").remove(0);
    assert!(event.fields.contains(&("names", "2".into())), "{event:?}");
}

#[test]
fn a_cancel_ends_it() {
    let folder = sample();
    let cancel = Cancel::new();
    cancel.cancel();
    let observer = Observer { cancel, ..Observer::default() };
    let options = IndexOptions { observer: observer.clone(), ..IndexOptions::default() };
    assert_eq!(index_file(folder.path(), &options).expect_err("cancelled").kind(), ErrorKind::Cancelled);
    let options = VerifyOptions { observer, ..VerifyOptions::default() };
    let error = verify_file(folder.path(), &describe(folder.path()), &options).expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// Trees by what is in them, what their index must be, and whether only Unix can hold them.
fn vectors() -> Vec<(&'static str, u32, Value)> {
    let file = |path: &str, from: usize, length: usize| json!({ "path": path, "kind": "file", "from": from, "length": length });
    let folder = |path: &str| json!({ "path": path, "kind": "directory" });
    vec![
        ("nothing", 0, json!([])),
        ("one file", 0, json!([file("a", 0, 1000)])),
        ("blocks of 4096", 4096, json!([file("a", 0, 5000), file("b", 1, 5000), file("c", 0, 5000)])),
        (
            "files and directories",
            0,
            json!([
                folder("docs"),
                folder("docs/empty"),
                file("docs/page", 3, 70_001),
                file("docs-1", 4, 0),
                file("docs.txt", 5, 1024),
                file("z\u{e9}\u{4e2d}", 6, 300_000),
            ]),
        ),
        (
            "links and programs",
            0,
            json!([
                json!({ "path": "bin", "kind": "directory" }),
                json!({ "path": "bin/app", "kind": "program", "from": 1, "length": 2000 }),
                json!({ "path": "bin/link", "kind": "symlink", "target": "../nowhere" }),
                file("con", 2, 10),
            ]),
        ),
    ]
}

fn make(folder: &Path, entries: &Value) -> bool {
    for entry in entries.as_array().expect("entries") {
        let text = |key: &str| entry[key].as_str().expect("a text");
        let number = |key: &str| entry[key].as_u64().expect("a number") as usize;
        let path = folder.join(text("path"));
        match text("kind") {
            "directory" => fs::create_dir(&path).expect("a directory"),
            "file" => fs::write(&path, bytes(number("from"), number("length"))).expect("a file"),
            #[cfg(unix)]
            "program" => {
                use std::os::unix::fs::PermissionsExt;
                fs::write(&path, bytes(number("from"), number("length"))).expect("a file");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
            }
            #[cfg(unix)]
            "symlink" => std::os::unix::fs::symlink(text("target"), &path).expect("a link"),
            _ => return false,
        }
    }
    true
}

#[test]
fn tree_vectors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/tree.json");
    let is_writing = std::env::var_os("GOSYNC_REGENERATE").is_some_and(|value| value == "1");
    let mut written = Vec::new();
    for (name, block_size, entries) in vectors() {
        let folder = tempfile::tempdir().expect("a folder");
        if !make(folder.path(), &entries) {
            continue;
        }
        let options = IndexOptions { block_size, source: Some(String::new()), ..IndexOptions::default() };
        let index = index_file(folder.path(), &options).expect("an index");
        let encoded = index.encode();
        written.push(json!({
            "name": name,
            "block_size": block_size,
            "entries": entries,
            "entry_count": index.listing().expect("a tree").count(),
            "length": index.length(),
            "root": index.root().map(|root| root.to_string()),
            "encoded_size": encoded.len(),
            "encoded_blake3": Digest::of(&encoded).to_string(),
        }));
        assert!(verify_file(folder.path(), &index, &VerifyOptions::default()).expect("a verification").is_match());
    }
    if is_writing {
        let lines: Vec<_> = written.iter().map(|vector| format!("  {vector}")).collect();
        fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).expect("written");
    }
    let known: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).expect("vectors")).expect("JSON");
    for vector in &written {
        let same = known.iter().find(|known| known["name"] == vector["name"]);
        assert_eq!(same, Some(vector));
    }
    assert!(cfg!(not(unix)) || known.len() == written.len());
}

#[test]
fn what_was_written_once_is_still_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/tree-1/links-and-programs.gosync");
    let index = open_index(path.to_str().expect("text"), &OpenOptions::default()).expect("an index");
    let entries: Vec<_> = index.listing().expect("a tree").entries().collect();
    let program = bytes(1, 2000);
    let file = |size, root, is_executable| EntryKind::File { size, root, is_executable };
    let expected = [
        ("bin", EntryKind::Directory),
        ("bin/app", file(2000, Digest::of(&program), true)),
        ("bin/link", EntryKind::Symlink { target: "../nowhere" }),
        ("con", file(10, Digest::of(&bytes(2, 10)), false)),
    ];
    assert_eq!(entries.iter().map(|entry| (&*entry.path, entry.kind)).collect::<Vec<_>>(), expected);
    assert_eq!(index.encode(), fs::read(path).expect("the file"));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::sync::{Arc, Mutex};

    use gosync_io::Event;

    use super::*;

    fn told(folder: &Path, index: &Index) -> Vec<(String, What)> {
        let found = verify_file(folder, index, &VerifyOptions::default()).expect("a verification");
        found.differences.into_iter().map(|difference| (difference.path, difference.what)).collect()
    }

    #[test]
    fn links_are_described_and_not_followed() {
        let outside = tempfile::tempdir().expect("a folder");
        write(outside.path(), "secret", "secret");
        write(outside.path(), "b", "inside");
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "d/b", "inside");
        write(folder.path(), "file", "inside");
        symlink(outside.path(), folder.path().join("out")).expect("a link");
        symlink("file", folder.path().join("in")).expect("a link");
        symlink(".", folder.path().join("round")).expect("a link");
        let index = describe(folder.path());
        assert_eq!(paths(&index), ["d", "d/b", "file", "in", "out", "round"]);
        assert_eq!(told(folder.path(), &index), []);
        // A directory that became a link to one with the same files is not that directory, and nothing below it is looked at.
        fs::remove_dir_all(folder.path().join("d")).expect("removed");
        symlink(outside.path(), folder.path().join("d")).expect("a link");
        fs::remove_file(folder.path().join("in")).expect("removed");
        symlink("./file", folder.path().join("in")).expect("a link");
        fs::remove_file(folder.path().join("file")).expect("removed");
        symlink(outside.path().join("b"), folder.path().join("file")).expect("a link");
        let expected = [("d", What::Type), ("d/b", What::Missing), ("file", What::Type), ("in", What::Changed)];
        assert_eq!(told(folder.path(), &index), expected.map(|(path, what)| (path.to_owned(), what)));
        // The directory itself may be reached through a link.
        let link = outside.path().join("to the folder");
        symlink(folder.path(), &link).expect("a link");
        assert_eq!(describe(&link).root(), describe(folder.path()).root());
    }

    #[test]
    fn the_executable_bit_counts_and_nothing_else_of_the_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(folder.path(), "app", "#!");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        mode(0o755);
        let index = describe(folder.path());
        mode(0o700);
        assert_eq!(told(folder.path(), &index), []);
        assert_eq!(describe(folder.path()).root(), index.root());
        mode(0o644);
        assert_eq!(told(folder.path(), &index), [("app".to_owned(), What::Mode)]);
        assert_ne!(describe(folder.path()).root(), index.root());
    }

    #[test]
    fn what_is_no_file_is_left_out_and_told() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "file", "file");
        assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().expect("mkfifo").success());
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let seen = Arc::clone(&events);
        let listener = move |event: &Event| seen.lock().expect("events").push(event.clone());
        let observer = Observer { events: Some(Arc::new(listener)), ..Observer::default() };
        let options = IndexOptions { observer, ..IndexOptions::default() };
        let index = index_file(folder.path(), &options).expect("an index");
        assert_eq!(paths(&index), ["file"]);
        let events = events.lock().expect("events");
        assert!(events.iter().any(|event| event.kind == "left_out" && event.fields[0].1.ends_with("pipe")));
        assert_eq!(told(folder.path(), &index), [("pipe".to_owned(), What::Extra)]);
        // A pipe where a file should be is not waited for.
        fs::remove_file(folder.path().join("file")).expect("removed");
        fs::rename(folder.path().join("pipe"), folder.path().join("file")).expect("renamed");
        assert_eq!(told(folder.path(), &index), [("file".to_owned(), What::Type)]);
    }

    #[test]
    fn hard_links_are_one_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(folder.path(), "one", bytes(3, 5000));
        fs::hard_link(&path, folder.path().join("two")).expect("a link");
        assert_eq!(describe(folder.path()).length(), 5000);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_are_not_text_are_refused_and_named() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a", "a");
        let index = describe(folder.path());
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"b\xff")), "b").expect("a file");
        let error = index_file(folder.path(), &IndexOptions::default()).expect_err("a name");
        assert_eq!(error.kind(), ErrorKind::Argument);
        assert!(error.to_string().contains("b\u{fffd}"), "{error}");
        assert!(matches!(&told(folder.path(), &index)[..], [(path, What::Extra)] if path.ends_with("b\u{fffd}")));
    }

    #[test]
    fn holes_are_zeros() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = fs::File::create(folder.path().join("holes")).expect("a file");
        file.set_len(40 << 20).expect("a length");
        std::os::unix::fs::FileExt::write_all_at(&file, b"end", (40 << 20) - 3).expect("written");
        let index = describe(folder.path());
        assert_eq!(index.length(), 40 << 20);
        assert_eq!(told(folder.path(), &index), []);
    }
}
