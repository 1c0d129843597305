//! What may be on a disk after its power was cut: what was synced, and of the rest anything.
//!
//! Of what was not synced, each write may be there or not, in whole or by sectors of 512 bytes, whatever came after it;
//! so may each change of a length and each name. No file system is as bad as that in all at once, but some are in each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::log::{Change, Entry, Log};

/// What a disk writes whole or not at all.
pub(in crate::tests) const SECTOR: usize = 512;

/// Names and contents.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// How a disk treats what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tests) enum Temper {
    /// Nothing of it is there.
    Loses,
    /// All of it is, but for what was under way.
    Keeps,
    /// Of each change it is by chance.
    Chooses,
    /// Of each sector.
    Tears,
}

impl Temper {
    pub(in crate::tests) const ALL: [Temper; 4] = [Temper::Loses, Temper::Keeps, Temper::Chooses, Temper::Tears];
}

/// Numbers that follow from a seed.
#[derive(Debug)]
pub(in crate::tests) struct Chance(pub(in crate::tests) u64);

impl Chance {
    pub(in crate::tests) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    pub(in crate::tests) fn decides(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What a disk that held `before` has after the first `moments` of the log.
pub(super) fn cut(before: &Files, log: &Log, moments: usize, temper: Temper, chance: &mut Chance) -> Files {
    let begun: Vec<&Entry> = log.entries.iter().filter(|entry| entry.begun < moments).collect();
    let mut disk = Disk { moments, temper, chance, contents: Vec::new(), files: BTreeMap::new() };
    let mut live: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (path, content) in before {
        live.insert(path.clone(), disk.contents.len());
        disk.contents.push(content.clone());
    }
    let names = live.clone();
    // Which file a name meant when it was changed.
    let named = disk.follow(&begun, &mut live);
    for entry in in_order(&begun) {
        disk.change_content(entry, &begun);
    }
    disk.names(names, &named, &begun)
}

/// By when they were made; what was under way comes last.
fn in_order<'a>(begun: &[&'a Entry]) -> Vec<&'a Entry> {
    let mut entries = begun.to_vec();
    entries.sort_by_key(|entry| entry.made.unwrap_or(usize::MAX));
    entries
}

struct Disk<'a> {
    moments: usize,
    temper: Temper,
    chance: &'a mut Chance,
    contents: Vec<Vec<u8>>,
    /// The content that each number stands for.
    files: BTreeMap<u64, usize>,
}

