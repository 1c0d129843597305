//! What the fuzz targets reach of the parsers here. Behind the feature `fuzzing`, and no part of the API.

use gosync_core::{Range, Result};

use super::multipart::{Multipart, Piece};

/// Any bytes as the body of an answer with several ranges, and their first line as its `Content-Type`: however the body is
/// split, the same is read or refused, and never more than there is.
pub fn multipart(input: &[u8]) {
    let Some((&step, body)) = input.split_first() else { return };
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let named = Multipart::of(&String::from_utf8_lossy(line));
    for parser in [Multipart::of("multipart/byteranges; boundary=XYZ"), named].into_iter().flatten() {
        let whole = read(parser.clone(), body, usize::MAX);
        let split = read(parser, body, usize::from(step) + 1);
        match (whole, split) {
            (Ok(whole), Ok(split)) => assert_eq!(whole, split, "by {step}"),
            (Err(_), Err(_)) => {}
            (whole, split) => panic!("by {step}: {whole:?} and {split:?}"),
        }
    }
}

/// Parts, bytes by offset, whether it ended.
type Read = (Vec<Range>, Vec<(u64, u8)>, bool);

fn read(mut parser: Multipart, body: &[u8], step: usize) -> Result<Read> {
    let (mut parts, mut bytes): (Vec<Range>, Vec<(u64, u8)>) = Default::default();
    for mut input in body.chunks(step) {
        while let Some(piece) = parser.next(&mut input)? {
            match piece {
                Piece::Part(range, _) => parts.push(range),
                Piece::Data(offset, data) => {
                    let part = parts.last().expect("content is that of a part");
                    assert!(offset >= part.offset && offset + data.len() as u64 <= part.end(), "outside of its part");
                    bytes.extend((offset..).zip(data.iter().copied()));
                }
            }
        }
        assert!(input.is_empty(), "nothing is left over");
    }
    assert!(bytes.len() <= body.len(), "more than there is");
    Ok((parts, bytes, parser.is_over()))
}
