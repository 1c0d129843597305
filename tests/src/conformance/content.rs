//! What the server serves: generated content with its index, an old version of it to start from, and a next version.

use std::time::Duration;

use gosync_io::{IndexOptions, index_bytes};

use crate::data::noise;

/// One version of a content.
#[derive(Clone, Debug, Default)]
pub struct Version {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their index, which names the content as the file beside it.
    pub index: Vec<u8>,
    /// The content's ETag, with its quotes.
    pub etag: String,
    /// The content's date.
    pub modified: &'static str,
}

/// A content under a name, and what it was and will be.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// As in `/BEHAVIOUR/NAME`.
    pub name: String,
    /// What is served.
    pub now: Version,
    /// What a client may have already.
    pub old: Vec<u8>,
    /// What is served after a change.
    pub next: Version,
    /// How long each answer takes to begin: the round trip of a longer link.
    pub delay: Duration,
}

impl Version {
    fn new(name: &str, bytes: Vec<u8>, number: usize) -> Version {
        let options = IndexOptions { source: Some(name.to_owned()), ..IndexOptions::default() };
        let index = index_bytes(&bytes, &options).map(|index| index.encode()).unwrap_or_default();
        let modified = ["Mon, 05 Jan 2026 10:00:00 GMT", "Tue, 06 Jan 2026 10:00:00 GMT"][number % 2];
        Version { etag: format!("\"{name}-{number}-{:x}\"", bytes.len()), bytes, index, modified }
    }
}

impl Content {
    /// A content of `length` bytes that depends on nothing but the numbers. The old version lacks `count` runs of
    /// `run` bytes, spread evenly; the next one has such runs at other places.
    pub fn new(name: &str, length: usize, count: usize, run: usize, seed: u64) -> Content {
        let bytes = noise(length, seed);
        let old = replaced(&bytes, count, run, 0, seed + 1);
        let next = replaced(&bytes, count, run, run + 4096, seed + 2);
        Content {
            name: name.to_owned(),
            now: Version::new(name, bytes, 0),
            old,
            next: Version::new(name, next, 1),
            delay: Duration::ZERO,
        }
    }

    /// The contents that every server has: `few`, of which the old version lacks 5 runs of 24 kB (and one byte), and
    /// `many`, of which it lacks 64 single bytes, and which is 15 ms away.
    pub fn standard() -> Vec<Content> {
        let mut few = Content::new("few", 1_060_921, 5, 24_000, 1);
        few.old[1_000_000] ^= 1;
        vec![few, Content { delay: Duration::from_millis(15), ..Content::new("many", 4_195_081, 64, 1, 2) }]
    }
}

/// A copy with `count` runs of other bytes, `shift` bytes away from where they would be otherwise.
fn replaced(bytes: &[u8], count: usize, run: usize, shift: usize, seed: u64) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let step = bytes.len() / count.max(1);
    for number in 0..count {
        let start = (number * step + step / 3 + shift).min(bytes.len());
        let end = (start + run).min(bytes.len());
        for (place, byte) in copy[start..end].iter_mut().zip(noise(run, seed.wrapping_add(number as u64) << 8 | 1)) {
            // A run of one byte must be another byte.
            *place = if run == 1 { *place ^ 0x5a } else { byte };
        }
    }
    copy
}
