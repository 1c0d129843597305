//! Exit codes: the one table, which `gosync --help` prints and which the program follows.

use gosync_io::ErrorKind;

/// Done as asked.
pub(crate) const OK: u8 = 0;
/// The content is not what the index says.
pub(crate) const DIFFERENT: u8 = 1;
/// The arguments make no sense.
pub(crate) const USAGE: u8 = 2;
/// A defect in gosync.
pub(crate) const INTERNAL: u8 = 70;
/// Stopped by Ctrl-C: 128 and the number of the signal, as shells report it.
pub(crate) const CANCELLED: u8 = 130;

/// A row: the code, what it means, the kinds of error that end in it.
type Row = (u8, &'static str, &'static [ErrorKind]);

const TABLE: &[Row] = &[
    (OK, "done; for verify: the file or directory is what the index says", &[]),
    (
        DIFFERENT,
        "verify: the file or directory differs; else: content is not what the index says, or the index not what was demanded",
        &[ErrorKind::Mismatch],
    ),
    (USAGE, "wrong use: arguments that make no sense", &[ErrorKind::Argument, ErrorKind::State]),
    (
        3,
        "a local file or folder: missing, unreadable, no permission, disk full",
        &[ErrorKind::Io, ErrorKind::NotFound, ErrorKind::Permission, ErrorKind::NoSpace],
    ),
    (
        4,
        "the source (or the index's server) failed, changed, or did not answer in time",
        &[
            ErrorKind::Source,
            ErrorKind::SourceTemporary,
            ErrorKind::SourceChanged,
            ErrorKind::SourceUnsupported,
            ErrorKind::Timeout,
        ],
    ),
    (
        5,
        "the index is damaged, not an index, of a newer version, or above a limit",
        &[ErrorKind::Format, ErrorKind::Version, ErrorKind::Limit],
    ),
    (INTERNAL, "a defect in gosync", &[ErrorKind::Internal]),
    (CANCELLED, "cancelled by Ctrl-C; what was at the target is untouched", &[ErrorKind::Cancelled]),
];

/// The code that an error of `kind` ends in.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    TABLE.iter().find(|(_, _, kinds)| kinds.contains(&kind)).map_or(INTERNAL, |(code, ..)| *code)
}

/// The table as `--help` prints it.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning, _) in TABLE {
        text.push_str(&format!("  {code:>3}  {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_exactly_one_code() {
        for kind in ErrorKind::ALL {
            let rows = TABLE.iter().filter(|(_, _, kinds)| kinds.contains(kind)).count();
            assert_eq!(rows, 1, "{kind} is in {rows} rows");
            assert_ne!(code(*kind), OK);
        }
    }

    #[test]
    fn codes_are_unique_and_ascending() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
