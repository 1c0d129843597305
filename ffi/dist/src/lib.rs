//! The C library artefacts: everything is in `gosync-ffi`, this crate only gives it its file names and its soname.

pub use gosync_ffi::*;
