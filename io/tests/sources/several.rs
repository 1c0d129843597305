//! Several ranges in one request: where they pay, what counts as a right answer, and what a wrong one costs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gosync_io::source::HttpSource;
use gosync_io::{ErrorKind, HttpOptions, Observer, Range, Source};

use crate::server::{Answer, Asked, Cut, Server, good, part, parts, whole};
use crate::sink::{Taker, noise};

fn options() -> HttpOptions {
    HttpOptions { connections: 4, proxy: Some(String::new()), ..HttpOptions::default() }
}

fn open(server: &Server) -> HttpSource {
    HttpSource::open(&server.url("/content"), &options(), &Observer::default()).expect("a source")
}

/// A server whose answers to several ranges are made by `answer`.
fn server(content: &[u8], answer: impl Fn(&Asked, &[u8]) -> Answer + Send + Sync + 'static) -> Server {
    let content = content.to_vec();
    Server::start(move |asked| match asked.ranges().len() {
        0 | 1 => good(asked, &content),
        _ => answer(asked, &content),
    })
}

/// Requests for several ranges that the server got.
fn together(server: &Server) -> usize {
    server.log().iter().filter(|asked| asked.ranges().len() > 1).count()
}

fn scattered(count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|i| (i * 2000, 500)).collect()
}

/// Asks for all of it in requests of 16 ranges, as a job does.
fn get_all(source: &HttpSource, taker: &Arc<Taker>, ranges: &[(u64, u64)]) {
    let ids: Vec<u64> = ranges.chunks(16).map(|ranges| taker.ask(source, ranges)).collect();
    ids.into_iter().for_each(|id| taker.result(id).expect("an answer"));
}

#[test]
fn many_short_ranges_take_few_requests() {
    let content = noise(1_000_000);
    let server = server(&content, |asked, content| {
        std::thread::sleep(Duration::from_millis(5));
        good(asked, content)
    });
    let (source, taker, ranges) = (open(&server), Taker::new(), scattered(400));
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    assert_eq!(taker.taken(), 400 * 500);
    let log = server.log();
    assert!(log.len() <= 100, "{} requests", log.len());
    for asked in &log {
        let asked_for = asked.ranges();
        assert!(asked_for.len() <= 200 && asked.header("range").is_some_and(|text| text.len() <= 4096));
        let ascending = |pair: &[(u64, Option<u64>)]| pair[0].1.is_some_and(|last| last < pair[1].0);
        assert!(asked_for.windows(2).all(ascending), "{asked_for:?}");
    }
    // The first goes alone, and the first of several are a pair.
    assert_eq!(log[0].ranges().len(), 1);
    assert_eq!(log.iter().map(|asked| asked.ranges().len()).find(|count| *count > 1), Some(2));
    let link = source.link();
    assert_eq!((link.ranges, link.parallel, link.reason), (Some(true), 800, None));
}

#[test]
fn few_ranges_and_long_ones_go_singly() {
    let content = noise(9_000_000);
    let server = server(&content, |_, _| Answer::status(400));
    let taker = Taker::new();
    get_all(&open(&server), &taker, &scattered(8));
    let long = HttpOptions { connections: 3, ..options() };
    let source = HttpSource::open(&server.url("/content"), &long, &Observer::default()).expect("a source");
    let ranges: Vec<(u64, u64)> = (0..2).map(|i| (i * 4_400_000, 4_300_000)).collect();
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    assert_eq!(together(&server), 0);
}

