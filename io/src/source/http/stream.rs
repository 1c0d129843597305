//! A server without ranges: everything that waits rides on one body, which is streamed once from its beginning.
//! Each byte is supplied once: to the request that asked for it, or else to the oldest one, whose taker may lack it too.
//! A whole body that only answers several ranges is used in the same way, as far as that is quicker than asking again.

use gosync_core::{Error, ErrorKind, Result};

use super::Shared;
use super::exchange::whole;
use super::queue::{Part, State};
use super::taking::{shares, supply};
use super::wire::Incoming;
use crate::source::pending::{lock, unwanted};
use crate::source::too_short;

/// A body that is not the only way is read on for at least so many bytes that nobody wants.
const NEAR: u64 = 1 << 20;

/// The body that is being streamed, and who rides on it.
pub(super) struct Stream {
    /// Bytes that have been handed out.
    position: u64,
    riders: Vec<Part>,
    /// Those that came when their bytes had passed: they wait for another body.
    late: Vec<Part>,
    /// Where ranges could be asked for instead: how far the next wanted byte may be.
    near: Option<u64>,
}

impl Stream {
    pub(super) fn new(riders: Vec<Part>, near: Option<u64>) -> Self {
        Stream { position: 0, riders, late: Vec::new(), near }
    }

    /// Whether the server has no ranges.
    pub(super) fn is_only_way(&self) -> bool {
        self.near.is_none()
    }

    pub(super) fn join(&mut self, part: Part) {
        let place = if part.range.offset >= self.position { &mut self.riders } else { &mut self.late };
        place.push(part);
    }

    /// As `join`, for a part that was asked for before the stream began. Given back if its bytes have passed: its taker
    /// may have got them unasked, and shall ask again for what it lacks then.
    pub(super) fn board(&mut self, part: Part) -> Option<Part> {
        if part.range.offset < self.position {
            return Some(part);
        }
        self.riders.push(part);
        None
    }
}

impl State {
    /// Whether the body is still worth its time; what waits for bytes that come soon gets on.
    fn is_near(&mut self) -> bool {
        let State { stream, queue, .. } = self;
        let Some(stream) = stream else { return false };
        let Some(near) = stream.near else { return true };
        let soon = stream.position..=stream.position.saturating_add(near);
        let (boarding, rest): (Vec<Part>, Vec<Part>) =
            std::mem::take(queue).into_iter().partition(|part| soon.contains(&part.range.offset));
        *queue = rest.into();
        stream.riders.extend(boarding);
        stream.riders.iter().any(|rider| rider.range.end() > *soon.start() && rider.range.offset <= *soon.end())
    }
}

/// How a stream ended.
enum End {
    /// With its last byte, at this offset.
    Whole(u64),
    Failed(Error),
    /// Nobody wants more of it.
    Abandoned,
}

/// Takes the stream down, however it ends.
struct Ending<'a> {
    shared: &'a Shared,
    end: End,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let stream = lock(&self.shared.state).stream.take();
        let Some(Stream { riders, late, position, .. }) = stream else { return };
        for part in riders {
            match &self.end {
                End::Whole(total) => {
                    let result = ended(&part, *total).map_err(|error| self.shared.placed(error));
                    part.pending.settle(result);
                }
                End::Failed(error) => part.pending.settle(Err(error.clone())),
                // It came in the very last moment, or is so far away that it is asked for by itself.
                End::Abandoned => lock(&self.shared.state).enqueue(part.from(position)),
            }
        }
        late.into_iter().for_each(|part| lock(&self.shared.state).enqueue(part));
        self.shared.transport.changed.notify_waiters();
    }
}

/// What a rider hears when everything, `total` bytes, has passed.
fn ended(part: &Part, total: u64) -> Result<()> {
    let needed = if part.range.is_to_end() { part.range.offset } else { part.range.end() };
    if needed > total { Err(too_short(total, needed)) } else { Ok(()) }
}

impl Shared {
    /// Ranges were answered with everything: that answer is used for all that waits, unless there is one already.
    pub(super) async fn take_over(&self, parts: Vec<Part>, incoming: Incoming, length: Option<u64>) {
        let near = NEAR.max(self.target().origin.share());
        let mut passed = Vec::new();
        let begun = {
            let mut state = lock(&self.state);
            let has_ranges = state.ladder.ranges() == Some(true);
            let State { stream, queue, .. } = &mut *state;
            match stream {
                Some(stream) => {
                    if !has_ranges && !stream.is_only_way() {
                        stream.near = None;
                        queue.drain(..).for_each(|part| stream.join(part));
                    }
                    passed.extend(parts.into_iter().filter_map(|part| stream.board(part)));
                    false
                }
                None if has_ranges => {
                    *stream = Some(Stream::new(parts, Some(near)));
                    true
                }
                None => {
                    let riders = parts.into_iter().chain(queue.drain(..)).collect();
                    *stream = Some(Stream::new(riders, None));
                    true
                }
            }
        };
        self.transport.changed.notify_waiters();
        self.passed(passed);
        if begun {
            self.run(Some((incoming, length))).await;
        }
    }

