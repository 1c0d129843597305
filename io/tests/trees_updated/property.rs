//! Whatever is there before, it becomes exactly the new version, and what is there already is not fetched.

use std::collections::HashSet;

use crate::model::{Chance, Node, Site, Tree, Version, assert_same, file, put, read};

const NAMES: &[&str] = &["a", "b", "c.txt", "lib", "Data", "é", "x y", "long-name-of-a-file.bin", "z.tar"];

fn path(chance: &mut Chance) -> String {
    let depth = 1 + chance.below(4);
    let names: Vec<String> =
        (0..depth).map(|_| format!("{}{}", NAMES[chance.below(NAMES.len())], chance.below(3))).collect();
    names.join("/")
}

fn content(chance: &mut Chance) -> Vec<u8> {
    let length = match chance.below(10) {
        0 => 0,
        1 => 1 + chance.below(10),
        2..=5 => chance.below(5000),
        6 | 7 => chance.below(100_000),
        8 => 65_536 * (1 + chance.below(3)),
        _ => chance.below(1_500_000),
    };
    match chance.below(8) {
        0 => vec![0; length],
        1 => b"the same line again\n".iter().copied().cycle().take(length).collect(),
        _ => chance.bytes(length),
    }
}

/// Puts an entry where nothing is in the way: neither as a directory below a file, nor the other way round.
fn put_free(tree: &mut Tree, chance: &mut Chance, node: Node) {
    for _ in 0..100 {
        let path = path(chance);
        let is_below_file =
            path.match_indices('/').any(|(at, _)| !matches!(tree.get(&path[..at]), None | Some(Node::Folder)));
        if !tree.contains_key(&path) && !is_below_file {
            put(tree, &path, node);
            return;
        }
    }
}

fn remove(tree: &mut Tree, path: &str) {
    let below = format!("{path}/");
    tree.retain(|other, _| other != path && !other.starts_with(&below));
}

fn some(tree: &Tree, chance: &mut Chance, is_right: impl Fn(&Node) -> bool) -> Option<String> {
    let paths: Vec<&String> = tree.iter().filter(|(_, node)| is_right(node)).map(|(path, _)| path).collect();
    (!paths.is_empty()).then(|| paths[chance.below(paths.len())].clone())
}

fn some_file(tree: &Tree, chance: &mut Chance) -> Option<(String, Vec<u8>, bool)> {
    let path = some(tree, chance, |node| matches!(node, Node::File(..)))?;
    match &tree[&path] {
        Node::File(content, is_executable) => Some((path.clone(), content.clone(), *is_executable)),
        _ => None,
    }
}

fn random(chance: &mut Chance) -> Tree {
    let mut tree = Tree::new();
    for _ in 0..chance.below(40) {
        let node = match chance.below(12) {
            0 => Node::Folder,
            1 if cfg!(unix) => Node::Link(path(chance)),
            2 if cfg!(unix) => Node::File(content(chance), true),
            3 => some_file(&tree, chance).map_or(Node::Folder, |(_, content, _)| file(content)),
            _ => file(content(chance)),
        };
        put_free(&mut tree, chance, node);
    }
    tree
}

