//! What the server does under each name. Which outcome is right is said in `tests/conformance/behaviours.json`, whose
//! names are these.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::answer::{Answer, End, Framing};
use super::content::{Content, Version};
use super::request::{Head, ranges};
use super::server::{Listener, Memory, Shared, lock};
use super::several;

/// Which of a content's files is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum File {
    /// The content itself.
    Content,
    /// Its index.
    Index,
    /// The old version to start from.
    Old,
}

/// A request, and what is needed to answer it.
pub struct Ask<'a> {
    pub(super) head: &'a Head,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) file: File,
    pub(super) content: &'a Content,
    /// How many requests for the content came before this one.
    pub(super) number: u64,
    pub(super) memory: &'a Memory,
    pub(super) listener: Listener,
    pub(super) shared: &'a Arc<Shared>,
}

/// What a request wants.
pub(super) enum Want {
    /// Everything.
    Whole,
    /// One range, as first byte and end.
    One((u64, u64)),
    Several(Vec<(u64, u64)>),
    /// Nothing that there is.
    Beyond,
    /// Only what differs from what the client has, and nothing does.
    Nothing,
}

/// What is behind a name at the moment.
pub(super) struct Entity<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) etag: Option<String>,
    pub(super) modified: Option<&'a str>,
}

impl Entity<'_> {
    /// The answer with the headers that identify the entity.
    pub(super) fn validators(&self, answer: Answer) -> Answer {
        let answer = answer.with("Accept-Ranges", "bytes");
        let answer = self.etag.iter().fold(answer, |answer, etag| answer.with("ETag", etag));
        self.modified.iter().fold(answer, |answer, date| answer.with("Last-Modified", date))
    }
}

impl Ask<'_> {
    pub(super) fn want(&self, entity: &Entity<'_>) -> Want {
        if let (Some(known), Some(etag)) = (self.head.header("if-none-match"), &entity.etag)
            && known.split(',').any(|known| known.trim() == etag || known.trim() == "*")
        {
            return Want::Nothing;
        }
        let is_current = self.head.header("if-range").is_none_or(|known| {
            entity.etag.as_deref().is_some_and(|etag| etag == known && etag.starts_with('"'))
                || entity.modified == Some(known)
        });
        if is_current { self.want_anyway(entity) } else { Want::Whole }
    }

    /// As [`Ask::want`], whatever the client says that it has.
    fn want_anyway(&self, entity: &Entity<'_>) -> Want {
        match self.head.header("range").and_then(|text| ranges(text, entity.bytes.len() as u64)) {
            None => Want::Whole,
            Some(list) => match list[..] {
                [] => Want::Beyond,
                [one] => Want::One(one),
                _ => Want::Several(list),
            },
        }
    }

    fn has_range(&self) -> bool {
        self.head.header("range").is_some()
    }
}

/// What the honest server has under the name.
pub(super) fn entity<'a>(ask: &Ask<'a>) -> Entity<'a> {
    of(ask, &ask.content.now)
}

fn of<'a>(ask: &Ask<'a>, version: &'a Version) -> Entity<'a> {
    let (bytes, mark) = match ask.file {
        File::Content => (&version.bytes, ""),
        File::Index => (&version.index, "index-"),
        File::Old => (&ask.content.old, "old-"),
    };
    let etag = version.etag.replacen('"', &format!("\"{mark}"), 1);
    Entity { bytes, etag: Some(etag), modified: Some(version.modified) }
}

/// A right answer with one range.
pub(super) fn one(entity: &Entity<'_>, (first, end): (u64, u64)) -> Answer {
    let body = entity.bytes[first as usize..end as usize].to_vec();
    let range = format!("bytes {first}-{}/{}", end - 1, entity.bytes.len());
    entity.validators(Answer::new(206, body)).with("Content-Range", range)
}

/// A right answer.
pub(super) fn serve(entity: &Entity<'_>, want: &Want) -> Answer {
    match want {
        Want::Whole => entity.validators(Answer::new(200, entity.bytes.to_vec())),
        Want::One(range) => one(entity, *range),
        Want::Several(list) => several::right(entity, list),
        Want::Beyond => Answer::empty(416).with("Content-Range", format!("bytes */{}", entity.bytes.len())),
        Want::Nothing => entity.validators(Answer::empty(304)),
    }
}

