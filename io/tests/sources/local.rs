//! Memory, file and blocking sources.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gosync_io::source::{BlockingRead, BlockingSource, FileSource, MemorySource};
use gosync_io::{Error, ErrorKind, FileReader, Range, ReadAt, Result, Source};

use crate::sink::{Taker, eventually, noise};

const TO_END: u64 = Range::TO_END;

struct Slice(Vec<u8>);

impl BlockingRead for Slice {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        ReadAt::read_at(&self.0, offset, buffer)
    }
}

/// Reads fewer bytes than it could.
struct Crumbs(Vec<u8>);

impl BlockingRead for Crumbs {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let some = buffer.len().min(1 + (offset % 30_000) as usize);
        ReadAt::read_at(&self.0, offset, &mut buffer[..some])
    }
}

/// The same content through every source that needs no network.
fn each(content: &[u8], test: impl Fn(&str, Arc<dyn Source>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("content");
    std::fs::write(&path, content).expect("the content");
    test("memory", Arc::new(MemorySource::new(content.to_vec())));
    test("file", Arc::new(FileSource::open(&path).expect("the file")));
    test("blocking", Arc::new(BlockingSource::new(Slice(content.to_vec()), 3).expect("a source")));
    test("one thread", Arc::new(BlockingSource::new(Slice(content.to_vec()), 1).expect("a source")));
    test("crumbs", Arc::new(BlockingSource::new(Crumbs(content.to_vec()), 2).expect("a source")));
}

#[test]
fn ranges_are_answered() {
    let content = noise(1_500_000);
    each(&content, |name, source| {
        for ranges in [
            &[(0, 1)][..],
            &[(0, 1_500_000)],
            &[(5, 10), (20, 300_000), (400_000, 262_144), (1_499_999, 1)],
            &[(0, TO_END)],
            &[(7, 3), (1_000_000, TO_END)],
            &[(1_500_000, TO_END)],
        ] {
            let taker = Taker::new();
            taker.get(&*source, ranges).unwrap_or_else(|error| panic!("{name} {ranges:?}: {error}"));
            taker.check(&content, ranges);
            let wanted: u64 = ranges.iter().map(|&(offset, length)| length.min(1_500_000 - offset)).sum();
            assert_eq!(taker.taken(), wanted, "{name} {ranges:?}");
        }
    });
}

#[test]
fn an_empty_content_is_one() {
    each(&[], |name, source| {
        let taker = Taker::new();
        taker.get(&*source, &[(0, TO_END)]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(taker.taken(), 0);
        assert_eq!(taker.kind(&*source, &[(0, 1)]), ErrorKind::Source);
    });
}

#[test]
fn many_requests_at_once_are_answered() {
    let content = noise(600_000);
    each(&content, |_, source| {
        let taker = Taker::new();
        let ranges: Vec<(u64, u64)> = (0..60).map(|i| (i * 10_000, 9_999)).collect();
        let ids: Vec<u64> = ranges.chunks(4).map(|ranges| taker.ask(&*source, ranges)).collect();
        ids.into_iter().for_each(|id| taker.result(id).expect("an answer"));
        taker.check(&content, &ranges);
    });
}

#[test]
fn a_content_that_is_too_short_says_so() {
    let content = noise(1000);
    each(&content, |name, source| {
        for range in [(0, 1001), (990, 20), (1000, 1), (5000, 1)] {
            let error = Taker::new().get(&*source, &[range]).expect_err("too short");
            assert_eq!(error.kind(), ErrorKind::Source, "{name} {range:?}");
            if name == "memory" || name == "file" {
                let needed = range.0 + range.1;
                let message = format!("the source has 1000 bytes, fewer than the {needed} that are needed");
                assert_eq!(error.message(), message, "{name}");
            }
        }
    });
}

#[test]
fn an_answer_without_room_waits_to_be_resumed() {
    let content = noise(1_000_000);
    each(&content, |name, source| {
        let taker = Taker::with_room(0);
        let id = taker.ask(&*source, &[(0, 1_000_000)]);
        taker.wait_for_again(1);
        let before = taker.agains();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(taker.agains(), before, "{name} offers again without being resumed");
        // Room for one or two pieces at a time.
        while !taker.is_finished(id) {
            let (agains, taken) = (taker.agains(), taker.taken());
            taker.add_room(300_000);
            source.resume(id);
            eventually("it goes on", || taker.is_finished(id) || (taker.agains() > agains && taker.taken() > taken));
        }
        taker.result(id).expect("an answer");
        taker.check(&content, &[(0, 1_000_000)]);
        assert_eq!(taker.taken(), 1_000_000, "{name}");
    });
}

#[test]
fn one_without_room_does_not_hold_up_another() {
    let content = noise(2_000_000);
    each(&content, |name, source| {
        let (slow, quick) = (Taker::with_room(0), Taker::new());
        let ranges: Vec<(u64, u64)> = (0..8).map(|i| (i * 250_000, 250_000)).collect();
        let id = slow.ask(&*source, &ranges);
        slow.wait_for_again(1);
        quick.get(&*source, &ranges).unwrap_or_else(|error| panic!("{name}: {error}"));
        source.cancel(id);
        assert_eq!(slow.error(id).kind(), ErrorKind::Cancelled, "{name}");
    });
}

#[test]
fn a_cancelled_request_is_finished_soon() {
    let content = noise(1_000_000);
    each(&content, |name, source| {
        let taker = Taker::with_room(0);
        let id = taker.ask(&*source, &[(0, 400_000), (500_000, TO_END)]);
        taker.wait_for_again(1);
        source.cancel(id);
        assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled, "{name}");
        // It is over: nothing of this may do anything.
        source.cancel(id);
        source.resume(id);
        source.cancel(u64::MAX);
        source.resume(u64::MAX);
        let other = Taker::new();
        other.get(&*source, &[(3, 5)]).expect("an answer");
    });
}

#[test]
fn a_closed_taker_ends_the_answer() {
    let content = noise(1_000_000);
    each(&content, |name, source| {
        let taker = Taker::closed();
        let id = taker.ask(&*source, &[(0, 1_000_000)]);
        assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled, "{name}");
        assert_eq!(taker.supplies(id), 1, "{name} goes on after it was told to stop");
    });
}

