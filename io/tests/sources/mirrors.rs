//! Several places with the same content: failover, wrong bytes, changed content, hangs, and who is asked how often.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gosync_io::source::{MemorySource, MirrorSource};
use gosync_io::{
    Error, ErrorKind, Event, IndexOptions, Job, JobOptions, Observer, Range, Request, Result, Source, Supply,
    index_bytes,
};

use crate::sink::{Taker, eventually, noise};

type Answer = dyn Fn(Request) + Send + Sync;

/// A mirror that answers as a test says, and writes down what it was asked.
struct Mirror {
    answer: Box<Answer>,
    asked: Mutex<Vec<Vec<Range>>>,
    cancelled: Mutex<Vec<u64>>,
    name: &'static str,
}

impl Mirror {
    fn new(name: &'static str, answer: impl Fn(Request) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Mirror { answer: Box::new(answer), asked: Mutex::default(), cancelled: Mutex::default(), name })
    }

    /// One that has `content`.
    fn of(name: &'static str, content: &[u8]) -> Arc<Self> {
        let content = content.to_vec();
        Mirror::new(name, move |request| {
            give(&request, &content, u64::MAX);
            request.finish(Ok(()));
        })
    }

    fn failing(name: &'static str, kind: ErrorKind) -> Arc<Self> {
        Mirror::new(name, move |request| request.finish(Err(Error::new(kind, name))))
    }

    fn asked(&self) -> Vec<Vec<Range>> {
        self.asked.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.asked().len()
    }
}

impl Source for Mirror {
    fn fetch(&self, request: Request) {
        assert_eq!(std::thread::current().name(), Some("gosync-mirror"), "asked from within an answer");
        self.asked.lock().unwrap().push(request.ranges().to_vec());
        (self.answer)(request);
    }

    fn cancel(&self, id: u64) {
        assert_eq!(std::thread::current().name(), Some("gosync-mirror"));
        self.cancelled.lock().unwrap().push(id);
    }

    fn describe(&self) -> String {
        self.name.into()
    }
}

/// Supplies what is asked for, but at most `most` bytes.
fn give(request: &Request, content: &[u8], most: u64) {
    let mut left = most;
    for range in request.ranges() {
        let end = range.end().min(content.len() as u64);
        let part = &content[range.offset as usize..end as usize];
        let part = &part[..part.len().min(left.min(usize::MAX as u64) as usize)];
        left -= part.len() as u64;
        for (at, piece) in part.chunks(1000).enumerate() {
            if request.supply(range.offset + 1000 * at as u64, piece) != Supply::Taken {
                return;
            }
        }
    }
}

fn mirrors(all: &[&Arc<Mirror>]) -> MirrorSource {
    watched(all, &Observer::default())
}

fn watched(all: &[&Arc<Mirror>], observer: &Observer) -> MirrorSource {
    let all = all.iter().map(|mirror| Arc::clone(mirror) as Arc<dyn Source>).collect();
    MirrorSource::new(all, observer).unwrap()
}

/// An observer, and what it has heard: kind and the two facts of a dropped mirror.
fn listening() -> (Observer, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let listen = Arc::new(move |event: &Event| heard.lock().unwrap().push(event.clone()));
    (Observer { events: Some(listen), ..Observer::default() }, events)
}

fn dropped(events: &Mutex<Vec<Event>>) -> Vec<String> {
    let events = events.lock().unwrap();
    let urls = events.iter().filter(|event| event.kind == "mirror_dropped").map(|event| event.fields[0].1.clone());
    urls.collect()
}