#[test]
fn right_answers_have_many_forms() {
    type Form = fn(&Asked, &[u8]) -> Answer;
    let forms: [(&str, Form); 5] = [
        ("reordered", |asked, content| {
            let all = asked.ranges();
            parts(&all.iter().rev().map(|&(first, last)| part(content, first, last.unwrap())).collect::<Vec<_>>())
        }),
        ("merged into one part", |asked, content| {
            let all = asked.ranges();
            parts(&[part(content, all[0].0, all[all.len() - 1].1.unwrap())])
        }),
        ("merged into one range", |asked, content| {
            let all = asked.ranges();
            let (first, last) = (all[0].0, all[all.len() - 1].1.unwrap());
            let mut answer = whole(content).with("content-range", format!("bytes {first}-{last}/{}", content.len()));
            answer.status = 206;
            answer.body = content[first as usize..=last as usize].to_vec();
            answer
        }),
        ("quoted boundary", |asked, content| {
            good(asked, content).with("content-type", "Multipart/ByteRanges; charset=x; boundary=\"SPLIT\"")
        }),
        ("chunked", |asked, content| {
            let mut answer = good(asked, content).with("transfer-encoding", "chunked");
            let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
            answer.body = answer.body.chunks(7).map(chunk).collect::<Vec<_>>().concat();
            answer.body.extend_from_slice(b"0\r\n\r\n");
            answer
        }),
    ];
    let content = noise(200_000);
    for (name, form) in forms {
        let server = server(&content, form);
        let (source, taker, ranges) = (open(&server), Taker::new(), scattered(80));
        get_all(&source, &taker, &ranges);
        taker.check(&content, &ranges);
        assert!(together(&server) >= 2, "{name}: {}", together(&server));
        assert_eq!(source.link().reason, None, "{name}");
    }
}

type Wrong = fn(&Asked, &[u8]) -> Answer;
/// Ways in which servers get several ranges wrong.
const WRONGS: [(&str, Wrong); 11] = [
    ("501", |_, _| Answer::status(501)),
    ("400", |_, _| Answer::status(400)),
    ("403", |_, _| Answer::status(403)),
    ("416", |_, _| Answer::status(416)),
    ("gzip", |asked, content| good(asked, content).with("content-encoding", "gzip")),
    ("only the first", |asked, content| {
        let (first, last) = asked.ranges()[0];
        let range = format!("bytes {first}-{}/{}", last.unwrap(), content.len());
        let mut answer = whole(content).with("content-range", range);
        answer.status = 206;
        answer.body = content[first as usize..=last.unwrap() as usize].to_vec();
        answer
    }),
    ("only the first part", |asked, content| {
        let (first, last) = asked.ranges()[0];
        parts(&[part(content, first, last.unwrap())])
    }),
    ("another range", |_, content| parts(&[part(content, 0, 9), part(content, 199_000, 199_999)])),
    ("too many parts", |asked, content| {
        let (first, last) = asked.ranges()[0];
        parts(&vec![part(content, first, last.unwrap()); 5])
    }),
    ("no boundary in the body", |asked, content| {
        good(asked, content).with("content-type", "multipart/byteranges; boundary=other")
    }),
    ("no boundary in the head", |asked, content| good(asked, content).with("content-type", "multipart/byteranges")),
];

#[test]
fn a_wrong_answer_costs_one_request() {
    let content = noise(200_000);
    for (name, wrong) in WRONGS {
        let server = server(&content, wrong);
        let events = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&events);
        let heard = Arc::new(move |event: &gosync_io::Event| {
            listener.lock().expect("events").push((event.kind, event.message.clone()));
        });
        let observer = Observer { events: Some(heard), ..Observer::default() };
        let source = HttpSource::open(&server.url("/content"), &options(), &observer).expect("a source");
        let (taker, ranges) = (Taker::new(), scattered(80));
        get_all(&source, &taker, &ranges);
        taker.check(&content, &ranges);
        assert_eq!(together(&server), 1, "{name}");
        // What was right in it is not fetched again.
        assert!(server.log().len() <= 82, "{name}: {} requests", server.log().len());
        let link = source.link();
        assert_eq!((link.ranges, link.parallel), (Some(true), 4), "{name}");
        let events = events.lock().expect("events");
        assert_eq!(events.len(), 1, "{name}: {events:?}");
        assert_eq!((events[0].0, Some(&events[0].1)), ("step_down", link.reason.as_ref()), "{name}");
        // Another source of the same server does not try it again.
        let other = open(&server);
        get_all(&other, &taker, &ranges);
        assert_eq!(together(&server), 1, "{name}");
    }
}

