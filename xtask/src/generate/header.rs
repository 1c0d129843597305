//! The C header, by cbindgen from the code of `ffi`, as `ffi/cbindgen.toml` says.

use super::Generated;
use crate::sh::{Result, Stop, fail};

/// Reads the code and writes the header as text.
pub(super) fn generate() -> Result<Generated> {
    let folder = crate::paths::root().join("ffi");
    let failed = |error: String| Stop::Failed(format!("cbindgen: {error}"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).map_err(failed)?;
    let bindings = cbindgen::Builder::new()
        .with_crate(&folder)
        .with_config(config)
        .generate()
        .map_err(|error| Stop::Failed(format!("cbindgen: {error}")))?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    match String::from_utf8(bytes) {
        Ok(content) => Ok(Generated { path: "include/gosync.h", content }),
        Err(_) => fail("cbindgen wrote a header that is not UTF-8"),
    }
}
