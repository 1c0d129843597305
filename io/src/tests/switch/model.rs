//! Small trees in memory, what the rules of an update make of them, and the way from one to the other on a disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gosync_core::listing::Places;

use crate::cancel::Cancel;
use crate::disk::Disk;
use crate::output::Replacing;
use crate::tests::power::cut::Chance;
use crate::tests::power::tree::{link, set_executable};
use crate::tree::system_names::Here;
use crate::tree::{self, Around, Changes, Comparison, Folder, Record, Spellings, Switch, Walked, switch, walk};
use crate::{Digest, EntryKind, Listing, Observer, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File(String, bool),
    Link(String),
}

/// Entries by path. A directory comes before what is in it: no name here has a byte before `/`.
pub(super) type Tree = BTreeMap<String, Node>;

pub(super) fn file(content: &str) -> Node {
    Node::File(content.into(), false)
}

pub(super) fn tree(entries: &[(&str, Node)]) -> Tree {
    entries.iter().map(|(path, node)| ((*path).to_owned(), node.clone())).collect()
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

/// What is at a path with all that is below it.
fn below(tree: &Tree, path: &str) -> Tree {
    let is_in = |other: &str| other == path || ancestors(other).any(|folder| folder == path);
    tree.iter().filter(|(other, _)| is_in(other)).map(|(path, node)| (path.clone(), node.clone())).collect()
}

pub(super) fn random(chance: &mut Chance) -> Tree {
    let mut tree = Tree::new();
    for _ in 0..chance.below(14) {
        change(&mut tree, chance);
    }
    tree
}

/// Adds, changes or removes something.
pub(super) fn change(tree: &mut Tree, chance: &mut Chance) {
    const NAMES: [&str; 5] = ["a", "b", "c", "ab", "d"];
    let folders: Vec<String> =
        tree.iter().filter(|(_, node)| **node == Node::Folder).map(|(path, _)| path.clone()).collect();
    let name = NAMES[chance.below(NAMES.len())];
    let path = match chance.below(folders.len() + 1) {
        0 => name.to_owned(),
        number => format!("{}/{name}", folders[number - 1]),
    };
    if path.split('/').count() > 4 {
        return;
    }
    let gone: Vec<String> = below(tree, &path).into_keys().collect();
    let was_folder = tree.get(&path) == Some(&Node::Folder);
    let node = match chance.below(10) {
        0 | 1 => None,
        2 | 3 => Some(Node::Folder),
        // Who may make links on Windows is another matter.
        4 if cfg!(unix) => Some(Node::Link(["a", "../b", "/etc/passwd"][chance.below(3)].into())),
        _ => {
            let content = ["", "one", "two", "three", "four"][chance.below(5)].into();
            Some(Node::File(content, cfg!(unix) && chance.decides()))
        }
    };
    if !(was_folder && node == Some(Node::Folder)) {
        gone.iter().for_each(|path| drop(tree.remove(path)));
    }
    if let Some(node) = node {
        tree.insert(path, node);
    }
}

/// What an update from `old` to `new` leaves, and what it has moved aside.
pub(super) fn expected(old: &Tree, record: Option<&Tree>, new: &Tree, delete: bool) -> (Tree, Tree) {
    let (mut result, mut kept) = (new.clone(), Tree::new());
    if delete {
        return (result, kept);
    }
    let content = |node: &Node| match node {
        Node::File(content, _) => Node::File(content.clone(), false),
        other => other.clone(),
    };
    let same = |one: Option<&Node>, other: Option<&Node>| one.map(content) == other.map(content);
    let is_ours = |path: &str| match record {
        None => old[path] != Node::Folder && new.contains_key(path),
        Some(record) => same(record.get(path), old.get(path)),
    };
    let mut keep = |path: &str| {
        kept.extend(below(old, path));
        kept.extend(ancestors(path).map(|path| (path.to_owned(), Node::Folder)));
    };
    // Moved, or left, with all that is in it.
    let mut whole: Vec<String> = Vec::new();
    for (path, node) in old {
        let is_blocked = ancestors(path).any(|folder| new.get(folder).is_some_and(|node| *node != Node::Folder));
        if same(new.get(path), Some(node)) || ancestors(path).any(|folder| whole.iter().any(|whole| whole == folder)) {
            continue;
        }
        if is_ours(path) {
            continue;
        }
        if *node == Node::Folder {
            whole.push(path.clone());
        }
        if new.contains_key(path) || is_blocked {
            keep(path);
        } else {
            result.extend(below(old, path));
        }
    }
    // What stays is somewhere.
    let folders: Vec<String> = result.keys().flat_map(|path| ancestors(path)).map(str::to_owned).collect();
    for path in folders {
        result.entry(path).or_insert(Node::Folder);
    }
    (result, kept)
}

pub(super) fn write(tree: &Tree, top: &Path) {
    std::fs::create_dir_all(top).expect("a folder");
    for (path, node) in tree {
        let path = top.join(path);
        match node {
            Node::Folder => std::fs::create_dir(&path).expect("a folder"),
            Node::Link(target) => link(target, &path),
            Node::File(content, is_executable) => {
                std::fs::write(&path, content).expect("a file");
                set_executable(&path, *is_executable);
            }
        }
    }
}

/// What is in a directory; nothing if there is none.
pub(super) fn read(top: &Path) -> Tree {
    let Ok(folder) = Folder::open(top, "tree") else { return Tree::new() };
    let walked = walk::walk(&folder, None, &Cancel::new()).expect("a walk");
    assert!(walked.strange.is_empty());
    let node = |path: &str, is: &walk::Is| match is {
        walk::Is::Directory { .. } => Node::Folder,
        walk::Is::Symlink { target } => Node::Link(target.clone()),
        walk::Is::File { is_executable, .. } => {
            Node::File(std::fs::read_to_string(top.join(path)).expect("a file"), *is_executable)
        }
        walk::Is::Other => panic!("{path} is no file"),
    };
    walked.found.iter().map(|found| (found.path.clone(), node(&found.path, &found.is))).collect()
}

pub(super) fn listing(tree: &Tree) -> Listing {
    let (mut places, mut known) = (Places::new(1024), std::collections::HashSet::new());
    let mut entries = Vec::new();
    for (path, node) in tree {
        entries.push((
            path.as_str(),
            match node {
                Node::Folder => EntryKind::Directory,
                Node::Link(target) => EntryKind::Symlink { target },
                Node::File(content, is_executable) => {
                    let (size, root) = (content.len() as u64, Digest::of(content.as_bytes()));
                    if size > 0 && known.insert(root) {
                        places.next(size).expect("a place");
                    }
                    EntryKind::File { size, root, is_executable: *is_executable }
                }
            },
        ));
    }
    Listing::new(1024, places.end(), Digest([1; 32]), entries).expect("a listing")
}

/// A target with what lies around it, to be switched.
pub(super) struct Scene {
    pub(super) folder: tempfile::TempDir,
    pub(super) events: crate::tests::switch::Events,
    pub(super) here: Here,
}

impl Scene {
    pub(super) fn new() -> Scene {
        Scene::in_folder(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn in_folder(folder: tempfile::TempDir) -> Scene {
        Scene {
            folder,
            events: Default::default(),
            here: Here { folds: false, keeps_form: true, has_modes: cfg!(unix) },
        }
    }

    pub(super) fn target(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    pub(super) fn around(&self) -> Around {
        Around::of(&self.target()).expect("around the target")
    }

    pub(super) fn kept(&self) -> Tree {
        read(&self.folder.path().join("tree.gosync-kept"))
    }

    /// What lies beside the target, but for what was kept.
    pub(super) fn beside(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().expect("text")).collect();
        names.retain(|name| name != "tree" && name != "tree.gosync-kept");
        names.sort();
        names
    }

    pub(super) fn observer(&self) -> Observer {
        Observer { events: Some(self.events.listener()), ..Observer::default() }
    }

    /// Installs a tree where there is none yet.
    pub(super) fn install(&self, tree: &Tree) {
        self.update(tree, false, &Disk::system()).expect("installed");
    }

    /// A whole update, by a stage that is made here.
    pub(super) fn update(&self, new: &Tree, delete: bool, disk: &Disk) -> Result<Changes> {
        let (stage, changes) = self.stage(new, delete, false)?;
        self.finish(&stage, disk)?;
        Ok(changes)
    }

    pub(super) fn changes(&self, new: &Tree, delete: bool, quick: bool) -> Result<Changes> {
        let (listing, target) = (listing(new), self.target());
        let folder = Folder::open(&target, "target").ok();
        let mut walked = match &folder {
            Some(folder) => walk::walk(folder, None, &Cancel::new())?,
            None => Walked::default(),
        };
        let spellings = folder.as_ref().map(|folder| Spellings::settle(&mut walked.found, &listing, folder));
        let spellings = spellings.unwrap_or_default();
        let record = Record::read(&self.around())?;
        let paths: Vec<&String> = new.keys().collect();
        let is_unchanged = |number: u32| {
            let path = paths[number as usize];
            let is_file = walked.found.iter().any(|found| found.path == *path && found.stamp().is_some());
            let read = || std::fs::read_to_string(target.join(path)).expect("a file");
            is_file && matches!(&new[path], Node::File(content, _) if *content == read())
        };
        Comparison {
            folder: folder.as_ref(),
            walked: &walked,
            listing: &listing,
            spellings: &spellings,
            record: record.as_ref(),
            is_record_lost: false,
            delete,
            quick,
            here: self.here,
            is_unchanged: &is_unchanged,
            comes_from: &|_| None,
            cancel: &Cancel::new(),
        }
        .changes()
    }

    /// Everything up to the point from which it is only gone forward.
    pub(super) fn stage(&self, new: &Tree, delete: bool, quick: bool) -> Result<(PathBuf, Changes)> {
        let (around, disk, listing) = (self.around(), Disk::system(), listing(new));
        let changes = self.changes(new, delete, quick)?;
        let path = around.stage(Digest::of(&listing.encode()));
        std::fs::create_dir(&path).expect("a stage");
        std::fs::create_dir(path.join("new")).expect("a folder for what is new");
        let nodes: Vec<&Node> = new.values().collect();
        for number in &changes.staged {
            let Node::File(content, is_executable) = nodes[*number as usize] else { panic!("{number} is no file") };
            let file = path.join("new").join(number.to_string());
            std::fs::write(&file, content).expect("a new file");
            set_executable(&file, *is_executable);
        }
        let stage = around.open_stage(&disk, &path)?;
        let (target, observer, cancel) = (self.target(), self.observer(), Cancel::new());
        let how = Replacing { timeout: Duration::ZERO, move_aside: false, cancel: &cancel, waiting: &|_| () };
        let keep = crate::Keep::default();
        let switch = Switch { disk: &disk, around: &around, target: &target, how: &how, keep, observer: &observer };
        switch.check(&stage, &listing, &changes)?;
        let time = |(number, path): (usize, &String)| {
            let staged = path_of(&changes, number, &around.stage(Digest::of(&listing.encode())));
            let path = staged.unwrap_or_else(|| target.join(path));
            let about = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
            about.modified().ok()
        };
        let times = new.keys().enumerate().map(time).collect();
        switch.commit(&stage, &listing, &changes, times)?;
        Ok((path, changes))
    }

    pub(super) fn finish(&self, stage: &Path, disk: &Disk) -> Result<()> {
        let (around, target, observer, cancel) = (self.around(), self.target(), self.observer(), Cancel::new());
        let how = Replacing { timeout: Duration::ZERO, move_aside: false, cancel: &cancel, waiting: &|_| () };
        let keep = crate::Keep::default();
        let switch = Switch { disk, around: &around, target: &target, how: &how, keep, observer: &observer };
        switch.finish(stage)
    }

    /// Finishes what was begun, if anything was.
    pub(super) fn finish_if_unfinished(&self, disk: &Disk) -> Result<bool> {
        match switch::unfinished(&self.around()) {
            Some(stage) => self.finish(&stage, disk).map(|()| true),
            None => Ok(false),
        }
    }
}

fn path_of(changes: &Changes, number: usize, stage: &Path) -> Option<PathBuf> {
    let is_staged = changes.staged.contains(&(number as u32));
    is_staged.then(|| stage.join(tree::switch::NEW).join(number.to_string()))
}
