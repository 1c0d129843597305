//! A unit that turns out wrong is fetched whole, once, and the event says who was to blame: a hint of the index that lies, a
//! seed that changed meanwhile, or a source that sent other bytes.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gosync_io::source::{BlockingRead, BlockingSource, MemorySource};
use gosync_io::{
    Digest, Format, Index, IndexOptions, Job, JobOptions, Observer, OpenOptions, Result, Source, Statistics,
    encode_index, index_bytes, index_from_bytes,
};

use crate::sink::noise;

const LENGTH: usize = 300_000;
const BLOCK: usize = 1024;
const UNIT: usize = 65_536;
/// The block that is played with, in the third unit.
const CHOSEN: usize = 150;

fn index(content: &[u8], options: &IndexOptions) -> Vec<u8> {
    encode_index(&index_bytes(content, options).expect("an index")).expect("its bytes")
}

fn options() -> IndexOptions {
    IndexOptions { block_size: BLOCK as u32, ..IndexOptions::default() }
}

/// The content, and a seed that has other bytes where the chosen block should be.
fn versions() -> (Vec<u8>, Vec<u8>) {
    let content = noise(LENGTH);
    let mut other = content.clone();
    other[CHOSEN * BLOCK..][..BLOCK].iter_mut().for_each(|byte| *byte = !*byte);
    (content, other)
}

/// The index of the content, which says of the chosen block what is right for the seed. Its group's check is made anew, as
/// docs/format.md says: whoever makes up an index can do that as well.
fn lying_index() -> Index {
    let (content, other) = versions();
    let (mut lie, donor) = (index(&content, &options()), index(&other, &options()));
    let units = LENGTH.div_ceil(UNIT);
    let count = u32::from_le_bytes(lie[12..16].try_into().expect("four bytes")) as usize;
    let length = |section: usize| {
        let at = 40 + 16 * section + 8;
        u64::from_le_bytes(lie[at..at + 8].try_into().expect("eight bytes")) as usize
    };
    let (top, blocks) = (length(count - 2), length(count - 1));
    assert_eq!(top, 32 * units);
    let entry = (blocks - 4 * units) / LENGTH.div_ceil(BLOCK);
    let start = lie.len() - blocks;
    let unit = CHOSEN * BLOCK / UNIT;
    let group = start + unit * (UNIT / BLOCK * entry + 4);
    let at = group + (CHOSEN % (UNIT / BLOCK)) * entry;
    lie[at..at + entry].copy_from_slice(&donor[at..at + entry]);
    let value = start - top + 32 * unit;
    let end = group + UNIT / BLOCK * entry;
    let check = Digest::of(&[&lie[value..value + 32], &lie[group..end]].concat());
    lie[end..end + 4].copy_from_slice(&check.as_bytes()[..4]);
    index_from_bytes(&lie, &OpenOptions::default()).expect("an index that reads well")
}

/// Gives the content, but does something before its first answer, and then lies about some bytes as often as is wanted.
struct Gate {
    content: Vec<u8>,
    before: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    lies: Mutex<u32>,
}

impl BlockingRead for Gate {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if let Some(before) = self.before.lock().expect("a lock").take() {
            before();
        }
        let count = buffer.len().min(self.content.len() - offset as usize);
        buffer[..count].copy_from_slice(&self.content[offset as usize..][..count]);
        let lied = (CHOSEN * BLOCK).checked_sub(offset as usize).filter(|at| *at < count);
        if let (Some(at), lies @ 1..) = (lied, &mut *self.lies.lock().expect("a lock")) {
            buffer[at] ^= 1;
            *lies -= 1;
        }
        Ok(count)
    }
}

fn gate(content: &[u8], lies: u32, before: impl FnOnce() + Send + 'static) -> Arc<dyn Source> {
    let before: Box<dyn FnOnce() + Send> = Box::new(before);
    let gate = Gate { content: content.to_vec(), before: Mutex::new(Some(before)), lies: Mutex::new(lies) };
    Arc::new(BlockingSource::new(gate, 1).expect("a source"))
}

/// Updates from a seed. What was done, and who was blamed for something.
fn update(index: Index, source: Arc<dyn Source>, seed: &Path) -> (Statistics, Vec<&'static str>) {
    update_to(&versions().0, index, source, seed)
}

