//! The fuzz targets: run for a while with the nightly toolchain, or replayed over the committed inputs with the stable one.

use crate::paths::{root, target};
use crate::sh::{Result, cargo, fail, sh};

/// Replays as a task of its own.
pub(crate) fn replay_alone() -> Result<bool> {
    replay().map(|()| true)
}

/// Runs each committed input through its target, as plain tests.
pub(crate) fn replay() -> Result<()> {
    cargo().args("test --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir").arg(target().join("fuzz")).run()
}

/// Fuzzes every target for so many seconds.
pub(crate) fn run(seconds: &str) -> Result<bool> {
    all(seconds).map(|()| true)
}

/// As [`run`], for a step of another task.
pub(crate) fn all(seconds: &str) -> Result<()> {
    if seconds.parse::<u32>().is_err() {
        return fail(format!("not a number of seconds: {seconds}"));
    }
    let tool = crate::setup::cargo_tool("cargo-fuzz")?;
    for name in targets()? {
        // What it finds on the way goes to a folder of its own; what is worth keeping is moved to the corpus by hand.
        let found = target().join("fuzz/found").join(&name);
        std::fs::create_dir_all(&found)?;
        sh("rustup")
            .args("run nightly")
            .arg(&tool)
            .args("fuzz run --features libfuzzer --target-dir")
            .arg(target().join("fuzz/nightly"))
            .arg(&name)
            .arg(&found)
            .arg(root().join("fuzz/corpus").join(&name))
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .args("-print_final_stats=1 -rss_limit_mb=2048 -timeout=10")
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .run()?;
    }
    Ok(())
}

/// The targets, by their files.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
