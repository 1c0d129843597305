//! The main job against servers that people have: nginx over HTTP/1.1, over HTTPS with HTTP/2 and behind a caching proxy,
//! and a static file server without ranges. The result is exact, and what went over the wire is bounded, as the servers'
//! own logs say.

#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gosync_io::{ErrorKind, HttpOptions, IndexOptions, Job, JobOptions, OpenOptions, Statistics};
use gosync_tests::data::{edited, noise};
use gosync_tests::real::{Answered, HTTPS_REQUESTS, Nginx, Python};

const LENGTH: usize = 8 << 20;
const EDITS: usize = 50;
/// What is missing at the most: a block or two for each edit.
const BLOCKS: u64 = EDITS as u64 * 8 * 1024;
const NAME: &str = "app.bin";
const INDEX: &str = "app.bin.gosync";

/// A published version, and an older one to update.
struct Files {
    folder: tempfile::TempDir,
    new: Vec<u8>,
    old: Vec<u8>,
}

impl Files {
    /// The old version differs in `EDITS` places; or, where there is nothing of it, in all.
    fn new() -> Files {
        let folder = tempfile::tempdir().expect("a folder");
        let new = noise(LENGTH, 5);
        let site = folder.path().join("site");
        std::fs::create_dir(&site).expect("a folder");
        std::fs::write(site.join(NAME), &new).expect("a file");
        let index = gosync_io::index_file(&site.join(NAME), &IndexOptions::default()).expect("an index");
        gosync_io::save_index(&index, &site.join(INDEX)).expect("a file");
        Files { folder, old: edited(&new, EDITS), new }
    }

    fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// Updates a copy of the old version from `index`, as a person would who gives nothing but that, and compares.
    /// What the plan reckons with is given, so that the machine's load decides nothing.
    #[track_caller]
    fn update(&self, old: &[u8], index: &str, http: HttpOptions) -> Statistics {
        let target = self.folder.path().join("copy.bin");
        std::fs::write(&target, old).expect("a file");
        let open = OpenOptions { http, ..OpenOptions::default() };
        let index = gosync_io::open_index(index, &open).expect("the index");
        let options = JobOptions {
            open,
            assume_rtt: Duration::from_millis(1),
            assume_rate: 10 << 20,
            max_gap: 4 << 10,
            ..JobOptions::default()
        };
        let done = Job::new(Arc::new(index), None, &target, options).expect("a job").run().expect("an update");
        assert!(std::fs::read(&target).expect("the result") == self.new, "the result is another file");
        assert_eq!((done.total, done.from_seeds + done.fetched), (LENGTH as u64, LENGTH as u64), "{done:?}");
        done
    }

    /// As [`Files::update`] of the old version over ranges: what it may cost.
    #[track_caller]
    fn update_by_ranges(&self, index: &str, http: HttpOptions) -> Statistics {
        let done = self.update(&self.old, index, http);
        assert!((EDITS as u64..=BLOCKS).contains(&done.fetched), "{done:?}");
        assert!((1..=EDITS as u64 + 4).contains(&done.requests), "{done:?}");
        assert_eq!(done.retries, 0, "{done:?}");
        done
    }
}

/// The bodies sent of this file, and how many.
fn sent(answers: &[Answered], server: &str, name: &str) -> (u64, usize) {
    let path = format!("/{name}");
    let of_file: Vec<_> = answers.iter().filter(|it| it.server == server && it.path == path).collect();
    (of_file.iter().map(|it| it.bytes).sum(), of_file.len())
}

/// What several ranges in one answer may take beside their bytes, for each of them.
const HEADS: u64 = EDITS as u64 * 200;

/// Checks what nginx has answered, which is returned.
#[track_caller]
fn check_nginx(nginx: &Nginx, done: &Statistics, server: &str, protocol: &str, index_size: u64) -> Vec<Answered> {
    let answers = nginx.take_answers();
    assert!(answers.iter().all(|it| it.server == server && it.protocol == protocol), "{answers:?}");
    assert!(answers.iter().all(|it| matches!(it.status, 200 | 206)), "{answers:?}");
    let ((index, index_requests), (content, requests)) = (sent(&answers, server, INDEX), sent(&answers, server, NAME));
    // An index may be asked for in parts, but no part twice.
    assert!(index <= index_size && index_requests <= 4, "{answers:?}");
    assert!(content >= done.fetched && content <= done.fetched + done.wasted + HEADS, "{done:?} {answers:?}");
    assert!(done.wasted <= BLOCKS, "{done:?} {answers:?}");
    assert!(requests as u64 <= done.requests, "{done:?} {answers:?}");
    answers
}

#[test]
fn nginx_over_http() {
    let files = Files::new();
    let Some(nginx) = Nginx::start(&files.site(), &files.folder.path().join("nginx")) else { return };
    let index_size = files.site().join(INDEX).metadata().expect("the index").len();
    let done = files.update_by_ranges(&nginx.http(INDEX), HttpOptions::default());
    check_nginx(&nginx, &done, "http", "HTTP/1.1", index_size);
    // Where nothing is here, everything comes in one answer.
    let done = files.update(b"", &nginx.http(INDEX), HttpOptions::default());
    let answers = nginx.take_answers();
    assert_eq!(sent(&answers, "http", NAME).0, LENGTH as u64, "{done:?} {answers:?}");
    assert!(done.reason.starts_with("full download"), "{done:?}");
    // And where everything is, nothing does.
    let done = files.update(&files.new, &nginx.http(INDEX), HttpOptions::default());
    assert!(done.up_to_date && done.requests == 0, "{done:?}");
    assert_eq!(sent(&nginx.take_answers(), "http", NAME), (0, 0));
}

