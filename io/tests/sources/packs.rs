//! A tree whose contents are in packs: what publishing writes, what it does not write again, and what comes of it over a
//! web server and from a folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gosync_io::source::{HttpSource, of_tree};
use gosync_io::{
    ErrorKind, HttpOptions, Index, IndexOptions, Observer, OnProgress, OpenOptions, Phase, Progress, Range, Source,
    index_file, open_index, open_source, prune, save_index,
};

use crate::server::{Answer, Asked, Server, good, whole};
use crate::sink::{Taker, eventually, noise};
use crate::tree::{Tree, counts, other};

const TO_END: u64 = Range::TO_END;

/// A folder with packs, and the index that was published last.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        Site { folder: tempfile::tempdir().expect("a folder") }
    }

    fn content(&self) -> PathBuf {
        self.folder.path().join("packs")
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("app.gosync")
    }

    fn publish(&self, files: &[(String, Vec<u8>)]) -> Tree {
        let previous = Some(self.index()).filter(|path| path.exists());
        let options = IndexOptions { content: Some(self.content()), previous, ..IndexOptions::default() };
        let tree = Tree::with(files, &options);
        save_index(&tree.index, &self.index()).expect("saved");
        let index = open_index(self.index().to_str().expect("text"), &OpenOptions::default()).expect("an index");
        assert_eq!(index.packs(), tree.index.packs());
        assert_eq!(index.source(), Some("packs"));
        tree
    }

    fn packs(&self) -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(self.content()).expect("the folder").map(|entry| entry.expect("an entry"));
        let mut packs: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().expect("text"), entry.metadata().expect("a file").len()))
            .collect();
        packs.sort();
        packs
    }

    fn size(&self) -> u64 {
        self.packs().iter().map(|(_, size)| size).sum()
    }

    fn local(&self, index: &Index) -> Arc<dyn Source> {
        let place = open_source(self.content().to_str().expect("text"), &OpenOptions::default()).expect("a place");
        of_tree(index, place).expect("a source")
    }

    fn serve(
        &self,
        index: &Index,
        change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
    ) -> (Server, Arc<dyn Source>) {
        let folder = self.content();
        let server = Server::start(move |asked| {
            let answer = match std::fs::read(folder.join(asked.path.strip_prefix("/packs/").unwrap_or("none"))) {
                Ok(content) => good(asked, &content),
                Err(_) => Answer::status(404),
            };
            change(asked, answer)
        });
        let options = HttpOptions { connections: 4, proxy: Some(String::new()), ..HttpOptions::default() };
        let place = HttpSource::open(&server.url("/packs"), &options, &Observer::default()).expect("a source");
        (server, of_tree(index, Arc::new(place)).expect("a source"))
    }
}

/// Text that compresses, different for each kind.
fn text(kind: usize, length: usize) -> Vec<u8> {
    let words = (kind..).map(|i| format!("line {} of kind {kind}: {}\n", i * i, i % 17));
    words.flat_map(String::into_bytes).take(length).collect()
}

/// Many small files, one that is larger than a piece, and one that does not compress.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = (0..300).map(|i| (format!("d{}/f{i}", i % 9), text(i, 500 + 37 * i))).collect();
    files.push(("large.txt".into(), text(5000, 700_000)));
    files.push(("noise.bin".into(), noise(400_000)));
    files.push(("empty".into(), Vec::new()));
    files
}

#[track_caller]
fn check(tree: &Tree, source: &dyn Source, ranges: &[(u64, u64)]) -> Arc<Taker> {
    let taker = Taker::new();
    taker.get(source, ranges).expect("an answer");
    taker.check(&tree.payload, ranges);
    taker
}

#[test]
fn packing_is_told_as_it_goes() {
    let site = Site::new();
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let listener = Arc::clone(&seen);
    let progress: OnProgress = Arc::new(move |progress| listener.lock().expect("progress").push(*progress));
    let observer = Observer { progress: Some(progress), ..Observer::default() };
    let options = IndexOptions { content: Some(site.content()), observer, threads: 1, ..IndexOptions::default() };
    // Slow to compress.
    Tree::with(&[("text".into(), text(1, 16 << 20))], &options);
    let seen = seen.lock().expect("progress");
    assert!(seen.is_sorted_by(|one, next| one.fraction <= next.fraction), "{seen:?}");
    let packing: Vec<f64> =
        seen.iter().filter(|progress| progress.phase == Phase::Packing).map(|progress| progress.fraction).collect();
    assert!(packing.len() > 2 && packing.iter().any(|fraction| (0.3..0.9).contains(fraction)), "{seen:?}");
    assert_eq!(seen.last().map(|last| (last.phase, last.fraction)), Some((Phase::Done, 1.0)));
}

