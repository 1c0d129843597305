//! The server: its listeners, its connections, who asked for what. What it answers is said in `behaviours`.
//!
//! Raw sockets and a thread for each connection, because much of what it sends no HTTP library would send.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockRef, Socket, Type};

use super::answer::{Answer, End};
use super::behaviours::{self, Ask, File};
use super::content::Content;
use super::request::Head;
use super::tls::Tls;

/// One of the server's addresses. All of them answer the same paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listener {
    /// Plain HTTP.
    #[default]
    Main,
    /// Plain HTTP at another port, which is another origin.
    Other,
    /// Plain HTTP, to be used as a proxy.
    Proxy,
    /// Plain HTTP that refuses connections until 0.4 seconds after `refused-then-up` was first asked for an index.
    Late,
    /// An `https:` address that takes connections and says nothing, ever.
    Mute,
    /// HTTPS with a certificate of a private authority.
    Tls,
    /// HTTPS with a certificate of that authority that has expired.
    TlsExpired,
    /// HTTPS with a certificate of that authority for another host.
    TlsWrongName,
}

impl Listener {
    const ALL: [Listener; 8] = [
        Listener::Main,
        Listener::Other,
        Listener::Proxy,
        Listener::Late,
        Listener::Mute,
        Listener::Tls,
        Listener::TlsExpired,
        Listener::TlsWrongName,
    ];
}

/// One request and what was answered.
#[derive(Debug, Serialize)]
pub struct Record {
    /// Seconds since the behaviour was first asked for anything.
    pub at: f64,
    /// Where it came in.
    pub listener: Listener,
    /// The request's method.
    pub method: String,
    /// What was asked for, as it came.
    pub target: String,
    /// Which of the files that is.
    pub file: File,
    /// The request's `Range`.
    pub range: Option<String>,
    /// The request's `If-Range`.
    pub if_range: Option<String>,
    /// The request's `If-None-Match`.
    pub if_none_match: Option<String>,
    /// The request's `Accept-Encoding`.
    pub accept_encoding: Option<String>,
    /// Whether it had credentials: `Authorization`, `Cookie` or `X-Token`.
    pub credentials: bool,
    /// The answer's status; 0 if there was none.
    pub status: u16,
    /// Bytes of the answer's body that were sent so far.
    pub sent: AtomicU64,
}

/// What a behaviour remembers. A name with a token, as `NAME@TOKEN`, has a memory of its own.
#[derive(Debug)]
pub struct Memory {
    started: Instant,
    /// What follows the `@`, or 0.
    pub token: u64,
    /// Requests for the content so far.
    pub asked: AtomicU64,
    /// A switch for what happens once.
    pub happened: AtomicBool,
    /// Links that were given out, and how often each was used.
    pub links: Mutex<Vec<u32>>,
    /// Who asked.
    records: Mutex<Vec<Arc<Record>>>,
}

/// What all connections share.
pub(super) struct Shared {
    contents: Mutex<HashMap<String, Arc<Content>>>,
    memories: Mutex<HashMap<String, Arc<Memory>>>,
    ports: HashMap<Listener, u16>,
    tls: Tls,
    /// Bound, but not listening yet.
    late: Mutex<Option<Socket>>,
}