#[test]
fn what_one_fails_to_answer_is_continued_at_the_next() {
    let content = noise(200_000);
    for kind in [ErrorKind::SourceTemporary, ErrorKind::Source, ErrorKind::Timeout, ErrorKind::SourceChanged] {
        let half = content.clone();
        let first = Mirror::new("first", move |request| {
            give(&request, &half, 25_000);
            request.finish(Err(Error::new(kind, "no more")));
        });
        let second = Mirror::of("second", &content);
        let source = mirrors(&[&first, &second]);
        let taker = Taker::new();
        taker.get(&source, &[(0, 20_000), (50_000, 10_000), (100_000, 5000)]).unwrap();
        taker.check(&content, &[(0, 20_000), (50_000, 10_000), (100_000, 5000)]);
        assert_eq!(taker.taken(), 35_000, "{kind}");
        assert_eq!((taker.exchanges(), first.count()), (2, 1), "{kind}");
        assert_eq!(second.asked(), [vec![Range::new(55_000, 5000), Range::new(100_000, 5000)]], "{kind}");
    }
}

#[test]
fn everything_up_to_the_end_is_continued_too() {
    let content = noise(90_000);
    let part = content.clone();
    let first = Mirror::new("first", move |request| give(&request, &part, 30_000));
    let second = Mirror::of("second", &content);
    let source = mirrors(&[&first, &second]);
    let taker = Taker::new();
    taker.get(&source, &[(0, Range::TO_END)]).unwrap();
    taker.check(&content, &[(0, Range::TO_END)]);
    assert_eq!(second.asked(), [vec![Range::new(30_000, Range::TO_END)]]);
    assert_eq!(taker.taken(), 90_000);
}

#[test]
fn an_answer_with_bytes_missing_is_a_failure() {
    let content = noise(10_000);
    let (short, whole) = (content.clone(), content.clone());
    let first = Mirror::new("first", move |request| {
        give(&request, &short, 4000);
        request.finish(Ok(()));
    });
    // All of it is there: how the answer ends does not matter any more.
    let second = Mirror::new("second", move |request| {
        give(&request, &whole, u64::MAX);
        request.finish(Err(Error::new(ErrorKind::Source, "after all")));
    });
    let taker = Taker::new();
    taker.get(&mirrors(&[&first, &second]), &[(0, 10_000)]).unwrap();
    assert_eq!(second.asked(), [vec![Range::new(4000, 6000)]]);
    assert_eq!(taker.kind(&mirrors(&[&first]), &[(0, 10_000)]), ErrorKind::Source);
}

#[test]
fn only_when_all_have_failed_the_most_telling_error_is_told() {
    use ErrorKind::{Source as Permanent, SourceChanged, SourceTemporary, SourceUnsupported, Timeout};
    let cases = [
        ([Permanent, SourceTemporary, SourceChanged], SourceTemporary),
        ([Permanent, SourceChanged, Timeout], Timeout),
        ([Permanent, SourceChanged, SourceUnsupported], SourceChanged),
        ([SourceUnsupported, Permanent, Permanent], SourceUnsupported),
        ([SourceChanged, SourceChanged, SourceChanged], SourceChanged),
    ];
    for (kinds, told) in cases {
        let all: Vec<Arc<Mirror>> = kinds.iter().map(|kind| Mirror::failing("bad", *kind)).collect();
        let source = mirrors(&all.iter().collect::<Vec<_>>());
        let error = Taker::new().get(&source, &[(0, 10)]).unwrap_err();
        assert_eq!(error.kind(), told, "{kinds:?}");
        assert!(error.context().contains(&("mirrors_failed", "3".into())), "{error}");
        assert!(all.iter().all(|mirror| mirror.count() == 1));
        // Nobody is left, so all are asked again.
        if kinds.iter().all(|kind| !kind.retryable()) {
            Taker::new().get(&source, &[(0, 10)]).unwrap_err();
            assert!(all.iter().all(|mirror| mirror.count() == 2));
        }
    }
    assert_eq!(MirrorSource::new(Vec::new(), &Observer::default()).err().unwrap().kind(), ErrorKind::Argument);
}

