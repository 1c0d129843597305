//! Real input: two adjacent releases of a package that many people have, as its publisher released them.

use std::path::{Path, PathBuf};

use crate::sh::{Result, fail, need, sh};

/// Two adjacent releases of a package.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
}

/// Some 87 MB in 566 files once unpacked: descriptions of services, of which each release changes some.
pub(super) const DEMO: Package = Package { name: "google-api-python-client", old: "2.170.0", new: "2.171.0" };

/// The two releases, each as one uncompressed tar.
pub(crate) struct Releases {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
}

/// Gets and unpacks the releases; the second time they are there already.
pub(crate) fn releases(package: &Package, folder: &Path) -> Result<Releases> {
    println!("the package: {}, {} to {}", package.name, package.old, package.new);
    Ok(Releases { old: release(package.name, folder, package.old)?, new: release(package.name, folder, package.new)? })
}

fn release(name: &str, folder: &Path, version: &str) -> Result<PathBuf> {
    let tar = folder.join(format!("{name}-{version}.tar"));
    if tar.is_file() {
        return Ok(tar);
    }
    let python = need("python3")?;
    let packages = folder.join("packages").join(version);
    sh(&python)
        .args("-m pip download --quiet --no-deps --only-binary :all: --dest")
        .arg(&packages)
        .arg(format!("{name}=={version}"))
        .run()?;
    let Some(wheel) = std::fs::read_dir(&packages)?.flatten().next() else {
        return fail(format!("pip left nothing in {}", packages.display()));
    };
    sh(&python).arg("xtask/src/demo/pack.py").arg(wheel.path()).arg(&tar).run()?;
    Ok(tar)
}
