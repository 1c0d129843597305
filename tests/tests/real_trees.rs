//! Directories updated from servers that people have: nginx with the index over HTTPS and the content over HTTP, as plain files
//! and as packs, and a static file server without ranges. The result is the same tree, and what went over the wire is
//! bounded, as the servers' own logs say.

#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gosync_io::{
    Event, HttpOptions, IndexOptions, Job, JobOptions, Observer, OpenOptions, Statistics, VerifyOptions, index_file,
    open_index, open_source, save_index, verify_file,
};
use gosync_tests::data::noise;
use gosync_tests::real::{Answered, Nginx, Python};

const SMALL: usize = 400;
const CHANGED: usize = 50;
const LARGE: usize = 3 << 20;

/// A published tree, plain and in packs, and an older version of it.
struct Release {
    folder: tempfile::TempDir,
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, content).expect("a file");
}

/// Text that compresses.
fn text(kind: usize, length: usize) -> Vec<u8> {
    let lines = (0..).map(|line| format!("{kind}: line {line} of {}\n", line * kind % 97));
    lines.flat_map(String::into_bytes).take(length).collect()
}

fn make(folder: &Path, version: usize) {
    for i in 0..SMALL {
        let mut content = text(i, 600 + 17 * i);
        if version == 2 && i % (SMALL / CHANGED) == 0 {
            content.splice(300..300, *b"changed\n");
        }
        // A folder is renamed, with a name that means something in URLs.
        let top = if i % 5 == 0 { ["old", "new-ü#%2f+"][version - 1] } else { "same" };
        write(&folder.join(top).join(format!("d{}", i % 11)).join(format!("f{i}.txt")), &content);
    }
    let mut large = noise(LARGE, 7);
    if version == 2 {
        large[LARGE / 2] ^= 1;
        write(&folder.join("added.bin"), &noise(50_000, 8));
    }
    write(&folder.join("large.bin"), &large);
}

impl Release {
    fn new() -> Release {
        let release = Release { folder: tempfile::tempdir().expect("a folder") };
        make(&release.site().join("app"), 2);
        make(&release.old(), 1);
        let index = |name: &str, tree: &Path, packed: bool| {
            let path = release.site().join(name);
            let content = packed.then(|| release.site().join("packs"));
            let previous = Some(path.clone()).filter(|path| packed && path.exists());
            let options = IndexOptions { content, previous, ..IndexOptions::default() };
            save_index(&index_file(tree, &options).expect("an index"), &path).expect("saved");
        };
        index("plain.gosync", &release.site().join("app"), false);
        index("packed.gosync", &release.old(), true);
        index("packed.gosync", &release.site().join("app"), true);
        release
    }

    fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    fn old(&self) -> PathBuf {
        self.folder.path().join("old")
    }

    /// Updates a copy of the old version, and compares it entry by entry.
    #[track_caller]
    fn update(&self, index: &str, source: Option<&str>, http: HttpOptions) -> Statistics {
        let target = self.folder.path().join("copy");
        let _ = std::fs::remove_dir_all(&target);
        make(&target, 1);
        let open = OpenOptions { http, ..OpenOptions::default() };
        let index = Arc::new(open_index(index, &open).expect("the index"));
        let source = source.map(|source| open_source(source, &open).expect("the source"));
        // What is told is shown where a test fails.
        let tell = |event: &Event| println!("{} {:?}", event.message, event.fields);
        let observer = Observer { events: Some(Arc::new(tell)), ..Observer::default() };
        let options = JobOptions { open, delete: true, observer, ..JobOptions::default() };
        let done = Job::new(Arc::clone(&index), source, &target, options).expect("a job").run().expect("an update");
        let found = verify_file(&target, &index, &VerifyOptions::default()).expect("a verification");
        assert!(found.is_match() && found.differences.is_empty(), "{:?}", found.differences);
        let same = std::process::Command::new("diff").arg("-r").arg(self.site().join("app")).arg(&target).output();
        let same = same.expect("diff");
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
        assert_eq!(done.retries, 0, "{done:?}");
        done
    }
}

/// Bodies and requests for each path below this one.
fn below<'a>(answers: &'a [Answered], server: &str, top: &str) -> HashMap<&'a str, (u64, usize)> {
    let mut sent: HashMap<&str, (u64, usize)> = HashMap::new();
    for answer in answers.iter().filter(|it| it.server == server && it.path.starts_with(top)) {
        let sum = sent.entry(&answer.path).or_default();
        *sum = (sum.0 + answer.bytes, sum.1 + 1);
    }
    sent
}

fn sum(sent: &HashMap<&str, (u64, usize)>) -> (u64, usize) {
    sent.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[test]
fn plain_files_with_the_index_over_https() {
    let release = Release::new();
    let Some(nginx) = Nginx::start(&release.site(), &release.folder.path().join("nginx")) else { return };
    let http = HttpOptions { ca_file: Some(nginx.ca_file()), ..HttpOptions::default() };
    let done = release.update(&nginx.https("plain.gosync"), Some(&nginx.http("app/")), http.clone());
    let answers = nginx.take_answers();
    assert!(answers.iter().all(|it| matches!(it.status, 200 | 206)), "{answers:?}");
    let sent = below(&answers, "http", "/app/");
    let (bytes, requests) = sum(&sent);
    // Every file that has changed, and no other; a block or two of each.
    assert_eq!(sent.len(), CHANGED + 2, "{sent:?}");
    assert!(requests <= CHANGED + 12 && bytes <= 50_000 + 3072 * (CHANGED as u64 + 1), "{requests} {bytes} {done:?}");
    assert!(bytes >= 50_000 && done.fetched < bytes + 1024 * (CHANGED as u64 + 2), "{bytes} {done:?}");
    // All over HTTP/2, where a hundred files are asked for at a time.
    let done = release.update(&nginx.https("plain.gosync"), None, http);
    let answers = nginx.take_answers();
    assert_eq!(below(&answers, "https", "/app/").len(), CHANGED + 2, "{done:?}");
    assert!(answers.iter().all(|it| it.protocol == "HTTP/2.0"));
}

#[test]
fn packs_are_a_few_requests() {
    let release = Release::new();
    let Some(nginx) = Nginx::start(&release.site(), &release.folder.path().join("nginx")) else { return };
    let http = HttpOptions { ca_file: Some(nginx.ca_file()), ..HttpOptions::default() };
    let done = release.update(&nginx.https("packed.gosync"), Some(&nginx.http("packs")), http);
    let answers = nginx.take_answers();
    let sent = below(&answers, "http", "/packs/");
    let (bytes, requests) = sum(&sent);
    // The pack that the version has brought, which is what a receiver of the version before needs.
    assert!(sent.len() == 1 && requests <= 3, "{sent:?}");
    assert!(bytes < 50_000 + 60_000 && bytes < done.fetched, "{bytes} {done:?}");
    assert!(below(&answers, "https", "/packed.gosync").len() == 1);
}

#[test]
fn a_server_without_ranges() {
    let release = Release::new();
    let Some(python) = Python::start(&release.site()) else { return };
    let done = release.update(&python.url("plain.gosync"), None, HttpOptions::default());
    // Each file that has changed once.
    assert!((CHANGED as u64 + 2..=CHANGED as u64 + 8).contains(&done.requests), "{done:?}");
    assert!(done.reason.contains("no ranges"), "{done:?}");
    let done = release.update(&python.url("packed.gosync"), None, HttpOptions::default());
    assert!(done.requests <= 12, "{done:?}");
}
