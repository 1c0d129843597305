//! Many small updates over servers that fail at random: each ends in the exact content or in a clear error, none hangs,
//! none leaves anything behind.
//!
//! All of it follows from one seed; what does not is the order in which threads get their turn.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::behaviours::BEHAVIOURS;
use super::client::{Door, Measured, update};
use super::content::Content;
use super::expected::{self, Client, Expected};
use super::server::{Listener, Server, lock};

/// Contents that the updates are about.
const CONTENTS: u64 = 24;

/// How many at the same time: they mostly wait.
const AT_ONCE: usize = 12;

/// After this time an update counts as hanging.
const WATCHDOG: Duration = Duration::from_secs(90);

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Those of this seed.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// The next one, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One update of the run.
#[derive(Clone, Debug)]
struct Case {
    /// With its token.
    name: String,
    client: Client,
}

impl Case {
    fn new(number: u64, seed: u64, expected: &[Expected]) -> Case {
        let mut numbers = Numbers::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        // Every third gets a mixture of everything.
        let which =
            if numbers.chance(33) { "storm" } else { BEHAVIOURS[numbers.below(BEHAVIOURS.len() as u64) as usize].name };
        let given = expected.iter().find(|expected| expected.name == which).map(|expected| expected.client.clone());
        let given = given.unwrap_or_default();
        let client = Client {
            content: format!("random-{}", numbers.below(CONTENTS)),
            from_nothing: numbers.chance(10),
            connections: 1 + numbers.below(4) as usize,
            retries: numbers.below(3) as u32,
            rtt_ms: [1, 1, 20, 100][numbers.below(4) as usize],
            runs: 1,
            wait_ms: 150,
            listener: if given.listener == Listener::Late { Listener::Main } else { given.listener },
            ..given
        };
        let token = numbers.below(1 << 40);
        Case { name: format!("{which}@{token}"), client }
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Updates by how they ended.
    pub ends: BTreeMap<String, u64>,
    /// What must not be, with the number that makes it happen again.
    pub faults: Vec<String>,
    /// The longest update: seconds, and which it was.
    pub longest: (f64, String),
}

/// Contents of 100 kB to 2 MB whose old versions differ in all sorts of ways.
fn contents(seed: u64) -> Vec<Content> {
    let mut numbers = Numbers::new(seed);
    let mut one = |number| {
        let length = 100_000 + numbers.below(1_900_000) as usize;
        let count = 1 + numbers.below(20) as usize;
        let run = [1, 100, 5_000, 40_000][numbers.below(4) as usize];
        Content::new(&format!("random-{number}"), length, count, run, numbers.below(1 << 40))
    };
    (0..CONTENTS).map(&mut one).collect()
}

/// Makes the updates `first` to `first + count - 1` of this seed. A hang ends the program, with the number said.
///
/// # Panics
/// If there is no server to be had, or no folder.
pub fn run(seed: u64, first: u64, count: u64) -> Outcome {
    let server = Server::start(contents(seed)).unwrap_or_else(|error| panic!("no server: {error}"));
    let expected = expected::all();
    let (next, over) = (AtomicU64::new(first), AtomicBool::new(false));
    let running: Mutex<BTreeMap<u64, (Instant, Case)>> = Mutex::default();
    let outcome = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= first + count {
                            return;
                        }
                        let case = Case::new(number, seed, &expected);
                        lock(&running).insert(number, (Instant::now(), case.clone()));
                        let measured = one(&server, &case, folder.path());
                        lock(&running).remove(&number);
                        note(&mut lock(&outcome), number, &case, measured);
                    }
                })
            })
            .collect();
        scope.spawn(|| watch(&running, &over, seed));
        for worker in workers {
            if worker.join().is_err() {
                lock(&outcome).faults.push("a worker panicked".to_owned());
            }
        }
        over.store(true, Ordering::Release);
    });
    outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one(server: &Server, case: &Case, folder: &Path) -> Measured {
    let measured = update(server, &case.name, &case.client, folder, Door::Library);
    // The next one begins anew.
    server.forget(&case.name);
    let _ = std::fs::remove_dir_all(folder.join("target"));
    let _ = std::fs::remove_dir_all(folder.join("client"));
    measured
}

fn note(outcome: &mut Outcome, number: u64, case: &Case, measured: Measured) {
    // Whatever a server does: an error that is the client's own fault, or a wrong result, is wrong.
    let clear =
        ["exact", "next", "SOURCE", "SOURCE_TEMPORARY", "SOURCE_CHANGED", "SOURCE_UNSUPPORTED", "TIMEOUT", "MISMATCH"];
    if !clear.contains(&measured.outcome.as_str()) || !measured.faults.is_empty() {
        outcome.faults.push(format!("update {number}: {case:?}\n{measured:#?}"));
    }
    if measured.seconds > outcome.longest.0 {
        outcome.longest = (measured.seconds, format!("update {number}: {case:?}, {}", measured.outcome));
    }
    *outcome.ends.entry(measured.outcome).or_default() += 1;
}

/// Ends the program when an update hangs, because nothing else would end its thread.
fn watch(running: &Mutex<BTreeMap<u64, (Instant, Case)>>, over: &AtomicBool, seed: u64) {
    while !over.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(50));
        let late = lock(running)
            .iter()
            .find(|(_, (since, _))| since.elapsed() > WATCHDOG)
            .map(|(number, running)| (*number, running.1.clone()));
        if let Some((number, case)) = late {
            eprintln!("update {number} hangs: {case:?}");
            eprintln!("again: GOSYNC_RANDOM_SEED={seed} GOSYNC_RANDOM_FIRST={number} GOSYNC_RANDOM_COUNT=1");
            std::process::exit(1);
        }
    }
}
