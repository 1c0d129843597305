//! A small HTTP server for the tests: GET and HEAD of a few files, single ranges, and some bad habits.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The validator of every file.
const TAG: &str = "\"v1\"";

/// How the server answers for one file.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Habit {
    /// As it should.
    Good,
    /// Ignores ranges: 200 and everything.
    NoRanges,
    /// Sends a few bytes of a body, then nothing more, and keeps the connection.
    Hangs,
    /// Sends bodies in small pieces with pauses between them.
    Slow,
    /// Answers with this status.
    Fails(u16),
}

/// A server on loopback that lives as long as the test's process.
pub(crate) struct Server {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    files: Mutex<HashMap<String, (Vec<u8>, Habit)>>,
    bytes: AtomicU64,
    asked: Mutex<Vec<String>>,
    heads: Mutex<Vec<String>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is part of the tests.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Server { address, shared }
    }

    /// Publishes `content` under `name`.
    pub(crate) fn publish(&self, name: &str, content: Vec<u8>, habit: Habit) {
        self.shared.files.lock().unwrap().insert(format!("/{name}"), (content, habit));
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Bytes of bodies that were sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// Waits until somebody asks for `name`.
    #[cfg(unix)]
    pub(crate) fn wait_for(&self, name: &str) {
        let path = format!("/{name}");
        for _ in 0..500 {
            if self.shared.asked.lock().unwrap().contains(&path) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("nobody asked for {name}");
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let (mut first, mut range, mut known) = (String::new(), None, false);
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let mut head = first.clone();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                head += &line;
                if line.trim().is_empty() {
                    break;
                }
                match line.split_once(':') {
                    Some((name, value)) if name.eq_ignore_ascii_case("range") => range = parse_range(value.trim()),
                    Some((name, value)) if name.eq_ignore_ascii_case("if-none-match") => known = value.trim() == TAG,
                    _ => {}
                }
            }
            let mut words = first.split_whitespace();
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let path = path.split('?').next().unwrap_or_default();
            self.heads.lock().unwrap().push(head.to_ascii_lowercase());
            self.asked.lock().unwrap().push(path.to_owned());
            if known {
                write!(stream, "HTTP/1.1 304 Not Modified\r\nETag: {TAG}\r\n\r\n")?;
                continue;
            }
            self.answer(&mut stream, method == "HEAD", path, range)?;
        }
    }

    fn answer(&self, stream: &mut TcpStream, head: bool, path: &str, range: Option<(u64, u64)>) -> Result<()> {
        let file = self.files.lock().unwrap().get(path).cloned();
        let Some((content, habit)) = file else { return refuse(stream, 404) };
        if let Habit::Fails(status) = habit {
            return refuse(stream, status);
        }
        let total = content.len() as u64;
        let (status, extra, body) = match range.filter(|_| habit != Habit::NoRanges) {
            Some((first, _)) if first >= total => return refuse(stream, 416),
            Some((first, last)) => {
                let last = last.min(total - 1);
                let extra = format!("Content-Range: bytes {first}-{last}/{total}\r\n");
                ("206 Partial Content", extra, &content[first as usize..=last as usize])
            }
            None => ("200 OK", String::new(), &content[..]),
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {TAG}\r\n{extra}\r\n")?;
        if head { Ok(()) } else { self.send(stream, body, habit) }
    }

    fn send(&self, stream: &mut TcpStream, body: &[u8], habit: Habit) -> Result<()> {
        let piece = if habit == Habit::Slow { 8 * 1024 } else { 64 * 1024 };
        for part in body.chunks(piece) {
            if habit == Habit::Hangs {
                stream.write_all(&part[..part.len().min(100)])?;
                thread::sleep(Duration::from_secs(120));
            }
            if habit == Habit::Slow {
                thread::sleep(Duration::from_millis(200));
            }
            stream.write_all(part)?;
            self.bytes.fetch_add(part.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }
}

fn refuse(stream: &mut TcpStream, status: u16) -> Result<()> {
    write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")
}

/// `bytes=A-B` or `bytes=A-`; anything else counts as no range.
fn parse_range(value: &str) -> Option<(u64, u64)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { Some(u64::MAX) } else { last.parse().ok() };
    Some((first.parse().ok()?, last?))
}
