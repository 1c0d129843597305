//! The job adapts: to a link that is faster than the search, to a plan of one go, to content that changes under it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gosync_io::{
    Error, ErrorKind, Index, IndexOptions, Job, JobOptions, Link, Observer, Range, Request, Result, Source, Statistics,
    Strategy, Supply, index_bytes, open_index, save_index,
};

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

fn index_of(content: &[u8]) -> Arc<Index> {
    Arc::new(index_bytes(content, &IndexOptions::default()).expect("an index"))
}

/// What a [`Told`] source does with a request, by its number.
type Behave = Box<dyn Fn(&Told, usize, Request) + Send + Sync>;

/// A source that says of its link what it is told to say.
struct Told {
    content: Mutex<Vec<u8>>,
    link: Link,
    asked: Mutex<Vec<Vec<Range>>>,
    requests: AtomicUsize,
    log: Arc<Mutex<Vec<String>>>,
    behave: Behave,
}

impl Told {
    fn new(content: &[u8], link: Link, behave: Behave) -> Arc<Told> {
        let (content, asked) = (Mutex::new(content.to_vec()), Mutex::default());
        Arc::new(Told { content, link, asked, requests: AtomicUsize::new(0), log: Arc::default(), behave })
    }

    fn good(content: &[u8], link: Link) -> Arc<Told> {
        Told::new(content, link, Box::new(|told, _, request| told.answer(request, usize::MAX)))
    }

