//! Updates by real processes that are killed at any point, over HTTP from a server that counts: how a target is found after
//! a kill, that the next run ends in the new version, and that no byte is fetched twice but what was in flight.
//!
//! `shapes` are the versions, `victim` is the process, `round` is one target's way to the new version; `trees` is the same for
//! directories. All that is chosen follows from one seed; when a kill comes is up to the machine, too.

mod round;
mod shapes;
mod trees;
mod victim;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::conformance::random::Numbers;
use crate::server::{Options, Server};
use round::Round;
use shapes::shapes;
pub use trees::run_trees;

/// How many rounds go on at the same time: they mostly wait for the server.
const AT_ONCE: usize = 4;
/// What each of them is sent in a second.
const RATE: u64 = 4_000_000;
/// How the target is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Beside the target, then by a rename.
    Beside,
    /// In place.
    InPlace,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Run {
    /// From which everything that is chosen follows.
    pub seed: u64,
    /// The number of the first round.
    pub first: u64,
    /// Rounds are made until there have been so many kills.
    pub kills: u64,
    /// How the targets are updated, in turn.
    pub modes: Vec<Mode>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rounds made.
    pub rounds: u64,
    /// Kills, by what sort of point they were at.
    pub kills: BTreeMap<&'static str, u64>,
    /// How often a target was found neither old nor new, as it may be in place.
    pub unfinished: u64,
    /// Bytes of content that were sent, and those that were missing to begin with.
    pub sent: u64,
    /// See `sent`.
    pub missing: u64,
    /// What must not be, with the number of the round that makes it happen again.
    pub faults: Vec<String>,
}

impl Outcome {
    /// All of them.
    pub fn kill_count(&self) -> u64 {
        self.kills.values().sum()
    }
}

/// Makes the rounds.
///
/// # Panics
/// If there is no server to be had, no folder, or no program.
pub fn run(run: &Run, has_strace: bool) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let shapes = shapes(run.seed, &folder.path().join("versions"));
    let next = AtomicU64::new(run.first);
    let outcome = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            let (shapes, next, outcome) = (&shapes, &next, &outcome);
            let folder = folder.path().join(worker.to_string());
            scope.spawn(move || {
                let site = folder.join("site");
                std::fs::create_dir_all(&site).expect("a folder");
                let server = Server::start(&site, Options { rate: RATE, ..Options::default() }).expect("a server");
                while lock(outcome).kill_count() < run.kills {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let mode = run.modes[(number % run.modes.len() as u64) as usize];
                    let shape = &shapes[(number / run.modes.len() as u64) as usize % shapes.len()];
                    let numbers = Numbers::new(run.seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
                    let mut round = Round::new(number, mode, shape, &server, &folder, numbers);
                    let result = round.run(has_strace);
                    round.note(&mut lock(outcome), result);
                }
            });
        }
    });
    outcome.into_inner().expect("no panic")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
