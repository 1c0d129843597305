//! Pairs of versions for the kill tests: what an update has to do differs from one to the next.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::conformance::random::Numbers;
use crate::data::noise;
use crate::process::{INDEX, TARGET, index, plan};

const KIB: u64 = 1024;

/// An old version and what is published after it.
pub(super) struct Shape {
    /// What it is about.
    pub(super) name: &'static str,
    /// Nothing where there is no old version.
    pub(super) old: Option<Vec<u8>>,
    /// One after the other.
    pub(super) versions: Vec<Version>,
}

/// A published version.
pub(super) struct Version {
    /// The content.
    pub(super) bytes: Vec<u8>,
    /// Where content and index lie.
    pub(super) folder: PathBuf,
    /// What the program's plan lacks, starting from the version before.
    pub(super) missing: u64,
    /// Whether the plan fetches everything in one go.
    pub(super) is_whole: bool,
}

/// What becomes of the version before.
type Change = fn(&[u8], &mut Numbers) -> Vec<u8>;

/// Overwritten in stretches: what stays lies where it lay.
fn overwritten(old: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut new = old.to_vec();
    let stretch = old.len() as u64 / 20;
    for part in 0..20 {
        let length = 10 * KIB + numbers.below(140 * KIB);
        let start = (part * stretch + numbers.below(stretch - 150 * KIB)) as usize;
        new[start..start + length as usize].copy_from_slice(&noise(length as usize, numbers.below(1 << 40)));
    }
    new
}

/// Cut into pieces that come in another order, with new ones between: each way in place is in somebody's way.
fn moved(old: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let size = old.len() / 24;
    let mut pieces: Vec<&[u8]> = old.chunks(size).collect();
    for last in (1..pieces.len()).rev() {
        pieces.swap(last, numbers.below(last as u64 + 1) as usize);
    }
    let mut new = Vec::with_capacity(old.len() + old.len() / 2);
    for piece in pieces {
        new.extend(noise((10 * KIB + numbers.below(120 * KIB)) as usize, numbers.below(1 << 40)));
        new.extend(piece);
    }
    new
}

/// A little new at the beginning, more at the end: everything moves backwards.
fn grown(old: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut new = noise(70_001, numbers.below(1 << 40));
    new.extend(old);
    new.extend(noise(1_500_000, numbers.below(1 << 40)));
    new
}

/// The first and the last part are gone, and some is new: everything moves forwards.
fn shrunk(old: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut new = old[old.len() / 5..old.len() / 5 * 4].to_vec();
    let middle = new.len() / 2;
    new.splice(middle..middle + 3, noise(1_200_000, numbers.below(1 << 40)));
    new
}

/// Nothing of it.
fn replaced(_: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    noise(2_000_000, numbers.below(1 << 40))
}

/// Name, whether there is an old version, and what is published after it.
const SHAPES: &[(&str, bool, &[Change])] = &[
    ("overwritten", true, &[overwritten]),
    ("moved", true, &[moved]),
    ("grown", true, &[grown]),
    ("shrunk", true, &[shrunk]),
    ("overwritten twice", true, &[overwritten, overwritten]),
    ("nothing there", false, &[replaced]),
    ("unrelated", true, &[replaced]),
    ("moved, then overwritten", true, &[moved, overwritten]),
];

/// Makes all of them below `folder`, with their indexes.
pub(super) fn shapes(seed: u64, folder: &Path) -> Vec<Shape> {
    let mut numbers = Numbers::new(seed);
    let mut shapes = Vec::new();
    for (name, has_old, changes) in SHAPES {
        let old = noise(5_000_000, numbers.below(1 << 40));
        let mut before = has_old.then(|| old.clone());
        let mut versions = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            let bytes = change(before.as_deref().unwrap_or_default(), &mut numbers);
            let folder = folder.join(format!("{} {number}", name));
            let plan = publish(&folder, number, before.as_deref(), &bytes);
            let missing = plan["to_fetch"].as_u64().expect("a plan");
            let is_whole = plan["strategy"] == "whole" || missing == bytes.len() as u64;
            before = Some(bytes.clone());
            versions.push(Version { bytes, folder, missing, is_whole });
        }
        shapes.push(Shape { name, old: has_old.then_some(old), versions });
    }
    shapes
}

/// The name of a version's content on the server.
pub(super) fn content_name(number: usize) -> String {
    format!("app-{number}.bin")
}

/// Writes content and index; what a plan says.
fn publish(folder: &Path, number: usize, before: Option<&[u8]>, bytes: &[u8]) -> Value {
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let (content, described, target) = (folder.join(content_name(number)), folder.join(INDEX), folder.join(TARGET));
    std::fs::write(&content, bytes).expect("the content");
    index(&content, &described);
    if let Some(before) = before {
        std::fs::write(&target, before).expect("the version before");
    }
    plan(&target, &described)
}