#[test]
fn a_server_that_breaks_off_is_tried_twice() {
    let content = noise(200_000);
    let server = server(&content, |_, _| Answer::status(0));
    let (source, taker, ranges) = (open(&server), Taker::new(), scattered(64));
    for _ in 0..4 {
        for ranges in ranges.chunks(16) {
            // What fails is asked for again by whoever asked.
            let _ = taker.get(&source, ranges);
        }
    }
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    // Each trial may have gone over connections that had been used before, and so over another one.
    assert!(together(&server) <= 2 * 6, "{}", together(&server));
    assert!(source.link().reason.is_some());
}

#[test]
fn another_version_in_a_part_is_noticed() {
    let content = noise(200_000);
    let server = server(&content, move |asked, content| good(asked, content).with("etag", "\"two\""));
    let (source, taker) = (open(&server), Taker::new());
    let ids: Vec<u64> = scattered(64).chunks(16).map(|ranges| taker.ask(&source, ranges)).collect();
    let results: Vec<_> = ids.into_iter().map(|id| taker.result(id)).collect();
    let changed =
        |result: &gosync_io::Result<()>| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::SourceChanged);
    assert!(results.iter().any(changed), "{results:?}");
}

#[test]
fn a_part_with_another_total_is_a_wrong_answer() {
    let content = noise(200_000);
    let server = server(&content, move |asked, content| {
        let (first, last) = asked.ranges()[0];
        let longer = [content, b"x"].concat();
        parts(&[part(&longer, first, last.unwrap())])
    });
    let (source, taker, ranges) = (open(&server), Taker::new(), scattered(64));
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    assert_eq!(together(&server), 1);
}

#[test]
fn everything_instead_of_several_ranges_is_used_while_it_is_near() {
    let content = noise(400_000);
    let server = server(&content, |_, content| whole(content));
    let (source, taker, ranges) = (open(&server), Taker::new(), scattered(200));
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    assert_eq!(together(&server), 1);
    let link = source.link();
    assert_eq!((link.ranges, link.parallel), (Some(true), 4));
    assert!(link.reason.is_some_and(|reason| reason.contains("everything")));
    // The rest came with it, or singly; hardly anything twice.
    assert!(taker.taken() < 450_000, "{}", taker.taken());
}

#[test]
fn everything_is_not_read_for_the_sake_of_little() {
    let content = noise(30_000_000);
    let server = server(&content, |_, content| whole(content));
    let (source, taker) = (open(&server), Taker::new());
    let ranges: Vec<(u64, u64)> = (0..14).map(|i| (i * 2_100_000 + 1_500_000, 100)).collect();
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    assert_eq!(together(&server), 1);
    assert!(taker.taken() < 100_000, "{}", taker.taken());
}

#[test]
fn what_one_source_learned_helps_the_next() {
    let content = noise(200_000);
    let server = server(&content, good);
    let (first, taker) = (open(&server), Taker::new());
    get_all(&first, &taker, &scattered(64));
    let (before, connections) = (server.log().len(), server.connections());
    let second = HttpSource::open(&server.url("/other"), &options(), &Observer::default()).expect("a source");
    assert_eq!((second.link().ranges, second.link().parallel), (Some(true), 800));
    assert!(second.link().round_trip.is_some());
    get_all(&second, &taker, &scattered(64));
    let log = server.log();
    assert!(log[before..].iter().all(|asked| asked.ranges().len() > 1), "neither a probe nor a trial");
    assert!(server.connections() <= connections.max(8), "{} connections", server.connections());
    // Its pin is its own.
    assert_eq!(log[before].header("if-range"), None);
    // Other options are another pool, which knows nothing.
    let other = HttpOptions { connections: 2, ..options() };
    let third = HttpSource::open(&server.url("/content"), &other, &Observer::default()).expect("a source");
    assert_eq!((third.link().ranges, third.link().round_trip, third.link().parallel), (None, None, 400));
}

