//! The body of an answer with ranges: its bytes into the requests that asked for them, each of which is finished as soon
//! as it has everything. What was asked, and what becomes of what did not come, is `exchange`.

use std::sync::Arc;

use gosync_core::ranges::RangeSet;
use gosync_core::{Error, ErrorKind, Range, Result, Supply};

use super::Shared;
use super::multipart::{Multipart, Piece};
use super::queue::Part;
use super::reply::{Body, Pin, check_part, wrong};
use super::wire::Incoming;
use crate::source::PIECE;
use crate::source::pending::{Pending, lock, unwanted};

/// The ranges of one exchange, and what of them has not come.
pub(super) struct Taking {
    pub(super) parts: Vec<Part>,
    lacking: RangeSet,
}

impl Taking {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        let mut lacking = RangeSet::new();
        parts.iter().for_each(|part| lacking.insert(part.range));
        Taking { parts, lacking }
    }

    /// Hands over bytes, each to those who asked for it, and those between ranges to the first.
    async fn hand(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let end = offset + data.len() as u64;
        for (pending, from, to) in shares(&self.parts, offset, end) {
            // Both are within the data.
            let bytes = &data[(from - offset) as usize..(to - offset) as usize];
            if supply(&pending, from, bytes).await.is_err() {
                pending.stop();
            }
        }
        self.lacking.remove(Range::new(offset, end - offset));
        self.settle_whole();
        let nobody = !self.parts.is_empty() && self.parts.iter().all(|part| part.pending.is_stopped());
        if nobody { Err(unwanted()) } else { Ok(()) }
    }

    /// Ends those that have come, so that their takers can ask for more meanwhile.
    fn settle_whole(&mut self) {
        let is_lacking = |part: &Part| self.lacking.touches(part.range);
        if self.parts.iter().all(is_lacking) {
            return;
        }
        let (left, whole) = std::mem::take(&mut self.parts).into_iter().partition(is_lacking);
        self.parts = left;
        whole.into_iter().for_each(|part: Part| part.pending.settle(Ok(())));
    }

    /// The content ends at `total`: nothing behind that is lacking.
    fn ends_at(&mut self, total: u64) {
        if self.parts.last().is_some_and(|part| part.range.is_to_end()) {
            self.lacking.remove(Range::new(total, Range::TO_END - total));
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.lacking.is_empty()
    }

    /// Those that have not come, cut down to what they lack.
    pub(super) fn left(mut self) -> Vec<Part> {
        self.settle_whole();
        let Taking { parts, lacking } = self;
        let first = |part: &Part| {
            lacking.iter().find(|range| range.end() > part.range.offset && range.offset < part.range.end())
        };
        parts
            .into_iter()
            .map(|part| {
                let at = first(&part).map_or(0, |range| range.offset);
                part.from(at)
            })
            .collect()
    }
}

impl Shared {
    /// Supplies the body of an answer to a request for `asked`.
    pub(super) async fn take(
        &self,
        taking: &mut Taking,
        asked: &[Range],
        mut incoming: Incoming,
        body: Body,
    ) -> Result<()> {
        match body {
            Body::Parts(parts) => self.take_parts(taking, asked, incoming, parts).await?,
            Body::Range(answered) => {
                let mut offset = answered.offset;
                while let Some(data) = self.receive(&mut incoming).await? {
                    let next = offset.saturating_add(data.len() as u64);
                    if next > answered.end() {
                        return Err(self.placed(wrong("the server's answer is longer than it says")));
                    }
                    taking.hand(offset, &data).await?;
                    offset = next;
                }
                if offset < answered.end() {
                    let text = "the server's answer is shorter than what was asked for";
                    return Err(self.placed(Error::new(ErrorKind::SourceTemporary, text)));
                }
                // Without a length, the content ends where the answer does.
                taking.ends_at(self.total().unwrap_or(offset));
            }
            Body::Nothing | Body::Whole(_) => taking.ends_at(asked.first().map_or(0, |range| range.offset)),
        }
        Ok(())
    }

    async fn take_parts(
        &self,
        taking: &mut Taking,
        asked: &[Range],
        mut incoming: Incoming,
        mut multipart: Multipart,
    ) -> Result<()> {
        let version = lock(&self.state).version;
        let mut parts = 0;
        while let Some(data) = self.receive(&mut incoming).await? {
            let mut rest = &data[..];
            while let Some(piece) = multipart.next(&mut rest).map_err(|error| self.placed(error))? {
                match piece {
                    Piece::Part(range, total) => {
                        parts += 1;
                        check_part(range, total, asked).map_err(|error| self.placed(error))?;
                        if parts > asked.len() {
                            let text = "the server answered with more ranges than were asked for";
                            return Err(self.placed(Error::new(ErrorKind::Source, text)));
                        }
                        if let (Some(total), Some(known)) = (total, self.total())
                            && total != known
                        {
                            return Err(self.placed(wrong("parts of one answer differ in the content's length")));
                        }
                        self.pin(Pin::of_length(total), None, version)?;
                    }
                    Piece::Data(offset, data) => taking.hand(offset, data).await?,
                }
            }
            if multipart.is_over() {
                incoming.drain();
                break;
            }
        }
        if let Some(total) = self.total() {
            taking.ends_at(total);
        }
        Ok(())
    }
}

/// Who gets which part of the bytes from `start` to `end`: (taker, first, end), together all of them; what nobody asked
/// for goes to the first, whose taker may lack it too.
pub(super) fn shares(parts: &[Part], start: u64, end: u64) -> Vec<(Arc<Pending>, u64, u64)> {
    let own = |part: &Part| {
        let (from, to) = (part.range.offset.max(start), part.range.end().min(end));
        (from < to).then(|| (Arc::clone(&part.pending), from, to))
    };
    let mut shares: Vec<_> = parts.iter().filter_map(own).collect();
    if let Some(first) = parts.first() {
        let mut spans: Vec<(u64, u64)> = shares.iter().map(|(_, from, to)| (*from, *to)).collect();
        spans.sort_unstable();
        spans.push((end, end));
        let mut covered = start;
        for (from, to) in spans {
            if from > covered {
                shares.push((Arc::clone(&first.pending), covered, from));
            }
            covered = covered.max(to);
        }
    }
    shares
}

/// Hands over bytes, and waits where there is no room for them.
pub(super) async fn supply(pending: &Pending, mut offset: u64, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        let (piece, rest) = data.split_at(data.len().min(PIECE));
        let seen = pending.resumes();
        match pending.supply(offset, piece) {
            Supply::Taken => (offset, data) = (offset + piece.len() as u64, rest),
            Supply::Again => pending.until_resumed(seen).await,
            Supply::Closed => return Err(unwanted()),
        }
        if pending.is_stopped() {
            return Err(unwanted());
        }
    }
    Ok(())
}
