//! Recognises what is compressed as a whole, by how it begins.

use super::zip;

/// A way to compress, and what a publisher can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) name: &'static str,
    pub(super) advice: &'static str,
}

const PLAIN: &str = "publish what is in it uncompressed: a change makes all that follows it new";
const GZIP: &str = "publish what is in it uncompressed, or make it with gzip --rsyncable (pigz -R): a change makes all that follows it new";
const ZSTD: &str =
    "publish what is in it uncompressed, or make it with zstd --rsyncable: a change makes all that follows it new";
const SEVEN: &str = "publish what is in it, or make it with 7z -mx=0";
const IMAGE: &str =
    "it is compressed in parts, so much may be found; smaller parts (mksquashfs -b) and a stable order find more";
const ZIP: &str = "store the members in it (zip -0, jar -0): a compressed one that changes is fetched whole";

/// What a compressed content begins with.
const SIGNATURES: &[(&str, &[u8], &str)] = &[
    ("gzip", b"\x1f\x8b\x08", GZIP),
    ("xz", b"\xfd7zXZ\0", PLAIN),
    ("zstd", b"\x28\xb5\x2f\xfd", ZSTD),
    ("lz4", b"\x04\x22\x4d\x18", PLAIN),
    ("lzip", b"LZIP", PLAIN),
    ("compress", b"\x1f\x9d", PLAIN),
    ("7z", b"7z\xbc\xaf\x27\x1c", SEVEN),
    ("rar", b"Rar!\x1a\x07", PLAIN),
    ("cab", b"MSCF\0\0\0\0", PLAIN),
    ("deb", b"!<arch>\ndebian-binary", PLAIN),
    ("rpm", b"\xed\xab\xee\xdb", PLAIN),
    ("squashfs", b"hsqs", IMAGE),
];

/// How a content that begins like this is compressed, if it is.
pub(super) fn of(head: &[u8]) -> Option<Packed> {
    // Frames of zstd that are skipped may come first.
    if matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
        return Some(Packed { name: "zstd", advice: ZSTD });
    }
    let is_bzip2 = |head: &[u8]| head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY");
    if is_bzip2(head) {
        return Some(Packed { name: "bzip2", advice: PLAIN });
    }
    if zip::begins_compressed(head) {
        return Some(Packed { name: "zip", advice: ZIP });
    }
    let known = SIGNATURES.iter().find(|(_, signature, _)| head.starts_with(signature));
    known.map(|(name, _, advice)| Packed { name, advice })
}

/// Bytes of a stream of deflate in which an rsyncable one has several places where it begins anew.
pub(super) const SAMPLE: usize = 512 << 10;

/// Whether a stream of deflate that begins like this begins anew again and again, as `--rsyncable` makes it. At such a place
/// is an empty block that is stored; others hardly have its four bytes.
pub(super) fn is_rsyncable(sample: &[u8]) -> bool {
    const EVERY: usize = 64 << 10;
    let places = sample.windows(4).filter(|window| *window == [0, 0, 0xff, 0xff]).count();
    places > sample.len() / EVERY
}

/// The time that a gzip says, if it says one.
pub(super) fn gzip_time(head: &[u8]) -> Option<u32> {
    let time = head.strip_prefix(b"\x1f\x8b\x08")?.get(1..5)?;
    Some(u32::from_le_bytes(time.try_into().ok()?)).filter(|time| *time != 0)
}

/// The time that a program for Windows says it was linked at.
pub(super) fn linked_at(head: &[u8]) -> Option<u32> {
    let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let header = head.starts_with(b"MZ").then(|| number(0x3c)).flatten()? as usize;
    (head.get(header..header.checked_add(4)?)? == b"PE\0\0").then(|| number(header.checked_add(8)?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_tells_how_a_content_is_compressed() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"\x1f\x8b\x08\0", Some("gzip")),
            (b"\x1f\x8b\x07\0", None),
            (b"BZh91AY&SY", Some("bzip2")),
            (b"BZh", None),
            (b"\x52\x2a\x4d\x18", Some("zstd")),
            (b"PK\x03\x04\x14\0\0\0\x08\0", Some("zip")),
            (b"PK\x03\x04\x14\0\0\0\0\0", None),
            (b"PK\x03\x04", None),
            (b"", None),
            (b"text", None),
        ];
        for (head, name) in cases {
            assert_eq!(of(head).map(|packed| packed.name), *name, "{head:?}");
        }
    }

    #[test]
    fn times_in_headers_are_read_where_they_are() {
        assert_eq!(gzip_time(b"\x1f\x8b\x08\x08\x01\x02\0\0\0\x03"), Some(0x201));
        assert_eq!(gzip_time(b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"), None);
        assert_eq!(gzip_time(b"\x1f\x8b\x08\x08\x01"), None);
        let mut program = vec![0; 200];
        program[..2].copy_from_slice(b"MZ");
        program[0x3c] = 100;
        program[100..104].copy_from_slice(b"PE\0\0");
        program[108..112].copy_from_slice(&77u32.to_le_bytes());
        assert_eq!(linked_at(&program), Some(77));
        assert_eq!(linked_at(&program[..110]), None);
        program[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(linked_at(&program), None);
    }
}
