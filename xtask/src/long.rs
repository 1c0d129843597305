//! What takes longer than a submission waits for: many random cases, servers that fail at random, kills and power cuts,
//! fuzzing, huge files, the quick benchmark.
//! Prints the seed that the random cases started from, so that a failure can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sh::{Result, cargo};
use crate::steps::Steps;

/// Random cases for each property, where a plain run takes a few hundred at the most.
const CASES: &str = "20000";

/// Updates over servers that fail at random, where a plain run makes 1,000.
const UPDATES: &str = "10000";

/// Processes that are killed, where a plain run kills 100.
const KILLS: &str = "1000";

/// Power cuts that are simulated, each way of updating, where a plain run has 400.
const POWER_CUTS: &str = "10000";

/// Seconds for each fuzz target.
const FUZZING: &str = "180";

pub(crate) fn run() -> Result<bool> {
    let given = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seed = given.unwrap_or(now).to_string();
    println!("seed: {seed} (again with PROPTEST_RNG_SEED={seed} cargo xtask long)");
    let mut steps = Steps::new();
    steps.step("properties, many cases", || {
        let test = cargo().args("test --quiet --no-fail-fast -p gosync-core -p gosync-io -p gosync-tests");
        test.env("PROPTEST_CASES", CASES).env("PROPTEST_RNG_SEED", &seed).run()
    });
    steps.step("huge files and other slow tests", || {
        let test =
            cargo().args("test --quiet --no-fail-fast --workspace --exclude gosync-python --exclude gosync-node");
        test.args("-- --ignored").run()
    });
    steps.step("updates over servers that fail at random", || {
        let test = cargo().args("test --quiet -p gosync-tests --test random -- --nocapture");
        test.env("GOSYNC_RANDOM_COUNT", UPDATES).env("GOSYNC_RANDOM_SEED", &seed).run()
    });
    steps.step("updates whose process is killed", || {
        let test = cargo().args("test --quiet -p gosync-tests --test kill -- --nocapture");
        test.env("GOSYNC_KILL_COUNT", KILLS).env("GOSYNC_KILL_SEED", &seed).run()
    });
    steps.step("updates whose machine loses its power", || {
        let test = cargo().args("test --quiet -p gosync-io --lib power -- --nocapture");
        test.env("GOSYNC_POWER_COUNT", POWER_CUTS).env("GOSYNC_POWER_SEED", &seed).run()
    });
    steps.step("fuzz", || crate::fuzz::all(FUZZING));
    steps.step("benchmark, quick", crate::bench::quick_step);
    println!("\nseed: {seed}");
    steps.finish()
}
