//! Where things are: the tree, the build output, and what the tasks keep there.

use std::path::{Path, PathBuf};

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Cargo's output, which is also where every task keeps what it makes.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Programs that a task installed for itself.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// A folder below `target/`, made new and empty.
pub(crate) fn fresh(name: &str) -> std::io::Result<PathBuf> {
    let folder = target().join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
