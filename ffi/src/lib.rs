//! The C face of gosync, as Rust code: one file per C noun, one exported function per C function.
//!
//! `include/gosync.h` is generated from this crate, so the doc comments here are written for C programmers.
//! Mechanism that the nouns share lives in three private modules: `guard` (panics and pointers), `sized` (structs
//! that grow) and `foreign` (user data with its destructor). What the functions *do* is `gosync-io`'s business.
//! The library artefacts (`libgosync.so`, `libgosync.a`) are built by the crate in `dist/`, so that nothing that
//! only concerns them leaks into the language bindings, which link this crate.

#![allow(non_camel_case_types, reason = "these are the names that C programs see")]
#![allow(clippy::missing_safety_doc, reason = "the head of the header states the rules that all functions share")]

mod foreign;
mod guard;
mod sized;

// The nouns. The header has them in the order of these lines, which the empty lines between them keep.

mod version;

mod status;

mod error;

mod cancel;

mod observer;

mod options;

mod index;

mod verification;

mod source;

mod request;

mod job;

mod plan;

pub use cancel::*;
pub use error::*;
pub use index::*;
pub use job::*;
pub use observer::*;
pub use options::*;
pub use plan::*;
pub use request::*;
pub use source::*;
pub use status::*;
pub use verification::*;
pub use version::*;
