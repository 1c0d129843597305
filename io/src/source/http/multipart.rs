//! Reading a `multipart/byteranges` body as it arrives: which range each part is, and its bytes. Pure: no sockets here.
//! A part's length is what its `Content-Range` says, so content is never searched for the boundary, and only header
//! lines are kept. Whether the parts are what was asked for is judged by `exchange`.

use gosync_core::{Error, ErrorKind, Range, Result};

use super::reply::content_range;

/// The longest line outside of content.
const MOST_LINE: usize = 8 * 1024;
/// Bytes outside of content between two parts, and before the first.
const MOST_HEAD: usize = 32 * 1024;

/// A `multipart/byteranges` body that is being read.
#[derive(Clone, Debug)]
pub(super) struct Multipart {
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    place: Place,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// Bytes outside of content since the last part.
    head: usize,
    /// What the headers of this part have said so far.
    found: Option<(Range, Option<u64>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Before the first boundary.
    Preamble,
    Headers,
    /// In the content of a part: the next offset, and the bytes that are left.
    Content(u64, u64),
    /// Behind the content of a part.
    Behind,
    /// Behind the last boundary.
    Epilogue,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A part begins: its range, and the length of the whole content if that is said.
    Part(Range, Option<u64>),
    /// Bytes of the content that start at an offset.
    Data(u64, &'a [u8]),
}

impl Multipart {
    /// For the boundary that a `Content-Type` names; nothing if that is not `multipart/byteranges` with a usable boundary.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let (kind, parameters) = content_type.split_once(';')?;
        let boundary = parameter(parameters, "boundary")?;
        let usable = kind.trim().eq_ignore_ascii_case("multipart/byteranges")
            && (1..=256).contains(&boundary.len())
            && !boundary.contains(['\r', '\n']);
        usable.then(|| Multipart {
            delimiter: [b"--", boundary.trim_end().as_bytes()].concat(),
            place: Place::Preamble,
            line: Vec::new(),
            head: 0,
            found: None,
        })
    }

    /// Whether the last boundary has come.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Epilogue
    }

