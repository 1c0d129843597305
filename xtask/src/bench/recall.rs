//! What the bounds on a search cost in matches: the bytes that gosync finds, over those that a search without bounds
//! finds. That one is here, as plain as can be: a map of all blocks, a sum rolled over every offset, a comparison of bytes.
//!
//! It holds both versions in memory, which would count as the memory of each program that is started after it: so it is the
//! last case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::MIB;
use super::corpus::{Noise, SplitMix};
use super::place::Place;
use super::tools::Tool;
use crate::sh::{Result, fail, need, sh};

/// What is edited, and how many bytes lie between two edits.
const CONTENTS: &[(&str, Content, u64)] = &[
    ("random data", Content::Random, 64 << 10),
    ("binaries (the system's libraries)", Content::Binaries, 32 << 10),
    ("source text (Python's library)", Content::Source, 16 << 10),
    ("records of 128 bytes", Content::Records, 64 << 10),
];

const BLOCK_SIZES: &[usize] = &[2048, 4096, 16384];

#[derive(Clone, Copy)]
enum Content {
    Random,
    Binaries,
    Source,
    Records,
}

/// One point for each content and size of block.
pub(super) fn run(gosync: &Path, length: u64, folder: &Path) -> Result<Vec<Value>> {
    let place = Place::new(gosync, folder)?;
    let mut points = Vec::new();
    for (name, content, every) in CONTENTS {
        let old = content.bytes(length as usize)?;
        if old.len() < MIB as usize {
            println!("skipped: recall of {name}: there are none here");
            continue;
        }
        std::fs::write(&place.old, &old)?;
        for block_size in BLOCK_SIZES {
            let mut new = edited(&old, *every);
            // A shorter last block is found at the seed's end only, by whichever search.
            new.truncate(new.len() / block_size * block_size);
            std::fs::write(place.new_version(), &new)?;
            let index = place.index(Tool::Gosync);
            let size = block_size.to_string();
            sh(gosync)
                .args("index --quiet --block-size")
                .arg(&size)
                .arg("-o")
                .arg(index)
                .arg(place.new_version())
                .run()?;
            // Only a plan that says everything has its pieces.
            let plan = sh(gosync).args("plan --json --verbose").arg(&place.old).arg("--index");
            let said = plan.arg(place.index(Tool::Gosync)).read()?;
            let plan: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
            let Some(pieces) = plan["pieces"].as_array() else { return fail(format!("not a plan: {said}")) };
            let found = pieces.iter().map(|piece| whole(piece, *block_size as u64)).sum::<u64>();
            let exact = exact(&new, &old, *block_size);
            let recall = found as f64 / exact.max(1) as f64;
            println!("  recall {name}, blocks of {block_size}: {found} of {exact} bytes, {recall:.4}");
            points.push(json!({
                "content": name, "length": new.len(), "every": every, "block_size": block_size, "found": found,
                "exact": exact, "recall": recall,
            }));
        }
    }
    Ok(points)
}

impl Content {
    /// So many bytes of it, or fewer where there are no more.
    fn bytes(self, length: usize) -> Result<Vec<u8>> {
        match self {
            Content::Random => {
                let mut bytes = vec![0; length];
                std::io::Read::read_exact(&mut Noise::new(1), &mut bytes)?;
                Ok(bytes)
            }
            Content::Records => Ok((0..).flat_map(record).take(length).collect()),
            Content::Binaries => {
                let is_library = |path: &Path| path.to_string_lossy().contains(".so");
                joined(Path::new("/usr/lib"), &is_library, length)
            }
            Content::Source => {
                let print = "import sysconfig; print(sysconfig.get_path('stdlib'))";
                let Ok(python) = need("python3") else { return Ok(Vec::new()) };
                let library = sh(python).arg("-c").arg(print).read()?;
                joined(Path::new(library.trim()), &|path| path.extension().is_some_and(|end| end == "py"), length)
            }
        }
    }
}

/// Bytes of the whole blocks in a piece that a seed has. What is put together of two pieces is none.
fn whole(piece: &Value, block_size: u64) -> u64 {
    let number = |key: &str| piece[key].as_u64();
    let (Some(_), Some(start), Some(length)) = (number("seed"), number("target_offset"), number("length")) else {
        return 0;
    };
    ((start + length) / block_size).saturating_sub(start.div_ceil(block_size)) * block_size
}

