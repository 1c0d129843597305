//! An index at a URL is read in part: as a server counts the bytes, and whatever it does with ranges.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gosync_core::index::Front;
use gosync_io::{
    Digest, ErrorKind, Format, Index, IndexOptions, Job, JobOptions, OpenOptions, Result, Statistics, encode_index,
    index_bytes, open_index, open_source, save_index, verify_file,
};

use crate::server::{Answer, Asked, Server, good, whole};
use crate::sink::noise;

pub(crate) const NAME: &str = "/app.bin";
/// Bytes of an index that are read first.
pub(crate) const HEAD: u64 = 40 << 10;

/// Two versions, and the server of the new one.
pub(crate) struct Pair {
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
    index: Vec<u8>,
    /// The index as it is served: so long that it is worth while to read it in part.
    pub(crate) served: Vec<u8>,
}

impl Pair {
    /// With five edits of a few bytes.
    pub(crate) fn new() -> Pair {
        let old = noise(70_000_000);
        let mut new = old.clone();
        for at in (0..5).map(|number| 5_000_000 + number * 12_000_000) {
            match at % 3 {
                0 => drop(new.splice(at..at, *b"something new")),
                1 => new[at..at + 100].fill(1),
                _ => drop(new.drain(at..at + 50)),
            }
        }
        let options = IndexOptions { source: Some("app.bin".into()), ..IndexOptions::default() };
        let index = index_bytes(&new, &options).expect("an index").encode();
        let served = lengthened(&index);
        Pair { old, new, index, served }
    }

    pub(crate) fn answer(&self, asked: &Asked) -> Answer {
        good(asked, if asked.path == NAME { &self.new } else { &self.served })
    }
}

/// An index with two mebibytes more at its end, which nobody knows the use of.
pub(crate) fn lengthened(index: &[u8]) -> Vec<u8> {
    let more = vec![7; 2 << 20];
    let number = |at: usize| u32::from_le_bytes(index[at..at + 4].try_into().expect("four bytes"));
    let table = 40 + 16 * number(12) as usize;
    let mut entry = [0; 16];
    entry[0] = 200;
    entry[4..8].copy_from_slice(&Digest::of(&more).0[..4]);
    entry[8..].copy_from_slice(&(more.len() as u64).to_le_bytes());
    let mut all = [&index[..table], &entry, &index[table..], &more].concat();
    all[12..16].copy_from_slice(&(number(12) + 1).to_le_bytes());
    let check = Digest::of(&[&all[..32], &all[40..table + 16]].concat());
    all[32..40].copy_from_slice(&check.0[..8]);
    all
}

/// Bytes that the bodies of the answers about the index had, and how many requests those were.
pub(crate) fn index_bytes_of(server: &Server, length: usize) -> (u64, usize) {
    let log: Vec<Asked> = server.log().into_iter().filter(|asked| asked.path != NAME).collect();
    let of = |asked: &Asked| match asked.ranges() {
        ranges if ranges.is_empty() => length as u64,
        ranges => {
            let last = |last: Option<u64>| last.unwrap_or(u64::MAX).min(length as u64 - 1);
            ranges.into_iter().map(|(first, end)| last(end) + 1 - first).sum()
        }
    };
    (log.iter().map(of).sum(), log.len())
}

pub(crate) fn update(server: &Server, target: &Path) -> Result<Statistics> {
    let index = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default())?;
    Job::new(Arc::new(index), None, target, JobOptions::default())?.run()
}

#[test]
fn only_what_is_needed_is_read() {
    let pair = Arc::new(Pair::new());
    let served = Arc::clone(&pair);
    let server = Server::start(move |asked| served.answer(asked));
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &pair.old).expect("the old version");
    let index = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
    assert!(!index.is_whole());
    assert_eq!(index_bytes_of(&server, pair.served.len()), (HEAD, 1));
    let job = Job::new(Arc::new(index), None, &target, JobOptions::default()).expect("a job");
    let plan = job.plan().expect("a plan");
    let (read, _) = index_bytes_of(&server, pair.served.len());
    assert!(read < HEAD + 5 * 2 * 1000, "{read} of {} bytes of the index", pair.served.len());
    assert_eq!(plan.index_size, read, "the plan says what was read");
    let statistics = job.run().expect("an update");
    assert!(std::fs::read(&target).expect("the target") == pair.new);
    assert!(statistics.fetched <= 5 * 2 * 2048, "{} bytes fetched", statistics.fetched);
    assert_eq!(index_bytes_of(&server, pair.served.len()).0, read, "what the plan read serves the update too");
    assert_eq!(statistics.index_size, read, "and so do the statistics");
}