/// A running server. It ends with the process.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// Serves these contents on free ports of 127.0.0.1.
    pub fn start<C: Into<Arc<Content>>>(contents: Vec<C>) -> io::Result<Server> {
        Server::start_at(contents, 0)
    }

    /// As [`Server::start`], with plain HTTP at this port.
    pub fn start_at<C: Into<Arc<Content>>>(contents: Vec<C>, port: u16) -> io::Result<Server> {
        let late = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        late.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        let late_port = late.local_addr()?.as_socket().map_or(0, |address| address.port());
        let mut ports = HashMap::from([(Listener::Late, late_port)]);
        let mut sockets = Vec::new();
        for listener in Listener::ALL.into_iter().filter(|listener| *listener != Listener::Late) {
            let socket = TcpListener::bind(("127.0.0.1", if listener == Listener::Main { port } else { 0 }))?;
            ports.insert(listener, socket.local_addr()?.port());
            sockets.push((listener, socket));
        }
        let tls = Tls::new().map_err(io::Error::other)?;
        let contents = contents.into_iter().map(|content| content.into());
        let contents = contents.map(|content: Arc<Content>| (content.name.clone(), content)).collect();
        let (contents, memories, late) = (Mutex::new(contents), Mutex::default(), Mutex::new(Some(late)));
        let server = Server { shared: Arc::new(Shared { contents, memories, ports, tls, late }) };
        for (listener, socket) in sockets {
            server.shared.clone().listen(listener, socket);
        }
        Ok(server)
    }

    /// The URL of a path on one of the listeners.
    pub fn url(&self, listener: Listener, path: &str) -> String {
        self.shared.url(listener, path)
    }

    /// The certificate of the authority that signed what the TLS listeners show, as PEM.
    pub fn ca(&self) -> &str {
        &self.shared.tls.ca
    }

    /// A content by its name.
    pub fn content(&self, name: &str) -> Option<Arc<Content>> {
        self.shared.content(name)
    }

    /// What a behaviour was asked for and answered, `name` with its token if it has one.
    pub fn records(&self, name: &str) -> Vec<Arc<Record>> {
        lock(&lock(&self.shared.memories).get(name).cloned().unwrap_or_else(|| Memory::new(name)).records).clone()
    }

    /// The addresses, and what there is to ask for.
    pub fn listing(&self) -> String {
        self.shared.listing()
    }

    /// Forgets what a behaviour remembers, so that it begins anew.
    pub fn forget(&self, name: &str) {
        lock(&self.shared.memories).remove(name);
    }
}

impl Memory {
    fn new(name: &str) -> Arc<Memory> {
        let token = name.split_once('@').and_then(|(_, token)| token.parse().ok()).unwrap_or(0);
        Arc::new(Memory {
            started: Instant::now(),
            token,
            asked: AtomicU64::new(0),
            happened: AtomicBool::new(false),
            links: Mutex::default(),
            records: Mutex::default(),
        })
    }

    /// Whether this is the first call.
    pub fn first_time(&self) -> bool {
        !self.happened.swap(true, Ordering::AcqRel)
    }

    /// When the content was first asked for, and whether that is longer ago than `time`.
    pub fn is_older(&self, time: Duration) -> bool {
        let first = lock(&self.records).iter().find(|record| record.file == File::Content).map(|record| record.at);
        first.is_some_and(|first| self.started.elapsed().as_secs_f64() - first >= time.as_secs_f64())
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection, with or without TLS.
trait Wire: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

impl Shared {
    pub(super) fn url(&self, listener: Listener, path: &str) -> String {
        let scheme = match listener {
            Listener::Mute | Listener::Tls | Listener::TlsExpired | Listener::TlsWrongName => "https",
            _ => "http",
        };
        format!("{scheme}://127.0.0.1:{}{path}", self.ports[&listener])
    }

    fn content(&self, name: &str) -> Option<Arc<Content>> {
        lock(&self.contents).get(name).cloned()
    }

    fn memory(&self, name: &str) -> Arc<Memory> {
        lock(&self.memories).entry(name.to_owned()).or_insert_with(|| Memory::new(name)).clone()
    }

    fn listen(self: Arc<Self>, listener: Listener, socket: TcpListener) {
        let accept = move || {
            for stream in socket.incoming().flatten() {
                let shared = self.clone();
                // A client that hangs up in the middle is its own affair.
                spawn(move || shared.converse(listener, stream).ok().unwrap_or_default());
            }
        };
        spawn(accept);
    }

    /// Lets the late listener accept, a while from now.
    pub(super) fn open_late(self: &Arc<Self>) {
        let Some(socket) = lock(&self.late).take() else { return };
        let shared = self.clone();
        spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            if socket.listen(128).is_ok() {
                shared.listen(Listener::Late, socket.into());
            }
        });
    }

