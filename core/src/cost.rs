//! What fetching costs in time: when a gap is cheaper than another range, and when everything in one go is cheaper
//! than the missing ranges. Estimates only: nothing that is right or wrong about the result depends on them.

use std::time::Duration;

use crate::source::{Link, Range};

/// The gap that is fetched along while round trip or rate are not known.
const GAP: u64 = 1024;
/// A range costs its own header lines, however short the way is.
const LEAST_GAP: u64 = 256;
/// Ranges that are supposed to be answered in one round trip as long as nothing is known.
const PARALLEL: u32 = 256;

/// The way to the content, as far as a decision needs it: measured, or assumed by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// From a request to the first byte of its answer.
    pub round_trip: Option<Duration>,
    /// Bytes per second.
    pub rate: Option<u64>,
    /// Ranges that are answered within one round trip, as far as can be expected. 0: not known.
    pub parallel: u32,
    /// Ranges that have been seen to be. 0: not known.
    pub proven: u32,
    /// Every answer is everything, whatever is asked for.
    pub is_whole: bool,
    /// Files that the content lies in, each of which takes a request of its own. 0 means 1.
    pub files: u64,
}

/// What fetching some ranges costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Ranges, after gaps were merged.
    pub ranges: u64,
    /// Bytes, merged gaps included.
    pub bytes: u64,
    /// How long it takes, if round trip and rate are known.
    pub time: Option<Duration>,
}

impl From<&Link> for Way {
    fn from(link: &Link) -> Self {
        Way {
            round_trip: link.round_trip,
            rate: link.rate.filter(|rate| *rate > 0),
            parallel: link.parallel,
            proven: link.proven,
            is_whole: link.ranges == Some(false),
            files: link.files,
        }
    }
}

impl Way {
    /// The largest gap between two ranges that is cheaper than a range of its own: what arrives in a round trip,
    /// divided by the ranges that share it. Not more than `most`. Between files there is nothing to be saved.
    pub fn gap(&self, most: u64) -> u64 {
        let most = if self.files > 1 { most.min(GAP) } else { most };
        let gap = match (self.round_trip, self.rate) {
            (Some(round_trip), Some(rate)) => {
                (rate as f64 * round_trip.as_secs_f64() / f64::from(self.parallel())) as u64
            }
            _ => GAP,
        };
        gap.max(LEAST_GAP).min(most)
    }

    /// What may be asked for ahead so that the way is never idle: a few times what is under way on it, and what comes in
    /// a second, since a rate that was measured while the machine was busy is too low.
    pub fn window(&self) -> Option<u64> {
        let time = (4.0 * self.round_trip?.as_secs_f64()).max(1.0);
        Some((self.rate? as f64 * time) as u64)
    }

    /// What fetching `missing` (ascending, disjoint) costs, gaps of up to `gap` bytes fetched along.
    pub fn ranges(&self, missing: impl Iterator<Item = Range>, gap: u64) -> Cost {
        let (mut ranges, mut bytes, mut end) = (0u64, 0, None);
        for range in missing {
            match end {
                Some(end) if range.offset - end <= gap => bytes += range.end() - end,
                _ => {
                    ranges += 1;
                    bytes += range.length;
                }
            }
            end = Some(range.end());
        }
        let rounds = ranges.div_ceil(u64::from(self.parallel()));
        Cost { ranges, bytes, time: self.time(rounds, bytes) }
    }

    /// What fetching `bytes` in one go costs, where one go is a request for each file.
    pub fn whole(&self, bytes: u64) -> Cost {
        let files = self.files.max(1);
        Cost { ranges: files, bytes, time: self.time(files.div_ceil(u64::from(self.parallel())), bytes) }
    }

    /// Whether one answer of `whole` bytes is to be preferred to `ranges`. Ranges may take two round trips longer,
    /// which is what they are likely to be misjudged by, because bytes are dearer than that.
    pub fn prefers_whole(&self, ranges: &Cost, whole: u64) -> bool {
        match (ranges.time, self.whole(whole).time, self.round_trip) {
            (Some(ranges), Some(whole), Some(round_trip)) => ranges > whole + 2 * round_trip,
            _ => false,
        }
    }

    fn parallel(&self) -> u32 {
        if self.parallel == 0 { PARALLEL } else { self.parallel }
    }

    fn time(&self, rounds: u64, bytes: u64) -> Option<Duration> {
        let seconds = rounds as f64 * self.round_trip?.as_secs_f64() + bytes as f64 / self.rate? as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way = Way {
        round_trip: Some(Duration::from_millis(100)),
        rate: Some(12_500_000),
        parallel: 4,
        proven: 4,
        is_whole: false,
        files: 0,
    };

    #[test]
    fn a_gap_is_worth_a_share_of_a_round_trip() {
        assert_eq!(WAY.gap(u64::MAX), 312_500);
        assert_eq!(WAY.gap(1000), 1000);
        assert_eq!(Way { parallel: 400, ..WAY }.gap(u64::MAX), 3125);
        assert_eq!(Way { rate: Some(1000), ..WAY }.gap(u64::MAX), LEAST_GAP);
        assert_eq!(Way::default().gap(u64::MAX), GAP);
    }

    #[test]
    fn many_ranges_one_by_one_are_dearer_than_everything() {
        let missing = |count: u64| (0..count).map(|i| Range::new(i * 1_000_000, 1000));
        let few = WAY.ranges(missing(8), WAY.gap(1 << 20));
        assert_eq!((few.ranges, few.bytes), (8, 8000));
        assert!(!WAY.prefers_whole(&few, 100_000_000));
        let many = WAY.ranges(missing(1000), WAY.gap(1 << 20));
        // 250 round trips of 100 ms, or 80 seconds of transfer: ranges; over half the bytes it would turn round.
        assert!(!WAY.prefers_whole(&many, 1_000_000_000));
        assert!(WAY.prefers_whole(&many, 100_000_000));
        let together = Way { parallel: 400, ..WAY };
        assert!(!together.prefers_whole(&together.ranges(missing(1000), 3125), 100_000_000));
    }

    #[test]
    fn many_files_are_not_one_go() {
        let missing = |count: u64| (0..count).map(|i| Range::new(i * 10_000, 5000));
        let files = Way { files: 10_000, ..WAY };
        assert_eq!(files.gap(u64::MAX), GAP);
        // 250 round trips for a thousand of ten thousand files, 2,500 for all of them.
        let few = files.ranges(missing(1000), files.gap(u64::MAX));
        assert!(!files.prefers_whole(&few, 100_000_000) && WAY.prefers_whole(&few, 100_000_000));
    }

    #[test]
    fn without_a_measure_ranges_are_preferred() {
        let way = Way::default();
        let cost =
            way.ranges([Range::new(0, 10), Range::new(20, 10), Range::new(10_000, 5)].into_iter(), way.gap(1 << 20));
        assert_eq!(cost, Cost { ranges: 2, bytes: 35, time: None });
        assert!(!way.prefers_whole(&cost, 1));
    }
}