/// Dependent rounds: what one change leads to does not wait for the others. The server keeps back what the index says of the
/// last change until somebody has asked for content.
#[test]
fn content_is_asked_for_before_all_of_the_index_is_here() {
    let mut pair = Pair::new();
    // Something is new in each change.
    pair.new.clone_from(&pair.old);
    (0..5).map(|number| 5_000_000 + number * 12_000_000).for_each(|at| pair.new[at..at + 100].fill(1));
    let options = IndexOptions { source: Some("app.bin".into()), ..IndexOptions::default() };
    pair.served = lengthened(&index_bytes(&pair.new, &options).expect("an index").encode());
    let pair = Arc::new(pair);
    let Front::Read(front) = Index::decode_front(&pair.served[..HEAD as usize], u64::MAX).expect("a beginning") else {
        panic!("the beginning is longer");
    };
    // The last edit.
    let top = 53_000_000 / front.top_size();
    let last = front.values_place(top).expect("its place").offset;
    let (is_asked, has_waited) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (served, asked_for, waited) = (Arc::clone(&pair), Arc::clone(&is_asked), Arc::clone(&has_waited));
    let server = Server::start(move |asked| {
        if asked.path == NAME {
            asked_for.store(true, Ordering::SeqCst);
        } else if asked.ranges().iter().any(|(first, end)| *first <= last && end.is_some_and(|end| end > last)) {
            let start = Instant::now();
            while !asked_for.load(Ordering::SeqCst) && start.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(1));
            }
            waited.store(start.elapsed() >= Duration::from_secs(5), Ordering::SeqCst);
        }
        served.answer(asked)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &pair.old).expect("the old version");
    let statistics = update(&server, &target).expect("an update");
    assert!(std::fs::read(&target).expect("the target") == pair.new);
    assert!(!has_waited.load(Ordering::SeqCst), "content waits for all of the index");
    assert!(statistics.fetched <= 5 * 2 * 2048 && statistics.wasted <= 5 * 2048, "{statistics:?}");
}

/// What lies between two things that are as far from each other as before, but is nothing like what was there, may be found
/// further on: it is not asked for before everything was looked through.
#[test]
fn pieces_that_have_changed_places_are_not_taken_for_changes() {
    const PIECE: usize = 3_100_000;
    let mut pair = Pair::new();
    let (one, other) = (4_321_000, 45_678_900);
    pair.new.clone_from(&pair.old);
    pair.new[one..one + PIECE].copy_from_slice(&pair.old[other..other + PIECE]);
    pair.new[other..other + PIECE].copy_from_slice(&pair.old[one..one + PIECE]);
    let options = IndexOptions { source: Some("app.bin".into()), ..IndexOptions::default() };
    pair.served = lengthened(&index_bytes(&pair.new, &options).expect("an index").encode());
    let pair = Arc::new(pair);
    let served = Arc::clone(&pair);
    let server = Server::start(move |asked| served.answer(asked));
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &pair.old).expect("the old version");
    let statistics = update(&server, &target).expect("an update");
    assert!(std::fs::read(&target).expect("the target") == pair.new);
    assert!(statistics.fetched <= 4 * 2 * 2048, "{statistics:?}");
}

#[test]
fn a_server_without_ranges_gives_it_all_at_once() {
    let pair = Arc::new(Pair::new());
    let served = Arc::clone(&pair);
    let server = Server::start(move |asked| whole(if asked.path == NAME { &served.new } else { &served.served }));
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &pair.old).expect("the old version");
    update(&server, &target).expect("an update");
    assert!(std::fs::read(&target).expect("the target") == pair.new);
    let log: Vec<Asked> = server.log().into_iter().filter(|asked| asked.path != NAME).collect();
    assert_eq!(log.len(), 1, "one download");
}

#[test]
fn the_rest_comes_when_it_is_asked_for() {
    let pair = Arc::new(Pair::new());
    let served = Arc::clone(&pair);
    let server = Server::start(move |asked| served.answer(asked));
    let folder = tempfile::tempdir().expect("a folder");
    let open = || open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
    let saved = folder.path().join("saved.gosync");
    save_index(&open(), &saved).expect("a saved index");
    assert!(std::fs::read(&saved).expect("the index") == pair.index);
    assert!(encode_index(&open()).expect("an encoded index") == pair.index);
    let before = index_bytes_of(&server, pair.served.len()).0;
    let file = folder.path().join("app.bin");
    std::fs::write(&file, &pair.new).expect("the new version");
    assert!(verify_file(&file, &open(), &Default::default()).expect("a verification").is_match());
    std::fs::write(&file, &pair.old).expect("the old version");
    let verification = verify_file(&file, &open(), &Default::default()).expect("a verification");
    assert!(!verification.is_match() && verification.damaged[0].offset == 5_000_000 / 65_536 * 65_536);
    let read = index_bytes_of(&server, pair.served.len()).0 - before;
    assert!(read < 2 * (HEAD + 1100 * 38), "{read} bytes for two times the chaining values");
}

