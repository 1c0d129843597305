//! The index cache: an unchanged index is one conditional request, and nothing in the file is believed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gosync_io::{
    ErrorKind, Event, HttpOptions, Index, IndexOptions, Observer, OpenOptions, Result, index_bytes, open_index,
};

use crate::server::{Answer, Asked, Server, whole};
use crate::sink::noise;

fn index_of(length: usize) -> (Index, Vec<u8>) {
    let options = IndexOptions { source: Some("content.bin".into()), ..IndexOptions::default() };
    let index = index_bytes(&noise(length), &options).unwrap();
    let bytes = index.encode();
    (index, bytes)
}

/// What a server that knows conditions does with content of this ETag.
fn conditional(asked: &Asked, content: &[u8], etag: &str) -> Answer {
    if asked.header("if-none-match") == Some(etag) {
        return Answer { body: Vec::new(), ..Answer::status(304) };
    }
    whole(content).with("etag", etag)
}

/// The place of a cache, and the events of reading with it.
struct Cache {
    _folder: tempfile::TempDir,
    path: PathBuf,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        Cache { path, _folder: folder, events: Arc::default() }
    }

    fn options(&self) -> OpenOptions {
        let heard = Arc::clone(&self.events);
        let listen = Arc::new(move |event: &Event| heard.lock().unwrap().push(event.clone()));
        let observer = Observer { events: Some(listen), ..Observer::default() };
        let http = HttpOptions { proxy: Some(String::new()), ..HttpOptions::default() };
        OpenOptions { index_cache: Some(self.path.clone()), observer, http, ..OpenOptions::default() }
    }

    fn open(&self, url: &str) -> Result<Index> {
        open_index(url, &self.options())
    }

    /// Kinds of the events since the last call.
    fn kinds(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.events.lock().unwrap()).iter().map(|event| event.kind).collect()
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }

    /// Everything else in its folder.
    fn others(&self) -> usize {
        let files = std::fs::read_dir(self.path.parent().unwrap()).unwrap();
        files.filter(|file| file.as_ref().unwrap().path() != self.path).count()
    }
}

