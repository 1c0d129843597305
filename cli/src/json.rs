//! The shapes of `--json`: one object per line, named by its `event`.
//! Field names are those of the library (`gosync_io::Progress`, `Event`, `Plan`, `Statistics`).

use gosync_io::{Change, Difference, Error, Event, Origin, Piece, Progress, Range};
use serde_json::{Map, Value, json};

/// A moment of the work.
pub(crate) fn progress(progress: &Progress) -> Value {
    json!({
        "event": "progress",
        "phase": progress.phase.name(),
        "cancellable": progress.cancellable,
        "fraction": progress.fraction,
        "total": progress.total,
        "from_seeds": progress.from_seeds,
        "fetched": progress.fetched,
        "wasted": progress.wasted,
        "written": progress.written,
        "requests": progress.requests,
        "retries": progress.retries,
    })
}

/// Something worth telling.
pub(crate) fn log(event: &Event) -> Value {
    json!({
        "event": "log",
        "level": event.level.name(),
        "kind": event.kind,
        "message": event.message,
        "fields": object(&event.fields),
    })
}

/// The last line of what failed.
pub(crate) fn error(error: &Error) -> Value {
    json!({
        "event": "error",
        "kind": error.kind().name(),
        "number": error.kind().number(),
        "message": error.message(),
        "text": error.to_string(),
        "retryable": error.retryable(),
        "context": object(error.context()),
    })
}

/// A range of the target.
pub(crate) fn range(range: &Range) -> Value {
    json!({ "offset": range.offset, "length": range.length })
}

/// An entry in which a directory differs.
pub(crate) fn difference(difference: &Difference) -> Value {
    let damaged: Value = difference.damaged.iter().map(range).collect();
    json!({ "path": difference.path, "what": difference.what.name(), "damaged": damaged })
}

/// An entry of a directory that would change.
pub(crate) fn change(change: &Change) -> Value {
    let mut value = json!({ "path": change.path, "what": change.what.name(), "size": change.size });
    if let Some(from) = &change.from {
        value["from"] = from.as_str().into();
    }
    value
}

/// A piece of a plan.
pub(crate) fn piece(piece: &Piece) -> Value {
    let mut value = json!({ "target_offset": piece.target.offset, "length": piece.target.length });
    match piece.origin {
        Origin::Missing => value["is_missing"] = true.into(),
        Origin::Seed { seed, offset } => {
            value["is_missing"] = false.into();
            value["seed"] = seed.into();
            value["seed_offset"] = offset.into();
        }
    }
    value
}

fn object(fields: &[(&'static str, String)]) -> Value {
    fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect::<Map<_, _>>().into()
}
