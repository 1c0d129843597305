//! Redirects: followed by hand, remembered, resolved again when they expire, and never with credentials of another origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gosync_io::source::HttpSource;
use gosync_io::{
    ErrorKind, HttpOptions, IndexOptions, Job, JobOptions, Observer, OpenOptions, index_bytes, open_index,
};

use crate::server::{Answer, Server, good, whole};
use crate::sink::{Taker, noise};

fn options() -> HttpOptions {
    HttpOptions { proxy: Some(String::new()), ..HttpOptions::default() }
}

fn open(url: &str, options: &HttpOptions) -> HttpSource {
    HttpSource::open(url, options, &Observer::default()).expect("a source")
}

/// A server that redirects to links of another one, each of which is good for `uses` requests. Content at the other.
fn presigned(content: &[u8], uses: usize, status: u16) -> (Server, Arc<Server>) {
    let content = content.to_vec();
    let used = Arc::new(AtomicUsize::new(0));
    let (last, seen) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&used));
    let current = Arc::clone(&last);
    let store = Arc::new(Server::start(move |asked| {
        let link: usize = asked.path.trim_start_matches('/').parse().expect("a number");
        if link != current.load(Ordering::SeqCst) || seen.fetch_add(1, Ordering::SeqCst) >= uses {
            return Answer::status(status);
        }
        good(asked, &content)
    }));
    let target = Arc::clone(&store);
    let server = Server::start(move |_| {
        used.store(0, Ordering::SeqCst);
        let link = last.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::status(302).with("location", target.url(&format!("/{link}")))
    });
    (server, store)
}

#[test]
fn where_a_redirect_led_is_remembered() {
    let content = noise(100_000);
    let (server, store) = presigned(&content, usize::MAX, 403);
    let (source, taker) = (open(&server.url("/content"), &options()), Taker::new());
    let ranges: Vec<(u64, u64)> = (0..30).map(|i| (i * 3000, 100)).collect();
    for range in &ranges {
        taker.get(&source, &[*range]).expect("an answer");
    }
    taker.check(&content, &ranges);
    assert_eq!(server.log().len(), 1);
    assert_eq!(store.log().len(), 30);
    assert!(store.connections() <= 2, "{} connections", store.connections());
}

#[test]
fn an_expired_link_is_resolved_again() {
    let content = noise(100_000);
    for status in [401, 403, 404, 410] {
        let (server, store) = presigned(&content, 5, status);
        let one = HttpOptions { connections: 1, ..options() };
        let (source, taker) = (open(&server.url("/content"), &one), Taker::new());
        let ranges: Vec<(u64, u64)> = (0..20).map(|i| (i * 3000, 100)).collect();
        for range in &ranges {
            taker.get(&source, &[*range]).expect("an answer");
        }
        taker.check(&content, &ranges);
        assert_eq!(server.log().len(), 4, "{status}");
        assert_eq!(store.log().len(), 23, "{status}");
    }
}

#[test]
fn a_refusal_at_home_or_behind_a_new_link_is_final() {
    let server = Server::start(|_| Answer::status(403));
    let taker = Taker::new();
    assert_eq!(taker.kind(&open(&server.url("/content"), &options()), &[(0, 10)]), ErrorKind::Source);
    assert_eq!(server.log().len(), 1);
    let (server, store) = presigned(&noise(1000), 0, 403);
    let error = taker.get(&open(&server.url("/content"), &options()), &[(0, 10)]).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.context().contains(&("status", "403".to_owned())));
    assert!(server.log().len() <= 2 && store.log().len() <= 2);
}

