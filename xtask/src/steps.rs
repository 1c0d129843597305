//! A task of several steps: each is timed, a failed one does not hide the next, and the last line counts them.

use std::time::Instant;

use crate::sh::{Result, Stop};

/// How a step ended.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The steps done so far.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, f64, Outcome)>,
    strict: bool,
}

impl Steps {
    /// No step yet. Where `CI` is `true`, a missing tool is a failure.
    pub(crate) fn new() -> Self {
        let strict = std::env::var("CI").is_ok_and(|value| value == "true");
        Steps { started: Instant::now(), done: Vec::new(), strict }
    }

    /// Runs one step and remembers how it ended.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        println!("\n=== {name}");
        let started = Instant::now();
        let outcome = match work() {
            Ok(()) => Outcome::Passed,
            Err(stop @ Stop::Missing(_)) if !self.strict => Outcome::Skipped(stop.to_string()),
            Err(stop) => Outcome::Failed(stop.to_string()),
        };
        let seconds = started.elapsed().as_secs_f64();
        match &outcome {
            Outcome::Passed => println!("--- ok: {name} ({seconds:.1} s)"),
            Outcome::Failed(why) => println!("--- FAILED: {name} ({seconds:.1} s)\n{why}"),
            Outcome::Skipped(why) => println!("--- skipped: {name}: {why}"),
        }
        self.done.push((name.to_owned(), seconds, outcome));
    }

    /// Prints the summary; true if nothing failed.
    pub(crate) fn finish(self) -> Result<bool> {
        println!("\n=== summary, {:.0} s in all", self.started.elapsed().as_secs_f64());
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for (name, seconds, outcome) in &self.done {
            let word = match outcome {
                Outcome::Passed => {
                    passed += 1;
                    "ok".to_owned()
                }
                Outcome::Failed(why) => {
                    failed += 1;
                    format!("FAILED: {}", why.lines().next().unwrap_or_default())
                }
                Outcome::Skipped(why) => {
                    skipped += 1;
                    format!("skipped: {why}")
                }
            };
            println!("{seconds:8.1} s  {name}: {word}");
        }
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        Ok(failed == 0)
    }
}
