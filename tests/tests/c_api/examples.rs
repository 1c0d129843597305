//! The example programs do what they say: the main job over paths and over HTTP, and what a user sees when it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gosync_io::{IndexOptions, index_file, save_index};
use gosync_tests::c::{Link, installed};
use gosync_tests::data::{edited, noise};
use gosync_tests::root;
use gosync_tests::server::{Options, Server};

const LENGTH: usize = 3_000_000;

/// A folder with the new version and its index, and an old version elsewhere.
struct Site {
    folder: tempfile::TempDir,
    new: Vec<u8>,
    old: Vec<u8>,
}

fn site() -> Site {
    let folder = tempfile::tempdir().expect("a folder");
    let new = noise(LENGTH, 9);
    let old = edited(&new, 6);
    let published = folder.path().join("site");
    std::fs::create_dir(&published).expect("a folder");
    std::fs::write(published.join("app"), &new).expect("the new version");
    let index = index_file(&published.join("app"), &IndexOptions::default()).expect("an index");
    save_index(&index, &published.join("app.gosync")).expect("a saved index");
    std::fs::write(folder.path().join("old"), &old).expect("the old version");
    Site { folder, new, old }
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> Server {
        Server::start(self.path("site"), Options::default()).expect("a server")
    }
}

fn examples() -> [PathBuf; 2] {
    let c = installed().compile("updater", Link::Shared, &[root().join("examples/c/updater.c")]);
    let cpp = installed().compile("updater-cpp", Link::Static, &[root().join("examples/cpp/updater.cpp")]);
    [c, cpp]
}

fn update(program: &Path, target: &Path, arguments: &[&str]) -> Output {
    Command::new(program).arg(target).args(arguments).output().expect("the program starts")
}

/// The numbers of the line for programs.
#[track_caller]
fn result(output: &Output) -> [u64; 4] {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let line = out.lines().last().and_then(|line| line.strip_prefix("RESULT ")).expect("a line with the result");
    let words: Vec<_> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["total", "from_seeds", "fetched", "requests"]);
    let numbers: Vec<u64> = words.iter().map(|(_, number)| number.parse().expect("a number")).collect();
    numbers.try_into().expect("four numbers")
}

#[test]
fn an_old_version_becomes_the_new_one_over_http() {
    for program in examples() {
        let site = site();
        let server = site.server();
        let target = site.path("app");
        std::fs::write(&target, &site.old).expect("the old version");
        let output = update(&program, &target, &[&server.url("app.gosync")]);
        let [total, from_seeds, fetched, requests] = result(&output);
        assert!(std::fs::read(&target).expect("the target") == site.new);
        assert_eq!((total, from_seeds + fetched), (LENGTH as u64, LENGTH as u64));
        let records = server.take_records();
        let of_content: Vec<_> = records.iter().filter(|record| record.path == "/app").collect();
        let sent: u64 = of_content.iter().map(|record| record.bytes).sum();
        assert!(fetched > 0 && sent >= fetched && sent < 200_000, "fetched {fetched}, sent {sent}");
        assert_eq!(of_content.len() as u64, requests);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(shown.contains("100.0 %"), "{shown}");
        // Once more: there is nothing to do.
        let again = result(&update(&program, &target, &[&server.url("app.gosync")]));
        assert_eq!(again[2..], [0, 0]);
    }
}

#[test]
fn a_source_and_seeds_are_taken_from_the_arguments() {
    for program in examples() {
        let site = site();
        let (index, content, seed) = (site.path("site/app.gosync"), site.path("site/app"), site.path("old"));
        let arguments = [&index, &content, &seed].map(|path| path.to_str().expect("UTF-8"));
        let [total, from_seeds, ..] = result(&update(&program, &site.path("fresh"), &arguments));
        assert!(from_seeds > total * 9 / 10, "{from_seeds} of {total}");
        assert!(std::fs::read(site.path("fresh")).expect("the target") == site.new);
    }
}

#[test]
fn failures_are_told_with_what_is_known() {
    for program in examples() {
        let site = site();
        let server = site.server();
        std::fs::write(site.path("app"), &site.old).expect("the old version");
        let output = update(&program, &site.path("app"), &[&server.url("missing.gosync")]);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains("updater: ") && shown.contains("missing.gosync"), "{shown}");
        assert!(output.stdout.is_empty());
        let missing = site.path("nothing.gosync");
        let output = update(&program, &site.path("app"), &[missing.to_str().expect("UTF-8")]);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(shown.contains("nothing.gosync") && shown.contains("No such file"), "{shown}");
        assert!(std::fs::read(site.path("app")).expect("the target") == site.old);
        assert_eq!(update(&program, &site.path("app"), &[]).status.code(), Some(2));
    }
}

/// Ctrl-C while it waits for a server that says nothing: it ends soon, and the old version is still there.
#[test]
#[cfg(unix)]
fn ctrl_c_stops_it() {
    for program in examples() {
        let site = site();
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
        let url = format!("http://{}/app.gosync", silent.local_addr().expect("an address"));
        std::fs::write(site.path("app"), &site.old).expect("the old version");
        let mut child = Command::new(&program).arg(site.path("app")).arg(url).spawn().expect("the program starts");
        let connection = silent.accept().expect("the program connects");
        let id = child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &id]).status().expect("kill starts");
        assert!(killed.success());
        let started = std::time::Instant::now();
        assert_eq!(child.wait().expect("the program ends").code(), Some(130));
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(std::fs::read(site.path("app")).expect("the target") == site.old);
        drop(connection);
    }
}
