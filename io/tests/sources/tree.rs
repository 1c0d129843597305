//! The payload of a tree, put together from its files as they lie behind a web server or in a directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gosync_io::source::{HttpSource, MemorySource, of_tree};
use gosync_io::{
    EntryKind, ErrorKind, HttpOptions, Index, IndexOptions, Observer, OpenOptions, Range, Source, index_file,
    open_source,
};

use crate::server::{Answer, Asked, Server, good, whole};
use crate::sink::{Taker, eventually, noise};

const TO_END: u64 = Range::TO_END;
const BIG: usize = 300_000;

/// A published directory.
pub(crate) struct Tree {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) index: Index,
    /// What a payload is, by docs/format.md.
    pub(crate) payload: Vec<u8>,
}

impl Tree {
    fn new(files: &[(String, Vec<u8>)]) -> Tree {
        Tree::with(files, &IndexOptions::default())
    }

    pub(crate) fn with(files: &[(String, Vec<u8>)], options: &IndexOptions) -> Tree {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, content).expect("a file");
        }
        let index = index_file(folder.path(), options).expect("an index");
        let mut payload = vec![0; index.length() as usize];
        for entry in index.listing().expect("a tree").entries() {
            if let EntryKind::File { .. } = entry.kind {
                let content = std::fs::read(folder.path().join(&entry.path)).expect("a file");
                payload[entry.place.offset as usize..entry.place.end() as usize].copy_from_slice(&content);
            }
        }
        Tree { folder, index, payload }
    }

    /// Some hundred small files and a large one, with names that mean something in URLs.
    fn usual() -> Tree {
        Tree::new(&Tree::files())
    }

    pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = (0..200).map(|i| (format!("d{}/f{i}", i % 7), other(700 + 13 * i, i))).collect();
        let names = ["a b/50%.txt", "a b/#1+2=3&c;d@e", "ü/é~", "%41", "large.bin"];
        files.extend(names.iter().enumerate().map(|(i, name)| (name.to_string(), other(2000 + i, i))));
        files.push(("large.bin".into(), noise(BIG)));
        files.push(("none".into(), Vec::new()));
        files
    }

    pub(crate) fn place(&self, path: &str) -> Range {
        self.index.listing().expect("a tree").entries().find(|entry| entry.path == path).expect("an entry").place
    }

    fn serve(&self, change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> (Server, Arc<dyn Source>) {
        let folder = self.folder.path().to_owned();
        let server = Server::start(move |asked| {
            let answer = match file(&folder, &asked.path) {
                Some(content) => good(asked, &content),
                None => Answer::status(404),
            };
            change(asked, answer)
        });
        let options = HttpOptions { connections: 4, proxy: Some(String::new()), ..HttpOptions::default() };
        let place = HttpSource::open(&server.url("/site/v1/"), &options, &Observer::default()).expect("a source");
        let source = of_tree(&self.index, Arc::new(place)).expect("a source of the tree");
        (server, source)
    }
}

/// Bytes of which no two kinds have the same at any place.
pub(crate) fn other(length: usize, kind: usize) -> Vec<u8> {
    noise(length).into_iter().map(|byte| byte.wrapping_add(kind as u8)).collect()
}

/// What a server has at a path of its site.
fn file(folder: &Path, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = path.strip_prefix("/site/v1/")?.bytes();
    while let Some(byte) = rest.next() {
        assert!(!b"+?#&;@= ".contains(&byte), "a server could take {path} for something else");
        let digits = [rest.clone().next(), rest.clone().nth(1)].map(|digit| digit.map_or('x', char::from).to_digit(16));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                bytes.push((high * 16 + low) as u8);
                rest.nth(1);
            }
            _ => bytes.push(byte),
        }
    }
    std::fs::read(folder.join(PathBuf::from(String::from_utf8(bytes).ok()?))).ok()
}

/// How often each path was asked for.
pub(crate) fn counts(server: &Server) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    server.log().iter().for_each(|asked| *counts.entry(asked.path.clone()).or_default() += 1);
    counts
}

