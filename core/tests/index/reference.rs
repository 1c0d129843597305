//! A second writer of the format, made from docs/format.md alone and by the plainest means there are:
//! what the library writes must be the same. Also takes an index apart, so that tests can damage it and seal it again.

/// An index before it is bytes; every field can be made wrong.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) version: u16,
    pub(crate) kind: u8,
    pub(crate) zero: u8,
    pub(crate) required: u64,
    pub(crate) optional: u64,
    pub(crate) sections: Vec<Section>,
}

/// A section; its check is computed when it is written, unless there is one here.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) check: Option<[u8; 4]>,
    pub(crate) data: Vec<u8>,
}

impl Section {
    /// A section that the reader must know, with its check.
    pub(crate) fn critical(id: u16, data: Vec<u8>) -> Self {
        Section { id, flags: 1, check: None, data }
    }

    fn level(number: u16, data: Vec<u8>) -> Self {
        Section { id: 16 + number, flags: 1, check: Some([0; 4]), data }
    }
}

impl Raw {
    /// The bytes, with right checks of header and sections.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut front = b"\x89GSYNC\r\n".to_vec();
        front.extend(self.version.to_le_bytes());
        front.extend([self.kind, self.zero]);
        front.extend((self.sections.len() as u32).to_le_bytes());
        front.extend(self.required.to_le_bytes());
        front.extend(self.optional.to_le_bytes());
        let mut table = Vec::new();
        for section in &self.sections {
            table.extend(section.id.to_le_bytes());
            table.extend(section.flags.to_le_bytes());
            table.extend(section.check.unwrap_or_else(|| four(&[&section.data])));
            table.extend((section.data.len() as u64).to_le_bytes());
        }
        let check = hash(&[&front, &table]);
        front.extend(&check[..8]);
        front.extend(table);
        self.sections.iter().for_each(|section| front.extend(&section.data));
        front
    }
}

/// The index of `content`, as docs/format.md says.
pub(crate) fn of(content: &[u8], block_size: u32, source: Option<&str>) -> Raw {
    with_top(content, block_size, None, source)
}

/// The same with top blocks of this size, which have identities; content has more than one of them.
pub(crate) fn with_top(content: &[u8], block_size: u32, top_size: Option<usize>, source: Option<&str>) -> Raw {
    let log2 = block_size.trailing_zeros();
    let (weak, hint) = widths(content.len() as u64, log2);
    let root = *blake3::hash(content).as_bytes();

    let mut file = (content.len() as u64).to_le_bytes().to_vec();
    file.extend(root);
    let mut levels = vec![2, 16, 1, 0, 0, 0, 0, 0, 0, log2 as u8, 0, weak as u8, hint as u8, 0, 0, 0, 0];
    let units: Vec<&[u8]> = content.chunks(65_536).collect();
    let values = if units.len() > 1 { chaining_values(&units) } else { vec![root; units.len()] };
    let mut groups = Vec::new();
    for (unit, parent) in units.iter().zip(&values) {
        let entries: Vec<u8> = unit.chunks(block_size as usize).flat_map(|block| entry(block, weak, hint)).collect();
        groups.extend(&entries);
        groups.extend(four(&[parent, &entries]));
    }
    let plain = if units.len() > 1 { values.concat() } else { Vec::new() };
    let mut data = vec![plain];
    if let Some(top_size) = top_size {
        let top_log2 = top_size.trailing_zeros();
        let upper = |size: usize, log2: u32, parents: &[[u8; 32]], parent_size: usize| {
            let (weak, hint) = widths(content.len() as u64, log2);
            let mut data = Vec::new();
            for ((group, parent), start) in content.chunks(parent_size).zip(parents).zip((0u64..).step_by(parent_size))
            {
                let mut entries = Vec::new();
                for (block, offset) in group.chunks(size).zip((start..).step_by(size)) {
                    use blake3::hazmat::HasherExt;
                    entries.extend(blake3::Hasher::new().set_input_offset(offset).update(block).finalize_non_root());
                    entries.extend(&entry(block, weak, 0));
                    let hashes: Vec<u8> = block
                        .chunks(block_size as usize)
                        .flat_map(|block| xxhash_rust::xxh3::xxh3_64(block).to_le_bytes())
                        .collect();
                    entries.extend(&xxhash_rust::xxh3::xxh3_64(&hashes).to_le_bytes()[..hint]);
                }
                data.extend(&entries);
                data.extend(four(&[parent, &entries]));
            }
            ([log2 as u8, 1, weak as u8, hint as u8, 0, 0, 0, 0], data)
        };
        let (level, top) = upper(top_size, top_log2, &[root], content.len());
        levels.splice(1..9, level);
        if top_log2 > 16 {
            use blake3::hazmat::HasherExt;
            let value = |(block, offset): (&[u8], u64)| {
                blake3::Hasher::new().set_input_offset(offset).update(block).finalize_non_root()
            };
            let tops: Vec<_> = content.chunks(top_size).zip((0..).step_by(top_size)).map(value).collect();
            let (level, units) = upper(65_536, 16, &tops, top_size);
            levels[0] = 3;
            levels.splice(9..9, level);
            data = vec![top, units];
        } else {
            data[0] = top;
        }
    }
    data.push(groups);

    let mut sections = vec![Section::critical(1, file), Section::critical(2, levels)];
    sections.extend(source.map(|source| Section { id: 3, flags: 0, check: None, data: source.into() }));
    sections.extend((0..).zip(data).map(|(number, data)| Section::level(number, data)));
    Raw { version: 1, kind: 1, zero: 0, required: 0, optional: 0, sections }
}

