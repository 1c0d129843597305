//! The five faces as a user gets them: built, packed, and installed in a fresh place.
//! Used by the tests (fast to build) and by the demo and the benchmark (fast to run).

use std::path::{Path, PathBuf};

use crate::paths::{root, target};
use crate::sh::{Result, cargo, fail, need, sh};

/// How the native code is built.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Profile {
    /// What the tests run: built along with them.
    Dev,
    /// What is measured.
    Fast,
    /// What is installed.
    Release,
}

impl Profile {
    /// What Cargo calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Fast => "fast",
            Profile::Release => "release",
        }
    }

    /// The folder of the build output.
    pub(crate) fn folder(self) -> PathBuf {
        target().join(match self {
            Profile::Dev => "debug",
            Profile::Fast => "fast",
            Profile::Release => "release",
        })
    }
}

/// Builds the program; returns its path.
pub(crate) fn program(profile: Profile) -> Result<PathBuf> {
    cargo().args("build --quiet -p gosync-cli --profile").arg(profile.name()).run()?;
    Ok(profile.folder().join("gosync"))
}

/// Builds libgosync and installs it below `folder`; returns the prefix.
pub(crate) fn c_library(profile: Profile, folder: &Path) -> Result<PathBuf> {
    let prefix = folder.join("c");
    crate::install::library(profile, &prefix)?;
    Ok(prefix)
}

/// Compiles one C or C++ file against an installed libgosync, strictly; returns the program.
pub(crate) fn c_program(source: &Path, prefix: &Path, folder: &Path) -> Result<PathBuf> {
    let is_cpp = source.extension().is_some_and(|ending| ending == "cpp");
    let (compiler, standard) = if is_cpp { ("c++", "-std=c++17") } else { ("cc", "-std=c99") };
    let output = folder.join(source.file_stem().unwrap_or_default());
    sh(need(compiler)?)
        .args("-O2 -Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L")
        .arg(standard)
        .arg(source)
        .arg(format!("-I{}", prefix.join("include").display()))
        .arg(format!("-L{}", prefix.join("lib").display()))
        .arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()))
        .args("-lgosync -o")
        .arg(&output)
        .run()?;
    Ok(output)
}

/// Builds the wheel and installs it in a new virtual environment; returns that environment's Python.
pub(crate) fn python(profile: Profile, folder: &Path) -> Result<PathBuf> {
    let maturin = crate::setup::python_tool("maturin")?;
    let wheels = folder.join("wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels)?;
    }
    sh(maturin)
        .args("build --quiet --profile")
        .arg(profile.name())
        .arg("--out")
        .arg(&wheels)
        .within(root().join("bindings/python"))
        .run()?;
    let Some(wheel) = std::fs::read_dir(&wheels)?.flatten().map(|entry| entry.path()).find(|path| is(path, "whl"))
    else {
        return fail("maturin left no wheel");
    };
    let venv = folder.join("venv");
    crate::setup::new_venv(&venv)?;
    let python = venv.join("bin/python");
    sh(&python).args("-m pip install --quiet --no-index").arg(wheel).run()?;
    Ok(python)
}

/// Builds and packs the Node package and installs it in a new folder; returns that folder.
pub(crate) fn node(profile: Profile, folder: &Path) -> Result<PathBuf> {
    let npm = need("npm")?;
    let package = root().join("bindings/node");
    node_modules()?;
    let native = sh(&npm).args("run --silent build:native -- --profile").arg(profile.name());
    native.within(&package).run()?;
    sh(&npm).args("run --silent build").within(&package).run()?;
    let fresh = folder.join("node");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    std::fs::create_dir_all(&fresh)?;
    sh(&npm).args("pack --silent --pack-destination").arg(&fresh).within(&package).quiet().run()?;
    let Some(packed) = std::fs::read_dir(&fresh)?.flatten().map(|entry| entry.path()).find(|path| is(path, "tgz"))
    else {
        return fail("npm pack left no package");
    };
    std::fs::write(fresh.join("package.json"), "{ \"private\": true }\n")?;
    let install = sh(&npm).args("install --silent --no-fund --no-audit --offline").arg(packed).within(&fresh);
    install.run()?;
    Ok(fresh)
}

/// The compiler and types that the Node package is built with, as its lock file says.
pub(crate) fn node_modules() -> Result<()> {
    let package = root().join("bindings/node");
    let lock = std::fs::read_to_string(package.join("package-lock.json")).unwrap_or_default();
    let marker = package.join("node_modules/.lock");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let verb = if lock.is_empty() { "install" } else { "ci" };
    sh(need("npm")?).arg(verb).args("--silent --no-fund --no-audit").within(&package).run()?;
    Ok(std::fs::write(marker, lock)?)
}

fn is(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|it| it == ending)
}
