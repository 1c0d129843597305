//! How time and memory of an update grow with the number of files: trees of small files, of which one in a hundred is new,
//! with index and content beside them, so that the work is all that there is. And what it takes to see that nothing is to do.

use std::path::Path;

use serde_json::{Value, json};

use crate::bench::measure;
use crate::sh::{Result, fail, sh};

const COUNTS: &[u64] = &[1_000, 10_000, 100_000];
/// Bytes of a file: 512 to so many.
const MOST: u64 = 8 << 10;
const PER_FOLDER: u64 = 100;
const ROUNDS: usize = 3;
/// A version is published in which nothing is new but a name.
pub(super) const RENAMED: &str = "nothing to fetch, --quick";

/// One point for each number of files and action.
pub(super) fn run(gosync: &Path, folder: &Path) -> Result<Value> {
    let mut points = Vec::new();
    for &count in COUNTS {
        println!("\n=== growth, {count} files");
        let (old, new, target) = (folder.join("old"), folder.join("new"), folder.join("app"));
        let index = folder.join("new.gosync");
        let log = folder.join("log");
        let (renamed, renamed_index) = (folder.join("renamed"), folder.join("renamed.gosync"));
        for path in [&old, &new, &renamed] {
            if path.exists() {
                std::fs::remove_dir_all(path)?;
            }
        }
        make(&old, count, false)?;
        make(&new, count, true)?;
        sh("cp").arg("-a").arg(&new).arg(&renamed).quiet().run()?;
        std::fs::rename(renamed.join("0003"), renamed.join("another name"))?;
        sh(gosync).args("index --quiet -o").arg(&renamed_index).arg(&renamed).quiet().run()?;
        let run = |words: &str| sh(gosync).args(words);
        let update = |more: &str| {
            run("update --json --quiet").arg(&target).arg("--index").arg(&index).arg("--source").arg(&new).args(more)
        };
        let mut all: [Vec<measure::Usage>; 5] = Default::default();
        for _ in 0..ROUNDS {
            if folder.exists() {
                sh("find")
                    .arg(folder)
                    .args("-maxdepth 1 ( -name app -o -name .app.* ) -exec rm -rf {} +")
                    .quiet()
                    .run()?;
            }
            all[0].push(measure::run(run("index --quiet -o").arg(&index).arg(&new), &log)?);
            sh("cp").arg("-a").arg(&old).arg(&target).quiet().run()?;
            all[1].push(measure::run(update(""), &log)?);
            if sh("diff").args("-r").arg(&new).arg(&target).quiet().run().is_err() {
                return fail("the result of gosync is wrong");
            }
            all[2].push(measure::run(update(""), &log)?);
            all[3].push(measure::run(update("--quick"), &log)?);
            let renaming = run("update --json --quiet --quick").arg(&target).arg("--index").arg(&renamed_index);
            all[4].push(measure::run(renaming.arg("--source").arg(&renamed), &log)?);
            if sh("diff").args("-r").arg(&renamed).arg(&target).quiet().run().is_err() {
                return fail("the result of gosync is wrong");
            }
        }
        let bytes = size(&new)?.1;
        for (action, runs) in ["index", "update", "nothing new", "nothing new, --quick", RENAMED].into_iter().zip(all) {
            let usage = measure::median(runs);
            println!("{action:22} {:7.3} s {:6} KiB", usage.seconds, usage.peak_bytes >> 10);
            points.push(json!({
                "action": action, "files": count, "bytes": bytes, "seconds": usage.seconds,
                "processor_seconds": usage.processor_seconds, "peak_bytes": usage.peak_bytes,
            }));
        }
    }
    Ok(json!({ "case": "growth", "rounds": ROUNDS, "points": points }))
}

/// Number of files, and their bytes together.
pub(super) fn size(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        if metadata.is_dir() {
            let below = size(&entry.path())?;
            (files, bytes) = (files + below.0, bytes + below.1);
        } else {
            (files, bytes) = (files + 1, bytes + metadata.len());
        }
    }
    Ok((files, bytes))
}

/// Writes a tree of so many files; one in a hundred is another in the new version.
fn make(folder: &Path, count: u64, is_new: bool) -> Result<()> {
    for number in 0..count {
        let below = folder.join(format!("{:04}", number / PER_FOLDER));
        if number % PER_FOLDER == 0 {
            std::fs::create_dir_all(&below)?;
        }
        let salt = u64::from(is_new && number % 100 == 7);
        let mut state = (number << 1 | salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let length = 512 + next() % (MOST - 512);
        let bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next().to_le_bytes()).collect();
        std::fs::write(below.join(format!("{number}.bin")), &bytes[..length as usize])?;
    }
    Ok(())
}
