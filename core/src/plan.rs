//! The plan: an exact cover of the target by seed ranges and missing ranges, and what that costs.

use std::time::Duration;

use crate::index::Index;
use crate::schedule;
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
}

impl Plan {
    /// The plan that follows from a cover of the target of `index`.
    pub fn new(index: &Index, pieces: Vec<Piece>, merge_gap: u64, up_to_date: bool) -> Plan {
        let missing_ranges = || pieces.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| piece.target);
        let missing = missing_ranges().map(|range| range.length).sum();
        let (ranges, to_fetch) = schedule::cost(missing_ranges(), merge_gap);
        let total = index.length();
        Plan {
            total,
            from_seeds: total - missing,
            missing,
            to_fetch,
            ranges,
            index_size: index.encoded_size(),
            up_to_date,
            reason: reason(total, missing, ranges, up_to_date),
            pieces,
            ..Plan::default()
        }
    }
}

fn reason(total: u64, missing: u64, ranges: u64, up_to_date: bool) -> String {
    if up_to_date {
        return String::from("up to date: the target is the new version already");
    }
    if missing == 0 {
        return String::from("local: the seeds have everything");
    }
    if missing == total {
        return String::from("full download: the seeds share nothing with the new version");
    }
    let share = (total - missing) as f64 * 100.0 / total as f64;
    format!(
        "ranges: the seeds have {share:.1} %, the rest is {ranges} {}",
        if ranges == 1 { "range" } else { "ranges" }
    )
}