#[test]
fn a_dropped_source_finishes_what_it_had() {
    let content = noise(1_000_000);
    each(&content, |name, source| {
        let taker = Taker::with_room(0);
        let ids: Vec<u64> = (0..10).map(|_| taker.ask(&*source, &[(0, 1000), (2000, TO_END)])).collect();
        taker.wait_for_again(1);
        drop(source);
        for id in ids {
            assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled, "{name}");
        }
    });
}

/// A reader with a gate that every call waits at.
struct Gate {
    content: Vec<u8>,
    shared: Arc<GateState>,
}

#[derive(Default)]
struct GateState {
    open: Mutex<bool>,
    changed: Condvar,
    inside: AtomicUsize,
    most: AtomicUsize,
    dropped: AtomicBool,
}

impl GateState {
    fn open(&self) {
        *self.open.lock().expect("the gate") = true;
        self.changed.notify_all();
    }
}

impl BlockingRead for Gate {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let inside = self.shared.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.most.fetch_max(inside, Ordering::SeqCst);
        let mut open = self.shared.open.lock().expect("the gate");
        while !*open {
            open = self.shared.changed.wait(open).expect("the gate");
        }
        drop(open);
        self.shared.inside.fetch_sub(1, Ordering::SeqCst);
        ReadAt::read_at(&self.content, offset, buffer)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.dropped.store(true, Ordering::SeqCst);
    }
}

fn gate(threads: usize) -> (BlockingSource, Arc<GateState>) {
    let shared = Arc::<GateState>::default();
    let reader = Gate { content: noise(100_000), shared: Arc::clone(&shared) };
    (BlockingSource::new(reader, threads).expect("a source"), shared)
}

#[test]
fn reads_happen_at_the_same_time_up_to_the_number_of_threads() {
    let (source, gate) = gate(3);
    let taker = Taker::new();
    let ranges: Vec<(u64, u64)> = (0..20).map(|i| (i * 5000, 5000)).collect();
    let id = taker.ask(&source, &ranges);
    eventually("three are inside", || gate.inside.load(Ordering::SeqCst) == 3);
    gate.open();
    taker.result(id).expect("an answer");
    assert_eq!(gate.most.load(Ordering::SeqCst), 3);
}

