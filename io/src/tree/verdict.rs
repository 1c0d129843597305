//! Which files of a new version are at their paths already, going by what a search has found: the file that is shown at a
//! content's place has all of it there. What that does not decide is read, whole: a second file with the same content, and
//! one of whose blocks equal ones were found elsewhere first.

use std::collections::{BTreeSet, HashMap};

use gosync_core::listing::{Entry, EntryKind};
use gosync_core::{Digest, Listing, Origin, Piece, Range, Result};
use rayon::prelude::*;

use super::Folder;
use super::view::{Slots, View};
use super::walk::{Is, Walked};
use crate::cancel::Cancel;

/// What is known.
pub(crate) struct Question<'a> {
    pub(crate) listing: &'a Listing,
    pub(crate) contents: &'a Slots,
    pub(crate) view: &'a View,
    /// What there is, and where; no folder if there is nothing.
    pub(crate) old: &'a Walked,
    pub(crate) folder: Option<&'a Folder<'static>>,
    /// Whether the file of this entry is believed to be there, without a look at it.
    pub(crate) is_known: &'a (dyn Fn(u32) -> bool + Sync),
    /// Slots whose files are to be read whole before they count.
    pub(crate) doubted: &'a BTreeSet<usize>,
    /// Whether this origin of a part of a content, at an offset, is the file that is shown at the content's place.
    pub(crate) is_own: &'a (dyn Fn(usize, Origin, u64) -> bool + Sync),
    pub(crate) cancel: &'a Cancel,
}

/// What follows.
#[derive(Default)]
pub(crate) struct Verdict {
    /// For each entry: it is a file whose content is at its path.
    pub(crate) unchanged: Vec<bool>,
    /// For each content: one of these has it, and is shown at its place.
    pub(crate) kept: Vec<bool>,
    /// For each content: all of it was found in the old file that is shown at its place, and that is all of the file.
    pub(crate) whole: Vec<bool>,
}

/// A file that is to be read.
struct Unsure<'a> {
    entry: u32,
    content: usize,
    old: u32,
    path: &'a str,
    root: Digest,
}

impl Verdict {
    /// All files of `listing` are at their paths.
    pub(crate) fn unchanged(listing: &Listing, slots: &Slots) -> Verdict {
        let is_file = |entry: Entry<'_>| matches!(entry.kind, EntryKind::File { .. });
        let all = vec![true; slots.places().len()];
        Verdict { unchanged: listing.entries().map(is_file).collect(), kept: all.clone(), whole: all }
    }
}

