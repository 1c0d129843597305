//! The distinct contents of a tree: which part of the payload each is, and which file has it. A range of the payload becomes
//! ranges of contents, and zeros that nobody has.

use bytes::Bytes;
use gosync_core::{Digest, EntryKind, Listing, Range};

/// More zeros than there are between contents.
static ZEROS: [u8; 32 << 10] = [0; 32 << 10];

/// Zeros, as many as there may be between two contents.
pub(crate) fn zeros(length: u64) -> Bytes {
    let all = Bytes::from_static(&ZEROS);
    // Contents begin at blocks, of at most 32 KiB.
    all.slice(..all.len().min(length as usize))
}

/// The contents of a payload, as they follow each other in it.
pub(crate) struct Contents {
    contents: Vec<Content>,
    length: u64,
}

/// One content.
pub(crate) struct Content {
    /// Where it is in the payload.
    pub(crate) place: Range,
    /// Where it begins among the contents, if there are no zeros between them.
    pub(crate) start: u64,
    pub(crate) root: Digest,
    /// The first file that has it.
    pub(crate) path: Box<str>,
}

/// A part of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A range of the content with this number.
    Content(usize, Range),
    /// Zeros between contents, at this range of the payload.
    Zeros(Range),
}

impl Contents {
    pub(crate) fn of(listing: &Listing) -> Contents {
        let mut contents: Vec<Content> = Vec::new();
        let (mut end, mut start) = (0, 0);
        for entry in listing.entries() {
            let EntryKind::File { root, .. } = entry.kind else { continue };
            // A content that was there before is the same one, at the place of the first; an empty one is nowhere.
            if entry.place.length > 0 && (contents.is_empty() || entry.place.offset >= end) {
                end = entry.place.end();
                contents.push(Content { place: entry.place, start, root, path: entry.path.into() });
                start += entry.place.length;
            }
        }
        Contents { contents, length: listing.payload_length() }
    }

    pub(crate) fn count(&self) -> usize {
        self.contents.len()
    }

    /// Bytes of the payload.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn all(&self) -> &[Content] {
        &self.contents
    }

    /// Where a content is in the payload.
    pub(crate) fn place(&self, content: usize) -> Range {
        self.contents.get(content).map_or(Range::new(0, 0), |content| content.place)
    }

    /// Where it begins among the contents, without the zeros between.
    pub(crate) fn start(&self, content: usize) -> u64 {
        self.contents.get(content).map_or(0, |content| content.start)
    }

    /// The file that has it.
    pub(crate) fn path(&self, content: usize) -> &str {
        self.contents.get(content).map_or("", |content| &content.path)
    }

    /// The parts of a range of the payload, which ends where the payload does.
    pub(crate) fn parts(&self, range: Range) -> Vec<Part> {
        let (mut at, end) = (range.offset, range.end().min(self.length));
        let mut parts = Vec::new();
        let first = self.contents.partition_point(|content| content.place.end() <= at);
        for (content, Content { place, .. }) in self.contents.iter().enumerate().skip(first) {
            if at >= end || place.offset >= end {
                break;
            }
            if place.offset > at {
                parts.push(Part::Zeros(Range::new(at, place.offset - at)));
                at = place.offset;
            }
            let to = place.end().min(end);
            parts.push(Part::Content(content, Range::new(at - place.offset, to - at)));
            at = to;
        }
        if at < end {
            parts.push(Part::Zeros(Range::new(at, end - at)));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use gosync_core::Index;

    use super::*;
    use crate::options::IndexOptions;
    use crate::verbs::index_file;

    fn tree(files: &[(&str, usize)]) -> (Index, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, size) in files {
            std::fs::write(folder.path().join(name), name.repeat(*size)).expect("a file");
        }
        let index = index_file(folder.path(), &IndexOptions::default()).expect("an index");
        (index, folder)
    }

    #[test]
    fn a_range_is_cut_at_the_borders_of_files() {
        let (index, _folder) = tree(&[("a", 1500), ("b", 0), ("c", 1024), ("d", 10)]);
        let contents = Contents::of(index.listing().expect("a tree"));
        assert_eq!((contents.count(), contents.length), (3, 3082));
        let content = |content, offset, length| Part::Content(content, Range::new(offset, length));
        let zeros = |offset, length| Part::Zeros(Range::new(offset, length));
        let all = [content(0, 0, 1500), zeros(1500, 548), content(1, 0, 1024), content(2, 0, 10)];
        assert_eq!(contents.parts(Range::new(0, Range::TO_END)), all);
        assert_eq!(contents.parts(Range::new(0, 3082)), all);
        assert_eq!(contents.parts(Range::new(1499, 2)), [content(0, 1499, 1), zeros(1500, 1)]);
        assert_eq!(contents.parts(Range::new(1600, 100)), [zeros(1600, 100)]);
        assert_eq!(contents.parts(Range::new(2047, 2)), [zeros(2047, 1), content(1, 0, 1)]);
        assert_eq!(contents.parts(Range::new(3082, 5)), []);
        assert_eq!(contents.path(2), "d");
    }

    #[test]
    fn equal_contents_are_one() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a", "b", "c"] {
            std::fs::write(folder.path().join(name), if name == "b" { "x" } else { "y" }).expect("a file");
        }
        let index = index_file(folder.path(), &IndexOptions::default()).expect("an index");
        let listing = index.listing().expect("a tree");
        let contents = Contents::of(listing);
        assert_eq!((contents.count(), contents.path(0), contents.path(1)), (2, "a", "b"));
        let roots = listing
            .entries()
            .filter(|entry| matches!(entry.kind, EntryKind::File { root, .. } if root == Digest::of(b"y")));
        assert_eq!(roots.count(), 2);
    }
}
