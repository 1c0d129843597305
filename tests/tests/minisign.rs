//! Signatures of indexes and minisign's own program: what either makes, the other accepts. Needs `minisign`; where it is
//! missing the tests say that they are skipped, and fail where `CI` is `true`.

use std::path::{Path, PathBuf};
use std::process::Command;

use gosync_io::{
    ErrorKind, IndexOptions, OpenOptions, PublicKey, check_index, encode_index, index_bytes, index_from_bytes,
};
use gosync_tests::data::noise;
use gosync_tests::{has_with, run};

const LENGTH: usize = 300_000;

/// A folder with a pair of keys that minisign has made.
struct Keys(tempfile::TempDir);

impl Keys {
    /// Nothing if there is no minisign.
    fn new() -> Option<Keys> {
        has_with("minisign", "-v").then(|| {
            let keys = Keys(tempfile::tempdir().expect("a folder"));
            keys.minisign(&["-G", "-W", "-p", "key.pub", "-s", "key"]);
            keys
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn minisign(&self, args: &[&str]) -> String {
        run(Command::new("minisign").args(args).current_dir(self.0.path()))
    }

    fn index_options(&self) -> IndexOptions {
        IndexOptions {
            source: Some(String::from("app.bin")),
            name: Some(String::from("app")),
            version: Some(String::from("2.0")),
            sign: Some(self.path("key")),
            ..IndexOptions::default()
        }
    }

    fn demand(&self) -> OpenOptions {
        let key: PublicKey = read(&self.path("key.pub")).parse().expect("a public key");
        OpenOptions { public_key: Some(key), ..OpenOptions::default() }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text")
}

/// The bytes that are signed and the signature, taken out of an encoded index by what docs/format.md says, and nothing else.
fn taken_apart(index: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let number =
        |at: usize, bytes: usize| index[at..at + bytes].iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte));
    let (preamble, line) = (40, 16);
    let count = number(12, 4);
    let mut start = preamble + line * count;
    let (mut table, mut content, mut signature) = (Vec::new(), Vec::new(), Vec::new());
    for at in (preamble..start).step_by(line) {
        let (id, length) = (number(at, 2), number(at + 8, 8));
        let data = &index[start..start + length];
        start += length;
        match id {
            5 => signature.extend_from_slice(data),
            1..=4 | 16..=18 => table.extend_from_slice(&index[at..at + line]),
            _ => {}
        }
        if id < 5 {
            content.extend_from_slice(data);
        }
    }
    let mut message = index[..16].to_vec();
    message[12..16].copy_from_slice(&((table.len() / line) as u32).to_le_bytes());
    message.extend([0; 16]);
    let check = gosync_io::Digest::of(&[&message[..], &table].concat());
    message.extend(&check.as_bytes()[..8]);
    message.extend(table);
    message.extend(content);
    (message, signature)
}

#[test]
fn minisign_accepts_what_is_signed_here() {
    let Some(keys) = Keys::new() else { return };
    let index = index_bytes(&noise(LENGTH, 1), &keys.index_options()).expect("an index");
    let (message, signature) = taken_apart(&encode_index(&index).expect("its bytes"));
    std::fs::write(keys.path("message"), message).expect("a file");
    std::fs::write(keys.path("message.minisig"), signature).expect("a file");
    let said = keys.minisign(&["-V", "-p", "key.pub", "-m", "message"]);
    let root = index.root().expect("a root");
    assert!(said.contains(&format!("gosync index, root {root}")), "{said}");
    check_index(&index, &keys.demand()).expect("a signature that is right here too");
}

#[test]
fn what_minisign_signs_is_accepted_here() {
    let Some(keys) = Keys::new() else { return };
    let mut index =
        index_bytes(&noise(LENGTH, 2), &IndexOptions { sign: None, ..keys.index_options() }).expect("an index");
    std::fs::write(keys.path("message"), index.signed_bytes()).expect("a file");
    keys.minisign(&["-S", "-s", "key", "-m", "message", "-t", "by hand"]);
    index.set_signature(read(&keys.path("message.minisig"))).expect("a signature");
    let bytes = encode_index(&index).expect("its bytes");
    index_from_bytes(&bytes, &keys.demand()).expect("an index that is signed");
    // The first way of minisign, over the bytes themselves, is not taken.
    keys.minisign(&["-S", "-l", "-s", "key", "-m", "message"]);
    index.set_signature(read(&keys.path("message.minisig"))).expect("a signature");
    let error = check_index(&index, &keys.demand()).expect_err("an old signature");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
}