#[test]
fn nginx_over_https_and_http_2() {
    let files = Files::new();
    let Some(nginx) = Nginx::start(&files.site(), &files.folder.path().join("nginx")) else { return };
    let index_size = files.site().join(INDEX).metadata().expect("the index").len();
    let http = HttpOptions { ca_file: Some(nginx.ca_file()), ..HttpOptions::default() };
    let done = files.update_by_ranges(&nginx.https(INDEX), http);
    let answers = check_nginx(&nginx, &done, "https", "HTTP/2.0", index_size);
    // One connection after the other, as each is ended by the server, and not as many at once as there are requests.
    // nginx counts the connections that it accepts, those without a request included.
    let numbers = answers.iter().map(|it| it.connection);
    let accepted = numbers.clone().max().unwrap_or(0) - numbers.min().unwrap_or(0) + 1;
    assert!((2..=answers.len() / HTTPS_REQUESTS + 2).contains(&(accepted as usize)), "{answers:?}");
    // Its authority is nobody's whom the platform trusts.
    let options = OpenOptions { retries: Some(0), ..OpenOptions::default() };
    gosync_io::open_index(&nginx.https(INDEX), &options).expect_err("an unknown authority");
    assert_eq!(nginx.take_answers(), []);
}

#[test]
fn the_index_over_https_and_the_content_over_http() {
    let files = Files::new();
    // What somebody on the way may make of the content.
    let mut forged = files.new.clone();
    forged.chunks_mut(4096).for_each(|chunk| chunk[0] ^= 1);
    std::fs::write(files.site().join("forged.bin"), forged).expect("a file");
    let Some(nginx) = Nginx::start(&files.site(), &files.folder.path().join("nginx")) else { return };
    let http = HttpOptions { ca_file: Some(nginx.ca_file()), ..HttpOptions::default() };
    let open = OpenOptions { http, ..OpenOptions::default() };
    let target = files.folder.path().join("copy.bin");
    let update = |content: &str| {
        std::fs::write(&target, &files.old).expect("a file");
        let index = gosync_io::open_index(&nginx.https(INDEX), &open).expect("the index");
        let source = gosync_io::open_source(&nginx.http(content), &OpenOptions::default()).expect("the source");
        Job::new(Arc::new(index), Some(source), &target, JobOptions::default()).expect("a job").run()
    };
    let done = update(NAME).expect("an update");
    assert!(std::fs::read(&target).expect("the result") == files.new, "the result is another file");
    let answers = nginx.take_answers();
    let path = |name: &str| format!("/{name}");
    assert!(answers.iter().all(|it| it.path == path(if it.server == "https" { INDEX } else { NAME })), "{answers:?}");
    let (index, content) = (sent(&answers, "https", INDEX).0, sent(&answers, "http", NAME).0);
    assert!(index == done.index_size && content >= done.fetched && done.fetched > 0, "{done:?} {answers:?}");

    let error = update("forged.bin").expect_err("content that is another one");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert!(std::fs::read(&target).expect("the target") == files.old, "the target was changed");
}

#[test]
fn nginx_as_a_caching_proxy_with_slices() {
    let files = Files::new();
    let Some(nginx) = Nginx::start(&files.site(), &files.folder.path().join("nginx")) else { return };
    let done = files.update_by_ranges(&nginx.proxy(INDEX), HttpOptions::default());
    let first = nginx.take_answers();
    // It answers several ranges with everything, which is tried once and hung up on; from then on it gets one at a time.
    assert!(done.reason.contains("answers several ranges with everything"), "{done:?}");
    assert!(done.fetched + done.wasted <= LENGTH as u64, "{done:?}");
    let is_whole = |it: &&Answered| it.server == "proxy" && it.path == format!("/{NAME}") && it.status == 200;
    assert_eq!(first.iter().filter(is_whole).count(), 1, "{first:?}");
    // The proxy has asked for slices of 64 KiB, and for none of them twice.
    let slices: Vec<_> = first.iter().filter(|it| it.server == "http" && it.path == format!("/{NAME}")).collect();
    assert!(!slices.is_empty() && slices.iter().all(|it| it.status == 206 && it.bytes <= 64 << 10), "{slices:?}");
    assert!(slices.len() <= LENGTH / (64 << 10), "{slices:?}");
    // The second receiver gets all of it from the cache.
    let again = files.update_by_ranges(&nginx.proxy(INDEX), HttpOptions::default());
    let second = nginx.take_answers();
    assert_eq!((again.fetched, again.from_seeds), (done.fetched, done.from_seeds));
    let index_path = format!("/{INDEX}");
    assert!(second.iter().all(|it| it.server == "proxy" || it.path != index_path), "{second:?}");
    let missed = second.iter().filter(|it| it.server == "http").count();
    assert!(missed + slices.len() <= LENGTH / (64 << 10), "{second:?}");
}

#[test]
fn a_static_file_server_without_ranges() {
    let files = Files::new();
    let Some(python) = Python::start(&files.site()) else { return };
    let done = files.update(&files.old, &python.url(INDEX), HttpOptions::default());
    // One download of everything, of which what was lacking is used. No more requests than go out before its answer.
    assert!(done.fetched + done.wasted <= LENGTH as u64 && done.requests <= 4 && done.retries == 0, "{done:?}");
    assert!(done.reason.contains("the server answers a range with everything"), "{done:?}");
    // Where nothing is here, nothing needs a range.
    let done = files.update(b"", &python.url(INDEX), HttpOptions::default());
    assert_eq!((done.requests, done.fetched, done.wasted), (1, LENGTH as u64, 0), "{done:?}");
}
