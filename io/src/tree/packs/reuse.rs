//! What packs of the version before have of the contents of a tree: whole contents by their hashes, and of those that have
//! changed the blocks that receivers of that version will find too. So what goes into a new pack is what such a receiver
//! has to fetch. A block that only seems to be there would do harm to everybody, so all bytes are compared.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gosync_core::assemble::Verified;
use gosync_core::index::BuildOptions;
use gosync_core::matching::{self, Observe};
use gosync_core::{Digest, Error, ErrorKind, Index, Origin, Packs, Range, ReadAt, Result};
use rayon::prelude::*;

use super::super::contents::{Content, Contents};
use super::{Folder, Part};
use crate::report::{Level, Observer};
use crate::seed::FileReader;
use crate::source::unpack;

/// Pieces that stay unpacked, since what is read next is near.
const KEPT: usize = 64;
/// Bytes that are compared at a time.
const COMPARED: u64 = 64 << 10;

/// The version before.
pub(super) struct Old {
    pub(super) packs: Packs,
    contents: Contents,
    content: PathBuf,
    /// Which packs are there, whole: whoever publishes them again vouches for them.
    is_there: Vec<bool>,
    unpacked: Mutex<VecDeque<(usize, Arc<[u8]>)>>,
}

impl Old {
    /// Nothing if its contents are not in packs. All packs are read, in parallel on the current pool.
    pub(super) fn of(index: &Index, content: &Path, observer: &Observer) -> Result<Option<Old>> {
        let (Some(packs), Some(listing)) = (index.packs().cloned(), index.listing()) else { return Ok(None) };
        let is_there = |pack| {
            observer.cancel.check()?;
            let path = content.join(packs.name(pack));
            let Ok(file) = FileReader::open(&path, "pack") else { return Ok(false) };
            let is_whole = file.length() == packs.size(pack)
                && match Digest::of_reader(&file, &|_| observer.cancel.check()) {
                    Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
                    root => root.ok() == packs.root(pack),
                };
            if !is_whole {
                let text = "a pack of the version before is damaged, and is not used again";
                observer.event(Level::Warning, "pack_damaged", text, &[("path", &path.display())]);
            }
            Ok(is_whole)
        };
        let is_there = (0..packs.count()).into_par_iter().map(is_there).collect::<Result<_>>()?;
        let contents = Contents::of(listing);
        Ok(Some(Old { packs, contents, content: content.to_owned(), is_there, unpacked: Mutex::default() }))
    }

    /// Where a part of its contents is, in parts that do not go beyond pieces. A pack that is not there has none.
    fn parts(&self, part: Range) -> impl Iterator<Item = Part> + '_ {
        self.packs.places(part).map(|place| {
            let pack = self.packs.piece(place.piece).map(|(_, pack, _)| pack);
            let is_there = pack.is_some_and(|pack| self.is_there.get(pack) == Some(&true));
            Part { length: place.range.length, store: is_there.then_some(place.store) }
        })
    }

    /// Reads a part of its contents.
    fn read(&self, part: Range, buffer: &mut [u8]) -> Result<()> {
        for place in self.packs.places(part) {
            let piece = self.piece(place.piece)?;
            let from = piece.get(place.range.offset as usize..place.range.end() as usize).unwrap_or_default();
            let at = (place.content - part.offset) as usize;
            match buffer.get_mut(at..at + from.len()) {
                Some(to) if from.len() as u64 == place.range.length => to.copy_from_slice(from),
                _ => return Err(Error::new(ErrorKind::Internal, "a piece of a pack is shorter than it says")),
            }
        }
        Ok(())
    }

    fn piece(&self, piece: usize) -> Result<Arc<[u8]>> {
        let known = |unpacked: &VecDeque<(usize, Arc<[u8]>)>| {
            unpacked.iter().find(|(known, _)| *known == piece).map(|(_, bytes)| Arc::clone(bytes))
        };
        let unpacked = || self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = known(&unpacked()) {
            return Ok(bytes);
        }
        let none = || Error::new(ErrorKind::Internal, "there is no such piece of a pack");
        let (_, pack, place) = self.packs.piece(piece).ok_or_else(none)?;
        let file = FileReader::open(&self.content.join(self.packs.name(pack)), "pack")?;
        let mut packed = vec![0; place.length as usize];
        let mut done = 0;
        while done < packed.len() {
            match file.read_at(place.offset + done as u64, &mut packed[done..])? {
                0 => break,
                count => done += count,
            }
        }
        let bytes: Arc<[u8]> = Arc::from(&unpack(&self.packs, piece, packed.get(..done).unwrap_or_default())?[..]);
        let mut unpacked = unpacked();
        unpacked.push_back((piece, Arc::clone(&bytes)));
        if unpacked.len() > KEPT {
            unpacked.pop_front();
        }
        Ok(bytes)
    }
}

