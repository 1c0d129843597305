//! What waits in a source, and what goes next: the state that its exchanges share, and the task that begins them.

use std::collections::VecDeque;
use std::sync::Arc;

use gosync_core::Range;

use super::ladder::{Answer, Ladder, Step, StepDown, View};
use super::origin::{Origin, Slot};
use super::redirect::Target;
use super::reply::Pin;
use super::stream::Stream;
use super::{Shared, Validators};
use crate::report::Level;
use crate::source::pending::{Live, Pending, lock, unwanted};

/// Bytes of a `Range` header that no server finds too long.
const MOST_HEADER: usize = 4000;
/// Bytes in one exchange that are not too many on any way, and on none too few.
const MIDDLING: u64 = 1 << 20;
const MOST_BYTES: u64 = 16 << 20;
/// Ranges up to this length are short on any way, and above the other on none.
const SHORT: u64 = 256 * 1024;
const LONG: u64 = 4 << 20;

/// One range of a request.
pub(super) struct Part {
    pub(super) pending: Arc<Pending>,
    pub(super) range: Range,
    /// It goes in an exchange of its own, because it went wrong with others.
    pub(super) alone: bool,
    /// It went wrong by itself too, once.
    pub(super) wrong: bool,
    /// It may go with the next one to show whether several ranges are answered, though little waits.
    pub(super) trial: bool,
}

impl Part {
    pub(super) fn new(pending: &Arc<Pending>, range: Range) -> Self {
        Part { pending: Arc::clone(pending), range, alone: false, wrong: false, trial: false }
    }

    /// Whether it asks for everything, which needs no ranges.
    fn is_plain(&self) -> bool {
        self.range == Range::new(0, Range::TO_END)
    }

    /// The same from `position` on, of which what is before has come.
    pub(super) fn from(mut self, position: u64) -> Self {
        if !self.range.is_to_end() && (self.range.offset..self.range.end()).contains(&position) {
            self.range = Range::new(position, self.range.end() - position);
        }
        self
    }

    fn is_short(&self, share: u64) -> bool {
        !self.alone && !self.range.is_to_end() && self.range.length <= share.saturating_mul(4).clamp(SHORT, LONG)
    }
}

/// Whether so many bytes behind the beginning are wanted at once.
type IsWanted = dyn Fn(u64) -> bool + Send + Sync;

/// What changes in a source.
#[derive(Default)]
pub(super) struct State {
    pub(super) queue: VecDeque<Part>,
    pub(super) live: Live,
    pub(super) ladder: Ladder,
    /// Why it is not asked in the best way, one line each.
    pub(super) steps: Vec<String>,
    pub(super) pin: Option<Pin>,
    /// How often the content was another one than before.
    pub(super) version: u64,
    /// Where redirects have led.
    pub(super) elsewhere: Option<Target>,
    /// The one body that everything rides on when the server has no ranges.
    pub(super) stream: Option<Stream>,
    pub(super) closed: bool,
    /// The next reading of everything is only wanted if the content is another one than this.
    pub(super) condition: Option<Validators>,
    pub(super) unchanged: bool,
    /// Everything is asked for as a range from 0 on, because the answer says whether there are ranges.
    pub(super) as_range: bool,
    /// Of everything, only the beginning is wanted, so many bytes, where it can be had, unless as many as follow are.
    pub(super) head: Option<(u64, Arc<IsWanted>)>,
    pub(super) validators: Option<Validators>,
}

/// What a free slot does next.
enum Work {
    /// Ranges, ascending, in one exchange.
    Ranges(Vec<Part>),
    /// Everything, as its own exchange.
    Plain(Part),
    /// Everything, for all that waits.
    Stream,
}

impl State {
    /// A range waits for its turn, or joins the stream.
    pub(super) fn enqueue(&mut self, part: Part) {
        match &mut self.stream {
            Some(stream) if stream.is_only_way() => stream.join(part),
            _ => self.queue.push_back(part),
        }
    }

