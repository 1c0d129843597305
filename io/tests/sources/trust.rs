//! What a caller demands of an index holds, whatever way the index comes, and also when it changes during an update.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gosync_io::{
    Digest, ErrorKind, Index, IndexOptions, Job, JobOptions, OpenOptions, PublicKey, check_index, index_bytes,
    index_file, index_from_bytes, open_index,
};

use crate::parts::{folder_of, lengthened};
use crate::server::{Answer, Asked, Server, good};
use crate::sink::noise;

const NAME: &str = "/app.bin";

fn expect(root: Digest) -> OpenOptions {
    OpenOptions { expect: Some(root), ..OpenOptions::default() }
}

fn indexed(content: &[u8]) -> Index {
    index_bytes(content, &IndexOptions { source: Some("app.bin".into()), ..IndexOptions::default() }).expect("an index")
}

#[test]
fn an_index_with_another_root_is_refused_however_it_comes() {
    let (content, other) = (noise(1_000_000), Digest::of(b"other"));
    let index = indexed(&content);
    let bytes = index.encode();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.bin.gosync");
    std::fs::write(&path, &bytes).expect("the index");
    let served = (content, bytes.clone());
    let server = Server::start(move |asked| good(asked, if asked.path == NAME { &served.0 } else { &served.1 }));
    let url = server.url("/app.bin.gosync");
    let kept = OpenOptions { index_cache: Some(folder.path().join("kept")), ..expect(other) };
    let path = path.to_str().expect("a path");
    let refused = [
        index_from_bytes(&bytes, &expect(other)),
        open_index(path, &expect(other)),
        open_index(&url, &expect(other)),
        open_index(&url, &kept),
        open_index(&url, &kept),
    ];
    for result in refused {
        let error = result.expect_err("another root");
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        let context: Vec<String> = error.context().iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert!(context.contains(&format!("root={}", index.root().expect("a root"))), "{context:?}");
        assert!(context.contains(&format!("expected={other}")), "{context:?}");
    }
    assert!(server.log().iter().all(|asked| asked.path != NAME), "content was asked for");
    let root = index.root().expect("a root");
    for index in [index_from_bytes(&bytes, &expect(root)), open_index(&url, &expect(root))] {
        let index = index.expect("the index");
        assert_eq!(check_index(&index, &OpenOptions::default()).err().map(|error| error.kind()), None);
        assert_eq!(check_index(&index, &expect(other)).expect_err("another").kind(), ErrorKind::Mismatch);
        // A job for an index that was opened without a demand has one of its own.
        let options = JobOptions { open: expect(other), ..JobOptions::default() };
        let job = Job::new(Arc::new(index), None, folder.path().join("app.bin"), options);
        assert_eq!(job.err().map(|error| error.kind()), Some(ErrorKind::Mismatch));
    }
}

/// Two versions.
fn versions() -> [Vec<u8>; 2] {
    [noise(3_000_000), noise(2_000_000)]
}

