//! What a caller demands of an index holds, whatever way the index comes, and also when it changes during an update.

use std::sync::Arc;

use gosync_io::{
    Digest, ErrorKind, Index, IndexOptions, Job, JobOptions, OpenOptions, check_index, index_bytes, index_from_bytes,
    open_index,
};

use crate::server::{Asked, Server, good};
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
        assert!(context.contains(&format!("root={}", index.root())), "{context:?}");
        assert!(context.contains(&format!("expected={other}")), "{context:?}");
    }
    assert!(server.log().iter().all(|asked| asked.path != NAME), "content was asked for");
    for index in [index_from_bytes(&bytes, &expect(index.root())), open_index(&url, &expect(index.root()))] {
        let index = index.expect("the index");
        assert_eq!(check_index(&index, &OpenOptions::default()).err().map(|error| error.kind()), None);
        assert_eq!(check_index(&index, &expect(other)).expect_err("another").kind(), ErrorKind::Mismatch);
        // A job for an index that was opened without a demand has one of its own.
        let options = JobOptions { open: expect(other), ..JobOptions::default() };
        let job = Job::new(Arc::new(index), None, folder.path().join("app.bin"), options);
        assert_eq!(job.err().map(|error| error.kind()), Some(ErrorKind::Mismatch));
    }
}

/// The content and its index change as soon as the content is asked for. The target is the new version then, or as it was.
fn update_while_it_changes(open: &OpenOptions, job: JobOptions) -> gosync_io::Result<()> {
    let versions = [noise(3_000_000), noise(2_000_000)];
    let indexes = versions.clone().map(|version| indexed(&version).encode());
    let (served, changed) = (versions.clone(), std::sync::atomic::AtomicBool::new(false));
    let server = Server::start(move |asked: &Asked| {
        let is_content = asked.path == NAME;
        let version = usize::from(changed.fetch_or(is_content, std::sync::atomic::Ordering::SeqCst));
        let answer = good(asked, if is_content { &served[1] } else { &indexes[version] });
        answer.with("etag", format!("\"{}\"", if is_content { 1 } else { version }))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("app.bin");
    std::fs::write(&target, b"old").expect("the old version");
    let index = open_index(&server.url("/app.bin.gosync"), open).expect("the index");
    let result = Job::new(Arc::new(index), None, &target, job).expect("a job").run().map(drop);
    let now = std::fs::read(&target).expect("the target");
    assert!(if result.is_ok() { now == versions[1] } else { now == b"old" });
    result
}

#[test]
fn a_newer_index_is_not_believed_where_a_root_is_expected() {
    let root = indexed(&noise(3_000_000)).root();
    let job = JobOptions::default;
    let result = update_while_it_changes(&OpenOptions::default(), job());
    assert!(result.is_ok(), "without a demand the newer version is taken: {result:?}");
    let result = update_while_it_changes(&expect(root), job());
    assert!(result.is_err(), "the demand was made when the index was opened: {result:?}");
    let result = update_while_it_changes(&OpenOptions::default(), JobOptions { open: expect(root), ..job() });
    assert!(result.is_err(), "the demand was made of the job: {result:?}");
}
