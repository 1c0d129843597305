//! The job over HTTP: whatever the bounds and the server's ways, it ends, and with the exact target.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gosync_io::source::HttpSource;
use gosync_io::{Cancel, HttpOptions, IndexOptions, Job, JobOptions, Observer, Source, index_bytes};

use crate::server::{Answer, Asked, Server, good, whole};
use crate::sink::noise;

/// How a server may answer.
fn servers(content: &[u8]) -> Vec<(&'static str, Server)> {
    let (ranges, without, failing) = (content.to_vec(), content.to_vec(), content.to_vec());
    let count = AtomicU64::new(0);
    let sometimes = move |asked: &Asked| match count.fetch_add(1, Ordering::Relaxed) % 40 {
        39 => Answer::status(503),
        _ => good(asked, &failing),
    };
    vec![
        ("ranges", Server::start(move |asked| good(asked, &ranges))),
        ("no ranges", Server::start(move |_| whole(&without))),
        ("503 now and then", Server::start(sometimes)),
    ]
}

/// Triggers `cancel` if the job is not over in time: a hang then ends in an error.
fn watch(cancel: &Cancel) {
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(50));
        cancel.cancel();
    });
}

#[test]
fn every_bound_ends_in_the_target() {
    let content = noise(2_000_000);
    let mut old = content.clone();
    (5_000..old.len()).step_by(20_000).for_each(|at| old[at] ^= 1);
    let index = Arc::new(index_bytes(&content, &IndexOptions::default()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    for (name, server) in servers(&content) {
        for (max_bytes_in_flight, max_requests, connections) in
            [(1, 1, 1), (1, 8, 4), (70_000, 3, 2), (300_000, 1, 4), (300_000, 30, 1), (0, 0, 0)]
        {
            std::fs::write(&target, &old).unwrap();
            let options = HttpOptions { connections, ..HttpOptions::default() };
            let source: Arc<dyn Source> =
                Arc::new(HttpSource::open(&server.url("/content"), &options, &Observer::default()).unwrap());
            let observer = Observer::default();
            watch(&observer.cancel);
            let options = JobOptions { max_bytes_in_flight, max_requests, observer, ..JobOptions::default() };
            let result = Job::new(Arc::clone(&index), Some(source), &target, options).unwrap().run();
            let case =
                format!("{name}, {max_bytes_in_flight} bytes, {max_requests} requests, {connections} connections");
            let statistics = result.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(std::fs::read(&target).unwrap() == content, "{case}");
            assert_eq!(statistics.fetched + statistics.from_seeds, 2_000_000, "{case}");
        }
    }
}
