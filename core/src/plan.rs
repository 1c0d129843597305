//! The plan: an exact cover of the target by seed ranges and missing ranges, and what that costs.

use std::time::Duration;

use crate::change::Change;
use crate::cost::Way;
use crate::index::Index;
use crate::source::Range;

/// Where the bytes of a piece come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From `offset` of the seed with this number: 0 is what is at the target now, added seeds follow from 1 on.
    Seed {
        /// Number of the seed.
        seed: u32,
        /// Offset in the seed.
        offset: u64,
    },
    /// Not here: to be fetched from the source.
    Missing,
}

/// A run of the target that comes from one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// The range of the target.
    pub target: Range,
    /// Where its bytes come from.
    pub origin: Origin,
}

/// How missing bytes are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Nothing is fetched.
    #[default]
    Local,
    /// The missing ranges.
    Ranges,
    /// Everything from the first missing byte on, in one go.
    Whole,
}

impl Strategy {
    /// The name that all faces share, for instance `ranges`.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Local => "local",
            Strategy::Ranges => "ranges",
            Strategy::Whole => "whole",
        }
    }
}

/// What an update would do: an exact cover of the target, ascending, and its cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Bytes of the target.
    pub total: u64,
    /// Bytes that the seeds have.
    pub from_seeds: u64,
    /// Bytes that are missing.
    pub missing: u64,
    /// Bytes that would be asked for: what is missing, and the gaps that are cheaper to fetch than to skip.
    pub to_fetch: u64,
    /// Ranges that would be asked for.
    pub ranges: u64,
    /// Bytes of the index that was read.
    pub index_size: u64,
    /// The target is the new version already.
    pub up_to_date: bool,
    /// An update, in place or of a directory, was not finished: the target is neither an old version nor a new one.
    pub unfinished: bool,
    /// How the missing bytes would be fetched.
    pub strategy: Strategy,
    /// The round trip that the plan reckons with, measured or assumed.
    pub round_trip: Option<Duration>,
    /// The bytes per second that the plan reckons with, measured or assumed.
    pub rate: Option<u64>,
    /// How long fetching the missing ranges would take, if round trip and rate are known.
    pub time: Option<Duration>,
    /// How long fetching everything in one go would take, if round trip and rate are known.
    pub time_whole: Option<Duration>,
    /// Why it would be done this way, one line.
    pub reason: String,
    /// The cover.
    pub pieces: Vec<Piece>,
    /// What would become of the entries of a directory, in the order of their paths.
    pub changes: Vec<Change>,
}

impl Plan {
    /// The plan that follows from a cover of the target of `index`, and from what is known of the way to the source.
    /// Gaps of up to `max_gap` bytes are fetched along where that is cheaper.
    pub fn new(index: &Index, pieces: Vec<Piece>, way: &Way, max_gap: u64) -> Plan {
        let missing_ranges = || pieces.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target);
        let missing = missing_ranges().map(|range| range.length).sum();
        let total = index.length();
        let ranges = way.ranges(missing_ranges(), way.gap(max_gap));
        let whole = way.whole(total - missing_ranges().next().map_or(total, |first| first.offset));
        // Where nothing is known of the way, nothing speaks for one answer, which cannot be told from a slow one.
        let strategy = match missing {
            0 => Strategy::Local,
            _ if missing == total && way.parallel > 0 || way.prefers_whole(&ranges, whole.bytes) => Strategy::Whole,
            _ => Strategy::Ranges,
        };
        let cost = if strategy == Strategy::Whole { whole } else { ranges };
        let mut plan = Plan {
            total,
            from_seeds: total - missing,
            missing,
            to_fetch: cost.bytes,
            ranges: cost.ranges.min(missing),
            index_size: index.read_size(),
            up_to_date: false,
            unfinished: false,
            strategy,
            round_trip: way.round_trip,
            rate: way.rate,
            time: if missing > 0 { ranges.time } else { None },
            time_whole: if missing > 0 { whole.time } else { None },
            reason: String::new(),
            pieces,
            changes: Vec::new(),
        };
        plan.reason = plan.say(ranges.ranges);
        plan
    }

    /// The plan for a target that is the new version already.
    pub fn up_to_date(index: &Index, pieces: Vec<Piece>) -> Plan {
        let total = index.length();
        Plan {
            total,
            from_seeds: total,
            index_size: index.read_size(),
            up_to_date: true,
            reason: String::from(UP_TO_DATE),
            pieces,
            ..Plan::default()
        }
    }

    fn say(&self, ranges: u64) -> String {
        let share = self.from_seeds as f64 * 100.0 / self.total.max(1) as f64;
        let plural = if ranges == 1 { "range" } else { "ranges" };
        let times = match (self.time, self.time_whole) {
            (Some(time), Some(whole)) => {
                format!(" ({:.2} s, everything in one go {:.2} s)", time.as_secs_f64(), whole.as_secs_f64())
            }
            _ => String::new(),
        };
        match self.strategy {
            Strategy::Local => String::from("local: the seeds have everything"),
            _ if self.missing == self.total => {
                String::from("full download: the seeds share nothing with the new version")
            }
            Strategy::Ranges => format!("ranges: the seeds have {share:.1} %, the rest is {ranges} {plural}{times}"),
            Strategy::Whole => {
                format!("full download: the seeds have {share:.1} %, but {ranges} {plural} would take longer{times}")
            }
        }
    }
}

/// The reason of a plan that has nothing to do.
pub const UP_TO_DATE: &str = "up to date: the target is the new version already";
