//! Lint: tells a publisher how well a payload will update, and why. Here is what callers see; `payload` is what is looked
//! at and its members, which `tar` and `zip` find in archives; `packed` recognises what is compressed; `rules` says what
//! is wrong with it; `measure` plans a new version from an old one with the engine itself. Nothing here is needed for an
//! update, and nothing here writes.
//!
//! An archive is whatever somebody calls one: each size in it is compared with what is there before it is used, and an
//! archive that ends early or says nonsense is a finding, not an error.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod measure;
mod packed;
mod payload;
mod rules;
mod tar;
mod zip;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gosync_core::{Index, Result};

use self::payload::Payload;
use crate::options::IndexOptions;
use crate::report::{Level, Observer};
use crate::verbs;

/// How to look at a payload. Zero and `None` mean the default.
#[derive(Clone, Debug, Default)]
pub struct LintOptions {
    /// An older version of it, a file or a directory: what the new one shares with it is measured. `None`: nothing is.
    pub old: Option<PathBuf>,
    /// Bytes of a block of the index that it will have. 0 chooses by size.
    pub block_size: u32,
    /// What of a directory is left out, as of its index.
    pub exclude: Vec<String>,
    /// Worker threads. 0 uses all cores.
    pub threads: usize,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// How well a payload will update.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lint {
    /// What it is: `tar`, `zip`, `directory`, the name of a compression (`gzip`, `xz`, …), or `file`.
    pub kind: &'static str,
    /// Bytes of it.
    pub length: u64,
    /// Files in it. 0 of what has none.
    pub members: u64,
    /// Bytes of a block of the index that it will have.
    pub block_size: u32,
    /// What there is to say of it: warnings first, and what costs most first as a rule.
    pub findings: Vec<Finding>,
    /// What it shares with the old version, if one was given.
    pub measured: Option<Measured>,
}

/// Something that makes a payload update badly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name for programs: `packed`, `deflated`, `time`, `order`, `small`, `broken`.
    pub rule: &'static str,
    /// [`Level::Warning`] where it costs much of an update, [`Level::Info`] where it may.
    pub level: Level,
    /// What it is, one line.
    pub text: String,
    /// What can be done about it, one line.
    pub advice: &'static str,
    /// Members that it is about; 0: the payload itself.
    pub members: u64,
    /// Bytes that these have.
    pub bytes: u64,
    /// The largest of these members.
    pub path: Option<String>,
}

/// What a new version shares with an old one, as a plan says it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// Bytes of the new version. Of a directory, those of its payload.
    pub total: u64,
    /// Bytes of it that the old version has, as far as they are found.
    pub from_old: u64,
    /// Bytes of it that would be fetched.
    pub missing: u64,
    /// Ranges that these are in.
    pub ranges: u64,
    /// Bytes of its index. Of a large one, an update over HTTP reads only a part.
    pub index_size: u64,
    /// The members of which something is missing, what lacks most first.
    pub members: Vec<Member>,
}

/// A member of a new version, and what of it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its path, as the archive or directory has it.
    pub path: String,
    /// Bytes of it, as they are stored.
    pub size: u64,
    /// Bytes of these that the old version does not have.
    pub missing: u64,
}

/// Looks at the file or directory at `path`, and, if the options name an old version, measures what it shares with that.
pub fn lint_file(path: &Path, options: &LintOptions) -> Result<Lint> {
    let observer = options.observer.in_turn(&Arc::default());
    observer.cancel.check()?;
    // What is wrong with a block size is told before anything is looked at.
    verbs::index_bytes(&[], &IndexOptions { block_size: options.block_size, ..IndexOptions::default() })?;
    let open = |path, block_size| Payload::open(path, &options.exclude, block_size, &observer);
    let new = open(path, options.block_size.max(1))?;
    let block_size = if options.block_size == 0 { Index::default_block_size(new.length) } else { options.block_size };
    let old = options.old.as_deref().map(|old| open(old, block_size)).transpose()?;
    let pool = verbs::pool(options.threads)?;
    let mut findings = pool.install(|| rules::findings(&new, old.as_ref(), block_size, &observer))?;
    let measured = match &old {
        Some(old) => Some(measure::measure(path, &new, old, options, &observer, &pool)?),
        None => None,
    };
    // What is nearly all there updates well, whatever it looks like.
    if measured.as_ref().is_some_and(|measured| measured.missing <= measured.total / 20) {
        findings.iter_mut().filter(|finding| finding.rule != "broken").for_each(|finding| finding.level = Level::Info);
    }
    findings.sort_by_key(|finding| finding.level != Level::Warning);
    let members = new.members.iter().filter(|member| member.is_file).count() as u64;
    Ok(Lint { kind: new.kind, length: new.length, members, block_size, findings, measured })
}
