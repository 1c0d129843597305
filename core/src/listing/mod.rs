//! The listing of a tree: which directories, files and links it has, under which names, with which content, and where
//! each content begins in the tree's payload (docs/format.md). Names are data: what a system makes of them is for
//! whoever writes files.
//!
//! `wire` is the canonical bytes, `names` the rules for names, `roots` the hash of each file while the payload is read.

mod names;
mod roots;
mod wire;

use std::collections::HashMap;
use std::collections::hash_map;

use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Range;

pub use self::names::{Folded, path_fault, path_order, portable_fault};
pub use self::roots::FileHash;

/// Entries that a listing has at most.
pub const MAX_ENTRIES: u32 = 1 << 24;
/// Bytes of a path, its separators among them, at most.
pub const MAX_PATH: usize = 4096;
/// Names in a path at most.
pub const MAX_DEPTH: usize = 255;
/// Bytes of all paths together, at most, besides [`PATH`] for each entry: in a listing a path has only its last name, so that few
/// bytes would become many wherever paths are written out.
const MAX_PATHS: u64 = 64 << 20;
const PATH: u64 = 256;
/// Times are less than this: what a file system of our time can hold, until the year 2242.
pub const TIMES_END: u64 = 1 << 33;
/// The bits of a mode that a tree says.
const MODE: u16 = 0o777;
/// The bit by which the owner of a file may execute it.
const EXECUTABLE: u16 = 0o100;
/// The bits that each directory, and each file, has at least.
pub const FOLDER_MODE: u16 = 0o700;
/// See [`FOLDER_MODE`].
pub const FILE_MODE: u16 = 0o400;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Bytes of its content.
        size: u64,
        /// The BLAKE3 hash of its content.
        root: Digest,
        /// Whether it is a program: its owner may execute it.
        is_executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// What it says, which nobody vouches to be a path inside the tree.
        target: &'a str,
    },
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Names from the tree's top to the entry, with `/` between.
    pub path: String,
    /// What it is.
    pub kind: EntryKind<'a>,
    /// Where its content is in the payload. Empty for what has none.
    pub place: Range,
    /// Who may do what with a file or directory: the nine lowest bits of a Unix mode. `None` where the tree does not say.
    pub mode: Option<u16>,
    /// When a file was last changed, in seconds since 1970, less than [`TIMES_END`]. `None` where the tree does not say.
    pub time: Option<u64>,
}

/// What a tree says of its entries besides what they are. Each is empty where it says nothing, or else has one value for each entry,
/// in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Modes of files and directories; 0 for links.
    pub modes: Vec<u16>,
    /// Times of files, in seconds since 1970; 0 for all others.
    pub times: Vec<u64>,
}

/// The entries of a tree in their order: a directory before what is in it, names in the order of their bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Listing {
    nodes: Vec<Node>,
    /// All names and link targets, one after another.
    texts: String,
    /// The block size of the payload, as a power of two: what contents are aligned to.
    log2: u8,
    length: u64,
    root: Digest,
    /// Bytes of all files together.
    total: u64,
    /// Bytes of all contents, each once.
    contents: u64,
    attributes: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    /// The directory that it is in, by its number counted from one; 0 is the tree's top.
    parent: u32,
    name: Text,
    what: What,
}

/// A text in the store of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text {
    start: u32,
    length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Directory,
    File { size: u64, root: Digest, is_executable: bool, offset: u64 },
    Symlink { target: Text },
}

impl What {
    fn has_mode(self) -> bool {
        !matches!(self, What::Symlink { .. })
    }

    fn has_time(self) -> bool {
        matches!(self, What::File { .. })
    }

    /// What is wrong with a mode, if anything is. Whoever installs a tree must be able to read it and to change it the next time.
    fn mode_fault(self, mode: u16) -> Option<&'static str> {
        match self {
            _ if mode & !MODE != 0 => Some("an entry of the tree has a mode with more than nine bits"),
            What::Symlink { .. } => (mode != 0).then_some("a link of the tree has a mode"),
            What::Directory => {
                let fault = "a directory of the tree has a mode that keeps its owner out";
                (mode & FOLDER_MODE != FOLDER_MODE).then_some(fault)
            }
            What::File { .. } if mode & FILE_MODE == 0 => {
                Some("a file of the tree has a mode that keeps its owner from reading it")
            }
            What::File { is_executable, .. } => {
                let fault = "a file of the tree has a mode that says otherwise whether it may be executed";
                ((mode & EXECUTABLE != 0) != is_executable).then_some(fault)
            }
        }
    }
}