    fn converse(self: &Arc<Self>, listener: Listener, mut stream: TcpStream) -> io::Result<()> {
        if listener == Listener::Mute {
            while stream.read(&mut [0; 1024])? > 0 {}
            return Ok(());
        }
        stream.set_nodelay(true)?;
        // Little room in the system, so that what counts as sent is what the client took, or nearly.
        SockRef::from(&stream).set_send_buffer_size(16 * 1024)?;
        let secure = |config: &Arc<ServerConfig>, stream| {
            let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            Ok::<Box<dyn Wire>, io::Error>(Box::new(StreamOwned::new(connection, stream)))
        };
        let wire: Box<dyn Wire> = match listener {
            Listener::Tls => secure(&self.tls.good, stream)?,
            Listener::TlsExpired => secure(&self.tls.expired, stream)?,
            Listener::TlsWrongName => secure(&self.tls.wrong_name, stream)?,
            _ => Box::new(stream),
        };
        let mut reader = BufReader::new(wire);
        while let Some(head) = Head::read(&mut reader)? {
            let (answer, record) = self.answer(listener, &head);
            answer.send(reader.get_mut(), head.method == "HEAD", &record.sent)?;
            match answer.end {
                End::Keep if !head.closes() && answer.version == "HTTP/1.1" => {}
                End::Keep | End::Close => break,
                End::Reset => {
                    return SockRef::from(reader.get_ref().tcp()).set_linger(Some(Duration::ZERO));
                }
                End::Stall => {
                    // Until the client has had enough.
                    while reader.read(&mut [0; 1024])? > 0 {}
                    break;
                }
            }
        }
        reader.get_ref().tcp().shutdown(std::net::Shutdown::Write)
    }

    /// Finds out what is asked for, and what the behaviour answers.
    fn answer(self: &Arc<Self>, listener: Listener, head: &Head) -> (Answer, Arc<Record>) {
        let (path, query) = head.path_and_query();
        let (name, file) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let memory = if file.is_empty() { Memory::new(name) } else { self.memory(name) };
        let kinds = [(".gosync", File::Index), (".old", File::Old)];
        let found = kinds.iter().find_map(|(suffix, kind)| Some((file.strip_suffix(suffix)?, *kind)));
        let (content, kind) = found.unwrap_or((file, File::Content));
        let behaviour = behaviours::find(name.split('@').next().unwrap_or_default());
        let answer = match (behaviour, self.content(content)) {
            (Some(behaviour), Some(content)) => {
                std::thread::sleep(content.delay);
                let number = match kind {
                    File::Content => memory.asked.fetch_add(1, Ordering::AcqRel),
                    _ => 0,
                };
                let shared = self;
                let memory = &*memory;
                behaviour.answer(&Ask {
                    head,
                    path,
                    query,
                    file: kind,
                    content: &content,
                    number,
                    memory,
                    listener,
                    shared,
                })
            }
            _ if file == "log" => Answer::new(200, log(&memory).into_bytes()).with("Content-Type", "application/json"),
            _ if path == "/" => Answer::new(200, self.listing().into_bytes()).with("Content-Type", "text/plain"),
            _ if path == "/ca.pem" => Answer::new(200, self.tls.ca.clone().into_bytes()),
            _ => Answer::empty(404),
        };
        let text = |name: &str| head.header(name).map(str::to_owned);
        let record = Arc::new(Record {
            at: memory.started.elapsed().as_secs_f64(),
            listener,
            method: head.method.clone(),
            target: head.target.clone(),
            file: kind,
            range: text("range"),
            if_range: text("if-range"),
            if_none_match: text("if-none-match"),
            accept_encoding: text("accept-encoding"),
            credentials: ["authorization", "cookie", "x-token"].iter().any(|name| head.header(name).is_some()),
            status: answer.status,
            sent: AtomicU64::new(0),
        });
        if file != "log" {
            lock(&memory.records).push(record.clone());
        }
        (answer, record)
    }

    /// What there is to ask for.
    fn listing(&self) -> String {
        let mut text = String::new();
        let mut names: Vec<String> = lock(&self.contents).keys().cloned().collect();
        names.sort();
        for listener in Listener::ALL {
            let name = serde_json::to_string(&listener).unwrap_or_default();
            text += &format!("{:<16} {}\n", name.trim_matches('"'), self.url(listener, "/"));
        }
        text += &format!("authority        {}\n", self.url(Listener::Main, "/ca.pem"));
        text += "\nBEHAVIOUR[@NUMBER]/CONTENT, …/CONTENT.gosync (index), …/CONTENT.old (to start from), …/log (who asked)\n";
        text += &format!("contents: {}\n\n", names.join(", "));
        for behaviour in behaviours::BEHAVIOURS {
            text += &format!("{}\n", self.url(Listener::Main, &format!("/{}/", behaviour.name)));
        }
        text
    }
}

fn log(memory: &Memory) -> String {
    let records: Vec<Arc<Record>> = lock(&memory.records).clone();
    let records: Vec<&Record> = records.iter().map(|record| &**record).collect();
    serde_json::to_string_pretty(&records).unwrap_or_default()
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    // Without a thread the client finds its connection closed.
    let _ = std::thread::Builder::new().name("conformance".into()).spawn(work);
}