impl Disk<'_> {
    fn is_made(&self, entry: &Entry) -> bool {
        entry.made.is_some_and(|made| made < self.moments)
    }

    /// Walks through the names as they changed. Returns the contents that creations and renames are about.
    fn follow(&mut self, begun: &[&Entry], live: &mut BTreeMap<PathBuf, usize>) -> BTreeMap<usize, usize> {
        let mut named = BTreeMap::new();
        for entry in in_order(begun) {
            match &entry.change {
                Change::Create { file, path } => {
                    // Whoever fails to make a file because there is one has made none.
                    if entry.made.is_none() {
                        continue;
                    }
                    let content = self.contents.len();
                    self.contents.push(Vec::new());
                    self.files.insert(*file, content);
                    live.insert(path.clone(), content);
                    named.insert(entry.begun, content);
                }
                Change::Open { file, path } => {
                    if let Some(content) = live.get(path) {
                        self.files.insert(*file, *content);
                    }
                }
                Change::Rename { from, to } => {
                    if let Some(content) = live.remove(from) {
                        live.insert(to.clone(), content);
                        named.insert(entry.begun, content);
                    }
                }
                Change::Remove { path } => {
                    live.remove(path);
                }
                _ => {}
            }
        }
        named
    }

    /// Whether a sync that was over before the cut covers this change; `is_its` knows such a sync.
    fn is_durable(&self, entry: &Entry, begun: &[&Entry], is_its: impl Fn(&Change) -> bool) -> bool {
        let Some(made) = entry.made else { return false };
        begun.iter().any(|sync| self.is_made(sync) && sync.begun > made && is_its(&sync.change))
    }

    /// Makes a change of a content, if it is there after the cut.
    fn change_content(&mut self, entry: &Entry, begun: &[&Entry]) {
        let file = match &entry.change {
            Change::Write { file, .. }
            | Change::Zero { file, .. }
            | Change::SetLength { file, .. }
            | Change::Clone { file, .. } => file,
            _ => return,
        };
        let Some(content) = self.files.get(file).copied() else { return };
        let is_its =
            |change: &Change| matches!(change, Change::Sync { file } if self.files.get(file) == Some(&content));
        let is_durable = self.is_durable(entry, begun, is_its);
        // What was under way is torn even where everything that was made is kept.
        let temper = match self.temper {
            Temper::Keeps if !self.is_made(entry) => Temper::Tears,
            temper => temper,
        };
        let is_there = is_durable
            || match temper {
                Temper::Loses => false,
                Temper::Keeps => true,
                Temper::Chooses => self.chance.decides(),
                // Lengths and clones are whole or not at all.
                Temper::Tears => {
                    matches!(entry.change, Change::Write { .. } | Change::Zero { .. }) || self.chance.decides()
                }
            };
        if !is_there {
            return;
        }
        let is_torn = !is_durable && temper == Temper::Tears;
        let zeros;
        let (offset, bytes) = match &entry.change {
            Change::Write { offset, bytes, .. } => (*offset, bytes.as_slice()),
            Change::Zero { offset, length, .. } => {
                zeros = vec![0; *length as usize];
                (*offset, zeros.as_slice())
            }
            Change::SetLength { length, .. } => return self.contents[content].resize(*length as usize, 0),
            Change::Clone { content: from, .. } => return self.contents[content].clone_from(from),
            _ => return,
        };
        self.write(content, offset as usize, bytes, is_torn);
    }

    fn write(&mut self, content: usize, offset: usize, bytes: &[u8], is_torn: bool) {
        let end = offset + bytes.len();
        // Where only later sectors arrive, those before are zeros.
        let length = self.contents[content].len().max(end);
        if !is_torn || self.chance.decides() {
            self.contents[content].resize(length, 0);
        }
        let mut at = offset;
        while at < end {
            let next = ((at / SECTOR + 1) * SECTOR).min(end);
            if !is_torn || self.chance.decides() {
                let length = self.contents[content].len().max(next);
                self.contents[content].resize(length, 0);
                self.contents[content][at..next].copy_from_slice(&bytes[at - offset..next - offset]);
            }
            at = next;
        }
    }

    /// The names that are there, with what they stand for.
    fn names(
        &mut self,
        mut names: BTreeMap<PathBuf, usize>,
        named: &BTreeMap<usize, usize>,
        begun: &[&Entry],
    ) -> Files {
        for entry in in_order(begun) {
            let (path, folder) = match &entry.change {
                Change::Create { path, .. } | Change::Remove { path } => (path, path.parent()),
                Change::Rename { to, .. } => (to, to.parent()),
                _ => continue,
            };
            let is_its = |change: &Change| matches!(change, Change::SyncFolder { path } if same(path, folder));
            let is_there = self.is_durable(entry, begun, is_its)
                || match self.temper {
                    Temper::Loses => false,
                    Temper::Keeps => self.is_made(entry) || self.chance.decides(),
                    Temper::Chooses | Temper::Tears => self.chance.decides(),
                };
            if !is_there {
                continue;
            }
            if let Change::Rename { from, .. } = &entry.change {
                names.remove(from);
            }
            match named.get(&entry.begun) {
                Some(content) => names.insert(path.clone(), *content),
                None => names.remove(path),
            };
        }
        let files = names.into_iter().map(|(path, content)| (path, self.contents[content].clone()));
        files.collect()
    }
}

fn same(path: &Path, folder: Option<&Path>) -> bool {
    Some(path) == folder
}
