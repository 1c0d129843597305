//! The head of a request, and what its `Range` asks for.

use std::io::{self, BufRead};

/// What came before the body of a request, which has none here.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// `GET` or `HEAD`, as it came.
    pub method: String,
    /// What was asked for, as it came: a path, or a whole URL where the client takes this server for a proxy.
    pub target: String,
    /// Names in lower case, in the order they came.
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads one; `None` at the end of the connection.
    pub fn read(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
        let first = line(reader)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let mut head = Head { method: method.to_owned(), target: target.to_owned(), headers: Vec::new() };
        loop {
            let line = line(reader)?;
            let Some((name, value)) = line.split_once(':') else { return Ok(Some(head)) };
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The path and the query, of a URL too.
    pub fn path_and_query(&self) -> (&str, &str) {
        let path = match self.target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
            None => &self.target,
        };
        path.split_once('?').unwrap_or((path, ""))
    }

    /// Whether the client wants no more of this connection.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    io::Read::take(reader, 16 * 1024).read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}

/// The ranges that a `Range` header names in a content of `length` bytes, as first byte and end. Those that begin beyond
/// the end are left out. `None` for what cannot be read, which is answered as if it were not there.
pub fn ranges(text: &str, length: u64) -> Option<Vec<(u64, u64)>> {
    let one = |part: &str| {
        let (first, last) = part.trim().split_once('-')?;
        match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if last >= first => Some((first, length.min(last.saturating_add(1)))),
            (Ok(first), _) if last.is_empty() => Some((first, length)),
            (_, Ok(suffix)) if first.is_empty() => Some((length.saturating_sub(suffix), length)),
            _ => None,
        }
    };
    let list: Option<Vec<(u64, u64)>> = text.strip_prefix("bytes=")?.split(',').map(one).collect();
    Some(list?.into_iter().filter(|(first, end)| first < end).collect())
}
