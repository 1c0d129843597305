//! Reading an index through any source: bounded, patient, cancellable.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gosync_io::source::MemorySource;
use gosync_io::{
    Cancel, Error, ErrorKind, HttpOptions, Index, IndexOptions, Observer, OpenOptions, Request, Result, Source, Supply,
    index_bytes, index_from_bytes, open_index, open_index_source, open_source,
};

use crate::server::{Answer, Asked, Cut, Server, good, whole};
use crate::sink::{eventually, noise};

fn sample() -> (Index, Vec<u8>) {
    let index = index_bytes(&noise(3_000_000), &IndexOptions::default()).expect("an index");
    let bytes = index.encode();
    (index, bytes)
}

/// A source that is a function.
struct Custom<F: Fn(Request) + Send + Sync> {
    answer: F,
    cancelled: Mutex<Vec<u64>>,
}

impl<F: Fn(Request) + Send + Sync> Custom<F> {
    fn new(answer: F) -> Arc<Self> {
        Arc::new(Custom { answer, cancelled: Mutex::default() })
    }
}

impl<F: Fn(Request) + Send + Sync> Source for Custom<F> {
    fn fetch(&self, request: Request) {
        (self.answer)(request);
    }

    fn cancel(&self, id: u64) {
        self.cancelled.lock().expect("the list").push(id);
    }
}

fn read<F: Fn(Request) + Send + Sync + 'static>(answer: F, options: &OpenOptions) -> Result<Index> {
    open_index_source(&(Custom::new(answer) as Arc<dyn Source>), options)
}

fn small(limit: u64) -> OpenOptions {
    OpenOptions { max_index_size: limit, ..OpenOptions::default() }
}

#[test]
fn an_index_comes_from_anywhere() {
    let (index, bytes) = sample();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a b.gosync");
    std::fs::write(&path, &bytes).expect("the index");
    let served = bytes.clone();
    let server = Server::start(move |asked| good(asked, &served));
    let options = OpenOptions::default();
    let path = path.to_str().expect("text").to_owned();
    for location in [path.clone(), format!("file://{}", path.replace(' ', "%20")), server.url("/x.gosync")] {
        let read = open_index(&location, &options).expect("an index");
        assert_eq!(read.root(), index.root());
        assert_eq!(read.origin(), Some(location.as_str()));
    }
    let read = index_from_bytes(&bytes, &options).expect("an index");
    assert_eq!((read.root(), read.origin()), (index.root(), None));
    let source: Arc<dyn Source> = Arc::new(MemorySource::new(bytes));
    assert_eq!(open_index_source(&source, &options).expect("an index").root(), index.root());
}

#[test]
fn what_cannot_be_opened_says_why() {
    let kind = |location: &str| open_source(location, &OpenOptions::default()).err().map(|error| error.kind());
    assert_eq!(kind(""), Some(ErrorKind::Argument));
    assert_eq!(kind("ssh://h/x"), Some(ErrorKind::Argument));
    assert_eq!(kind("/no/such/file"), Some(ErrorKind::NotFound));
    assert_eq!(kind("C:\\no\\such\\file"), Some(ErrorKind::NotFound));
    // A directory is a place with the files of an index of one.
    assert_eq!(kind("/"), None);
    let none = |bytes: &[u8]| index_from_bytes(bytes, &OpenOptions::default()).expect_err("no index").kind();
    assert_eq!(none(b""), ErrorKind::Format);
    assert_eq!(none(b"no index at all"), ErrorKind::Format);
}

