//! What a directory has, in the shape of the payload of a new version: at the place of each content lies the old file that
//! is most likely the same. So what did not change, or only its name, is found at its own place, at the speed at which it
//! can be hashed. What is not shown there whole comes behind, one file after another.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gosync_core::listing::{EntryKind, Places};
use gosync_core::{Listing, Range, ReadAt, Result};

use super::payload::fill;
use super::walk::Walked;
use super::{Files, Folder};
use crate::report::Observer;

/// Where the contents of a payload are, and which entries of the listing have them.
pub(crate) struct Slots {
    /// Where they are in the payload, ascending.
    places: Vec<Range>,
    /// The files that have them, as numbers of content and entry, ascending.
    files: Vec<(u32, u32)>,
}

impl Slots {
    pub(crate) fn of(listing: &Listing) -> Slots {
        let files = (0u32..).zip(listing.entries()).filter(|(_, entry)| entry.place.length > 0);
        let mut files: Vec<(Range, u32)> = files.map(|(number, entry)| (entry.place, number)).collect();
        files.sort_unstable();
        let mut places: Vec<Range> = files.iter().map(|(place, _)| *place).collect();
        places.dedup();
        let mut content = 0;
        let number = |(place, entry): (Range, u32)| {
            content += usize::from(places.get(content) != Some(&place));
            (content as u32, entry)
        };
        let files = files.into_iter().map(number).collect();
        Slots { places, files }
    }

    pub(crate) fn places(&self) -> &[Range] {
        &self.places
    }

    /// The contents that have a part in a range, by number.
    pub(crate) fn within(&self, range: Range) -> std::ops::Range<usize> {
        let first = self.places.partition_point(|place| place.end() <= range.offset);
        first..first + self.places[first..].partition_point(|place| place.offset < range.end())
    }

    /// The entries that have a content, ascending.
    pub(crate) fn entries(&self, content: usize) -> impl Iterator<Item = u32> {
        let first = self.files.partition_point(|(number, _)| (*number as usize) < content);
        self.files[first..].iter().take_while(move |(number, _)| *number as usize == content).map(|(_, entry)| *entry)
    }

    /// The number of the content at a place.
    pub(crate) fn at(&self, place: Range) -> Option<usize> {
        self.places.binary_search(&place).ok()
    }
}

/// The regular files of a directory as it is, those that are empty excepted, by number in the order of a walk.
pub(crate) struct Old {
    files: Files,
    /// Their numbers among all that was found.
    found: Vec<u32>,
}

impl Old {
    pub(crate) fn new(folder: Folder<'static>, walked: &Walked, block_size: u32, observer: &Observer) -> Result<Old> {
        let files = || {
            let lengths =
                (0u32..).zip(&walked.found).filter_map(|(number, entry)| Some((number, entry, entry.length()?)));
            lengths.filter(|(.., length)| *length > 0)
        };
        let found = files().map(|(number, ..)| number).collect();
        let lengths = files().map(|(_, entry, length)| (&*entry.path, length));
        Ok(Old { files: Files::of(folder, lengths, block_size, 0, observer)?, found })
    }

    pub(crate) fn folder(&self) -> &Folder<'static> {
        self.files.folder()
    }

    /// Fills `part` from the file with this number among all that was found.
    fn read(&self, number: u32, offset: u64, part: &mut [u8]) {
        match self.found.binary_search(&number) {
            Ok(file) => self.files.read(file, offset, part),
            Err(_) => part.fill(0),
        }
    }
}

/// What stands for a content that has no old file.
const NONE: u32 = u32::MAX;

pub(crate) struct View {
    old: Option<Arc<Old>>,
    contents: Arc<Slots>,
    /// For each content the old file that is shown there, by its number among all that was found.
    shown: Vec<AtomicU32>,
    /// Bytes of the payload, up to a whole block.
    length: u64,
    /// What comes behind, where, and by the same numbers.
    rest: Vec<(Range, u32)>,
}

impl View {
    /// What a directory, in which is what was `walked`, has of `listing`.
    pub(crate) fn new(old: Option<Arc<Old>>, walked: &Walked, listing: &Listing, contents: Arc<Slots>) -> Result<View> {
        let shown = assign(walked, listing, &contents);
        let mut is_whole = vec![false; walked.found.len()];
        for (place, number) in contents.places().iter().zip(&shown) {
            if let Some(is_whole) = is_whole.get_mut(*number as usize) {
                *is_whole = length_of(walked, *number) == Some(place.length);
            }
        }
        let mut places = Places::new(listing.block_size());
        let length = places.next(listing.payload_length())?.end().next_multiple_of(u64::from(listing.block_size()));
        let mut rest = Vec::new();
        for (number, entry) in (0u32..).zip(&walked.found).filter(|(number, _)| !is_whole[*number as usize]) {
            if let Some(length) = entry.length().filter(|length| *length > 0) {
                rest.push((places.next(length)?, number));
            }
        }
        let shown = shown.into_iter().map(AtomicU32::new).collect();
        Ok(View { old, contents, shown, length, rest })
    }

