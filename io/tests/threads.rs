//! No thread stays behind when a source is gone. Alone in its program, because it counts the program's threads.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use gosync_io::source::{BlockingRead, BlockingSource, FileSource, HttpSource, MirrorSource};

use gosync_io::{HttpOptions, Observer, Range, Request, Result, Sink, Source, Supply};

struct Nobody;

impl Sink for Nobody {
    fn supply(&self, _: u64, _: u64, _: &[u8]) -> Supply {
        Supply::Again
    }

    fn finish(&self, _: u64, _: u64, _: Result<()>) {}
}

struct Zeros;

impl BlockingRead for Zeros {
    fn read_at(&self, _: u64, buffer: &mut [u8]) -> Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
}

/// Names of this program's threads that begin with the library's name.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the tasks");
    let name = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks.filter_map(name).filter(|name| name.starts_with("gosync-")).collect()
}

fn wait_for(what: &str, done: impl Fn(&[String]) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done(&threads()) {
        assert!(Instant::now() < end, "{what}: {:?}", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn threads_end_with_their_source() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("content");
    std::fs::write(&path, [1; 10_000]).expect("the content");
    assert!(threads().is_empty());
    for round in 0..10 {
        // Every other round with options of its own, which makes a thread of its own.
        let other = HttpOptions { connections: 1 + round % 2 * 3, ..HttpOptions::default() };
        let http = || -> Arc<dyn Source> {
            Arc::new(HttpSource::open(&url, &HttpOptions::default(), &Observer::default()).expect("a source"))
        };
        let mirrors = MirrorSource::new(vec![http(), http()], &Observer::default()).expect("a source");
        let sources: [Arc<dyn Source>; 5] = [
            Arc::new(mirrors),
            Arc::new(BlockingSource::new(Zeros, 3).expect("a source")),
            Arc::new(FileSource::open(&path).expect("the file")),
            Arc::new(HttpSource::open(&url, &HttpOptions::default(), &Observer::default()).expect("a source")),
            Arc::new(HttpSource::open("http://localhost:1/", &other, &Observer::default()).expect("a source")),
        ];
        for (number, source) in sources.iter().enumerate() {
            let ranges = (0..20).map(|i| Range::new(i * 100, 100)).collect();
            source.fetch(Request::new(number as u64, ranges, Arc::new(Nobody)));
        }
        wait_for("they begin", |threads| {
            let count = |start: &str| threads.iter().filter(|name| name.starts_with(start)).count();
            let http = if round % 2 == 0 { 2 } else { 1 };
            count("gosync-source") >= 4 && count("gosync-http") >= http && count("gosync-mirror") == 2
        });
        drop(sources);
        wait_for("they end", <[String]>::is_empty);
    }
}