/// The files below `folder` that are wanted, one after another in the order of their names.
fn joined(folder: &Path, is_wanted: &dyn Fn(&Path) -> bool, length: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| !path.is_symlink()) {
            if path.is_dir() {
                folders.push(path);
            } else if is_wanted(&path) {
                bytes.extend(std::fs::read(path).unwrap_or_default());
            }
            if bytes.len() >= length {
                bytes.truncate(length);
                return Ok(bytes);
            }
        }
    }
    Ok(bytes)
}

/// A record with little of its own: a number, a name, a state, and spaces.
fn record(number: u64) -> [u8; 128] {
    let mut record = [b' '; 128];
    let state = if number.is_multiple_of(7) { "idle" } else { "busy" };
    let text = format!("{number:012} name-{:04} state={state}", number % 4096);
    record[..text.len()].copy_from_slice(text.as_bytes());
    record[127] = b'\n';
    record
}

/// In each stretch of `every` bytes one edit: a third replace, a third insert, a third delete 1 to 64 bytes.
fn edited(old: &[u8], every: u64) -> Vec<u8> {
    let mut choice = SplitMix(every);
    let mut new = Vec::with_capacity(old.len() + old.len() / 256);
    for (number, stretch) in old.chunks(every as usize).enumerate() {
        let at = choice.below(stretch.len() as u64) as usize;
        let size = 1 + choice.below(64) as usize;
        let gone = if number % 3 == 1 { 0 } else { size.min(stretch.len() - at) };
        new.extend_from_slice(&stretch[..at]);
        if number % 3 != 2 {
            new.extend((0..size).map(|_| choice.next() as u8));
        }
        new.extend_from_slice(&stretch[at + gone..]);
    }
    new
}

/// The bytes of all blocks of `new` that are in `old`, at whatever offset.
fn exact(new: &[u8], old: &[u8], block_size: usize) -> u64 {
    // The rolling sum modulo 2^32, with a multiplier instead of two sums: it only has to be another one than gosync's.
    const BASE: u32 = 0x0100_0193;
    let sum = |bytes: &[u8]| bytes.iter().fold(0u32, |sum, byte| sum.wrapping_mul(BASE).wrapping_add(u32::from(*byte)));
    let leaving = BASE.wrapping_pow(block_size as u32);
    // Equal blocks beside each other; those that have been found are taken out.
    let mut wanted: HashMap<u32, Vec<(&[u8], u64)>> = HashMap::new();
    let mut may_be = vec![0u64; 1 << 18];
    for block in new.chunks_exact(block_size) {
        let key = sum(block);
        may_be[key as usize >> 14] |= 1 << (key >> 8 & 63);
        let list = wanted.entry(key).or_default();
        match list.iter_mut().find(|(other, _)| *other == block) {
            Some((_, count)) => *count += 1,
            None => list.push((block, 1)),
        }
    }
    let mut blocks = 0;
    let mut key = sum(&old[..block_size.min(old.len())]);
    for (at, window) in old.windows(block_size).enumerate() {
        if may_be[key as usize >> 14] >> (key >> 8 & 63) & 1 != 0
            && let Some(list) = wanted.get_mut(&key)
            && let Some(place) = list.iter().position(|(block, _)| *block == window)
        {
            blocks += list.swap_remove(place).1;
        }
        let next = old.get(at + block_size).copied().unwrap_or_default();
        let gone = leaving.wrapping_mul(u32::from(window[0]));
        key = key.wrapping_mul(BASE).wrapping_add(u32::from(next)).wrapping_sub(gone);
    }
    blocks * block_size as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_without_bounds_finds_every_block_at_any_offset() {
        let old = Content::Random.bytes(100_000).expect("memory");
        assert_eq!(exact(&old[..8192], &old, 1024), 8192);
        assert_eq!(exact(&old[777..777 + 4096], &old, 1024), 4096);
        let mut new = old[5..5 + 4096].to_vec();
        new[1030] ^= 1;
        assert_eq!(exact(&new, &old, 1024), 3 * 1024);
        // Equal ones count each; what is not there does not.
        assert_eq!(exact(&[7; 4096], &[7; 2000], 1024), 4096);
        assert_eq!(exact(&[7; 4096], &[8; 2000], 1024), 0);
    }

    #[test]
    fn edits_are_small_and_the_same_every_time() {
        let old = Content::Records.bytes(1 << 20).expect("memory");
        let new = edited(&old, 64 << 10);
        assert_eq!(new, edited(&old, 64 << 10));
        assert!(new != old && new.len().abs_diff(old.len()) < 16 * 64);
        let found = exact(&new, &old, 2048);
        assert!((1 << 19..1 << 20).contains(&found), "{found}");
    }
}
