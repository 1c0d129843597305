//! A source that reads a URL over HTTP. Here: its doors, and what its exchanges share. What waits and goes when is `queue`
//! and `ladder`; one exchange is `exchange`; a server without ranges is `stream`; what sources share is `pool`.

mod client;
mod credentials;
mod exchange;
mod failure;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod ladder;
mod limit;
mod multipart;
mod origin;
mod pool;
mod queue;
mod redirect;
mod reply;
mod stream;
mod taking;
mod wire;

use std::sync::{Arc, Mutex};

use gosync_core::source::Link;
use gosync_core::{Error, ErrorKind, Request, Result, Source};

use self::client::{Patience, Settings};
use self::credentials::Credentials;
use self::ladder::{MOST_RANGES, Several};
use self::pool::{Pool, Transport};
use self::queue::{Part, State};
use self::redirect::Target;
use super::pending::{Pending, lock, unwanted};
use crate::location::{Location, below, shown_url};
use crate::options::HttpOptions;
use crate::report::Observer;

/// A URL as a source. Credentials are sent to the URL's own origin only and never shown. Sources with the same options
/// share their connections and what they learn about an origin, as long as one of them is there.
pub struct HttpSource {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

/// What a server says to tell versions of a content apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The ETag as it came, weak or strong.
    pub etag: Option<String>,
    /// The date of the last change, as it came.
    pub last_modified: Option<String>,
}

/// What a source's exchanges and its callers share.
struct Shared {
    transport: Arc<Transport>,
    credentials: Arc<Credentials>,
    patience: Patience,
    /// The place that was opened.
    home: Target,
    /// The URL as people may see it.
    name: String,
    observer: Observer,
    state: Mutex<State>,
}

impl HttpSource {
    /// Checks the URL and the options; contacts nobody yet.
    pub fn open(url: &str, options: &HttpOptions, observer: &Observer) -> Result<Self> {
        let Location::Http(mut url) = Location::parse(url)? else {
            return Err(Error::new(ErrorKind::Argument, "not an http: or https: URL"));
        };
        url.set_fragment(None);
        let credentials = Arc::new(Credentials::of(options, &url)?);
        let pool = Pool::of(Settings::of(options, &url)?)?;
        let transport = Arc::clone(pool.transport());
        let home = Target::home(url.clone(), transport.origins.of(&url));
        let shared = Arc::new(Shared {
            transport,
            credentials,
            patience: Patience::of(options),
            home,
            name: shown_url(&url),
            observer: observer.clone(),
            state: Mutex::default(),
        });
        Ok(HttpSource::start(shared, pool))
    }

    fn start(shared: Arc<Shared>, pool: Arc<Pool>) -> Self {
        pool.spawn(Arc::clone(&shared).serve());
        HttpSource { shared, pool }
    }

    /// Makes the next request for everything (`[0, TO_END]`) conditional. If the content is still what `known` says, that
    /// request is finished without any byte, and [`HttpSource::is_unchanged`] is true.
    pub fn read_if_changed(&self, known: Validators) {
        let mut state = lock(&self.shared.state);
        state.condition = Some(known);
        state.unchanged = false;
    }

    /// Asks for everything (`[0, TO_END]`) by ranges, the first of which begins at 0: its answer tells everybody who reads
    /// from this origin whether there are ranges. One without is taken as it comes.
    pub fn prove_ranges(&self) {
        lock(&self.shared.state).as_range = true;
    }

    /// As [`HttpSource::prove_ranges`], but the next time a server that has ranges is asked for nothing behind the
    /// beginning, `length` bytes, unless so many bytes are wanted at once, by `is_wanted`: whoever reads everything gets the
    /// beginning then, and asks for what else it wants, by ranges.
    pub(crate) fn read_head(&self, length: u64, is_wanted: impl Fn(u64) -> bool + Send + Sync + 'static) {
        let mut state = lock(&self.shared.state);
        state.as_range = true;
        state.head = Some((length, Arc::new(is_wanted)));
    }

    /// How long the content is, as the server says.
    pub(crate) fn total(&self) -> Option<u64> {
        self.shared.total()
    }

    /// Whether the server said that the content is what [`HttpSource::read_if_changed`] was told.
    pub fn is_unchanged(&self) -> bool {
        lock(&self.shared.state).unchanged
    }

    /// What the server said about the version that was last begun to be read whole.
    pub fn validators(&self) -> Option<Validators> {
        lock(&self.shared.state).validators.clone()
    }
}

impl Source for HttpSource {
    fn fetch(&self, request: Request) {
        let ranges = request.ranges().to_vec();
        let pending = Pending::new(request, ranges.len());
        {
            let mut state = lock(&self.shared.state);
            state.live.add(&pending);
            ranges.into_iter().for_each(|range| state.enqueue(Part::new(&pending, range)));
        }
        self.shared.transport.changed.notify_waiters();
    }

    fn cancel(&self, id: u64) {
        let pending = lock(&self.shared.state).live.find(id);
        if let Some(pending) = pending {
            pending.stop();
            self.shared.transport.changed.notify_waiters();
        }
    }

    fn resume(&self, id: u64) {
        let pending = lock(&self.shared.state).live.find(id);
        if let Some(pending) = pending {
            pending.resume();
        }
    }

    fn link(&self) -> Link {
        self.shared.link()
    }

    /// With the query of this URL, which may be what permits to read there.
    fn below(&self, name: &str) -> Option<Result<Arc<dyn Source>>> {
        let Shared { transport, credentials, patience, home, observer, .. } = &*self.shared;
        let url = below(home.url(), name);
        let shared = Shared {
            transport: Arc::clone(transport),
            credentials: Arc::clone(credentials),
            patience: *patience,
            name: shown_url(&url),
            home: Target::home(url.clone(), transport.origins.of(&url)),
            observer: observer.clone(),
            state: Mutex::default(),
        };
        Some(Ok(Arc::new(HttpSource::start(Arc::new(shared), Arc::clone(&self.pool)))))
    }

    fn describe(&self) -> String {
        self.shared.name.clone()
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        let (pending, queue) = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            (state.live.all(), std::mem::take(&mut state.queue))
        };
        pending.iter().for_each(|pending| pending.stop());
        self.pool.transport().changed.notify_waiters();
        queue.into_iter().for_each(|part| part.pending.settle(Err(unwanted())));
    }
}

impl Shared {
    fn link(&self) -> Link {
        let origin = self.target().origin;
        let mut state = lock(&self.state);
        state.learn(&origin);
        let (slots, _) = origin.slots();
        let together = slots.saturating_mul(MOST_RANGES);
        let (expected, proven) = match (state.ladder.ranges(), state.ladder.several()) {
            (Some(false), _) => (1, 1),
            (_, Several::Refused) => (slots, slots),
            (_, Several::Proven) => (together, together),
            // Not tried yet, they are reckoned with: a gap that was fetched needlessly does not come back.
            _ => (together, slots),
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Link {
            round_trip: origin.round_trip(),
            rate: origin.rate(),
            parallel: number(expected),
            proven: number(proven),
            ranges: state.ladder.ranges(),
            at_once: number(slots),
            files: 0,
            copies: 0,
            reason: (!state.steps.is_empty()).then(|| state.steps.join("; ")),
        }
    }

    /// An error with the place that it is about.
    fn placed(&self, error: Error) -> Error {
        error.with("url", &self.name)
    }
}