#[test]
fn a_legacy_index_is_read_whole() {
    let content = noise(2_000_000);
    let options = IndexOptions { format: Format::Legacy, block_size: 100, ..IndexOptions::default() };
    let bytes = index_bytes(&content, &options).expect("an index").encode();
    let served = (content.clone(), bytes.clone());
    let server = Server::start(move |asked| good(asked, if asked.path == NAME { &served.0 } else { &served.1 }));
    let index = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
    assert!(index.is_whole() && index.format() == Format::Legacy);
    assert_eq!(index_bytes_of(&server, bytes.len()).0, bytes.len() as u64);
    let source = open_source(&server.url(NAME), &OpenOptions::default()).expect("a source");
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, &content[1000..]).expect("the old version");
    let job = Job::new(Arc::new(index), Some(source), &target, JobOptions::default()).expect("a job");
    let done = job.run().expect("an update");
    assert!(std::fs::read(&target).expect("the target") == content);
    assert_eq!((done.index_size, done.proof), (bytes.len() as u64, "blocks-md5"));
    // One that claims more than is allowed is not read.
    let small = OpenOptions { max_index_size: 100_000, ..OpenOptions::default() };
    let error = open_index(&server.url("/app.bin.gosync"), &small).expect_err("a large index");
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn damage_on_the_way_is_never_believed() {
    let pair = Arc::new(Pair::new());
    let served = Arc::clone(&pair);
    // Every answer after the beginning has a wrong byte.
    let server = Server::start(move |asked| {
        let mut answer = served.answer(asked);
        if asked.path != NAME && asked.range().is_some_and(|(first, _)| first > 0) {
            let middle = answer.body.len() / 2;
            answer.body[middle] ^= 1;
        }
        answer
    });
    let index = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
    let error = encode_index(&index).expect_err("damaged groups");
    assert!(matches!(error.kind(), ErrorKind::SourceChanged | ErrorKind::Source), "{error}");
    let whole = Index::decode(&pair.index).expect("an index");
    assert_eq!(index.root(), whole.root());
}

/// Updates `old` to `new` over HTTP: the bytes of the index that were read, and the statistics.
fn updated(old: &[u8], new: &[u8]) -> (u64, Statistics) {
    updated_by(lengthened(&index_bytes(new, &IndexOptions::default()).expect("an index").encode()), old, new)
}

fn updated_by(index: Vec<u8>, old: &[u8], new: &[u8]) -> (u64, Statistics) {
    let (content, served) = (new.to_vec(), index.clone());
    let server = Server::start(move |asked| good(asked, if asked.path == NAME { &content } else { &served }));
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, old).expect("the old version");
    let opened = open_index(&server.url("/app.bin.gosync"), &OpenOptions::default()).expect("an index");
    let source = open_source(&server.url(NAME), &OpenOptions::default()).expect("a source");
    let statistics = Job::new(Arc::new(opened), Some(source), &target, JobOptions::default())
        .expect("a job")
        .run()
        .expect("an update");
    assert!(std::fs::read(&target).expect("the target") == new);
    (index_bytes_of(&server, index.len()).0, statistics)
}

#[test]
fn small_changes_everywhere_leave_most_of_the_index_unread() {
    let old = noise(40_000_000);
    let mut new = old.clone();
    // In every top block, but not in every unit.
    (0..new.len() - 100).step_by(60_000).filter(|at| at / 60_000 % 5 == 0).for_each(|at| new[at..at + 100].fill(1));
    let (read, statistics) = updated(&old, &new);
    let blocks = 6 * new.len() as u64 / 1024;
    assert!(read < HEAD + blocks / 2, "{read} bytes of the index, the identities of all blocks are {blocks}");
    assert!(statistics.fetched <= 140 * 2 * 1024, "{} bytes fetched", statistics.fetched);
}

