//! The one way from the library's threads to JavaScript: messages of one call, in order, its result last.

use std::collections::BTreeMap;
use std::sync::Arc;

use gosync_binding::{Cancel, Event, Observer, Progress, Request};
use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeCallContext, ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{JsDeferred, Status};
use napi_derive::napi;

use crate::request::RequestHandle;
use crate::value::number;
use crate::work::{Outcome, Resolver};

/// Which messages the caller listens to.
#[napi(object, object_to_js = false)]
pub struct Wants {
    /// Progress.
    pub progress: bool,
    /// Events.
    pub events: bool,
}

/// A message to the caller: one member is there, and `own` with those that are about a source.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct Message {
    /// A moment of the work.
    pub progress: Option<ProgressInfo>,
    /// Something worth telling.
    pub event: Option<EventInfo>,
    /// The number of the caller's own source that the next three are about.
    pub own: Option<u32>,
    /// It is asked for ranges.
    pub request: Option<RequestHandle>,
    /// The answer to this request is no longer wanted.
    pub cancel: Option<f64>,
    /// There is room again for this request.
    pub resume: Option<f64>,
}

/// A moment of the work.
#[napi(object, object_from_js = false)]
pub struct ProgressInfo {
    /// What is being done.
    pub phase: &'static str,
    /// Whether a cancel now would still stop it.
    pub cancellable: bool,
    /// How much of all work is done.
    pub fraction: f64,
    /// Bytes of the target.
    pub total: f64,
    /// Bytes from seeds.
    pub from_seeds: f64,
    /// Bytes that were lacking and arrived.
    pub fetched: f64,
    /// Bytes that arrived and were not needed.
    pub wasted: f64,
    /// Verified bytes that were written; what was at its place already is not among them.
    pub written: f64,
    /// Round trips.
    pub requests: f64,
    /// Requests that were repeated.
    pub retries: f64,
}

/// Something worth telling.
#[napi(object, object_from_js = false)]
pub struct EventInfo {
    /// How much it matters.
    pub level: &'static str,
    /// A stable name for programs.
    pub kind: String,
    /// One line for people.
    pub message: String,
    /// The facts.
    pub fields: BTreeMap<String, String>,
}

/// What goes through the channel.
pub(crate) enum Signal {
    Progress(Progress),
    Event(Event),
    /// Of the caller's own sources, the one with this number is asked.
    Request(u32, Request),
    Cancel(u32, u64),
    Resume(u32, u64),
    /// The call is over.
    Settled(JsDeferred<Outcome, Resolver>, Box<Outcome>),
}

/// Weak: a channel does not keep the process alive. The promise of a running call does.
type WeakFunction = ThreadsafeFunction<Signal, (), Message, Status, false, true>;

/// The channel of one call. Clones are the same channel.
#[derive(Clone)]
pub(crate) struct Channel(Arc<WeakFunction>);

impl Channel {
    pub(crate) fn new(tell: &Function<'_, Message, ()>) -> napi::Result<Self> {
        let builder = tell.build_threadsafe_function::<Signal>().callee_handled::<false>().weak::<true>();
        Ok(Channel(Arc::new(builder.build_callback(deliver)?)))
    }

    /// Sends without waiting. What cannot be sent any more, because the environment is closing, is dropped.
    pub(crate) fn send(&self, signal: Signal) {
        self.0.call(signal, ThreadsafeFunctionCallMode::NonBlocking);
    }

    /// An observer that tells what the caller listens to.
    pub(crate) fn observer(&self, wants: &Wants, cancel: Cancel) -> Observer {
        let mut observer = Observer { cancel: Some(cancel), ..Observer::default() };
        if wants.progress {
            let channel = self.clone();
            observer.progress = Some(Arc::new(move |progress| channel.send(Signal::Progress(progress))));
        }
        if wants.events {
            let channel = self.clone();
            observer.events = Some(Arc::new(move |event| channel.send(Signal::Event(event))));
        }
        observer
    }
}

/// On the main thread: a signal becomes a message.
fn deliver(context: ThreadsafeCallContext<Signal>) -> napi::Result<Message> {
    let mut message = Message::default();
    match context.value {
        Signal::Progress(progress) => message.progress = Some(progress_info(&progress)),
        Signal::Event(event) => message.event = Some(event_info(event)),
        Signal::Request(own, request) => {
            (message.own, message.request) = (Some(own), Some(RequestHandle::new(request)));
        }
        Signal::Cancel(own, id) => (message.own, message.cancel) = (Some(own), Some(number(id))),
        Signal::Resume(own, id) => (message.own, message.resume) = (Some(own), Some(number(id))),
        // Through the channel although the promise has its own way: so no message arrives after the result.
        Signal::Settled(promise, outcome) => promise.resolve(Box::new(move |env| {
            if let Some(index) = &outcome.index {
                env.adjust_external_memory(index.weight())?;
            }
            Ok(*outcome)
        })),
    }
    Ok(message)
}

fn progress_info(progress: &Progress) -> ProgressInfo {
    ProgressInfo {
        phase: progress.phase,
        cancellable: progress.cancellable,
        fraction: progress.fraction,
        total: number(progress.total),
        from_seeds: number(progress.from_seeds),
        fetched: number(progress.fetched),
        wasted: number(progress.wasted),
        written: number(progress.written),
        requests: number(progress.requests),
        retries: number(progress.retries),
    }
}

fn event_info(event: Event) -> EventInfo {
    let Event { level, kind, message, fields } = event;
    EventInfo { level, kind, message, fields: fields.into_iter().collect() }
}