impl Question<'_> {
    /// Decides; in parallel on the current pool. What is kept comes from there in `cover`, from here on.
    pub(crate) fn answer(&self, cover: &mut Vec<Piece>) -> Result<Verdict> {
        let (own, missing) = self.look(cover);
        let count = self.contents.places().len();
        let (mut unchanged, mut kept) = (vec![false; self.listing.count() as usize], vec![false; count]);
        let by_path: HashMap<&str, u32> =
            (0u32..).zip(&self.old.found).map(|(number, found)| (&*found.path, number)).collect();
        let mut unsure = Vec::new();
        for (number, entry) in (0u32..).zip(self.listing.entries()) {
            let EntryKind::File { size, root, .. } = entry.kind else { continue };
            let Some((path, old)) = by_path.get_key_value(&*entry.path).map(|(path, old)| (*path, *old)) else {
                continue;
            };
            if !self.has_length(old, size) {
                continue;
            }
            let Some(content) = self.contents.at(entry.place) else {
                unchanged[number as usize] = true;
                continue;
            };
            let (is_shown, is_doubted) = (self.view.shown(content) == Some(old), self.doubted.contains(&content));
            if !is_doubted && ((self.is_known)(number) || is_shown && own[content]) {
                unchanged[number as usize] = true;
                kept[content] |= is_shown;
            } else if missing[content] == 0 {
                unsure.push(Unsure { entry: number, content, old, path, root });
            }
        }
        let mut put = Vec::new();
        for (unsure, _) in unsure.iter().zip(self.read(&unsure)?).filter(|(_, is_right)| *is_right) {
            unchanged[unsure.entry as usize] = true;
            if !kept[unsure.content] {
                self.view.show(unsure.content, unsure.old);
                kept[unsure.content] = true;
                put.push(self.contents.places()[unsure.content]);
            }
        }
        if !put.is_empty() {
            put.sort_unstable();
            *cover = with_own(std::mem::take(cover), &put);
        }
        let is_whole = |content: usize| {
            let length = self.contents.places()[content].length;
            own[content] && self.view.shown(content).is_some_and(|old| self.has_length(old, length))
        };
        let whole = (0..count).map(|content| kept[content] || is_whole(content)).collect();
        Ok(Verdict { unchanged, kept, whole })
    }

    /// For each content: whether all of it is in the file shown at its place, and how many bytes of it are nowhere.
    fn look(&self, cover: &[Piece]) -> (Vec<bool>, Vec<u64>) {
        let count = self.contents.places().len();
        let (mut own, mut missing) = (vec![true; count], vec![0; count]);
        for piece in cover {
            for content in self.contents.within(piece.target) {
                let place = self.contents.places()[content];
                let start = place.offset.max(piece.target.offset);
                let origin = match piece.origin {
                    Origin::Seed { seed, offset } => {
                        Origin::Seed { seed, offset: offset + (start - piece.target.offset) }
                    }
                    Origin::Missing => {
                        missing[content] += place.end().min(piece.target.end()) - start;
                        Origin::Missing
                    }
                };
                own[content] &= (self.is_own)(content, origin, start);
            }
        }
        (own, missing)
    }

    /// Whether each file has the root that it should have.
    fn read(&self, unsure: &[Unsure<'_>]) -> Result<Vec<bool>> {
        let read = |unsure: &Unsure<'_>| {
            self.cancel.check()?;
            let file = self.folder.and_then(|folder| folder.file(unsure.path).ok());
            let Some((file, _)) = file else { return Ok(false) };
            match Digest::of_reader(&file, &|_| self.cancel.check()) {
                Ok(root) => Ok(root == unsure.root),
                // What cannot be read is not there.
                Err(_) => self.cancel.check().map(|()| false),
            }
        };
        unsure.par_iter().map(read).collect()
    }

    fn has_length(&self, old: u32, size: u64) -> bool {
        let found = self.old.found.get(old as usize);
        found.is_some_and(|found| matches!(found.is, Is::File { stamp, .. } if stamp.length == size))
    }
}

/// `cover` with these ranges, which are ascending and apart, from the same offsets of seed 0.
fn with_own(cover: Vec<Piece>, ranges: &[Range]) -> Vec<Piece> {
    let own = |range: &Range| Piece { target: *range, origin: Origin::Seed { seed: 0, offset: range.offset } };
    let mut pieces: Vec<Piece> = ranges.iter().map(own).collect();
    for piece in cover {
        let mut at = piece.target.offset;
        let mut keep = |from: u64, to: u64| {
            if from < to {
                let origin = match piece.origin {
                    Origin::Seed { seed, offset } => {
                        Origin::Seed { seed, offset: offset + (from - piece.target.offset) }
                    }
                    Origin::Missing => Origin::Missing,
                };
                pieces.push(Piece { target: Range::new(from, to - from), origin });
            }
        };
        let first = ranges.partition_point(|range| range.end() <= at);
        for range in ranges[first..].iter().take_while(|range| range.offset < piece.target.end()) {
            keep(at, range.offset);
            at = range.end();
        }
        keep(at, piece.target.end());
    }
    pieces.sort_unstable_by_key(|piece| piece.target.offset);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cover_stays_exact_where_parts_of_it_come_from_elsewhere() {
        let seed = |offset| Origin::Seed { seed: 3, offset };
        let piece = |from, to, origin| Piece { target: Range::new(from, to - from), origin };
        let own = |from, to| piece(from, to, Origin::Seed { seed: 0, offset: from });
        let cover = vec![piece(0, 10, seed(50)), piece(10, 20, Origin::Missing), piece(20, 40, seed(0))];
        let changed = with_own(cover, &[Range::new(5, 10), Range::new(22, 3), Range::new(30, 10)]);
        let expected = [
            piece(0, 5, seed(50)),
            own(5, 15),
            piece(15, 20, Origin::Missing),
            piece(20, 22, seed(0)),
            own(22, 25),
            piece(25, 30, seed(5)),
            own(30, 40),
        ];
        assert_eq!(changed, expected);
    }
}