#[test]
fn what_is_not_quite_a_little_is_not_asked_for_before_it_is_needed() {
    let old = noise(50_000_000);
    let new = [b"new", &old[..]].concat();
    let index = index_bytes(&new, &IndexOptions::default()).expect("an index").encode();
    assert!((HEAD + (256 << 10)..HEAD + (512 << 10)).contains(&(index.len() as u64)), "{}", index.len());
    let (read, statistics) = updated_by(index, &old, &new);
    assert!(read < HEAD + 4096 && statistics.fetched == 1024, "{read} bytes of the index, {statistics:?}");
}

#[test]
fn where_little_is_found_the_index_is_read_whole() {
    let old = noise(40_000_000);
    // Of each ten thousand bytes, a few are there: no unit is.
    let new: Vec<u8> = old.chunks(10_000).flat_map(|chunk| [&chunk[..5000], b"new", &chunk[5000..]].concat()).collect();
    let (read, statistics) = updated(&old, &new);
    let blocks = 6 * new.len() as u64 / 1024;
    assert!(
        read >= blocks && read < blocks * 2,
        "{read} bytes of the index, the identities of all blocks are {blocks}"
    );
    assert!(statistics.fetched < new.len() as u64 / 4, "{} bytes fetched", statistics.fetched);
}

/// A directory with some files, of which the first few say something of their own.
pub(crate) fn folder_of(place: &Path, text: &str) {
    for number in 0..300 {
        let folder = place.join(format!("folder {}", number % 7));
        std::fs::create_dir_all(&folder).expect("a folder");
        let text = if number < 3 { text } else { "the same" };
        std::fs::write(folder.join(format!("file {number}")), format!("{text} {number}").repeat(200)).expect("a file");
    }
}

#[test]
fn that_nothing_is_new_in_a_directory_its_root_tells() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two, target) = (folder.path().join("one"), folder.path().join("two"), folder.path().join("target"));
    folder_of(&one, "old");
    folder_of(&two, "new");
    let options = IndexOptions { source: Some(String::new()), ..IndexOptions::default() };
    let index = |place: &Path| gosync_io::index_file(place, &options).expect("an index").encode();
    let (old, new) = (index(&one), index(&two));
    let is_newer = Arc::new(AtomicBool::new(false));
    let (switch, served) = (Arc::clone(&is_newer), (old.clone(), new.clone()));
    let server = Server::start(move |asked| {
        let is_newer = switch.load(Ordering::SeqCst);
        good(asked, if is_newer { &served.1 } else { &served.0 }).with("etag", format!("\"{is_newer}\""))
    });
    let update = |seed: Option<&Path>| {
        let open = OpenOptions { target: Some(target.clone()), ..OpenOptions::default() };
        let before = server.log().len();
        let index = open_index(&server.url("/tree.gosync"), &open)?;
        let options = JobOptions { open, ..JobOptions::default() };
        let job = Job::new(Arc::new(index), None, &target, options)?;
        seed.into_iter().try_for_each(|seed| job.add_seed(seed))?;
        let statistics = job.run()?;
        let bytes: u64 = server.log()[before..]
            .iter()
            .map(|asked| match asked.range() {
                Some((first, last)) => last.unwrap_or(1 << 30) + 1 - first,
                None => 1 << 30,
            })
            .sum();
        Ok::<_, gosync_io::Error>((statistics, server.log().len() - before, bytes))
    };
    let root = gosync_io::Index::decode(&old).expect("an index").root();
    update(Some(&one)).expect("an update");
    // Nothing new: one request, and the directory is looked at all the same.
    let (statistics, requests, bytes) = update(None).expect("an update");
    assert!(statistics.up_to_date && (requests, bytes) == (1, 1024), "{requests} requests, {bytes} bytes");
    // What was damaged meanwhile is seen, and what is needed for it is read then.
    std::fs::write(target.join("folder 4/file 4"), "damaged").expect("a file");
    let (statistics, requests, _) = update(Some(&one)).expect("an update");
    assert!(!statistics.up_to_date && requests > 1);
    let open = OpenOptions { target: Some(target.clone()), ..OpenOptions::default() };
    let index = open_index(&server.url("/tree.gosync"), &open).expect("an index");
    assert!(!index.has_top() && index.root() == root && index.listing().is_some());
    assert!(verify_file(&target, &index, &Default::default()).expect("a verification").is_match());
    std::fs::write(target.join("folder 5/file 5"), "damaged").expect("a file");
    let found = verify_file(&target, &index, &Default::default()).expect("a verification");
    assert!(!found.is_match() && !found.differences[0].damaged.is_empty(), "{found:?}");
    // A newer version.
    is_newer.store(true, Ordering::SeqCst);
    update(Some(&two)).expect("an update");
    assert!(verify_file(&target, &Index::decode(&new).expect("an index"), &Default::default()).expect("it").is_match());
}
