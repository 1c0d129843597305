//! Builds for Windows and runs the tests there, on a Debian machine: cross-compiled, under Wine.
//! Wine is not Windows: what passes here may still fail there, but what does not compile, and most of what differs
//! between the systems, shows.

mod setup;

use std::path::PathBuf;

use crate::paths::target;
use crate::sh::{Result, Sh, Stop, cargo_path, limited};
use crate::steps::Steps;

/// Seconds after which a step counts as hanging; the build of a fresh machine is in it.
const LIMIT: u32 = 1800;

/// The task.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::new();
    add(&mut steps);
    steps.finish()
}

/// The steps, for the task and for what includes it.
pub(crate) fn add(steps: &mut Steps) {
    steps.step("Windows: setup", setup);
    steps.step("Windows: core, io, program, under Wine", tests);
}

fn setup() -> Result<()> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        setup::run()
    } else {
        Err(Stop::Missing("Wine and MinGW as Debian for 64-bit PCs has them".to_owned()))
    }
}

/// All tests of core, io and the program.
fn tests() -> Result<()> {
    let wine = setup::Wine::start()?;
    wine.warm_up()?;
    // What other people wrote is compiled the quick way: it does little of the work.
    let build = ["profile.dev.debug=0", "profile.dev.package.'*'.opt-level=0"];
    let test = cargo().args("test --quiet --tests --no-fail-fast -p gosync-core -p gosync-io -p gosync-cli");
    build.iter().fold(test, |test, setting| test.arg("--config").arg(setting)).run()
}

/// A run of cargo that builds for Windows, with Debian's compiler, into a folder of its own.
fn cargo() -> Sh {
    let key = setup::TRIPLE.replace('-', "_").to_uppercase();
    setup::in_wine(limited(LIMIT, cargo_path()))
        .without(&["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_BOOTSTRAP"])
        .env("RUSTC", setup::RUSTC)
        .env("CARGO_BUILD_TARGET", setup::TRIPLE)
        .env("CARGO_TARGET_DIR", folder())
        .env(&format!("CARGO_TARGET_{key}_RUSTFLAGS"), format!("--sysroot={}", setup::sysroot().display()))
        .env(&format!("CARGO_TARGET_{key}_RUNNER"), setup::WINE)
}

/// Where that puts what it builds.
fn folder() -> PathBuf {
    target().join("windows")
}
