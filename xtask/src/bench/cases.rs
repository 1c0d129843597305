//! What is measured: which files, by which programs, how often. A quick run is the same in small, without what needs the
//! network.

use std::path::Path;

use super::MIB;
use super::corpus::{self, Relation};
use super::hostile::Shape;
use super::tools::Tool;
use crate::demo::package::{self, Package};
use crate::sh::{Result, fail, need, sh};

/// Two adjacent releases of a package that many people have: 114 MB in 633 files once unpacked.
pub(super) const RELEASES: Package = Package { name: "google-api-python-client", old: "2.201.0", new: "2.202.0" };

/// A pair of versions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Files {
    Made {
        length: u64,
        relation: Relation,
    },
    /// A real one, as `tar`, `zip` (the package as it was released) or `tar.gz`.
    Releases(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One pair, every program: index, update, plan.
    Pair { files: Files, tools: &'static [Tool] },
    /// `plan` for each of these, beside random data of the same size.
    Hostile { length: u64, one_block: u64 },
    /// Index and update of larger and larger files in memory.
    Growth { lengths: &'static [u64] },
    /// The same of one large file on the disk.
    Disk { length: u64 },
    /// Each kernel by itself.
    Kernels,
    /// What is found, beside what a search without bounds finds.
    Recall { length: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// By which the goals know it, whatever its size.
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const fn made(key: &'static str, name: &'static str, length: u64, relation: Relation, tools: &'static [Tool]) -> Case {
    Case { key, name, kind: Kind::Pair { files: Files::Made { length: length * MIB, relation }, tools } }
}

const fn releases(key: &'static str, name: &'static str, form: &'static str) -> Case {
    Case { key, name, kind: Kind::Pair { files: Files::Releases(form), tools: Tool::ALL } }
}

const FULL: &[Case] = &[
    made("edits", "1 GiB, 240 edits", 1024, Relation::Edits(240), Tool::ALL),
    made("in place", "1 GiB, 240 overwrites", 1024, Relation::Overwrites(240), Tool::PLACE),
    made("shifted", "1 GiB, 240 edits, in place", 1024, Relation::Edits(240), Tool::PLACE),
    made("unrelated", "1 GiB, unrelated", 1024, Relation::None, Tool::OWN),
    made("plan", "256 MiB, unrelated", 256, Relation::None, Tool::MOST),
    made("zeros", "512 MiB, disk image", 512, Relation::Zeros(100), Tool::MOST),
    made("prefix", "512 MiB, 777 bytes before", 512, Relation::Prefix(777), Tool::MOST),
    made("moved", "512 MiB, 64 pieces moved", 512, Relation::Moved(64), Tool::MOST),
    releases("tar", "release, tar", "tar"),
    releases("zip", "release, zip", "zip"),
    releases("tar.gz", "release, tar.gz", "tar.gz"),
    Case { key: "hostile", name: "hostile", kind: Kind::Hostile { length: 256 * MIB, one_block: 2048 * MIB } },
    Case {
        key: "growth",
        name: "growth",
        kind: Kind::Growth { lengths: &[128 * MIB, 512 * MIB, 1024 * MIB, 2048 * MIB, 4096 * MIB] },
    },
    Case { key: "disk", name: "16 GiB on disk", kind: Kind::Disk { length: 16384 * MIB } },
    Case { key: "kernels", name: "kernels", kind: Kind::Kernels },
    Case { key: "recall", name: "recall", kind: Kind::Recall { length: 32 * MIB } },
];

const QUICK: &[Case] = &[
    made("edits", "128 MiB, 30 edits", 128, Relation::Edits(30), Tool::FEW),
    made("in place", "128 MiB, 30 overwrites", 128, Relation::Overwrites(30), Tool::PLACE),
    made("shifted", "128 MiB, 30 edits, in place", 128, Relation::Edits(30), Tool::PLACE),
    made("plan", "64 MiB, unrelated", 64, Relation::None, Tool::FEW),
    made("zeros", "64 MiB, disk image", 64, Relation::Zeros(100), Tool::FEW),
    made("prefix", "64 MiB, 777 bytes before", 64, Relation::Prefix(777), Tool::FEW),
    made("moved", "64 MiB, 16 pieces moved", 64, Relation::Moved(16), Tool::FEW),
    Case { key: "hostile", name: "hostile", kind: Kind::Hostile { length: 32 * MIB, one_block: 128 * MIB } },
    Case { key: "growth", name: "growth", kind: Kind::Growth { lengths: &[32 * MIB, 128 * MIB, 256 * MIB] } },
    Case { key: "disk", name: "256 MiB on disk", kind: Kind::Disk { length: 256 * MIB } },
    Case { key: "recall", name: "recall", kind: Kind::Recall { length: 4 * MIB } },
];

pub(super) fn all(is_quick: bool) -> &'static [Case] {
    if is_quick { QUICK } else { FULL }
}

/// The hostile pairs, the first of which is the one to compare with.
pub(super) const SHAPES: &[Shape] = &[
    Shape::Random,
    Shape::Period { bytes: 1, is_half: false },
    Shape::Period { bytes: 64, is_half: false },
    Shape::Period { bytes: 96, is_half: false },
    Shape::Period { bytes: 96, is_half: true },
    Shape::Period { bytes: 4097, is_half: false },
    Shape::Period { bytes: 4097, is_half: true },
];

/// Edits as dense in every length: 240 in 1 GiB.
pub(super) fn grown(length: u64) -> corpus::Pair {
    corpus::Pair { length, relation: Relation::Edits((length / MIB * 240 / 1024).max(1)) }
}

impl Files {
    /// Bytes of the blocks of this size that are not the same in both versions, where nothing moves.
    pub(super) fn changed(self, block: u64) -> Option<u64> {
        match self {
            Files::Made { length, relation } => corpus::Pair { length, relation }.changed(block),
            Files::Releases(_) => None,
        }
    }

    /// Writes both versions.
    pub(super) fn make(self, old: &Path, new: &Path) -> Result<()> {
        match self {
            Files::Made { length, relation } => Ok(corpus::Pair { length, relation }.write(old, new)?),
            Files::Releases(form) => {
                let folder = crate::paths::target().join("bench/packages");
                std::fs::create_dir_all(&folder)?;
                let tars = package::releases(&RELEASES, &folder)?;
                for (tar, version, to) in [(tars.old, RELEASES.old, old), (tars.new, RELEASES.new, new)] {
                    match form {
                        "zip" => std::fs::copy(released(&folder.join("packages").join(version))?, to).map(drop)?,
                        _ => std::fs::copy(tar, to).map(drop)?,
                    }
                    if form == "tar.gz" {
                        // Without name and time, so that it is the same every time.
                        sh(need("gzip")?).args("--no-name --force --suffix .gz").arg(to).quiet().run()?;
                        std::fs::rename(format!("{}.gz", to.display()), to)?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The one file in this folder.
fn released(folder: &Path) -> Result<std::path::PathBuf> {
    let first = std::fs::read_dir(folder)?.flatten().next();
    first.map_or_else(|| fail(format!("nothing is in {}", folder.display())), |entry| Ok(entry.path()))
}
