//! Updates of directories that are killed at any point: the directory is as it was, or is said to be unfinished, and the last
//! run ends in exactly the new version, with what the user has put there and changed. No byte is fetched twice but what was
//! in flight.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::victim::{Ended, Point, Victim};
use super::{Outcome, Run};
use crate::conformance::random::Numbers;
use crate::data::noise;
use crate::process::{IN_FLIGHT, INDEX, TARGET, index, plan, verify};
use crate::server::{Options, Server};

const KIB: usize = 1024;
/// The kills of one round at the most.
const KILLS: u64 = 6;
/// What an update takes about, without a kill, and without what is fetched.
const TIME: Duration = Duration::from_millis(120);
/// What is sent in a second: more than for files, since only one round goes on at a time.
const RATE: u64 = 2 * super::RATE;

/// The system calls at which processes are killed, and at which of the calls of one thread at the most.
const CALLS: &[(&str, u64)] = &[
    ("rename,renameat,renameat2", 3),
    ("rename,renameat,renameat2", 30),
    ("mkdir,mkdirat", 6),
    ("unlink,unlinkat,rmdir", 30),
    ("fsync", 3),
    ("fsync", 12),
    ("syncfs", 1),
    ("symlink,symlinkat", 1),
    ("pwrite64", 20),
    ("fallocate,ftruncate", 6),
    ("fchmod", 1),
    ("openat,openat2", 60),
];

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(Vec<u8>, bool),
    Link(String),
}

type Tree = BTreeMap<String, Node>;

fn put(tree: &mut Tree, path: &str, node: Node) {
    for (at, _) in path.match_indices('/') {
        tree.entry(path[..at].to_owned()).or_insert(Node::Folder);
    }
    tree.insert(path.to_owned(), node);
}

fn bytes(length: usize, seed: u64) -> Node {
    Node::File(noise(length, seed), false)
}

/// What is installed first.
fn old() -> Tree {
    let mut tree = Tree::new();
    for number in 0..24u64 {
        let length = [100, 3 * KIB, 20 * KIB, 150 * KIB][number as usize % 4];
        put(&mut tree, &format!("lib/part{}/{number}.bin", number % 3), bytes(length, number));
    }
    put(&mut tree, "bin/run", Node::File(b"#!/bin/sh\n".to_vec(), false));
    put(&mut tree, "doc/a.txt", bytes(5 * KIB, 100));
    put(&mut tree, "doc/deep/er/b.txt", bytes(7 * KIB, 101));
    put(&mut tree, "current", Node::Link("lib/part0".into()));
    put(&mut tree, "was a file", bytes(900, 102));
    put(&mut tree, "was a folder/x", bytes(900, 103));
    put(&mut tree, "empty", Node::Folder);
    tree
}

/// What is published after it.
fn new() -> Tree {
    let mut tree = Tree::new();
    for (path, node) in old() {
        // A folder is renamed.
        put(&mut tree, &path.replace("lib/part1", "lib/other"), node);
    }
    for number in [2u64, 6, 11, 19] {
        let folder = if number % 3 == 1 {
            "other"
        } else if number % 3 == 0 {
            "part0"
        } else {
            "part2"
        };
        let Some(Node::File(content, _)) = tree.get_mut(&format!("lib/{folder}/{number}.bin")) else { continue };
        let middle = content.len() / 2;
        content.splice(middle..middle + 1, noise(2 * KIB, 200 + number));
    }
    for number in 0..8u64 {
        put(&mut tree, &format!("new/folder/{number}"), bytes(9 * KIB, 300 + number));
    }
    // Enough that what is fetched again would be seen beside what kills may catch on its way.
    for number in 0..3u64 {
        put(&mut tree, &format!("new/large{number}"), bytes(500 * KIB, 350 + number));
    }
    tree.retain(|path, _| !path.starts_with("doc/deep") && !path.starts_with("was a") && path != "empty");
    put(&mut tree, "bin/run", Node::File(b"#!/bin/sh\n".to_vec(), true));
    put(&mut tree, "current", Node::Link("lib/other".into()));
    put(&mut tree, "was a file/now a folder", bytes(10, 400));
    put(&mut tree, "was a folder", bytes(20, 401));
    tree
}

