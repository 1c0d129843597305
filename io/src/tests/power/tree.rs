//! What may be on a disk after its power was cut, where it holds directories: as `cut`, for whole trees.
//!
//! A name that was not synced may be there or not, in any order with others. A rename is there as a whole or not at all; what
//! is in a folder that is not there is gone with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::cut::{Chance, SECTOR, Temper};
use super::log::{Change, Entry, Log};

/// A folder with all that is in it.
#[derive(Clone, Debug)]
pub(in crate::tests) struct Image {
    /// The first is the folder itself.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Folder(BTreeMap<String, usize>),
    File { content: Vec<u8>, modified: SystemTime, is_executable: bool },
    Link(String),
}

impl Image {
    /// What is in a folder.
    pub(in crate::tests) fn read(path: &Path) -> Image {
        let mut image = Image { nodes: Vec::new() };
        image.take(path);
        image
    }

    fn take(&mut self, path: &Path) -> usize {
        let number = self.nodes.len();
        let about = fs::symlink_metadata(path).expect("an entry");
        if about.is_symlink() {
            let target = fs::read_link(path).expect("a link").into_os_string().into_string().expect("text");
            self.nodes.push(Node::Link(target));
        } else if about.is_dir() {
            self.nodes.push(Node::Folder(BTreeMap::new()));
            let entries = fs::read_dir(path).expect("a folder").flatten();
            let names = entries.map(|entry| entry.file_name().into_string().expect("text"));
            let names: BTreeMap<String, usize> =
                names.map(|name| (name.clone(), self.take(&path.join(name)))).collect();
            self.nodes[number] = Node::Folder(names);
        } else {
            let (content, modified) = (fs::read(path).expect("a file"), about.modified().expect("a time"));
            self.nodes.push(Node::File { content, modified, is_executable: is_executable(&about) });
        }
        number
    }

    /// Makes an empty folder this.
    pub(in crate::tests) fn write(&self, path: &Path) {
        self.put(0, path);
    }

