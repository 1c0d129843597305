//! What was asked from which mirror, for as long as it may be asked for again: whoever asks again for what was answered
//! has found it wrong. Knows nothing of how mirrors are chosen.

use std::collections::BTreeMap;
use std::sync::Weak;

use gosync_core::{Range, Sink};

use super::Set;

/// Runs that are remembered for one asker; beyond that the lowest are forgotten, which were asked for first.
const MOST_RUNS: usize = 4096;
/// Askers that are remembered at the same time.
const MOST_ASKERS: usize = 64;

/// The notes on everyone who asks.
pub(super) struct Notes {
    /// Bytes of what is verified as a whole.
    unit: u64,
    askers: Vec<Asker>,
}

struct Asker {
    /// Keeps the place in memory, so that nobody else is ever taken for this one.
    who: Weak<dyn Sink>,
    /// By first offset; disjoint.
    runs: BTreeMap<u64, Run>,
}

#[derive(Clone, Copy, PartialEq)]
struct Run {
    end: u64,
    mirror: usize,
    /// Whether it was answered; if not, it was given up.
    answered: bool,
}

/// What the notes say about ranges that are asked for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    /// Answered whole units that are asked for again: their bytes were wrong.
    pub(super) wrong: Set,
    /// Answered a part of such a unit; the rest, which may be what was wrong, came from elsewhere.
    pub(super) doubtful: Set,
    /// Were asked in vain.
    pub(super) silent: Set,
}

impl Notes {
    /// Nothing yet, for content that is verified in units of so many bytes.
    pub(super) fn new(unit: u64) -> Notes {
        Notes { unit: unit.max(1), askers: Vec::new() }
    }

    /// `mirror` has answered `range` to `who`, or was asked for it in vain.
    pub(super) fn set(&mut self, who: &Weak<dyn Sink>, range: Range, mirror: usize, answered: bool) {
        let asker = self.asker(who);
        asker.clear(range);
        let run = Run { end: range.end(), mirror, answered };
        let mut start = range.offset;
        if let Some((&before, &last)) = asker.runs.range(..start).next_back()
            && last == (Run { end: start, ..run })
        {
            start = before;
        }
        asker.runs.insert(start, run);
        while asker.runs.len() > MOST_RUNS {
            asker.runs.pop_first();
        }
    }

    /// `range` was not taken after all.
    pub(super) fn clear(&mut self, who: &Weak<dyn Sink>, range: Range) {
        self.asker(who).clear(range);
    }

    /// What is known of `ranges` that `who` asks for now. Whoever asks wants the first and the last byte of a range; what
    /// is between may be a gap that is fetched along. So bytes were wrong if they are asked for again at an end of a range,
    /// or with all of their unit, which is what bytes are verified by.
    pub(super) fn judge(&mut self, who: &Weak<dyn Sink>, ranges: &[Range]) -> Verdict {
        let size = self.unit;
        let asker = self.asker(who);
        let mut verdict = Verdict::default();
        for range in ranges {
            for (first, part, run) in asker.over(*range) {
                if !run.answered {
                    verdict.silent.add(run.mirror);
                    continue;
                }
                for unit in part.offset / size..part.end().div_ceil(size) {
                    let (start, end) = (unit * size, (unit + 1).saturating_mul(size));
                    let at_first = part.offset == range.offset && start <= range.offset;
                    let at_last = part.end() == range.end() && end >= range.end();
                    if at_first || at_last || (start >= range.offset && end <= range.end()) {
                        let whole = first <= start && run.end >= end.min(range.end());
                        if whole { &mut verdict.wrong } else { &mut verdict.doubtful }.add(run.mirror);
                    }
                }
            }
        }
        verdict
    }

    fn asker(&mut self, who: &Weak<dyn Sink>) -> &mut Asker {
        let same = |asker: &Asker| std::ptr::addr_eq(asker.who.as_ptr(), who.as_ptr());
        let at = match self.askers.iter().position(same) {
            Some(at) => at,
            None => {
                self.askers.retain(|asker| asker.who.strong_count() > 0);
                if self.askers.len() >= MOST_ASKERS {
                    self.askers.remove(0);
                }
                self.askers.push(Asker { who: Weak::clone(who), runs: BTreeMap::new() });
                self.askers.len() - 1
            }
        };
        &mut self.askers[at]
    }
}

impl Asker {
    /// The runs that overlap `range`: where they begin, and what they have of it.
    fn over(&self, range: Range) -> impl Iterator<Item = (u64, Range, Run)> {
        let start = self.runs.range(..=range.offset).next_back().map_or(range.offset, |(&start, _)| start);
        self.runs.range(start..range.end().max(start)).filter_map(move |(&start, &run)| {
            let (low, high) = (start.max(range.offset), run.end.min(range.end()));
            (low < high).then(|| (start, Range::new(low, high - low), run))
        })
    }