pub(super) fn honest(ask: &Ask<'_>) -> Answer {
    let entity = entity(ask);
    serve(&entity, &ask.want(&entity))
}

/// Everything, to whatever request; without a word of ranges.
fn no_ranges(ask: &Ask<'_>) -> Answer {
    serve(&entity(ask), &Want::Whole).without("Accept-Ranges")
}

/// The first `count` requests for the content are answered badly, the others well.
fn first(ask: &Ask<'_>, count: u64, bad: impl FnOnce(Answer) -> Answer) -> Answer {
    let answer = honest(ask);
    if ask.number < count { bad(answer) } else { answer }
}

/// Answers to requests with a range are spoilt, others are right.
fn ranged(ask: &Ask<'_>, spoil: impl FnOnce(Answer) -> Answer) -> Answer {
    let answer = honest(ask);
    if ask.has_range() && answer.status == 206 { spoil(answer) } else { answer }
}

fn half(answer: Answer) -> Answer {
    let half = answer.body.len() / 2;
    answer.cut(half, End::Close)
}

fn wrong_content_range(ask: &Ask<'_>) -> Answer {
    let length = ask.content.now.bytes.len() as u64;
    ranged(ask, |answer| {
        let size = answer.body.len() as u64;
        let first = length / 2;
        answer.replacing("Content-Range", format!("bytes {first}-{}/{length}", first + size - 1))
    })
}

/// At most ten thousand bytes of what was asked for, and it says so.
fn short_ranges(ask: &Ask<'_>) -> Answer {
    let entity = entity(ask);
    match ask.want(&entity) {
        Want::One((first, end)) => one(&entity, (first, end.min(first + 10_000))),
        want => serve(&entity, &want),
    }
}

fn long_body(ask: &Ask<'_>) -> Answer {
    ranged(ask, |mut answer| {
        answer.body.extend_from_slice(&[7; 1000]);
        let length = answer.body.len() as u64;
        answer.framed(Framing::Length(length))
    })
}

fn length_too_large(ask: &Ask<'_>) -> Answer {
    ranged(ask, |answer| {
        let length = answer.body.len() as u64 + 10;
        let all = answer.body.len();
        answer.framed(Framing::Length(length)).cut(all, End::Close)
    })
}

/// Of several ranges, the first.
fn content_range_on_200(ask: &Ask<'_>) -> Answer {
    let entity = entity(ask);
    match ask.want(&entity) {
        Want::One(range) => Answer { status: 200, ..one(&entity, range) },
        Want::Several(list) => Answer { status: 200, ..one(&entity, list[0]) },
        want => serve(&entity, &want),
    }
}

fn weak_etag(ask: &Ask<'_>) -> Answer {
    let mut entity = entity(ask);
    entity.etag = entity.etag.map(|etag| format!("W/{etag}"));
    entity.modified = None;
    serve(&entity, &ask.want(&entity))
}

fn no_validator(ask: &Ask<'_>) -> Answer {
    honest(ask).without("ETag").without("Last-Modified")
}

fn date_only(ask: &Ask<'_>) -> Answer {
    honest(ask).without("ETag")
}

/// As from many machines behind one name that do not agree on the ETag; `If-Range` counts for nothing.
fn changing_etag(ask: &Ask<'_>) -> Answer {
    let mut entity = entity(ask);
    entity.modified = None;
    entity.etag = Some(format!("\"machine-{}\"", ask.number));
    serve(&entity, &ask.want_anyway(&entity))
}

fn lost_etag(ask: &Ask<'_>) -> Answer {
    let mut entity = entity(ask);
    if ask.number > 0 {
        (entity.etag, entity.modified) = (None, None);
    }
    serve(&entity, &ask.want_anyway(&entity))
}

/// The next version from the third request for the content on.
fn changed(ask: &Ask<'_>, has_index: bool) -> Answer {
    let asked = ask.memory.asked.load(Ordering::Acquire);
    let is_next = match ask.file {
        File::Content => asked > 2,
        File::Index => has_index && asked > 2,
        File::Old => false,
    };
    let entity = of(ask, if is_next { &ask.content.next } else { &ask.content.now });
    match ask.want(&entity) {
        Want::Several(list) => one(&entity, list[0]),
        want => serve(&entity, &want),
    }
}

