//! The ladder: single ranges → several ranges in one request → one stream of everything. Decides what the next exchange
//! asks for, and learns from its answer. Pure: no sockets, no clock, no content; `queue` feeds it, and so can a simulation.

/// Ranges in one exchange, at most: what Apache answers unless it is told otherwise.
pub(super) const MOST_RANGES: usize = 200;
/// Trials of several ranges that may end without an answer before no more are made.
const TRIALS: u8 = 2;

/// What is known about several ranges in one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Several {
    /// Nothing; so many trials have ended without an answer.
    #[default]
    Unknown,
    /// The first pair is on its way.
    Trying,
    /// They are answered, and right.
    Proven,
    /// They are not.
    Refused,
}

/// What is known about ranges at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ranges {
    /// Nothing: the first goes alone.
    #[default]
    Unknown,
    /// The first is on its way.
    Probing,
    /// Others got ranges from this origin.
    Likely,
    /// They are answered.
    Proven,
    /// Every answer is everything.
    Refused,
}

/// What waits, and how many exchanges may run at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Ranges that wait.
    pub(super) waiting: usize,
    /// Of these, so short that the way costs more than the bytes.
    pub(super) short: usize,
    /// Whether the first is one of them.
    pub(super) first_is_short: bool,
    /// Exchanges that may begin now.
    pub(super) free: usize,
    /// Ranges that have to wait before several in one exchange are tried.
    pub(super) many: usize,
}

/// What the next exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// None yet.
    Wait,
    /// The first range that waits.
    Single,
    /// Up to so many short ranges.
    Several(usize),
    /// Everything, for all that waits.
    Stream,
}

/// How an exchange was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With what was asked for.
    Right,
    /// With everything.
    Whole,
    /// With a refusal of ranges, or with something else than them, and not for the first time if it was one: what, in words.
    Wrong(String),
    /// Not at all, or with an error that has nothing to do with ranges.
    Nothing,
}

/// One rung down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StepDown {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) reason: String,
}

/// What one source knows about how it may ask.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    ranges: Ranges,
    several: Several,
    trials: u8,
}

impl Ladder {
    /// Takes over what others learned about the origin meanwhile.
    pub(super) fn learn(&mut self, ranges: bool, several: Several) {
        if ranges && self.ranges == Ranges::Unknown {
            self.ranges = Ranges::Likely;
        }
        let is_news = matches!(several, Several::Proven | Several::Refused);
        if is_news && matches!(self.several, Several::Unknown) {
            self.several = several;
        }
    }

    /// Whether ranges are answered, if that is known.
    pub(super) fn ranges(&self) -> Option<bool> {
        match self.ranges {
            Ranges::Unknown | Ranges::Probing => None,
            Ranges::Likely | Ranges::Proven => Some(true),
            Ranges::Refused => Some(false),
        }
    }

    /// What is known about several ranges in one exchange.
    pub(super) fn several(&self) -> Several {
        self.several
    }

    /// What a free slot should send. What it says is taken as done, up to `answered`.
    pub(super) fn next(&mut self, view: &View) -> Step {
        if view.waiting == 0 || self.ranges == Ranges::Probing {
            return Step::Wait;
        }
        match self.ranges {
            Ranges::Refused => return Step::Stream,
            Ranges::Unknown => {
                self.ranges = Ranges::Probing;
                return Step::Single;
            }
            _ => {}
        }
        if !view.first_is_short || view.short < 2 {
            return Step::Single;
        }
        match self.several {
            Several::Unknown if view.waiting > view.many => {
                self.several = Several::Trying;
                Step::Several(2)
            }
            Several::Proven => match view.short.div_ceil(view.free.max(1)).min(MOST_RANGES) {
                0 | 1 => Step::Single,
                count => Step::Several(count),
            },
            _ => Step::Single,
        }
    }

    /// Whether a pair is to be sent now, because it is not known how one is answered, though ranges are. If so, it is taken
    /// as sent.
    pub(super) fn try_pair(&mut self) -> bool {
        let is_open = matches!(self.ranges, Ranges::Likely | Ranges::Proven) && self.several == Several::Unknown;
        if is_open {
            self.several = Several::Trying;
        }
        is_open
    }

