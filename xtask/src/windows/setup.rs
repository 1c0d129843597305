//! What building and running for Windows needs, made on a Debian machine: a compiler with a standard library for
//! Windows, MinGW, and Wine with a world (a "prefix") of its own. What is there already is left as it is.
//!
//! The compiler is Debian's, because a standard library has to be of the very version of its compiler, and only Debian
//! gives both from one source. The library is built once and put into a folder below `target/` that the compiler is
//! shown as its root, so that from then on a build for Windows is like any other: no unstable switch, nothing in `/usr`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::paths::tools;
use crate::sh::{Result, Sh, Stop, fail, limited, sh, which};

/// What is built for.
pub(super) const TRIPLE: &str = "x86_64-pc-windows-gnu";
/// Debian's compiler; the one in PATH may be another.
pub(super) const RUSTC: &str = "/usr/bin/rustc";
/// Windows' programs run by this. Debian's `wine` is a script around it that wants 32 bits too.
pub(super) const WINE: &str = "/usr/lib/wine/wine64";
/// Wine's own process in the background, one for each prefix.
const WINE_SERVER: &str = "/usr/lib/wine/wineserver";
/// The compiler of C, for what has C in it.
pub(super) const GCC: &str = "x86_64-w64-mingw32-gcc";

const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "gcc-mingw-w64-x86-64-win32", "wine64"];

/// A first Wine call makes some hundred files and starts services.
const WINE_LIMIT: u32 = 180;

/// Makes all of it.
pub(super) fn run() -> Result<()> {
    packages()?;
    standard_library()?;
    wine_prefix()
}

/// The root that the compiler is shown.
pub(super) fn sysroot() -> PathBuf {
    folder().join("sysroot")
}

fn folder() -> PathBuf {
    tools().join("windows")
}

fn packages() -> Result<()> {
    let is_missing = |package: &&&str| {
        let status = sh("dpkg-query").args("-W -f ${db:Status-Status}").arg(package).read();
        !status.is_ok_and(|status| status == "installed")
    };
    let missing: Vec<&str> = PACKAGES.iter().filter(is_missing).copied().collect();
    if missing.is_empty() {
        println!("Debian packages: nothing is missing");
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    let Some(client) = which("apt-get") else {
        return Err(Stop::Missing(format!("{} (and there is no apt-get to install it)", missing.join(", "))));
    };
    let apt = || sh(&client).env("DEBIAN_FRONTEND", "noninteractive");
    let installed = apt().args("update -q").quiet().run().and_then(|()| {
        let install = apt().args("install -y -q --no-install-recommends");
        missing.iter().fold(install, Sh::arg).quiet().run()
    });
    installed.map_err(|stop| match stop {
        // No root, no network, another Debian: what there is says which.
        Stop::Failed(why) => Stop::Missing(format!("{}: {why}", missing.join(", "))),
        missing => missing,
    })
}

/// Builds the standard library for Windows, if there is none of this very compiler.
fn standard_library() -> Result<()> {
    let version = sh(RUSTC).arg("-vV").read()?;
    let marker = sysroot().join("version");
    if std::fs::read_to_string(&marker).is_ok_and(|built| built == version) {
        println!("standard library for Windows: there");
        return Ok(());
    }
    println!("building the standard library for Windows, once");
    let work = crate::paths::fresh("windows-std")?;
    std::fs::create_dir(work.join("src"))?;
    std::fs::write(work.join("src/lib.rs"), "")?;
    let package = "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";
    std::fs::write(work.join("Cargo.toml"), package)?;
    sh("/usr/bin/cargo")
        .args("build --quiet --release -Zbuild-std=std,panic_unwind,panic_abort,test,proc_macro --target")
        .arg(TRIPLE)
        .within(&work)
        .without(&["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"])
        .env("RUSTC", RUSTC)
        .env("CARGO_TARGET_DIR", work.join("target"))
        // The one place where unstable switches are on: `-Zbuild-std` is one.
        .env("RUSTC_BOOTSTRAP", "1")
        .run()?;
    let library = sysroot().join("lib/rustlib").join(TRIPLE).join("lib");
    if sysroot().exists() {
        std::fs::remove_dir_all(sysroot())?;
    }
    std::fs::create_dir_all(&library)?;
    for entry in std::fs::read_dir(work.join("target").join(TRIPLE).join("release/deps"))? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let name = name.to_string_lossy();
        if name.ends_with(".rlib") && !name.starts_with("libnothing-") {
            std::fs::copy(&path, library.join(&*name))?;
        }
    }
    std::fs::remove_dir_all(&work)?;
    Ok(std::fs::write(marker, version)?)
}