#[test]
fn pieces_come_in_any_order_and_size() {
    let (index, bytes) = sample();
    let options = OpenOptions::default();
    let backwards = bytes.clone();
    let answer = move |request: Request| {
        for (number, piece) in backwards.chunks(777).enumerate().collect::<Vec<_>>().into_iter().rev() {
            assert_eq!(request.supply(number as u64 * 777, piece), Supply::Taken);
        }
        request.finish(Ok(()));
    };
    assert_eq!(read(answer, &options).expect("an index").root(), index.root());
    let overlapping = bytes.clone();
    let answer = move |request: Request| {
        let bytes = overlapping.clone();
        std::thread::spawn(move || {
            for start in [5000, 1000, 3000, 0, 4000, 2000] {
                let end = if start == 5000 { bytes.len() } else { start + 1500 };
                assert_eq!(request.supply(start as u64, &bytes[start..end]), Supply::Taken);
                assert_eq!(request.supply(0, &bytes[..10]), Supply::Taken);
            }
            request.finish(Ok(()));
        });
    };
    assert_eq!(read(answer, &options).expect("an index").root(), index.root());
    let holes = move |request: Request| {
        request.supply(0, &bytes[..100]);
        request.supply(200, &bytes[200..]);
        request.finish(Ok(()));
    };
    assert_eq!(read(holes, &options).expect_err("a hole").kind(), ErrorKind::Source);
}

#[test]
fn an_index_above_the_limit_is_cancelled() {
    let (_, bytes) = sample();
    let length = bytes.len() as u64;
    assert!(index_from_bytes(&bytes, &small(length)).is_ok());
    assert_eq!(index_from_bytes(&bytes, &small(length - 1)).expect_err("too large").kind(), ErrorKind::Limit);
    let source: Arc<dyn Source> = Arc::new(MemorySource::new(bytes));
    assert!(open_index_source(&source, &small(length)).is_ok());
    assert_eq!(open_index_source(&source, &small(length - 1)).expect_err("too large").kind(), ErrorKind::Limit);

    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = Custom::new(move |request: Request| {
        let count = Arc::clone(&count);
        std::thread::spawn(move || {
            let mut offset = 0;
            while request.supply(offset, &[7; 1000]) == Supply::Taken {
                offset += 1000;
                count.store(offset as usize, Ordering::SeqCst);
            }
        });
    });
    let source = Arc::clone(&endless) as Arc<dyn Source>;
    assert_eq!(open_index_source(&source, &small(10_500)).expect_err("too large").kind(), ErrorKind::Limit);
    assert_eq!(taken.load(Ordering::SeqCst), 10_000);
    // Nobody must hold more than the limit out of sequence either.
    let scattered = |request: Request| {
        let offsets = (1..1000).rev();
        let taken = offsets.take_while(|offset| request.supply(*offset, &[7; 1000]) == Supply::Taken).count();
        assert!(taken <= 10, "{taken} pieces were kept");
    };
    assert_eq!(read(scattered, &small(10_000)).expect_err("too large").kind(), ErrorKind::Limit);
}