fn slow_drip(ask: &Ask<'_>) -> Answer {
    let answer = honest(ask);
    let piece = (answer.body.len() / 500).max(100);
    answer.paced(piece, Duration::from_millis(6))
}

/// Refuses until so much time has passed since the first request.
fn refused_for(ask: &Ask<'_>, pause: Duration, status: u16, retry_after: impl FnOnce() -> String) -> Answer {
    if ask.number > 0 && ask.memory.is_older(pause) {
        return honest(ask);
    }
    Answer::empty(status).with("Retry-After", retry_after())
}

fn status_429(ask: &Ask<'_>) -> Answer {
    refused_for(ask, Duration::from_secs(1), 429, || "1".to_owned())
}

fn status_503_date(ask: &Ask<'_>) -> Answer {
    // A date has whole seconds only: from 1 to 2 of them are left.
    refused_for(ask, Duration::from_secs(1), 503, || http_date(SystemTime::now() + Duration::from_secs(2)))
}

fn http_date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{weekday}, {:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
}

/// The content is behind links to another origin that work for three requests each.
fn presigned(ask: &Ask<'_>) -> Answer {
    let mut links = lock(&ask.memory.links);
    let link = ask.query.strip_prefix("signature=").and_then(|number| number.parse::<usize>().ok());
    match link.and_then(|number| links.get_mut(number)) {
        Some(uses) if *uses < 3 => {
            *uses += 1;
            honest(ask)
        }
        Some(_) => Answer::new(403, b"<Error><Code>ExpiredToken</Code></Error>".to_vec()),
        None => {
            links.push(0);
            let number = links.len() - 1;
            let link = ask.shared.url(Listener::Other, &format!("{}?signature={number}", ask.path));
            Answer::empty(302).with("Location", link)
        }
    }
}

fn redirect_loop(ask: &Ask<'_>) -> Answer {
    let next: u64 = ask.query.parse().unwrap_or(0) + 1;
    Answer::empty(302).with("Location", format!("{}?{}", ask.path, next % 7))
}

fn redirect(ask: &Ask<'_>) -> Answer {
    if ask.query.is_empty() { Answer::empty(307).with("Location", format!("{}?here", ask.path)) } else { honest(ask) }
}

fn redirect_other(ask: &Ask<'_>) -> Answer {
    if ask.listener == Listener::Other {
        return honest(ask);
    }
    Answer::empty(302).with("Location", ask.shared.url(Listener::Other, ask.path))
}

fn head_refused(ask: &Ask<'_>) -> Answer {
    if ask.head.method == "HEAD" { Answer::empty(405).with("Allow", "GET") } else { honest(ask) }
}

fn http_1_0(ask: &Ask<'_>) -> Answer {
    let mut answer = no_ranges(ask).framed(Framing::Close).without("ETag");
    answer.version = "HTTP/1.0";
    answer
}

/// The first byte of the content that the old version does not have.
fn spot(content: &Content) -> usize {
    content.now.bytes.iter().zip(&content.old).position(|(new, old)| new != old).unwrap_or(0)
}

/// The right answer with one byte turned, if it has that byte. Several ranges are answered by the first.
fn wrong_byte(ask: &Ask<'_>, is_wrong: impl FnOnce() -> bool) -> Answer {
    let entity = entity(ask);
    let (range, mut answer) = match ask.want(&entity) {
        Want::One(range) => (range, one(&entity, range)),
        Want::Several(list) => (list[0], one(&entity, list[0])),
        want => ((0, entity.bytes.len() as u64), serve(&entity, &want)),
    };
    let spot = spot(ask.content) as u64;
    if (range.0..range.1).contains(&spot) && is_wrong() {
        answer.body[(spot - range.0) as usize] ^= 0x55;
    }
    answer
}

fn strips_range(ask: &Ask<'_>) -> Answer {
    let answer = if ask.listener == Listener::Proxy { no_ranges(ask) } else { honest(ask) };
    answer.with("Via", "1.1 proxy")
}

