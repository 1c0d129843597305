//! Judging the head of an HTTP answer: what its body is, whether it belongs to the content seen so far, and what
//! an error means. Pure: no sockets and no clock here.

use std::time::{Duration, SystemTime};

use gosync_core::{Error, ErrorKind, Range, Result};
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
    RETRY_AFTER,
};

use super::Validators;
use super::multipart::Multipart;
use crate::source::too_short;

/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// What the body of an answer is.
#[derive(Debug)]
pub(super) enum Body {
    /// A range of the content.
    Range(Range),
    /// Ranges of the content, one behind the other.
    Parts(Multipart),
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
        let Validators { etag, last_modified } = validators(headers);
        // A weak ETag promises similar content, not the same bytes.
        Pin { etag: etag.filter(|etag| etag.starts_with('"')), modified: last_modified, total }
    }

    /// What is known when only the length is.
    pub(super) fn of_length(total: Option<u64>) -> Self {
        Pin { total, ..Pin::default() }
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
            return Err(changed());
        }
        self.etag = self.etag.take().or(later.etag);
        self.modified = self.modified.take().or(later.modified);
        self.total = self.total.or(later.total);
        Ok(())
    }
}

/// The error of content that is not what it was.
pub(super) fn changed() -> Error {
    Error::new(ErrorKind::SourceChanged, "the content on the server changed while it was being read")
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What an answer says about the version of its content.
pub(super) fn validators(headers: &HeaderMap) -> Validators {
    let text = |name| text_of(headers, name).map(str::to_owned);
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

/// Whether an answer was wrong in a way that a request without ranges may not be: a server, or something before it,
/// that does not do them.
pub(super) fn is_about_ranges(error: &Error) -> bool {
    let status = error.context().iter().find(|(key, _)| *key == "status").map(|(_, value)| value.as_str());
    matches!(status, Some("206" | "400" | "416" | "501"))
}

/// Judges the answer to a request for `asked` (ascending), or for everything if that is empty. `now` is for a
/// `Retry-After` that is a date.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, asked: &[Range], now: SystemTime) -> Result<(Body, Pin)> {
    let hull = hull(asked);
    match (status, hull) {
        (StatusCode::PARTIAL_CONTENT, Some(hull)) => partial(headers, hull),
        (StatusCode::OK, hull) => whole(headers, hull),
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(hull)) => not_satisfiable(headers, hull),
        _ => Err(with_pause(refused(status), headers, now)),
    }
}

/// The range from the first to the last byte that is asked for.
fn hull(asked: &[Range]) -> Option<Range> {
    let (first, last) = (asked.first()?, asked.last()?);
    let length = if last.is_to_end() { Range::TO_END } else { last.end() - first.offset };
    Some(Range::new(first.offset, length))
}

/// Checks that a part of an answer is within what was asked for, and within the content.
pub(super) fn check_part(range: Range, total: Option<u64>, asked: &[Range]) -> Result<()> {
    match hull(asked) {
        Some(hull) => check_range(range, total, hull),
        None => Err(wrong("the server answered with a range that nobody asked for")),
    }
}

fn check_range(range: Range, total: Option<u64>, asked: Range) -> Result<()> {
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
    Ok(())
}

fn partial(headers: &HeaderMap, asked: Range) -> Result<(Body, Pin)> {
    check_encoding(headers).map_err(|error| error.with("status", 206))?;
    if let Some(parts) = text_of(headers, CONTENT_TYPE).and_then(Multipart::of)
        && !headers.contains_key(CONTENT_RANGE)
    {
        return Ok((Body::Parts(parts), Pin::of(headers, None)));
    }
    let Some((range, total)) = text_of(headers, CONTENT_RANGE).and_then(content_range) else {
        return Err(wrong("the server's partial answer does not say which range it is"));
    };
    check_range(range, total, asked)?;
    if content_length(headers).is_some_and(|length| length > range.length) {
        return Err(wrong("the server's partial answer is longer than the range that it says it is"));
    }
    Ok((Body::Range(range), Pin::of(headers, total)))
}

fn whole(headers: &HeaderMap, asked: Option<Range>) -> Result<(Body, Pin)> {
    check_encoding(headers)?;
    let length = content_length(headers);
    // Some servers answer a range with the wrong status. The length tells that from a whole body with a stray header.
    if let (Some(asked), Some((range, total))) = (asked, text_of(headers, CONTENT_RANGE).and_then(content_range))
        && length == Some(range.length)
        && length != total
    {
        return partial(headers, asked);
    }
    Ok((Body::Whole(length), Pin::of(headers, length)))
}

fn not_satisfiable(headers: &HeaderMap, asked: Range) -> Result<(Body, Pin)> {
    let total = text_of(headers, CONTENT_RANGE);
    let total = total.and_then(|text| text.trim().strip_prefix("bytes")?.trim().strip_prefix("*/")?.parse().ok());
    match total {
        Some(total) if asked.is_to_end() && asked.offset == total => {
            // The validators of an error page are not the content's.
            Ok((Body::Nothing, Pin { total: Some(total), ..Pin::default() }))
        }
        Some(total) => {
            let needed = if asked.is_to_end() { asked.offset } else { asked.end() };
            if needed > total {
                return Err(too_short(total, needed));
            }
            Err(refused(StatusCode::RANGE_NOT_SATISFIABLE).with("offset", asked.offset))
        }
        None => Err(refused(StatusCode::RANGE_NOT_SATISFIABLE).with("offset", asked.offset)),
    }
}