#[test]
fn an_index_that_came_as_a_range_saves_the_probe() {
    let content = noise(200_000);
    let served = content.clone();
    let server = Server::start(move |asked| {
        std::thread::sleep(Duration::from_millis(30));
        good(asked, &served)
    });
    let (index, taker) = (open(&server), Taker::new());
    index.prove_ranges();
    taker.get(&index, &[(0, Range::TO_END)]).expect("an answer");
    assert_eq!(server.log()[0].header("range"), Some("bytes=0-131071"));
    let source = open(&server);
    taker.get(&source, &[(0, 100), (50_000, 100), (100_000, 100), (150_000, 100)]).expect("an answer");
    assert_eq!(server.most_at_once(), 4);
}

/// Reads an index of 600 kB, and gives what a source of content would find known then.
fn read_long_index(server: &Server, content: &[u8]) -> (Option<bool>, u32) {
    let (index, taker) = (open(server), Taker::new());
    index.prove_ranges();
    taker.get(&index, &[(0, Range::TO_END)]).expect("an answer");
    taker.check(content, &[(0, content.len() as u64)]);
    // What was asked for is here before the answer has ended.
    std::thread::sleep(Duration::from_millis(100));
    let link = open(server).link();
    (link.ranges, link.proven)
}

#[test]
fn a_long_index_shows_whether_several_ranges_are_answered() {
    let content = noise(600_000);
    let right = server(&content, good);
    assert_eq!(read_long_index(&right, &content), (Some(true), 800));
    let log = right.log();
    // The beginning, the rest over four connections, one of which has a pair.
    assert_eq!((log.len(), together(&right)), (5, 1), "{log:?}");
    let bytes: u64 =
        log.iter().flat_map(Asked::ranges).map(|(first, last)| last.map_or(0, |last| last + 1 - first)).sum();
    assert_eq!(bytes, 600_000);
    for (name, wrong) in WRONGS {
        let server = server(&content, wrong);
        assert_eq!(read_long_index(&server, &content), (Some(true), 4), "{name}");
        assert_eq!(together(&server), 1, "{name}");
        // The pair is asked for once more, each by itself, if nothing of it was right.
        assert!(server.log().len() <= 7, "{name}: {:?}", server.log());
    }
    // Everything instead: used as far as it is near.
    let everything = server(&content, |_, content| whole(content));
    assert_eq!(read_long_index(&everything, &content), (Some(true), 4));
    // One that is short is not worth it.
    let short = noise(250_000);
    let server = server(&short, good);
    assert_eq!(read_long_index(&server, &short), (Some(true), 4));
    assert_eq!(together(&server), 0);
}

#[test]
fn ranges_that_touch_are_asked_for_as_one() {
    let content = noise(3_000_000);
    let served = content.clone();
    let server = Server::start(move |asked| {
        std::thread::sleep(Duration::from_millis(20));
        good(asked, &served)
    });
    let (source, taker) = (open(&server), Taker::new());
    let ranges: Vec<(u64, u64)> = (0..30).map(|i| (i * 100_000, 100_000)).collect();
    get_all(&source, &taker, &ranges);
    taker.check(&content, &ranges);
    assert_eq!(taker.taken(), 3_000_000);
    let log = server.log();
    assert!(log.len() <= 12, "{} requests", log.len());
    assert!(log.iter().all(|asked| asked.ranges().len() == 1), "{log:?}");
}

#[test]
fn a_request_is_finished_when_it_is_there_and_not_when_its_exchange_ends() {
    let content = noise(200_000);
    let served = content.clone();
    let server = Server::start(move |asked| {
        let answer = good(asked, &served);
        // All but the end of whatever has more than the first range.
        let length = answer.body.len();
        if length > 1000 { answer.cut(length - 600, Cut::Stall) } else { answer }
    });
    let one = HttpOptions { connections: 1, ..options() };
    let source = HttpSource::open(&server.url("/content"), &one, &Observer::default()).expect("a source");
    let taker = Taker::new();
    taker.get(&source, &[(0, 100)]).expect("an answer");
    let ids = [taker.ask(&source, &[(1000, 1000)]), taker.ask(&source, &[(2000, 1000)])];
    taker.result(ids[0]).expect("an answer");
    assert!(!taker.is_finished(ids[1]));
    source.cancel(ids[1]);
    assert_eq!(taker.error(ids[1]).kind(), ErrorKind::Cancelled);
}
