//! What is kept of a run: each case in a file of its own under `target/bench`, with the machine, the commit and the date,
//! so that a run can be taken up again case by case.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sh::{Result, sh};

/// Where they lie; emptied first where `is_new`.
pub(super) fn folder(name: &str, is_new: bool) -> Result<PathBuf> {
    let folder = crate::paths::target().join("bench").join(name);
    if is_new && folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Keeps one case's results.
pub(super) fn keep(folder: &Path, name: &str, mut results: Value) -> Result<()> {
    results["made"] = json!({ "machine": machine(), "commit": commit(), "date": date() });
    Ok(std::fs::write(folder.join(file_name(name)), format!("{results:#}\n"))?)
}

/// What was kept of this case.
pub(super) fn kept(folder: &Path, name: &str) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(folder.join(file_name(name))).ok()?).ok()
}

fn file_name(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    format!("{}.json", name.chars().map(plain).collect::<String>())
}

/// The commit that was measured, and whether there was more than that.
pub(super) fn commit() -> String {
    let commit = sh("git").args("rev-parse --short=12 HEAD").read().unwrap_or_else(|_| "unknown".to_owned());
    let changes = sh("git").args("status --porcelain --untracked-files=no").read().unwrap_or_default();
    format!("{}{}", commit.trim(), if changes.is_empty() { "" } else { " with changes" })
}

fn date() -> String {
    sh("date").args("-u +%Y-%m-%d").read().unwrap_or_default().trim().to_owned()
}

/// Processor, cores and memory.
pub(super) fn machine() -> String {
    let read = |path: &str, key: &str| -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = read("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = read("/proc/meminfo", "MemTotal").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = sh("uname").arg("-sr").read().unwrap_or_default();
    format!("{processor}, {cores} cores, {memory} of memory, {}", kernel.trim())
}
