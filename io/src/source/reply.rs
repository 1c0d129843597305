//! Judging the head of an HTTP answer: what its body is, whether it belongs to the content seen so far, and what
//! an error means. Pure: no sockets here.

use gosync_core::{Error, ErrorKind, Range, Result};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};

use super::too_short;

/// What the body of an answer is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A range of the content.
    Range(Range),
    /// All of the content, and its length if the server says it.
    Whole(Option<u64>),
    /// Nothing, because what was asked for begins at the very end.
    Nothing,
}

/// What identifies a version of the content: a strong ETag, a date, a length; as many of them as the server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pin {
    etag: Option<String>,
    modified: Option<String>,
    pub(super) total: Option<u64>,
}

impl Pin {
    fn of(headers: &HeaderMap, total: Option<u64>) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // A weak ETag promises similar content, not the same bytes.
        Pin { etag: text(ETAG).filter(|etag| etag.starts_with('"')), modified: text(LAST_MODIFIED), total }
    }

    /// The value for `If-Range`.
    pub(super) fn validator(&self) -> Option<&str> {
        self.etag.as_deref().or(self.modified.as_deref())
    }

    /// Compares with what a later answer says, and learns from it what was not known. What either is silent about cannot differ.
    pub(super) fn accept(&mut self, later: Pin) -> Result<()> {
        let differs = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        let length_differs = matches!((self.total, later.total), (Some(a), Some(b)) if a != b);
        if differs(&self.etag, &later.etag) || differs(&self.modified, &later.modified) || length_differs {
            return Err(Error::new(
                ErrorKind::SourceChanged,
                "the content on the server changed while it was being read",
            ));
        }
        self.etag = self.etag.take().or(later.etag);
        self.modified = self.modified.take().or(later.modified);
        self.total = self.total.or(later.total);
        Ok(())
    }
}

/// Judges the answer to a request for `asked`, or for everything.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, asked: Option<Range>) -> Result<(Body, Pin)> {
    match (status, asked) {
        (StatusCode::PARTIAL_CONTENT, Some(asked)) => partial(headers, asked),
        (StatusCode::OK, asked) => whole(headers, asked),
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(asked)) => not_satisfiable(headers, asked),
        _ => Err(refused(status)),
    }
}

fn partial(headers: &HeaderMap, asked: Range) -> Result<(Body, Pin)> {
    check_encoding(headers)?;
    let Some((range, total)) = content_range(headers) else {
        return Err(wrong("the server's partial answer does not say which range it is"));
    };
    if let Some(total) = total
        && !asked.is_to_end()
        && asked.end() > total
    {
        return Err(too_short(total, asked.end()));
    }
    if range.offset < asked.offset || range.end() > asked.end() {
        let (first, end) = (range.offset, range.end());
        return Err(wrong("the server answered with another range than was asked for")
            .with("offset", asked.offset)
            .with("answered", format!("{first}-{}", end - 1)));
    }
    if content_length(headers).is_some_and(|length| length > range.length) {
        return Err(wrong("the server's partial answer is longer than the range that it says it is"));
    }
    Ok((Body::Range(range), Pin::of(headers, total)))
}

fn whole(headers: &HeaderMap, asked: Option<Range>) -> Result<(Body, Pin)> {
    check_encoding(headers)?;
    let length = content_length(headers);
    // Some servers answer a range with the wrong status. The length tells that from a whole body with a stray header.
    if let (Some(asked), Some((range, total))) = (asked, content_range(headers))
        && length == Some(range.length)
        && length != total
    {
        return partial(headers, asked);
    }
    Ok((Body::Whole(length), Pin::of(headers, length)))
}

fn not_satisfiable(headers: &HeaderMap, asked: Range) -> Result<(Body, Pin)> {
    let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let total = text.and_then(|text| text.trim().strip_prefix("bytes")?.trim().strip_prefix("*/")?.parse().ok());
    match total {
        Some(total) if asked.is_to_end() && asked.offset == total => {
            // The validators of an error page are not the content's.
            Ok((Body::Nothing, Pin { total: Some(total), ..Pin::default() }))
        }
        Some(total) => {
            let needed = if asked.is_to_end() { asked.offset } else { asked.end() };
            if needed > total {
                return Err(too_short(total, needed).with("status", 416));
            }
            Err(refused(StatusCode::RANGE_NOT_SATISFIABLE).with("offset", asked.offset))
        }
        None => Err(refused(StatusCode::RANGE_NOT_SATISFIABLE).with("offset", asked.offset)),
    }
}

/// What a status means that carries no content.
fn refused(status: StatusCode) -> Error {
    let passes = matches!(status.as_u16(), 408 | 425 | 429 | 500..);
    let kind = if passes { ErrorKind::SourceTemporary } else { ErrorKind::Source };
    let name = status.canonical_reason().unwrap_or("an unknown status");
    Error::new(kind, format!("the server answers {} {name}", status.as_u16())).with("status", status.as_u16())
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::Source, message)
}

