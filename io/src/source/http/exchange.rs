//! One exchange with a server about ranges, or about everything for one request: what is asked, whether the answer is
//! right, and what becomes of what did not come. The bytes of an answer are `taking`.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use gosync_core::{Error, ErrorKind, Range, Result};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

use super::ladder::Answer;
use super::queue::{Part, Sent, joined};
use super::reply::{Body, Pin, changed, is_about_ranges, judge, refused, validators};
use super::taking::{Taking, supply};
use super::wire::Incoming;
use super::{Shared, Validators};
use crate::source::pending::{Signal, lock, unwanted};

/// A range that is everything there is.
const EVERYTHING: Range = Range::new(0, Range::TO_END);
/// Where everything is asked for by ranges, the first one's length.
const BEGINNING: u64 = 128 * 1024;
/// The length of the others, at least.
const LEAST: u64 = 64 * 1024;
/// The length of one that is there to be tried together with another.
const TRIAL: u64 = 4096;
/// A connection that has brought some bytes brings so many times as many in its next round trip.
const SOON: u64 = 2;

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
    fn end(&self, mut taking: Taking, result: Result<()>, sent: &mut Sent<'_>, is_several: bool) {
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
            // Once may be an accident, twice is a server without ranges.
            Err(error) if is_about_ranges(&error) && !taking.parts.iter().any(|part| part.wrong) => {
                sent.tell(Answer::Nothing);
                taking.parts.iter_mut().for_each(|part| part.wrong = true);
                self.again_alone(taking);
            }
            Err(error) if is_about_ranges(&error) => {
                sent.tell(Answer::Wrong(error.message().to_owned()));
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

    /// What did not come with others is asked for by itself, before all that waits; or it rides with everything else.
    fn again_alone(&self, taking: Taking) {
        let left = taking.left();
        let late = {
            let mut state = lock(&self.state);
            let stream = state.stream.as_mut().filter(|stream| stream.is_only_way());
            if let Some(stream) = stream {
                left.into_iter().filter_map(|part| stream.board(part)).collect()
            } else {
                left.into_iter().rev().for_each(|part| state.queue.push_front(Part { alone: true, ..part }));
                Vec::new()
            }
        };
        self.passed(late);
        self.transport.changed.notify_waiters();
    }

    /// Asks for everything, for one request.
    pub(super) async fn plain(&self, part: Part) {
        part.pending.count_exchange();
        let (condition, as_range, head) = {
            let mut state = lock(&self.state);
            (state.condition.take(), state.as_range, state.head.as_ref().map(|(_, is_wanted)| Arc::clone(is_wanted)))
        };
        let asked: &[Range] = if as_range { &[EVERYTHING] } else { &[] };
        let work = async {
            let answer = match self.ask(asked, condition.clone()).await {
                // Whoever stumbles over a range that is everything is asked without.
                Err(error) if as_range && is_about_ranges(&error) => {
                    part.pending.count_exchange();
                    lock(&self.state).as_range = false;
                    self.ask(&[], condition).await?
                }
                answer => answer?,
            };
            match answer {
                None => {
                    lock(&self.state).unchanged = true;
                    Ok(())
                }
                Some((mut incoming, body)) => {
                    // What is to be asked for once this connection is free again.
                    let mut next = None;
                    let length = match body {
                        Body::Range(answered) if as_range && answered.offset == 0 => {
                            // Without the length of everything, whoever wants more could not ask for it.
                            let behind = self.total().map(|total| total.saturating_sub(answered.length));
                            if head.as_ref().zip(behind).is_none_or(|(is_wanted, behind)| is_wanted(behind)) {
                                let (_, is_one_connection) = self.target().origin.slots();
                                match head.as_ref().and(behind) {
                                    // It comes sooner over this connection than over one that has yet to be made.
                                    Some(behind) if !is_one_connection && behind <= SOON * answered.length => {
                                        next = Some(answered.length);
                                    }
                                    _ => self.rest(&part, answered.length, false),
                                }
                            }
                            lock(&self.state).head = None;
                            Some(answered.length)
                        }
                        body => whole(body).map_err(|error| self.placed(error))?,
                    };
                    let mut end = 0;
                    while let Some(data) = self.receive(&mut incoming).await? {
                        supply(&part.pending, end, &data).await?;
                        end += data.len() as u64;
                    }
                    next.into_iter().for_each(|from| self.rest(&part, from, true));
                    self.check_end(end, length.or_else(|| self.total()))
                }
            }
        };
        let result = unless_stopped(std::slice::from_ref(&part), work).await;
        part.pending.settle(result);
    }

    /// What follows the beginning of everything is asked for over all connections: that takes no longer, and leaves all
    /// of them warm for the content; or `in_one`, over the one that has just brought the beginning. On the way, if it is long enough for that, a pair shows whether several ranges are
    /// answered; where they are not, it is asked for again, and arrives while the others are still on their way.
    fn rest(&self, part: &Part, from: u64, in_one: bool) {
        let (slots, is_one_connection) = self.target().origin.slots();
        let end = self.total().unwrap_or(Range::TO_END);
        if from >= end {
            return;
        }
        let share = match in_one || is_one_connection || end == Range::TO_END {
            true => end - from,
            false => (end - from).div_ceil(slots as u64).max(LEAST),
        };
        let ranges = (from..end).step_by(usize::try_from(share).unwrap_or(usize::MAX)).map(|offset| {
            let length = if end == Range::TO_END { Range::TO_END } else { share.min(end - offset) };
            Range::new(offset, length)
        });
        let mut parts: Vec<Part> = ranges.map(|range| Part::new(&part.pending, range)).collect();
        if !is_one_connection && parts.len() > 2 {
            // A little of the second, and the last: the others go first, and what is between keeps the two apart.
            let Range { offset, length } = parts[1].range;
            parts[1].range = Range::new(offset + TRIAL, length - TRIAL);
            parts.insert(parts.len() - 1, Part::new(&part.pending, Range::new(offset, TRIAL)));
            parts.iter_mut().rev().take(2).for_each(|part| part.trial = true);
        }
        part.pending.expect(parts.len());
        {
            let mut state = lock(&self.state);
            parts.into_iter().for_each(|part| state.enqueue(part));
        }
        self.transport.changed.notify_waiters();
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
        if status == StatusCode::PARTIAL_CONTENT {
            origin.has_ranges();
        }
        let is_whole = asked.is_empty() || asked == [EVERYTHING];
        self.pin(pin, is_whole.then(|| validators(&lines)), version)?;
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
            let beginning = state.head.as_ref().map_or(BEGINNING, |(length, _)| *length);
            set(RANGE, Some(&range_header(asked, beginning)));
            // What is read from its beginning may be of another version than before.
            let pin = state.pin.as_ref().filter(|_| asked != [EVERYTHING]);
            set(IF_RANGE, pin.and_then(Pin::validator));
        }
        (headers, state.version)
    }

    /// Compares what an answer says about its version with what is known. `whole` is there if it is all in one answer,
    /// which is consistent in itself, whatever was there before.
    pub(super) fn pin(&self, pin: Pin, whole: Option<Validators>, version: u64) -> Result<()> {
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
            // Answers that differ may come of a crowd of servers, too; one answer is always consistent in itself.
            state.as_range = false;
        }
        result.map_err(|error| self.placed(error))
    }

    /// The next bytes of a body, nothing at its end.
    pub(super) async fn receive(
        &self,
        incoming: &mut Incoming,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>> {
        incoming.next().await.map_err(|error| self.placed(error))
    }

    pub(super) fn total(&self) -> Option<u64> {
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

fn range_header(asked: &[Range], beginning: u64) -> String {
    if asked == [EVERYTHING] {
        return format!("bytes=0-{}", beginning - 1);
    }
    let one = |range: &Range| match range.is_to_end() {
        true => format!("{}-", range.offset),
        false => format!("{}-{}", range.offset, range.end().saturating_sub(1)),
    };
    format!("bytes={}", asked.iter().map(one).collect::<Vec<_>>().join(","))
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
