//! A cancel while requests hang: the call returns soon, and afterwards no thread, socket or file is left.
//! Alone in its program, because it counts the program's threads and open files; the server is another program.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gosync_io::{
    Cancel, ErrorKind, HttpOptions, Job, JobOptions, Observer, OpenOptions, Result, Statistics, open_index,
};
use gosync_tests::conformance::content::Content;

/// What a cancel may take on a machine that is busy with other things. It is meant to take a tenth of a second.
const SOON: Duration = Duration::from_secs(1);

/// The server, by address.
struct Running {
    child: Child,
    addresses: Vec<(String, String)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start() -> Running {
        let program = env!("CARGO_BIN_EXE_gosync-conformance-server");
        let mut child = Command::new(program).stdout(Stdio::piped()).spawn().expect("the server");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let lines = out.lines().map_while(|line| line.ok().filter(|line| !line.starts_with("contents:")));
        let pair = |line: String| line.split_once(' ').map(|(name, url)| (name.to_owned(), url.trim().to_owned()));
        let addresses = lines.filter_map(pair).collect();
        Running { child, addresses }
    }

    fn url(&self, listener: &str, path: &str) -> String {
        let found = self.addresses.iter().find(|(name, _)| name == listener);
        found.unwrap_or_else(|| panic!("no {listener} in {:?}", self.addresses)).1.clone() + path
    }
}

/// An update on a thread of its own, until it has an end.
fn update(url: String, target: PathBuf, cancel: &Cancel) -> Receiver<(Instant, Result<Statistics>)> {
    let observer = Observer { cancel: cancel.clone(), ..Observer::default() };
    let http = HttpOptions { proxy: Some(String::new()), ..HttpOptions::default() };
    let open = OpenOptions { http, observer: observer.clone(), ..OpenOptions::default() };
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let work = || {
            let index = Arc::new(open_index(&url, &open)?);
            let options = JobOptions {
                assume_rtt: Duration::from_millis(1),
                assume_rate: 1_000_000,
                open,
                observer,
                ..JobOptions::default()
            };
            Job::new(index, None, target, options)?.run()
        };
        let result = work();
        let _ = sender.send((Instant::now(), result));
    });
    receiver
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).expect("what the system says of this program").count()
}

/// Names of threads, and what the open files are, for messages.
fn inventory() -> String {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names: Vec<String> = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect();
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let files: Vec<PathBuf> = files.filter_map(|file| std::fs::read_link(file.path()).ok()).collect();
    format!("{names:?} {files:?}")
}

/// Threads and open files go back to what they were; those that were cancelled end by themselves, soon.
fn settles_at(threads: usize, files: usize, what: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let (now, open) = (count("/proc/self/task"), count("/proc/self/fd"));
        if now <= threads && open <= files {
            return;
        }
        assert!(Instant::now() < end, "{what}: {now} threads of {threads}, {open} files of {files}: {}", inventory());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_cancel_while_requests_hang_returns_soon_and_holds_nothing() {
    let server = Running::start();
    let content = Content::standard().remove(0);
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("content");
    let reset = || std::fs::write(&target, &content.old).expect("the old version");
    reset();
    // What is made once and stays (the platform's certificates, say) is made now.
    let warm = update(server.url("main", "honest/few.gosync"), target.clone(), &Cancel::new());
    warm.recv().expect("an end").1.expect("an update");
    // The thread of that update may still be ending.
    std::thread::sleep(Duration::from_millis(200));
    let (threads, files) = (count("/proc/self/task"), count("/proc/self/fd"));
    let mut times = Vec::new();
    for (listener, behaviour) in [
        ("main", "never-answers"),
        ("main", "stall-always"),
        ("main", "stall-midway"),
        ("main", "slow-drip"),
        ("main", "status-503-always"),
        ("main", "index-never-answers"),
        ("mute", "connect-hangs"),
    ] {
        for round in 0..5 {
            reset();
            let cancel = Cancel::new();
            let url = server.url(listener, &format!("{behaviour}@{round}/few.gosync"));
            let end = update(url, target.clone(), &cancel);
            std::thread::sleep(Duration::from_millis(150));
            assert!(end.try_recv().is_err(), "{behaviour} is over already");
            let start = Instant::now();
            cancel.cancel();
            let (at, result) = end.recv_timeout(Duration::from_secs(30)).expect(behaviour);
            assert_eq!(result.expect_err(behaviour).kind(), ErrorKind::Cancelled, "{behaviour}");
            let time = at.saturating_duration_since(start);
            assert!(time < SOON, "{behaviour}: the cancel took {time:?}");
            times.push(time);
            settles_at(threads, files, behaviour);
            // What had arrived is kept for the next update, and nothing else.
            for name in names(folder.path()).iter().filter(|name| *name != "content") {
                assert!(name.ends_with(".gosync-part"), "{behaviour}: {name}");
                std::fs::remove_file(folder.path().join(name)).expect("the partial file");
            }
            assert_eq!(std::fs::read(&target).expect("the target"), content.old, "{behaviour}");
        }
    }
    times.sort_unstable();
    println!("{} cancels: median {:?}, longest {:?}", times.len(), times[times.len() / 2], times[times.len() - 1]);
}
