//! Indexes of trees: what the listing says, what it is as bytes, and what those who make one up are answered with.

use gosync_core::index::{BuildOptions, Front};
use gosync_core::listing::{Attributes, EntryKind, FileHash, Listing, Places, TIMES_END};
use gosync_core::{Digest, ErrorKind, Index, Range};
use proptest::prelude::*;

use crate::reference::{self, Node, Raw};
use crate::{build_with, pattern};

/// A small tree with something of everything.
pub(crate) fn sample() -> Vec<Node> {
    vec![
        Node::Program(b"app", pattern(5000)),
        Node::Directory(
            b"lib",
            vec![
                Node::Directory(b"a", vec![Node::File(b"same", pattern(5000))]),
                Node::File(b"a.txt", b"text\n".to_vec()),
                Node::Directory(b"empty", vec![]),
                Node::Symlink(b"link", b"../app"),
            ],
        ),
        Node::File(b"none", vec![]),
        Node::File("\u{e9}".as_bytes(), pattern(70_000)),
    ]
}

fn refusal(raw: &Raw) -> Option<(ErrorKind, String)> {
    let error = Index::decode(&raw.bytes()).err()?;
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Format | ErrorKind::Version | ErrorKind::Limit), "{kind} for bad bytes");
    Some((kind, error.to_string()))
}

fn listing_of(raw: &Raw) -> &[u8] {
    &raw.sections.last().unwrap().data
}

#[test]
fn a_tree_is_what_the_document_says() {
    for block_size in [1024, 4096, 32_768] {
        let raw = reference::tree(&sample(), block_size, Some("app"));
        let index = Index::decode(&raw.bytes()).unwrap();
        assert_eq!((index.kind(), index.root()), ("tree", Some(Digest::of(listing_of(&raw)))));
        assert_eq!(index.encode(), raw.bytes());
        assert_eq!(index.encoded_size(), raw.bytes().len() as u64);
        let listing = index.listing().unwrap();
        assert_eq!((listing.count(), listing.total(), listing.block_size()), (9, 80_005, block_size));
        assert_eq!(listing.payload_length(), index.length());
        let file = |content: &[u8], is_executable| EntryKind::File {
            size: content.len() as u64,
            root: Digest::of(content),
            is_executable,
        };
        let block = u64::from(block_size);
        let text = 5000u64.next_multiple_of(block);
        let none = Range::new(0, 0);
        let expected = [
            ("app", file(&pattern(5000), true), Range::new(0, 5000)),
            ("lib", EntryKind::Directory, none),
            ("lib/a", EntryKind::Directory, none),
            ("lib/a/same", file(&pattern(5000), false), Range::new(0, 5000)),
            ("lib/a.txt", file(b"text\n", false), Range::new(text, 5)),
            ("lib/empty", EntryKind::Directory, none),
            ("lib/link", EntryKind::Symlink { target: "../app" }, none),
            ("none", file(b"", false), none),
            ("\u{e9}", file(&pattern(70_000), false), Range::new(text + block, 70_000)),
        ];
        let entries: Vec<_> = listing.entries().map(|entry| (entry.path, entry.kind, entry.place)).collect();
        assert_eq!(entries.iter().map(|(path, kind, place)| (&**path, *kind, *place)).collect::<Vec<_>>(), expected);
        let made = expected.map(|(path, kind, _)| (path, kind));
        let again = Listing::new(block_size, index.length(), listing.payload_root(), made).unwrap();
        assert_eq!(again.encode(), listing_of(&raw));
    }
}

