//! An index that is read in part, where what comes is of another version than what was there before, or seems to be.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosync_io::{
    ErrorKind, Index, IndexOptions, Job, JobOptions, OpenOptions, encode_index, index_bytes, index_file, open_index,
};

use crate::parts::{HEAD, NAME, Pair, folder_of, index_bytes_of, lengthened, update};
use crate::server::{Answer, Server, good};
use crate::sink::noise;

fn options() -> IndexOptions {
    IndexOptions { source: Some("app.bin".into()), ..IndexOptions::default() }
}

/// The index of a directory, so long that it is read in part.
fn tree(place: &Path, text: &str) -> Vec<u8> {
    folder_of(place, text);
    lengthened(&index_file(place, &IndexOptions::default()).expect("an index").encode())
}

#[test]
fn answers_that_seem_to_differ_are_read_in_one_go() {
    let pair = Arc::new(Pair::new());
    let served = Arc::clone(&pair);
    let server = Server::start(move |asked| {
        let answer = served.answer(asked);
        if asked.path == NAME { answer } else { answer.with("etag", format!("\"{}\"", asked.number)) }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &pair.old).expect("the old version");
    update(&server, &target).expect("an update");
    assert!(std::fs::read(&target).expect("the target") == pair.new);
    // Once, and what was asked for before in vain.
    let (read, length) = (index_bytes_of(&server, pair.served.len()).0, pair.served.len() as u64);
    assert!(read < 2 * length, "{read} bytes of an index of {length}");
}

#[test]
fn the_index_of_a_directory_is_read_in_one_go_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = tree(folder.path(), "some");
    let served = bytes.clone();
    let server = Server::start(move |asked| good(asked, &served).with("etag", format!("\"{}\"", asked.number)));
    let index = open_index(&server.url("/tree.gosync"), &OpenOptions::default()).expect("an index");
    let whole = Index::decode(&bytes).expect("an index");
    assert_eq!(index.listing(), whole.listing());
    assert_eq!(encode_index(&index).expect("an index"), whole.encode());
    let (read, length) = (index_bytes_of(&server, bytes.len()).0, bytes.len() as u64);
    assert!(read < 2 * length, "{read} bytes of an index of {length}");
}

/// Opens the index of `pair` and updates to what the server has then: `newer` and its index.
fn update_while_it_changes(pair: &Arc<Pair>, newer: &[u8], newer_index: &[u8], tagged: bool) {
    let is_newer = Arc::new(AtomicBool::new(false));
    let (served, switch) = (Arc::clone(pair), Arc::clone(&is_newer));
    let (content, index) = (newer.to_vec(), newer_index.to_vec());
    let server = Server::start(move |asked| {
        if !switch.load(Ordering::SeqCst) {
            return served.answer(asked);
        }
        let answer = good(asked, if asked.path == NAME { &content } else { &index });
        // Without one, only the groups themselves can tell.
        if tagged { answer.with("etag", "\"two\"") } else { answer }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &pair.old).expect("the old version");
    let opened = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
    is_newer.store(true, Ordering::SeqCst);
    let job = Job::new(Arc::new(opened), None, &target, JobOptions::default()).expect("a job");
    let plan = job.plan().expect("a plan");
    assert_eq!((plan.total, plan.missing < 30_000), (newer.len() as u64, true));
    let statistics = job.run().expect("an update");
    assert!(std::fs::read(&target).expect("the target") == newer, "tagged: {tagged}");
    let root = Index::decode(newer_index).expect("an index").root();
    assert!(root.is_some() && statistics.root == root, "{statistics:?}");
}

#[test]
fn an_index_that_is_replaced_after_its_beginning_is_opened_anew_once() {
    let pair = Arc::new(Pair::new());
    let mut newer = pair.new.clone();
    // Where an edit is already: the groups that are needed are others.
    newer[5_000_020..5_000_120].fill(2);
    let index = lengthened(&index_bytes(&newer, &options()).expect("an index").encode());
    [true, false].into_iter().for_each(|tagged| update_while_it_changes(&pair, &newer, &index, tagged));
}

#[test]
fn an_index_that_says_the_same_elsewhere_is_opened_anew_too() {
    let pair = Arc::new(Pair::new());
    let versions = [
        IndexOptions { version: Some("the same, of another day".into()), ..options() },
        IndexOptions { block_size: 2048, ..options() },
    ];
    for options in versions {
        let index = lengthened(&index_bytes(&pair.new, &options).expect("an index").encode());
        [true, false].into_iter().for_each(|tagged| update_while_it_changes(&pair, &pair.new, &index, tagged));
    }
}

#[test]
fn an_index_that_is_replaced_while_it_is_opened_is_opened_again() {
    // One with a top that is longer than the beginning, and one that is read at once, by several requests.
    for (length, top_size) in [(80_000_000, 65_536), (20_000_000, 0)] {
        let old = noise(length);
        let mut new = old.clone();
        new[length - 1] ^= 1;
        let options = IndexOptions { top_size, ..options() };
        let index = |content: &[u8]| index_bytes(content, &options).expect("an index");
        let (old, new) = (index(&old), index(&new));
        let bytes = [&old, &new].map(|index| match top_size {
            0 => index.encode(),
            _ => lengthened(&index.encode()),
        });
        assert!(top_size == 0 || bytes[0].len() as u64 > HEAD && old.top_count() * 38 > HEAD);
        let server = Server::start(move |asked| good(asked, &bytes[usize::from(asked.number > 0)]).without("etag"));
        let opened = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
        assert_eq!((opened.root(), opened.has_top()), (new.root(), true));
    }
}

#[test]
fn the_index_of_a_directory_that_is_replaced_while_it_is_opened_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = ["old", "new"].map(|text| tree(&folder.path().join(text), text));
    let new = Index::decode(&bytes[1]).expect("an index");
    for tagged in [true, false] {
        let bytes = bytes.clone();
        let server = Server::start(move |asked| {
            let version = usize::from(asked.number > 0);
            let answer = good(asked, &bytes[version]).without("etag");
            if tagged { answer.with("etag", format!("\"{version}\"")) } else { answer }
        });
        let opened = open_index(&server.url("/tree.gosync"), &OpenOptions::default()).expect("an index");
        assert_eq!((opened.root(), opened.listing()), (new.root(), new.listing()), "tagged: {tagged}");
    }
}

/// What is no index is not asked for twice, nor is one that is cut off.
#[test]
fn what_is_no_index_is_not_read_again() {
    let page = b"<html>".repeat(100_000);
    let cut = index_bytes(&noise(20_000_000), &options()).expect("an index").encode()[..30_000].to_vec();
    for bytes in [page, cut] {
        let length = bytes.len();
        let server = Server::start(move |asked| good(asked, &bytes));
        let error = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect_err("no index");
        assert_eq!(error.kind(), ErrorKind::Format);
        let (read, _) = index_bytes_of(&server, length);
        assert!(read < 2 * HEAD + length as u64, "{read} bytes of {length}");
    }
}

#[test]
fn what_is_read_later_is_read_as_patiently_as_the_index_was_opened() {
    let pair = Arc::new(Pair::new());
    let server = Server::start(move |asked| match asked.number {
        0 => pair.answer(asked),
        _ => Answer::status(503),
    });
    let options = OpenOptions { retries: Some(0), ..OpenOptions::default() };
    let index = open_index(&server.url("/app.bin.gosync"), &options).expect("an index");
    let error = encode_index(&index).expect_err("a server that fails");
    assert_eq!((error.kind(), server.log().len()), (ErrorKind::SourceTemporary, 2));
}