#[test]
fn a_cancel_returns_at_once_whatever_the_source_does() {
    let stuck_inside = |request: Request| {
        std::thread::sleep(Duration::from_secs(5));
        drop(request);
    };
    let never = |request: Request| std::mem::forget(request);
    let failing = |request: Request| request.finish(Err(Error::new(ErrorKind::SourceTemporary, "not now")));
    let sources: [Arc<dyn Source>; 3] = [Custom::new(stuck_inside), Custom::new(never), Custom::new(failing)];
    for source in sources {
        let cancel = Cancel::new();
        let observer = Observer { cancel: cancel.clone(), ..Observer::default() };
        let options = OpenOptions { observer, ..OpenOptions::default() };
        let begun = Instant::now();
        let waiter = std::thread::spawn(move || open_index_source(&source, &options));
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
        assert_eq!(waiter.join().expect("no panic").expect_err("cancelled").kind(), ErrorKind::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn a_source_is_told_of_the_cancel() {
    let source = Custom::new(|request: Request| std::mem::forget(request));
    let cancel = Cancel::new();
    let observer = Observer { cancel: cancel.clone(), ..Observer::default() };
    let options = OpenOptions {
        observer,
        http: HttpOptions { timeout: Duration::from_secs(60), ..HttpOptions::default() },
        ..OpenOptions::default()
    };
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    let asked = Arc::clone(&source) as Arc<dyn Source>;
    assert_eq!(open_index_source(&asked, &options).expect_err("cancelled").kind(), ErrorKind::Cancelled);
    stopper.join().expect("no panic");
    eventually("it is told", || source.cancelled.lock().expect("the list").len() == 1);
}

#[test]
fn temporary_failures_are_survived_and_only_the_rest_is_asked_for_again() {
    let (index, bytes) = sample();
    let offsets = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&offsets);
    let served = bytes.clone();
    let answer = move |request: Request| {
        let start = request.ranges()[0].offset as usize;
        asked.lock().expect("the list").push(start);
        let number = asked.lock().expect("the list").len();
        if number == 3 {
            request.supply(start as u64, &served[start..]);
            return request.finish(Ok(()));
        }
        request.supply(start as u64, &served[start..start + 1000]);
        request.supply(start as u64 + 5000, &served[start + 5000..start + 6000]);
        request.finish(Err(Error::new(ErrorKind::SourceTemporary, "not now")));
    };
    assert_eq!(read(answer, &OpenOptions::default()).expect("an index").root(), index.root());
    assert_eq!(*offsets.lock().expect("the list"), [0, 1000, 2000]);
}

#[test]
fn a_source_says_how_long_to_wait() {
    let (index, bytes) = sample();
    let times = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&times);
    let answer = move |request: Request| {
        asked.lock().expect("the list").push(Instant::now());
        if asked.lock().expect("the list").len() == 1 {
            let busy = Error::new(ErrorKind::SourceTemporary, "busy").with_pause(Duration::from_millis(900));
            return request.finish(Err(busy));
        }
        request.supply(0, &bytes);
        request.finish(Ok(()));
    };
    assert_eq!(read(answer, &OpenOptions::default()).expect("an index").root(), index.root());
    let times = times.lock().expect("the list").clone();
    assert!(times[1] - times[0] >= Duration::from_millis(900));

    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let busy = move |request: Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        let error = Error::new(ErrorKind::SourceTemporary, "busy").with("url", "here");
        request.finish(Err(error.with_pause(Duration::from_secs(301))));
    };
    let error = read(busy, &OpenOptions::default()).expect_err("too long");
    assert_eq!((error.kind(), count.load(Ordering::SeqCst)), (ErrorKind::SourceTemporary, 1));
    assert_eq!(error.to_string(), "busy; not before 301 seconds, it says, which is too long to wait (url: here)");
}

#[test]
fn content_that_changes_again_and_again_is_given_up() {
    let offsets = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&offsets);
    let answer = move |request: Request| {
        asked.lock().expect("the list").push(request.ranges()[0].offset);
        request.supply(request.ranges()[0].offset, &[7; 100]);
        request.finish(Err(Error::new(ErrorKind::SourceChanged, "another one")));
    };
    assert_eq!(read(answer, &OpenOptions::default()).expect_err("no end").kind(), ErrorKind::SourceChanged);
    assert_eq!(*offsets.lock().expect("the list"), [0, 0]);
}

#[test]
fn retries_are_an_option() {
    for retries in [0, 1, 2] {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let answer = move |request: Request| {
            counter.fetch_add(1, Ordering::SeqCst);
            request.finish(Err(Error::new(ErrorKind::SourceTemporary, "not now")));
        };
        let options = OpenOptions { retries: Some(retries), ..OpenOptions::default() };
        assert_eq!(read(answer, &options).expect_err("a failure").kind(), ErrorKind::SourceTemporary);
        assert_eq!(count.load(Ordering::SeqCst), retries as usize + 1);
    }
}

#[test]
fn an_index_keeps_its_source_but_not_its_observer() {
    let (_, bytes) = sample();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.gosync");
    std::fs::write(&path, &bytes).expect("the index");
    let server = Server::start(move |asked| good(asked, &bytes));
    let listener: Arc<dyn Fn(&gosync_io::Event) + Send + Sync> = Arc::new(|_| {});
    let observer = Observer { events: Some(Arc::clone(&listener)), ..Observer::default() };
    let options = OpenOptions { observer, ..OpenOptions::default() };
    let index = open_index(&server.url("/x.gosync"), &options).expect("an index");
    drop(options);
    assert_eq!(Arc::strong_count(&listener), 1);
    let kept = Arc::downgrade(index.origin_source().expect("the source"));
    let second = index.clone();
    drop(index);
    assert!(kept.upgrade().is_some());
    drop(second);
    assert!(kept.upgrade().is_none());
    let local = open_index(path.to_str().expect("text"), &OpenOptions::default()).expect("an index");
    assert!(local.origin_source().is_none());
}

