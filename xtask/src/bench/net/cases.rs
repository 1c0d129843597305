//! What is measured over the link: which files, on which line, by which programs, how often.

use std::path::Path;
use std::time::Duration;

use super::link::Line;
use super::nginx::Protocol;
use super::tools::Tool;
use crate::bench::MIB;
use crate::bench::cases::RELEASES;
use crate::bench::corpus::{self, Relation};
use crate::demo::package;
use crate::sh::Result;

/// Packets that may wait for a line: not fewer than what it holds, as routers are built.
const QUEUE: u64 = 1000;

const SLOW: Line =
    Line { name: "10 Mbit/s, 300 ms", round_trip: Duration::from_millis(300), rate: 10_000_000, queue: QUEUE };
pub(super) const MIDDLE: Line =
    Line { name: "100 Mbit/s, 100 ms", round_trip: Duration::from_millis(100), rate: 100_000_000, queue: QUEUE };
const FAST: Line =
    Line { name: "1 Gbit/s, 20 ms", round_trip: Duration::from_millis(20), rate: 1_000_000_000, queue: 2 * QUEUE };

/// Hundredths of the new version that the old one has.
const SHARES: &[u64] = &[0, 10, 50, 90, 99, 100];
const FEW_SHARES: &[u64] = &[0, 50, 100];

/// A pair of versions.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Files {
    /// A real one.
    Releases,
    Made {
        length: u64,
        edits: u64,
    },
    Shared {
        length: u64,
        share: u64,
    },
    /// The old version behind a few new bytes.
    Prefix {
        length: u64,
    },
}

impl Files {
    pub(super) fn name(&self) -> String {
        match self {
            Files::Releases => format!("{} {} to {}", RELEASES.name, RELEASES.old, RELEASES.new),
            Files::Made { length, edits } => format!("{} MiB, {edits} edits", length / MIB),
            Files::Shared { length, share } => format!("{} MiB, {share} %", length / MIB),
            Files::Prefix { length } => format!("{} MiB behind 777 new bytes", length / MIB),
        }
    }

    /// Whether only the old versions differ.
    pub(super) fn has_new_version_of(&self, other: &Files) -> bool {
        let length = |files: &Files| match files {
            Files::Shared { length, .. } => Some(*length),
            Files::Releases | Files::Made { .. } | Files::Prefix { .. } => None,
        };
        self == other || (length(self).is_some() && length(self) == length(other))
    }

    /// Writes both.
    pub(super) fn make(&self, old: &Path, new: &Path) -> Result<()> {
        let (length, relation) = match self {
            Files::Releases => {
                let folder = crate::paths::target().join("bench/packages");
                std::fs::create_dir_all(&folder)?;
                let releases = package::releases(&RELEASES, &folder)?;
                std::fs::copy(releases.old, old)?;
                std::fs::copy(releases.new, new)?;
                return Ok(());
            }
            Files::Made { length, edits } => (*length, Relation::Edits(*edits)),
            Files::Shared { length, share } => (*length, Relation::Share(*share)),
            Files::Prefix { length } => (*length, Relation::Prefix(777)),
        };
        Ok(corpus::Pair { length, relation }.write(old, new)?)
    }
}

pub(super) enum Kind {
    /// Every program makes the old version the new one. gosync is held to what the link and the work take.
    Update { files: Files, tools: &'static [Tool] },
    /// gosync, from old versions that have more and more of the new one. It is held to the plain download.
    Grid { files: Vec<Files> },
    /// gosync with so many connections, for the decision how many it takes.
    Connections { files: Vec<Files> },
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::Update { .. } => "update",
            Kind::Grid { .. } => "grid",
            Kind::Connections { .. } => "connections",
        }
    }
}

pub(super) struct Case {
    pub(super) line: Line,
    pub(super) protocol: Protocol,
    pub(super) kind: Kind,
    pub(super) rounds: usize,
}

impl Case {
    pub(super) fn name(&self) -> String {
        let what = match &self.kind {
            Kind::Update { files: Files::Releases, .. } => "release",
            Kind::Update { files: Files::Prefix { .. }, .. } => "prefix",
            Kind::Update { .. } => "edits",
            other => other.name(),
        };
        format!("{what}, {}, {}", self.line.name, self.protocol.name())
    }

    /// Whether it runs only when it is asked for by name.
    pub(super) fn is_on_demand(&self) -> bool {
        matches!(self.kind, Kind::Connections { .. })
    }
}

/// All of them, those with the same files beside each other.
pub(super) fn all(is_quick: bool) -> Vec<Case> {
    let both = [Protocol::Http1, Protocol::Http2];
    let rounds = if is_quick { 1 } else { 3 };
    let tools: &[Tool] = match is_quick {
        true => &[Tool::Gosync, Tool::Flat, Tool::Zsync, Tool::Curl],
        false => &[Tool::Gosync, Tool::Flat, Tool::Zsync, Tool::Bita, Tool::Curl],
    };
    let edits = match is_quick {
        true => Files::Made { length: 128 * MIB, edits: 30 },
        false => Files::Made { length: 1024 * MIB, edits: 240 },
    };
    let prefix = Files::Prefix { length: if is_quick { 64 } else { 512 } * MIB };
    let mut cases = Vec::new();
    for files in [Files::Releases, edits, prefix] {
        let tools = if matches!(files, Files::Prefix { .. }) { &tools[..2] } else { tools };
        // What is over soon depends more on which packets were lost.
        let rounds = if files == Files::Releases && !is_quick { 5 } else { rounds };
        for protocol in both {
            cases.push(Case { line: MIDDLE, protocol, kind: Kind::Update { files: files.clone(), tools }, rounds });
        }
    }
    let shares = if is_quick { FEW_SHARES } else { SHARES };
    for (line, length) in [(SLOW, 16 * MIB), (MIDDLE, 128 * MIB), (FAST, 1024 * MIB)] {
        let length = if is_quick { length / 4 } else { length };
        for protocol in both {
            let files = shares.iter().map(|share| Files::Shared { length, share: *share }).collect();
            // The second protocol once, for the sake of time.
            let rounds = if protocol == Protocol::Http1 { rounds } else { 1 };
            cases.push(Case { line, protocol, kind: Kind::Grid { files }, rounds });
        }
        for protocol in [Protocol::Http1, Protocol::OneRange, Protocol::Http2] {
            let files = vec![Files::Shared { length, share: 0 }, Files::Made { length, edits: 240 }];
            cases.push(Case { line, protocol, kind: Kind::Connections { files }, rounds });
        }
    }
    cases
}
