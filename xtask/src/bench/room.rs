//! Where the files of a run lie, and whether there is room for them.

use std::path::{Path, PathBuf};

use crate::sh::{Result, sh};

/// What is below it is in memory.
pub(super) const IN_MEMORY: &str = "/dev/shm";

/// A folder for the files of this name: in memory where there is enough of it, so that no disk is measured.
pub(super) fn room(name: &str) -> Result<PathBuf> {
    const ENOUGH: u64 = 10 << 30;
    if free(Path::new(IN_MEMORY)).min(memory()) < ENOUGH {
        return Ok(crate::paths::fresh(&format!("bench/{name}"))?);
    }
    // Always the same, so that what a run that was killed has left goes with the next one.
    let folder = PathBuf::from(format!("{IN_MEMORY}/gosync-bench-{name}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Why this much does not fit into the folder, if it does not. What lies in memory must leave some for the programs.
pub(super) fn obstacle(folder: &Path, bytes: u64) -> Option<String> {
    const SPARE: u64 = 1 << 30;
    let is_memory = folder.starts_with(IN_MEMORY);
    let there = if is_memory { free(folder).min(memory()) } else { free(folder) };
    let needed = bytes + SPARE;
    let gib = |bytes: u64| bytes as f64 / SPARE as f64;
    (there < needed)
        .then(|| format!("it takes {:.1} GiB in {}, where {:.1} are free", gib(needed), folder.display(), gib(there)))
}

fn free(folder: &Path) -> u64 {
    let printed = sh("df").args("--output=avail --block-size=1").arg(folder).read().unwrap_or_default();
    printed.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(0)
}

/// What programs can have without something being swapped out.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    available.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