#[test]
fn who_asks_to_be_left_alone_is_left_alone() {
    let content = noise(10_000);
    let pause = Duration::from_secs(100);
    let busy = move |request: Request| {
        request.finish(Err(Error::new(ErrorKind::SourceTemporary, "busy").with_pause(pause)));
    };
    let (first, second) = (Mirror::new("first", busy), Mirror::of("second", &content));
    let source = mirrors(&[&first, &second]);
    for _ in 0..5 {
        Taker::new().get(&source, &[(0, 10)]).unwrap();
    }
    assert_eq!((first.count(), second.count()), (1, 5));
    let both = [Mirror::new("first", busy), Mirror::new("second", busy)];
    let source = mirrors(&[&both[0], &both[1]]);
    for _ in 0..3 {
        let error = Taker::new().get(&source, &[(0, 10)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceTemporary);
        let told = error.pause().unwrap();
        assert!(told <= pause && told > pause / 2, "{told:?}");
    }
    assert_eq!((both[0].count(), both[1].count()), (1, 1));
}

#[test]
fn a_mirror_that_fails_for_good_is_dropped() {
    let content = noise(10_000);
    let (first, second) = (Mirror::failing("first", ErrorKind::Source), Mirror::of("second", &content));
    let (observer, events) = listening();
    let source = watched(&[&first, &second], &observer);
    assert_eq!(source.link().copies, 2);
    for _ in 0..5 {
        Taker::new().get(&source, &[(0, 10)]).unwrap();
    }
    assert_eq!((first.count(), second.count()), (1, 5));
    assert_eq!(dropped(&events), ["first"]);
    assert_eq!(events.lock().unwrap()[0].fields, [("url", "first".into()), ("reason", "first".into())]);
    let link = source.link();
    assert_eq!((link.copies, link.reason.as_deref()), (1, Some("1 of 2 mirrors failed and are left alone")));
}

/// An update from nothing over `source`.
fn update(content: &[u8], source: MirrorSource, options: JobOptions) -> Result<gosync_io::Statistics> {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let index = Arc::new(index_bytes(content, &IndexOptions::default()).unwrap());
    let statistics = Job::new(index, Some(Arc::new(source)), &target, options)?.run()?;
    assert!(std::fs::read(&target).unwrap() == content);
    Ok(statistics)
}

#[test]
fn wrong_bytes_are_fetched_from_the_other() {
    let content = noise(3_000_000);
    let damaged: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
    let one_byte = { content.clone().tap(|bytes| bytes[1_000_000] ^= 1) };
    for (name, wrong, most) in [("all", damaged, 6_000_000), ("one byte", one_byte, 3_000_000 + 65_536)] {
        let (first, second) = (Mirror::of("first", &wrong), Mirror::of("second", &content));
        let source = mirrors(&[&first, &second]);
        let statistics =
            update(&content, source, JobOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(first.count() > 0, "{name}");
        assert!((3_000_000..=most).contains(&statistics.fetched), "{name}: {}", statistics.fetched);
    }
    // Both wrong: a clear end.
    let wrong: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
    let source = mirrors(&[&Mirror::of("first", &wrong), &Mirror::of("second", &wrong)]);
    assert_eq!(update(&content, source, JobOptions::default()).unwrap_err().kind(), ErrorKind::Mismatch);
}

#[test]
fn a_job_has_its_own_mirrors() {
    let content = noise(1_000_000);
    let index = Arc::new(index_bytes(&content, &IndexOptions::default()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    let (first, second) = (Mirror::failing("first", ErrorKind::Source), Mirror::of("second", &content));
    let (observer, events) = listening();
    let options = JobOptions { observer, ..JobOptions::default() };
    let job = Job::new(index, Some(Arc::clone(&first) as Arc<dyn Source>), &target, options).unwrap();
    job.add_mirror(Arc::clone(&second) as Arc<dyn Source>);
    job.run().unwrap();
    assert!(std::fs::read(&target).unwrap() == content);
    assert!(first.count() > 0 && second.count() > 0);
    assert_eq!(dropped(&events), ["first"]);
}

#[test]
fn what_is_asked_for_again_was_wrong() {
    const UNIT: u64 = 65_536;
    let content = noise(1_000_000);
    let (first, second) = (Mirror::of("first", &content), Mirror::of("second", &content));
    let (observer, events) = listening();
    let source = watched(&[&first, &second], &observer);
    let taker = Taker::new();
    taker.get(&source, &[(0, 8 * UNIT)]).unwrap();
    assert_eq!((first.count(), second.count()), (1, 0));
    // Another asker is another story.
    Taker::new().get(&source, &[(0, UNIT)]).unwrap();
    let first_count = first.count();
    taker.get(&source, &[(0, UNIT)]).unwrap();
    assert_eq!((first.count(), dropped(&events)), (first_count, Vec::new()));
    // In two parts, as a bound may have it.
    taker.get(&source, &[(3 * UNIT, 1000)]).unwrap();
    taker.get(&source, &[(3 * UNIT + 1000, UNIT - 1000)]).unwrap();
    assert_eq!((first.count(), dropped(&events)), (first_count, vec!["first".to_owned()]));
    taker.get(&source, &[(900_000, 1000)]).unwrap();
    assert_eq!((first.count(), source.link().copies), (first_count, 1));
}

/// Changes a value in passing.
trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Vec<u8> {}

/// A mirror that answers one request after the other, each after a pause.
fn slow(name: &'static str, content: &[u8], pause: Duration) -> Arc<Mirror> {
    let queue: Arc<(Mutex<VecDeque<Request>>, Condvar)> = Arc::default();
    let (worker, content) = (Arc::downgrade(&queue), content.to_vec());
    std::thread::spawn(move || {
        while let Some(queue) = worker.upgrade() {
            let waiting = queue.0.lock().unwrap();
            let (mut waiting, _) = queue.1.wait_timeout_while(waiting, pause, |waiting| waiting.is_empty()).unwrap();
            let request = waiting.pop_front();
            drop(waiting);
            if let Some(request) = request {
                std::thread::sleep(pause);
                give(&request, &content, u64::MAX);
                request.finish(Ok(()));
            }
        }
    });
    Mirror::new(name, move |request| {
        queue.0.lock().unwrap().push_back(request);
        queue.1.notify_all();
    })
}

#[test]
fn requests_are_spread_by_speed() {
    let content = noise(4_000_000);
    let fast = slow("fast", &content, Duration::from_millis(4));
    let half = slow("half", &content, Duration::from_millis(12));
    let snail = slow("snail", &content, Duration::from_millis(400));
    let source = mirrors(&[&half, &snail, &fast]);
    let taker = Taker::new();
    let mut open = VecDeque::new();
    for at in 0..100 {
        open.push_back(taker.ask(&source, &[(at * 40_000, 40_000)]));
        if open.len() >= 6 {
            taker.result(open.pop_front().unwrap()).unwrap();
        }
    }
    open.into_iter().for_each(|id| taker.result(id).unwrap());
    taker.check(&content, &[(0, 4_000_000)]);
    let counts = (fast.count(), half.count(), snail.count());
    assert_eq!(counts.0 + counts.1 + counts.2, 100);
    assert!(counts.0 > counts.1 && counts.1 >= counts.2 && counts.2 >= 1, "{counts:?}");
    assert!(counts.2 <= 6, "{counts:?}");
}

#[test]
fn who_hangs_is_asked_for_little() {
    let content = noise(3_000_000);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let hanging = Mirror::new("hanging", move |request| keep.lock().unwrap().push(request));
    let second = Mirror::of("second", &content);
    let source = mirrors(&[&hanging, &second]);
    let options =
        JobOptions { max_requests: 3, timeout: Duration::from_millis(300), retries: Some(2), ..JobOptions::default() };
    let statistics = update(&content, source, options).unwrap();
    assert_eq!((statistics.fetched, statistics.wasted), (3_000_000, 0));
    assert!((1..=3).contains(&hanging.count()), "{:?}", hanging.asked());
    assert_eq!(hanging.cancelled.lock().unwrap().len(), hanging.count());
    // Whatever comes of these now is harmless.
    kept.lock().unwrap().iter().for_each(|request| assert_eq!(request.supply(0, b"late"), Supply::Closed));
    kept.lock().unwrap().clear();
}

#[test]
fn what_is_held_back_goes_on_when_told() {
    let content = noise(2_000_000);
    let all: Vec<Arc<dyn Source>> = (0..2).map(|_| Arc::new(MemorySource::new(content.clone())) as _).collect();
    let source = MirrorSource::new(all, &Observer::default()).unwrap();
    let taker = Taker::with_room(270_000);
    let id = taker.ask(&source, &[(0, 2_000_000)]);
    for round in 1..=7 {
        taker.wait_for_again(round);
        taker.add_room(270_000);
        source.resume(id);
    }
    taker.result(id).unwrap();
    taker.check(&content, &[(0, 2_000_000)]);
    assert_eq!(taker.taken(), 2_000_000);
}

#[test]
fn a_cancel_goes_to_whoever_has_the_request() {
    let content = noise(1000);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let keeper = Mirror::new("keeper", move |request| keep.lock().unwrap().push(request));
    let (bad, good) = (Mirror::failing("bad", ErrorKind::Source), Mirror::of("good", &content));
    let source = mirrors(&[&bad, &keeper, &good]);
    let taker = Taker::new();
    let id = taker.ask(&source, &[(0, 100)]);
    eventually("the second has it", || keeper.count() == 1);
    source.cancel(id);
    eventually("it hears of it", || !keeper.cancelled.lock().unwrap().is_empty());
    assert!(!taker.is_finished(id));
    let request = kept.lock().unwrap().pop().unwrap();
    assert_eq!(*keeper.cancelled.lock().unwrap(), [request.id()]);
    assert_eq!(request.supply(0, b"late"), Supply::Closed);
    drop(request);
    assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
    // What is cancelled is not asked for elsewhere, unless somebody asks again.
    assert_eq!(good.count(), 0);
    taker.get(&source, &[(0, 100)]).unwrap();
    assert_eq!(good.count(), 1);
}

#[test]
fn a_panic_is_a_failure_of_one() {
    let content = noise(1000);
    let (first, second) = (Mirror::new("first", |_| panic!("in a test")), Mirror::of("second", &content));
    let source = mirrors(&[&first, &second]);
    Taker::new().get(&source, &[(0, 1000)]).unwrap();
    assert_eq!(Taker::new().get(&source, &[(0, 1000)]).is_ok(), second.count() == 2);
}

#[test]
fn mirrors_are_dropped_with_their_last_request() {
    struct Counted(Arc<Mirror>, Arc<Mutex<usize>>);
    impl Source for Counted {
        fn fetch(&self, request: Request) {
            self.0.fetch(request);
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            *self.1.lock().unwrap() += 1;
        }
    }
    let (kept, gone) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let all: Vec<Arc<dyn Source>> = (0..3)
        .map(|_| {
            let keep = Arc::clone(&kept);
            let mirror = Mirror::new("keeper", move |request| keep.lock().unwrap().push(request));
            Arc::new(Counted(mirror, Arc::clone(&gone))) as _
        })
        .collect();
    let source = MirrorSource::new(all, &Observer::default()).unwrap();
    let taker = Taker::new();
    let ids: Vec<u64> = (0..3).map(|at| taker.ask(&source, &[(at * 10, 10)])).collect();
    eventually("all have one", || kept.lock().unwrap().len() == 3);
    drop(source);
    eventually("all are dropped", || *gone.lock().unwrap() == 3);
    assert!(ids.iter().all(|id| !taker.is_finished(*id)));
    kept.lock().unwrap().clear();
    ids.into_iter().for_each(|id| assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled));
}