fn check_encoding(headers: &HeaderMap) -> Result<()> {
    match headers.get(CONTENT_ENCODING) {
        None => Ok(()),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(value) => {
            let message = "the server encodes the content though it was asked not to";
            let encoding = String::from_utf8_lossy(value.as_bytes()).escape_debug().to_string();
            Err(Error::new(ErrorKind::SourceUnsupported, message).with("encoding", encoding))
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// The range and the total length of a `Content-Range: bytes 0-9/100` (or `/*`) that makes sense.
fn content_range(headers: &HeaderMap) -> Option<(Range, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
    let (unit, rest) = text.split_once(' ')?;
    let (span, total) = rest.trim().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse::<u64>().ok()?),
    };
    let sensible = unit.eq_ignore_ascii_case("bytes")
        && first <= last
        && last < u64::MAX - 1
        && total.is_none_or(|total| last < total);
    sensible.then(|| (Range::new(first, last - first + 1), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn outcome(status: u16, pairs: &[(&'static str, &'static str)], asked: Option<Range>) -> String {
        match judge(StatusCode::from_u16(status).expect("a status"), &headers(pairs), asked) {
            Ok((Body::Range(range), pin)) => format!("{}+{} of {:?}", range.offset, range.length, pin.total),
            Ok((body, _)) => format!("{body:?}"),
            Err(error) => format!("{}", error.kind()),
        }
    }

    #[test]
    fn a_partial_answer_must_be_what_was_asked_for() {
        let asked = Some(Range::new(10, 10));
        let answer = |range: &'static str| outcome(206, &[("content-range", range)], asked);
        assert_eq!(answer("bytes 10-19/100"), "10+10 of Some(100)");
        assert_eq!(answer("Bytes  10-19/*"), "10+10 of None");
        assert_eq!(answer("bytes 12-15/100"), "12+4 of Some(100)");
        let wrong = [
            "bytes 9-19/100",
            "bytes 10-20/100",
            "bytes 0-9/100",
            "bytes 19-10/100",
            "bytes 10-19/19",
            "bytes 10-19/15",
            "bytes */100",
            "lines 10-19/100",
            "bytes 10-/100",
            "bytes 10-18446744073709551615/*",
            "10-19/100",
            "bytes 10-19",
            "",
        ];
        for range in wrong {
            assert_eq!(answer(range), "SOURCE", "{range}");
        }
        assert_eq!(outcome(206, &[], asked), "SOURCE");
        assert_eq!(outcome(206, &[("content-range", "bytes 0-9/10")], None), "SOURCE");
        let zipped = [("content-range", "bytes 10-19/100"), ("content-encoding", "gzip")];
        assert_eq!(outcome(206, &zipped, asked), "SOURCE_UNSUPPORTED");
        let long = [("content-range", "bytes 10-19/100"), ("content-length", "11")];
        assert_eq!(outcome(206, &long, asked), "SOURCE");
    }

    #[test]
    fn a_whole_answer_is_told_from_a_range_with_the_wrong_status() {
        let asked = Some(Range::new(10, 10));
        assert_eq!(outcome(200, &[("content-length", "100")], asked), "Whole(Some(100))");
        assert_eq!(outcome(200, &[], asked), "Whole(None)");
        let range = ("content-range", "bytes 10-19/100");
        assert_eq!(outcome(200, &[range, ("content-length", "10")], asked), "10+10 of Some(100)");
        assert_eq!(outcome(200, &[range, ("content-length", "100")], asked), "Whole(Some(100))");
        assert_eq!(outcome(200, &[range], asked), "Whole(None)");
        assert_eq!(outcome(200, &[("content-encoding", "br")], None), "SOURCE_UNSUPPORTED");
        assert_eq!(outcome(200, &[("content-encoding", "Identity")], None), "Whole(None)");
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        let asked = Some(Range::new(10, 10));
        for status in [300, 304, 400, 401, 403, 404, 410, 204, 416] {
            assert_eq!(outcome(status, &[], asked), "SOURCE", "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert_eq!(outcome(status, &[], asked), "SOURCE_TEMPORARY", "{status}");
        }
        let total = [("content-range", "bytes */10")];
        assert_eq!(outcome(416, &total, Some(Range::new(10, Range::TO_END))), "Nothing");
        let error = judge(StatusCode::RANGE_NOT_SATISFIABLE, &headers(&total), asked).expect_err("too short");
        assert_eq!(error.message(), "the source has 10 bytes, fewer than the 20 that are needed");
    }

    #[test]
    fn a_pin_notices_another_version() {
        let pin = |pairs, total| Pin::of(&headers(pairs), total);
        let mut first = pin(&[("etag", "\"a\""), ("last-modified", "monday")], Some(5));
        assert_eq!(first.validator(), Some("\"a\""));
        assert!(first.accept(pin(&[("etag", "\"a\"")], None)).is_ok());
        assert!(first.accept(pin(&[], Some(5))).is_ok());
        assert!(first.accept(pin(&[("etag", "W/\"b\"")], None)).is_ok());
        for later in [pin(&[("etag", "\"b\"")], None), pin(&[("last-modified", "tuesday")], None), pin(&[], Some(6))] {
            assert_eq!(first.accept(later).expect_err("changed").kind(), ErrorKind::SourceChanged);
        }
        let mut silent = pin(&[("etag", "W/\"a\""), ("last-modified", "monday")], None);
        assert_eq!(silent.validator(), Some("monday"));
        assert!(silent.accept(pin(&[("etag", "\"b\"")], Some(7))).is_ok());
        assert_eq!((silent.validator(), silent.total), (Some("\"b\""), Some(7)));
    }
}
