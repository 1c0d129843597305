//! The format 0.2 through the public door: plan, update, verify and info work on it as on any index, and every byte is
//! verified by the MD5 of its block.

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::noise;
use gosync_io::source::{BlockingRead, BlockingSource, MemorySource};
use gosync_io::{
    ErrorKind, Format, Index, IndexOptions, Job, JobOptions, Observer, OpenOptions, Result, Source, VerifyOptions,
    index_bytes, index_file, open_index, save_index, verify_file,
};

fn options(block_size: u32) -> IndexOptions {
    IndexOptions { block_size, format: Format::Legacy, ..IndexOptions::default() }
}

fn legacy(content: &[u8], block_size: u32) -> Arc<Index> {
    Arc::new(index_bytes(content, &options(block_size)).expect("an index"))
}

fn memory(content: &[u8]) -> Option<Arc<dyn Source>> {
    Some(Arc::new(MemorySource::new(content.to_vec())))
}

/// An older version: an insertion, an edit, a cut.
fn older(content: &[u8]) -> Vec<u8> {
    let mut old = content.to_vec();
    let (third, half) = (old.len() / 3, old.len() / 2);
    old.splice(third..third, *b"something that was there");
    old[half] ^= 0xff;
    old.truncate(content.len() * 9 / 10);
    old
}

fn job(index: &Arc<Index>, source: Option<Arc<dyn Source>>, target: &Path) -> Job {
    Job::new(Arc::clone(index), source, target, JobOptions::default()).expect("a job")
}

#[test]
fn an_update_by_blocks_of_any_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    for (length, block_size) in [
        (0, 1000),
        (1, 1000),
        (300_000, 16),
        (300_000, 1000),
        (1_000_000, 8192),
        (8192 * 20, 8192),
        (3_000_000, 65_536),
        (3_000_000, 1 << 20),
        (40_000_000, 20_000_003),
        (500_000, u32::MAX),
    ] {
        let content = noise(length, 3);
        let name = format!("{length} bytes by {block_size}");
        let index = legacy(&content, block_size);
        fs::write(&target, older(&content)).expect("an old version");
        let plan = job(&index, None, &target).plan().unwrap_or_else(|error| panic!("{name}: {error}"));
        let done = job(&index, memory(&content), &target).run().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(fs::read(&target).expect("the target") == content, "{name}");
        assert_eq!((done.proof, done.total, done.retries), ("blocks-md5", length as u64, 0), "{name}");
        assert_eq!(done.fetched, plan.missing, "{name}");
        if length > 20 * block_size as usize {
            assert!(done.from_seeds > length as u64 * 8 / 10, "{name}: {done:?}");
        }
        let again = job(&index, None, &target).run().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(again.up_to_date && again.proof == "blocks-md5", "{name}");
    }
}

#[test]
fn a_saved_index_is_opened_by_its_magic() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, path) = (folder.path().join("new"), folder.path().join("new.gosync"));
    let content = noise(100_001, 9);
    fs::write(&file, &content).expect("the new version");
    save_index(&index_file(&file, &options(0)).expect("an index"), &path).expect("a saved index");
    let index = open_index(path.to_str().expect("text"), &OpenOptions::default()).expect("the index");
    assert_eq!((index.format(), index.block_size(), index.root(), index.source()), (Format::Legacy, 8192, None, None));
    assert_eq!(index.encoded_size(), fs::metadata(&path).expect("the index").len());

    let found = verify_file(&file, &index, &VerifyOptions::default()).expect("a verification");
    assert!(found.is_match());
    let mut damaged = content.clone();
    damaged[20_000] ^= 1;
    damaged.push(0);
    fs::write(&file, &damaged).expect("a damaged file");
    let found = verify_file(&file, &index, &VerifyOptions::default()).expect("a verification");
    assert_eq!((found.length, found.expected_length), (100_002, 100_001));
    assert_eq!(found.damaged.iter().map(|range| (range.offset, range.length)).collect::<Vec<_>>(), [(16_384, 8192)]);
}

