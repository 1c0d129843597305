//! What the fuzz targets reach of the parsers in here. Behind the feature `fuzzing`, and no part of the API.

pub use crate::lint::fuzzing::archive;
pub use crate::source::fuzzing::multipart;
pub use crate::tree::fuzzing::{record, switch};
