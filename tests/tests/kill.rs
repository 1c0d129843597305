//! Updates whose processes are killed at any point.
//!
//! `GOSYNC_KILL_COUNT` (100 otherwise), `GOSYNC_KILL_SEED` and `GOSYNC_KILL_FIRST` (the first round) choose others than usual;
//! `GOSYNC_KILL_MODE`, `beside` or `in-place`, one of the two ways to update a file.
#![cfg(target_os = "linux")]

use std::time::Instant;

use gosync_tests::has;
use gosync_tests::kill::{Mode, Run, run, run_trees};

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}: {error}")),
        Err(_) => otherwise,
    }
}

#[test]
fn a_killed_update_leaves_old_or_new_and_the_next_one_fetches_only_what_is_missing_still() {
    let modes = match std::env::var("GOSYNC_KILL_MODE").as_deref() {
        Ok("beside") => vec![Mode::Beside],
        Ok("in-place") => vec![Mode::InPlace],
        _ => vec![Mode::Beside, Mode::InPlace],
    };
    let (seed, first) = (number("GOSYNC_KILL_SEED", 1), number("GOSYNC_KILL_FIRST", 0));
    let kills = number("GOSYNC_KILL_COUNT", 100);
    let start = Instant::now();
    let outcome = run(&Run { seed, first, kills, modes }, has("strace"));
    println!(
        "{} kills in {} rounds, seed {seed}: {:?}, {} targets unfinished, {} bytes sent for {} that were missing, {:.1} s",
        outcome.kill_count(),
        outcome.rounds,
        outcome.kills,
        outcome.unfinished,
        outcome.sent,
        outcome.missing,
        start.elapsed().as_secs_f64()
    );
    assert!(
        outcome.faults.is_empty(),
        "{} faults; GOSYNC_KILL_SEED={seed} GOSYNC_KILL_FIRST=(its round) GOSYNC_KILL_COUNT=1 for one again:\n{}",
        outcome.faults.len(),
        outcome.faults.join("\n")
    );
}

#[test]
fn a_killed_update_of_a_directory_leaves_it_as_it_was_or_unfinished_and_the_next_one_finishes_it() {
    let (seed, first) = (number("GOSYNC_KILL_SEED", 1), number("GOSYNC_KILL_FIRST", 0));
    let kills = number("GOSYNC_KILL_COUNT", 100);
    let start = Instant::now();
    let outcome = run_trees(&Run { seed, first, kills, modes: Vec::new() }, has("strace"));
    println!(
        "{} kills of updates of directories in {} rounds, seed {seed}: {:?}, {} unfinished, {} bytes sent for {} that were \
         missing, {:.1} s",
        outcome.kill_count(),
        outcome.rounds,
        outcome.kills,
        outcome.unfinished,
        outcome.sent,
        outcome.missing,
        start.elapsed().as_secs_f64()
    );
    assert!(
        outcome.faults.is_empty(),
        "{} faults; GOSYNC_KILL_SEED={seed} GOSYNC_KILL_FIRST=(its round) GOSYNC_KILL_COUNT=1 for one again:\n{}",
        outcome.faults.len(),
        outcome.faults.join("\n")
    );
}