    /// Answers up to `most` bytes, then fails for a while.
    fn answer(&self, request: Request, most: usize) {
        let mut left = most;
        for range in request.ranges().to_vec() {
            let content = self.content.lock().unwrap();
            let end = range.end().min(content.len() as u64) as usize;
            let bytes = &content[range.offset as usize..end];
            for (at, piece) in (range.offset..).step_by(100_000).zip(bytes.chunks(100_000)) {
                if left < piece.len() {
                    return request.finish(Err(Error::new(ErrorKind::SourceTemporary, "the line was cut")));
                }
                left -= piece.len();
                while request.supply(at, piece) == Supply::Again {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        request.finish(Ok(()));
    }
}

impl Source for Told {
    fn fetch(&self, request: Request) {
        self.log.lock().unwrap().push(String::from("fetch"));
        self.asked.lock().unwrap().push(request.ranges().to_vec());
        (self.behave)(self, self.requests.fetch_add(1, Ordering::SeqCst), request);
    }

    fn link(&self) -> Link {
        self.link.clone()
    }
}

fn fast() -> Link {
    Link { round_trip: Some(Duration::from_micros(10)), rate: Some(1 << 40), parallel: 64, ..Link::default() }
}

fn slow() -> Link {
    Link { round_trip: Some(Duration::from_millis(100)), rate: Some(1_000_000), parallel: 400, ..Link::default() }
}

fn run(index: &Arc<Index>, source: &Arc<Told>, target: &Path, options: JobOptions) -> Result<Statistics> {
    run_where(index, source, target, options, |_, _| ())
}

/// The same, where the job goes on from an event once `wait` has come back.
fn run_where(
    index: &Arc<Index>,
    source: &Arc<Told>,
    target: &Path,
    options: JobOptions,
    wait: impl Fn(&str, &Mutex<Vec<String>>) + Send + Sync + 'static,
) -> Result<Statistics> {
    let log = Arc::clone(&source.log);
    let heard = Arc::new(move |event: &gosync_io::Event| {
        wait(event.kind, &log);
        log.lock().unwrap().push(event.kind.to_owned());
    });
    let options = JobOptions { observer: Observer { events: Some(heard), ..Observer::default() }, ..options };
    Job::new(Arc::clone(index), Some(Arc::clone(source) as Arc<dyn Source>), target, options)?.run()
}

/// Holds the search where it says what is to be done, until something was asked for without that: on a machine of one
/// slow processor the search could be over before the thread that asks has had its turn.
fn until_asked(event: &str, log: &Mutex<Vec<String>>) {
    let begun = Instant::now();
    let is_asked = || log.lock().unwrap().iter().any(|entry| entry == "fetch");
    while event == "planned" && !is_asked() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `new` with `share` of 100 parts of it, in pieces of 50,000 bytes, replaced.
fn changed(new: &[u8], share: usize) -> Vec<u8> {
    let other = noise(new.len(), 99);
    let mut old = new.to_vec();
    for (number, (piece, other)) in old.chunks_mut(50_000).zip(other.chunks(50_000)).enumerate() {
        if number * 37 % 100 < share {
            piece.copy_from_slice(other);
        }
    }
    old
}

#[test]
fn a_link_faster_than_the_search_is_kept_busy() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let new = noise(48 << 20, 1);
    let index = index_of(&new);
    for share in [100, 90, 30, 0] {
        let mut old = changed(&new, share);
        if share == 30 {
            // What is fetched ahead turns up later in the seed.
            old.rotate_left(20 << 20);
        }
        fs::write(&target, &old).unwrap();
        let source = Told::good(&new, fast());
        // One thread, so that the search takes several waves on any machine.
        let options = JobOptions { threads: 1, ..JobOptions::default() };
        let wait = move |event: &str, log: &Mutex<Vec<String>>| {
            if share >= 90 {
                until_asked(event, log);
            }
        };
        let statistics = run_where(&index, &source, &target, options, wait).unwrap();
        assert!(fs::read(&target).unwrap() == new, "{share}");
        let log = source.log.lock().unwrap();
        let position = |what: &str| log.iter().position(|entry| entry == what);
        match share {
            0 => assert!(statistics.up_to_date),
            30 => {}
            _ => assert!(position("fetch") < position("planned"), "{share}: {log:?}"),
        }
        if share == 100 {
            assert!(statistics.reason.contains("search ended early"), "{}", statistics.reason);
            assert_eq!((statistics.fetched, statistics.wasted), (48 << 20, 0));
        }
    }
}

#[test]
fn a_slow_link_waits_for_the_search_where_things_were_moved() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let new = noise(96 << 20, 1);
    let index = index_of(&new);
    for is_moved in [false, true] {
        let mut old = changed(&new, 50);
        if is_moved {
            old.rotate_left(40 << 20);
        }
        fs::write(&target, &old).unwrap();
        let source = Told::good(&new, Link { rate: Some(10_000), ..slow() });
        let statistics = run(&index, &source, &target, JobOptions { threads: 1, ..JobOptions::default() }).unwrap();
        assert!(fs::read(&target).unwrap() == new);
        let log = source.log.lock().unwrap();
        let position = |what: &str| log.iter().position(|entry| entry == what);
        assert_eq!(position("planned") < position("fetch"), is_moved, "{log:?}");
        // What could be found was not fetched: half of it, in blocks that reach over the edges of the pieces.
        assert!(statistics.fetched < 52 << 20 && statistics.wasted == 0, "{statistics:?}");
    }
}

#[test]
fn everything_in_one_go_continues_where_it_broke() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let new = noise(3_000_000, 2);
    let index = index_of(&new);
    for max_bytes_in_flight in [0, 150_000] {
        let _ = fs::remove_file(&target);
        let cut = |told: &Told, number, request| told.answer(request, if number < 2 { 1_000_000 } else { usize::MAX });
        let source = Told::new(&new, slow(), Box::new(cut));
        let options = JobOptions { max_bytes_in_flight, ..JobOptions::default() };
        let statistics = run(&index, &source, &target, options).unwrap();
        assert!(fs::read(&target).unwrap() == new);
        let asked = source.asked.lock().unwrap();
        let to_end = |offset| vec![Range::new(offset, Range::TO_END)];
        assert_eq!(*asked, [to_end(0), to_end(1_000_000), to_end(2_000_000)]);
        assert_eq!((statistics.fetched, statistics.wasted, statistics.retries), (3_000_000, 0, 2));
        assert!(statistics.reason.starts_with("full download"), "{}", statistics.reason);
    }
}

#[test]
fn ranges_that_would_take_longer_become_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let new = noise(4_000_000, 3);
    let index = index_of(&new);
    let mut old = new.clone();
    (0..old.len()).step_by(8192).for_each(|at| old[at] ^= 1);
    let target = folder.path().join("target");
    fs::write(&target, &old).unwrap();
    let source = Told::good(&new, Link::default());
    let plan = |assume_rtt: u64, assume_rate, max_gap| {
        let assume_rtt = Duration::from_millis(assume_rtt);
        let options = JobOptions { assume_rtt, assume_rate, max_gap, ..JobOptions::default() };
        let source = Arc::clone(&source) as Arc<dyn Source>;
        Job::new(Arc::clone(&index), Some(source), &target, options).unwrap().plan().unwrap()
    };
    let unknown = plan(0, 0, 0);
    assert_eq!((unknown.strategy, unknown.time, unknown.time_whole), (Strategy::Ranges, None, None));
    let near = plan(1, 100_000, 1);
    assert_eq!(near.strategy, Strategy::Ranges, "{}", near.reason);
    assert!(near.time < near.time_whole);
    let far = plan(1000, 100_000_000, 1);
    assert_eq!(far.strategy, Strategy::Ranges, "two round trips are not worth the bytes: {}", far.reason);
    assert_eq!((far.round_trip, far.rate), (Some(Duration::from_secs(1)), Some(100_000_000)));
    let links = Link { parallel: 4, ..Link::default() };
    let source = Told::good(&new, links) as Arc<dyn Source>;
    let assume_rtt = Duration::from_secs(1);
    let options = JobOptions { assume_rtt, assume_rate: 100_000_000, max_gap: 1, ..JobOptions::default() };
    let one = Job::new(Arc::clone(&index), Some(source), &target, options).unwrap().plan().unwrap();
    assert_eq!(one.strategy, Strategy::Whole, "{}", one.reason);
    assert!(one.time > one.time_whole);
    assert!(one.reason.contains("would take longer"), "{}", one.reason);
}