fn update_to(content: &[u8], index: Index, source: Arc<dyn Source>, seed: &Path) -> (Statistics, Vec<&'static str>) {
    let blamed = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&blamed);
    let tell = move |event: &gosync_io::Event| {
        if event.kind.starts_with("wrong_") {
            heard.lock().expect("a lock").push(event.kind);
        }
    };
    let observer = Observer { events: Some(Arc::new(tell)), ..Observer::default() };
    let target = seed.with_file_name("target");
    let options = JobOptions { observer, threads: 1, ..JobOptions::default() };
    let job = Job::new(Arc::new(index), Some(source), &target, options).expect("a job");
    job.add_seed(seed).expect("a seed");
    let done = job.run().expect("an update");
    assert!(std::fs::read(&target).expect("the target") == content);
    let blamed = blamed.lock().expect("a lock").clone();
    (done, blamed)
}

#[test]
fn a_hint_that_lies_costs_one_unit() {
    let (content, other) = versions();
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, other).expect("a seed");
    let (done, blamed) = update(lying_index(), Arc::new(MemorySource::new(content)), &seed);
    assert_eq!(blamed, ["wrong_hint"]);
    assert_eq!((done.fetched, done.wasted), (UNIT as u64, 0), "{done:?}");
}

#[test]
fn a_hint_that_lies_about_what_two_places_have_together_is_found_out_too() {
    let (content, mut other) = versions();
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    let place = CHOSEN * BLOCK + 500;
    other.splice(place..place, noise(100));
    std::fs::write(&seed, other).expect("a seed");
    let (done, blamed) = update(lying_index(), Arc::new(MemorySource::new(content)), &seed);
    assert_eq!(blamed, ["wrong_hint"]);
    assert_eq!((done.fetched, done.wasted), (UNIT as u64, 0), "{done:?}");
}

/// Where things are in an encoded index of three levels with given tops: those of two units each.
struct Levels {
    /// Where the sections of tops and units begin, and how long the entries of both are.
    tops: (usize, usize),
    units: (usize, usize),
}

const TOP: usize = 2 * UNIT;
const STRONG: usize = 32;
const CHECK: usize = 4;
/// Enough of the content is found to go on by units when one of them is missing. Tops are whole.
const LARGE: usize = 64 * UNIT;

fn levels(bytes: &[u8]) -> Levels {
    let count = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    let length = |section: usize| {
        let at = 40 + 16 * section + 8;
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize
    };
    let (tops, units, blocks) = (length(count - 3), length(count - 2), length(count - 1));
    let start = bytes.len() - blocks - units;
    Levels {
        tops: (start - tops, (tops - CHECK) / (LARGE / TOP)),
        units: (start, (units - CHECK * (LARGE / TOP)) / (LARGE / UNIT)),
    }
}

impl Levels {
    fn top(&self, number: usize) -> std::ops::Range<usize> {
        let at = self.tops.0 + number * self.tops.1;
        at..at + self.tops.1
    }

    fn unit(&self, number: usize) -> std::ops::Range<usize> {
        let at = self.units.0 + number * self.units.1 + number / 2 * CHECK;
        at..at + self.units.1
    }
}

/// An index that says of one unit, or top block, what is right for another one, with the group's check made anew.
fn index_of_three_levels(content: &[u8], lie: impl FnOnce(&mut Vec<u8>, &Levels)) -> Index {
    let mut bytes = index(content, &IndexOptions { top_size: TOP as u32, ..options() });
    let levels = levels(&bytes);
    lie(&mut bytes, &levels);
    index_from_bytes(&bytes, &OpenOptions::default()).expect("an index that reads well")
}

/// The content, and a seed in which all is shifted and `gone` is something else.
fn shifted(gone: std::ops::Range<usize>) -> (Vec<u8>, Vec<u8>) {
    let content = noise(LARGE);
    let mut seed = content.clone();
    seed[gone].iter_mut().for_each(|byte| *byte = !*byte);
    seed.splice(0..0, [7; 5000]);
    (content, seed)
}

