//! The one safe shim over the C functions of gosync: what the language modules are built on, and the only Rust code
//! that calls `gosync_*`. It knows about pointers, ownership and trampolines, and nothing about any language.
//!
//! Every handle ([`Index`], [`Source`], [`Job`], [`Plan`], [`Verification`], [`Cancel`]) owns its C object and frees it when
//! dropped. Fallible calls return [`BindingError`]. What a language brings in, a source ([`ForeignSource`], [`ForeignRead`])
//! or callbacks ([`Observer`]), is moved into the library and dropped by it exactly once. What goes wrong in the language's
//! own code is kept whole in an [`ErrorSlot`] and handed back with the error of the call.

mod call;
mod cancel;
mod error;
mod index;
mod job;
mod kind;
mod location;
mod observer;
mod open;
mod plan;
mod request;
mod slot;
mod source;
mod text;
mod verification;

pub use cancel::Cancel;
pub use error::BindingError;
pub use index::{Index, IndexOptions, prune};
pub use job::{Job, JobOptions, Statistics};
pub use kind::Kind;
pub use location::Location;
pub use observer::{Event, Observer, OnEvent, OnProgress, Progress};
pub use open::{HttpOptions, OpenOptions};
pub use plan::{Change, Piece, Plan, Seen};
pub use request::{Request, Supply};
pub use slot::{ErrorSlot, Foreign};
pub use source::{ForeignError, ForeignRead, ForeignSource, Source};
pub use verification::{Difference, Verification, VerifyOptions};

/// The result of a fallible call.
pub type Result<T, E = BindingError> = std::result::Result<T, E>;

/// The version of the library, for instance `0.1.0`.
pub fn version() -> &'static str {
    // SAFETY: the function has no preconditions; the string it returns lives as long as the process.
    unsafe { text::borrowed(gosync_ffi::gosync_version()) }.unwrap_or_default()
}