/// Makes Wine's prefix: says that it is a Windows 10, and gets the library that Wine lacks.
fn wine_prefix() -> Result<()> {
    let marker = prefix().join("ready");
    let stand_in = include_str!("bcryptprimitives.c");
    if std::fs::read_to_string(&marker).is_ok_and(|made| made == stand_in) {
        println!("Wine prefix: there");
        return Ok(());
    }
    println!("making the Wine prefix");
    std::fs::create_dir_all(prefix())?;
    let _running = Wine::start()?;
    silently(wine().args("wineboot --init"))?;
    silently(wine().args(r"reg add HKCU\Software\Wine /v Version /d win10 /f"))?;
    let source = prefix().join("bcryptprimitives.c");
    std::fs::write(&source, stand_in)?;
    let system = prefix().join("drive_c/windows/system32");
    sh(GCC)
        .args("-O2 -Wall -Wextra -Werror -shared -s")
        .arg(&source)
        .arg("-o")
        .arg(system.join("bcryptprimitives.dll"))
        .arg("-ladvapi32")
        .run()?;
    Ok(std::fs::write(marker, stand_in)?)
}

fn prefix() -> PathBuf {
    folder().join("wine")
}

/// A call of Wine in the prefix.
fn wine() -> Sh {
    in_wine(limited(WINE_LIMIT, WINE))
}

/// Gives a program what Wine looks for in the environment.
pub(super) fn in_wine(sh: Sh) -> Sh {
    sh.env("WINEPREFIX", prefix())
        .env("WINEDEBUG", "-all")
        // Without it, names that are not ASCII cannot be.
        .env("LC_ALL", "C.UTF-8")
        // No questions whether .NET and a browser are to be installed, and no window.
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .without(&["DISPLAY", "WAYLAND_DISPLAY"])
}

/// Wine's server, kept running between programs: their start is then quick. Dropping it ends all that runs in the prefix.
pub(super) struct Wine;

impl Wine {
    pub(super) fn start() -> Result<Wine> {
        if !Path::new(WINE).is_file() || !Path::new(WINE_SERVER).is_file() {
            return Err(Stop::Missing(WINE.to_owned()));
        }
        // One that is left from a run that was killed would go on with what it knew.
        end();
        silently(in_wine(sh(WINE_SERVER)).arg("--persistent"))?;
        Ok(Wine)
    }

    /// Starts the services, so that no test has to, and looks whether a program can run at all.
    pub(super) fn warm_up(&self) -> Result<()> {
        silently(wine().args("wineboot"))?;
        let version = wine().args("cmd /c ver").read()?;
        if version.contains("Windows 10.") { Ok(()) } else { fail(format!("not the Windows it should be: {version}")) }
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        end();
    }
}

/// Ends the server, if one runs, and with it all programs of the prefix.
fn end() {
    let _ = silently(in_wine(sh(WINE_SERVER)).arg("--kill"));
}

/// Runs what leaves processes behind: those keep what they were given to print to, so that waiting for the end of what
/// is printed would last as long as they do.
fn silently(sh: Sh) -> Result<()> {
    let (mut command, shown) = sh.into_command();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { fail(format!("{status}: {shown}")) }
}
