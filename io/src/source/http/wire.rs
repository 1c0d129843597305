//! One request on the wire, and the bytes of its answer: time-outs, stale connections, what is measured on the way.
//! What is asked for and what an answer means is for others (`exchange`, `redirect`).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gosync_core::{Error, ErrorKind, Result};
use reqwest::{RequestBuilder, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::failure::{broken, is_stale};
use super::limit::Limiter;
use super::origin::Origin;
use crate::source::pending::lock;

/// An answer's body of at most this many bytes that nobody needs is read to its end, which keeps the connection.
const MOST_DRAINED: usize = 64 * 1024;

tokio::task_local! {
    /// The clock of the request that this task is sending.
    static CLOCK: Arc<Clock>;
}

/// When a request could really begin.
#[derive(Debug)]
struct Clock {
    times: Mutex<Times>,
    origin: Arc<Origin>,
}

#[derive(Debug)]
struct Times {
    /// When it was sent, as far as that is known.
    sent: Instant,
    /// A connection is being made for it.
    connecting: bool,
    /// It goes over a connection that was made for it.
    fresh: bool,
    /// The origin knows that a connection is being made.
    told: bool,
}

impl Clock {
    fn new(origin: Arc<Origin>) -> Arc<Self> {
        let times = Times { sent: Instant::now(), connecting: false, fresh: false, told: false };
        Arc::new(Clock { times: Mutex::new(times), origin })
    }

    /// When it was sent; nothing while it waits for its connection.
    fn sent(&self) -> Option<Instant> {
        let times = lock(&self.times);
        (!times.connecting).then_some(times.sent)
    }

    fn is_fresh(&self) -> bool {
        lock(&self.times).fresh
    }

    /// Waits until this request may make a connection. Whether it has to: not if it got another one meanwhile.
    async fn begin_connect(self: &Arc<Self>) -> bool {
        lock(&self.times).connecting = true;
        loop {
            let connected = self.origin.connected();
            {
                let mut times = lock(&self.times);
                if times.told || self.origin.begin_connect() {
                    times.told = true;
                    return true;
                }
            }
            connected.await;
            if !self.is_own() {
                return false;
            }
        }
    }

    /// Whether it is still its request that waits here. A connect that lost against a connection that became free goes on
    /// in a task of its own.
    fn is_own(self: &Arc<Self>) -> bool {
        CLOCK.try_with(|own| Arc::ptr_eq(own, self)).unwrap_or(false)
    }

    /// A connect has ended; `own` if it is still this request that waited for it, and not one that got another connection.
    fn end_connect(&self, own: bool) {
        let mut times = lock(&self.times);
        times.connecting = false;
        if own {
            (times.sent, times.fresh) = (Instant::now(), true);
        }
    }
}

/// Tells the origin, however the request ends, that no connection is being made for it any more.
struct Sending<'a>(&'a Clock);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        // A connect that goes on by itself after this is nobody's business any more.
        if std::mem::replace(&mut lock(&self.0.times).told, true) {
            self.0.origin.end_connect();
        }
    }
}

/// Tells the time that making a connection takes from the time that an answer takes, and has one connection made at a time
/// where one will carry all requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed;

/// A connector whose connects are timed.
#[derive(Clone, Debug)]
pub(super) struct TimedConnector<S>(S);

impl<S> Layer<S> for Timed {
    type Service = TimedConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimedConnector(inner)
    }
}

impl<S, R> Service<R> for TimedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Error: From<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let connecting = self.0.call(destination);
        let clock = CLOCK.try_with(Arc::clone).ok();
        Box::pin(async move {
            if let Some(clock) = &clock
                && !clock.begin_connect().await
            {
                return Err(S::Error::from("the request has a connection already".into()));
            }
            let result = connecting.await;
            if let Some(clock) = &clock {
                clock.end_connect(clock.is_own());
            }
            result
        })
    }
}

/// Sends what `request` makes and waits for the head of the answer. A connection that had been used before and turns out
/// to be closed is no failure: the request goes over another one, up to `tries` times.
pub(super) async fn send(
    request: impl Fn() -> RequestBuilder,
    patience: Duration,
    tries: usize,
    origin: &Arc<Origin>,
) -> Result<Response> {
    let mut stale = 0;
    loop {
        let clock = Clock::new(Arc::clone(origin));
        let _end = Sending(&clock);
        let sending = CLOCK.scope(Arc::clone(&clock), request().send());
        match within(sending, patience, &clock).await? {
            Ok(response) => {
                if let Some(sent) = clock.sent() {
                    origin.answered(response.version(), sent.elapsed());
                }
                return Ok(response);
            }
            Err(cause) if stale < tries && !clock.is_fresh() && is_stale(&cause) => stale += 1,
            Err(cause) => return Err(broken(cause)),
        }
    }
}

/// Waits for the head of an answer, but not longer than `patience` once the request is on its way.
async fn within<T>(sending: impl Future<Output = T>, patience: Duration, clock: &Clock) -> Result<T> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let end = clock.sent().unwrap_or_else(Instant::now) + patience;
        tokio::select! {
            biased;
            result = &mut sending => return Ok(result),
            () = tokio::time::sleep_until(end.into()) => {
                if clock.sent().is_some_and(|sent| sent.elapsed() >= patience) {
                    return Err(silent(patience));
                }
            }
        }
    }
}

fn silent(patience: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("the server was silent for {} seconds", patience.as_secs_f64()))
}

/// The body of an answer, as it arrives.
pub(super) struct Incoming {
    response: Response,
    origin: Arc<Origin>,
    limiter: Arc<Limiter>,
    patience: Duration,
    /// What has arrived and is handed on in smaller pieces.
    held: Bytes,
    has_begun: bool,
}

impl Incoming {
    pub(super) fn new(response: Response, origin: Arc<Origin>, limiter: Arc<Limiter>, patience: Duration) -> Self {
        Incoming { response, origin, limiter, patience, held: Bytes::new(), has_begun: false }
    }

    /// The next bytes, nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.held.is_empty() {
            match tokio::time::timeout(self.patience, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    match std::mem::replace(&mut self.has_begun, true) {
                        false => self.origin.begins(),
                        true => self.origin.arrived(bytes.len()),
                    }
                    self.held = bytes;
                }
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(cause)) => return Err(broken(cause)),
                Err(_) => return Err(silent(self.patience)),
            }
        }
        let piece = self.held.split_to(self.held.len().min(self.limiter.slice()));
        self.limiter.pay(piece.len()).await;
        Ok(Some(piece))
    }

    /// Reads what little is left of an answer that nobody needs, so that its connection can be used again.
    pub(super) fn drain(mut self) {
        if self.response.content_length().is_some_and(|length| length <= MOST_DRAINED as u64) {
            tokio::spawn(async move {
                let mut left = MOST_DRAINED;
                while let Ok(Some(bytes)) = self.next().await {
                    left = left.saturating_sub(bytes.len());
                    if left == 0 {
                        return;
                    }
                }
            });
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.has_begun {
            self.origin.ends();
        }
    }
}