#[test]
fn failures_that_do_not_pass_end_it() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let permanent = move |request: Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        request.finish(Err(Error::new(ErrorKind::Source, "never")));
    };
    let error = read(permanent, &OpenOptions::default()).expect_err("a failure");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Source, "never"));
    assert_eq!(count.swap(0, Ordering::SeqCst), 1);
    let error = read(drop, &OpenOptions::default()).expect_err("a failure");
    assert_eq!(error.kind(), ErrorKind::Source);
}

#[test]
fn a_silent_source_is_a_timeout() {
    let options = OpenOptions {
        http: HttpOptions { timeout: Duration::from_millis(5), ..HttpOptions::default() },
        ..OpenOptions::default()
    };
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let silent = move |request: Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::mem::forget(request);
    };
    assert_eq!(read(silent, &options).expect_err("silence").kind(), ErrorKind::Timeout);
    assert_eq!(count.load(Ordering::SeqCst), 6);
}

#[test]
fn an_index_that_is_replaced_while_it_is_read_is_read_anew() {
    let (index, bytes) = sample();
    let old = noise(bytes.len() + 500);
    let server = Server::start(move |asked| match asked.number {
        0 => good(asked, &old).with("etag", "\"old\"").cut(2000, Cut::Close),
        1 => whole(&bytes).with("etag", "\"new\""),
        _ => good(asked, &bytes).with("etag", "\"new\""),
    });
    let read = open_index(&server.url("/x.gosync"), &OpenOptions::default()).expect("an index");
    assert_eq!(read.root(), index.root());
    let ranges: Vec<_> = server.log().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [Some("bytes=0-40959".to_owned()), Some("bytes=2000-".to_owned()), None]);
}

#[test]
fn a_server_that_fails_twice_gives_the_index_in_the_end() {
    let (index, bytes) = sample();
    let server = Server::start(move |asked| match asked.number {
        0 | 1 => Answer::status(503),
        _ => good(asked, &bytes),
    });
    let read = open_index(&server.url("/x.gosync"), &OpenOptions::default()).expect("an index");
    assert_eq!(read.root(), index.root());
}

#[test]
fn a_long_index_is_read_over_all_connections_and_in_one_go_where_they_differ() {
    let content = crate::sink::noise(60_000_000);
    let index = index_bytes(&content, &IndexOptions { block_size: 1024, ..IndexOptions::default() }).expect("an index");
    let bytes = index.encode();
    for differ in [false, true] {
        let served = bytes.clone();
        let server = Server::start(move |asked| {
            // A crowd of servers, each with an ETag of its own.
            let tag = if differ { asked.number } else { 0 };
            good(asked, &served).with("etag", format!("\"{tag}\""))
        });
        // A cache keeps all of it.
        let folder = tempfile::tempdir().expect("a folder");
        let options = OpenOptions { index_cache: Some(folder.path().join("kept")), ..OpenOptions::default() };
        let read = open_index(&server.url("/x.gosync"), &options).expect("an index");
        assert_eq!(read.root(), index.root());
        let log = server.log();
        if differ {
            assert_eq!(log.last().and_then(|asked| asked.header("range")), None);
        } else {
            // The beginning, and a part for each of six connections at most, the last with a bit of another; parts that
            // touch may go as one.
            assert!((3..=7).contains(&log.len()), "{} requests", log.len());
            assert!(server.most_at_once() <= 6, "{} at once", server.most_at_once());
            // The next requests may go out before the first one's connection is known to be free again.
            assert!(server.connections() <= 7, "{} connections", server.connections());
            let ranges = log.iter().flat_map(Asked::ranges);
            let asked: u64 = ranges.map(|(first, last)| last.unwrap() - first + 1).sum();
            assert_eq!(asked, bytes.len() as u64);
        }
    }
}