#[test]
fn what_was_packed_comes_out() {
    let site = Site::new();
    let tree = site.publish(&files());
    let packs = tree.index.packs().expect("packs");
    assert_eq!(packs.length(), tree.index.listing().expect("a tree").content_length());
    // It is smaller than it was, and each pack has the name of its bytes.
    assert!(site.size() < tree.payload.len() as u64 / 2, "{}", site.size());
    for (name, _) in site.packs() {
        let root = gosync_io::Digest::of(&std::fs::read(site.content().join(&name)).expect("a pack"));
        assert_eq!(name, format!("{root}.pack"));
    }
    let local = site.local(&tree.index);
    let taker = check(&tree, &*local, &[(0, TO_END)]);
    assert_eq!(taker.taken(), tree.payload.len() as u64);
    let large = tree.place("large.txt");
    check(&tree, &*local, &[(10, 1), (1000, 3000), (large.offset + 1000, 300_000), (large.end() - 1, 1)]);
    let (server, source) = site.serve(&tree.index, |_, answer| answer);
    check(&tree, &*source, &[(0, TO_END)]);
    assert_eq!(counts(&server).into_values().collect::<Vec<_>>(), vec![1; packs.count()]);
}

#[test]
fn a_piece_is_fetched_once_for_all_who_want_it() {
    let site = Site::new();
    let tree = site.publish(&files());
    let (server, source) = site.serve(&tree.index, |_, answer| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        answer
    });
    let taker = Taker::new();
    let first = tree.place("d0/f0").offset;
    let ids: Vec<u64> = (0..20).map(|i| taker.ask(&*source, &[(first + 1000 * i, 10)])).collect();
    ids.into_iter().for_each(|id| taker.result(id).expect("an answer"));
    assert_eq!((taker.taken(), server.log().len()), (200, 1));
    let asked = server.log()[0].range().expect("a range");
    assert_eq!(asked.0, 0);
    // And what came is kept for a while.
    check(&tree, &*source, &[(first + 500, 10)]);
    assert_eq!(server.log().len(), 1);
    // One that is cancelled does not take it from the others.
    let far = tree.place("noise.bin").offset;
    let (one, other) = (Taker::new(), Taker::new());
    let id = one.ask(&*source, &[(far, 10)]);
    let stays = other.ask(&*source, &[(far + 20, 10)]);
    source.cancel(id);
    assert_eq!(one.error(id).kind(), ErrorKind::Cancelled);
    other.result(stays).expect("an answer");
    other.check(&tree.payload, &[(far + 20, 10)]);
}

#[test]
fn the_pack_of_a_new_version_is_fetched_before_it_is_asked_for() {
    let site = Site::new();
    let old = site.publish(&files());
    let mut changed = files();
    (0..300).step_by(10).for_each(|i| changed[i].1 = text(9000 + i, 3000));
    let tree = site.publish(&changed);
    let packs = old.index.packs().expect("packs");
    let old_packs: Vec<String> = (0..packs.count()).map(|pack| packs.name(pack)).collect();
    let lacking: Vec<(u64, u64)> = {
        let mut places: Vec<Range> = (0..300).step_by(10).map(|i| tree.place(&changed[i].0)).collect();
        places.sort_unstable();
        places.into_iter().map(|place| (place.offset, place.length)).collect()
    };
    let (server, source) = site.serve(&tree.index, |_, answer| answer);
    let ranges: Vec<Range> = lacking.iter().map(|(offset, length)| Range::new(*offset, *length)).collect();
    source.prepare(&ranges, u64::MAX);
    eventually("the pack is asked for", || !server.log().is_empty());
    check(&tree, &*source, &lacking);
    let asked = counts(&server);
    assert!(asked.values().all(|count| *count == 1) && asked.len() == 1, "{asked:?}");
    assert!(!old_packs.iter().any(|name| asked.contains_key(&format!("/packs/{name}"))), "{asked:?}");
    // What lacks in a pack of which most is here may be anywhere.
    let place = tree.place("d1/f1");
    source.prepare(&[place], u64::MAX);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(counts(&server), asked);
}

