//! The listing of a tree whose index is at a URL: as far as an older listing has it, or what is in the target would say, it
//! is not read again. What of it is new the listing's own index tells, which is a hundredth of it.

use std::path::Path;

use gosync_core::assemble::Verified;
use gosync_core::matching::{self, Observe, Options};
use gosync_core::{Error, Index, Origin, Range, Result};

use super::present::Looking;
use super::{Around, Record};
use crate::in_part::InPart;
use crate::options::OpenOptions;
use crate::report::Observer;
use crate::{parts, verbs};

/// A listing of up to so many bytes is read whole: to read it in part takes a round trip more.
pub(super) const SHORT: u64 = 16 << 10;

/// The listing that an earlier update of `target` has left beside it, if it has.
pub(crate) fn known(target: &Path) -> Option<Vec<u8>> {
    let target = std::fs::canonicalize(target).ok().filter(|target| target.is_dir())?;
    let record = Record::read(&Around::of(&target).ok()?).ok()??;
    Some(record.listing().encode())
}

/// Reads what is lacking of the listing, the top and what says of packs of `index`, whose first bytes are `begun`, with the
/// help of an older listing, `known`, or else of what somebody who is `looking` finds in the target. If the older listing is
/// this one, nothing is read.
pub(crate) fn read(
    index: &Index,
    begun: &[u8],
    known: Option<&[u8]>,
    looking: Option<Looking>,
    options: &OpenOptions,
) -> Result<()> {
    if known.is_some_and(|known| index.supply_listing(known).is_ok()) {
        return Ok(());
    }
    let (about, Some(listing)) = index.listing_places() else { return Ok(()) };
    let is_long = listing.length > SHORT;
    let looking = match looking.filter(|_| is_long && known.is_none()) {
        Some(looking) if looking.is_worth_while()? => Some(looking),
        _ => None,
    };
    let has_help = is_long && known.is_some() || looking.is_some();
    let second = if has_help { about } else { Some(listing) };
    // Of the top, something may be here.
    let here = |top: Range| begun.get(top.offset as usize..).unwrap_or_default();
    let rest = |top: Range| {
        let here = here(top).len() as u64;
        Range::new(top.offset + here, top.length.saturating_sub(here))
    };
    let (top, packs) = (index.top_place(), index.packs_place());
    let first = [top, packs].into_iter().flatten().map(rest);
    let Some(gathered) = parts::fetch(index, first.chain(second), options)? else { return Ok(()) };
    let put = |place: Range| {
        let here = &here(place)[..here(place).len().min(place.length as usize)];
        [here, gathered.get(rest(place))].concat()
    };
    if let Some(top) = top {
        index.supply_top(&put(top)).map_err(parts::other_version(index))?;
    }
    let second = second.map_or(&[][..], |place| gathered.get(place));
    if has_help {
        let seen = looking.map_or(Ok(None), Looking::finish)?;
        let present = seen.as_ref().map(|seen| seen.record().listing().encode());
        with_help(index, listing, second, known.or(present.as_deref()).unwrap_or_default(), options)?;
        if let (Some(in_part), Some(seen)) = (InPart::of(index), seen) {
            in_part.set_seen(seen);
        }
    } else {
        index.supply_listing(second).map_err(parts::other_version(index))?;
    }
    packs.map_or(Ok(()), |place| index.supply_packs(&put(place)).map_err(parts::other_version(index)))
}

/// Reads the listing, which is at `place`, with the help of `known`. `about` is its index, unless that is here.
fn with_help(index: &Index, place: Range, about: &[u8], known: &[u8], options: &OpenOptions) -> Result<()> {
    if !about.is_empty() {
        index.supply_listing_index(about).map_err(parts::other_version(index))?;
    }
    let bytes = put_together(index, place, known, options)?;
    if index.listing().is_some() || index.supply_listing(&bytes).is_ok() {
        return Ok(());
    }
    // Something only looked like a part of it.
    let Some(gathered) = parts::fetch(index, [place], options)? else { return Ok(()) };
    index.supply_listing(gathered.get(place)).map_err(parts::other_version(index))
}

/// The listing, which is at `place` in the index, of what `known` has of it and what is read.
fn put_together(index: &Index, place: Range, known: &[u8], options: &OpenOptions) -> Result<Vec<u8>> {
    let Some(about) = index.listing_index() else { return Ok(Vec::new()) };
    let (known, observer) = (known.to_vec(), Listening(&options.observer));
    let cover = verbs::pool(1)?.install(|| {
        let found = matching::find(about, &[&known], &Options::default(), &observer)?;
        Ok::<_, Error>(matching::join_seams(about, &[&known], found.cover()))
    })?;
    let there = |target: Range| Range::new(place.offset + target.offset, target.length);
    let missing = cover.iter().filter(|piece| piece.origin == Origin::Missing).map(|piece| there(piece.target));
    let Some(gathered) = parts::fetch(index, missing, options)? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    for piece in &cover {
        match piece.origin {
            Origin::Missing => bytes.extend_from_slice(gathered.get(there(piece.target))),
            Origin::Seed { offset, .. } => {
                let part = known.get(offset as usize..(offset + piece.target.length) as usize);
                bytes.extend_from_slice(part.unwrap_or_default());
            }
        }
    }
    Ok(bytes)
}

