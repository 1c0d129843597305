//! Fetching while the search goes on: units that it has passed and not found, where all goes to show that they will not be
//! found later either. When looking through the seeds to the end first, and fetching only then, would take longer than to
//! fetch everything at once, these are fetched in any case, and what comes next if nothing else is to do. And when the
//! search costs more time than what it finds saves, it ends. Bytes are saved wherever that costs no time.
//!
//! Here is the decision, from figures alone; `placing` acts on it.

use std::time::Duration;

/// Before so much of the seeds has been seen, nothing is said about the rest of them.
pub(super) const SAMPLE: u64 = 16 << 20;

/// One in so many is nothing to speak of.
const FEW: u64 = 16;

/// A search under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Since it began.
    pub(super) elapsed: Duration,
    /// Bytes of seeds that have been looked through.
    pub(super) scanned: u64,
    /// Bytes of all seeds.
    pub(super) to_scan: u64,
    /// Bytes of the target up to where the search has come, which would lie there if the seed were the target itself.
    pub(super) passed: u64,
    /// How many of them are still missing.
    pub(super) missing: u64,
    /// How many were missing when this was asked last, and how many of these have been found since.
    pub(super) missed: u64,
    pub(super) late: u64,
    /// Bytes of the target that have been found, wherever in it.
    pub(super) found: u64,
    /// Bytes of the target.
    pub(super) total: u64,
    /// Bytes per second that the source gives.
    pub(super) rate: u64,
    /// Whether the caller wants everything looked through.
    pub(super) thorough: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Look first, fetch then.
    Wait,
    /// Fetch what had been passed when this was asked last: it will not be found.
    Behind,
    /// Fetch what has been passed, and what comes next.
    Ahead,
    /// The search is not worth its time.
    Enough,
}

impl Search {
    /// What is best, going by what has been seen so far.
    pub(super) fn advice(&self) -> Advice {
        if self.scanned == 0 || self.passed == 0 || self.rate == 0 {
            return Advice::Wait;
        }
        let elapsed = self.elapsed.as_secs_f64();
        let rest = elapsed * (self.to_scan.saturating_sub(self.scanned) as f64 / self.scanned as f64);
        let everything = self.total as f64 / self.rate as f64;
        let missing = 1.0 - self.found.min(self.passed) as f64 / self.passed as f64;
        if elapsed + rest + missing * everything <= everything {
            return if self.is_in_order() { Advice::Behind } else { Advice::Wait };
        }
        // What the search saves in a second, against what arrives in one.
        let found = self.found as f64 / elapsed.max(1e-6);
        let seen = self.scanned >= SAMPLE.max(self.to_scan / 16);
        let slow = rest > everything / 8.0;
        if !self.thorough && seen && slow && found < self.rate as f64 / 8.0 { Advice::Enough } else { Advice::Ahead }
    }

    /// Whether what is in the seed comes in the order that it has in the target: nothing to speak of is found later than
    /// it should be, or ahead of what has been passed, where something else must have been before.
    fn is_in_order(&self) -> bool {
        let here = self.passed - self.missing.min(self.passed);
        let elsewhere = self.found.saturating_sub(here);
        self.missed > 0 && self.late <= self.missed / FEW && here > 0 && elsewhere <= self.found / FEW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// A gigabyte, of which 150 MB a second are looked through and `missing` of 100 parts are not found.
    fn search(scanned: u64, missing: u64, rate: u64) -> Advice {
        with(scanned, missing, rate, false)
    }

    fn with(scanned: u64, missing: u64, rate: u64, thorough: bool) -> Advice {
        let elapsed = Duration::from_secs_f64(scanned as f64 / 150e6);
        let missing = scanned / 100 * missing;
        let (passed, found) = (scanned, scanned - missing);
        let all = (GIB, GIB);
        Search {
            elapsed,
            scanned,
            to_scan: all.0,
            passed,
            missing,
            missed: 0,
            late: 0,
            found,
            total: all.1,
            rate,
            thorough,
        }
        .advice()
    }

    #[test]
    fn a_slow_link_waits_for_the_search() {
        assert_eq!(search(64 * MIB, 90, 1_250_000), Advice::Wait);
        assert_eq!(search(64 * MIB, 50, 12_500_000), Advice::Wait);
        // Nothing was found: to fetch it now costs nothing, and the search goes on for what is left.
        assert_eq!(search(64 * MIB, 100, 1_250_000), Advice::Ahead);
    }

    #[test]
    fn a_fast_link_does_not_wait_for_a_search_that_finds_little() {
        assert_eq!(search(40 * MIB, 95, 125_000_000), Advice::Ahead);
        assert_eq!(search(128 * MIB, 95, 125_000_000), Advice::Enough);
        assert_eq!(search(128 * MIB, 80, 125_000_000), Advice::Ahead);
        assert_eq!(search(128 * MIB, 5, 125_000_000), Advice::Wait);
    }

    #[test]
    fn a_search_that_is_to_be_thorough_goes_on() {
        assert_eq!(with(128 * MIB, 95, 125_000_000, true), Advice::Ahead);
        assert_eq!(with(128 * MIB, 5, 125_000_000, true), Advice::Wait);
    }

    #[test]
    fn what_is_not_found_in_its_place_is_fetched_unless_things_were_moved() {
        let half = |missed, late, found| {
            let elapsed = Duration::from_millis(500);
            let (scanned, passed, missing) = (64 * MIB, 64 * MIB, 32 * MIB);
            let (to_scan, total, rate, thorough) = (GIB, GIB, 12_500_000, false);
            Search { elapsed, scanned, to_scan, passed, missing, missed, late, found, total, rate, thorough }.advice()
        };
        assert_eq!(half(16 * MIB, 0, 32 * MIB), Advice::Behind);
        assert_eq!(half(16 * MIB, MIB, 33 * MIB), Advice::Behind);
        // Nothing is known yet; a lot came later; a lot is further on.
        assert_eq!(half(0, 0, 32 * MIB), Advice::Wait);
        assert_eq!(half(16 * MIB, 4 * MIB, 32 * MIB), Advice::Wait);
        assert_eq!(half(16 * MIB, 0, 64 * MIB), Advice::Wait);
    }

    #[test]
    fn without_figures_nothing_is_decided() {
        assert_eq!(search(0, 0, 125_000_000), Advice::Wait);
        assert_eq!(search(64 * MIB, 100, 0), Advice::Wait);
    }
}
