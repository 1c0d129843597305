//! A small HTTP/1.1 file server on loopback, with ranges, which counts what it sends.
//! It stands in for the web server or CDN that publishes a release, for the demo, the benchmark and the README's examples.

mod answer;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sh::Result;

/// What was asked for and sent, of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    /// Requests answered.
    pub(crate) requests: u64,
    /// Bytes of bodies sent.
    pub(crate) bytes: u64,
}

type Counts = Arc<Mutex<BTreeMap<String, Count>>>;

/// A running server. It ends with the process.
pub(crate) struct Server {
    port: u16,
    counts: Counts,
}

impl Server {
    /// Serves the files in `folder` (not below it) on a free port.
    pub(crate) fn start(folder: PathBuf) -> Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let counts = Counts::default();
        let shared = counts.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, counts) = (folder.clone(), shared.clone());
                // A client that hangs up in the middle is its own affair.
                std::thread::spawn(move || serve(stream, folder, counts).ok());
            }
        });
        Ok(Server { port, counts })
    }

    /// The URL of a file.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// What was sent since the last call, by file name.
    pub(crate) fn take_counts(&self) -> BTreeMap<String, Count> {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request: what matters of its head.
struct Request {
    method: String,
    name: String,
    range: Option<String>,
    if_range: Option<String>,
    keep: bool,
}

/// Answers one connection until it ends.
fn serve(stream: TcpStream, folder: PathBuf, counts: Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(request) = read_head(&mut input)? {
        let bytes = answer::answer(&request, &folder, &mut out)?;
        out.flush()?;
        {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(request.name.clone()).or_default();
            count.requests += 1;
            count.bytes += bytes;
        }
        if !request.keep {
            break;
        }
    }
    Ok(())
}

/// Reads a request's head; `None` where the connection ends before one.
fn read_head(input: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(path)) = (method, path) else { return Ok(None) };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // zsync sends an absolute URL, as to a proxy.
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut request =
        Request { method: method.to_owned(), name, range: None, if_range: None, keep: version == Some("HTTP/1.1") };
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((key, value)) = line.trim_end().split_once(':') else { return Ok(Some(request)) };
        let value = value.trim().to_owned();
        match key.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value),
            "if-range" => request.if_range = Some(value),
            "connection" => {
                request.keep =
                    value.eq_ignore_ascii_case("keep-alive") || (request.keep && !value.eq_ignore_ascii_case("close"))
            }
            _ => {}
        }
    }
}