#[test]
fn a_server_without_ranges_sends_each_pack_once() {
    let site = Site::new();
    let tree = site.publish(&files());
    let folder = site.content();
    let (server, source) = site.serve(&tree.index, move |asked, _| {
        whole(&std::fs::read(folder.join(asked.path.strip_prefix("/packs/").expect("a pack"))).expect("a pack"))
    });
    for path in ["d3/f3", "d8/f8", "d1/f1", "large.txt", "d0/f99"] {
        let place = tree.place(path);
        check(&tree, &*source, &[(place.offset + 3, 100), (place.end() - 3, 3)]);
    }
    assert!(counts(&server).into_values().all(|count| count == 1), "{:?}", counts(&server));
    assert!(source.link().reason.is_some_and(|reason| reason.contains("no ranges")));
}

#[test]
fn what_there_is_no_room_for_comes_later() {
    let site = Site::new();
    let tree = site.publish(&files());
    let (_server, source) = site.serve(&tree.index, |_, answer| answer);
    let taker = Taker::with_room(0);
    let id = taker.ask(&*source, &[(0, TO_END)]);
    taker.wait_for_again(1);
    while !taker.is_finished(id) {
        taker.add_room(300_000);
        source.resume(id);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    taker.result(id).expect("an answer");
    taker.check(&tree.payload, &[(0, TO_END)]);
}

#[test]
fn publishing_again_writes_what_has_changed() {
    let site = Site::new();
    let mut files = files();
    let first = site.publish(&files);
    let before = site.packs();
    // The same once more: nothing is written.
    assert_eq!(site.publish(&files).index.packs(), first.index.packs());
    assert_eq!(site.packs(), before);
    // A line in some, one that is new, one that moved, one that is gone, a byte in the large one.
    for (_, content) in files.iter_mut().take(20) {
        content.splice(200..200, *b"a line that was put in\n");
    }
    files[40].0 = "moved/to/here".into();
    files.remove(41);
    files.push(("new".into(), text(9999, 5000)));
    let large = files.iter_mut().find(|(name, _)| name == "large.txt").expect("a file");
    large.1[350_000] ^= 1;
    let second = site.publish(&files);
    let added = site.size() - before.iter().map(|(_, size)| size).sum::<u64>();
    assert!(added < 40_000, "{added}");
    let packs = second.index.packs().expect("packs");
    assert_eq!(packs.count(), first.index.packs().expect("packs").count() + 1);
    // Both versions are there.
    for tree in [&first, &second] {
        check(tree, &*site.local(&tree.index), &[(0, TO_END)]);
        let (_server, source) = site.serve(&tree.index, |_, answer| answer);
        check(tree, &*source, &[(0, 5000), (9000, TO_END)]);
    }
}

#[test]
fn a_pack_that_is_hardly_wanted_is_packed_anew() {
    let site = Site::new();
    let noisy = |from: usize, count: usize| -> Vec<(String, Vec<u8>)> {
        (from..from + count).map(|i| (format!("f{i}"), other(20_000 + i, i))).collect()
    };
    let of = |tree: &Tree| {
        let packs = tree.index.packs().expect("packs");
        (0..packs.count()).map(|pack| packs.name(pack)).collect::<Vec<_>>()
    };
    let old = of(&site.publish(&noisy(0, 50)));
    // Three in five are still wanted.
    let mut files = noisy(20, 50);
    let second = of(&site.publish(&files));
    assert!(second.contains(&old[0]));
    // One in five is.
    files.drain(..20);
    let third = site.publish(&files);
    assert!(!of(&third).contains(&old[0]));
    check(&third, &*site.local(&third.index), &[(0, TO_END)]);
    // What the last index does not name goes.
    let other = site.folder.path().join("other.gosync");
    let before = site.packs();
    assert_eq!(
        prune(&site.content(), &[site.index(), other.clone()]).expect_err("no index").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(site.packs(), before);
    std::fs::write(site.content().join("notes.pack"), "mine").expect("a file");
    let pruned = prune(&site.content(), &[site.index()]).expect("pruned");
    assert!(pruned.packs >= 1 && pruned.bytes > 1_000_000, "{pruned:?}");
    let mut left: Vec<String> = site.packs().into_iter().map(|(name, _)| name).collect();
    left.retain(|name| name != "notes.pack");
    let mut named = of(&third);
    named.sort();
    assert_eq!(left, named);
    check(&third, &*site.local(&third.index), &[(0, TO_END)]);
}

#[test]
fn a_pack_that_is_gone_is_written_again() {
    let site = Site::new();
    let files = files();
    let first = site.publish(&files);
    let name = first.index.packs().expect("packs").name(0);
    std::fs::remove_file(site.content().join(&name)).expect("removed");
    let second = site.publish(&files);
    check(&second, &*site.local(&second.index), &[(0, TO_END)]);
    // So is one that is as long as it should be, and not as it should be.
    let damaged = site.content().join(second.index.packs().expect("packs").name(0));
    let mut bytes = std::fs::read(&damaged).expect("a pack");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).expect("written");
    let third = site.publish(&files);
    check(&third, &*site.local(&third.index), &[(0, TO_END)]);
}

#[test]
fn packs_that_are_not_as_they_should_be() {
    let site = Site::new();
    let tree = site.publish(&files());
    let packs = tree.index.packs().expect("packs").clone();
    let path = site.content().join(packs.name(0));
    let right = std::fs::read(&path).expect("a pack");
    let named = |error: gosync_io::Error| {
        assert!(error.context().iter().any(|(key, value)| *key == "file" && value.ends_with(".pack")), "{error:?}");
        error.kind()
    };
    let ask = |kinds: &[ErrorKind]| {
        for source in [site.local(&tree.index), site.serve(&tree.index, |_, answer| answer).1] {
            let taker = Taker::new();
            let id = taker.ask(&*source, &[(0, 10)]);
            let kind = named(taker.error(id));
            assert!(kinds.contains(&kind), "{kind}");
        }
    };
    let mut wrong = right.clone();
    wrong[..20].fill(7);
    std::fs::write(&path, &wrong).expect("written");
    ask(&[ErrorKind::Source]);
    std::fs::write(&path, &right[..100]).expect("written");
    ask(&[ErrorKind::Source, ErrorKind::SourceTemporary]);
    std::fs::remove_file(&path).expect("removed");
    ask(&[ErrorKind::Source, ErrorKind::NotFound]);
}

#[test]
fn packs_are_for_directories_and_not_inside_them() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "content").expect("a file");
    let kind = |path: &Path, content: &Path| {
        let options = IndexOptions { content: Some(content.to_owned()), ..IndexOptions::default() };
        index_file(path, &options).expect_err("refused").kind()
    };
    let elsewhere = tempfile::tempdir().expect("a folder");
    assert_eq!(kind(&folder.path().join("file"), elsewhere.path()), ErrorKind::Argument);
    assert_eq!(kind(folder.path(), &folder.path().join("packs/here")), ErrorKind::Argument);
    assert_eq!(kind(folder.path(), folder.path()), ErrorKind::Argument);
    assert!(!folder.path().join("packs").exists());
}

#[test]
fn what_was_written_once_is_still_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/packs-1");
    let path = golden.join("app.gosync");
    let index = open_index(path.to_str().expect("text"), &OpenOptions::default()).expect("an index");
    assert_eq!((index.packs().map(|packs| packs.count()), index.source()), (Some(2), Some("packs")));
    assert_eq!(index.encode(), std::fs::read(path).expect("the file"));
    let place = open_source(golden.join("packs").to_str().expect("text"), &OpenOptions::default()).expect("a place");
    let source = of_tree(&index, place).expect("a source");
    let taker = Taker::new();
    taker.get(&*source, &[(0, TO_END)]).expect("an answer");
    let payload = taker.content(index.length() as usize);
    assert_eq!(gosync_io::Digest::of(&payload), index.listing().expect("a tree").payload_root());
}