    /// Ends parts whose bytes have passed in a stream. If all who ride on it ask for the same taker, that has got them.
    pub(super) fn passed(&self, parts: Vec<Part>) {
        for part in parts {
            let has_got = {
                let state = lock(&self.state);
                let riders = state.stream.as_ref().map_or(&[][..], |stream| &stream.riders);
                !riders.is_empty() && riders.iter().all(|rider| rider.pending.has_asker_of(&part.pending))
            };
            part.pending.settle(if has_got {
                Ok(())
            } else {
                let message = "the server has no ranges, and its one answer had passed what was asked for";
                Err(self.placed(Error::new(ErrorKind::SourceTemporary, message)))
            });
        }
    }

    /// Asks for everything, for all that waits.
    pub(super) async fn stream(&self) {
        if let Some(stream) = &lock(&self.state).stream
            && let Some(rider) = stream.riders.first()
        {
            rider.pending.count_exchange();
        }
        self.run(None).await;
    }

    async fn run(&self, begun: Option<(Incoming, Option<u64>)>) {
        let mut ending = Ending { shared: self, end: End::Abandoned };
        ending.end = tokio::select! {
            biased;
            () = self.until_unwanted() => End::Abandoned,
            end = self.flow(begun) => end.unwrap_or_else(End::Failed),
        };
    }

    async fn flow(&self, begun: Option<(Incoming, Option<u64>)>) -> Result<End> {
        let (mut incoming, length) = match begun {
            Some(begun) => begun,
            None => match self.ask(&[], None).await? {
                Some((incoming, body)) => (incoming, whole(body).map_err(|error| self.placed(error))?),
                None => return Ok(End::Abandoned),
            },
        };
        let mut position = 0;
        while lock(&self.state).is_near() {
            let Some(data) = self.receive(&mut incoming).await? else {
                self.check_end(position, length)?;
                return Ok(End::Whole(position));
            };
            let mut rest = &data[..];
            while !rest.is_empty() && lock(&self.state).is_near() {
                // Whoever has got everything may want more: the body waits for that, rather than being sent twice.
                if tokio::time::timeout(self.patience.stall, self.until_ridden()).await.is_err() {
                    return Ok(End::Abandoned);
                }
                let count = self.hand_out(position, rest).await;
                position += count as u64;
                rest = &rest[count..];
                self.settle_riders();
            }
        }
        Ok(End::Abandoned)
    }

    /// Supplies bytes of the body to those who ride on it, up to the last that anyone asks for. How many.
    async fn hand_out(&self, position: u64, data: &[u8]) -> usize {
        let (shares, count) = {
            let mut state = lock(&self.state);
            let Some(stream) = &mut state.stream else { return 0 };
            let end = stream.riders.iter().map(|rider| rider.range.end()).max().unwrap_or(0);
            let end = end.clamp(position, position + data.len() as u64);
            let shares = shares(&stream.riders, position, end);
            // Now, not afterwards: who joins while these bytes are handed out does not get them.
            stream.position = end;
            (shares, (end - position) as usize)
        };
        for (pending, from, to) in shares {
            // Both are within the data.
            let bytes = &data[(from - position) as usize..(to - position) as usize];
            if supply(&pending, from, bytes).await.is_err() {
                pending.stop();
                self.transport.changed.notify_waiters();
            }
        }
        count
    }

    /// Those who have got everything are done.
    fn settle_riders(&self) {
        let done = {
            let mut state = lock(&self.state);
            let Some(stream) = &mut state.stream else { return };
            let position = stream.position;
            let (done, riders) =
                std::mem::take(&mut stream.riders).into_iter().partition(|part| part.range.end() <= position);
            stream.riders = riders;
            done
        };
        if !Vec::is_empty(&done) {
            // Perhaps only late ones are left.
            self.transport.changed.notify_waiters();
        }
        done.into_iter().for_each(|part: Part| part.pending.settle(Ok(())));
    }

    /// Returns when somebody rides.
    async fn until_ridden(&self) {
        loop {
            let mut changed = std::pin::pin!(self.transport.changed.notified());
            changed.as_mut().enable();
            if lock(&self.state).stream.as_ref().is_none_or(|stream| !stream.riders.is_empty()) {
                return;
            }
            changed.await;
        }
    }

    /// Lets go of those who are cancelled; returns when that leaves nobody, or when only late ones wait.
    async fn until_unwanted(&self) {
        loop {
            let mut changed = std::pin::pin!(self.transport.changed.notified());
            changed.as_mut().enable();
            let (over, unwanted_now) = {
                let mut state = lock(&self.state);
                let closed = state.closed;
                let Some(stream) = &mut state.stream else { return };
                let is_over = |part: &Part| part.pending.is_over();
                let (mut over, riders): (Vec<Part>, Vec<Part>) =
                    std::mem::take(&mut stream.riders).into_iter().partition(is_over);
                stream.riders = riders;
                let left = stream.riders.is_empty() && (!over.is_empty() || !stream.late.is_empty());
                let (over_late, late): (Vec<Part>, Vec<Part>) =
                    std::mem::take(&mut stream.late).into_iter().partition(is_over);
                stream.late = late;
                over.extend(over_late);
                (over, closed || left)
            };
            over.into_iter().for_each(|part| part.pending.settle(Err(unwanted())));
            if unwanted_now {
                return;
            }
            changed.await;
        }
    }
}