/// The parts of all contents, in their order.
pub(super) fn parts(
    folder: &Folder<'_>,
    contents: &Contents,
    block_size: u32,
    old: &Old,
    observer: &Observer,
) -> Result<Vec<Part>> {
    let by_root: HashMap<Digest, &Content> = old.contents.all().iter().map(|content| (content.root, content)).collect();
    let is_known = |content: &&Content| by_root.contains_key(&content.root);
    let changed: Vec<&Content> = contents.all().iter().filter(|content| !is_known(content)).collect();
    let pairs = pair(&changed, contents, old);
    let mut found = find(folder, &pairs, block_size, old, observer)?;
    let mut parts = Vec::new();
    for content in contents.all() {
        match by_root.get(&content.root) {
            Some(known) => parts.extend(old.parts(Range::new(known.start, known.place.length))),
            None => parts.extend(
                found
                    .remove(&content.start)
                    .unwrap_or_else(|| vec![Part { length: content.place.length, store: None }]),
            ),
        }
    }
    Ok(parts)
}

/// For each content that has changed the old one that it most likely was: that of the same path, or else of the same name
/// in the directory whose path ends most alike.
fn pair<'a>(changed: &[&'a Content], contents: &Contents, old: &'a Old) -> Vec<(&'a Content, &'a Content)> {
    let still: std::collections::HashSet<Digest> = contents.all().iter().map(|content| content.root).collect();
    let gone = || old.contents.all().iter().filter(|content| !still.contains(&content.root));
    let name = |path: &'a str| path.rsplit_once('/').map_or(path, |(_, name)| name);
    let mut by_name: HashMap<&str, Vec<&Content>> = HashMap::new();
    gone().for_each(|content| by_name.entry(name(&content.path)).or_default().push(content));
    let alike = |one: &str, other: &str| one.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
    let best = |content: &&'a Content| {
        let candidates = by_name.get(name(&content.path))?;
        let best = candidates.iter().max_by_key(|old| (old.path == content.path, alike(&old.path, &content.path)))?;
        Some((*content, *best))
    };
    changed.iter().filter_map(best).collect()
}

/// What the old contents have of the new ones, by where these begin.
fn find(
    folder: &Folder<'_>,
    pairs: &[(&Content, &Content)],
    block_size: u32,
    old: &Old,
    observer: &Observer,
) -> Result<HashMap<u64, Vec<Part>>> {
    let length = |pair: &(&Content, &Content)| pair.0.place.length.max(pair.1.place.length);
    let read_new = |pair: usize, offset: u64, buffer: &mut [u8]| read_file(folder, pairs[pair].0, offset, buffer);
    let read_old = |pair: usize, offset: u64, buffer: &mut [u8]| {
        old.read(Range::new(pairs[pair].1.start + offset, buffer.len() as u64), buffer)
    };
    let new = Slots::new(pairs.iter().map(|pair| (length(pair), pair.0.place.length)), block_size, &read_new);
    let seed = Slots::new(pairs.iter().map(|pair| (length(pair), pair.1.place.length)), block_size, &read_old);
    let options = BuildOptions { block_size, ..BuildOptions::default() };
    let index = Index::build(&new, &options, &|_| observer.cancel.check())?;
    let found = matching::find(&index, &[&seed], &matching::Options::default(), &Watcher { observer })?;
    let mut parts: HashMap<u64, Vec<Part>> = HashMap::new();
    for (target, offset) in found.cover().iter().filter_map(|piece| match piece.origin {
        Origin::Seed { offset, .. } => Some((piece.target, offset)),
        Origin::Missing => None,
    }) {
        let mut at = 0;
        while at < target.length {
            let (new_at, old_at) = (target.offset + at, offset + at);
            let (to, from) = (new.slot_at(new_at), seed.slot_at(old_at));
            let left = to.left(new_at).min(from.left(old_at)).min(target.length - at);
            // What is left of both, and what they really have: the rest is zeros.
            let both = left.min(to.has(new_at)).min(from.has(old_at));
            let (content, was) = (pairs[to.number].0, pairs[from.number].1);
            let (inside, was_inside) = (new_at - to.start, old_at - from.start);
            if both > 0 && is_equal(&new, &seed, new_at, old_at, both)? {
                let parts = parts.entry(content.start).or_default();
                let done: u64 = parts.iter().map(|part| part.length).sum();
                if inside > done {
                    parts.push(Part { length: inside - done, store: None });
                }
                parts.extend(old.parts(Range::new(was.start + was_inside, both)));
            }
            at += left;
        }
    }
    for (content, _) in pairs {
        if let Some(parts) = parts.get_mut(&content.start) {
            let done: u64 = parts.iter().map(|part| part.length).sum();
            if done < content.place.length {
                parts.push(Part { length: content.place.length - done, store: None });
            }
        }
    }
    Ok(parts)
}