#[test]
fn an_unchanged_index_is_one_conditional_request() {
    let (index, bytes) = index_of(3_000_000);
    let server = Server::start(move |asked| conditional(asked, &bytes, "\"v1\""));
    let cache = Cache::new();
    let url = server.url("/x.gosync");
    assert_eq!(cache.open(&url).unwrap().root(), index.root());
    assert_eq!(cache.kinds(), ["index_read"]);
    for _ in 0..3 {
        let kept = cache.content();
        let again = cache.open(&url).unwrap();
        assert!(again.encode() == index.encode());
        assert_eq!(again.origin(), Some(&*url));
        assert!(again.origin_source().is_some());
        assert_eq!(cache.kinds(), ["index_unchanged"]);
        assert!(cache.content() == kept);
    }
    let conditions: Vec<_> =
        server.log().iter().map(|asked| asked.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(conditions, [None, Some("\"v1\"".into()), Some("\"v1\"".into()), Some("\"v1\"".into())]);
    assert_eq!(cache.others(), 0);
}

#[test]
fn a_changed_index_is_read_and_kept_instead() {
    let versions = [index_of(3_000_000), index_of(100_000)];
    let (roots, served) = (versions.each_ref().map(|(index, _)| index.root()), versions.map(|(_, bytes)| bytes));
    let server = Server::start(move |asked| match asked.number {
        0 => conditional(asked, &served[0], "\"v1\""),
        _ => conditional(asked, &served[1], "\"v2\""),
    });
    let cache = Cache::new();
    let url = server.url("/x.gosync");
    for (root, event) in [(0, "index_read"), (1, "index_read"), (1, "index_unchanged")] {
        assert_eq!(cache.open(&url).unwrap().root(), roots[root]);
        assert_eq!(cache.kinds(), [event]);
    }
    assert_eq!(server.log().len(), 3);
}

#[test]
fn a_date_tells_versions_apart_where_there_is_nothing_better() {
    let (index, bytes) = index_of(100_000);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let server = Server::start(move |asked| match asked.header("if-modified-since") {
        Some(_) => Answer { body: Vec::new(), ..Answer::status(304) },
        None if asked.path == "/nothing" => whole(&bytes).without("etag"),
        None => whole(&bytes).without("etag").with("last-modified", date),
    });
    let cache = Cache::new();
    cache.open(&server.url("/x")).unwrap();
    assert_eq!(cache.open(&server.url("/x")).unwrap().root(), index.root());
    assert_eq!(cache.kinds(), ["index_read", "index_unchanged"]);
    let log = server.log();
    assert_eq!((log[1].header("if-modified-since"), log[1].header("if-none-match")), (Some(date), None));
    // Without either, nothing is kept.
    let cache = Cache::new();
    cache.open(&server.url("/nothing")).unwrap();
    assert!(!cache.path.exists());
}

#[test]
fn the_condition_stays_through_retries() {
    let (index, bytes) = index_of(100_000);
    let server = Server::start(move |asked| match asked.number {
        1 | 2 => Answer::status(503),
        _ => conditional(asked, &bytes, "\"v1\""),
    });
    let cache = Cache::new();
    cache.open(&server.url("/x")).unwrap();
    assert_eq!(cache.open(&server.url("/x")).unwrap().root(), index.root());
    assert_eq!(cache.kinds(), ["index_read", "retry", "retry", "index_unchanged"]);
    assert!(server.log()[1..].iter().all(|asked| asked.header("if-none-match").is_some()));
}

#[test]
fn without_the_servers_word_nothing_is_believed() {
    let (_, bytes) = index_of(100_000);
    let server = Server::start(move |asked| match asked.number {
        0 => conditional(asked, &bytes, "\"v1\""),
        _ => Answer::status(404),
    });
    let cache = Cache::new();
    cache.open(&server.url("/x")).unwrap();
    assert_eq!(cache.open(&server.url("/x")).unwrap_err().kind(), ErrorKind::Source);
}

/// Opens after `change`; the index must be read anew without a condition, and the events are these.
fn unusable(name: &str, change: impl FnOnce(&Path), events: &[&str]) -> Cache {
    let (index, bytes) = index_of(1_000_000);
    let server = Server::start(move |asked| conditional(asked, &bytes, "\"v1\""));
    let cache = Cache::new();
    cache.open(&server.url("/x")).unwrap();
    cache.kinds();
    change(&cache.path);
    assert_eq!(cache.open(&server.url("/x")).unwrap().root(), index.root(), "{name}");
    assert_eq!(cache.kinds(), events, "{name}");
    assert_eq!(server.log()[1].header("if-none-match"), None, "{name}");
    cache
}

#[test]
fn a_cache_that_cannot_be_used_is_read_anew() {
    let replace = |change: fn(Vec<u8>) -> Vec<u8>| {
        move |path: &Path| std::fs::write(path, change(std::fs::read(path).unwrap())).unwrap()
    };
    let flip = |at_end: usize| {
        move |path: &Path| {
            let mut bytes = std::fs::read(path).unwrap();
            let at = bytes.len() - at_end;
            bytes[at] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    };
    let damage = &["index_cache", "index_read"];
    unusable("a flipped byte", flip(1), damage);
    unusable("another flipped byte", flip(1000), damage);
    unusable("cut", replace(|bytes| bytes[..bytes.len() / 2].to_vec()), damage);
    unusable("only the header", replace(|bytes| bytes[..150].to_vec()), damage);
    unusable("empty", replace(|_| Vec::new()), damage);
    unusable("longer", replace(|bytes| [&bytes[..], b"x"].concat()), damage);
    unusable("binary", replace(|_| noise(100_000)), damage);
    unusable("another format", replace(|bytes| [b"x", &bytes[..]].concat()), damage);
    unusable("no header's end", replace(|_| b"gosync-index-cache 1\n".repeat(10_000)), damage);
    // What nothing vouches for, but is checked for damage like everything.
    let rename = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let at = bytes.windows(11).position(|name| name == b"content.bin").unwrap();
        bytes[at] = b'C';
        std::fs::write(path, bytes).unwrap();
    };
    unusable("another source", rename, damage);
    // Well made, but no index.
    let no_index = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
        std::fs::write(path, [&bytes[..end + 2], b"no index"].concat()).unwrap();
    };
    unusable("no index", no_index, damage);
    let cache = unusable("gone", |path| std::fs::remove_file(path).unwrap(), &["index_read"]);
    assert!(cache.path.is_file());
    let folder = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    };
    // It cannot be written either, which is no reason to fail.
    unusable("a folder", folder, &["index_cache", "index_cache", "index_read"]);
}

#[test]
fn a_cache_is_for_one_url_and_holds_no_secrets() {
    let (index, bytes) = index_of(100_000);
    let server = Server::start(move |asked| conditional(asked, &bytes, "\"v1\""));
    let cache = Cache::new();
    let with = |rest: &str| format!("http://user:secret-password@{}{rest}", server.address);
    for rest in ["/x?secret-token=1", "/x?secret-token=2", "/y", "/x?secret-token=1"] {
        assert_eq!(cache.open(&with(rest)).unwrap().root(), index.root());
        assert_eq!(cache.kinds(), ["index_read"], "{rest}");
        let header = String::from_utf8_lossy(&cache.content()[..300]).into_owned();
        assert!(header.starts_with("gosync-index-cache 1\nurl: http://127.0.0.1"), "{header}");
        assert!(!header.contains("secret"), "{header}");
    }
    // The user is not what tells places apart.
    cache.open(&server.url("/x?secret-token=1")).unwrap();
    assert_eq!(cache.kinds(), ["index_unchanged"]);
}

#[test]
fn a_kept_index_is_bounded_like_any_other() {
    let (_, bytes) = index_of(100_000);
    let length = bytes.len() as u64;
    let server = Server::start(move |asked| conditional(asked, &bytes, "\"v1\""));
    let cache = Cache::new();
    cache.open(&server.url("/x")).unwrap();
    let open = |limit| open_index(&server.url("/x"), &OpenOptions { max_index_size: limit, ..cache.options() });
    assert!(open(length).is_ok());
    assert_eq!(open(length - 1).unwrap_err().kind(), ErrorKind::Limit);
    std::fs::write(&cache.path, vec![b'\n'; 200_000]).unwrap();
    assert!(open(length).is_ok());
    cache.open(&server.url("/x")).unwrap();
    assert_eq!(cache.kinds().last(), Some(&"index_unchanged"));
}
