//! gosync-core: given an index of the target and bytes from anywhere, says what is already here,
//! what is missing, in which order to ask for it, and where verified bytes go.
//!
//! Pure arithmetic: no files, sockets, clock, randomness, logging or environment; all of that is `gosync-io`.

pub mod assemble;
pub mod change;
pub mod cost;
pub mod digest;
pub mod error;
pub mod index;
pub mod inplace;
pub mod listing;
pub mod matching;
pub mod packs;
pub mod plan;
pub mod ranges;
pub mod schedule;
pub mod source;
pub mod transfer;
pub mod weak;

pub use change::{Change, ChangeKind};
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use index::Index;
pub use listing::{EntryKind, Listing};
pub use packs::Packs;
pub use plan::{Origin, Piece, Plan, Strategy};
pub use source::{Link, Range, ReadAt, Request, Sink, Source, Supply};