    fn put(&self, number: usize, path: &Path) {
        match &self.nodes[number] {
            Node::Link(target) => link(target, path),
            Node::Folder(names) => {
                if !path.exists() {
                    fs::create_dir(path).expect("a folder");
                }
                for (name, number) in names {
                    self.put(*number, &path.join(name));
                }
            }
            Node::File { content, modified, is_executable } => {
                fs::write(path, content).expect("a file");
                set_executable(path, *is_executable);
                fs::File::options()
                    .write(true)
                    .open(path)
                    .and_then(|file| file.set_modified(*modified))
                    .expect("a time");
            }
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.components().try_fold(0, |at, name| match &self.nodes[at] {
            Node::Folder(names) => names.get(name.as_os_str().to_str()?).copied(),
            _ => None,
        })
    }

    fn set(&mut self, (folder, name, number): &(usize, String, Option<usize>)) {
        if let Node::Folder(names) = &mut self.nodes[*folder] {
            match number {
                Some(number) => names.insert(name.clone(), *number),
                None => names.remove(name),
            };
        }
    }
}

#[cfg(unix)]
fn is_executable(about: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
pub(in crate::tests) fn set_executable(path: &Path, is_executable: bool) {
    let mode = if is_executable { 0o755 } else { 0o644 };
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
}

#[cfg(not(unix))]
pub(in crate::tests) fn set_executable(_: &Path, _: bool) {}

#[cfg(unix)]
pub(in crate::tests) fn link(target: &str, path: &Path) {
    std::os::unix::fs::symlink(target, path).expect("a link");
}

#[cfg(windows)]
pub(in crate::tests) fn link(target: &str, path: &Path) {
    std::os::windows::fs::symlink_file(target, path).expect("a link");
}

/// Changes of names that are there together or not at all: in which folder, which name, what it stands for then.
type Names = Vec<(usize, String, Option<usize>)>;

/// What a change is about.
enum About {
    Names(Names),
    Content(usize),
    SyncFile(usize),
    SyncFolder(usize),
    SyncAll,
}

/// What the folder `top`, which held `before`, has after the first `moments` of the log.
pub(in crate::tests) fn cut(
    before: &Image,
    top: &Path,
    log: &Log,
    moments: usize,
    temper: Temper,
    chance: &mut Chance,
) -> Image {
    // What failed has changed nothing.
    let mut begun: Vec<&Entry> =
        log.entries.iter().filter(|entry| entry.begun < moments && entry.made.is_some()).collect();
    begun.sort_by_key(|entry| entry.made);
    let mut live = before.clone();
    let mut files = BTreeMap::new();
    let abouts: Vec<Option<About>> =
        begun.iter().map(|entry| follow(&mut live, &mut files, &entry.change, top)).collect();
    let is_made = |entry: &Entry| entry.made.is_some_and(|made| made < moments);
    let mut after = Image { nodes: live.nodes.iter().map(emptied).collect() };
    after.nodes[..before.nodes.len()].clone_from_slice(&before.nodes);
    for (entry, about) in begun.iter().zip(&abouts) {
        let is_durable = begun.iter().zip(&abouts).any(|(sync, syncs)| {
            let is_its = match (about, syncs) {
                (_, Some(About::SyncAll)) => true,
                // A rename is kept by the folder that it leads to.
                (Some(About::Names(names)), Some(About::SyncFolder(folder))) => {
                    names.last().is_some_and(|(to, ..)| to == folder)
                }
                (Some(About::Content(file)), Some(About::SyncFile(synced))) => file == synced,
                _ => false,
            };
            is_its && is_made(sync) && entry.made.is_some_and(|made| sync.begun > made)
        });
        let is_there = |chance: &mut Chance| {
            is_durable
                || match temper {
                    Temper::Loses => false,
                    Temper::Keeps => is_made(entry) || chance.decides(),
                    Temper::Chooses | Temper::Tears => chance.decides(),
                }
        };
        match about {
            Some(About::Names(names)) if is_there(chance) => names.iter().for_each(|name| after.set(name)),
            Some(About::Content(file)) if is_there(chance) => {
                let is_torn = !is_durable && temper == Temper::Tears;
                change(
                    &mut after.nodes[*file],
                    &entry.change,
                    |chance: &mut Chance| !is_torn || chance.decides(),
                    chance,
                );
            }
            _ => {}
        }
    }
    after
}

fn emptied(node: &Node) -> Node {
    match node {
        Node::Folder(_) => Node::Folder(BTreeMap::new()),
        Node::Link(target) => Node::Link(target.clone()),
        Node::File { .. } => file(),
    }
}

fn file() -> Node {
    Node::File { content: Vec::new(), modified: SystemTime::now(), is_executable: false }
}

/// Makes a change of names as it happened, and says what it is about.
fn follow(live: &mut Image, files: &mut BTreeMap<u64, usize>, change: &Change, top: &Path) -> Option<About> {
    let place = |live: &Image, path: &Path| {
        let path = path.strip_prefix(top).ok()?;
        let name = path.file_name()?.to_str()?.to_owned();
        Some((live.find(path.parent()?)?, name))
    };
    let made = |live: &mut Image, path: &Path, node: Node| {
        let (folder, name) = place(live, path)?;
        live.nodes.push(node);
        Some((folder, name, Some(live.nodes.len() - 1)))
    };
    let names: Names = match change {
        Change::Create { file: number, path } => {
            let name = made(live, path, file())?;
            files.insert(*number, name.2?);
            vec![name]
        }
        Change::Open { file, path } => {
            files.insert(*file, live.find(path.strip_prefix(top).ok()?)?);
            return None;
        }
        Change::CreateFolder { path } => vec![made(live, path, Node::Folder(BTreeMap::new()))?],
        Change::Link { path, target } => vec![made(live, path, Node::Link(target.clone()))?],
        Change::Remove { path } | Change::RemoveFolder { path } => {
            let (folder, name) = place(live, path)?;
            vec![(folder, name, None)]
        }
        Change::Rename { from, to } => {
            let number = live.find(from.strip_prefix(top).ok()?)?;
            let ((folder, name), (to, to_name)) = (place(live, from)?, place(live, to)?);
            vec![(folder, name, None), (to, to_name, Some(number))]
        }
        Change::Write { file, .. }
        | Change::Zero { file, .. }
        | Change::SetLength { file, .. }
        | Change::Clone { file, .. } => return files.get(file).map(|file| About::Content(*file)),
        Change::Sync { file } => return files.get(file).map(|file| About::SyncFile(*file)),
        Change::SyncFolder { path } => return live.find(path.strip_prefix(top).ok()?).map(About::SyncFolder),
        Change::SyncAll => return Some(About::SyncAll),
    };
    names.iter().for_each(|name| live.set(name));
    Some(About::Names(names))
}

/// Changes a file, by sectors; `is_there` says of each whether it came.
fn change(node: &mut Node, change: &Change, is_there: impl Fn(&mut Chance) -> bool, chance: &mut Chance) {
    let Node::File { content, .. } = node else { return };
    let zeros;
    let (offset, bytes) = match change {
        Change::Write { offset, bytes, .. } => (*offset as usize, bytes.as_slice()),
        Change::Zero { offset, length, .. } => {
            zeros = vec![0; *length as usize];
            (*offset as usize, zeros.as_slice())
        }
        Change::SetLength { length, .. } => return content.resize(*length as usize, 0),
        Change::Clone { content: from, .. } => return content.clone_from(from),
        _ => return,
    };
    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
        let at = offset + number * SECTOR;
        if is_there(chance) {
            content.resize(content.len().max(at + sector.len()), 0);
            content[at..at + sector.len()].copy_from_slice(sector);
        }
    }
}
