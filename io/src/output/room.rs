//! Room for the new version, before anything is fetched for it: whether there is enough, and taking it, so that nobody else
//! does. What the index shows to be zeros stays a hole and needs none.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use gosync_core::index::Blocks;
use gosync_core::{Error, ErrorKind, Index, Range, Result};

use super::{Output, folder_of};

impl Output {
    /// Takes the room that is lacking still. `NO_SPACE`, with the bytes `needed` and `available`, if that is too much.
    pub(crate) fn reserve(&mut self, index: &Index) -> Result<()> {
        let lacking = self.lacking(index);
        let lacking_bytes: u64 = lacking.iter().map(|range| range.length).sum();
        // A partial file may have been given its room already.
        let needed = lacking_bytes.saturating_sub(spare(self, index));
        check_room(&self.target, needed)?;
        // A clone's room is taken piece by piece, as it comes to differ.
        if self.is_clone || !is_cheap(self) {
            return Ok(());
        }
        for range in lacking {
            match self.file.allocate(range.offset, range.length) {
                Ok(true) => self.is_blank = false,
                Ok(false) => break,
                Err(cause) => return Err(failed(cause, &self.target, needed)),
            }
        }
        Ok(())
    }

    /// What is neither there nor known to be zeros, by top blocks, joined.
    fn lacking(&self, index: &Index) -> Vec<Range> {
        let tops = index.tops();
        let zeros = Zeros::of(tops);
        let mut lacking: Vec<Range> = Vec::new();
        for top in 0..tops.count() {
            if index.top_units(top).all(|unit| self.has(unit)) || zeros.has(tops, top) {
                continue;
            }
            let range = tops.range(top);
            match lacking.last_mut() {
                Some(last) if last.end() == range.offset => last.length += range.length,
                _ => lacking.push(range),
            }
        }
        lacking
    }
}

/// `NO_SPACE` if `needed` bytes are more than the file system of the target has left.
pub(crate) fn check_room(target: &Path, needed: u64) -> Result<()> {
    let is_too_much = available(target).is_some_and(|available| needed > available);
    if is_too_much { Err(full(target, needed)) } else { Ok(()) }
}

/// The error for room that could not be taken, where `needed` bytes were.
pub(crate) fn failed(cause: io::Error, target: &Path, needed: u64) -> Error {
    let known = Error::from_io(cause, "cannot reserve room", target.display());
    if known.kind() == ErrorKind::NoSpace { full(target, needed).caused_by(known) } else { known }
}

fn full(target: &Path, needed: u64) -> Error {
    let error = Error::new(ErrorKind::NoSpace, "there is not enough room for the new version");
    let error = error.with("path", target.display()).with("needed", needed);
    available(target).map_or(error.clone(), |available| error.with("available", available))
}

/// Bytes that this user may still take of the target's file system.
fn available(target: &Path) -> Option<u64> {
    let about = fs4::statvfs(folder_of(target)).ok()?;
    // Some network file systems do not know, and say that there is nothing at all.
    (about.total_space() > 0).then(|| about.available_space())
}

/// Bytes behind `start` that are not known to be zeros, by top blocks.
pub(crate) fn room_behind(index: &Index, start: u64) -> u64 {
    let tops = index.tops();
    let zeros = Zeros::of(tops);
    let first = start / tops.size().max(1);
    let behind = |range: Range| range.end() - range.offset.max(start).min(range.end());
    (first..tops.count()).filter(|top| !zeros.has(tops, *top)).map(|top| behind(tops.range(top))).sum()
}

/// The room that parts of a content need: what is not known to be zeros, by top blocks.
pub(crate) struct Room<'a> {
    tops: Blocks<'a>,
    zeros: Zeros,
}

impl Room<'_> {
    pub(crate) fn of(index: &Index) -> Room<'_> {
        let tops = index.tops();
        // Without the top nothing is known.
        Room { tops, zeros: if index.has_top() { Zeros::of(tops) } else { Zeros(None) } }
    }

    /// Bytes that `part` needs.
    pub(crate) fn within(&self, part: Range) -> u64 {
        let size = self.tops.size().max(1);
        let whole = part.offset.div_ceil(size)..(part.end() / size).min(self.tops.count());
        let holes = whole.filter(|top| self.zeros.has(self.tops, *top)).count() as u64;
        part.length.saturating_sub(holes * size)
    }
}

/// Bytes of a top block at most.
const LARGEST: u64 = 1 << 20;

/// What a block of zeros looks like in an index.
struct Zeros(Option<(u64, u64)>);

impl Zeros {
    fn of(level: Blocks<'_>) -> Zeros {
        // A legacy index says nothing of zeros, and may have blocks of any size.
        let is_known = level.has_identities() && level.count() > 0 && level.size() <= LARGEST;
        Zeros(is_known.then(|| (level.cut_weak(0, 0), level.hint_of(&vec![0; level.size() as usize]))))
    }

    fn has(&self, level: Blocks<'_>, block: u64) -> bool {
        self.0.is_some() && level.range(block).length == level.size() && level.identity(block) == self.0
    }
}

/// Bytes of the disk that the file has beyond what is right in it.
fn spare(output: &Output, index: &Index) -> u64 {
    // What a clone shares has to be taken once more when it is written to.
    if output.is_clone {
        return 0;
    }
    let taken = output.file.file().metadata().map_or(0, |about| taken(&about));
    let right = (0..index.unit_count()).filter(|unit| output.has(*unit)).map(|unit| index.unit_range(unit).length);
    taken.saturating_sub(right.sum())
}

/// Bytes of the disk that a file has.
#[cfg(unix)]
pub(crate) fn taken(about: &Metadata) -> u64 {
    const BLOCK: u64 = 512;
    std::os::unix::fs::MetadataExt::blocks(about).saturating_mul(BLOCK)
}

/// Bytes of the disk that a file has: on Windows a length is given with its room.
#[cfg(not(unix))]
pub(crate) fn taken(about: &Metadata) -> u64 {
    about.len()
}

/// Whether taking room is a note in the file system's books. In memory it is the writing itself.
#[cfg(target_os = "linux")]
fn is_cheap(output: &Output) -> bool {
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    rustix::fs::fstatfs(output.file.file()).is_ok_and(|about| about.f_type != TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn is_cheap(_: &Output) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_tells_how_much_room_there_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        check_room(&target, 1).expect("a byte");
        let error = check_room(&target, u64::MAX).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let fact = |name| error.context().iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        assert_eq!(fact("needed"), Some(u64::MAX.to_string()));
        let available = fact("available").and_then(|text| text.parse::<u64>().ok());
        assert!(available.is_some_and(|available| available > 0), "{available:?}");
    }
}