impl Listing {
    /// A listing of `entries`, which come in the order of a listing. `block_size` is that of the payload, which has this
    /// length and root.
    pub fn new<'a>(
        block_size: u32,
        length: u64,
        root: Digest,
        entries: impl IntoIterator<Item = (&'a str, EntryKind<'a>)>,
    ) -> Result<Listing> {
        let mut draft = Draft::new(block_size.trailing_zeros() as u8);
        // The directories that are open, by their numbers, each with its path.
        let mut open: Vec<(u32, &str)> = Vec::new();
        for (path, kind) in entries {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            while open.last().is_some_and(|(_, path)| *path != folder) {
                open.pop();
                draft.leave();
            }
            if open.last().map_or("", |(_, path)| path) != folder || path.starts_with('/') {
                return Err(Error::new(ErrorKind::Argument, "an entry of the tree comes before its directory")
                    .with("path", path.escape_debug()));
            }
            draft.add(name, kind)?;
            if kind == EntryKind::Directory {
                open.push((draft.count(), path));
            }
        }
        draft.finish(length, root)
    }

    /// The same tree, which says `attributes` of its entries.
    pub fn with_attributes(mut self, attributes: Attributes) -> Result<Listing> {
        let is_whole = |count: usize| count == 0 || count == self.nodes.len();
        if !is_whole(attributes.modes.len()) || !is_whole(attributes.times.len()) {
            return Err(Error::new(ErrorKind::Argument, "there is not one mode or time for each entry of the tree"));
        }
        let says_nothing =
            |is_said: bool, has: fn(What) -> bool| is_said && !self.nodes.iter().any(|node| has(node.what));
        if says_nothing(!attributes.modes.is_empty(), What::has_mode)
            || says_nothing(!attributes.times.is_empty(), What::has_time)
        {
            let text = "the tree says modes or times, and has nothing that has one";
            return Err(Error::new(ErrorKind::Format, text));
        }
        for (number, (node, mode)) in self.nodes.iter().zip(&attributes.modes).enumerate() {
            if let Some(fault) = node.what.mode_fault(*mode) {
                return Err(Error::new(ErrorKind::Format, fault)
                    .with("entry", number)
                    .with("name", self.text(node.name).escape_debug()));
            }
        }
        for (node, time) in self.nodes.iter().zip(&attributes.times) {
            let is_right = if node.what.has_time() { *time < TIMES_END } else { *time == 0 };
            if !is_right {
                return Err(Error::new(ErrorKind::Format, "an entry of the tree has a time that it cannot have")
                    .with("time", time)
                    .with("name", self.text(node.name).escape_debug()));
            }
        }
        self.attributes = attributes;
        Ok(self)
    }

    /// Whether it says who may do what with files and directories.
    pub fn has_modes(&self) -> bool {
        !self.attributes.modes.is_empty()
    }

    /// Whether it says when files were last changed.
    pub fn has_times(&self) -> bool {
        !self.attributes.times.is_empty()
    }

    /// Reads a listing from its canonical bytes, and refuses any others.
    pub fn decode(bytes: &[u8]) -> Result<Listing> {
        wire::decode(bytes)
    }

    /// Its canonical bytes, whose BLAKE3 hash is the root of the tree.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Number of entries.
    pub fn count(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Bytes of all files together.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes of all contents together: of the payload, without the zeros between.
    pub fn content_length(&self) -> u64 {
        self.contents
    }

    /// Bytes of the payload.
    pub fn payload_length(&self) -> u64 {
        self.length
    }

    /// The BLAKE3 hash of the payload.
    pub fn payload_root(&self) -> Digest {
        self.root
    }

    /// Bytes of a block of the payload, at whose multiples contents begin.
    pub fn block_size(&self) -> u32 {
        1 << self.log2
    }

    /// The entries in their order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        // The paths of the directories that lead to the entry.
        let mut open: Vec<(u32, usize)> = Vec::new();
        let mut path = String::new();
        (1..).zip(&self.nodes).map(move |(number, node)| {
            while open.last().is_some_and(|(number, _)| *number != node.parent) {
                open.pop();
            }
            path.truncate(open.last().map_or(0, |(_, length)| *length));
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(self.text(node.name));
            if node.what == What::Directory {
                open.push((number, path.len()));
            }
            let (kind, place) = self.kind(&node.what);
            let (mode, time) = self.attributes_of(number, &node.what);
            Entry { path: path.clone(), kind, place, mode, time }
        })
    }

    fn kind(&self, what: &What) -> (EntryKind<'_>, Range) {
        let none = Range::new(0, 0);
        match *what {
            What::Directory => (EntryKind::Directory, none),
            What::File { size, root, is_executable, offset } => {
                (EntryKind::File { size, root, is_executable }, Range::new(offset, size))
            }
            What::Symlink { target } => (EntryKind::Symlink { target: self.text(target) }, none),
        }
    }

    /// What is said of the entry with this number, counted from one.
    fn attributes_of(&self, number: u32, what: &What) -> (Option<u16>, Option<u64>) {
        let (at, Attributes { modes, times }) = (number as usize - 1, &self.attributes);
        let mode = modes.get(at).filter(|_| what.has_mode());
        (mode.copied(), times.get(at).filter(|_| what.has_time()).copied())
    }

    fn text(&self, text: Text) -> &str {
        let start = text.start as usize;
        self.texts.get(start..start + usize::from(text.length)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

/// Gives each content of a payload its place: at the next multiple of the block size.
#[derive(Clone, Debug)]
pub struct Places {
    log2: u8,
    end: u64,
}

impl Places {
    /// Nothing has a place yet.
    pub fn new(block_size: u32) -> Places {
        Places { log2: block_size.trailing_zeros() as u8, end: 0 }
    }

    /// The place of the next content. What a payload cannot hold is `LIMIT`.
    pub fn next(&mut self, size: u64) -> Result<Range> {
        let block = 1u64 << self.log2;
        let offset = self.end.checked_next_multiple_of(block);
        let range = offset.and_then(|offset| Some((offset, offset.checked_add(size)?)));
        let (offset, end) =
            range.ok_or_else(|| Error::new(ErrorKind::Limit, "the files of the tree are too large together"))?;
        self.end = end;
        Ok(Range::new(offset, size))
    }

    /// Bytes of the payload so far.
    pub fn end(&self) -> u64 {
        self.end
    }
}

/// A listing that is being made, entry by entry, by whoever has them. Every rule is checked here.
struct Draft {
    listing: Listing,
    places: Places,
    contents: HashMap<Digest, Range>,
    /// The directories that are open: their numbers, and the name last seen in each.
    open: Vec<(u32, Option<Text>)>,
    /// Bytes of the path of the directory that is open.
    path: usize,
    /// Bytes of all paths so far.
    paths: u64,
}

impl Draft {
    fn new(log2: u8) -> Draft {
        let none = Digest([0; 32]);
        let (nodes, texts, attributes) = Default::default();
        let listing = Listing { nodes, texts, log2, length: 0, root: none, total: 0, contents: 0, attributes };
        let places = Places { log2, end: 0 };
        Draft { listing, places, contents: HashMap::new(), open: vec![(0, None)], path: 0, paths: 0 }
    }

    fn count(&self) -> u32 {
        self.listing.nodes.len() as u32
    }

    /// The next entry of the directory that is open. A directory opens.
    fn add(&mut self, name: &str, kind: EntryKind<'_>) -> Result<()> {
        let number = self.count();
        let wrong =
            |kind, text: &str| Err(Error::new(kind, text).with("entry", number).with("name", name.escape_debug()));
        if let Some(fault) = names::name_fault(name) {
            return wrong(ErrorKind::Format, fault);
        }
        if number >= MAX_ENTRIES {
            return wrong(ErrorKind::Limit, "the tree has too many entries");
        }
        let length = self.path + usize::from(self.path > 0) + name.len();
        if length > MAX_PATH || self.open.len() > MAX_DEPTH {
            return wrong(ErrorKind::Limit, "a path in the tree is too long");
        }
        self.paths += length as u64;
        if self.paths > MAX_PATHS + PATH * u64::from(number + 1) {
            return wrong(ErrorKind::Limit, "the paths in the tree are too long together");
        }
        let Some((parent, last)) = self.open.last().copied() else {
            return wrong(ErrorKind::Format, "an entry of the tree is outside it");
        };
        match last.map(|last| self.listing.text(last).as_bytes().cmp(name.as_bytes())) {
            None | Some(std::cmp::Ordering::Less) => {}
            Some(std::cmp::Ordering::Equal) => return wrong(ErrorKind::Format, "an entry of the tree is there twice"),
            Some(_) => return wrong(ErrorKind::Format, "an entry of the tree is out of order"),
        }
        let what = match kind {
            EntryKind::Directory => What::Directory,
            EntryKind::File { size, root, is_executable } => {
                let Some(total) = self.listing.total.checked_add(size) else {
                    return wrong(ErrorKind::Limit, "the files of the tree are too large together");
                };
                let place = match self.place(size, root) {
                    Ok(place) => place,
                    Err((kind, fault)) => return wrong(kind, fault),
                };
                self.listing.total = total;
                What::File { size, root, is_executable, offset: place.offset }
            }
            EntryKind::Symlink { target } => match names::target_fault(target) {
                Some(fault) => return wrong(ErrorKind::Format, fault),
                None => What::Symlink { target: self.keep(target)? },
            },
        };
        let name = self.keep(name)?;
        if let Some((_, last)) = self.open.last_mut() {
            *last = Some(name);
        }
        self.listing.nodes.push(Node { parent, name, what });
        if what == What::Directory {
            self.open.push((self.count(), None));
            self.path = length;
        }
        Ok(())
    }

    /// Where a content is: equal ones are there once.
    fn place(&mut self, size: u64, root: Digest) -> std::result::Result<Range, (ErrorKind, &'static str)> {
        if size == 0 {
            let is_right = root == Digest::of(&[]);
            return if is_right {
                Ok(Range::new(0, 0))
            } else {
                Err((ErrorKind::Format, "an empty file of the tree has a wrong root"))
            };
        }
        match self.contents.entry(root) {
            hash_map::Entry::Occupied(known) if known.get().length == size => Ok(*known.get()),
            hash_map::Entry::Occupied(_) => {
                Err((ErrorKind::Format, "two files of the tree have one root and different sizes"))
            }
            hash_map::Entry::Vacant(free) => {
                let place = self
                    .places
                    .next(size)
                    .map_err(|error| (error.kind(), "the files of the tree are too large together"))?;
                // Not more than where it ends.
                self.listing.contents += size;
                Ok(*free.insert(place))
            }
        }
    }

    /// The directory that is open ends. Whether there was one.
    fn leave(&mut self) -> bool {
        let Some((number, _)) = self.open.pop_if(|(number, _)| *number > 0) else { return false };
        let name = self.listing.nodes.get(number as usize - 1).map_or(0, |node| usize::from(node.name.length));
        self.path = self.path.saturating_sub(name);
        // And the separator before it, where it is not the first.
        self.path = self.path.saturating_sub(usize::from(self.path > 0));
        true
    }

    fn finish(mut self, length: u64, root: Digest) -> Result<Listing> {
        if length != self.places.end() {
            return Err(Error::new(ErrorKind::Format, "the payload of the tree does not have the length of its files")
                .with("length", length)
                .with("files", self.places.end()));
        }
        (self.listing.length, self.listing.root) = (length, root);
        self.listing.nodes.shrink_to_fit();
        self.listing.texts.shrink_to_fit();
        Ok(self.listing)
    }

    fn keep(&mut self, text: &str) -> Result<Text> {
        let too_long = || Error::new(ErrorKind::Limit, "the names of the tree are too long together");
        let start = u32::try_from(self.listing.texts.len()).map_err(|_| too_long())?;
        let length = u16::try_from(text.len()).map_err(|_| too_long())?;
        self.listing.texts.try_reserve(text.len()).map_err(|cause| too_long().caused_by(cause))?;
        self.listing.texts.push_str(text);
        Ok(Text { start, length })
    }
}
