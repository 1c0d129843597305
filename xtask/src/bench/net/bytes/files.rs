//! The pairs of versions, and what is asked of gosync for each.

use std::path::Path;

use serde_json::{Value, json};

use super::Tool;
use crate::bench::MIB;
use crate::bench::cases::RELEASES;
use crate::bench::corpus::{Pair, Relation};
use crate::demo::package::{self, Package};
use crate::sh::{Result, need, sh};

/// Two adjacent releases of compiled libraries, those that they need, and some sources: 117 MB.
const COMPILED: Package = Package { name: "scipy", old: "1.16.1", new: "1.16.2" };
/// One compiled program of 30 MB and little else: most of it differs, if only by addresses.
const PROGRAM: Package = Package { name: "ruff", old: "0.17.4", new: "0.17.5" };

/// What is larger does not lie in memory, and only its index is made for peers.
const LARGE: u64 = 2048 * MIB;

/// A goal.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// Bytes at most.
    Bytes(u64),
    /// At most so many hundredths of what zsync takes.
    OfZsync(u64),
}

impl Goal {
    pub(super) fn json(self) -> Value {
        match self {
            Goal::Bytes(bytes) => json!({ "bytes": bytes }),
            Goal::OfZsync(hundredths) => json!({ "of_zsync": hundredths as f64 / 100.0 }),
        }
    }
}

enum Files {
    Made(Pair),
    Released(Package),
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) goal: Value,
    pub(super) tools: &'static [Tool],
    files: Files,
}

fn made(name: &'static str, length: u64, relation: Relation, goal: Goal, tools: &'static [Tool]) -> Case {
    Case { name, goal: goal.json(), tools, files: Files::Made(Pair { length: length * MIB, relation }) }
}

fn released(name: &'static str, package: Package) -> Case {
    Case { name, goal: Goal::OfZsync(95).json(), tools: ALL, files: Files::Released(package) }
}

const ALL: &[Tool] = &[Tool::Gosync, Tool::Zsync, Tool::Bita];
const FEW: &[Tool] = &[Tool::Gosync, Tool::Zsync];

/// Edits that are 1.05 MB of new bytes, two thirds of 240 of them.
const EDITS: Relation = Relation::LargeEdits(240, 12_500);

pub(super) fn all(is_quick: bool) -> Vec<Case> {
    if is_quick {
        return vec![
            made("128 MiB, 30 edits", 128, Relation::LargeEdits(30, 12_500), Goal::Bytes(500_000), FEW),
            made("64 MiB behind 777 new bytes", 64, Relation::Prefix(777), Goal::Bytes(100_000), FEW),
        ];
    }
    vec![
        made("1 GiB, 240 scattered edits", 1024, EDITS, Goal::Bytes(1_900_000), ALL),
        made("8 GiB, the same 240 edits", 8192, EDITS, Goal::Bytes(2_600_000), FEW),
        made("512 MiB behind 777 new bytes", 512, Relation::Prefix(777), Goal::Bytes(100_000), ALL),
        made("512 MiB in 64 shuffled pieces", 512, Relation::Moved(64), Goal::Bytes(450_000), ALL),
        made("512 MiB, half zeros, 1 % of the sectors new", 512, Relation::Zeros(111), Goal::Bytes(5_800_000), ALL),
        released("release of interpreted sources, tar", RELEASES),
        released("release of compiled libraries, tar", COMPILED),
        released("release of one compiled program, tar", PROGRAM),
    ]
}

impl Case {
    pub(super) fn is_large(&self) -> bool {
        matches!(&self.files, Files::Made(pair) if pair.length > LARGE)
    }

    /// Bytes that its files take at once: old and new version and the result; what is large has holes.
    pub(super) fn room(&self) -> u64 {
        match &self.files {
            Files::Made(pair) if self.is_large() => 2 * pair.length,
            Files::Made(pair) => 4 * pair.length,
            Files::Released(_) => 1024 * MIB,
        }
    }

    pub(super) fn write_new(&self, path: &Path) -> Result<()> {
        match &self.files {
            Files::Made(pair) => Ok(pair.write_new(path)?),
            Files::Released(package) => Ok(std::fs::copy(releases(package)?.new, path).map(drop)?),
        }
    }

    pub(super) fn write_old(&self, path: &Path) -> Result<()> {
        match &self.files {
            Files::Made(pair) => Ok(pair.write_old(path)?),
            Files::Released(package) => Ok(std::fs::copy(releases(package)?.old, path).map(drop)?),
        }
    }

    /// Where the large one is not read by an update it need not take room: a result that took something from there would
    /// be wrong.
    pub(super) fn dig_holes(&self, path: &Path) -> Result<()> {
        let Files::Made(pair) = &self.files else { return Ok(()) };
        for hole in pair.untouched().into_iter().filter(|_| self.is_large()) {
            let (from, bytes) = (hole.start.to_string(), (hole.end - hole.start).to_string());
            let punch = sh(need("fallocate")?).args("--punch-hole --offset").arg(from).arg("--length").arg(bytes);
            punch.arg(path).quiet().run()?;
        }
        Ok(())
    }
}

fn releases(package: &Package) -> Result<package::Releases> {
    let folder = crate::paths::target().join("bench/packages").join(package.name);
    std::fs::create_dir_all(&folder)?;
    package::releases(package, &folder)
}