#[test]
fn wrong_bytes_are_fetched_again_and_never_published() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    let content = noise(500_000, 5);
    let index = legacy(&content, 1000);

    /// Lies about one byte, so many times.
    struct Liar(Vec<u8>, Mutex<u32>);
    impl BlockingRead for Liar {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let at = offset as usize;
            let count = buffer.len().min(self.0.len() - at);
            buffer[..count].copy_from_slice(&self.0[at..at + count]);
            let mut lies = self.1.lock().expect("the lies");
            if *lies > 0 && (at..at + count).contains(&250_000) {
                buffer[250_000 - at] ^= 1;
                *lies -= 1;
            }
            Ok(count)
        }
    }
    let liar = |lies| -> Option<Arc<dyn Source>> {
        Some(Arc::new(BlockingSource::new(Liar(content.clone(), Mutex::new(lies)), 1).expect("a source")))
    };
    let done = job(&index, liar(1), &target).run().expect("an update");
    assert!(fs::read(&target).expect("the target") == content);
    assert_eq!(done.wasted, 0);
    assert_eq!(done.fetched, 501_000);

    fs::write(&target, b"the old version").expect("an old version");
    let error = job(&index, liar(u32::MAX), &target).run().expect_err("a mismatch");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    let block = error.context().iter().find(|(key, _)| *key == "block").map(|(_, value)| value.to_string());
    assert_eq!(block.as_deref(), Some("250"));
    assert_eq!(fs::read(&target).expect("the target"), b"the old version");
}

#[test]
fn the_events_say_that_there_is_no_root() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&seen);
    let tell = move |event: &gosync_io::Event| {
        if let Some((_, root)) = event.fields.iter().find(|(key, _)| *key == "root") {
            listener.lock().expect("the events").push(root.clone());
        }
    };
    let observer = Observer { events: Some(Arc::new(tell)), ..Observer::default() };
    let index = legacy(b"content", 3);
    let options = JobOptions { observer, ..JobOptions::default() };
    Job::new(index, memory(b"content"), folder.path().join("target"), options)
        .expect("a job")
        .run()
        .expect("an update");
    assert_eq!(*seen.lock().expect("the events"), ["none"]);
}

#[test]
fn options_that_the_format_has_no_room_for() {
    let with_source = IndexOptions { source: Some("elsewhere".into()), ..options(0) };
    assert_eq!(index_bytes(b"x", &with_source).expect_err("no room").kind(), ErrorKind::Argument);
    // An empty name means none, which is all there can be.
    let without = IndexOptions { source: Some(String::new()), ..options(0) };
    assert_eq!(index_bytes(b"x", &without).expect("an index").source(), None);
}

#[test]
fn what_is_expected_is_compared_with_the_finished_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    let content = noise(100_000, 7);
    let bytes = legacy(&content, 1000).encode();
    let root = gosync_io::Digest::of(&content);
    let open = |expect| OpenOptions { expect: Some(expect), ..OpenOptions::default() };
    let read = |expect| Arc::new(gosync_io::index_from_bytes(&bytes, &open(expect)).expect("an index"));

    fs::write(&target, b"the old version").expect("an old version");
    let other = gosync_io::Digest::of(b"something else");
    let error = job(&read(other), memory(&content), &target).run().expect_err("something else");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert_eq!(fs::read(&target).expect("the target"), b"the old version");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);

    assert_eq!(job(&read(root), memory(&content), &target).run().expect("an update").proof, "blocks-md5");
    assert!(fs::read(&target).expect("the target") == content);
    assert!(job(&read(root), None, &target).run().expect("an update").up_to_date);
    assert!(verify_file(&target, &read(root), &VerifyOptions::default()).expect("a verification").is_match());
    // The blocks are right, and yet it is not what somebody trusted said.
    assert_eq!(job(&read(other), None, &target).run().expect_err("something else").kind(), ErrorKind::Mismatch);
    let found = verify_file(&target, &read(other), &VerifyOptions::default());
    assert_eq!(found.expect_err("something else").kind(), ErrorKind::Mismatch);
}

/// In place there is no finished file to be compared before the old one changes; but what would only be cut off stays.
#[test]
fn what_is_expected_is_compared_before_anything_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    let old = noise(100_000, 7);
    let other = gosync_io::Digest::of(b"something else");
    for length in [0, 40_000, 99_999] {
        let bytes = legacy(&old[..length], 1000).encode();
        let open = OpenOptions { expect: Some(other), ..OpenOptions::default() };
        let index = Arc::new(gosync_io::index_from_bytes(&bytes, &open).expect("an index"));
        fs::write(&target, &old).expect("an old version");
        let options = JobOptions { in_place: true, ..JobOptions::default() };
        let job = Job::new(index, memory(&old[..length]), &target, options).expect("a job");
        assert_eq!(job.run().expect_err("something else").kind(), ErrorKind::Mismatch);
        assert!(fs::read(&target).expect("the target") == old, "{length}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}
