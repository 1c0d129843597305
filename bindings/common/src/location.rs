//! A place that can be opened: text that may be a URL, or a path that is only ever a path.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use crate::{Result, text};

/// Where an index or a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A path or a URL.
    Text(String),
    /// A path, even if its name looks like a URL.
    Path(PathBuf),
}

impl Location {
    pub(crate) fn to_c(&self, what: &str) -> Result<CString> {
        match self {
            Location::Text(text) => text::c_text(text, what),
            Location::Path(path) if looks_like_url(path) => text::c_path(&Path::new(".").join(path), what),
            Location::Path(path) => text::c_path(path, what),
        }
    }
}

/// Whether opening this relative path by its text would be taken for a URL.
fn looks_like_url(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let scheme = text.split(':').next().unwrap_or_default();
    // A single letter before the colon is a drive, not a scheme.
    path.is_relative()
        && scheme.len() > 1
        && scheme.len() < text.len()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
}