    /// What waits for a request that is over already.
    fn remove_over(&mut self) -> VecDeque<Part> {
        if !self.queue.iter().any(|part| part.pending.is_over()) {
            return VecDeque::new();
        }
        let (over, queue) = std::mem::take(&mut self.queue).into_iter().partition(|part| part.pending.is_over());
        self.queue = queue;
        over
    }

    /// Takes over what other sources learned about the origin.
    pub(super) fn learn(&mut self, origin: &Origin) {
        let (ranges, several) = origin.known();
        self.ladder.learn(ranges, several);
    }

    /// What a free slot may begin now.
    fn next(&mut self, origin: &Origin) -> Option<Work> {
        if let Some(plain) = self.queue.iter().position(Part::is_plain) {
            return self.queue.remove(plain).map(Work::Plain);
        }
        self.learn(origin);
        let share = origin.share();
        if self.has_trial() && self.ladder.try_pair() {
            return Some(Work::Ranges(self.queue.drain(..2).collect()));
        }
        match self.ladder.next(&self.view(origin, share)) {
            Step::Single => Some(Work::Ranges(self.take_run(origin, share))),
            Step::Several(count) => {
                let parts = self.take(count, share);
                if joined(&parts).len() < 2 {
                    self.ladder.withdrawn();
                }
                Some(Work::Ranges(parts))
            }
            Step::Stream if self.stream.is_none() => {
                self.stream = Some(Stream::new(self.queue.drain(..).collect(), None));
                Some(Work::Stream)
            }
            Step::Stream | Step::Wait => None,
        }
    }

    /// Whether the two that come next are there to be tried as a pair.
    fn has_trial(&self) -> bool {
        let mut parts = self.queue.iter();
        matches!((parts.next(), parts.next()), (Some(first), Some(second)) if first.trial && second.trial && first.range.end() < second.range.offset)
    }

    fn view(&self, origin: &Origin, share: u64) -> View {
        let (slots, is_one_connection) = origin.slots();
        let most = slots * super::MOST_RANGES;
        let is_short = |part: &&Part| part.is_short(share);
        View {
            waiting: self.queue.len(),
            short: self.queue.iter().take(most).filter(is_short).count(),
            first_is_short: self.queue.front().is_some_and(|part| part.is_short(share)),
            free: origin.free(),
            many: if is_one_connection { slots } else { 2 * slots },
        }
    }

    /// The first range that waits, and those that continue it: not more than its part of all slots, the busy ones
    /// included (they will be free before one slot has fetched what is for two), and not more than makes the way cheap.
    fn take_run(&mut self, origin: &Origin, share: u64) -> Vec<Part> {
        let waiting = self.queue.iter().fold(0_u64, |sum, part| sum.saturating_add(part.range.length));
        let (slots, _) = origin.slots();
        let most = (waiting / slots.max(1) as u64).min(most_bytes(share));
        let mut run: Vec<Part> = self.queue.pop_front().into_iter().collect();
        while let (Some(first), Some(last), Some(next)) = (run.first(), run.last(), self.queue.front())
            && !(last.alone || next.alone || next.trial || last.range.is_to_end())
            && next.range.offset == last.range.end()
            && next.range.end() - first.range.offset <= most
        {
            run.extend(self.queue.pop_front());
        }
        run
    }

    /// Up to `most` short ranges that fit in one exchange, ascending and apart from each other. Not none, if any waits.
    fn take(&mut self, most: usize, share: u64) -> Vec<Part> {
        let (mut taken, mut passed) = (Vec::<Part>::new(), Vec::new());
        let (mut ranges, mut header, mut bytes) = (0, 0, 0_u64);
        while let Some(part) = self.queue.pop_front() {
            // What continues the last range makes it longer, and not one more.
            let is_new = taken.last().is_none_or(|last| last.range.end() != part.range.offset);
            if is_new && ranges == most {
                self.queue.push_front(part);
                break;
            }
            let Range { offset, length } = part.range;
            let cost = digits(offset) + digits(part.range.end()) + 2;
            let total = bytes.saturating_add(length);
            let fits = header + cost <= MOST_HEADER && total <= most_bytes(share) && part.is_short(share);
            if taken.is_empty() || fits {
                (ranges, header, bytes) = (ranges + usize::from(is_new), header + cost, total);
                taken.push(part);
            } else {
                passed.push(part);
            }
        }
        taken.sort_by_key(|part| part.range);
        let mut end = 0;
        let (apart, overlapping): (Vec<Part>, Vec<Part>) = taken.into_iter().partition(|part| {
            let is_apart = part.range.offset >= end;
            if is_apart {
                end = part.range.end();
            }
            is_apart
        });
        passed.into_iter().chain(overlapping).rev().for_each(|part| self.queue.push_front(part));
        apart
    }
}