#[test]
fn nothing_of_the_caller_goes_to_another_origin() {
    let content = noise(10_000);
    let served = content.clone();
    let other = Server::start(move |asked| good(asked, &served));
    let target = other.url("/content");
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/content" => Answer::status(301).with("location", "/there"),
        _ => Answer::status(307).with("location", &target),
    });
    let headers = vec!["X-Key: secret".to_owned(), "X-Other:  two ".to_owned()];
    for options in [
        HttpOptions { bearer: Some("token".into()), headers: headers.clone(), ..options() },
        HttpOptions { user: Some("name:secret".into()), headers: headers.clone(), ..options() },
        HttpOptions { headers: [headers.clone(), vec!["Authorization: Own".into()]].concat(), ..options() },
    ] {
        let (source, taker) = (open(&server.url("/content"), &options), Taker::new());
        let before = (server.log().len(), other.log().len());
        taker.get(&source, &[(100, 100), (200, 100)]).expect("an answer");
        let expected = match (&options.bearer, &options.user) {
            (Some(_), _) => "Bearer token",
            (_, Some(_)) => "Basic bmFtZTpzZWNyZXQ=",
            _ => "Own",
        };
        assert!(server.log().len() >= before.0 + 2);
        for asked in &server.log()[before.0..] {
            assert_eq!(asked.header("authorization"), Some(expected));
            assert_eq!((asked.header("x-key"), asked.header("x-other")), (Some("secret"), Some("two")));
        }
        assert!(other.log().len() > before.1);
        for asked in &other.log()[before.1..] {
            assert_eq!((asked.header("authorization"), asked.header("x-key")), (None, None));
        }
        assert!(!format!("{options:?}").contains("secret") && !format!("{options:?}").contains("token"));
    }
}

#[test]
fn redirects_to_nowhere_are_errors() {
    for location in ["", "ftp://host/x", "file:///etc/passwd", "http://", "data:,x"] {
        let server = Server::start(move |asked| match asked.path.as_str() {
            "/content" if !location.is_empty() => Answer::status(302).with("location", location),
            _ => Answer::status(302),
        });
        let error = Taker::new().get(&open(&server.url("/content"), &options()), &[(0, 10)]).expect_err("nowhere");
        assert_eq!(error.kind(), ErrorKind::Source, "{location}");
        assert_eq!(server.log().len(), 1, "{location}");
    }
    // A circle of three.
    let server = Server::start(|asked| {
        let next = asked.path[1..].parse::<u32>().expect("a number") % 3 + 1;
        Answer::status(302).with("location", format!("/{next}"))
    });
    let error = Taker::new().get(&open(&server.url("/1"), &options()), &[(0, 10)]).expect_err("a circle");
    assert_eq!(error.message(), "the server's redirects lead back to where they began");
    assert_eq!(server.log().len(), 3);
}

#[test]
fn credentials_for_an_index_stay_where_it_is() {
    let content = noise(50_000);
    let folder = tempfile::tempdir().expect("a folder");
    for same in [true, false] {
        let served = content.clone();
        let other = Server::start(move |asked| good(asked, &served));
        let (served, elsewhere) = (content.clone(), other.url("/content"));
        let index = Server::start(move |asked| {
            let source = Some(if same { "content".to_owned() } else { elsewhere.clone() });
            let options = IndexOptions { source, ..IndexOptions::default() };
            match asked.path.as_str() {
                "/content" => good(asked, &served),
                _ => whole(&index_bytes(&served, &options).expect("an index").encode()),
            }
        });
        let http = HttpOptions { bearer: Some("secret".into()), headers: vec!["X-Key: secret".into()], ..options() };
        let open = OpenOptions { http, ..OpenOptions::default() };
        let read = open_index(&index.url("/x.gosync"), &open).expect("an index");
        let job_options = JobOptions { open, allow_any_source: true, ..JobOptions::default() };
        let target = folder.path().join("target");
        let _ = std::fs::remove_file(&target);
        Job::new(Arc::new(read), None, &target, job_options).and_then(|job| job.run()).expect("an update");
        assert!(std::fs::read(&target).expect("the target") == content);
        let has_secret =
            |asked: &crate::server::Asked| asked.header("authorization").is_some() || asked.header("x-key").is_some();
        assert!(index.log().iter().all(has_secret), "{same}");
        assert_eq!(index.log().len() > 1, same);
        assert!(!other.log().iter().any(has_secret), "{same}");
        assert_eq!(other.log().is_empty(), same);
    }
}
