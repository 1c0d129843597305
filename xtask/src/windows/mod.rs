//! Builds for Windows and runs the tests there, on a Debian machine: cross-compiled, under Wine.
//! Wine is not Windows: what passes here may still fail there, but what does not compile, and most of what differs
//! between the systems, shows.

mod setup;
mod users;

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
    steps.step("Windows: C library and main job, under Wine", users::run);
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
    // All at once: with another choice of packages, what they share would be built with other features, once more.
    cargo("build --quiet --all-targets").run()?;
    let wine = setup::Wine::start()?;
    wine.warm_up()?;
    cargo("test --quiet --tests --no-fail-fast").run()
}

/// A run of cargo that builds core, io, the program and the C library for Windows, with Debian's compiler, into a
/// folder of its own.
fn cargo(task: &str) -> Sh {
    // What other people wrote is compiled the quick way: it does little of the work.
    let quick = ["profile.dev.debug=0", "profile.dev.package.'*'.opt-level=0"];
    let key = setup::TRIPLE.replace('-', "_").to_uppercase();
    setup::in_wine(limited(LIMIT, cargo_path()))
        .without(&["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_BOOTSTRAP"])
        .env("RUSTC", setup::RUSTC)
        .env("CARGO_BUILD_TARGET", setup::TRIPLE)
        .env("CARGO_TARGET_DIR", folder())
        .env(&format!("CARGO_TARGET_{key}_RUSTFLAGS"), format!("--sysroot={}", setup::sysroot().display()))
        .env(&format!("CARGO_TARGET_{key}_RUNNER"), setup::WINE)
        .args(task)
        .args("-p gosync-core -p gosync-io -p gosync-cli -p gosync-capi --config")
        .arg(quick[0])
        .arg("--config")
        .arg(quick[1])
}

/// Where that puts what it builds.
fn folder() -> PathBuf {
    target().join("windows")
}

/// Where the program and the C library are then.
fn built() -> PathBuf {
    folder().join(setup::TRIPLE).join("debug")
}