/// Bytes of the weak sum and of the hint.
fn widths(length: u64, log2: u32) -> (usize, usize) {
    let length_log2 = (0..64).find(|bits| 1u128 << bits >= u128::from(length)).unwrap();
    let weak = (4..6).find(|bytes| 8 * bytes >= length_log2).unwrap_or(6);
    let hint = (2..8).find(|bytes| 8 * (weak + bytes) + log2 >= 2 * length_log2).unwrap_or(8);
    (weak as usize, hint as usize)
}

fn entry(block: &[u8], weak: usize, hint: usize) -> Vec<u8> {
    let (mut a, mut b) = (0u32, 0u32);
    for (i, &byte) in block.iter().enumerate() {
        a = a.wrapping_add(byte.into());
        b = b.wrapping_add(((block.len() - i) as u32).wrapping_mul(byte.into()));
    }
    let mut entry = (a as u16).to_le_bytes().to_vec();
    entry.extend(&b.to_le_bytes()[..weak - 2]);
    entry.extend(&xxhash_rust::xxh3::xxh3_64(block).to_le_bytes()[..hint]);
    entry
}

/// BLAKE3's chaining values of units, at their places.
fn chaining_values(units: &[&[u8]]) -> Vec<[u8; 32]> {
    use blake3::hazmat::HasherExt;
    let offsets = (0u64..).step_by(65_536);
    let value =
        |(offset, unit): (u64, &&[u8])| blake3::Hasher::new().set_input_offset(offset).update(unit).finalize_non_root();
    offsets.zip(units).map(value).collect()
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    *blake3::hash(&parts.concat()).as_bytes()
}

fn four(parts: &[&[u8]]) -> [u8; 4] {
    *hash(parts).first_chunk().unwrap()
}

/// An entry of a tree, with its content where it is a file.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Directory(&'static [u8], Vec<Node>),
    File(&'static [u8], Vec<u8>),
    Program(&'static [u8], Vec<u8>),
    Symlink(&'static [u8], &'static [u8]),
}

/// The index of a tree, as docs/format.md says. The entries are written as they come, right or wrong.
pub(crate) fn tree(nodes: &[Node], block_size: u32, source: Option<&str>) -> Raw {
    let payload = payload(nodes, block_size);
    let mut listing = count(nodes).to_le_bytes().to_vec();
    listing.extend([1, block_size.trailing_zeros() as u8, 0, 0]);
    listing.extend((payload.len() as u64).to_le_bytes());
    listing.extend(hash(&[&payload]));
    listed(nodes, &mut listing);
    with_listing(&payload, block_size, source, listing)
}

/// The contents of a tree, each once.
pub(crate) fn payload(nodes: &[Node], block_size: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    contents(nodes, block_size as usize, &mut Vec::new(), &mut payload);
    payload
}

/// The same with these bytes as the listing.
pub(crate) fn with_listing(payload: &[u8], block_size: u32, source: Option<&str>, listing: Vec<u8>) -> Raw {
    let mut raw = of(payload, block_size, source);
    raw.kind = 2;
    let levels = raw.sections.iter().position(|section| section.id == 16).unwrap();
    let head = [&(listing.len() as u64).to_le_bytes()[..], &hash(&[&listing])].concat();
    raw.sections.insert(levels, Section::critical(6, head));
    raw.sections.push(Section::critical(24, of(&listing, 1024, None).bytes()));
    raw.sections.push(Section::critical(25, listing));
    raw
}

fn contents(nodes: &[Node], block: usize, seen: &mut Vec<Vec<u8>>, payload: &mut Vec<u8>) {
    for node in nodes {
        match node {
            Node::Directory(_, nodes) => contents(nodes, block, seen, payload),
            Node::File(_, content) | Node::Program(_, content) if !content.is_empty() && !seen.contains(content) => {
                payload.resize(payload.len().next_multiple_of(block), 0);
                payload.extend(content);
                seen.push(content.clone());
            }
            _ => {}
        }
    }
}

fn count(nodes: &[Node]) -> u32 {
    let below = |node: &Node| if let Node::Directory(_, nodes) = node { count(nodes) } else { 0 };
    nodes.iter().map(|node| 1 + below(node)).sum()
}

fn listed(nodes: &[Node], listing: &mut Vec<u8>) {
    for node in nodes {
        let mut begin = |kind: u8, name: &[u8]| {
            listing.extend([kind, name.len() as u8]);
            listing.extend(name);
        };
        match node {
            Node::Directory(name, nodes) => {
                begin(1, name);
                listed(nodes, listing);
                listing.push(0);
            }
            Node::File(name, content) | Node::Program(name, content) => {
                begin(if matches!(node, Node::File(..)) { 2 } else { 3 }, name);
                let size = content.len() as u64;
                let bytes = size.to_le_bytes();
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                listing.push(used as u8);
                listing.extend(&bytes[..used]);
                if size > 0 {
                    listing.extend(hash(&[content]));
                }
            }
            Node::Symlink(name, target) => {
                begin(4, name);
                listing.extend((target.len() as u16).to_le_bytes());
                listing.extend(*target);
            }
        }
    }
}