#[test]
fn a_tree_says_modes_and_times_if_it_is_told_to() {
    let raw = reference::tree(&sample(), 1024, Some("app"));
    let index = Index::decode(&raw.bytes()).unwrap();
    let plain = index.listing().unwrap();
    assert!(!plain.has_modes() && !plain.has_times());
    assert!(plain.entries().all(|entry| (entry.mode, entry.time) == (None, None)));
    let modes = vec![0o755, 0o2755, 0o700, 0o640, 0o400, 0o777, 0, 0o644, 0o666];
    let modes: Vec<u16> = modes.into_iter().map(|mode| mode & 0o777).collect();
    let times = vec![1, 0, 0, 0, TIMES_END - 1, 0, 0, 1_700_000_000, 256];
    for (modes, times) in [(modes.clone(), vec![]), (vec![], times.clone()), (modes, times)] {
        let attributes = Attributes { modes: modes.clone(), times: times.clone() };
        let listing = plain.clone().with_attributes(attributes.clone()).unwrap();
        let again = Listing::decode(&listing.encode()).unwrap();
        assert!(again == listing && again != *plain);
        for (number, entry) in again.entries().enumerate() {
            let (is_link, is_file) =
                (matches!(entry.kind, EntryKind::Symlink { .. }), matches!(entry.kind, EntryKind::File { .. }));
            assert_eq!(entry.mode, modes.get(number).copied().filter(|_| !is_link), "{}", entry.path);
            assert_eq!(entry.time, times.get(number).copied().filter(|_| is_file), "{}", entry.path);
        }
        // What differs only in that is another tree.
        let bare = reference::with_listing(&reference::payload(&sample(), 1024), 1024, Some("app"), listing.encode());
        let said = Index::decode(&bare.bytes()).unwrap();
        assert_ne!(said.root(), index.root());
        assert_eq!(said.encode(), bare.bytes());
    }
    let one_too_few = Attributes { modes: vec![0o700; 8], times: vec![] };
    assert_eq!(plain.clone().with_attributes(one_too_few).unwrap_err().kind(), ErrorKind::Argument);
}

#[test]
fn a_tree_of_nothing_is_one() {
    let raw = reference::tree(&[], 1024, None);
    let index = Index::decode(&raw.bytes()).unwrap();
    assert_eq!((index.kind(), index.length(), index.listing().unwrap().count()), ("tree", 0, 0));
    assert_eq!(index.encode(), raw.bytes());
}

#[test]
fn a_payload_gets_its_listing_and_no_other() {
    let content = pattern(3000);
    let index = build_with(&content, 1024, None);
    let file = EntryKind::File { size: 3000, root: Digest::of(&content), is_executable: false };
    let listing = |length, root| Listing::new(1024, length, root, [("a", file)]);
    let right = listing(3000, index.root().unwrap()).unwrap();
    let tree = index.clone().with_listing(right.clone()).unwrap();
    assert_eq!(tree.encode(), reference::tree(&[Node::File(b"a", content)], 1024, None).bytes());
    assert!(listing(2999, index.root().unwrap()).is_err());
    let other = listing(3000, Digest([7; 32])).unwrap();
    assert_eq!(index.clone().with_listing(other).unwrap_err().kind(), ErrorKind::Format);
    assert_eq!(build_with(&pattern(3000), 2048, None).with_listing(right).unwrap_err().kind(), ErrorKind::Format);
    // A directory comes before what is in it, and each name once.
    for entries in [&["a/b"][..], &["b", "a"], &["a", "a"], &["a", "a/b"], &[".."], &["a/../b"], &["/a"], &[""]] {
        let entries = entries.iter().map(|path| (*path, file));
        assert!(Listing::new(1024, 3000, index.root().unwrap(), entries).is_err());
    }
}

