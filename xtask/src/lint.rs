//! Everything that can be said about the code without running it, with every warning an error.

use crate::sh::{Result, cargo};
use crate::steps::Steps;

pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::new();
    add(&mut steps);
    steps.finish()
}

/// The steps, for `lint` and for what includes it.
pub(crate) fn add(steps: &mut Steps) {
    steps.step("format", format);
    steps.step("borders (tidy)", crate::tidy::step);
    steps.step("generated files", crate::generate::check_step);
    steps.step("clippy", || cargo().args("clippy --workspace --all-targets --quiet -- -D warnings").run());
    steps.step("clippy: fuzz targets", || {
        let clippy = cargo().args("clippy --all-targets --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir");
        clippy.arg(crate::paths::target().join("fuzz")).args("-- -D warnings").run()
    });
    steps.step("documentation", || {
        cargo()
            .args("doc --workspace --no-deps --document-private-items --quiet")
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()
    });
}

pub(crate) fn format() -> Result<()> {
    cargo().args("fmt --all --check").run()?;
    cargo().args("fmt --check --manifest-path fuzz/Cargo.toml").run()
}