/// What the user does in between: to the directory, to what is expected of it, and to what is expected to be kept.
fn edit(target: &Path, expected: &mut Tree, kept: &mut Tree) {
    let edited = |path: &str, text: &str| {
        fs::write(target.join(path), text).expect("edited");
        Node::File(text.as_bytes().to_vec(), false)
    };
    put(kept, "lib/part2/2.bin", edited("lib/part2/2.bin", "edited, and the new version has another"));
    put(kept, "was a folder/mine", edited("was a folder/mine", "put there, and in the way"));
    put(expected, "doc/deep/er/b.txt", edited("doc/deep/er/b.txt", "edited, and the new version has none"));
    put(expected, "doc/mine", edited("doc/mine", "put there"));
}

fn write(tree: &Tree, top: &Path) {
    fs::create_dir_all(top).expect("a folder");
    for (path, node) in tree {
        let path = top.join(path);
        match node {
            Node::Folder => fs::create_dir(&path).expect("a folder"),
            Node::Link(target) => symlink(target, &path).expect("a link"),
            Node::File(content, is_executable) => {
                fs::write(&path, content).expect("a file");
                let mode = if *is_executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
        }
    }
}

fn read(top: &Path) -> Tree {
    fn add(tree: &mut Tree, top: &Path, path: &str) {
        let Ok(entries) = fs::read_dir(top.join(path)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().expect("text");
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            let about = entry.metadata().expect("an entry");
            if about.is_dir() {
                tree.insert(path.clone(), Node::Folder);
                add(tree, top, &path);
            } else if about.is_symlink() {
                let target = fs::read_link(entry.path()).expect("a link").into_os_string().into_string();
                tree.insert(path, Node::Link(target.expect("text")));
            } else {
                let is_executable = about.permissions().mode() & 0o100 != 0;
                tree.insert(path, Node::File(fs::read(entry.path()).expect("a file"), is_executable));
            }
        }
    }
    let mut tree = Tree::new();
    add(&mut tree, top, "");
    tree
}

/// The content of a version, below its folder: where its index says.
const CONTENT: &str = "content";

/// A version as it is published: its files, and its index beside them.
fn publish(tree: &Tree, folder: &Path) {
    let content = folder.join(CONTENT);
    write(tree, &content);
    index(&content, &folder.join(INDEX));
}

/// Makes rounds until there have been so many kills.
///
/// # Panics
/// If there is no server to be had, no folder, or no program.
pub fn run_trees(run: &Run, has_strace: bool) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().join("site");
    for (number, tree) in [old(), new()].iter().enumerate() {
        publish(tree, &site.join(number.to_string()));
    }
    let server = Server::start(&site, Options { rate: RATE, ..Options::default() }).expect("a server");
    let mut outcome = Outcome::default();
    for number in run.first.. {
        if outcome.kill_count() >= run.kills {
            break;
        }
        let numbers = Numbers::new(run.seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let folder = folder.path().join(format!("round {number}"));
        fs::create_dir(&folder).expect("a folder");
        let (outcome, history) = (&mut outcome, Vec::new());
        let mut round = Round { folder, site: &site, server: &server, numbers, outcome, history };
        let result = round.run(has_strace);
        let (history, folder) = (round.history.join("\n  "), round.folder);
        outcome.rounds += 1;
        if let Err(fault) = result {
            outcome.faults.push(format!("round {number}: {fault}\n  {history}"));
        }
        let _ = fs::remove_dir_all(folder);
    }
    outcome
}

struct Round<'a> {
    folder: PathBuf,
    site: &'a Path,
    server: &'a Server,
    numbers: Numbers,
    outcome: &'a mut Outcome,
    history: Vec<String>,
}