#[test]
fn what_was_cancelled_before_it_began_is_never_read() {
    let (source, gate) = gate(1);
    let (first, second) = (Taker::new(), Taker::new());
    let stuck = first.ask(&source, &[(0, 10)]);
    eventually("one is inside", || gate.inside.load(Ordering::SeqCst) == 1);
    let waiting = second.ask(&source, &[(0, 10)]);
    source.cancel(waiting);
    assert_eq!(second.error(waiting).kind(), ErrorKind::Cancelled);
    gate.open();
    first.result(stuck).expect("an answer");
}

#[test]
fn a_stuck_read_does_not_hold_up_a_drop() {
    let (source, gate) = gate(2);
    let taker = Taker::new();
    let ids: Vec<u64> = (0..4).map(|i| taker.ask(&source, &[(i * 100, 100)])).collect();
    eventually("two are inside", || gate.inside.load(Ordering::SeqCst) == 2);
    drop(source);
    // Those that had not begun are over; the others end with their read.
    assert_eq!(ids.iter().filter(|id| taker.is_finished(**id)).count(), 2);
    assert!(!gate.dropped.load(Ordering::SeqCst));
    gate.open();
    for id in ids {
        assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
    }
    eventually("the reader is dropped", || gate.dropped.load(Ordering::SeqCst));
}

#[test]
fn a_quiet_source_drops_its_reader_at_once() {
    let (source, gate) = gate(4);
    gate.open();
    let taker = Taker::new();
    taker.get(&source, &[(0, 10), (20, 10), (40, 10), (60, 10)]).expect("an answer");
    // A thread rests a moment after its last answer.
    std::thread::sleep(Duration::from_millis(50));
    drop(source);
    eventually("the reader is dropped", || gate.dropped.load(Ordering::SeqCst));
}

struct Failing(ErrorKind);

impl BlockingRead for Failing {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match self.0 {
            ErrorKind::Internal => panic!("a defect in the reader"),
            ErrorKind::Argument => Ok(buffer.len() + 1),
            kind if offset >= 100 => Err(Error::new(kind, "the reader's own words")),
            _ => Ok(buffer.len().min(100)),
        }
    }
}

#[test]
fn a_failing_reader_fails_the_request() {
    for (kind, expected) in [
        (ErrorKind::SourceTemporary, ErrorKind::SourceTemporary),
        (ErrorKind::SourceChanged, ErrorKind::SourceChanged),
        (ErrorKind::Internal, ErrorKind::Internal),
        (ErrorKind::Argument, ErrorKind::Source),
    ] {
        let source = BlockingSource::new(Failing(kind), 1).expect("a source");
        let taker = Taker::new();
        let error = taker.get(&source, &[(0, 10), (150, 10), (300, 10)]).expect_err("a failure");
        assert_eq!(error.kind(), expected);
        // And the thread is still there.
        assert_eq!(taker.kind(&source, &[(100, 10)]), expected);
    }
}

#[test]
fn a_file_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let kind = |path: &Path| FileSource::open(path).err().map(|error| error.kind());
    assert_eq!(kind(&folder.path().join("missing")), Some(ErrorKind::NotFound));
    assert_eq!(kind(folder.path()), Some(ErrorKind::Io));
    let error = FileReader::open(folder.path(), "seed").expect_err("a directory");
    assert_eq!(error.message(), "the seed is a directory, not a file");
    if cfg!(unix) {
        assert_eq!(kind(Path::new("/dev/null")), Some(ErrorKind::Io));
    }
}

#[test]
fn a_file_that_shrinks_says_how_long_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("content");
    std::fs::write(&path, noise(10_000)).expect("the content");
    let source = FileSource::open(&path).expect("the file");
    std::fs::File::options().write(true).open(&path).expect("the file").set_len(100).expect("cut");
    let error = Taker::new().get(&source, &[(50, 1000)]).expect_err("too short");
    assert_eq!(error.message(), "the source has 100 bytes, fewer than the 1050 that are needed");
}

#[test]
fn a_reader_reads_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("content");
    std::fs::write(&path, b"0123456789").expect("the content");
    let reader = FileReader::open(&path, "seed").expect("the file");
    let read = |offset, length| {
        let mut buffer = vec![0; length];
        let count = reader.read_at(offset, &mut buffer).expect("a read");
        buffer.truncate(count);
        String::from_utf8(buffer).expect("text")
    };
    assert_eq!(reader.length(), 10);
    assert_eq!(read(0, 4), "0123");
    assert_eq!(read(8, 4), "89");
    assert_eq!(read(10, 4), "");
    assert_eq!(read(u64::MAX >> 1, 4), "");
}