#[test]
fn the_beginning_of_a_tree_says_how_much_is_needed() {
    let raw = reference::tree(&sample(), 1024, None);
    let (bytes, root) = (raw.bytes(), Digest::of(listing_of(&raw)));
    let read = |length: usize| match Index::decode_beginning(&bytes[..length], 1 << 20).unwrap() {
        Front::Needs(needed) => Err(needed as usize),
        Front::Read(index) => Ok(index),
    };
    // The root is among the first bytes.
    let needed = (1..).find_map(|length| read(length).ok().map(|_| length)).unwrap();
    assert!(needed < 300, "{needed}");
    assert!((1..needed).all(|length| read(length).is_err_and(|needs| needs > length && needs <= needed)));
    let index = read(needed).unwrap();
    assert_eq!((index.kind(), index.root(), index.listing().is_none()), ("tree", Some(root), true));
    // The rest comes as it is needed, and nothing else is taken for it.
    let part = |place: gosync_core::Range| &bytes[place.offset as usize..place.end() as usize];
    let (about, listing) = index.listing_places();
    let (top, about, listing) = (index.top_place().unwrap(), about.unwrap(), listing.unwrap());
    assert!(!index.has_top() && !index.is_whole() && index.encode_to(&mut |_| Ok(())).is_err());
    assert_eq!(index.supply_listing(part(about)).unwrap_err().kind(), ErrorKind::Format);
    assert_eq!(index.supply_listing_index(part(listing)).unwrap_err().kind(), ErrorKind::Format);
    if top.length > 0 {
        assert_eq!(index.supply_top(&vec![1; top.length as usize]).unwrap_err().kind(), ErrorKind::Format);
    }
    index.supply_listing(part(listing)).unwrap();
    assert_eq!(index.listing().unwrap().count(), Index::decode(&bytes).unwrap().listing().unwrap().count());
    index.supply_listing_index(part(about)).unwrap();
    index.supply_top(part(top)).unwrap();
    assert_eq!(index.listing_places(), (None, None));
    (0..index.unit_count())
        .for_each(|unit| index.supply_blocks(unit, part(index.blocks_place(unit).unwrap())).unwrap());
    assert!(index.is_whole() && index.encode() == bytes);
    assert!(matches!(Index::decode_front(&bytes, 1 << 20), Ok(Front::Read(index)) if index.has_top()));
    assert_eq!(Index::decode_front(&bytes[..200], 1000).unwrap_err().kind(), ErrorKind::Limit);
}

