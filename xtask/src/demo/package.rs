//! The demo's input: two adjacent releases of a package that many people have, as its publisher released them.

use std::path::{Path, PathBuf};

use crate::sh::{Result, fail, need, sh};

/// Some 87 MB in 566 files once unpacked: descriptions of services, of which each release changes some.
const NAME: &str = "google-api-python-client";
const OLD: &str = "2.170.0";
const NEW: &str = "2.171.0";

/// The two releases, each as one uncompressed tar.
pub(super) struct Releases {
    pub(super) old: PathBuf,
    pub(super) new: PathBuf,
}

/// Gets and unpacks the releases; the second time they are there already.
pub(super) fn releases(folder: &Path) -> Result<Releases> {
    println!("the package: {NAME}, {OLD} to {NEW}");
    Ok(Releases { old: release(folder, OLD)?, new: release(folder, NEW)? })
}

fn release(folder: &Path, version: &str) -> Result<PathBuf> {
    let tar = folder.join(format!("{NAME}-{version}.tar"));
    if tar.is_file() {
        return Ok(tar);
    }
    let python = need("python3")?;
    let packages = folder.join("packages").join(version);
    sh(&python)
        .args("-m pip download --quiet --no-deps --only-binary :all: --dest")
        .arg(&packages)
        .arg(format!("{NAME}=={version}"))
        .run()?;
    let Some(wheel) = std::fs::read_dir(&packages)?.flatten().next() else {
        return fail(format!("pip left nothing in {}", packages.display()));
    };
    sh(&python).arg("xtask/src/demo/pack.py").arg(wheel.path()).arg(&tar).run()?;
    Ok(tar)
}
