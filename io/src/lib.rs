//! gosync-io: the outside world. Files, HTTP, and the loop that feeds the core.
//!
//! The verbs: [`index_file`], [`Job::plan`], [`Job::run`] (update), [`verify_file`], and the getters of [`Index`] (info).
//! [`lint_file`] is for publishers.
//! Never prints, never reads arguments; configuration comes as values.

mod cache;
mod cancel;
mod collect;
mod disk;
mod folding;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gather;
mod in_part;
mod inplace;
mod job;
mod lint;
mod location;
mod open;
mod options;
mod output;
mod parts;
mod random;
mod report;
mod seed;
mod signing;
pub mod source;
mod spool;
mod tree;
#[cfg(test)]
mod tests {
    #[path = "../../tests/common/mod.rs"]
    pub(crate) mod common;
    mod power;
    mod switch;
}
mod trust;
mod verbs;

// What tests in here share with those from outside calls it by that name.
#[cfg(test)]
extern crate self as gosync_io;

pub use cancel::Cancel;
pub use gosync_core::index::{Format, PublicKey};
pub use gosync_core::{
    Change, ChangeKind, Digest, EntryKind, Error, ErrorKind, Index, Link, Listing, Origin, Piece, Plan, Range, ReadAt,
    Request, Result, Sink, Source, Strategy, Supply,
};
pub use job::Job;
pub use lint::{Finding, Lint, LintOptions, Measured, Member, lint_file};
pub use location::without_secrets;
pub use open::{index_from_bytes, open_index, open_index_source, open_source};
pub use options::{HttpOptions, IndexOptions, JobOptions, OpenOptions, VerifyOptions};
pub use output::Keep;
pub use report::{Event, Level, Observer, OnEvent, OnProgress, Phase, Progress, Statistics};
pub use seed::FileReader;
pub use signing::needs_password;
pub use tree::{Difference, What};
pub use trust::check_index;
pub use verbs::{
    Pruned, Verification, encode_index, index_bytes, index_file, index_stream, prune, save_index, verify_file,
};
