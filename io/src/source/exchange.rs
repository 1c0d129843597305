//! One exchange with an HTTP server: the request, the judgement of its answer, the body piece by piece into the
//! request that asked, and what a broken connection means.

use std::future::Future;
use std::ops::Deref;

use gosync_core::{Error, ErrorKind, Range, Result, Supply};
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE};

use super::PIECE;
use super::http::{Mode, Part, Shared, Validators};
use super::pending::{Pending, lock, unwanted};
use super::reply::{Body, judge};

/// Gives the probe's place back, however the probe ends.
struct Probe<'a>(&'a Shared);

impl Probe<'_> {
    /// The server answers ranges.
    fn proven(&self) {
        self.set(Mode::Ranges);
    }

    fn set(&self, mode: Mode) {
        let was_probing = {
            let mut state = lock(&self.0.state);
            let was_probing = state.mode == Mode::Probing;
            if was_probing {
                state.mode = mode;
            }
            was_probing
        };
        if was_probing {
            self.0.changed.notify_waiters();
        }
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.set(Mode::Unknown);
    }
}

impl Shared {
    /// Asks for one range and supplies what comes.
    pub(super) async fn range(&self, part: Part) {
        let probe = Probe(self);
        part.pending.count_exchange();
        let answer = unless_stopped(&part.pending, self.ask(Some(part.range))).await;
        let (response, body) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                drop(probe);
                return part.pending.settle(Err(error));
            }
        };
        let result = match body {
            Body::Range(answered) => {
                probe.proven();
                let work = self.take_range(&part, response, answered);
                unless_stopped(&part.pending, work).await
            }
            Body::Whole(length) => return self.take_over(part, response, length).await,
            Body::Nothing => Ok(()),
        };
        drop(probe);
        part.pending.settle(result);
    }

    /// Asks for everything, for one request.
    pub(super) async fn plain(&self, part: Part) {
        part.pending.count_exchange();
        let work = async {
            let condition = lock(&self.state).condition.take();
            let Some(answer) = self.ask_if(None, condition).await? else {
                lock(&self.state).unchanged = true;
                return Ok(());
            };
            match answer {
                (mut response, Body::Whole(length)) => {
                    let end = self.copy(&mut response, &part.pending, 0, length).await?;
                    self.check_end(end, length)
                }
                _ => Err(self
                    .placed(Error::new(ErrorKind::Source, "the server answered with a range that nobody asked for"))),
            }
        };
        let result = unless_stopped(&part.pending, work).await;
        part.pending.settle(result);
    }

    /// Sends a request for `range`, or for everything, and judges the head of the answer.
    pub(super) async fn ask(&self, range: Option<Range>) -> Result<(Response, Body)> {
        let answer = self.ask_if(range, None).await?;
        answer.ok_or_else(|| self.placed(Error::new(ErrorKind::Source, "the server answers 304 Not Modified")))
    }

    /// As `ask`; nothing if the content is what the condition says.
    async fn ask_if(&self, range: Option<Range>, condition: Option<Validators>) -> Result<Option<(Response, Body)>> {
        let mut request = self.client.get(self.url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            let last = if range.is_to_end() { String::new() } else { range.end().saturating_sub(1).to_string() };
            request = request.header(RANGE, format!("bytes={}-{last}", range.offset));
            if let Some(validator) = lock(&self.state).pin.as_ref().and_then(|pin| pin.validator()) {
                request = request.header(IF_RANGE, validator);
            }
        }
        let is_conditional = condition.is_some();
        if let Some(Validators { etag, last_modified }) = condition {
            let lines = [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, last_modified)];
            for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                request = request.header(name, value);
            }
        }
        let response = match tokio::time::timeout(self.timeout, request.send()).await {
            Ok(sent) => sent.map_err(|cause| self.broken(cause))?,
            Err(_) => return Err(self.silent()),
        };
        if is_conditional && response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let (body, pin) = judge(response.status(), response.headers(), range).map_err(|error| self.placed(error))?;
        {
            let mut state = lock(&self.state);
            if range.is_none() {
                let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
                state.validators = Some(Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) });
            }
            // Everything in one answer is consistent in itself, whatever was there before.
            let is_new = range.is_none() && state.stream.is_none();
            match &mut state.pin {
                Some(known) if !is_new => known.accept(pin).map_err(|error| self.placed(error))?,
                known => *known = Some(pin),
            }
        }
        Ok(Some((response, body)))
    }

    /// Supplies the body of an answer that is the range `answered`.
    async fn take_range(&self, part: &Part, mut response: Response, answered: Range) -> Result<()> {
        let end = self.copy(&mut response, &part.pending, answered.offset, Some(answered.end())).await?;
        let total = lock(&self.state).pin.as_ref().and_then(|pin| pin.total);
        let wanted = if part.range.is_to_end() { total.unwrap_or(end) } else { part.range.end() };
        if end < answered.end() || end < wanted || answered.offset > part.range.offset {
            return Err(self.placed(Error::new(
                ErrorKind::SourceTemporary,
                "the server's answer is shorter than what was asked for",
            )));
        }
        Ok(())
    }

    /// Supplies a body that begins at `offset` and may not go beyond `end`. Where it ended.
    async fn copy(&self, response: &mut Response, pending: &Pending, mut offset: u64, end: Option<u64>) -> Result<u64> {
        while let Some(data) = self.receive(response).await? {
            let next = offset.saturating_add(data.len() as u64);
            if end.is_some_and(|end| next > end) {
                return Err(self.placed(Error::new(ErrorKind::Source, "the server's answer is longer than it says")));
            }
            supply(pending, offset, &data).await?;
            offset = next;
        }
        Ok(offset)
    }

    /// The next bytes of a body, nothing at its end.
    pub(super) async fn receive(&self, response: &mut Response) -> Result<Option<impl Deref<Target = [u8]> + use<>>> {
        match tokio::time::timeout(self.timeout, response.chunk()).await {
            Ok(received) => received.map_err(|cause| self.broken(cause)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Whether a body of everything that ended at `end` is complete.
    pub(super) fn check_end(&self, end: u64, length: Option<u64>) -> Result<()> {
        let total = length.or_else(|| lock(&self.state).pin.as_ref().and_then(|pin| pin.total));
        match total {
            Some(total) if end < total => {
                let message = format!("the server's answer ended after {end} of {total} bytes");
                Err(self.placed(Error::new(ErrorKind::SourceTemporary, message)))
            }
            _ => Ok(()),
        }
    }

    /// An error with the place that it is about.
    pub(super) fn placed(&self, error: Error) -> Error {
        error.with("url", &self.name)
    }

    fn silent(&self) -> Error {
        let message = format!("the server was silent for {} seconds", self.timeout.as_secs_f64());
        self.placed(Error::new(ErrorKind::Timeout, message))
    }

    /// What a failure below HTTP means.
    fn broken(&self, cause: reqwest::Error) -> Error {
        // Its own URL may hold secrets.
        let cause = cause.without_url();
        let (kind, what) = match () {
            () if cause.is_timeout() => (ErrorKind::Timeout, "no connection in time"),
            () if cause.is_redirect() => (ErrorKind::Source, "cannot follow the server's redirects"),
            () if is_tls(&cause) => (ErrorKind::Source, "no secure connection to the server"),
            () if cause.is_builder() => (ErrorKind::Source, "the server's address cannot be used"),
            () if cause.is_connect() => (ErrorKind::SourceTemporary, "cannot connect to the server"),
            () => (ErrorKind::SourceTemporary, "the connection to the server broke"),
        };
        let root = std::iter::successors(Some(&cause as &dyn std::error::Error), |error| error.source()).last();
        let message = root.map_or_else(|| what.to_owned(), |root| format!("{what}: {root}"));
        self.placed(Error::new(kind, message)).caused_by(cause)
    }
}

/// Whether TLS itself failed, which the next try would repeat.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An I/O error hides what it carries from `source`.
        let carried = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        next = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    false
}

/// Does `work` until the request is stopped; then drops it, and its exchange with it, at once.
pub(super) async fn unless_stopped<T>(pending: &Pending, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = pending.until_stopped() => Err(unwanted()),
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
