//! One exchange with a server about ranges, or about everything for one request: what is asked, whether the answer is
//! right, its bytes into the requests that asked, and what becomes of what did not come.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use gosync_core::ranges::RangeSet;
use gosync_core::{Error, ErrorKind, Range, Result, Supply};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

use super::ladder::Answer;
use super::multipart::{Multipart, Piece};
use super::queue::{Part, Sent, joined};
use super::reply::{Body, Pin, accepts_ranges, changed, check_part, judge, refused, validators};
use super::wire::Incoming;
use super::{Shared, Validators};
use crate::source::PIECE;
use crate::source::pending::{Pending, Signal, lock, unwanted};

/// The ranges of one exchange, and what of them has not come.
struct Taking {
    parts: Vec<Part>,
    lacking: RangeSet,
}

impl Taking {
    fn new(parts: Vec<Part>) -> Self {
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

    fn is_whole(&self) -> bool {
        self.lacking.is_empty()
    }

    /// Those that have not come, cut down to what they lack.
    fn left(mut self) -> Vec<Part> {
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
    /// Asks for ranges (ascending, apart from each other) in one exchange and supplies what comes.
    pub(super) async fn ranges(&self, parts: Vec<Part>) {
        let asked = joined(&parts);
        let mut sent = Sent::new(self, asked.len());
        if let Some(first) = parts.first() {
            first.pending.count_exchange();
        }
        let mut taking = Taking::new(parts);
        let result = match unless_stopped(&taking.parts, self.ask(&asked, None)).await {
            Ok(Some((incoming, Body::Whole(length)))) => {
                sent.tell(Answer::Whole);
                return self.take_over(taking.parts, incoming, length).await;
            }
            Ok(Some((incoming, body))) => {
                let signals: Vec<Arc<Signal>> = taking.parts.iter().map(|part| part.pending.signal()).collect();
                if asked.len() == 1 && !matches!(body, Body::Nothing) {
                    // It answers ranges, whatever becomes of this one.
                    sent.tell(Answer::Right);
                }
                tokio::select! {
                    biased;
                    () = Signal::until_unwanted(&signals) => Err(unwanted()),
                    result = self.take(&mut taking, &asked, incoming, body) => result,
                }
            }
            Ok(None) => Err(self.placed(refused(StatusCode::NOT_MODIFIED))),
            Err(error) => Err(error),
        };
        self.end(taking, result, &mut sent, asked.len() > 1);
    }

    /// What becomes of an exchange's ranges.
    fn end(&self, taking: Taking, result: Result<()>, sent: &mut Sent<'_>, is_several: bool) {
        let is_refusal = |error: &Error| matches!(error.kind(), ErrorKind::Source | ErrorKind::SourceUnsupported);
        match result {
            Ok(()) if taking.is_whole() => {
                sent.tell(Answer::Right);
                drop(taking.left());
            }
            Ok(()) if is_several => {
                sent.tell(Answer::Wrong("the server leaves out some of several ranges".into()));
                self.again_alone(taking);
            }
            Err(error) if is_several && is_refusal(&error) => {
                sent.tell(Answer::Wrong(format!("several ranges at once: {}", error.message())));
                self.again_alone(taking);
            }
            Ok(()) => {
                let text = "the server's answer is shorter than what was asked for";
                let error = self.placed(Error::new(ErrorKind::SourceTemporary, text));
                taking.left().into_iter().for_each(|part| part.pending.settle(Err(error.clone())));
            }
            Err(error) => {
                sent.tell(Answer::Nothing);
                taking.left().into_iter().for_each(|part| part.pending.settle(Err(error.clone())));
            }
        }
    }

    /// What did not come with others is asked for by itself, before all that waits.
    fn again_alone(&self, taking: Taking) {
        let left = taking.left();
        {
            let mut state = lock(&self.state);
            left.into_iter().rev().for_each(|part| state.queue.push_front(Part { alone: true, ..part }));
        }
        self.transport.changed.notify_waiters();
    }

    /// Asks for everything, for one request.
    pub(super) async fn plain(&self, part: Part) {
        part.pending.count_exchange();
        let condition = lock(&self.state).condition.take();
        let work = async {
            match self.ask(&[], condition).await? {
                None => {
                    lock(&self.state).unchanged = true;
                    Ok(())
                }
                Some((mut incoming, body)) => {
                    let length = whole(body).map_err(|error| self.placed(error))?;
                    let mut end = 0;
                    while let Some(data) = self.receive(&mut incoming).await? {
                        supply(&part.pending, end, &data).await?;
                        end += data.len() as u64;
                    }
                    self.check_end(end, length)
                }
            }
        };
        let result = unless_stopped(std::slice::from_ref(&part), work).await;
        part.pending.settle(result);
    }

    /// Sends a request for `asked`, or for everything if that is empty, and judges the head of the answer.
    /// Nothing if the content is what the condition says.
    pub(super) async fn ask(&self, asked: &[Range], condition: Option<Validators>) -> Result<Option<(Incoming, Body)>> {
        let (headers, version) = self.headers(asked, condition.as_ref());
        let (response, origin) = self.reach(&headers).await.map_err(|error| self.placed(error))?;
        let (status, lines) = (response.status(), response.headers().clone());
        let incoming = self.incoming(response, &origin);
        if condition.is_some() && status == StatusCode::NOT_MODIFIED {
            incoming.drain();
            return Ok(None);
        }
        let (body, pin) = match judge(status, &lines, asked, SystemTime::now()) {
            Ok(judged) => judged,
            Err(error) => {
                incoming.drain();
                return Err(self.placed(error));
            }
        };
        if accepts_ranges(&lines) {
            origin.has_ranges();
        }
        self.pin(pin, asked.is_empty().then(|| validators(&lines)), version)?;
        Ok(Some((incoming, body)))
    }

    /// The header lines of a request, and the version of the content that it is about.
    fn headers(&self, asked: &[Range], condition: Option<&Validators>) -> (HeaderMap, u64) {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, text: Option<&str>| {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(name, value);
            }
        };
        set(ACCEPT_ENCODING, Some("identity"));
        if let Some(Validators { etag, last_modified }) = condition {
            set(IF_NONE_MATCH, etag.as_deref());
            set(IF_MODIFIED_SINCE, last_modified.as_deref());
        }
        let state = lock(&self.state);
        if !asked.is_empty() {
            set(RANGE, Some(&range_header(asked)));
            set(IF_RANGE, state.pin.as_ref().and_then(Pin::validator));
        }
        (headers, state.version)
    }

    /// Compares what an answer says about its version with what is known. `whole` is there if it is all in one answer,
    /// which is consistent in itself, whatever was there before.
    fn pin(&self, pin: Pin, whole: Option<Validators>, version: u64) -> Result<()> {
        let mut state = lock(&self.state);
        let is_new = whole.is_some() && state.stream.is_none();
        if whole.is_some() {
            state.validators = whole;
        }
        if is_new {
            state.pin = Some(pin);
            return Ok(());
        }
        if state.version != version {
            return Err(self.placed(changed()));
        }
        let result = match &mut state.pin {
            Some(known) => known.accept(pin),
            known => {
                *known = Some(pin);
                Ok(())
            }
        };
        if result.is_err() {
            // Whoever asks from now on begins with what is there now.
            state.pin = None;
            state.version += 1;
        }
        result.map_err(|error| self.placed(error))
    }

    /// Supplies the body of an answer to a request for `asked`.
    async fn take(&self, taking: &mut Taking, asked: &[Range], mut incoming: Incoming, body: Body) -> Result<()> {
        match body {
            Body::Parts(parts) => self.take_parts(taking, asked, incoming, parts).await?,
            Body::Range(answered) => {
                let mut offset = answered.offset;
                while let Some(data) = self.receive(&mut incoming).await? {
                    let next = offset.saturating_add(data.len() as u64);
                    if next > answered.end() {
                        let text = "the server's answer is longer than it says";
                        return Err(self.placed(Error::new(ErrorKind::Source, text)));
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

    /// The next bytes of a body, nothing at its end.
    pub(super) async fn receive(
        &self,
        incoming: &mut Incoming,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>> {
        incoming.next().await.map_err(|error| self.placed(error))
    }

    fn total(&self) -> Option<u64> {
        lock(&self.state).pin.as_ref().and_then(|pin| pin.total)
    }

    /// Whether a body of everything that ended at `end` is complete.
    pub(super) fn check_end(&self, end: u64, length: Option<u64>) -> Result<()> {
        match length.or_else(|| self.total()) {
            Some(total) if end < total => {
                let message = format!("the server's answer ended after {end} of {total} bytes");
                Err(self.placed(Error::new(ErrorKind::SourceTemporary, message)))
            }
            _ => Ok(()),
        }
    }
}

/// The length of a body that must be everything, if the server says it.
pub(super) fn whole(body: Body) -> Result<Option<u64>> {
    match body {
        Body::Whole(length) => Ok(length),
        _ => Err(Error::new(ErrorKind::Source, "the server answered with a range that nobody asked for")),
    }
}

fn range_header(asked: &[Range]) -> String {
    let one = |range: &Range| match range.is_to_end() {
        true => format!("{}-", range.offset),
        false => format!("{}-{}", range.offset, range.end().saturating_sub(1)),
    };
    format!("bytes={}", asked.iter().map(one).collect::<Vec<_>>().join(","))
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

/// Does `work` until every request that it is for is stopped; then drops it, and its exchange with it, at once.
async fn unless_stopped<T>(parts: &[Part], work: impl Future<Output = Result<T>>) -> Result<T> {
    let signals: Vec<Arc<Signal>> = parts.iter().map(|part| part.pending.signal()).collect();
    tokio::select! {
        biased;
        () = Signal::until_unwanted(&signals) => Err(unwanted()),
        result = work => result,
    }
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