    fn clear(&mut self, range: Range) {
        let (start, end) = (range.offset, range.end());
        while let Some((&first, &run)) = self.runs.range(..end).next_back().filter(|(_, run)| run.end > start) {
            self.runs.remove(&first);
            if first < start {
                self.runs.insert(first, Run { end: start, ..run });
            }
            if end < run.end {
                self.runs.insert(end, run);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gosync_core::index::UNIT;
    use gosync_core::{Result, Supply};
    use std::sync::Arc;

    struct Nobody;

    impl Sink for Nobody {
        fn supply(&self, _: u64, _: u64, _: &[u8]) -> Supply {
            Supply::Closed
        }
        fn finish(&self, _: u64, _: u64, _: Result<()>) {}
    }

    fn who() -> (Arc<dyn Sink>, Weak<dyn Sink>) {
        let sink: Arc<dyn Sink> = Arc::new(Nobody);
        let weak = Arc::downgrade(&sink);
        (sink, weak)
    }

    fn set(mirrors: &[usize]) -> Set {
        let mut set = Set::default();
        mirrors.iter().for_each(|mirror| set.add(*mirror));
        set
    }

    #[test]
    fn a_unit_asked_for_again_blames_who_answered_it() {
        let (_alive, who) = who();
        let mut notes = Notes::new(UNIT);
        let unit = |number: u64| Range::new(number * UNIT, UNIT);
        notes.set(&who, Range::new(0, 3 * UNIT), 0, true);
        notes.set(&who, Range::new(3 * UNIT, 1000), 1, true);
        notes.set(&who, Range::new(4 * UNIT, UNIT), 1, false);
        let mut judge = |range: Range| notes.judge(&who, &[range]);
        assert_eq!(judge(unit(1)), Verdict { wrong: set(&[0]), ..Verdict::default() });
        assert_eq!(judge(unit(3)), Verdict { doubtful: set(&[1]), ..Verdict::default() });
        assert_eq!(judge(unit(4)), Verdict { silent: set(&[1]), ..Verdict::default() });
        assert_eq!(judge(unit(5)), Verdict::default());
        // A gap that is fetched along, a unit that is asked for in two requests, and the last one, which may be short.
        assert_eq!(judge(Range::new(3 * UNIT - 1000, 1000)), Verdict { wrong: set(&[0]), ..Verdict::default() });
        assert_eq!(judge(Range::new(UNIT, 1000)), Verdict { wrong: set(&[0]), ..Verdict::default() });
        assert_eq!(judge(Range::new(3 * UNIT, 1000)), Verdict { wrong: set(&[1]), ..Verdict::default() });
        let mut gap = Notes::new(UNIT);
        gap.set(&who, Range::new(1000, UNIT), 0, true);
        assert_eq!(gap.judge(&who, &[Range::new(0, UNIT - 1), Range::new(UNIT, 5000)]).wrong, Set::default());
        assert_eq!(gap.judge(&who, &[Range::new(0, UNIT - 1)]).doubtful, set(&[0]));
        assert_eq!(gap.judge(&who, &[Range::new(500, UNIT + 5000)]), Verdict::default());
        notes.set(&who, unit(1), 2, true);
        notes.clear(&who, unit(2));
        let verdict = notes.judge(&who, &[Range::new(0, 3 * UNIT)]);
        assert_eq!(verdict, Verdict { wrong: set(&[0, 2]), ..Verdict::default() });
    }

    #[test]
    fn units_of_any_size() {
        let (_alive, who) = who();
        let mut small = Notes::new(1000);
        small.set(&who, Range::new(1000, 1000), 0, true);
        assert_eq!(small.judge(&who, &[Range::new(1000, 1000)]), Verdict { wrong: set(&[0]), ..Verdict::default() });
        let mut large = Notes::new(1 << 20);
        large.set(&who, Range::new(0, 1 << 19), 0, true);
        large.set(&who, Range::new(1 << 19, 1 << 19), 1, true);
        let verdict = large.judge(&who, &[Range::new(0, 1 << 20)]);
        assert_eq!(verdict, Verdict { doubtful: set(&[0, 1]), ..Verdict::default() });
    }

    #[test]
    fn each_asker_is_judged_apart_and_forgotten() {
        let mut notes = Notes::new(UNIT);
        let (alive, first) = who();
        notes.set(&first, Range::new(0, UNIT), 0, true);
        let (_other, second) = who();
        assert_eq!(notes.judge(&second, &[Range::new(0, UNIT)]), Verdict::default());
        assert_eq!(notes.askers.len(), 2);
        drop(alive);
        let (_third, third) = who();
        assert_eq!(notes.judge(&third, &[Range::new(0, UNIT)]), Verdict::default());
        assert_eq!(notes.askers.len(), 2);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (_alive, who) = who();
        let mut notes = Notes::new(UNIT);
        (0..20_000).for_each(|at| notes.set(&who, Range::new(at * 10, 5), 0, true));
        assert_eq!(notes.askers[0].runs.len(), MOST_RUNS);
        let mut notes = Notes::new(UNIT);
        (0..20_000).for_each(|at| notes.set(&who, Range::new(at * 10, 10), 0, true));
        assert_eq!(notes.askers[0].runs.len(), 1);
    }
}
