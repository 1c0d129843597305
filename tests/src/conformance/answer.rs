//! One answer on the wire, down to where it breaks off: head, body, how the body's end is told, at which pace it goes
//! out, and what becomes of the connection. Which answer it is, is said in `behaviours` and `several`.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How the client is told where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By a `Content-Length`, which need not be true.
    Length(u64),
    /// By chunked transfer encoding.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// How fast a body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Full,
    /// So many bytes, then a pause, and so on.
    Pieces(usize, Duration),
}

/// What becomes of the connection after the answer, or where the answer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It can be used again.
    Keep,
    /// It is closed properly.
    Close,
    /// It is reset.
    Reset,
    /// Nothing more is sent, and it stays open for as long as the client likes.
    Stall,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `HTTP/1.1`, or an older one.
    pub version: &'static str,
    /// The status.
    pub status: u16,
    /// Header lines but those of the framing, in order.
    pub headers: Vec<(String, String)>,
    /// The body, as it would be if nothing went wrong.
    pub body: Vec<u8>,
    /// How its end is told.
    pub framing: Framing,
    /// How fast it goes out.
    pub pace: Pace,
    /// Bytes of the body after which the answer breaks off; without a body, whether there is an answer at all.
    pub cut: Option<usize>,
    /// What becomes of the connection.
    pub end: End,
    /// Raw bytes before the head.
    pub before: Vec<u8>,
    /// Whether not even a head is sent.
    pub is_silent: bool,
}

impl Answer {
    /// An answer with a body and its true length.
    pub fn new(status: u16, body: Vec<u8>) -> Answer {
        Answer {
            version: "HTTP/1.1",
            status,
            headers: Vec::new(),
            framing: Framing::Length(body.len() as u64),
            body,
            pace: Pace::Full,
            cut: None,
            end: End::Keep,
            before: Vec::new(),
            is_silent: false,
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Answer {
        Answer::new(status, Vec::new())
    }

    /// No answer: the connection ends (or hangs) instead.
    pub fn none(end: End) -> Answer {
        Answer { end, is_silent: true, ..Answer::empty(0) }
    }

    /// With one more header line.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Answer {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Without the header lines of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Answer {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// With this value in place of what the header had.
    #[must_use]
    pub fn replacing(self, name: &str, value: impl ToString) -> Answer {
        self.without(name).with(name, value)
    }

    /// Broken off after `bytes` of the body, or at its end where that comes before.
    #[must_use]
    pub fn cut(mut self, bytes: usize, end: End) -> Answer {
        // An answer that was complete before is none that stops.
        if end != End::Stall || bytes < self.body.len() {
            (self.cut, self.end) = (Some(bytes), end);
        }
        self
    }

    /// With another framing.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Answer {
        self.framing = framing;
        if framing == Framing::Close {
            self.end = End::Close;
        }
        self
    }

    /// At another pace.
    #[must_use]
    pub fn paced(mut self, bytes: usize, pause: Duration) -> Answer {
        self.pace = Pace::Pieces(bytes, pause);
        self
    }

    /// The head as it goes out.
    fn head(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            206 => "Partial Content",
            302 => "Found",
            304 => "Not Modified",
            416 => "Range Not Satisfiable",
            _ => "Status",
        };
        let mut head = format!("{} {} {reason}\r\n", self.version, self.status);
        match self.framing {
            Framing::Length(length) => head += &format!("Content-Length: {length}\r\n"),
            Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
            Framing::Close => head += "Connection: close\r\n",
        }
        self.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head + "\r\n"
    }

    /// Sends it, without its body to a `HEAD`; counts the bytes of the body in `sent` as they go out.
    pub fn send(&self, out: &mut impl Write, is_head: bool, sent: &AtomicU64) -> io::Result<()> {
        if self.is_silent {
            return Ok(());
        }
        out.write_all(&self.before)?;
        out.write_all(self.head().as_bytes())?;
        let has_body = !is_head && self.status != 304;
        if !has_body {
            return out.flush();
        }
        let length = self.cut.map_or(self.body.len(), |cut| cut.min(self.body.len()));
        let (size, pause) = match self.pace {
            Pace::Full => (16 * 1024, Duration::ZERO),
            Pace::Pieces(size, pause) => (size, pause),
        };
        for piece in self.body[..length].chunks(size.max(1)) {
            if self.framing == Framing::Chunked {
                write!(out, "{:x}\r\n", piece.len())?;
            }
            out.write_all(piece)?;
            if self.framing == Framing::Chunked {
                out.write_all(b"\r\n")?;
            }
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if !pause.is_zero() {
                out.flush()?;
                std::thread::sleep(pause);
            }
        }
        if self.framing == Framing::Chunked && self.cut.is_none() {
            out.write_all(b"0\r\n\r\n")?;
        }
        out.flush()
    }
}