fn is_equal(new: &Slots<'_>, old: &Slots<'_>, new_at: u64, old_at: u64, length: u64) -> Result<bool> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for at in (0..length).step_by(COMPARED as usize) {
        let count = COMPARED.min(length - at) as usize;
        one.resize(count, 0);
        other.resize(count, 0);
        new.read_at(new_at + at, &mut one)?;
        // What cannot be read of old packs is not there.
        if old.read_at(old_at + at, &mut other).is_err() || one != other {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_file(folder: &Folder<'_>, content: &Content, offset: u64, buffer: &mut [u8]) -> Result<()> {
    let (file, _) = folder.file(&content.path)?;
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(offset + done as u64, &mut buffer[done..])? {
            0 => return Err(super::super::payload::changed(folder, &content.path)),
            count => done += count,
        }
    }
    Ok(())
}

/// Reads of a content, by its number, what it has from an offset on.
type Read<'a> = dyn Fn(usize, u64, &mut [u8]) -> Result<()> + Sync + 'a;

/// Contents one after another, each with zeros behind it up to the next, which begins at a whole block.
struct Slots<'a> {
    slots: Vec<Slot>,
    length: u64,
    read: &'a Read<'a>,
}

#[derive(Clone, Copy)]
struct Slot {
    number: usize,
    start: u64,
    /// Bytes of the content, and up to the next one.
    length: u64,
    room: u64,
}

impl Slot {
    fn left(&self, at: u64) -> u64 {
        (self.start + self.room).saturating_sub(at).max(1)
    }

    fn has(&self, at: u64) -> u64 {
        (self.start + self.length).saturating_sub(at)
    }
}

impl<'a> Slots<'a> {
    /// Slots for so many bytes, of which a content has some.
    fn new(sizes: impl Iterator<Item = (u64, u64)>, block_size: u32, read: &'a Read<'a>) -> Slots<'a> {
        let (mut slots, mut start) = (Vec::new(), 0);
        for (number, (room, length)) in sizes.enumerate() {
            let room = room.next_multiple_of(block_size.into());
            slots.push(Slot { number, start, length, room });
            start += room;
        }
        Slots { slots, length: start, read }
    }

    fn slot_at(&self, at: u64) -> Slot {
        let slot = self.slots.partition_point(|slot| slot.start <= at).saturating_sub(1);
        self.slots.get(slot).copied().unwrap_or(Slot { number: 0, start: 0, length: 0, room: 0 })
    }
}

impl ReadAt for Slots<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let count = (buffer.len() as u64).min(self.length.saturating_sub(offset)) as usize;
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        let mut at = 0;
        while at < count as u64 {
            let slot = self.slot_at(offset + at);
            let here = slot.has(offset + at).min(count as u64 - at) as usize;
            if here > 0 {
                let from = offset + at - slot.start;
                (self.read)(slot.number, from, &mut buffer[at as usize..at as usize + here])?;
            }
            at += slot.left(offset + at);
        }
        Ok(count)
    }
}

struct Watcher<'a> {
    observer: &'a Observer,
}

impl Observe for Watcher<'_> {
    fn unit(&self, _: u64, _: Verified<'_>) -> Result<()> {
        Ok(())
    }

    fn scanned(&self, _: u64) -> Result<()> {
        self.observer.cancel.check()
    }

    /// What cannot be read of old packs is packed anew.
    fn unreadable(&self, _: u32, _: Error) {}
}
