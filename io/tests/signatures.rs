//! Signatures through the public doors: what a publisher signs, a receiver with the public key accepts, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gosync_io::source::MemorySource;
use gosync_io::{
    Error, ErrorKind, Format, Index, IndexOptions, Job, JobOptions, OpenOptions, PublicKey, Source, check_index,
    encode_index, index_bytes, index_from_bytes, needs_password, open_index, open_index_source, save_index,
};
use minisign::KeyPair;

/// A publisher: a folder with the secret key, and the public one.
struct Publisher {
    folder: tempfile::TempDir,
    key: PublicKey,
    /// The line that people pass on.
    text: String,
}

impl Publisher {
    fn new() -> Publisher {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        std::fs::write(folder.path().join("key"), pair.sk.to_box(None).unwrap().into_string()).unwrap();
        let text = pair.pk.to_base64();
        Publisher { folder, key: text.parse().unwrap(), text }
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    fn index(&self, content: &[u8]) -> Index {
        index_bytes(content, &self.options()).unwrap()
    }

    fn options(&self) -> IndexOptions {
        IndexOptions {
            source: Some(String::from("app.bin")),
            name: Some(String::from("app")),
            version: Some(String::from("2.0 β")),
            sign: Some(self.secret()),
            ..IndexOptions::default()
        }
    }

    fn demand(&self) -> OpenOptions {
        OpenOptions { public_key: Some(self.key.clone()), ..OpenOptions::default() }
    }
}

/// A secret key, encrypted with the password "secret" and less work than minisign's program takes, and its public key.
const ENCRYPTED: &str = "untrusted comment: minisign encrypted secret key
RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AgAAAAAAAAAAAAAEAAAAALbYG5ELogTnCyOVXf+PdjNDUyg0ssU4OmETtY5lyf/Sx35nwyZd257MUtWxVBkeGcLYOIB8L9z3KcaI8NthxysBiiKclaZa00ZbzDkkawWPjPfTAAmxHC+NmNkRc+WCqevrEhP3ucg4=
";
const ENCRYPTED_PUBLIC: &str = "RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB";

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * i % 251) as u8).collect()
}

fn memory(bytes: &[u8]) -> Arc<dyn Source> {
    Arc::new(MemorySource::new(bytes.to_vec()))
}

#[track_caller]
fn mismatch<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.expect_err("an index that nobody vouches for was accepted");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
}

#[test]
fn what_is_signed_is_accepted_at_every_door() {
    let publisher = Publisher::new();
    for length in [0, 1, 70_000, 300_000] {
        let index = publisher.index(&content(length));
        let bytes = encode_index(&index).unwrap();
        assert_eq!(bytes.len() as u64, index.encoded_size());
        let read = index_from_bytes(&bytes, &publisher.demand()).unwrap();
        assert_eq!((read.name(), read.version(), read.source()), (Some("app"), Some("2.0 β"), Some("app.bin")));
        assert_eq!(read.signature(), index.signature());
        assert_eq!(encode_index(&read).unwrap(), bytes, "what is written again is the same, and so signed");
        open_index_source(&memory(&bytes), &publisher.demand()).unwrap();
        let path = publisher.folder.path().join("app.gosync");
        save_index(&index, &path).unwrap();
        open_index(path.to_str().unwrap(), &publisher.demand()).unwrap();
    }
}

#[test]
fn what_is_signed_is_the_beginning_of_the_index_without_a_signature() {
    let publisher = Publisher::new();
    let content = content(300_000);
    let unsigned = index_bytes(&content, &IndexOptions { sign: None, ..publisher.options() }).unwrap();
    let message = publisher.index(&content).signed_bytes();
    assert!(encode_index(&unsigned).unwrap().starts_with(&message));
    assert_eq!(unsigned.signed_bytes(), message);
}