#[test]
fn a_hint_of_a_whole_unit_that_lies_is_no_other_seed() {
    let (liar, other) = (40, 11);
    let (content, bytes) = shifted(liar * UNIT..(liar + 1) * UNIT);
    let lying = index_of_three_levels(&content, |bytes, levels| {
        let (at, from) = (levels.unit(liar), levels.unit(other));
        bytes.copy_within(from.start + STRONG..from.end, at.start + STRONG);
        let top = levels.top(liar / 2);
        let end = levels.unit(liar / 2 * 2 + 1).end;
        let group = &bytes[levels.unit(liar / 2 * 2).start..end];
        let check = Digest::of(&[&bytes[top.start..top.start + STRONG], group].concat());
        bytes[end..end + CHECK].copy_from_slice(&check.as_bytes()[..CHECK]);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, bytes).expect("a seed");
    let (done, blamed) = update_to(&content, lying, Arc::new(MemorySource::new(content.clone())), &seed);
    assert_eq!(blamed, ["wrong_hint"]);
    assert_eq!((done.fetched, done.wasted), (UNIT as u64, 0), "{done:?}");
}

/// A top block is verified wherever it is found, so a lie about it puts nothing wrong into the target.
#[test]
fn a_hint_of_a_top_that_lies_is_nobodys_fault() {
    let (liar, other) = (20, 5);
    let (content, bytes) = shifted(liar * TOP..(liar + 1) * TOP);
    let lying = index_of_three_levels(&content, |bytes, levels| {
        let (at, from) = (levels.top(liar), levels.top(other));
        bytes.copy_within(from.start + STRONG..from.end, at.start + STRONG);
        let (start, end) = (levels.top(0).start, levels.top(LARGE / TOP - 1).end);
        let root = Digest::of(&content);
        let check = Digest::of(&[root.as_bytes(), &bytes[start..end]].concat());
        bytes[end..end + CHECK].copy_from_slice(&check.as_bytes()[..CHECK]);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, bytes).expect("a seed");
    let (done, blamed) = update_to(&content, lying, Arc::new(MemorySource::new(content.clone())), &seed);
    assert!(blamed.is_empty(), "{blamed:?}");
    assert_eq!((done.fetched, done.wasted), (TOP as u64, 0), "{done:?}");
}

#[test]
fn a_seed_that_changes_is_not_the_hint_of_a_unit_either() {
    let (content, mut bytes) = shifted(40 * UNIT..40 * UNIT + BLOCK);
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, &bytes).expect("a seed");
    // Another block of the unit that something is fetched for.
    bytes[5000 + 40 * UNIT + 9 * BLOCK] ^= 1;
    let path = seed.clone();
    let source = gate(&content, 0, move || std::fs::write(path, bytes).expect("another seed"));
    let honest = index_of_three_levels(&content, |_, _| ());
    let (_, blamed) = update_to(&content, honest, source, &seed);
    assert_eq!(blamed, ["wrong_seed"]);
}

#[test]
fn a_seed_that_changes_is_not_the_hint() {
    let (content, mut other) = versions();
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, &other).expect("a seed");
    // One byte of the unit that the chosen block, which must be fetched, is in.
    other[(CHOSEN + 1) * BLOCK + 7] ^= 1;
    let path = seed.clone();
    let source = gate(&content, 0, move || std::fs::write(path, other).expect("another seed"));
    let honest = index_bytes(&content, &options()).expect("an index");
    let (done, blamed) = update(honest, source, &seed);
    assert_eq!(blamed, ["wrong_seed"]);
    assert_eq!(done.fetched, (BLOCK + UNIT) as u64, "{done:?}");
}

#[test]
fn a_source_that_lies_is_neither() {
    let (content, other) = versions();
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, other).expect("a seed");
    let honest = index_bytes(&content, &options()).expect("an index");
    let (done, blamed) = update(honest, gate(&content, 1, || {}), &seed);
    assert_eq!(blamed, ["wrong_source"]);
    assert_eq!(done.fetched, (BLOCK + UNIT) as u64, "{done:?}");
}

#[test]
fn a_legacy_index_has_no_hints_that_could_lie() {
    let (content, mut other) = versions();
    let folder = tempfile::tempdir().expect("a folder");
    let seed = folder.path().join("seed");
    std::fs::write(&seed, &other).expect("a seed");
    other[(CHOSEN + 1) * BLOCK + 7] ^= 1;
    let path = seed.clone();
    let source = gate(&content, 1, move || std::fs::write(path, other).expect("another seed"));
    let legacy = index_bytes(&content, &IndexOptions { format: Format::Legacy, ..options() }).expect("an index");
    // Its blocks are proven when they are found, so the change comes too late.
    let (done, blamed) = update(legacy, source, &seed);
    assert_eq!(blamed, ["wrong_source"]);
    assert_eq!(done.fetched, 2 * BLOCK as u64, "{done:?}");
}
