//! Many small updates over servers that fail at random.
//!
//! `GOSYNC_RANDOM_COUNT` (1,000 otherwise), `GOSYNC_RANDOM_SEED` and `GOSYNC_RANDOM_FIRST` choose others than usual.

use std::time::Instant;

use gosync_tests::conformance::random::run;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}: {error}")),
        Err(_) => otherwise,
    }
}

#[test]
fn updates_over_failing_servers_end_in_the_content_or_in_a_clear_error() {
    let (seed, first) = (number("GOSYNC_RANDOM_SEED", 1), number("GOSYNC_RANDOM_FIRST", 0));
    let count = number("GOSYNC_RANDOM_COUNT", 1_000);
    let start = Instant::now();
    let outcome = run(seed, first, count);
    println!(
        "{count} updates, seed {seed}: {:?}, {:.1} s in all, the longest {:.1} s ({})",
        outcome.ends,
        start.elapsed().as_secs_f64(),
        outcome.longest.0,
        outcome.longest.1
    );
    assert!(
        outcome.faults.is_empty(),
        "seed {seed}: {} faults, the first:\n{}",
        outcome.faults.len(),
        outcome.faults[0]
    );
    assert_eq!(outcome.ends.values().sum::<u64>(), count);
    // A run in which hardly anything goes well (or wrong) tests little.
    let exact = outcome.ends.get("exact").copied().unwrap_or(0);
    assert!(count < 100 || (count / 3..count).contains(&exact), "{exact} of {count} went well");
}
