//! A small HTTP/1.1 server whose every answer a test decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// First offset and, unless it goes to the end, last offset. Of the first range, if there are several.
    pub(crate) fn range(&self) -> Option<(u64, Option<u64>)> {
        self.ranges().first().copied()
    }

    /// All ranges.
    pub(crate) fn ranges(&self) -> Vec<(u64, Option<u64>)> {
        let one = |range: &str| {
            let (first, last) = range.split_once('-').expect("a range");
            (first.parse().expect("a number"), last.parse().ok())
        };
        let text = self.header("range").and_then(|text| text.strip_prefix("bytes="));
        text.map(|text| text.split(',').map(one).collect()).unwrap_or_default()
    }
}

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Sends only so many bytes of the body and then…
    pub(crate) cut: Option<(usize, Cut)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// …closes the connection.
    Close,
    /// …stays silent until the client goes away.
    Stall,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: b"an error page".to_vec(), cut: None }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self
    }

    pub(crate) fn cut(mut self, after: usize, cut: Cut) -> Self {
        self.cut = Some((after, cut));
        self
    }
}

/// What a good server does.
pub(crate) fn good(asked: &Asked, content: &[u8]) -> Answer {
    let total = content.len();
    if asked.ranges().len() > 1 {
        return several(asked, content);
    }
    match asked.range() {
        Some((first, _)) if first as usize >= total => {
            Answer::status(416).with("content-range", format!("bytes */{total}"))
        }
        Some((first, last)) => {
            let last = last.map_or(total - 1, |last| (last as usize).min(total - 1));
            let mut answer = whole(content).with("content-range", format!("bytes {first}-{last}/{total}"));
            answer.status = 206;
            answer.body = content[first as usize..=last].to_vec();
            answer
        }
        None => whole(content),
    }
}

/// The parts of a `multipart/byteranges` answer, each with its place.
pub(crate) fn part(content: &[u8], first: u64, last: u64) -> Vec<u8> {
    let head = format!("\r\n--SPLIT\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n", content.len());
    [head.as_bytes(), &content[first as usize..=last as usize]].concat()
}

/// An answer of several parts.
pub(crate) fn parts(parts: &[Vec<u8>]) -> Answer {
    let answer = Answer::status(206).with("etag", "\"one\"");
    let mut answer = answer.with("content-type", "multipart/byteranges; boundary=SPLIT");
    answer.body = parts.concat();
    answer.body.extend_from_slice(b"\r\n--SPLIT--\r\n");
    answer
}

fn several(asked: &Asked, content: &[u8]) -> Answer {
    let end = content.len() as u64 - 1;
    let one = |&(first, last): &(u64, Option<u64>)| part(content, first, last.unwrap_or(end).min(end));
    parts(&asked.ranges().iter().map(one).collect::<Vec<_>>())
}

/// Everything, whatever was asked for.
pub(crate) fn whole(content: &[u8]) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: content.to_vec(), cut: None }.with("etag", "\"one\"")
}

type Behaviour = dyn Fn(&Asked) -> Answer + Send + Sync;

pub(crate) struct Server {
    pub(crate) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    behaviour: Box<Behaviour>,
    log: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    /// Stalled answers whose client went away.
    left: AtomicUsize,
}

impl Server {
    pub(crate) fn start(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            behaviour: Box::new(behaviour),
            log: Mutex::default(),
            connections: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        });
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&for_thread);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Server { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        self.shared.log.lock().expect("the log").clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Most requests that were being answered at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    pub(crate) fn left(&self) -> usize {
        self.shared.left.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    // Head and body are written apart; without this the client's delayed acknowledgement holds up each answer.
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    while let Some(asked) = read_request(&mut reader, shared) {
        let now = shared.now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        let answer = (shared.behaviour)(&asked);
        // Before the last byte: the client may ask again as soon as it has that.
        shared.now.fetch_sub(1, Ordering::SeqCst);
        if !send(&stream, &answer) {
            if matches!(answer.cut, Some((_, Cut::Stall))) {
                let _ = reader.read(&mut [0]);
                shared.left.fetch_add(1, Ordering::SeqCst);
            }
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn read_request(reader: &mut BufReader<TcpStream>, shared: &Shared) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let header = |line: &String| line.split_once(':').map(|(k, v)| (k.to_ascii_lowercase(), v.trim().to_owned()));
    let headers = lines[1..].iter().filter_map(header).collect();
    let mut log = shared.log.lock().expect("the log");
    let asked = Asked { number: log.len(), path, headers };
    log.push(asked.clone());
    Some(asked)
}

/// Whether the connection can go on.
fn send(mut stream: &TcpStream, answer: &Answer) -> bool {
    let Answer { status, headers, body, cut } = answer;
    if *status == 0 {
        return false;
    }
    let mut head = format!("HTTP/1.1 {status} X\r\n");
    if !headers.iter().any(|(key, _)| key == "content-length" || key == "transfer-encoding") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    headers.iter().for_each(|(key, value)| head += &format!("{key}: {value}\r\n"));
    head += "\r\n";
    let part = cut.map_or(&body[..], |(after, _)| &body[..after]);
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).is_ok() && cut.is_none()
}