#[test]
fn what_is_not_signed_is_refused_at_every_door() {
    let (publisher, other) = (Publisher::new(), Publisher::new());
    let content = content(200_000);
    let unsigned = index_bytes(&content, &IndexOptions::default()).unwrap();
    for index in [unsigned, other.index(&content)] {
        let bytes = encode_index(&index).unwrap();
        mismatch(index_from_bytes(&bytes, &publisher.demand()));
        mismatch(open_index_source(&memory(&bytes), &publisher.demand()));
        let path = publisher.folder.path().join("app.gosync");
        save_index(&index, &path).unwrap();
        mismatch(open_index(path.to_str().unwrap(), &publisher.demand()));
        mismatch(check_index(&index, &publisher.demand()));
        // An index that was opened without a key meets one that has it.
        let options = JobOptions { open: publisher.demand(), ..JobOptions::default() };
        let target = publisher.folder.path().join("target");
        mismatch(Job::new(Arc::new(index), Some(memory(&content)), &target, options).map(drop));
        assert!(!target.exists());
    }
}

#[test]
fn whatever_is_signed_cannot_be_exchanged() {
    let publisher = Publisher::new();
    let content = content(200_000);
    let signed = publisher.index(&content);
    let signature = signed.signature().unwrap().to_owned();
    let plain = IndexOptions { sign: None, ..publisher.options() };
    let changed = |content: &[u8], options: &IndexOptions| {
        let mut index = index_bytes(content, options).unwrap();
        index.set_signature(signature.clone()).unwrap();
        check_index(&index, &publisher.demand())
    };
    changed(&content, &plain).unwrap();
    let text = |text: &str| Some(text.to_owned());
    mismatch(changed(&content[1..], &plain));
    mismatch(changed(&content, &IndexOptions { block_size: 4096, ..plain.clone() }));
    mismatch(changed(&content, &IndexOptions { name: text("apq"), ..plain.clone() }));
    mismatch(changed(&content, &IndexOptions { version: text("1.0"), ..plain.clone() }));
    mismatch(changed(&content, &IndexOptions { version: None, ..plain.clone() }));
    mismatch(changed(&content, &IndexOptions { source: text("other"), ..plain.clone() }));
    // A border between two fields that moves.
    mismatch(changed(&content, &IndexOptions { name: text("app2"), version: text(".0 β"), ..plain }));
}

#[test]
fn a_damaged_signature_is_no_signature() {
    let publisher = Publisher::new();
    let mut index = publisher.index(&content(100));
    let signature = index.signature().unwrap().to_owned();
    let lines: Vec<&str> = signature.lines().collect();
    let [comment, made, trusted, global] = lines[..] else { panic!("{signature}") };
    let other = Publisher::new().index(&content(100)).signature().unwrap().to_owned();
    let texts = [
        String::from("x"),
        signature[..signature.len() / 2].to_owned(),
        [comment, made, "trusted comment: another", global].join("\n"),
        [comment, global, trusted, made].join("\n"),
        [comment, made, trusted, other.lines().nth(3).unwrap()].join("\n"),
        other,
    ];
    for text in texts {
        index.set_signature(text.clone()).unwrap();
        mismatch(check_index(&index, &publisher.demand()));
        // Whoever does not ask reads the rest.
        index_from_bytes(&encode_index(&index).unwrap(), &OpenOptions::default()).unwrap();
    }
    // The comment that nothing vouches for may be any.
    index.set_signature(["untrusted comment: for you", made, trusted, global].join("\r\n")).unwrap();
    check_index(&index, &publisher.demand()).unwrap();
    for wrong in [String::new(), String::from("a\0b"), "x".repeat(4097)] {
        assert_eq!(index.set_signature(wrong).unwrap_err().kind(), ErrorKind::Argument);
    }
}

#[test]
fn keys_come_as_minisign_writes_them() {
    let publisher = Publisher::new();
    let text = &publisher.text;
    for good in
        [text.clone(), format!("  {text}\n"), format!("untrusted comment: minisign public key\r\n{text}\r\n\r\n")]
    {
        assert_eq!(good.parse::<PublicKey>().unwrap(), publisher.key);
    }
    let secret = std::fs::read_to_string(publisher.secret()).unwrap();
    for bad in ["", "RWQ", &text[..55], "untrusted comment: minisign public key", &secret, "\u{0}\u{ffff}"] {
        assert_eq!(bad.parse::<PublicKey>().unwrap_err().kind(), ErrorKind::Argument, "{bad}");
    }
}