/// What a status means that carries no content.
pub(super) fn refused(status: StatusCode) -> Error {
    let passes = match status.as_u16() {
        // Not implemented, and a version of HTTP that is not spoken: not now and not later.
        501 | 505 => false,
        408 | 425 | 429 | 500.. => true,
        _ => false,
    };
    let kind = if passes { ErrorKind::SourceTemporary } else { ErrorKind::Source };
    let name = status.canonical_reason().unwrap_or("an unknown status");
    let message = match status.as_u16() {
        407 => String::from("the proxy asks for a user name and a password"),
        number => format!("the server answers {number} {name}"),
    };
    Error::new(kind, message).with("status", status.as_u16())
}

/// Adds how long the server asks to be left alone: seconds, or a date by its own clock.
fn with_pause(error: Error, headers: &HeaderMap, now: SystemTime) -> Error {
    let Some(text) = text_of(headers, RETRY_AFTER).map(str::trim) else { return error };
    let seconds = text.parse().ok().map(Duration::from_secs);
    let until = || {
        let its_now = text_of(headers, DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        let then = httpdate::parse_http_date(text).ok()?;
        Some(then.duration_since(its_now).unwrap_or_default())
    };
    match seconds.or_else(until) {
        Some(pause) if error.retryable() => error.with_pause(pause.min(LONGEST_PAUSE)),
        _ => error,
    }
}

/// A partial answer that is not what was asked for.
pub(super) fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::Source, message).with("status", 206)
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

/// The range and the total length of a `Content-Range` of `bytes 0-9/100` (or `/*`) that makes sense.
pub(super) fn content_range(text: &str) -> Option<(Range, Option<u64>)> {
    let (unit, rest) = text.trim().split_once(' ')?;
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
        several(status, pairs, asked.as_slice())
    }

    fn several(status: u16, pairs: &[(&'static str, &'static str)], asked: &[Range]) -> String {
        match judge(StatusCode::from_u16(status).expect("a status"), &headers(pairs), asked, SystemTime::UNIX_EPOCH) {
            Ok((Body::Range(range), pin)) => format!("{}+{} of {:?}", range.offset, range.length, pin.total),
            Ok((Body::Parts(_), _)) => "parts".to_owned(),
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
        for status in [300, 304, 400, 401, 403, 404, 407, 410, 204, 416, 501, 505] {
            assert_eq!(outcome(status, &[], asked), "SOURCE", "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert_eq!(outcome(status, &[], asked), "SOURCE_TEMPORARY", "{status}");
        }
        let total = [("content-range", "bytes */10")];
        assert_eq!(outcome(416, &total, Some(Range::new(10, Range::TO_END))), "Nothing");
        let error =
            judge(StatusCode::RANGE_NOT_SATISFIABLE, &headers(&total), asked.as_slice(), SystemTime::UNIX_EPOCH)
                .expect_err("too short");
        assert_eq!(error.message(), "the source has 10 bytes, fewer than the 20 that are needed");
    }

    #[test]
    fn several_ranges_may_come_as_parts_or_merged() {
        let asked = [Range::new(10, 10), Range::new(50, 10)];
        let kind = ("content-type", "multipart/byteranges; boundary=x");
        assert_eq!(several(206, &[kind], &asked), "parts");
        assert_eq!(several(206, &[("content-range", "bytes 10-19/100")], &asked), "10+10 of Some(100)");
        assert_eq!(several(206, &[("content-range", "bytes 10-59/100")], &asked), "10+50 of Some(100)");
        assert_eq!(several(206, &[("content-range", "bytes 9-59/100")], &asked), "SOURCE");
        assert_eq!(several(206, &[("content-range", "bytes 10-60/100")], &asked), "SOURCE");
        assert_eq!(several(206, &[("content-type", "text/plain")], &asked), "SOURCE");
        assert_eq!(several(200, &[("content-length", "100")], &asked), "Whole(Some(100))");
        assert!(check_part(Range::new(50, 10), Some(60), &asked).is_ok());
        assert!(check_part(Range::new(50, 10), Some(59), &asked).is_err());
        assert!(check_part(Range::new(60, 1), None, &asked).is_err());
    }

    #[test]
    fn a_pause_is_in_seconds_or_up_to_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let pause = |status: u16, pairs: &[(&'static str, &'static str)]| {
            let status = StatusCode::from_u16(status).expect("a status");
            judge(status, &headers(pairs), &[], now).expect_err("a refusal").pause().map(|pause| pause.as_secs())
        };
        assert_eq!(pause(503, &[("retry-after", " 7 ")]), Some(7));
        assert_eq!(pause(429, &[("retry-after", "0")]), Some(0));
        // 1994, 08:49:37 is now.
        assert_eq!(pause(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")]), Some(3));
        assert_eq!(pause(503, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        let (date, its_clock) = (("retry-after", "Sun, 06 Nov 1994 09:00:10 GMT"), "Sun, 06 Nov 1994 09:00:00 GMT");
        assert_eq!(pause(503, &[date, ("date", its_clock)]), Some(10));
        assert_eq!(pause(503, &[("retry-after", "99999999999")]), Some(24 * 60 * 60));
        for odd in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(pause(503, &[("retry-after", odd)]), None, "{odd}");
        }
        assert_eq!(pause(404, &[("retry-after", "7")]), None);
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