/// Nobody but who may cancel.
struct Listening<'a>(&'a Observer);

impl Observe for Listening<'_> {
    fn unit(&self, _unit: u64, _bytes: Verified<'_>) -> Result<()> {
        Ok(())
    }

    fn scanned(&self, _bytes: u64) -> Result<()> {
        self.0.cancel.check()
    }

    fn unreadable(&self, _seed: u32, _error: Error) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use gosync_core::index::{BuildOptions, Front};
    use gosync_core::listing::EntryKind;
    use gosync_core::{Digest, Listing, Request, Source};

    use super::*;

    /// The index of a tree of 3000 small files, some of which are of a newer version.
    fn tree(is_new: impl Fn(u64) -> bool) -> Index {
        let contents = (0..3000).map(|number| [number, u64::from(is_new(number))].map(u64::to_le_bytes).concat());
        let contents: Vec<Vec<u8>> = contents.collect();
        let payload: Vec<u8> = contents
            .iter()
            .flat_map(|content| {
                let mut block = content.clone();
                block.resize(1024, 0);
                block
            })
            .collect();
        let payload = payload[..payload.len() - 1024 + 16].to_vec();
        let options = BuildOptions { block_size: 1024, ..BuildOptions::default() };
        let index = Index::build(&payload, &options, &|_| Ok(())).expect("an index");
        let names: Vec<String> = (0..3000).map(|number| format!("file {number:04}")).collect();
        let file = |content: &Vec<u8>| EntryKind::File { size: 16, root: Digest::of(content), is_executable: false };
        let entries = names.iter().map(String::as_str).zip(contents.iter().map(file));
        let root = index.root().expect("a root");
        let listing = Listing::new(1024, payload.len() as u64, root, entries).expect("a listing");
        index.with_listing(listing).expect("a tree")
    }

    /// The bytes of an index, and what was asked of them in one go.
    struct Counted {
        bytes: Vec<u8>,
        rounds: Mutex<Vec<u64>>,
    }

    impl Source for Counted {
        fn fetch(&self, request: Request) {
            let asked = request.ranges().iter().map(|range| range.length).sum();
            self.rounds.lock().expect("the rounds").push(asked);
            for range in request.ranges() {
                request.supply(range.offset, &self.bytes[range.offset as usize..range.end() as usize]);
            }
            request.finish(Ok(()));
        }

        fn describe(&self) -> String {
            "an index in memory".into()
        }
    }

    /// Reads the listing of `new`, of which `begun` bytes are here, with the help of that of `old`: the bytes of each round.
    fn rounds(new: &Index, old: Option<&Index>, begun: usize) -> Vec<u64> {
        let source = Arc::new(Counted { bytes: new.encode(), rounds: Mutex::default() });
        let known = old.map(|old| old.listing().expect("a listing").encode());
        let Ok(Front::Read(mut index)) = Index::decode_beginning(&source.bytes[..begun], u64::MAX) else {
            panic!("the beginning is not enough");
        };
        index.set_origin_source(Some(Arc::clone(&source) as Arc<dyn Source>));
        read(&index, &source.bytes[..begun], known.as_deref(), None, &OpenOptions::default()).expect("a listing");
        let listing = index.listing().expect("a listing").encode();
        assert!(listing == new.listing().expect("a listing").encode());
        assert!(index.has_top() || known.as_ref() == Some(&listing));
        source.rounds.lock().expect("the rounds").clone()
    }

    #[test]
    fn the_same_listing_is_not_read_at_all() {
        let tree = tree(|_| false);
        assert!(rounds(&tree, Some(&tree), 2048).is_empty());
    }

    #[test]
    fn only_what_is_new_of_a_listing_is_read() {
        let (old, new) = (tree(|_| false), tree(|number| number % 1000 == 7));
        let whole = new.listing().expect("a listing").encode().len() as u64;
        assert!(whole > 100_000);
        let read = rounds(&new, Some(&old), 2048);
        // The top and the listing's index, then the blocks of three files and that of the payload's root.
        let (first, second) = (read[0], read[1]);
        assert!(read.len() == 2 && first < 4096 && second <= 5 * 1024, "{read:?} of {whole}");
    }

    #[test]
    fn without_another_listing_it_is_read_whole() {
        let new = tree(|_| false);
        let (top, listing) = (new.top_count() * 32, new.listing().expect("a listing").encode().len() as u64);
        for (begun, most) in [(2048, top + listing), (40 << 10, listing)] {
            let read = rounds(&new, None, begun);
            assert!(read.len() == 1 && read[0] <= most && read[0] >= listing, "{read:?}");
        }
        // One that shares nothing is of no use, and does no harm.
        let other = tree(|_| true);
        assert_eq!(rounds(&new, Some(&other), 2048).len(), 2);
    }
}