    /// The next piece of the body, whose next bytes are `input`, from which it takes what it needs; nothing if it needs more.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>> {
        loop {
            match self.place {
                Place::Epilogue => {
                    *input = &[];
                    return Ok(None);
                }
                Place::Content(offset, left) => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let (data, rest) = input.split_at(count);
                    *input = rest;
                    let (offset_behind, left) = (offset + count as u64, left - count as u64);
                    self.place = if left == 0 { Place::Behind } else { Place::Content(offset_behind, left) };
                    return Ok(Some(Piece::Data(offset, data)));
                }
                Place::Preamble | Place::Headers | Place::Behind => {
                    if !self.end_line(input)? {
                        return Ok(None);
                    }
                    let line = std::mem::take(&mut self.line);
                    if let Some(piece) = self.take_line(line.trim_ascii_end())? {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// Takes bytes up to the end of a line. Whether it has come.
    fn end_line(&mut self, input: &mut &[u8]) -> Result<bool> {
        let last = self.end_of_last(input);
        let end = last.or_else(|| input.iter().position(|byte| *byte == b'\n').map(|end| end + 1));
        let (line, rest) = input.split_at(end.unwrap_or(input.len()));
        *input = rest;
        self.head += line.len();
        if self.line.len() + line.len() > MOST_LINE || self.head > MOST_HEAD {
            return Err(garbled("its headers are too long"));
        }
        self.line.extend_from_slice(line);
        Ok(end.is_some())
    }

    /// Where in `input` the last boundary is complete, if the line is that. It may come without the end of its line, and whatever
    /// follows it does not matter. Among the headers of a part it is none.
    fn end_of_last(&self, input: &[u8]) -> Option<usize> {
        if self.place == Place::Headers {
            return None;
        }
        let last = [&self.delimiter[..], b"--"].concat();
        let rest = last.strip_prefix(&self.line[..])?;
        input.starts_with(rest).then_some(rest.len())
    }

    /// What a line, without its end, means.
    fn take_line<'a>(&mut self, line: &[u8]) -> Result<Option<Piece<'a>>> {
        if self.place == Place::Headers {
            return self.take_header(line);
        }
        match line.strip_prefix(&self.delimiter[..]) {
            Some(b"") => {
                self.place = Place::Headers;
                Ok(None)
            }
            Some(rest) if rest.starts_with(b"--") => {
                self.place = Place::Epilogue;
                Ok(None)
            }
            _ if self.place == Place::Behind && !line.is_empty() => {
                Err(garbled("a part is longer than the range that it says it is"))
            }
            _ => Ok(None),
        }
    }

    fn take_header<'a>(&mut self, line: &[u8]) -> Result<Option<Piece<'a>>> {
        if !line.is_empty() {
            let text = String::from_utf8_lossy(line);
            if let Some((name, value)) = text.split_once(':')
                && name.trim().eq_ignore_ascii_case("content-range")
            {
                let range = content_range(value).ok_or_else(|| garbled("a part does not say which range it is"))?;
                if self.found.replace(range).is_some_and(|before| before != range) {
                    return Err(garbled("a part says twice which range it is"));
                }
            }
            return Ok(None);
        }
        let (range, total) = self.found.take().ok_or_else(|| garbled("a part does not say which range it is"))?;
        self.place = Place::Content(range.offset, range.length);
        self.head = 0;
        Ok(Some(Piece::Part(range, total)))
    }
}

/// The value of a parameter of a header line, quoted or not.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = behind;
    }
}

/// A quoted text whose opening quote is gone, and what is behind it.
fn quoted_text(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn garbled(what: &str) -> Error {
    Error::new(ErrorKind::Source, format!("the server's answer with several ranges is garbled: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts, bytes by offset, whether it ended.
    type Read = (Vec<Range>, Vec<(u64, u8)>, bool);

    /// Everything that is read from `body` in pieces of `step` bytes.
    fn read(kind: &str, body: &[u8], step: usize) -> Result<Read> {
        let mut parser = Multipart::of(kind).expect("a boundary");
        let (mut parts, mut bytes) = (Vec::new(), Vec::new());
        for mut input in body.chunks(step) {
            while let Some(piece) = parser.next(&mut input)? {
                match piece {
                    Piece::Part(range, _) => parts.push(range),
                    Piece::Data(offset, data) => bytes.extend((offset..).zip(data.iter().copied())),
                }
            }
            assert!(input.is_empty(), "nothing is left over");
            assert!(parser.line.len() <= MOST_LINE);
        }
        Ok((parts, bytes, parser.is_over()))
    }

    const KIND: &str = "multipart/byteranges; boundary=XYZ";

    fn at(offset: u64, text: &str) -> Vec<(u64, u8)> {
        (offset..).zip(text.bytes()).collect()
    }

    #[test]
    fn parts_are_read_however_they_are_split() {
        let bodies: [&[u8]; 5] = [
            b"\r\n--XYZ\r\nContent-Type: a/b\r\nContent-Range: bytes 5-9/100\r\n\r\nhello\r\n--XYZ\r\ncontent-range: bytes 20-22/100\r\n\r\n\r\n-\r\n--XYZ--\r\n",
            // Bare line feeds.
            b"--XYZ\nContent-Range: bytes 5-9/100\n\nhello\n--XYZ\nContent-Range: bytes 20-22/100\n\n\r\n-\n--XYZ--\n",
            // A preamble, an epilogue, white space behind the boundary, no end of the last line.
            b"ignore me\r\n--XY\r\n--XYZ  \r\nX: y\r\nContent-Range:bytes 5-9/*\r\n\r\nhello\r\n--XYZ\t\r\nContent-Range: bytes 20-22/100\r\n\r\n\r\n-\r\n--XYZ--",
            b"--XYZ\r\nContent-Range: bytes 5-9/100\r\n\r\nhello\r\n--XYZ\r\nContent-Range: bytes 20-22/100\r\n\r\n\r\n-\r\n--XYZ--\r\nmore\r\n--XYZ\r\nand more",
            // Repeated, and the same.
            b"--XYZ\r\nContent-Range: bytes 5-9/100\r\nContent-Range: bytes 5-9/100\r\n\r\nhello\r\n--XYZ\r\nContent-Range: bytes 20-22/100\r\n\r\n\r\n-\r\n--XYZ--\r\n",
        ];
        for (number, body) in bodies.iter().enumerate() {
            for step in 1..body.len() + 1 {
                let (parts, bytes, over) = read(KIND, body, step).unwrap_or_else(|error| panic!("{number}: {error}"));
                assert_eq!(parts, [Range::new(5, 5), Range::new(20, 3)], "{number} by {step}");
                assert_eq!(bytes, [at(5, "hello"), at(20, "\r\n-")].concat(), "{number} by {step}");
                assert!(over, "{number} by {step}");
            }
        }
    }

    #[test]
    fn content_may_look_like_a_boundary() {
        let body = b"--XYZ\r\nContent-Range: bytes 0-10/11\r\n\r\n\r\n--XYZ--\r\n\r\n--XYZ--\r\n";
        let (_, bytes, over) = read(KIND, body, 3).expect("a body");
        assert_eq!(bytes, at(0, "\r\n--XYZ--\r\n"));
        assert!(over);
    }

    #[test]
    fn what_follows_the_last_boundary_may_be_long() {
        let body =
            [&b"--XYZ\r\nContent-Range: bytes 5-9/100\r\n\r\nhello\r\n--XYZ--"[..], &[b'x'; 2 * MOST_HEAD]].concat();
        for step in [1, 7, usize::MAX] {
            let (_, bytes, over) = read(KIND, &body, step).expect("a body");
            assert!(over && bytes == at(5, "hello"), "by {step}");
        }
    }

    #[test]
    fn what_is_cut_off_is_not_over() {
        let body = b"--XYZ\r\nContent-Range: bytes 5-9/100\r\n\r\nhello\r\n--XYZ--";
        for end in 0..body.len() {
            let (_, bytes, over) = read(KIND, &body[..end], 7).expect("no error");
            assert!(!over && bytes.len() <= 5, "{end}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        let long = vec![b'x'; MOST_LINE + 1];
        let lines = b"x: y\r\n".repeat(MOST_HEAD / 6 + 1);
        let bodies: [&[u8]; 8] = [
            b"--XYZ\r\n\r\nhello",
            b"--XYZ\r\nContent-Range: bytes 9-5/100\r\n\r\nhello",
            b"--XYZ\r\nContent-Range: bytes 5-9/100\r\nContent-Range: bytes 6-9/100\r\n\r\nhello",
            b"--XYZ\r\nContent-Range: bytes 5-9/100\r\n\r\nhello too long\r\n--XYZ--",
            &long,
            &[b"--XYZ\r\n", &long[..]].concat(),
            &[b"--XYZ\r\n", &lines[..]].concat(),
            &lines,
        ];
        for (number, body) in bodies.iter().enumerate() {
            for step in [1, 7, usize::MAX] {
                assert_eq!(read(KIND, body, step).expect_err("garbage").kind(), ErrorKind::Source, "{number}");
            }
        }
    }

    #[test]
    fn boundaries_are_found_quoted_or_not() {
        let boundary = |kind| Multipart::of(kind).map(|it| String::from_utf8(it.delimiter).expect("text"));
        for kind in [
            "multipart/byteranges; boundary=a b",
            "Multipart/ByteRanges;Boundary=\"a b\"",
            "multipart/byteranges; x=\"q;boundary=no\" ; boundary = \"a\\ b\"; y=z",
            "multipart/byteranges; x=1; boundary=a b; y=z",
        ] {
            assert_eq!(boundary(kind).as_deref(), Some("--a b"), "{kind}");
        }
        for kind in [
            "",
            "multipart/byteranges",
            "multipart/byteranges; boundary=",
            "multipart/byteranges; boundary=\"\"",
            "multipart/byteranges; boundary=\"open",
            "multipart/mixed; boundary=a",
            "text/plain; boundary=a",
        ] {
            assert_eq!(boundary(kind), None, "{kind}");
        }
        assert_eq!(boundary(&format!("multipart/byteranges; boundary={}", "a".repeat(300))), None);
    }

    /// Any parts, in any pieces: what is read is what was written. Any flipped byte: no panic, and no byte outside the parts.
    #[test]
    fn what_is_written_is_read() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let (mut body, mut parts, mut bytes, mut offset) = (Vec::new(), Vec::new(), Vec::new(), 0);
            for _ in 0..random(5) {
                offset += random(1000);
                let content: Vec<u8> = (0..1 + random(60)).map(|_| b"\r\n-XYZ:a"[random(8) as usize]).collect();
                let range = Range::new(offset, content.len() as u64);
                let last = range.end() - 1;
                body.extend_from_slice(
                    format!("\r\n--XYZ\r\nContent-Range: bytes {offset}-{last}/*\r\n\r\n").as_bytes(),
                );
                body.extend_from_slice(&content);
                bytes.extend((offset..).zip(content));
                offset = range.end();
                parts.push(range);
            }
            body.extend_from_slice(b"\r\n--XYZ--\r\n");
            let step = 1 + random(40) as usize;
            assert_eq!(read(KIND, &body, step).expect("a body"), (parts, bytes, true));
            let place = random(body.len() as u64) as usize;
            body[place] ^= 1 << random(8);
            if let Ok((parts, bytes, _)) = read(KIND, &body, step) {
                let inside = |at: u64| parts.iter().any(|part| (part.offset..part.end()).contains(&at));
                assert!(bytes.iter().all(|(at, _)| inside(*at)));
            }
        }
    }
}