/// More content behind the content, or less of it.
fn resized(ask: &Ask<'_>, is_longer: bool) -> Answer {
    let right = entity(ask);
    let mut bytes = right.bytes.to_vec();
    if is_longer {
        bytes.extend_from_slice(&[9; 100_000])
    } else {
        bytes.truncate(bytes.len() / 2)
    }
    let entity = Entity { bytes: &bytes, etag: Some("\"resized\"".to_owned()), modified: None };
    match ask.want(&entity) {
        Want::Several(list) => one(&entity, list[0]),
        want => serve(&entity, &want),
    }
}

fn plain_gets_half(ask: &Ask<'_>) -> Answer {
    let entity = entity(ask);
    match ask.want(&entity) {
        Want::Whole => one(&entity, (0, entity.bytes.len() as u64 / 2)),
        want => serve(&entity, &want),
    }
}

fn plain_gets_206(ask: &Ask<'_>) -> Answer {
    let entity = entity(ask);
    match ask.want(&entity) {
        Want::Whole => one(&entity, (0, entity.bytes.len() as u64)),
        want => serve(&entity, &want),
    }
}

fn refused_then_up(ask: &Ask<'_>) -> Answer {
    if ask.file == File::Index {
        ask.shared.open_late();
    }
    honest(ask)
}

fn odd_headers(ask: &Ask<'_>) -> Answer {
    let mut answer = honest(ask);
    for (name, value) in &mut answer.headers {
        *name = name.to_ascii_uppercase();
        if name == "CONTENT-RANGE" {
            *value = value.replacen("bytes", "Bytes", 1) + "  ";
        }
    }
    answer.with("X-Padding", "x".repeat(6000))
}

fn early_hints(ask: &Ask<'_>) -> Answer {
    let mut answer = honest(ask);
    answer.before = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n".to_vec();
    answer
}

/// Something else each time: one of the other behaviours, by chance that depends on the token and the request's number.
fn storm(ask: &Ask<'_>) -> Answer {
    let mixed = (ask.memory.token ^ (ask.number << 32)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Half of the answers are right, so that there is an end to it.
    match (mixed >> 40) as usize {
        chance if chance.is_multiple_of(2) => honest(ask),
        chance => {
            let behaviour = &BEHAVIOURS[chance / 2 % BEHAVIOURS.len()];
            if behaviour.name == "storm" { honest(ask) } else { behaviour.answer(ask) }
        }
    }
}

/// A behaviour: what is answered to requests for the content, and perhaps for the index too.
pub struct Behaviour {
    /// As in the URL.
    pub name: &'static str,
    /// Whether requests for the index are treated in the same way.
    has_index: bool,
    answers: fn(&Ask<'_>) -> Answer,
}

impl Behaviour {
    /// What it answers.
    pub fn answer(&self, ask: &Ask<'_>) -> Answer {
        if ask.file == File::Content || (self.has_index && ask.file == File::Index) {
            (self.answers)(ask)
        } else {
            honest(ask)
        }
    }
}

/// The behaviour with this name.
pub fn find(name: &str) -> Option<&'static Behaviour> {
    BEHAVIOURS.iter().find(|behaviour| behaviour.name == name)
}

const fn content(name: &'static str, answers: fn(&Ask<'_>) -> Answer) -> Behaviour {
    Behaviour { name, has_index: false, answers }
}

const fn both(name: &'static str, answers: fn(&Ask<'_>) -> Answer) -> Behaviour {
    Behaviour { name, has_index: true, answers }
}