#[test]
fn a_secret_key_that_cannot_be_used_is_told() {
    let publisher = Publisher::new();
    let failure = |key: &Path, password: Option<&str>| {
        let options = IndexOptions {
            sign: Some(key.to_owned()),
            sign_password: password.map(str::to_owned),
            ..IndexOptions::default()
        };
        index_bytes(b"content", &options).map(drop).unwrap_err().kind()
    };
    assert_eq!(failure(&publisher.folder.path().join("none"), None), ErrorKind::NotFound);
    let file = |name: &str, content: &[u8]| {
        let path = publisher.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let secret = std::fs::read(publisher.secret()).unwrap();
    assert!(!needs_password(&publisher.secret()).unwrap());
    // A letter in the middle of the key itself.
    let mut damaged = secret.clone();
    let letter = damaged.iter().position(|&byte| byte == b'\n').unwrap() + 134;
    damaged[letter] = if damaged[letter] == b'A' { b'B' } else { b'A' };
    for (name, content) in [
        ("empty", Vec::new()),
        ("damaged", damaged),
        ("binary", vec![0xff; 100]),
        ("cut", secret[..secret.len() - 20].to_vec()),
        ("public", publisher.text.clone().into_bytes()),
        ("large", b"untrusted comment: x\nRWQA".repeat(1000)),
    ] {
        assert_eq!(failure(&file(name, &content), None), ErrorKind::Argument, "{name}");
    }
    let encrypted = file("encrypted", ENCRYPTED.as_bytes());
    assert!(needs_password(&encrypted).unwrap());
    assert_eq!(failure(&encrypted, None), ErrorKind::Argument);
    assert_eq!(failure(&encrypted, Some("wrong")), ErrorKind::Argument);
    let options =
        IndexOptions { sign: Some(encrypted), sign_password: Some(String::from("secret")), ..IndexOptions::default() };
    assert!(!format!("{options:?}").contains("secret\""), "{options:?}");
    let key: PublicKey = ENCRYPTED_PUBLIC.parse().unwrap();
    check_index(
        &index_bytes(b"content", &options).unwrap(),
        &OpenOptions { public_key: Some(key), ..OpenOptions::default() },
    )
    .unwrap();
}

#[test]
fn fields_of_the_publisher_are_short_lines_of_text() {
    let fields = |name: &str, version: &str| {
        let options =
            IndexOptions { name: Some(name.to_owned()), version: Some(version.to_owned()), ..IndexOptions::default() };
        index_bytes(b"content", &options)
    };
    let long = "x".repeat(255);
    for (name, version) in [("", ""), ("", "1"), ("a", ""), (long.as_str(), long.as_str())] {
        let bytes = encode_index(&fields(name, version).unwrap()).unwrap();
        let read = index_from_bytes(&bytes, &OpenOptions::default()).unwrap();
        assert_eq!((read.name().unwrap_or_default(), read.version().unwrap_or_default()), (name, version));
    }
    for wrong in [format!("{long}x"), String::from("a\nb"), String::from("\u{85}")] {
        assert_eq!(fields(&wrong, "1").unwrap_err().kind(), ErrorKind::Argument);
        assert_eq!(fields("a", &wrong).unwrap_err().kind(), ErrorKind::Argument);
    }
}

#[test]
fn the_legacy_format_has_no_signature() {
    let publisher = Publisher::new();
    let legacy = IndexOptions { format: Format::Legacy, ..IndexOptions::default() };
    let mut index = index_bytes(b"content", &legacy).unwrap();
    let (bytes, path) = (encode_index(&index).unwrap(), publisher.folder.path().join("app.gosync"));
    save_index(&index, &path).unwrap();
    let source: Arc<dyn Source> = Arc::new(MemorySource::new(bytes.clone()));
    mismatch(check_index(&index, &publisher.demand()));
    mismatch(index_from_bytes(&bytes, &publisher.demand()).map(drop));
    mismatch(open_index_source(&source, &publisher.demand()).map(drop));
    mismatch(open_index(path.to_str().unwrap(), &publisher.demand()).map(drop));
    let error = index_bytes(b"content", &IndexOptions { sign: Some(publisher.secret()), ..legacy }).unwrap_err();
    assert_eq!((error.kind(), error.context()), (ErrorKind::Argument, &[("option", String::from("sign"))][..]));
    let signature = publisher.index(b"content").signature().unwrap().to_owned();
    assert_eq!(index.set_signature(signature).unwrap_err().kind(), ErrorKind::Argument);
}
