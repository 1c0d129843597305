//! A source that reads a URL over HTTP by parallel single ranges: the queue of ranges, who may begin when, and the
//! thread that all of it runs on. One exchange on the wire is `exchange`; a server without ranges is `stream`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gosync_core::{Error, ErrorKind, Range, Request, Result, Source};
use reqwest::Client;
use tokio::sync::Notify;
use url::Url;

use super::pending::{Live, Pending, lock, unwanted};
use super::reply::Pin;
use super::stream::Stream;
use crate::location::{Location, shown_url};
use crate::options::HttpOptions;
use crate::report::Observer;

const CONNECTIONS: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A URL as a source. A user name and password in the URL are sent to its own origin only and never shown.
pub struct HttpSource {
    shared: Arc<Shared>,
}

/// What the thread and the callers share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) url: Url,
    /// The URL as people may see it.
    pub(super) name: String,
    pub(super) timeout: Duration,
    pub(super) observer: Observer,
    pub(super) state: Mutex<State>,
    /// Something in the state is new.
    pub(super) changed: Notify,
}

/// What a server says to tell versions of a content apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The ETag as it came, weak or strong.
    pub etag: Option<String>,
    /// The date of the last change, as it came.
    pub last_modified: Option<String>,
}

#[derive(Default)]
pub(super) struct State {
    /// The next reading of everything is only wanted if the content is another one than this.
    pub(super) condition: Option<Validators>,
    pub(super) unchanged: bool,
    pub(super) validators: Option<Validators>,
    pub(super) queue: VecDeque<Part>,
    live: Live,
    pub(super) mode: Mode,
    pub(super) pin: Option<Pin>,
    /// The one body that everything rides on when the server has no ranges.
    pub(super) stream: Option<Stream>,
    pub(super) closed: bool,
}

/// One range of a request.
pub(super) struct Part {
    pub(super) pending: Arc<Pending>,
    pub(super) range: Range,
}

/// What is known about the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing: the next range goes alone.
    #[default]
    Unknown,
    /// A range has been asked for, and nothing is known yet.
    Probing,
    /// It answers ranges.
    Ranges,
    /// It answers with everything.
    Whole,
}

/// What a free connection does next.
enum Work {
    Range(Part),
    /// Everything, as its own exchange.
    Plain(Part),
    /// Everything, for all that waits.
    Stream,
    /// The source is closed.
    End,
}

impl Part {
    /// Whether it asks for everything, which needs no ranges.
    fn is_plain(&self) -> bool {
        self.range == Range::new(0, Range::TO_END)
    }
}

impl HttpSource {
    /// Checks the URL and makes a client; contacts nobody yet.
    pub fn open(url: &str, options: &HttpOptions, observer: &Observer) -> Result<Self> {
        let Location::Http(mut url) = Location::parse(url)? else {
            return Err(Error::new(ErrorKind::Argument, "not an http: or https: URL"));
        };
        url.set_fragment(None);
        let name = shown_url(&url);
        let connections = if options.connections == 0 { CONNECTIONS } else { options.connections };
        let timeout = if options.timeout.is_zero() { TIMEOUT } else { options.timeout };
        let client = client(&url, connections, timeout, options.proxy.as_deref() == Some(""))?;
        let (state, changed) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { client, url, name, timeout, observer: observer.clone(), state, changed });
        let source = HttpSource { shared: Arc::clone(&shared) };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("gosync-http")
            .max_blocking_threads(connections)
            .build()
            .map_err(no_thread)?;
        let serve = move || {
            runtime.block_on(shared.serve(connections));
            // A name lookup may still hang in the system; it is not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("gosync-http".into()).spawn(serve).map_err(no_thread)?;
        Ok(source)
    }
}