#[test]
fn content_that_changes_with_its_index_is_planned_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (target, location) = (folder.path().join("target"), folder.path().join("content.gosync"));
    let first = noise(4_000_000, 4);
    let mut second = first.clone();
    second[3_000_000..3_100_000].copy_from_slice(&noise(100_000, 5));
    for replaced in [true, false] {
        fs::write(&target, b"what was there before").unwrap();
        save_index(&index_of(&first), &location).unwrap();
        let (newer, place) = (index_of(&second), location.clone());
        let other = second.clone();
        // The first request gets half of the content; then the publisher replaces everything, or only the content.
        let behave = move |told: &Told, number: usize, request: Request| match number {
            0 => told.answer(request, 2_000_000),
            1 => {
                // What came first is in its place by then.
                std::thread::sleep(Duration::from_millis(300));
                *told.content.lock().unwrap() = other.clone();
                if replaced {
                    save_index(&newer, &place).unwrap();
                }
                request.finish(Err(Error::new(ErrorKind::SourceChanged, "another version")));
            }
            _ => told.answer(request, usize::MAX),
        };
        let source = Told::new(&first, slow(), Box::new(behave));
        let index = Arc::new(open_index(location.to_str().unwrap(), &Default::default()).unwrap());
        let result = run(&index, &source, &target, JobOptions::default());
        if replaced {
            let statistics = result.unwrap();
            assert!(fs::read(&target).unwrap() == second);
            assert_eq!(statistics.total, second.len() as u64);
            // What the first try had put together was not fetched again.
            assert!(statistics.fetched < 4_200_000, "{statistics:?}");
            assert!(source.log.lock().unwrap().iter().any(|entry| entry == "replanned"));
        } else {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::SourceChanged);
            assert_eq!(fs::read(&target).unwrap(), b"what was there before");
        }
        // After a failure, what was fetched is kept for the next update.
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, if replaced { 2 } else { 3 }, "something was left beside the target");
    }
}
