//! A server without ranges: everything that waits rides on one body, which is streamed once from its beginning.
//! Each byte is supplied once: to the request that asked for it, or else to the oldest one, whose taker may lack it too.

use std::sync::Arc;

use gosync_core::{Error, ErrorKind, Result};
use reqwest::Response;

use super::exchange::supply;
use super::http::{Mode, Part, Shared};
use super::pending::{Pending, lock, unwanted};
use super::reply::Body;
use super::too_short;
use crate::report::Level;

/// The body that is being streamed, and who rides on it.
pub(super) struct Stream {
    /// Bytes that have been handed out.
    position: u64,
    riders: Vec<Part>,
    /// Those that came when their bytes had passed: they wait for another body.
    late: Vec<Part>,
}

impl Stream {
    pub(super) fn new(riders: Vec<Part>) -> Self {
        Stream { position: 0, riders, late: Vec::new() }
    }

    pub(super) fn join(&mut self, part: Part) {
        let place = if part.range.offset >= self.position { &mut self.riders } else { &mut self.late };
        place.push(part);
    }

    /// As `join`, for a part that was asked for before the stream began. Given back if its bytes have passed: its taker
    /// may have got them unasked, and shall ask again for what it lacks then.
    fn board(&mut self, part: Part) -> Option<Part> {
        if part.range.offset < self.position {
            return Some(part);
        }
        self.riders.push(part);
        None
    }

    /// Who gets which part of the bytes from the position up to `end`: (taker, first, end), together all of them.
    fn shares(&self, end: u64) -> Vec<(Arc<Pending>, u64, u64)> {
        let start = self.position;
        let own = |rider: &Part| {
            let (from, to) = (rider.range.offset.max(start), rider.range.end().min(end));
            (from < to).then(|| (Arc::clone(&rider.pending), from, to))
        };
        let mut shares: Vec<_> = self.riders.iter().filter_map(own).collect();
        if let Some(oldest) = self.riders.first() {
            let mut spans: Vec<(u64, u64)> = shares.iter().map(|(_, from, to)| (*from, *to)).collect();
            spans.sort_unstable();
            spans.push((end, end));
            let mut covered = start;
            for (from, to) in spans {
                if from > covered {
                    shares.push((Arc::clone(&oldest.pending), covered, from));
                }
                covered = covered.max(to);
            }
        }
        shares
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
        let Some(Stream { riders, late, .. }) = stream else { return };
        for part in riders {
            match &self.end {
                End::Whole(total) => {
                    let result = ended(&part, *total).map_err(|error| self.shared.placed(error));
                    part.pending.settle(result);
                }
                End::Failed(error) => part.pending.settle(Err(error.clone())),
                // It came in the very last moment.
                End::Abandoned => lock(&self.shared.state).enqueue(part),
            }
        }
        late.into_iter().for_each(|part| lock(&self.shared.state).enqueue(part));
        self.shared.changed.notify_waiters();
    }
}

/// What a rider hears when everything, `total` bytes, has passed.
fn ended(part: &Part, total: u64) -> Result<()> {
    let needed = if part.range.is_to_end() { part.range.offset } else { part.range.end() };
    if needed > total { Err(too_short(total, needed)) } else { Ok(()) }
}

impl Shared {
    /// A range was answered with everything: that answer is used for all that waits, unless there is one already.
    pub(super) async fn take_over(&self, part: Part, response: Response, length: Option<u64>) {
        let (is_new, begun, passed) = {
            let mut state = lock(&self.state);
            let is_new = state.mode != Mode::Whole;
            if let Some(stream) = &mut state.stream {
                (is_new, false, stream.board(part))
            } else {
                state.queue.push_front(part);
                state.begin_stream();
                (is_new, true, None)
            }
        };
        self.changed.notify_waiters();
        if is_new {
            let message = "the server does not answer ranges; its one answer with everything is used";
            self.observer.event(Level::Info, "no_ranges", message, &[("url", &self.name)]);
        }
        if let Some(part) = passed {
            let message = "the server has no ranges, and its one answer had passed what was asked for";
            let error = Error::new(ErrorKind::SourceTemporary, message);
            part.pending.settle(Err(self.placed(error)));
        }
        if begun {
            self.run(Some((response, length))).await;
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

    async fn run(&self, begun: Option<(Response, Option<u64>)>) {
        let mut ending = Ending { shared: self, end: End::Abandoned };
        ending.end = tokio::select! {
            biased;
            () = self.until_unwanted() => End::Abandoned,
            end = self.flow(begun) => end.unwrap_or_else(End::Failed),
        };
    }

    async fn flow(&self, begun: Option<(Response, Option<u64>)>) -> Result<End> {
        let (mut response, length) = match begun {
            Some(begun) => begun,
            None => match self.ask(None).await? {
                (response, Body::Whole(length)) => (response, length),
                _ => {
                    return Err(self.placed(Error::new(
                        ErrorKind::Source,
                        "the server answered with a range that nobody asked for",
                    )));
                }
            },
        };
        let mut position = 0;
        while let Some(data) = self.receive(&mut response).await? {
            let mut rest = &data[..];
            while !rest.is_empty() {
                // Whoever has got everything may want more: the body waits for that, rather than being sent twice.
                if tokio::time::timeout(self.timeout, self.until_ridden()).await.is_err() {
                    return Ok(End::Abandoned);
                }
                let count = self.hand_out(position, rest).await;
                position += count as u64;
                rest = &rest[count..];
                self.settle_riders();
            }
        }
        self.check_end(position, length)?;
        Ok(End::Whole(position))
    }

    /// Supplies bytes of the body to those who ride on it, up to the last that anyone asks for. How many.
    async fn hand_out(&self, position: u64, data: &[u8]) -> usize {
        let (shares, count) = {
            let mut state = lock(&self.state);
            let Some(stream) = &mut state.stream else { return 0 };
            let end = stream.riders.iter().map(|rider| rider.range.end()).max().unwrap_or(0);
            let end = end.clamp(position, position + data.len() as u64);
            let shares = stream.shares(end);
            // Now, not afterwards: who joins while these bytes are handed out does not get them.
            stream.position = end;
            (shares, (end - position) as usize)
        };
        for (pending, from, to) in shares {
            // Both are within the data.
            let bytes = &data[(from - position) as usize..(to - position) as usize];
            if supply(&pending, from, bytes).await.is_err() {
                pending.stop();
                self.changed.notify_waiters();
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
            self.changed.notify_waiters();
        }
        done.into_iter().for_each(|part: Part| part.pending.settle(Ok(())));
    }

    /// Returns when somebody rides.
    async fn until_ridden(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
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
            let mut changed = std::pin::pin!(self.changed.notified());
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
