//! The vectors that every language runs: `tests/vectors/index.json` (what an index of known content is) and
//! `tests/vectors/bad_index.json` (what bad bytes are answered with). With GOSYNC_REGENERATE=1 they are written anew.

use std::path::PathBuf;

use gosync_core::index::{BuildOptions, Format};
use gosync_core::{Digest, Index};
use serde_json::{Value, json};

use crate::reference::{self, Raw, Section};
use crate::{build_with, lengths, pattern};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name)
}

/// Compares what is with what the file says, or writes the file.
pub(crate) fn settle(name: &str, vectors: &[Value]) {
    if std::env::var_os("GOSYNC_REGENERATE").is_some_and(|value| value == "1") {
        let lines: Vec<_> = vectors.iter().map(|vector| format!("  {vector}")).collect();
        std::fs::write(path(name), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
    let text = std::fs::read_to_string(path(name)).unwrap();
    let written: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(written.len(), vectors.len(), "{name} has another number of vectors");
    for (written, vector) in written.iter().zip(vectors) {
        assert_eq!(written, vector, "{name}");
    }
}

#[test]
fn index_vectors() {
    let mut vectors = Vec::new();
    let describe = |length: usize, block_size: u32, index: &Index| {
        let bytes = index.encode();
        json!({
            "format": index.format().name(),
            "length": length,
            "block_size": block_size,
            "root": index.root().map(|root| root.to_string()),
            "encoded_size": bytes.len(),
            "encoded_blake3": Digest::of(&bytes).to_string(),
        })
    };
    // The last two have tops that are looked for: of units, and of more than that.
    let large = [(16 << 20) + 1, (64 << 20) + 65_537];
    for block_size in [0u32, 2048, 4096, 32_768] {
        let lengths = lengths(block_size.max(1024) as usize);
        for length in lengths.into_iter().chain(large.into_iter().filter(|_| block_size == 0)) {
            vectors.push(describe(length, block_size, &build_with(&pattern(length), block_size, None)));
        }
    }
    for block_size in [0u32, 1, 700, 65_536, u32::MAX] {
        for length in [0, 1, 699, 700, 701, 8192, 70_001] {
            let options = BuildOptions { block_size, format: Format::Legacy, ..BuildOptions::default() };
            let index = Index::build(&pattern(length), &options, &|_| Ok(())).unwrap();
            vectors.push(describe(length, block_size, &index));
        }
    }
    settle("index.json", &vectors);
}

#[test]
fn bad_index_vectors() {
    let vectors: Vec<_> = bad_indexes()
        .into_iter()
        .map(|(name, bytes)| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let error = Index::decode(&bytes).expect_err(name);
            json!({ "name": name, "hex": hex, "error": error.kind().name() })
        })
        .collect();
    settle("bad_index.json", &vectors);
}

fn bad_indexes() -> Vec<(&'static str, Vec<u8>)> {
    let good = reference::of(&pattern(70_000), 32_768, Some("app.bin"));
    let bytes = good.bytes();
    let changed = |change: &dyn Fn(&mut Raw)| {
        let mut raw = good.clone();
        change(&mut raw);
        raw.bytes()
    };
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let length = |length: u64| changed(&|raw| raw.sections[0].data[..8].copy_from_slice(&length.to_le_bytes()));
    let mut many = bytes.clone();
    many[12..16].fill(0xff);
    let mut behind = bytes.clone();
    behind.push(0);
    let options = BuildOptions { block_size: 700, format: Format::Legacy, ..BuildOptions::default() };
    let legacy = Index::build(&pattern(1000), &options, &|_| Ok(())).unwrap().encode();
    let legacy_with = |at: usize, new: &[u8]| {
        let mut bytes = legacy.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    // Behind the source, which is the third.
    let words = |id: u16, flags: u16, data: &[u8]| {
        changed(&|raw| raw.sections.insert(3, Section { id, flags, check: None, data: data.to_vec() }))
    };
    let publisher = |data: &[u8]| words(4, 0, data);
    let trees = crate::listing::hostile().into_iter().map(|(name, raw, _)| (name, raw.bytes()));
    let files = vec![
        ("empty", Vec::new()),
        ("wrong magic", b"\x89PNG\r\n\x1a\n and whatever may follow here, up to forty bytes".to_vec()),
        ("text", b"<!DOCTYPE html><title>404 Not Found</title>".to_vec()),
        ("cut in the magic", bytes[..5].to_vec()),
        ("cut in the preamble", bytes[..39].to_vec()),
        ("cut in the section table", bytes[..100].to_vec()),
        ("cut by one byte", bytes[..bytes.len() - 1].to_vec()),
        ("bytes after the end", behind),
        ("later version", changed(&|raw| raw.version = 2)),
        ("tree without its sections", changed(&|raw| raw.kind = 2)),
        ("unknown kind", changed(&|raw| raw.kind = 7)),
        ("reserved byte of the preamble", changed(&|raw| raw.zero = 1)),
        ("absurd number of sections", many),
        ("unknown required feature", changed(&|raw| raw.required = 1 << 40)),
        ("wrong check of the header", flipped(33)),
        ("flipped bit in the section table", flipped(48)),
        ("wrong check of a section", changed(&|raw| raw.sections[0].check = Some([1, 2, 3, 4]))),
        ("unknown critical section", changed(&|raw| raw.sections.push(Section::critical(40, vec![1, 2, 3])))),
        ("reserved flag", changed(&|raw| raw.sections[2].flags = 2)),
        ("missing section", changed(&|raw| drop(raw.sections.remove(0)))),
        ("section twice", changed(&|raw| raw.sections.insert(0, raw.sections[0].clone()))),
        ("sections out of order", changed(&|raw| raw.sections.swap(0, 1))),
        ("too many blocks", length(u64::MAX)),
        ("length without the levels for it", length(1 << 40)),
        ("length of another unit count", length(131_073)),
        ("unknown strong hash", changed(&|raw| raw.sections[1].data[2] = 2)),
        (
            "three levels",
            changed(&|raw| raw.sections[1].data = [&[3], &[15u8, 0, 4, 2, 0, 0, 0, 0].repeat(3)[..]].concat()),
        ),
        ("levels without a size", changed(&|raw| raw.sections[1].data.truncate(16))),
        ("source with a control character", changed(&|raw| raw.sections[2].data = b"app\n.bin".to_vec())),
        ("source that is not UTF-8", changed(&|raw| raw.sections[2].data = vec![0xff])),
        ("values that do not merge to the root", changed(&|raw| raw.sections[3].data.rotate_left(32))),
        ("damaged group", changed(&|raw| raw.sections[4].data[0] ^= 1)),
        ("legacy: cut in the magic", legacy[..5].to_vec()),
        ("legacy: cut in the header", legacy[..23].to_vec()),
        ("legacy: cut by one byte", legacy[..legacy.len() - 1].to_vec()),
        ("legacy: bytes after the end", [&legacy[..], &[0]].concat()),
        ("legacy: later version", legacy_with(8, &[3])),
        ("legacy: negative length", legacy_with(12, &[0xff; 8])),
        ("legacy: length of more blocks", legacy_with(12, &1401u64.to_le_bytes())),
        ("legacy: too many blocks", legacy_with(12, &i64::MAX.to_le_bytes())),
        ("legacy: no block size", legacy_with(20, &[0; 4])),
        ("publisher without a field", publisher(&[0, 0])),
        ("publisher cut in a field", publisher(b"\x03app\x032.")),
        ("publisher with one field", publisher(b"\x03app")),
        ("publisher with bytes behind", publisher(b"\x03app\x012x")),
        ("name with a control character", publisher(b"\x03a\np\x00")),
        ("version that is not UTF-8", publisher(b"\x00\x01\xff")),
        ("empty signature", words(5, 0, b"")),
        ("signature with a control character", words(5, 0, b"untrusted comment: \x1b")),
        ("signature that is too long", words(5, 0, &[b'x'; 4097])),
        ("critical signature", words(5, 1, b"untrusted comment: ")),
    ];
    files.into_iter().chain(trees).collect()
}

#[test]
fn the_example_in_the_document_is_right() {
    let document = std::fs::read_to_string(path("../../docs/format.md")).unwrap();
    let (_, dump) = document.split_once("```hexdump\n").unwrap();
    let (dump, _) = dump.split_once("```").unwrap();
    let bytes = build_with(b"gosync\n", 1024, Some("a")).encode();
    let lines: Vec<_> = bytes.chunks(16).enumerate().map(|(i, line)| hexdump(16 * i, line)).collect();
    assert_eq!(dump.trim_end(), lines.join("\n"));
}

fn hexdump(offset: usize, line: &[u8]) -> String {
    let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{offset:3}  {}", hex.join(" "))
}