impl Round<'_> {
    fn run(&mut self, has_strace: bool) -> Result<(), String> {
        let target = self.folder.join(TARGET);
        self.end(self.start(0, Point::Never))?;
        if read(&target) != old() {
            return Err("the first version is not what was installed".to_owned());
        }
        let (mut expected, mut kept) = (new(), Tree::new());
        edit(&target, &mut expected, &mut kept);
        let before = read(&target);
        let planned = plan(&target, &self.site.join("1").join(INDEX));
        let (missing, sent_before) = (planned["to_fetch"].as_u64().expect("a plan"), self.sent());
        let (mut sent, mut kills) = (0, 0);
        for _ in 0..1 + self.numbers.below(KILLS) {
            let left = missing.saturating_sub(sent);
            let time = TIME + Duration::from_secs_f64(left as f64 / RATE as f64);
            let point = match self.numbers.below(if has_strace { 6 } else { 2 }) {
                0 => Point::Time(Duration::from_micros(self.numbers.below(time.as_micros() as u64))),
                1 => Point::Sent(sent_before + sent + self.numbers.below(left + 1)),
                _ => {
                    let (name, most) = CALLS[self.numbers.below(CALLS.len() as u64) as usize];
                    Point::Call(name, 1 + self.numbers.below(most))
                }
            };
            let (name, victim) = (point.name(), self.start(1, point));
            let was_killed = self.end(victim)?;
            sent = self.sent() - sent_before;
            self.history.push(format!("at {name}: killed: {was_killed}, {sent} sent, beside: {:?}", self.beside()));
            if !was_killed {
                break;
            }
            kills += 1;
            *self.outcome.kills.entry(name).or_default() += 1;
            let found = read(&target);
            let said = verify(&target, &self.site.join("1").join(INDEX));
            let is_unfinished = said.last["unfinished"] == true;
            if found != before && found != expected && !is_unfinished {
                return Err(format!("the target is neither old nor new, and it is not said: {}", said.all));
            }
            self.outcome.unfinished += u64::from(is_unfinished);
        }
        self.end(self.start(1, Point::Never))?;
        sent = self.sent() - sent_before;
        self.outcome.sent += sent;
        self.outcome.missing += missing;
        let most = missing + kills * IN_FLIGHT;
        if sent > most {
            return Err(format!("{sent} bytes were sent, of which {most} at the most had to be"));
        }
        let (found, aside) = (read(&target), read(&self.folder.join(format!("{TARGET}.gosync-kept"))));
        if found != expected {
            return Err(format!("not the new version: {}", differences(&found, &expected)));
        }
        if aside != kept {
            return Err(format!("something else was kept: {}", differences(&aside, &kept)));
        }
        match self.beside() {
            names if names == [format!(".{TARGET}.gosync-installed")] => Ok(()),
            names => Err(format!("{names:?} beside the finished target")),
        }
    }

    /// Bytes of the new version's content that have been sent.
    fn sent(&self) -> u64 {
        self.server.sent_below(&format!("1/{CONTENT}/"))
    }

    fn start(&self, version: usize, point: Point) -> Victim {
        Victim::start(&self.folder, &self.server.url(&format!("{version}/{INDEX}")), &[], point)
    }

    /// Waits for its end; whether it was killed.
    fn end(&mut self, victim: Victim) -> Result<bool, String> {
        match victim.end(|| self.sent()) {
            Ended::Killed => Ok(true),
            Ended::Itself(said) if said.is_well => Ok(false),
            Ended::Itself(said) => Err(said.all),
            Ended::Hung(said) => Err(format!("it hangs: {said}")),
        }
    }

    /// What lies beside the target, but for what was kept.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).expect("the folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with(TARGET)).collect();
        names.sort();
        names
    }
}

/// The paths that differ.
fn differences(found: &Tree, expected: &Tree) -> String {
    let paths: std::collections::BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differing: Vec<_> = paths.into_iter().filter(|path| found.get(*path) != expected.get(*path)).collect();
    format!("{differing:?}")
}