/// Bytes in one exchange, at most: the way costs about a tenth of the time then.
fn most_bytes(share: u64) -> u64 {
    share.saturating_mul(8).clamp(MIDDLING, MOST_BYTES)
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// The ranges of parts (ascending, apart from each other), those that touch made one.
pub(super) fn joined(parts: &[Part]) -> Vec<Range> {
    let mut joined: Vec<Range> = Vec::new();
    for Part { range, .. } in parts {
        match joined.last_mut() {
            Some(last) if last.end() == range.offset && !last.is_to_end() => {
                last.length = if range.is_to_end() { Range::TO_END } else { range.end() - last.offset };
            }
            _ => joined.push(*range),
        }
    }
    joined
}

/// An exchange of ranges that the ladder waits to hear of; unheard of when dropped, it came to nothing.
pub(super) struct Sent<'a> {
    shared: &'a Shared,
    count: usize,
    is_told: bool,
}

impl<'a> Sent<'a> {
    pub(super) fn new(shared: &'a Shared, count: usize) -> Self {
        Sent { shared, count, is_told: false }
    }

    /// Says how it was answered, once.
    pub(super) fn tell(&mut self, answer: Answer) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.shared.answered(self.count, answer);
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.tell(Answer::Nothing);
    }
}

impl Shared {
    /// Tells the ladder, and the origin what is true for others too.
    fn answered(&self, count: usize, answer: Answer) {
        let origin = self.target().origin;
        let down = {
            let mut state = lock(&self.state);
            if answer == Answer::Right {
                origin.has_ranges();
            }
            let down = state.ladder.answered(count, answer);
            if count > 1 {
                origin.remember(state.ladder.several());
            }
            if let Some(StepDown { reason, .. }) = &down {
                state.steps.push(reason.clone());
            }
            down
        };
        self.transport.changed.notify_waiters();
        if let Some(StepDown { from, to, reason }) = down {
            let fields: [(&'static str, &dyn std::fmt::Display); 4] =
                [("from", &from), ("to", &to), ("reason", &reason), ("url", &self.name)];
            self.observer.event(Level::Info, "step_down", &*reason, &fields);
        }
    }

    /// The life of a source: begins exchanges where there is work and a slot, until the source is closed.
    pub(super) async fn serve(self: Arc<Self>) {
        loop {
            let mut changed = std::pin::pin!(self.transport.changed.notified());
            changed.as_mut().enable();
            let origin = self.target().origin;
            let over = {
                let mut state = lock(&self.state);
                if state.closed {
                    return;
                }
                state.remove_over()
            };
            over.into_iter().for_each(|part| part.pending.settle(Err(unwanted())));
            while origin.free() > 0 {
                let work = lock(&self.state).next(&origin);
                let Some(work) = work else { break };
                tokio::spawn(Arc::clone(&self).work(work, origin.slot()));
            }
            changed.await;
        }
    }

    async fn work(self: Arc<Self>, work: Work, slot: Slot) {
        match work {
            Work::Ranges(parts) => self.ranges(parts).await,
            Work::Plain(part) => self.plain(part).await,
            Work::Stream => self.stream().await,
        }
        // The connection gets back to the client's pool first, so that what comes next does not make another one.
        tokio::task::yield_now().await;
        drop(slot);
    }
}