#[test]
fn each_file_is_asked_for_once_by_its_name() {
    let tree = Tree::usual();
    let (server, source) = tree.serve(|_, answer| {
        std::thread::sleep(Duration::from_millis(1));
        answer
    });
    let taker = Taker::new();
    taker.get(&*source, &[(0, TO_END)]).expect("an answer");
    taker.check(&tree.payload, &[(0, TO_END)]);
    assert_eq!(taker.taken(), tree.payload.len() as u64);
    let counts = counts(&server);
    assert!(counts.len() == 205 && counts.values().all(|count| *count == 1), "{counts:?}");
    assert!(server.log().iter().all(|asked| asked.range().is_none()));
    assert_eq!(taker.exchanges(), 205);
    assert_eq!(server.most_at_once(), 4);
    let link = source.link();
    assert_eq!((link.parallel, link.at_once, link.files), (4, 4, 205));
    assert!(link.round_trip.is_some());
}

#[test]
fn parts_of_files_are_ranges_and_zeros_are_not_asked_for() {
    let tree = Tree::usual();
    let (server, source) = tree.serve(|_, answer| answer);
    let large = tree.place("large.bin");
    let ranges = [(large.offset + 10, 100), (large.offset + 9_000, 1000), (large.end() - 5, 5)];
    let taker = Taker::new();
    taker.get(&*source, &ranges).expect("an answer");
    taker.check(&tree.payload, &ranges);
    assert_eq!(taker.taken(), 1105);
    // The end of one file, zeros, the beginning of the next.
    let first = tree.place("d0/f0");
    let next = tree.place("d0/f105");
    let across = [(first.offset + 600, next.offset + 10 - first.offset - 600)];
    let asked = server.log().len();
    let taker = Taker::new();
    taker.get(&*source, &across).expect("an answer");
    taker.check(&tree.payload, &across);
    assert_eq!(taker.taken(), across[0].1);
    let log = server.log();
    let mut ranges: Vec<_> = log[asked..].iter().map(|asked| asked.range()).collect();
    ranges.sort();
    assert_eq!(ranges, [Some((0, Some(9))), Some((600, Some(699)))]);
    let zeros = [(first.end(), next.offset - first.end())];
    let taker = Taker::new();
    taker.get(&*source, &zeros).expect("an answer");
    taker.check(&tree.payload, &zeros);
    assert_eq!(server.log().len(), asked + 2);
}

#[test]
fn a_server_without_ranges_sends_each_file_once() {
    let tree = Tree::usual();
    let folder = tree.folder.path().to_owned();
    let (server, source) = tree.serve(move |asked, _| whole(&file(&folder, &asked.path).expect("a file")));
    let large = tree.place("large.bin");
    let taker = Taker::new();
    taker.get(&*source, &[(large.offset + 1000, 10), (large.offset + 50_000, 10)]).expect("an answer");
    // What nobody asked for came along, and will not be asked for.
    taker.check(&tree.payload, &[(large.offset, large.length)]);
    assert_eq!(taker.taken(), large.length);
    let other = tree.place("d3/f3");
    let taker = Taker::new();
    taker.get(&*source, &[(other.offset + 5, 5)]).expect("an answer");
    taker.check(&tree.payload, &[(other.offset, other.length)]);
    assert_eq!(counts(&server).into_values().collect::<Vec<_>>(), [1, 1]);
    // What nobody wants of a file does not hold up the next: there are more than connections.
    let (_server, source) = tree.serve({
        let folder = tree.folder.path().to_owned();
        move |asked, _| whole(&file(&folder, &asked.path).expect("a file"))
    });
    let mut beginnings: Vec<(u64, u64)> =
        (0..20).map(|i| (tree.place(&format!("d{}/f{i}", i % 7)).offset, 10)).collect();
    beginnings.sort_unstable();
    let taker = Taker::new();
    taker.get(&*source, &beginnings).expect("an answer");
    taker.check(&tree.payload, &beginnings);
    assert!(source.link().reason.is_some_and(|reason| reason.contains("no ranges")));
}

