//! The HTTP source against a server that behaves as each test says.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gosync_io::source::{HttpSource, Validators};
use gosync_io::{ErrorKind, HttpOptions, Observer, Range, Source};

use crate::server::{Answer, Asked, Cut, Server, good, whole};
use crate::sink::{Taker, eventually, noise};

const TO_END: u64 = Range::TO_END;

fn options() -> HttpOptions {
    HttpOptions { connections: 4, proxy: Some(String::new()), ..HttpOptions::default() }
}

fn open(server: &Server) -> HttpSource {
    HttpSource::open(&server.url("/content"), &options(), &Observer::default()).expect("a source")
}

/// A server of `content` whose good answers are changed by `change`.
fn changed(content: &[u8], change: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> (Server, HttpSource) {
    let content = content.to_vec();
    let server = Server::start(move |asked| change(asked, good(asked, &content)));
    let source = open(&server);
    (server, source)
}

#[test]
fn ranges_are_fetched_in_parallel_over_few_connections() {
    let content = noise(2_000_000);
    let (server, source) = changed(&content, |asked, answer| {
        std::thread::sleep(Duration::from_millis(5));
        if asked.ranges().len() > 1 { Answer::status(501) } else { answer }
    });
    let taker = Taker::new();
    let ranges: Vec<(u64, u64)> = (0..40).map(|i| (i * 50_000, 40_000)).collect();
    let ids: Vec<u64> = ranges.chunks(10).map(|ranges| taker.ask(&source, ranges)).collect();
    ids.into_iter().for_each(|id| taker.result(id).expect("an answer"));
    taker.check(&content, &ranges);
    assert_eq!(taker.taken(), 40 * 40_000);
    // One of them is the first pair at once, which is refused.
    assert_eq!(taker.exchanges(), 41);
    let log = server.log();
    assert_eq!(log.len(), 41);
    assert_eq!(log.iter().filter(|asked| asked.ranges().len() == 2).count(), 1);
    let link = source.link();
    assert_eq!((link.ranges, link.parallel), (Some(true), 4));
    assert!(link.reason.is_some_and(|reason| reason.contains("501")));
    assert!((2..=4).contains(&server.most_at_once()), "{} at once", server.most_at_once());
    // The client may open one more while it waits for one to become free.
    assert!(server.connections() <= 8, "{} connections", server.connections());
    assert!(log.iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
    assert_eq!(log[0].header("if-range"), None);
    assert!(log[1..].iter().all(|asked| asked.header("if-range") == Some("\"one\"")));
}

#[test]
fn the_first_range_goes_alone() {
    let content = noise(100_000);
    let (asked_now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, seen) = (Arc::clone(&asked_now), Arc::clone(&most));
    let (_server, source) = changed(&content, move |asked, answer| {
        now.fetch_add(1, Ordering::SeqCst);
        if asked.number == 0 {
            std::thread::sleep(Duration::from_millis(100));
            seen.store(now.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        answer
    });
    let taker = Taker::new();
    taker.get(&source, &[(0, 10), (100, 10), (200, 10), (300, 10)]).expect("an answer");
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn everything_needs_no_range() {
    let content = noise(700_000);
    let (server, source) = changed(&content, |_, answer| answer);
    let taker = Taker::new();
    taker.get(&source, &[(0, TO_END)]).expect("an answer");
    taker.check(&content, &[(0, TO_END)]);
    assert_eq!(server.log()[0].header("range"), None);
    taker.get(&source, &[(600_000, TO_END)]).expect("an answer");
    assert_eq!(server.log()[1].header("range"), Some("bytes=600000-"));
    // Exactly at the end there is nothing, which is no failure.
    taker.get(&source, &[(700_000, TO_END)]).expect("an answer");
    assert_eq!(taker.kind(&source, &[(700_001, TO_END)]), ErrorKind::Source);
}

#[test]
fn what_is_unchanged_is_not_sent_again() {
    let content = noise(10_000);
    let (server, source) = changed(&content, |asked, answer| match asked.header("if-none-match") {
        Some("W/\"three\"") => Answer::status(304),
        _ => answer.with("etag", "W/\"three\"").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    });
    let taker = Taker::new();
    let other = Validators { etag: Some("\"two\"".into()), last_modified: None };
    source.read_if_changed(other);
    taker.get(&source, &[(0, TO_END)]).expect("an answer");
    assert!(!source.is_unchanged());
    let known = source.validators().expect("validators");
    assert_eq!(known.etag.as_deref(), Some("W/\"three\""));
    assert_eq!(taker.taken(), 10_000);
    source.read_if_changed(known);
    taker.get(&source, &[(0, TO_END)]).expect("an answer");
    assert!(source.is_unchanged());
    assert_eq!(taker.taken(), 10_000);
    let log = server.log();
    assert_eq!(log[1].header("if-none-match"), Some("W/\"three\""));
    assert_eq!(log[1].header("if-modified-since"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    // A condition holds for one request.
    taker.get(&source, &[(0, TO_END)]).expect("an answer");
    assert_eq!(server.log()[2].header("if-none-match"), None);
    assert_eq!(taker.taken(), 20_000);
}

#[test]
fn a_chunked_body_is_read_to_its_end() {
    let server = Server::start(|_| {
        let mut answer = Answer::status(200).with("transfer-encoding", "chunked");
        answer.body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n".to_vec();
        answer
    });
    let source = open(&server);
    let taker = Taker::new();
    taker.get(&source, &[(0, TO_END)]).expect("an answer");
    taker.check(b"hello world", &[(0, TO_END)]);
    // It has no ranges either.
    taker.get(&source, &[(2, 3), (6, 5)]).expect("an answer");
    let error = taker.get(&open(&server), &[(6, 6)]).expect_err("short");
    assert_eq!(error.message(), "the source has 11 bytes, fewer than the 12 that are needed");
}

#[test]
fn a_server_without_ranges_sends_everything_once() {
    let content = noise(3_000_000);
    let served = content.clone();
    let server = Server::start(move |_| {
        std::thread::sleep(Duration::from_millis(50));
        whole(&served)
    });
    let events = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&events);
    let heard = Arc::new(move |event: &gosync_io::Event| listener.lock().expect("events").push(event.kind));
    let observer = Observer { events: Some(heard), ..Observer::default() };
    let source = HttpSource::open(&server.url("/content"), &options(), &observer).expect("a source");
    let taker = Taker::new();
    let ranges: Vec<(u64, u64)> = (0..30).map(|i| (i * 100_000, 50_000)).collect();
    // Some wait when the answer comes; the others join it, each when the one before is done.
    let (early, later) = ranges.split_at(10);
    let ids: Vec<u64> = early.chunks(2).map(|ranges| taker.ask(&source, ranges)).collect();
    ids.into_iter().for_each(|id| taker.result(id).expect("an answer"));
    for ranges in later.chunks(2) {
        taker.get(&source, ranges).expect("an answer");
    }
    taker.check(&content, &ranges);
    // What nobody asked for has come too, once: its taker may lack it.
    taker.check(&content, &[(0, 2_950_000)]);
    assert!(taker.taken() <= 3_000_000);
    assert_eq!(server.log().len(), 1);
    assert_eq!(*events.lock().expect("events"), ["step_down"]);
    // What has passed is sent again only when somebody asks for it again.
    taker.get(&source, &[(0, 10)]).expect("an answer");
    assert_eq!(server.log().len(), 2);
    assert_eq!(server.log()[1].header("range"), None);
}

#[test]
fn two_takers_ride_on_one_body() {
    let content = noise(1_000_000);
    let served = content.clone();
    let server = Server::start(move |_| {
        std::thread::sleep(Duration::from_millis(50));
        whole(&served)
    });
    let source = open(&server);
    let (one, two) = (Taker::new(), Taker::new());
    let first = one.ask(&source, &[(0, 1000), (500_000, 500_000)]);
    let second = two.ask(&source, &[(200, 1000), (900_000, TO_END)]);
    one.result(first).expect("an answer");
    two.result(second).expect("an answer");
    one.check(&content, &[(0, 1000), (500_000, 500_000)]);
    two.check(&content, &[(200, 1000), (900_000, TO_END)]);
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_body_that_everyone_leaves_is_dropped() {
    let content = noise(5_000_000);
    let server = Server::start(move |_| whole(&content).cut(1_000_000, Cut::Stall));
    let source = open(&server);
    let taker = Taker::new();
    let ids = [taker.ask(&source, &[(0, 2_000_000)]), taker.ask(&source, &[(3_000_000, 10)])];
    taker.wait_for_bytes(1_000_000);
    source.cancel(ids[0]);
    assert_eq!(taker.error(ids[0]).kind(), ErrorKind::Cancelled);
    assert!(!taker.is_finished(ids[1]));
    source.cancel(ids[1]);
    assert_eq!(taker.error(ids[1]).kind(), ErrorKind::Cancelled);
    eventually("the connection is closed", || server.left() == 1);
}

#[test]
fn a_broken_whole_body_is_asked_for_again() {
    let content = noise(1_000_000);
    let served = content.clone();
    let server = Server::start(move |asked| match asked.number {
        0 => whole(&served).cut(300_000, Cut::Close),
        _ => whole(&served),
    });
    let source = open(&server);
    let taker = Taker::new();
    let ids = [taker.ask(&source, &[(0, 100_000)]), taker.ask(&source, &[(500_000, 100_000)])];
    taker.result(ids[0]).expect("an answer");
    assert_eq!(taker.error(ids[1]).kind(), ErrorKind::SourceTemporary);
    taker.get(&source, &[(500_000, 100_000)]).expect("an answer");
    taker.check(&content, &[(500_000, 100_000)]);
    assert_eq!(server.log().len(), 2);
}

#[test]
fn a_short_body_is_temporary_and_what_came_counts() {
    let content = noise(100_000);
    let (_server, source) = changed(&content, |asked, answer| match asked.number {
        0 => answer.cut(30_000, Cut::Close),
        _ => answer,
    });
    let taker = Taker::new();
    assert_eq!(taker.kind(&source, &[(10_000, 50_000)]), ErrorKind::SourceTemporary);
    assert_eq!(taker.taken(), 30_000);
    taker.get(&source, &[(40_000, 20_000)]).expect("an answer");
    taker.check(&content, &[(10_000, 50_000)]);
}

#[test]
fn an_answer_to_less_than_was_asked_is_temporary() {
    let content = noise(100_000);
    let (_server, source) = changed(&content, |_, answer| {
        let mut answer = answer.with("content-range", "bytes 10000-19999/100000");
        answer.body.truncate(10_000);
        answer
    });
    let taker = Taker::new();
    assert_eq!(taker.kind(&source, &[(10_000, 50_000)]), ErrorKind::SourceTemporary);
    taker.check(&content, &[(10_000, 10_000)]);
}

#[test]
fn a_status_is_told_and_sorted() {
    for (status, kind) in [
        (401, ErrorKind::Source),
        (403, ErrorKind::Source),
        (404, ErrorKind::Source),
        (410, ErrorKind::Source),
        (408, ErrorKind::SourceTemporary),
        (429, ErrorKind::SourceTemporary),
        (500, ErrorKind::SourceTemporary),
        (503, ErrorKind::SourceTemporary),
    ] {
        let server = Server::start(move |_| Answer::status(status));
        let source = open(&server);
        let taker = Taker::new();
        for ranges in [&[(0, 10), (20, 10)][..], &[(0, TO_END)]] {
            let error = taker.get(&source, ranges).expect_err("a failure");
            assert_eq!(error.kind(), kind);
            assert!(error.context().contains(&("status", status.to_string())), "{error}");
            assert!(error.context().contains(&("url", server.url("/content"))), "{error}");
        }
        // The second range of a request is not asked for when the first failed.
        assert_eq!(server.log().len(), 2);
        assert_eq!(taker.taken(), 0);
    }
}

#[test]
fn a_server_that_recovers_is_used() {
    let content = noise(10_000);
    let (_server, source) = changed(&content, |asked, answer| match asked.number {
        0 | 1 => Answer::status(503),
        _ => answer,
    });
    let taker = Taker::new();
    assert_eq!(taker.kind(&source, &[(0, 100)]), ErrorKind::SourceTemporary);
    assert_eq!(taker.kind(&source, &[(0, 100)]), ErrorKind::SourceTemporary);
    taker.get(&source, &[(0, 100), (500, 100)]).expect("an answer");
    taker.check(&content, &[(0, 100), (500, 100)]);
}

#[test]
fn another_version_is_noticed() {
    let content = noise(10_000);
    type Change = fn(&Asked, Answer, &[u8]) -> Answer;
    let changes: [Change; 4] = [
        |_, answer, _| answer.with("etag", "\"two\""),
        |asked, answer, _| {
            let (first, last) = asked.range().expect("a range");
            answer.with("content-range", format!("bytes {first}-{}/10001", last.expect("an end")))
        },
        |_, _, content| whole(content).with("etag", "\"two\""),
        |_, _, content| whole(&content[1..]).without("etag"),
    ];
    for change in changes {
        let served = content.clone();
        let server = Server::start(move |asked| match asked.number {
            0 => good(asked, &served),
            _ => change(asked, good(asked, &served), &served),
        });
        let source = open(&server);
        let taker = Taker::new();
        taker.get(&source, &[(0, 100)]).expect("an answer");
        assert_eq!(taker.kind(&source, &[(200, 100)]), ErrorKind::SourceChanged);
        assert_eq!(taker.taken(), 100);
    }
}

#[test]
fn a_lost_etag_is_survived() {
    let content = noise(10_000);
    let (_server, source) = changed(&content, |asked, answer| match asked.number {
        0 => answer,
        _ => answer.without("etag"),
    });
    let taker = Taker::new();
    taker.get(&source, &[(0, 100), (200, 100), (300, 100)]).expect("an answer");
}

#[test]
fn the_same_version_whole_is_used_where_ranges_worked_before() {
    let content = noise(1_000_000);
    let served = content.clone();
    let server = Server::start(move |asked| match asked.number {
        0 => good(asked, &served),
        _ => whole(&served),
    });
    let source = open(&server);
    let taker = Taker::new();
    taker.get(&source, &[(0, 100)]).expect("an answer");
    // Both are on their way when the first answer comes. It is used for both, or the other is asked for again.
    let result = taker.get(&source, &[(200, 100), (400_000, 500_000)]);
    assert!(result.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::SourceTemporary), "{result:?}");
    taker.check(&content, &[(200, 100), (400_000, 500_000)]);
}

#[test]
fn a_wrong_content_range_ends_in_one_stream() {
    let content = noise(10_000);
    let changes: [fn(Answer) -> Answer; 4] = [
        |answer| answer.with("content-range", "bytes 0-99/10000"),
        |answer| answer.without("content-range"),
        |answer| answer.with("content-range", "bytes 200-300/10000"),
        |mut answer| {
            answer.body.extend_from_slice(b"more");
            answer
        },
    ];
    for change in changes {
        let (server, source) = changed(&content, move |asked, answer| match asked.range() {
            Some(_) => change(answer),
            None => answer,
        });
        let taker = Taker::new();
        // Nothing of the wrong answers is taken; after the second one, everything is asked for.
        taker.get(&source, &[(200, 100)]).expect("an answer");
        taker.check(&content, &[(200, 100)]);
        assert_eq!(source.link().ranges, Some(false));
        assert!(source.link().reason.is_some());
        let ranges: Vec<_> = server.log().iter().map(|asked| asked.range().is_some()).collect();
        assert_eq!(ranges, [true, true, false]);
    }
}

#[test]
fn an_encoded_body_is_refused() {
    let content = noise(10_000);
    let (_server, source) = changed(&content, |_, answer| answer.with("content-encoding", "gzip"));
    let taker = Taker::new();
    assert_eq!(taker.kind(&source, &[(200, 100)]), ErrorKind::SourceUnsupported);
    assert_eq!(taker.kind(&source, &[(0, TO_END)]), ErrorKind::SourceUnsupported);
    assert_eq!(taker.taken(), 0);
}

#[test]
fn a_content_that_is_too_short_says_so() {
    let content = noise(10_000);
    let (_server, source) = changed(&content, |_, answer| answer);
    for range in [(9_990, 20), (10_000, 10), (20_000, 1)] {
        let error = Taker::new().get(&source, &[range]).expect_err("too short");
        assert_eq!(error.kind(), ErrorKind::Source);
        let needed = range.0 + range.1;
        assert_eq!(error.message(), format!("the source has 10000 bytes, fewer than the {needed} that are needed"));
    }
}

#[test]
fn silence_is_a_timeout() {
    let content = noise(1_000_000);
    let slow = HttpOptions { timeout: Duration::from_millis(150), ..options() };
    for after in [0, 1000] {
        let served = content.clone();
        let server = Server::start(move |asked| good(asked, &served).cut(after, Cut::Stall));
        let source = HttpSource::open(&server.url("/content"), &slow.clone(), &Observer::default()).expect("a source");
        let taker = Taker::new();
        assert_eq!(taker.kind(&source, &[(0, 5000)]), ErrorKind::Timeout);
        assert_eq!(taker.taken(), after as u64);
        eventually("the connection is closed", || server.left() == 1);
    }
    // No head either.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let source = HttpSource::open(&url, &slow, &Observer::default()).expect("a source");
    assert_eq!(Taker::new().kind(&source, &[(0, 5000)]), ErrorKind::Timeout);
}

#[test]
fn a_cancel_ends_a_hanging_exchange_at_once() {
    let content = noise(1_000_000);
    let (server, source) = changed(&content, |asked, answer| match asked.range() {
        Some((first, _)) if first >= 500_000 => answer.cut(10, Cut::Stall),
        _ => answer,
    });
    let taker = Taker::new();
    let id = taker
        .ask(&source, &[(0, 10), (500_000, 1000), (600_000, 1000), (700_000, 1000), (800_000, 1000), (900_000, 1000)]);
    taker.wait_for_bytes(50);
    let begun = Instant::now();
    source.cancel(id);
    assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(5));
    eventually("the connections are closed", || server.left() == 4);
    // There is room for others again.
    taker.get(&source, &[(100, 10)]).expect("an answer");
    assert_eq!(server.log().len(), 6);
}

#[test]
fn an_answer_without_room_waits_to_be_resumed() {
    let content = noise(1_000_000);
    for has_ranges in [true, false] {
        let served = content.clone();
        let server = Server::start(move |asked| if has_ranges { good(asked, &served) } else { whole(&served) });
        // Waiting for room is not silence of the server.
        let quick = HttpOptions { timeout: Duration::from_millis(300), ..options() };
        let source = HttpSource::open(&server.url("/content"), &quick, &Observer::default()).expect("a source");
        let taker = Taker::with_room(0);
        let id = taker.ask(&source, &[(0, 400_000), (500_000, 500_000)]);
        taker.wait_for_again(1);
        std::thread::sleep(Duration::from_millis(400));
        assert!(taker.agains() <= 2, "it offers again without being resumed");
        while !taker.is_finished(id) {
            taker.add_room(50_000);
            source.resume(id);
            std::thread::sleep(Duration::from_millis(2));
        }
        taker.result(id).expect("an answer");
        taker.check(&content, &[(0, 400_000), (500_000, 500_000)]);
    }
}

#[test]
fn a_closed_taker_ends_the_answer() {
    let content = noise(1_000_000);
    for has_ranges in [true, false] {
        let served = content.clone();
        let server = Server::start(move |asked| if has_ranges { good(asked, &served) } else { whole(&served) });
        let source = open(&server);
        let taker = Taker::closed();
        let id = taker.ask(&source, &[(0, 1_000_000)]);
        assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
        assert_eq!(taker.supplies(id), 1);
    }
}

#[test]
fn a_dropped_source_finishes_what_it_had() {
    let content = noise(1_000_000);
    for has_ranges in [true, false] {
        let served = content.clone();
        let server = Server::start(move |asked| {
            let answer = if has_ranges { good(asked, &served) } else { whole(&served) };
            answer.cut(100, Cut::Stall)
        });
        let source = open(&server);
        let taker = Taker::new();
        let ids: Vec<u64> = (0..10).map(|i| taker.ask(&source, &[(i * 1000, 900), (50_000, TO_END)])).collect();
        taker.wait_for_bytes(100);
        drop(source);
        for id in ids {
            assert_eq!(taker.error(id).kind(), ErrorKind::Cancelled);
        }
        eventually("the connections are closed", || server.left() == server.log().len());
    }
}

#[test]
fn a_closed_connection_is_temporary() {
    let (_server, source) = changed(&noise(1000), |_, _| Answer::status(0));
    assert_eq!(Taker::new().kind(&source, &[(0, 10)]), ErrorKind::SourceTemporary);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    drop(listener);
    let source = HttpSource::open(&url, &options(), &Observer::default()).expect("a source");
    let error = Taker::new().get(&source, &[(0, 10)]).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::SourceTemporary);
    assert!(error.message().starts_with("cannot connect to the server"), "{error}");
}

#[test]
fn credentials_stay_at_their_origin_and_out_of_messages() {
    let content = noise(10_000);
    let served = content.clone();
    let other = Server::start(move |asked| match asked.path.as_str() {
        "/missing" => Answer::status(404),
        _ => good(asked, &served),
    });
    let target = other.url("/moved?key=secret");
    let missing = other.url("/missing");
    let server = Server::start(move |asked| match asked.path.split('?').next() {
        Some("/here") => Answer::status(307).with("location", "/there"),
        Some("/there") => Answer::status(302).with("location", &target),
        _ => Answer::status(302).with("location", &missing),
    });
    let url = |path: &str| format!("http://name:secret@{}{path}?key=secret", server.address);
    let source = HttpSource::open(&url("/here"), &options(), &Observer::default()).expect("a source");
    assert_eq!(source.describe(), server.url("/here"));
    let taker = Taker::new();
    taker.get(&source, &[(100, 100)]).expect("an answer");
    taker.check(&content, &[(100, 100)]);
    // name:secret
    assert!(server.log().iter().all(|asked| asked.header("authorization") == Some("Basic bmFtZTpzZWNyZXQ=")));
    assert_eq!(server.log().len(), 2);
    assert!(other.log().iter().all(|asked| asked.header("authorization").is_none()));
    assert!(other.log().iter().all(|asked| asked.header("referer").is_none()));
    let source = HttpSource::open(&url("/gone"), &options(), &Observer::default()).expect("a source");
    let error = taker.get(&source, &[(100, 100)]).expect_err("missing");
    assert!(!format!("{error} {error:?} {:?}", error.context()).contains("secret"), "{error}");
}

#[test]
fn a_redirect_loop_ends() {
    let server = Server::start(|_| Answer::status(302).with("location", "/content"));
    let source = open(&server);
    assert_eq!(Taker::new().kind(&source, &[(100, 100)]), ErrorKind::Source);
    assert_eq!(server.log().len(), 1);
    let server = Server::start(|asked| Answer::status(302).with("location", format!("/{}", asked.number)));
    let error = Taker::new().get(&open(&server), &[(100, 100)]).expect_err("endless");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Source, "the server redirects more than 10 times"));
    assert_eq!(server.log().len(), 11);
}

#[test]
fn only_http_urls_are_opened() {
    for url in ["", "ftp://h/x", "/path", "file:///x", "http://", "https://:1/"] {
        let error =
            HttpSource::open(url, &options(), &Observer::default()).err().unwrap_or_else(|| panic!("{url} was opened"));
        assert_eq!(error.kind(), ErrorKind::Argument, "{url}");
    }
    assert!(HttpSource::open("https://localhost:1/x", &options(), &Observer::default()).is_ok());
}