/// Listings that nobody may publish, each with what it is refused for. None of them is over a limit of the bytes present.
pub(crate) fn hostile() -> Vec<(&'static str, Raw, &'static str)> {
    let one = |node: Node| reference::tree(&[node], 1024, None);
    let file = |name: &'static [u8]| one(Node::File(name, vec![1]));
    let two = |one: &'static [u8], other: &'static [u8]| {
        reference::tree(&[Node::File(one, vec![1]), Node::File(other, vec![2])], 1024, None)
    };
    let link = |target| one(Node::Symlink(b"a", target));
    let payload = vec![1];
    let bytes = listing_of(&file(b"a")).to_vec();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut listing = bytes.clone();
        change(&mut listing);
        reference::with_listing(&payload, 1024, None, listing)
    };
    // With mode 0644, and a time of five bytes.
    let said = |change: &dyn Fn(&mut Vec<u8>)| {
        changed(&|listing| {
            listing[6] = 3;
            listing.splice(51..51, [0o644u16.to_le_bytes().to_vec(), vec![5, 1, 0, 0, 0, 1]].concat());
            change(listing);
        })
    };
    let deep = (0..300).fold(vec![], |nodes, _| vec![Node::Directory(b"d", nodes)]);
    let long: &'static [u8] = &[b'n'; 255];
    let far = (0..17).fold(vec![], |nodes, _| vec![Node::Directory(long, nodes)]);
    vec![
        ("tree: a name that is empty", file(b""), "empty"),
        ("tree: the directory itself", file(b"."), "not its own"),
        ("tree: the directory above", file(b".."), "not its own"),
        ("tree: an absolute name", file(b"/etc"), "slash"),
        ("tree: a path as a name", file(b"a/../../b"), "slash"),
        ("tree: a name with a zero", file(b"a\0b"), "zero"),
        ("tree: a name that is not UTF-8", file(b"a\xff"), "UTF-8"),
        ("tree: a name in another encoding of slash", file(b"a\xc0\xafb"), "UTF-8"),
        ("tree: a name twice", two(b"a", b"a"), "twice"),
        ("tree: out of order", two(b"b", b"a"), "out of order"),
        (
            "tree: a file and a directory of one name",
            {
                let nodes = [Node::Directory(b"a", vec![]), Node::File(b"a", vec![1])];
                reference::tree(&nodes, 1024, None)
            },
            "twice",
        ),
        ("tree: a link that says nothing", link(b""), "says nothing"),
        ("tree: a link with a zero", link(b"a\0"), "zero"),
        ("tree: a link that is not UTF-8", link(b"\xff"), "UTF-8"),
        ("tree: a link that is too long", link(&[b'x'; 4096]), "longer"),
        ("tree: too deep", reference::tree(&deep, 1024, None), "too long"),
        ("tree: a path that is too long", reference::tree(&far, 1024, None), "too long"),
        ("tree: more entries than it says", changed(&|listing| listing[0] = 0), "more entries"),
        ("tree: fewer entries than it says", changed(&|listing| listing[0] = 2), "cut off"),
        ("tree: an absurd number of entries", changed(&|listing| listing[..4].fill(0xff)), "too many"),
        (
            "tree: as many entries as there may be",
            changed(&|listing| (listing[0], listing[3]) = (0, 1)),
            "fewer entries",
        ),
        ("tree: a later version", changed(&|listing| listing[4] = 2), "newer"),
        ("tree: a flag", changed(&|listing| listing[6] = 4), "newer"),
        ("tree: another flag", changed(&|listing| listing[7] = 1), "newer"),
        ("tree: a mode with more than nine bits", said(&|listing| listing[52] |= 0x0e), "nine bits"),
        ("tree: a mode that nobody can read", said(&|listing| (listing[51], listing[52]) = (0o044, 0)), "reading"),
        ("tree: a mode of a program that is none", said(&|listing| listing[51] |= 0o100), "executed"),
        ("tree: a time that nothing has", said(&|listing| listing[58] = 2), "cannot have"),
        ("tree: a time with a zero in front", said(&|listing| listing[58] = 0), "number"),
        ("tree: a mode that is cut off", said(&|listing| listing.truncate(52)), "cut off"),
        (
            "tree: modes of links",
            {
                let mut listing = listing_of(&link(b"x")).to_vec();
                listing[6] = 1;
                reference::with_listing(&[], 1024, None, listing)
            },
            "nothing that has one",
        ),
        (
            "tree: modes of nothing",
            {
                let mut listing = listing_of(&reference::tree(&[], 1024, None)).to_vec();
                listing[6] = 1;
                reference::with_listing(&[], 1024, None, listing)
            },
            "no entry",
        ),
        (
            "tree: a folder that keeps its owner out",
            {
                let mut listing = listing_of(&one(Node::Directory(b"d", vec![]))).to_vec();
                listing[6] = 1;
                listing.splice(51..51, 0o577u16.to_le_bytes());
                reference::with_listing(&[], 1024, None, listing)
            },
            "owner out",
        ),
        ("tree: a block size that there is not", changed(&|listing| listing[5] = 9), "block size"),
        ("tree: another block size", changed(&|listing| listing[5] = 11), "not about the payload"),
        ("tree: another payload", changed(&|listing| listing[20] ^= 1), "not about the payload"),
        ("tree: another length", changed(&|listing| listing[8] = 2), "length of its files"),
        ("tree: an unknown kind of entry", changed(&|listing| listing[48] = 5), "kind"),
        ("tree: the end of no directory", changed(&|listing| listing.push(0)), "not begun"),
        ("tree: cut in a root", changed(&|listing| listing.truncate(60)), "cut off"),
        ("tree: cut in the header", changed(&|listing| listing.truncate(40)), "cut off"),
        (
            "tree: an open directory",
            {
                let listing = listing_of(&one(Node::Directory(b"d", vec![]))).to_vec();
                reference::with_listing(&[], 1024, None, listing[..listing.len() - 1].to_vec())
            },
            "cut off",
        ),
        (
            "tree: a size with a zero in front",
            changed(&|listing| {
                listing.splice(51..53, [2, 1, 0]);
            }),
            "number",
        ),
        (
            "tree: a size of nine bytes",
            changed(&|listing| {
                listing.splice(51..53, [9, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
            }),
            "number",
        ),
        (
            "tree: files that are too large together",
            changed(&|listing| {
                listing[0] = 2;
                listing.splice(51..53, [&[8][..], &[0xff; 8]].concat());
                let mut second = listing[48..].to_vec();
                second[2] = b'b';
                listing.extend(second);
            }),
            "too large",
        ),
        (
            "tree: one root for two sizes",
            changed(&|listing| {
                listing[0] = 2;
                let mut second = listing[48..].to_vec();
                (second[2], second[4]) = (b'b', 2);
                listing.extend(second);
            }),
            "two files",
        ),
        (
            "tree: the index of another listing",
            {
                let (mut raw, other) = (file(b"a"), file(b"b"));
                let at = raw.sections.iter().position(|section| section.id == 24).unwrap();
                raw.sections[at] = other.sections[at].clone();
                raw
            },
            "not the one",
        ),
        (
            "tree: the root of another listing",
            {
                let (mut raw, other) = (file(b"a"), file(b"b"));
                let at = raw.sections.iter().position(|section| section.id == 6).unwrap();
                raw.sections[at] = other.sections[at].clone();
                raw
            },
            "that its root is of",
        ),
        (
            "tree: without a root",
            {
                let mut raw = file(b"a");
                raw.sections.retain(|section| section.id != 6);
                raw
            },
            "missing",
        ),
        (
            "tree: a tree as the index of the listing",
            {
                let mut raw = file(b"a");
                let at = raw.sections.iter().position(|section| section.id == 24).unwrap();
                raw.sections[at].data = raw.bytes();
                raw
            },
            "cannot be read",
        ),
        (
            "tree: without a listing",
            {
                let mut raw = file(b"a");
                raw.sections.pop();
                raw
            },
            "missing",
        ),
        (
            "tree: without the index of the listing",
            {
                let mut raw = file(b"a");
                raw.sections.retain(|section| section.id != 24);
                raw
            },
            "missing",
        ),
        (
            "tree: a listing in front",
            {
                let mut raw = file(b"a");
                raw.sections.rotate_right(1);
                raw
            },
            "out of place",
        ),
        (
            "tree: a listing that is not critical",
            {
                let mut raw = file(b"a");
                raw.sections.last_mut().unwrap().flags = 0;
                raw
            },
            "flag",
        ),
    ]
}

#[test]
fn what_nobody_may_publish_is_refused() {
    for (name, raw, reason) in hostile() {
        let refused = refusal(&raw).unwrap_or_else(|| panic!("{name} is read"));
        assert!(refused.1.contains(reason), "{name}: {}", refused.1);
    }
}

#[test]
fn a_refusal_names_the_entry() {
    let raw = reference::tree(&[Node::File(b"a", vec![]), Node::File(b"b\n\0", vec![])], 1024, None);
    let text = refusal(&raw).unwrap().1;
    assert!(text.contains("entry: 1") && text.contains("b\\n\\0"), "{text}");
}

#[test]
fn limits_are_reached_and_not_passed() {
    let deep = |count| (0..count).fold(vec![], |nodes, _| vec![Node::Directory(b"d", nodes)]);
    assert_eq!(refusal(&reference::tree(&deep(255), 1024, None)), None);
    assert_eq!(refusal(&reference::tree(&deep(256), 1024, None)).unwrap().0, ErrorKind::Limit);
    // 4015 bytes for each path, of which the listing has few.
    let wide = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("{number:05x}")).collect();
        let mut entries: Vec<(String, EntryKind<'_>)> = Vec::new();
        let folder = (0..16).map(|_| "d".repeat(250)).reduce(|path, name| {
            entries.push((path.clone(), EntryKind::Directory));
            path + "/" + &name
        });
        let folder = folder.expect("a path");
        entries.push((folder.clone(), EntryKind::Directory));
        let empty = EntryKind::File { size: 0, root: Digest::of(&[]), is_executable: false };
        entries.extend(names.iter().map(|name| (format!("{folder}/{name}"), empty)));
        Listing::new(1024, 0, Digest::of(&[]), entries.iter().map(|(path, kind)| (&**path, *kind)))
    };
    wide(17_000).expect("long paths");
    assert_eq!(wide(18_000).unwrap_err().kind(), ErrorKind::Limit);
    let mut places = Places::new(1024);
    assert_eq!(places.next(u64::MAX - 1023).unwrap(), Range::new(0, u64::MAX - 1023));
    assert_eq!(places.next(1).unwrap(), Range::new(u64::MAX - 1023, 1));
    assert_eq!(places.next(1).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn every_flipped_bit_of_a_tree_is_noticed() {
    let mut bytes = reference::tree(&sample()[..3], 32_768, Some("app")).bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(Index::decode(&bytes).is_err(), "bit {bit} of byte {at} of {}", bytes.len());
            bytes[at] ^= 1 << bit;
        }
    }
    for length in 0..bytes.len() {
        assert_eq!(Index::decode(&bytes[..length]).unwrap_err().kind(), ErrorKind::Format, "{length}");
    }
}

