//! A small HTTP/1.1 file server on loopback for tests: single ranges, strong ETags, keep-alive; it counts what it sends,
//! and can be told to know no ranges or to fail now and then. Several ranges in one request are answered by the whole file,
//! as the protocol allows. Not for any other use.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::conformance::request::{Head, ranges};

/// How the server behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Answer every request with the whole file.
    pub no_ranges: bool,
    /// Answer every so-manieth request with 503. 0 never.
    pub fail_every: u64,
    /// Bytes of bodies per second, of all answers together. 0 for no bound.
    pub rate: u64,
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The request's method.
    pub method: String,
    /// The request's path, as it came.
    pub path: String,
    /// The request's `Range` header.
    pub range: Option<String>,
    /// The answer's status.
    pub status: u16,
    /// Bytes of the answer's body that were sent.
    pub bytes: u64,
}

impl Record {
    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "method": self.method, "path": self.path, "range": self.range, "status": self.status, "bytes": self.bytes,
        })
        .to_string()
    }
}

/// Who hears of each request.
type OnRecord = Box<dyn Fn(&Record) + Send + Sync>;

struct Shared {
    folder: PathBuf,
    options: Options,
    count: AtomicU64,
    records: Mutex<Vec<Record>>,
    listener: OnRecord,
    /// Bytes of bodies by path, as they go out.
    sent: Mutex<BTreeMap<String, u64>>,
    /// When the next piece may go out, where there is a rate.
    free: Mutex<Option<Instant>>,
}

/// What is sent, and counted, at once.
const PIECE: usize = 16 * 1024;

/// A running server. It ends with the process.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    /// Serves what is in and below `folder` on a free port.
    pub fn start(folder: impl Into<PathBuf>, options: Options) -> io::Result<Server> {
        Self::start_with(folder, options, Box::new(|_| {}))
    }

    /// As [`Server::start`], and `listener` hears of each request when it has been answered.
    pub fn start_with(folder: impl Into<PathBuf>, options: Options, listener: OnRecord) -> io::Result<Server> {
        let socket = TcpListener::bind(("127.0.0.1", 0))?;
        let port = socket.local_addr()?.port();
        let (count, records) = (AtomicU64::new(0), Mutex::default());
        let (folder, sent, free) = (folder.into(), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { folder, options, count, records, listener, sent, free });
        let server = Server { port, shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let shared = shared.clone();
                // A client that hangs up in the middle is its own affair.
                std::thread::spawn(move || shared.converse(stream).ok());
            }
        });
        Ok(server)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// What was asked for and answered since the last call.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *lock(&self.shared.records))
    }

    /// Bytes of bodies that have gone out for `path` by now, those of answers that are still going on included.
    pub fn sent(&self, path: &str) -> u64 {
        lock(&self.shared.sent).get(path).copied().unwrap_or(0)
    }

    /// The same for all paths that begin so.
    pub fn sent_below(&self, prefix: &str) -> u64 {
        let sent = lock(&self.shared.sent);
        sent.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(_, bytes)| bytes).sum()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Answers requests until the client has enough.
    fn converse(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        while let Some(head) = Head::read(&mut reader)? {
            let (status, bytes, result) = self.answer(&head, &mut out);
            let (is_last, range) = (head.closes(), head.header("range").map(str::to_owned));
            let record = Record { method: head.method, path: head.target, range, status, bytes };
            (self.listener)(&record);
            lock(&self.records).push(record);
            result?;
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// Answers one; returns status and bytes of the body even if the client hangs up.
    fn answer(&self, head: &Head, out: &mut TcpStream) -> (u16, u64, io::Result<()>) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = self.options.fail_every > 0 && number.is_multiple_of(self.options.fail_every);
        if fails {
            return empty(out, 503, "Service Unavailable", "Retry-After: 0\r\n");
        }
        if head.method != "GET" && head.method != "HEAD" {
            return empty(out, 405, "Method Not Allowed", "Allow: GET, HEAD\r\n");
        }
        match self.find(head.path_and_query().0) {
            Ok((file, length, tag)) => self.send(head, file, length, &tag, out),
            Err(_) => empty(out, 404, "Not Found", ""),
        }
    }

    fn find(&self, path: &str) -> io::Result<(File, u64, String)> {
        let name = decoded(path.trim_start_matches('/'));
        let is_plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || name.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = File::open(self.folder.join(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let changed = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok((file, metadata.len(), format!("\"{:x}-{:x}\"", metadata.len(), changed.as_nanos())))
    }

    fn send(&self, head: &Head, file: File, length: u64, tag: &str, out: &mut TcpStream) -> (u16, u64, io::Result<()>) {
        let is_current = head.header("if-range").is_none_or(|known| known == tag);
        let asked = head.header("range").filter(|_| is_current && !self.options.no_ranges);
        let (status, reason, first, count) = match asked.and_then(|text| ranges(text, length)).as_deref() {
            Some([(first, end)]) => (206, "Partial Content", *first, end - first),
            Some([]) => {
                let header = format!("Content-Range: bytes */{length}\r\n");
                return empty(out, 416, "Range Not Satisfiable", &header);
            }
            Some(_) | None => (200, "OK", 0, length),
        };
        let mut header = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {count}\r\nETag: {tag}\r\n");
        if !self.options.no_ranges {
            header += "Accept-Ranges: bytes\r\n";
        }
        if status == 206 {
            header += &format!("Content-Range: bytes {first}-{}/{length}\r\n", first + count - 1);
        }
        let mut sent = 0;
        let result = out.write_all((header + "\r\n").as_bytes()).and_then(|()| {
            if head.method == "HEAD" { Ok(()) } else { self.copy(head, file, first, count, out, &mut sent) }
        });
        (status, sent, result)
    }

    fn copy(
        &self,
        head: &Head,
        mut file: File,
        first: u64,
        count: u64,
        out: &mut TcpStream,
        sent: &mut u64,
    ) -> io::Result<()> {
        file.seek(SeekFrom::Start(first))?;
        let mut rest = file.take(count);
        let mut buffer = [0; PIECE];
        loop {
            match rest.read(&mut buffer)? {
                0 if *sent == count => return Ok(()),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    self.wait_for(read);
                    out.write_all(&buffer[..read])?;
                    *sent += read as u64;
                    *lock(&self.sent).entry(head.path_and_query().0.trim_start_matches('/').to_owned()).or_default() +=
                        read as u64;
                }
            }
        }
    }

    /// Waits for this piece's turn.
    fn wait_for(&self, bytes: usize) {
        if self.options.rate == 0 {
            return;
        }
        let turn = {
            let mut free = lock(&self.free);
            let turn = free.unwrap_or_else(Instant::now).max(Instant::now());
            *free = Some(turn + Duration::from_secs_f64(bytes as f64 / self.options.rate as f64));
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
    }
}

fn empty(out: &mut TcpStream, status: u16, reason: &str, header: &str) -> (u16, u64, io::Result<()>) {
    let text = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n{header}\r\n");
    (status, 0, out.write_all(text.as_bytes()))
}

/// The path without its percent signs.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