    /// What `next` took for several ranges was one.
    pub(super) fn withdrawn(&mut self) {
        if self.several == Several::Trying {
            self.several = Several::Unknown;
        }
    }

    /// An exchange that asked for `count` ranges was answered. What that makes worse.
    pub(super) fn answered(&mut self, count: usize, answer: Answer) -> Option<StepDown> {
        if count > 1 { self.answered_several(answer) } else { self.answered_one(answer) }
    }

    fn answered_one(&mut self, answer: Answer) -> Option<StepDown> {
        match answer {
            Answer::Right => {
                self.ranges = Ranges::Proven;
                None
            }
            Answer::Whole if self.ranges != Ranges::Refused => {
                self.ranges = Ranges::Refused;
                Some(StepDown {
                    from: "single_ranges",
                    to: "one_stream",
                    reason: "the server answers a range with everything".into(),
                })
            }
            Answer::Wrong(reason) if self.ranges != Ranges::Refused => {
                self.ranges = Ranges::Refused;
                Some(StepDown { from: "single_ranges", to: "one_stream", reason: format!("everything: {reason}") })
            }
            _ => {
                if self.ranges == Ranges::Probing {
                    self.ranges = Ranges::Unknown;
                }
                None
            }
        }
    }

    fn answered_several(&mut self, answer: Answer) -> Option<StepDown> {
        let reason = match answer {
            Answer::Right => {
                self.ranges = Ranges::Proven;
                if self.several != Several::Refused {
                    self.several = Several::Proven;
                }
                return None;
            }
            Answer::Nothing if self.several != Several::Trying => return None,
            Answer::Nothing => {
                self.trials += 1;
                if self.trials < TRIALS {
                    self.several = Several::Unknown;
                    return None;
                }
                String::from("the server fails when it is asked for several ranges at once")
            }
            Answer::Whole => String::from("the server answers several ranges with everything"),
            Answer::Wrong(reason) => reason,
        };
        let is_news = self.several != Several::Refused;
        self.several = Several::Refused;
        is_news.then_some(StepDown { from: "several_ranges", to: "single_ranges", reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server in virtual time: every exchange takes one round trip.
    struct Simulation {
        ladder: Ladder,
        slots: usize,
        many: usize,
        /// Whether it answers several ranges right.
        several: bool,
        /// Whether it answers ranges.
        ranges: bool,
    }

    impl Simulation {
        fn new(slots: usize, many: usize, several: bool) -> Self {
            Simulation { ladder: Ladder::default(), slots, many, several, ranges: true }
        }

        /// Round trips and exchanges until `waiting` short ranges are answered, and the steps down.
        fn run(&mut self, mut waiting: usize) -> (usize, usize, Vec<StepDown>) {
            let (mut round_trips, mut exchanges, mut downs) = (0, 0, Vec::new());
            while waiting > 0 {
                let mut sent = Vec::new();
                while sent.len() < self.slots {
                    let view = View {
                        waiting,
                        short: waiting,
                        first_is_short: true,
                        free: self.slots - sent.len(),
                        many: self.many,
                    };
                    let count = match self.ladder.next(&view) {
                        Step::Wait => break,
                        Step::Single => 1,
                        Step::Several(count) => count.min(waiting),
                        Step::Stream => return (round_trips, exchanges + 1, downs),
                    };
                    assert!(count <= MOST_RANGES);
                    waiting -= count;
                    sent.push(count);
                }
                assert!(!sent.is_empty(), "it does not go on");
                round_trips += 1;
                exchanges += sent.len();
                for count in sent {
                    let answer = match count {
                        _ if !self.ranges => Answer::Whole,
                        1 => Answer::Right,
                        _ if self.several => Answer::Right,
                        _ => Answer::Wrong("501".into()),
                    };
                    if answer != Answer::Right {
                        waiting += count;
                    }
                    downs.extend(self.ladder.answered(count, answer));
                }
            }
            (round_trips, exchanges, downs)
        }
    }

    #[test]
    fn several_ranges_take_few_round_trips() {
        // The probe, the pair, and two rounds of up to 200 ranges on each of four connections.
        let (round_trips, exchanges, downs) = Simulation::new(4, 8, true).run(1000);
        assert!(round_trips <= 6 && exchanges <= 18, "{round_trips} round trips, {exchanges} exchanges");
        assert!(downs.is_empty());
        let (round_trips, _, _) = Simulation::new(100, 100, true).run(1000);
        assert!(round_trips <= 4, "{round_trips}");
    }

    #[test]
    fn single_ranges_fill_every_slot() {
        for slots in [1, 4, 100] {
            let mut simulation = Simulation::new(slots, 2 * slots, false);
            let (round_trips, _, downs) = simulation.run(1000);
            assert!(round_trips <= 1000_usize.div_ceil(slots) + 3, "{slots}: {round_trips}");
            assert_eq!(downs.len(), 1, "it steps down once");
            assert_eq!((downs[0].from, downs[0].to, &downs[0].reason[..]), ("several_ranges", "single_ranges", "501"));
            assert_eq!(simulation.ladder.several(), Several::Refused);
        }
    }

    #[test]
    fn what_others_learned_saves_the_probe() {
        let mut simulation = Simulation::new(4, 8, true);
        simulation.ladder.learn(true, Several::Proven);
        assert_eq!(simulation.run(400).0, 1);
        let mut simulation = Simulation::new(4, 8, true);
        simulation.ladder.learn(true, Several::Refused);
        assert_eq!(simulation.run(400).0, 100);
        // What is known here is not forgotten.
        simulation.ladder.learn(true, Several::Proven);
        assert_eq!(simulation.ladder.several(), Several::Refused);
    }

    #[test]
    fn a_server_without_ranges_is_asked_once_more_at_most() {
        let mut simulation = Simulation::new(4, 8, true);
        simulation.ranges = false;
        let (round_trips, exchanges, downs) = simulation.run(1000);
        assert_eq!((round_trips, exchanges, downs.len()), (1, 2, 1));
        assert_eq!(simulation.ladder.ranges(), Some(false));
    }

    #[test]
    fn single_ranges_that_go_wrong_end_in_one_stream() {
        let mut ladder = Ladder::default();
        ladder.learn(true, Several::Refused);
        let down = ladder.answered(1, Answer::Wrong("416".into())).expect("a step down");
        assert_eq!((down.from, down.to), ("single_ranges", "one_stream"));
        assert_eq!(ladder.answered(1, Answer::Wrong("416".into())), None);
        assert_eq!(ladder.ranges(), Some(false));
    }

    #[test]
    fn trials_that_come_to_nothing_end() {
        let view = View { waiting: 100, short: 100, first_is_short: true, free: 4, many: 8 };
        let mut ladder = Ladder::default();
        assert_eq!(ladder.next(&view), Step::Single);
        assert_eq!(ladder.next(&view), Step::Wait);
        assert_eq!(ladder.answered(1, Answer::Nothing), None);
        assert_eq!(ladder.next(&view), Step::Single);
        assert_eq!(ladder.answered(1, Answer::Right), None);
        assert_eq!(ladder.next(&view), Step::Several(2));
        // Others go on singly meanwhile.
        assert_eq!(ladder.next(&view), Step::Single);
        assert_eq!(ladder.answered(2, Answer::Nothing), None);
        assert_eq!(ladder.next(&view), Step::Several(2));
        assert_eq!(ladder.answered(2, Answer::Nothing).map(|down| down.to), Some("single_ranges"));
        assert_eq!(ladder.next(&view), Step::Single);
    }

    #[test]
    fn long_ranges_and_few_go_singly() {
        let mut ladder = Ladder::default();
        ladder.learn(true, Several::Proven);
        let view = View { waiting: 100, short: 100, first_is_short: false, free: 4, many: 8 };
        assert_eq!(ladder.next(&view), Step::Single);
        assert_eq!(ladder.next(&View { waiting: 4, short: 4, first_is_short: true, ..view }), Step::Single);
        assert_eq!(ladder.next(&View { waiting: 5, short: 5, first_is_short: true, ..view }), Step::Several(2));
        assert_eq!(ladder.next(&View { first_is_short: true, ..view }), Step::Several(25));
    }
}