/// All of them, in the order of the data.
pub const BEHAVIOURS: &[Behaviour] = &[
    content("honest", honest),
    content("honest-several", honest),
    both("no-ranges", no_ranges),
    content("no-ranges-content", no_ranges),
    both("accept-ranges-none", |ask| no_ranges(ask).with("Accept-Ranges", "none")),
    content("range-416", |ask| if ask.has_range() { Answer::empty(416) } else { no_ranges(ask) }),
    content("several-501", several::status_501),
    content("several-400", several::status_400),
    content("several-416", several::status_416),
    content("several-ignored", several::ignored),
    content("several-first-only", several::first_only),
    content("several-merged", several::merged),
    content("several-reordered", several::reordered),
    content("several-quoted-boundary", several::quoted),
    content("several-bare-lf", several::bare_lf),
    content("several-split", several::split),
    content("several-garbage", several::garbage),
    content("several-truncated", several::truncated),
    content("several-no-end", several::no_end),
    content("several-wrong-total", several::wrong_total),
    content("wrong-content-range", wrong_content_range),
    content("no-content-range", |ask| ranged(ask, |answer| answer.without("Content-Range"))),
    content("gzip-206", |ask| ranged(ask, |answer| answer.with("Content-Encoding", "gzip"))),
    content("gzip-always", |ask| honest(ask).with("Content-Encoding", "gzip")),
    content("short-ranges", short_ranges),
    content("short-bodies", |ask| first(ask, 3, half)),
    content("long-bodies", long_body),
    content("length-too-large", length_too_large),
    content("content-range-on-200", content_range_on_200),
    content("weak-etag", weak_etag),
    content("no-validator", no_validator),
    content("date-only", date_only),
    content("changing-etag", changing_etag),
    content("lost-etag", lost_etag),
    content("change-midway", |ask| changed(ask, false)),
    both("change-midway-with-index", |ask| changed(ask, true)),
    content("reset-midway", |ask| first(ask, 3, |answer| answer.cut(10_000, End::Reset))),
    content("reset-always", |_| Answer::none(End::Reset)),
    content("stall-once", |ask| first(ask, 1, |answer| answer.cut(10_000, End::Stall))),
    content("stall-midway", |ask| {
        let answer = honest(ask);
        let part = (answer.body.len() / 8).max(10_000);
        answer.cut(part, End::Stall)
    }),
    content("stall-always", |ask| honest(ask).cut(0, End::Stall)),
    content("never-answers", |_| Answer::none(End::Stall)),
    both("index-never-answers", |_| Answer::none(End::Stall)),
    both("connect-hangs", honest),
    content("slow-drip", slow_drip),
    both("whole-cut-once", |ask| {
        let answer = no_ranges(ask);
        if ask.file == File::Content && ask.number == 0 { half(answer) } else { answer }
    }),
    content("status-404", |_| Answer::new(404, b"not here".to_vec())),
    content("status-408-once", |ask| {
        first(ask, 1, |_| Answer { end: End::Close, ..Answer::empty(408).with("Connection", "close") })
    }),
    content("status-429-seconds", status_429),
    content("status-503-date", status_503_date),
    content("status-503-always", |_| Answer::empty(503)),
    content("status-304-unasked", |_| Answer::empty(304)),
    content("presigned", presigned),
    content("status-403", |_| Answer::new(403, b"<Error><Code>AccessDenied</Code></Error>".to_vec())),
    content("redirect", redirect),
    content("redirect-loop", redirect_loop),
    content("redirect-other-origin", redirect_other),
    both("head-refused", head_refused),
    content("chunked", |ask| honest(ask).framed(Framing::Chunked)),
    both("chunked-whole", |ask| no_ranges(ask).framed(Framing::Chunked)),
    content("chunked-cut-once", |ask| first(ask, 1, |answer| half(answer.framed(Framing::Chunked)))),
    both("http-1.0", http_1_0),
    both("keep-alive-closed", |ask| Answer { end: End::Close, ..honest(ask) }),
    content("early-hints", early_hints),
    content("odd-headers", odd_headers),
    content("wrong-bytes", |ask| wrong_byte(ask, || true)),
    content("wrong-bytes-once", |ask| wrong_byte(ask, || ask.memory.first_time())),
    both("proxy-strips-range", strips_range),
    both("tls-private-ca", honest),
    both("tls-untrusted", honest),
    both("tls-expired", honest),
    both("tls-wrong-name", honest),
    content("content-longer", |ask| resized(ask, true)),
    content("content-shorter", |ask| resized(ask, false)),
    content("plain-206", plain_gets_206),
    content("plain-206-half", plain_gets_half),
    content("empty-200", |_| Answer::empty(200)),
    content("page-200", |_| Answer::new(200, b"<html>Please log in</html>".to_vec()).with("Content-Type", "text/html")),
    both("refused-then-up", refused_then_up),
    both("index-unchanged", honest),
    both("index-weak-etag", weak_etag),
    content("storm", storm),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_http_writes_them() {
        let at = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(951_782_399), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(at(1_792_000_000), "Wed, 14 Oct 2026 17:46:40 GMT");
    }
}
