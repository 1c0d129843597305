//! The sources that ship with the library: memory, file, directory, blocking `read_at` adapter, HTTP, mirrors, and the
//! payload of a tree, put together from the files of one.

mod blocking;
mod file;
mod http;
mod memory;
mod mirrors;
mod pending;
mod tree;

use std::sync::atomic::{AtomicU64, Ordering};

use gosync_core::{Error, ErrorKind};

pub use blocking::{BlockingRead, BlockingSource};
pub use file::{FileSource, FolderSource};
#[cfg(feature = "fuzzing")]
pub(crate) use http::fuzzing;
pub use http::{HttpSource, Validators};
pub use memory::MemorySource;
pub use mirrors::MirrorSource;
pub use tree::of_tree;
pub(crate) use tree::unpack;

/// Bytes that are read, or handed over, in one go.
const PIECE: usize = 256 * 1024;

/// A number for a request that no other request of this process has.
pub(crate) fn next_request_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The error of a source that ends before what it was asked for.
fn too_short(length: u64, needed: u64) -> Error {
    Error::new(ErrorKind::Source, format!("the source has {length} bytes, fewer than the {needed} that are needed"))
}