/// The content and its index change as soon as the content is asked for. The target is the new version then, or as it was.
fn update_while_it_changes(indexes: [Vec<u8>; 2], open: &OpenOptions, job: JobOptions) -> gosync_io::Result<()> {
    let [_, newer] = versions();
    let (served, changed) = (newer.clone(), AtomicBool::new(false));
    let server = Server::start(move |asked: &Asked| {
        let is_content = asked.path == NAME;
        let version = usize::from(changed.fetch_or(is_content, Ordering::SeqCst));
        let answer = good(asked, if is_content { &served } else { &indexes[version] });
        answer.with("etag", format!("\"{}\"", if is_content { 1 } else { version }))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, b"old").expect("the old version");
    let index = open_index(&server.url("/app.bin.gosync"), open).expect("the index");
    let result = Job::new(Arc::new(index), None, &target, job).expect("a job").run().map(drop);
    let now = std::fs::read(&target).expect("the target");
    assert!(if result.is_ok() { now == newer } else { now == b"old" });
    result
}

#[test]
fn a_newer_index_is_not_believed_where_a_root_is_expected() {
    let indexes = versions().map(|version| indexed(&version).encode());
    let update = |open: &OpenOptions, job| update_while_it_changes(indexes.clone(), open, job);
    let root = indexed(&versions()[0]).root().expect("a root");
    let job = JobOptions::default;
    let result = update(&OpenOptions::default(), job());
    assert!(result.is_ok(), "without a demand the newer version is taken: {result:?}");
    let result = update(&expect(root), job());
    assert!(result.is_err(), "the demand was made when the index was opened: {result:?}");
    let result = update(&OpenOptions::default(), JobOptions { open: expect(root), ..job() });
    assert!(result.is_err(), "the demand was made of the job: {result:?}");
}

/// A publisher, with the secret key in a folder.
struct Publisher {
    folder: tempfile::TempDir,
    key: PublicKey,
}

impl Publisher {
    fn new() -> Publisher {
        let folder = tempfile::tempdir().expect("a folder");
        let pair = minisign::KeyPair::generate_unencrypted_keypair().expect("keys");
        let secret = pair.sk.to_box(None).expect("a key").into_string();
        std::fs::write(folder.path().join("key"), secret).expect("the key");
        Publisher { folder, key: pair.pk.to_base64().parse().expect("a public key") }
    }

    fn signed(&self, content: &[u8]) -> Vec<u8> {
        let sign = Some(self.folder.path().join("key"));
        let options = IndexOptions { source: Some("app.bin".into()), sign, ..IndexOptions::default() };
        index_bytes(content, &options).expect("an index").encode()
    }

    fn demand(&self) -> OpenOptions {
        OpenOptions { public_key: Some(self.key.clone()), ..OpenOptions::default() }
    }
}

#[test]
fn a_newer_index_is_believed_only_if_it_is_signed_where_a_key_is_given() {
    let (publisher, other) = (Publisher::new(), Publisher::new());
    let [old, new] = versions();
    let signed = publisher.signed(&old);
    for (case, newer, is_right) in [
        ("signed", publisher.signed(&new), true),
        ("not signed", indexed(&new).encode(), false),
        ("signed by somebody else", other.signed(&new), false),
    ] {
        let (key, none) = (publisher.demand(), OpenOptions::default());
        let with = |open: &OpenOptions| JobOptions { open: open.clone(), ..JobOptions::default() };
        for (open, job) in [(&key, with(&none)), (&none, with(&key)), (&key, with(&key))] {
            let result = update_while_it_changes([signed.clone(), newer.clone()], open, job);
            assert_eq!(result.is_ok(), is_right, "{case}: {result:?}");
        }
        let result = update_while_it_changes([signed.clone(), newer], &none, with(&none));
        assert!(result.is_ok(), "without a demand the newer version is taken: {result:?}");
    }
}

#[test]
fn an_index_that_is_read_in_part_or_kept_must_be_signed_too() {
    let publisher = Publisher::new();
    let content = noise(70_000_000);
    let (signed, unsigned) = (lengthened(&publisher.signed(&content)), indexed(&content).encode());
    let folder = tempfile::tempdir().expect("a folder");
    let cache = || Some(folder.path().join("kept"));
    let is_signed = Arc::new(AtomicBool::new(true));
    let (served, switch) = ((signed, unsigned), Arc::clone(&is_signed));
    let server = Server::start(move |asked| {
        let (answer, tag) = if switch.load(Ordering::SeqCst) { (&served.0, 1) } else { (&served.1, 2) };
        if asked.header("if-none-match") == Some(&format!("\"{tag}\"")) {
            return Answer { body: Vec::new(), ..Answer::status(304) };
        }
        good(asked, answer).with("etag", format!("\"{tag}\""))
    });
    let url = server.url("/app.bin.gosync");
    let open = |index_cache| open_index(&url, &OpenOptions { index_cache, ..publisher.demand() });
    assert!(!open(None).expect("a signed index").is_whole(), "it is read in part");
    open(cache()).expect("a signed index");
    open(cache()).expect("the one that was kept");
    is_signed.store(false, Ordering::SeqCst);
    let refused = |result: gosync_io::Result<Index>| {
        assert_eq!(result.expect_err("an index that nobody signed").kind(), ErrorKind::Mismatch);
    };
    refused(open(None));
    let before = std::fs::read(folder.path().join("kept")).expect("what is kept");
    refused(open(cache()));
    assert_eq!(std::fs::read(folder.path().join("kept")).expect("what is kept"), before);
    // What is kept, because somebody read it who did not ask for a signature, is not believed either.
    open_index(&url, &OpenOptions { index_cache: cache(), ..OpenOptions::default() }).expect("an index");
    refused(open(cache()));
    is_signed.store(true, Ordering::SeqCst);
    open(cache()).expect("a signed index");
}

/// Of a tree, the listing would be asked for next.
#[test]
fn what_is_refused_is_not_read_further() {
    let (folder, publisher) = (tempfile::tempdir().expect("a folder"), Publisher::new());
    folder_of(folder.path(), "some");
    let index = index_file(folder.path(), &IndexOptions::default()).expect("an index");
    let bytes = lengthened(&index.encode());
    let server = Server::start(move |asked| good(asked, &bytes));
    let url = server.url("/tree.gosync");
    for demand in [publisher.demand(), expect(Digest::of(b"other"))] {
        let before = server.log().len();
        let error = open_index(&url, &demand).expect_err("an index that is not what was demanded");
        assert_eq!((error.kind(), server.log().len() - before), (ErrorKind::Mismatch, 1), "{error}");
    }
    let before = server.log().len();
    open_index(&url, &expect(index.root().expect("a root"))).expect("the index");
    assert!(server.log().len() - before > 1, "it is read in part");
}
