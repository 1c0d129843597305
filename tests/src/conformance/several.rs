//! Answers to several ranges in one request: right ones, and the ways in which servers get them wrong.

use std::time::Duration;

use super::answer::{Answer, End};
use super::behaviours::{Ask, Entity, Want, entity, honest, one, serve};

/// How a `multipart/byteranges` body is written.
struct Style {
    boundary: &'static str,
    quoted: bool,
    line_end: &'static str,
    /// Text after each part's bytes.
    garbage: &'static str,
    has_end: bool,
    /// The part that tells another length of the whole.
    lying_part: Option<usize>,
}

const RIGHT: Style =
    Style { boundary: "gosync-ranges", quoted: false, line_end: "\r\n", garbage: "", has_end: true, lying_part: None };

/// The ranges, if there are several; for anything else, the right answer.
fn ranges(ask: &Ask<'_>) -> Result<Vec<(u64, u64)>, Box<Answer>> {
    match ask.want(&entity(ask)) {
        Want::Several(list) => Ok(list),
        _ => Err(Box::new(honest(ask))),
    }
}

fn multipart(entity: &Entity<'_>, list: &[(u64, u64)], style: &Style) -> Answer {
    let (end, length) = (style.line_end, entity.bytes.len() as u64);
    let mut body = Vec::new();
    for (number, (first, last)) in list.iter().map(|(first, end)| (first, end - 1)).enumerate() {
        let total = if style.lying_part == Some(number) { length + 1 } else { length };
        let head = format!(
            "{end}--{}{end}Content-Type: application/octet-stream{end}Content-Range: bytes {first}-{last}/{total}{end}{end}",
            style.boundary
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&entity.bytes[*first as usize..=last as usize]);
        body.extend_from_slice(style.garbage.as_bytes());
    }
    if style.has_end {
        body.extend_from_slice(format!("{end}--{}--{end}", style.boundary).as_bytes());
    }
    let quote = if style.quoted { "\"" } else { "" };
    let kind = format!("multipart/byteranges; boundary={quote}{}{quote}", style.boundary);
    entity.validators(Answer::new(206, body)).with("Content-Type", kind)
}

/// All parts, as they should be.
pub(super) fn right(entity: &Entity<'_>, list: &[(u64, u64)]) -> Answer {
    multipart(entity, list, &RIGHT)
}

fn styled(ask: &Ask<'_>, style: &Style) -> Answer {
    ranges(ask).map_or_else(|answer| *answer, |list| multipart(&entity(ask), &list, style))
}

fn refused(ask: &Ask<'_>, status: u16) -> Answer {
    ranges(ask).map_or_else(|answer| *answer, |_| Answer::empty(status))
}

pub(super) fn status_501(ask: &Ask<'_>) -> Answer {
    refused(ask, 501)
}

pub(super) fn status_400(ask: &Ask<'_>) -> Answer {
    refused(ask, 400)
}

pub(super) fn status_416(ask: &Ask<'_>) -> Answer {
    refused(ask, 416)
}

/// A server that has single ranges only may take the header for one it does not know.
pub(super) fn ignored(ask: &Ask<'_>) -> Answer {
    ranges(ask).map_or_else(|answer| *answer, |_| serve(&entity(ask), &Want::Whole))
}

pub(super) fn first_only(ask: &Ask<'_>) -> Answer {
    ranges(ask).map_or_else(|answer| *answer, |list| one(&entity(ask), list[0]))
}

/// Two and two become one part, with what is between.
pub(super) fn merged(ask: &Ask<'_>) -> Answer {
    let merge = |list: Vec<(u64, u64)>| {
        let pairs: Vec<(u64, u64)> =
            list.chunks(2).filter_map(|pair| Some((pair.first()?.0, pair.last()?.1))).collect();
        if let [pair] = pairs[..] { one(&entity(ask), pair) } else { multipart(&entity(ask), &pairs, &RIGHT) }
    };
    ranges(ask).map_or_else(|answer| *answer, merge)
}

pub(super) fn reordered(ask: &Ask<'_>) -> Answer {
    let reverse = |mut list: Vec<(u64, u64)>| {
        list.reverse();
        multipart(&entity(ask), &list, &RIGHT)
    };
    ranges(ask).map_or_else(|answer| *answer, reverse)
}

pub(super) fn quoted(ask: &Ask<'_>) -> Answer {
    styled(ask, &Style { boundary: "gosync: (ranges)", quoted: true, ..RIGHT })
}

pub(super) fn bare_lf(ask: &Ask<'_>) -> Answer {
    styled(ask, &Style { line_end: "\n", ..RIGHT })
}

/// Small packets: boundaries and heads arrive in pieces.
pub(super) fn split(ask: &Ask<'_>) -> Answer {
    ranges(ask).map_or_else(
        |answer| *answer,
        |list| multipart(&entity(ask), &list, &RIGHT).paced(61, Duration::from_micros(20)),
    )
}

pub(super) fn garbage(ask: &Ask<'_>) -> Answer {
    styled(ask, &Style { garbage: "\r\nthis is no part\r\n", ..RIGHT })
}

pub(super) fn no_end(ask: &Ask<'_>) -> Answer {
    styled(ask, &Style { has_end: false, ..RIGHT })
}

pub(super) fn wrong_total(ask: &Ask<'_>) -> Answer {
    styled(ask, &Style { lying_part: Some(1), ..RIGHT })
}

/// The connection closes in the middle of the parts.
pub(super) fn truncated(ask: &Ask<'_>) -> Answer {
    let cut = |list: Vec<(u64, u64)>| {
        let answer = multipart(&entity(ask), &list, &RIGHT);
        let half = answer.body.len() / 2;
        answer.cut(half, End::Close)
    };
    ranges(ask).map_or_else(|answer| *answer, cut)
}