/// A tree as a list of paths: each is a file of so many bytes, a link or a directory.
fn trees() -> impl Strategy<Value = Vec<(String, u8, u16)>> {
    let path = proptest::collection::vec(prop_oneof!["[a-c.\\-]{1,3}", "\\PC{1,4}"], 1..5);
    proptest::collection::vec((path.prop_map(|names| names.join("/")), 0u8..4, any::<u16>()), 0..30)
}

proptest! {
    #[test]
    fn any_tree_is_written_and_read_back(tree in trees(), log2 in 10u32..16) {
        use std::collections::BTreeMap;
        // By names, so that a directory comes before what is in it.
        let mut nodes: BTreeMap<Vec<String>, (u8, u16)> = BTreeMap::new();
        for (path, kind, size) in tree {
            let names: Vec<String> = path.split('/').map(str::to_owned).collect();
            if names.iter().any(|name| name.is_empty() || name == "." || name == "..") {
                continue;
            }
            let is_below = (1..names.len()).any(|end| nodes.get(&names[..end]).is_some_and(|node| node.0 != 0));
            let has_below = nodes.keys().any(|other| other.len() > names.len() && other.starts_with(&names));
            if is_below || (has_below && kind != 0) {
                continue;
            }
            (1..names.len()).for_each(|end| { nodes.entry(names[..end].to_vec()).or_insert((0, 0)); });
            nodes.entry(names).or_insert((kind, size));
        }
        let (mut payload, mut places) = (Vec::new(), Places::new(1 << log2));
        let mut known = BTreeMap::new();
        let mut entries = Vec::new();
        for (names, (kind, size)) in &nodes {
            let content = pattern(usize::from(*size));
            let kind = match kind {
                0 => EntryKind::Directory,
                1 => EntryKind::Symlink { target: "somewhere" },
                other => {
                    if *size > 0 && known.insert(*size, ()).is_none() {
                        let place = places.next(u64::from(*size)).unwrap();
                        payload.resize(place.offset as usize, 0);
                        payload.extend(&content);
                    }
                    let size = u64::from(*size);
                    EntryKind::File { size, root: Digest::of(&content), is_executable: *other == 3 }
                }
            };
            entries.push((names.join("/"), kind));
        }
        let options = BuildOptions { block_size: 1 << log2, ..BuildOptions::default() };
        let index = Index::build(&payload, &options, &|_| Ok(())).unwrap();
        let (length, root) = (index.length(), index.root().unwrap());
        let borrowed = entries.iter().map(|(path, kind)| (&**path, *kind));
        let index = index.with_listing(Listing::new(1 << log2, length, root, borrowed).unwrap()).unwrap();
        let read = Index::decode(&index.encode()).unwrap();
        prop_assert_eq!(read.encode(), index.encode());
        let listing = read.listing().unwrap();
        prop_assert_eq!(Listing::decode(&listing.encode()).unwrap(), listing.clone());
        let again: Vec<_> = listing.entries().map(|entry| (entry.path, entry.kind)).collect();
        prop_assert_eq!(&again, &entries);
        for entry in listing.entries() {
            if let EntryKind::File { size, root, .. } = entry.kind {
                let content = &payload[entry.place.offset as usize..entry.place.end() as usize];
                prop_assert_eq!((content.len() as u64, Digest::of(content)), (size, root));
                let hash = FileHash::new(size);
                hash.add(0, content);
                prop_assert_eq!(hash.root(), Some(root));
            }
        }
    }

    #[test]
    fn there_is_one_way_to_write_a_tree(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let mut listing = listing_of(&reference::tree(&sample(), 1024, None)).to_vec();
        for (at, value) in changes {
            let at = usize::from(at) % listing.len();
            match value % 3 {
                0 => listing[at] = value,
                1 => { listing.remove(at); }
                _ => listing.insert(at, value / 3),
            }
        }
        if let Ok(read) = Listing::decode(&listing) {
            prop_assert_eq!(read.encode(), listing);
        }
    }

    #[test]
    fn bytes_of_any_kind_are_no_listing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(read) = Listing::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