    /// The old file that is shown at a content's place, by its number among all that was found.
    pub(crate) fn shown(&self, content: usize) -> Option<u32> {
        let number = self.shown.get(content)?.load(Ordering::Acquire);
        (number != NONE).then_some(number)
    }

    /// Shows another file there, which is known to have the content.
    pub(crate) fn show(&self, content: usize, number: u32) {
        if let Some(shown) = self.shown.get(content) {
            shown.store(number, Ordering::Release);
        }
    }

    /// Fills `part` with what a content's old file has from an offset in it on.
    pub(crate) fn read(&self, content: usize, offset: u64, part: &mut [u8]) {
        match (&self.old, self.shown(content)) {
            (Some(old), Some(number)) => old.read(number, offset, part),
            _ => part.fill(0),
        }
    }
}

impl ReadAt for View {
    fn length(&self) -> u64 {
        self.rest.last().map_or(self.length, |(place, _)| place.end())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let whole = self.length().saturating_sub(offset).min(buffer.len() as u64) as usize;
        let length = self.length.saturating_sub(offset).min(whole as u64) as usize;
        let (part, behind) = buffer[..whole].split_at_mut(length);
        fill(
            self.contents.places(),
            |place| *place,
            offset,
            part,
            |content, from, part| {
                self.read(content, from, part);
                Ok(())
            },
        )?;
        if let (Some(old), false) = (&self.old, behind.is_empty()) {
            fill(
                &self.rest,
                |(place, _)| *place,
                offset + length as u64,
                behind,
                |at, from, part| {
                    old.read(self.rest[at].1, from, part);
                    Ok(())
                },
            )?;
        }
        Ok(whole)
    }
}

/// Bytes of the file that was found under this number.
fn length_of(old: &Walked, number: u32) -> Option<u64> {
    old.found.get(number as usize)?.length()
}

/// For each content the old file that is most likely the same: the one at the same path; for what has none, one of the
/// same size that is not at a path of the new version, one of the same name first.
fn assign(old: &Walked, listing: &Listing, contents: &Slots) -> Vec<u32> {
    let files = || (0u32..).zip(&old.found).filter(|(_, entry)| entry.length().is_some_and(|length| length > 0));
    let mut by_path: HashMap<&str, u32> = files().map(|(number, entry)| (&*entry.path, number)).collect();
    let mut shown = vec![NONE; contents.places().len()];
    for entry in listing.entries() {
        let EntryKind::File { size, .. } = entry.kind else { continue };
        // What is left in the end is at no path of the new version.
        let Some(number) = by_path.remove(&*entry.path) else { continue };
        let Some(content) = contents.at(entry.place) else { continue };
        let is_same_size = |number: u32| length_of(old, number) == Some(size);
        if shown[content] == NONE || is_same_size(number) && !is_same_size(shown[content]) {
            shown[content] = number;
        }
    }
    let unclaimed = || files().filter(|(number, entry)| by_path.get(&*entry.path) == Some(number));
    let mut by_size = HashMap::<u64, VecDeque<u32>>::new();
    let mut by_name = HashMap::<&str, HashMap<u64, VecDeque<u32>>>::new();
    for (number, entry) in unclaimed() {
        let length = length_of(old, number).unwrap_or_default();
        by_name.entry(name_of(&entry.path)).or_default().entry(length).or_default().push_back(number);
        by_size.entry(length).or_default().push_back(number);
    }
    if by_size.is_empty() {
        return shown;
    }
    let mut is_used = vec![false; old.found.len()];
    let mut next = |numbers: Option<&mut VecDeque<u32>>| {
        let numbers = numbers?;
        std::iter::from_fn(|| numbers.pop_front())
            .find(|number| !std::mem::replace(&mut is_used[*number as usize], true))
    };
    for entry in listing.entries() {
        if let Some(content) = contents.at(entry.place).filter(|content| shown[*content] == NONE) {
            let same = by_name.get_mut(name_of(&entry.path));
            shown[content] = next(same.and_then(|same| same.get_mut(&entry.place.length))).unwrap_or(NONE);
        }
    }
    for (shown, place) in shown.iter_mut().zip(contents.places()).filter(|(shown, _)| **shown == NONE) {
        *shown = next(by_size.get_mut(&place.length)).unwrap_or(NONE);
    }
    shown
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