impl HttpSource {
    /// Makes the next request for everything (`[0, TO_END]`) conditional. If the content is still what `known` says, that
    /// request is finished without any byte, and [`HttpSource::is_unchanged`] is true.
    pub fn read_if_changed(&self, known: Validators) {
        let mut state = lock(&self.shared.state);
        state.condition = Some(known);
        state.unchanged = false;
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

fn no_thread(cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot start a thread for HTTP: {cause}")).caused_by(cause)
}

impl Source for HttpSource {
    fn fetch(&self, request: Request) {
        let ranges = request.ranges().to_vec();
        let pending = Pending::new(request, ranges.len());
        let parts: Vec<Part> = ranges.into_iter().map(|range| Part { pending: Arc::clone(&pending), range }).collect();
        {
            let mut state = lock(&self.shared.state);
            state.live.add(&pending);
            parts.into_iter().for_each(|part| state.enqueue(part));
        }
        self.shared.changed.notify_waiters();
    }

    fn cancel(&self, id: u64) {
        let pending = lock(&self.shared.state).live.find(id);
        if let Some(pending) = pending {
            pending.stop();
            self.shared.changed.notify_waiters();
        }
    }

    fn resume(&self, id: u64) {
        let pending = lock(&self.shared.state).live.find(id);
        if let Some(pending) = pending {
            pending.resume();
        }
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
        self.shared.changed.notify_waiters();
        queue.into_iter().for_each(|part| part.pending.settle(Err(unwanted())));
    }
}

impl State {
    /// A range waits for its turn, or joins the stream.
    pub(super) fn enqueue(&mut self, part: Part) {
        match &mut self.stream {
            Some(stream) => stream.join(part),
            None => self.queue.push_back(part),
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

    /// What a free connection may begin now.
    fn next(&mut self) -> Option<Work> {
        if self.closed {
            return Some(Work::End);
        }
        match self.mode {
            Mode::Probing => {
                let plain = self.queue.iter().position(Part::is_plain)?;
                self.queue.remove(plain).map(Work::Plain)
            }
            Mode::Unknown | Mode::Ranges => {
                let part = self.queue.pop_front()?;
                if part.is_plain() {
                    return Some(Work::Plain(part));
                }
                if self.mode == Mode::Unknown {
                    self.mode = Mode::Probing;
                }
                Some(Work::Range(part))
            }
            Mode::Whole if self.stream.is_none() && !self.queue.is_empty() => {
                self.begin_stream();
                Some(Work::Stream)
            }
            Mode::Whole => None,
        }
    }

    /// From now on everything that waits rides on one body.
    pub(super) fn begin_stream(&mut self) {
        self.mode = Mode::Whole;
        self.stream = Some(Stream::new(self.queue.drain(..).collect()));
    }
}

impl Shared {
    /// The life of the thread: as many tasks as there may be exchanges at once, until the source is closed.
    async fn serve(self: &Arc<Self>, connections: usize) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(Arc::clone(self).work());
        }
        // A task ends when the source is closed, or when a panicking taker has killed it.
        while let Some(end) = tasks.join_next().await {
            if end.is_err() {
                tasks.spawn(Arc::clone(self).work());
            }
        }
    }

    async fn work(self: Arc<Self>) {
        loop {
            match self.next().await {
                Work::Range(part) => self.range(part).await,
                Work::Plain(part) => self.plain(part).await,
                Work::Stream => self.stream().await,
                Work::End => return,
            }
        }
    }

    async fn next(&self) -> Work {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (over, next) = {
                let mut state = lock(&self.state);
                let over = state.remove_over();
                (over, state.next())
            };
            over.into_iter().for_each(|part| part.pending.settle(Err(unwanted())));
            if let Some(work) = next {
                return work;
            }
            changed.await;
        }
    }
}

/// A client that trusts what the platform trusts, with its own TLS set-up, so that nothing of the process is changed.
fn client(url: &Url, connections: usize, timeout: Duration, ignore_proxy_settings: bool) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("gosync/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls(url)?)
        .redirect(reqwest::redirect::Policy::limited(10))
        // The query of a URL may be a secret, and a referer would tell it to another origin.
        .referer(false)
        .connect_timeout(timeout)
        .pool_max_idle_per_host(connections);
    if ignore_proxy_settings {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|cause| {
        let cause = cause.without_url();
        Error::new(ErrorKind::SourceUnsupported, format!("cannot set up HTTP: {cause}")).caused_by(cause)
    })
}

fn tls(url: &Url) -> Result<rustls::ClientConfig> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let fail = |cause: rustls::Error| {
        Error::new(ErrorKind::SourceUnsupported, format!("cannot set up TLS: {cause}")).caused_by(cause)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        || rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let mut config = match builder().map_err(fail)?.with_platform_verifier() {
        Ok(builder) => builder.with_no_client_auth(),
        // A machine without trust roots can still use plain HTTP; a redirect to https: then fails.
        Err(_) if url.scheme() == "http" => {
            builder().map_err(fail)?.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        }
        Err(cause) => return Err(fail(cause)),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
