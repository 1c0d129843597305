//! Publishing the contents of a tree in packs (docs/format.md): what packs of the version before have of them stays where it
//! is (`reuse`), the rest goes into new packs (`writing`). What no index needs any more is removed by `prune`. How packs are
//! read for an update is `source::tree::packed`.

mod prune;
mod reading;
mod reuse;
mod writing;

use std::path::Path;

use gosync_core::{Error, ErrorKind, Index, Packs, Range, Result};

pub(crate) use self::prune::prune;
use self::reading::Reader;
use self::reuse::Old;
use self::writing::{NewPack, Writer};
use super::Folder;
use super::contents::Contents;
use crate::report::{Level, Meter, Observer, Phase};
use crate::verbs::share;

/// The bytes of a pack, about at most: what a host without ranges has to send for any of it.
const PACK: u64 = 8 << 20;
/// Packs of the versions before that are much smaller than that, at most: more are packed anew, together.
const SMALL_PACKS: usize = 32;

/// How much of the work is done when contents begin to be put into packs.
pub(crate) const BEFORE_PACKING: f64 = 0.2;

/// A part of the contents: how long it is, and where the packs that are there have it, if they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    length: u64,
    store: Option<u64>,
}

/// Puts the contents of the tree that `index` describes, and `folder` has, into packs in the directory `content`. What of
/// them the packs of `previous` have there, if half of such a pack is still wanted, is not written again.
pub(crate) fn pack(
    folder: &Folder<'_>,
    index: &Index,
    content: &Path,
    previous: Option<&Index>,
    (observer, meter): (&Observer, &Meter),
    pool: &rayon::ThreadPool,
) -> Result<Packs> {
    meter.finish(|progress| progress.phase = Phase::Packing);
    let internal = || Error::new(ErrorKind::Internal, "the index does not describe a directory");
    let contents = Contents::of(index.listing().ok_or_else(internal)?);
    std::fs::create_dir_all(content)
        .map_err(|cause| Error::from_io(cause, "cannot make the folder for packs", content.display()))?;
    let old = match previous {
        Some(previous) => pool.install(|| Old::of(previous, content, observer))?,
        None => None,
    };
    let mut parts = match &old {
        Some(old) => pool.install(|| reuse::parts(folder, &contents, index.block_size(), old, observer))?,
        None => contents.all().iter().map(|content| Part { length: content.place.length, store: None }).collect(),
    };
    let keep = old.as_ref().map(|old| still_wanted(&old.packs, &mut parts)).unwrap_or_default();
    let anew = |part: &Part| if part.store.is_none() { part.length } else { 0 };
    let total = parts.iter().map(anew).sum();
    let mut writer = Writer::new(content, pool);
    write(folder, &contents, &parts, &mut writer, &mut |packed| {
        meter.update(|progress| progress.fraction = BEFORE_PACKING + share(packed, total) * (1.0 - BEFORE_PACKING));
        observer.cancel.check()
    })?;
    let (new, written) = writer.finish()?;
    let (kept, packed) = (keep.iter().filter(|keep| **keep).count(), new.len());
    let packs = join(old.as_ref().map(|old| &old.packs), &keep, new, &parts)?;
    let shown = content.display();
    let text = format!("{packed} packs were written, {kept} are used again");
    observer.event(
        Level::Info,
        "packed",
        text,
        &[("path", &shown), ("bytes", &written), ("packs", &packed), ("kept", &kept)],
    );
    Ok(packs)
}

/// Which packs are still worth it. Parts that others have are made to be packed anew.
fn still_wanted(packs: &Packs, parts: &mut [Part]) -> Vec<bool> {
    let ranges: Vec<Range> = parts.iter().filter_map(|part| Some(Range::new(part.store?, part.length))).collect();
    let wanted = packs.wanted(&ranges);
    let mut keep: Vec<bool> =
        wanted.iter().enumerate().map(|(pack, wanted)| *wanted * 2 >= packs.unpacked(pack) && *wanted > 0).collect();
    let is_small = |pack: usize| packs.size(pack) < PACK / 8;
    let small: Vec<usize> = (0..keep.len()).filter(|pack| keep[*pack] && is_small(*pack)).collect();
    if small.len() > SMALL_PACKS {
        small.into_iter().for_each(|pack| keep[pack] = false);
    }
    for part in parts.iter_mut() {
        part.store = part.store.filter(|store| packs.pack_at(*store).is_some_and(|pack| keep[pack]));
    }
    keep
}

/// Reads the contents that have parts to be packed, and hands these over. What is not as the index says is an error. `advance` is
/// told how many bytes were.
fn write(
    folder: &Folder<'_>,
    contents: &Contents,
    parts: &[Part],
    writer: &mut Writer<'_>,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let (mut rest, mut packed) = (parts, 0);
    for content in contents.all() {
        // Parts do not go beyond a content.
        let mut length = 0;
        let count = rest.iter().take_while(|part| {
            let is_its = length < content.place.length;
            length += part.length;
            is_its
        });
        let (its, behind) = rest.split_at(count.count());
        rest = behind;
        if its.iter().all(|part| part.store.is_some()) {
            continue;
        }
        let mut reader = Reader::open(folder, content)?;
        writer.begin(its.iter().filter(|part| part.store.is_none()).map(|part| part.length).sum())?;
        for part in its {
            reader.read(part.length, |bytes| {
                if part.store.is_none() {
                    writer.add(bytes)?;
                    packed += bytes.len() as u64;
                }
                advance(packed)
            })?;
        }
        reader.finish()?;
    }
    Ok(())
}

/// The packs that are kept and the new ones, and where in them the parts are.
fn join(old: Option<&Packs>, keep: &[bool], new: Vec<NewPack>, parts: &[Part]) -> Result<Packs> {
    // Where the store of each old pack begins now.
    let (mut all, mut starts, mut end) = (Vec::new(), Vec::new(), 0);
    for (pack, keep) in keep.iter().enumerate() {
        starts.push(end);
        let Some((old, root)) = old.and_then(|old| Some((old, old.root(pack)?))).filter(|_| *keep) else { continue };
        let pieces = old.pieces(pack).filter_map(|piece| old.piece(piece)).map(|(piece, ..)| piece).collect();
        all.push((root, pieces));
        end += old.unpacked(pack);
    }
    all.extend(new);
    let mut next = end;
    let place = |part: &Part| match part.store.zip(old) {
        Some((store, old)) => {
            let pack = old.pack_at(store)?;
            Some(Range::new(starts.get(pack)? + (store - old.store(pack)), part.length))
        }
        None => {
            let place = Range::new(next, part.length);
            next += part.length;
            Some(place)
        }
    };
    let places: Option<Vec<Range>> = parts.iter().map(place).collect();
    Packs::new(all, &places.ok_or_else(|| Error::new(ErrorKind::Internal, "a part of the packs is in none"))?)
}