#[test]
fn what_there_is_no_room_for_comes_later() {
    let tree = Tree::usual();
    for local in [false, true] {
        let (_server, http) = tree.serve(|_, answer| answer);
        let folder = open_source(&tree.folder.path().display().to_string(), &OpenOptions::default()).expect("a place");
        let source = if local { of_tree(&tree.index, folder).expect("a source") } else { http };
        let taker = Taker::with_room(0);
        let id = taker.ask(&*source, &[(0, TO_END)]);
        taker.wait_for_again(1);
        for _ in 0..40 {
            taker.add_room(30_000);
            source.resume(id);
            std::thread::sleep(Duration::from_millis(2));
        }
        eventually("everything has come", || {
            taker.add_room(1 << 20);
            source.resume(id);
            taker.is_finished(id)
        });
        taker.result(id).expect("an answer");
        taker.check(&tree.payload, &[(0, TO_END)]);
    }
}

#[test]
fn a_directory_is_a_place_too() {
    let tree = Tree::usual();
    let place = open_source(&tree.folder.path().display().to_string(), &OpenOptions::default()).expect("a place");
    assert_eq!(Taker::new().kind(&*place, &[(0, 1)]), ErrorKind::Source);
    let source = of_tree(&tree.index, place).expect("a source");
    let taker = Taker::new();
    taker.get(&*source, &[(0, 5000), (7000, TO_END)]).expect("an answer");
    taker.check(&tree.payload, &[(0, 5000), (7000, TO_END)]);
    assert_eq!(taker.taken(), tree.payload.len() as u64 - 2000);
}

#[test]
fn what_is_no_place_has_the_payload_itself() {
    let tree = Tree::usual();
    let memory = Arc::new(MemorySource::new(tree.payload.clone()));
    let source = of_tree(&tree.index, memory).expect("a source");
    let taker = Taker::new();
    taker.get(&*source, &[(100, 5000)]).expect("an answer");
    taker.check(&tree.payload, &[(100, 5000)]);
    assert_eq!(taker.taken(), 5000);
}

#[test]
fn files_that_are_not_as_they_should_be_are_named() {
    let tree = Tree::new(&[("a".into(), noise(5000)), ("b".into(), noise(6000)), ("c".into(), noise(7000))]);
    std::fs::write(tree.folder.path().join("a"), noise(9000)).expect("a file");
    std::fs::write(tree.folder.path().join("b"), noise(10)).expect("a file");
    std::fs::remove_file(tree.folder.path().join("c")).expect("a file");
    let local = open_source(&tree.folder.path().display().to_string(), &OpenOptions::default()).expect("a place");
    let local = of_tree(&tree.index, local).expect("a source");
    let (_server, http) = tree.serve(|_, answer| answer);
    for source in [local, http] {
        // What a longer file has more is not what follows in the payload.
        let [a, b, c] = ["a", "b", "c"].map(|name| tree.place(name));
        let taker = Taker::new();
        taker.get(&*source, &[(a.offset, a.length)]).expect("an answer");
        assert_eq!(taker.taken(), a.length);
        let short = |error: gosync_io::Error, file: &str| {
            let named = error.context().iter().any(|(key, value)| *key == "file" && value == file);
            assert!(named, "{error:?}");
            error.kind()
        };
        let taker = Taker::new();
        let id = taker.ask(&*source, &[(b.offset, b.length)]);
        assert_eq!(short(taker.error(id), "b"), ErrorKind::SourceChanged);
        let id = taker.ask(&*source, &[(c.offset, c.length)]);
        assert!(matches!(short(taker.error(id), "c"), ErrorKind::NotFound | ErrorKind::Source));
    }
}

#[test]
fn a_cancelled_request_ends_and_others_go_on() {
    let tree = Tree::usual();
    let (server, source) = tree.serve(|asked, answer| match asked.path.ends_with("large.bin") {
        true => answer.cut(1000, crate::server::Cut::Stall),
        false => answer,
    });
    let large = tree.place("large.bin");
    let taker = Taker::new();
    let id = taker.ask(&*source, &[(large.offset, large.length)]);
    taker.wait_for_bytes(1000);
    source.cancel(id);
    assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
    eventually("the connection is given up", || server.left() == 1);
    let other = tree.place("d3/f3");
    let taker = Taker::new();
    taker.get(&*source, &[(other.offset, other.length)]).expect("an answer");
    let id = taker.ask(&*source, &[(large.offset, large.length)]);
    taker.wait_for_bytes(1000);
    drop(source);
    assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
}