/// Changes something, as people do between two versions.
fn change(tree: &mut Tree, chance: &mut Chance) {
    match chance.below(12) {
        0 | 1 => {
            let node = file(content(chance));
            put_free(tree, chance, node);
        }
        2 => {
            if let Some(path) = some(tree, chance, |_| true) {
                remove(tree, &path);
            }
        }
        3 | 4 => {
            if let Some((path, mut content, is_executable)) = some_file(tree, chance) {
                let at = chance.below(content.len() + 1);
                let length = chance.below(200).min(content.len() - at);
                let put = chance.below(200);
                let new = chance.bytes(put);
                content.splice(at..at + length, new);
                tree.insert(path, Node::File(content, is_executable));
            }
        }
        5 => {
            if let Some((path, content, is_executable)) = some_file(tree, chance) {
                tree.remove(&path);
                put_free(tree, chance, Node::File(content, is_executable));
            }
        }
        6 => {
            // A folder gets another name.
            if let Some(from) = some(tree, chance, |node| *node == Node::Folder) {
                let below = format!("{from}/");
                let moved: Vec<(String, Node)> = tree
                    .iter()
                    .filter_map(|(path, node)| Some((path.strip_prefix(&below)?.to_owned(), node.clone())))
                    .collect();
                remove(tree, &from);
                let to = format!("moved-{}", chance.below(1000));
                put(tree, &to, Node::Folder);
                moved.into_iter().for_each(|(path, node)| put(tree, &format!("{to}/{path}"), node));
            }
        }
        7 => {
            // Two files become one, or one becomes two.
            if let (Some((one, first, _)), Some((_, second, _))) = (some_file(tree, chance), some_file(tree, chance)) {
                let both = [&first[..], &second[..]].concat();
                tree.insert(one, file(both));
            }
        }
        8 => {
            if let Some((path, content, _)) = some_file(tree, chance) {
                let (head, tail) = content.split_at(chance.below(content.len() + 1));
                tree.insert(path, file(head));
                put_free(tree, chance, file(tail));
            }
        }
        9 => {
            // It becomes something else.
            if let Some(path) = some(tree, chance, |_| true) {
                remove(tree, &path);
                match chance.below(3) {
                    0 => put(tree, &format!("{path}/inside"), file(content(chance))),
                    1 if cfg!(unix) => put(tree, &path, Node::Link(String::from("elsewhere"))),
                    _ => put(tree, &path, file(content(chance))),
                }
            }
        }
        10 => {
            if let Some((path, content, is_executable)) = some_file(tree, chance) {
                tree.insert(path, Node::File(content, cfg!(unix) && !is_executable));
            }
        }
        _ => {
            // Two files change places.
            if let (Some((one, first, _)), Some((other, second, _))) =
                (some_file(tree, chance), some_file(tree, chance))
            {
                tree.insert(one, file(second));
                tree.insert(other, file(first));
            }
        }
    }
}

/// The most that may be fetched: contents that no file had before, in whole blocks. One more, because the last
/// block of the payload is a short one, which is found in few places.
fn bound(old: &Tree, new: &Tree, block: u64) -> u64 {
    let contents = |tree: &Tree| -> HashSet<Vec<u8>> {
        tree.values()
            .filter_map(|node| if let Node::File(content, _) = node { Some(content.clone()) } else { None })
            .collect()
    };
    let (old, new) = (contents(old), contents(new));
    let lacking = new.difference(&old).map(|content| (content.len() as u64).next_multiple_of(block));
    lacking.sum::<u64>() + block
}

fn cases() -> u64 {
    // Wine takes ten times as long for what changes a disk.
    let usual = if cfg!(windows) { 6 } else { 60 };
    std::env::var("GOSYNC_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

#[test]
fn any_directory_becomes_exactly_the_new_version() {
    for seed in 0..cases() {
        let mut chance = Chance::new(seed);
        let old = random(&mut chance);
        let site = Site::with(&old);
        let mut new = old.clone();
        for _ in 0..chance.below(12) {
            change(&mut new, &mut chance);
        }
        let version = Version::of(&new);
        let what = format!("seed {seed}");
        let done = site.mirror(&version).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_same(&read(&site.target), &new, &what);
        let bound = bound(&old, &new, version.block());
        // Elsewhere the trees are others, without links and modes, and one block more may be fetched where several files changed.
        if cfg!(unix) {
            assert!(done.fetched <= bound, "{what}: {} were fetched, at most {bound} are new", done.fetched);
        }
        assert_eq!(done.from_seeds + done.fetched, done.total, "{what}");
        let again = site.mirror(&version).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(again.up_to_date && again.fetched == 0, "{what}: {again:?}");
    }
}

#[test]
fn what_updates_have_installed_goes_when_a_version_lacks_it() {
    for seed in 0..cases() / 2 {
        let mut chance = Chance::new(10_000 + seed);
        let mut tree = random(&mut chance);
        let site = Site::empty();
        for step in 0..4 {
            let what = format!("seed {seed}, step {step}");
            let version = Version::of(&tree);
            site.update(&version).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_same(&read(&site.target), &tree, &what);
            assert_eq!(site.names(), [".target.gosync-installed", "target"], "{what}");
            for _ in 0..chance.below(8) {
                change(&mut tree, &mut chance);
            }
        }
    }
}
