//! The file that keeps an index as it was last read from a URL, so that reading it again, unchanged, is one conditional
//! request. A few lines of text, an empty line, then the bytes of the index, which are checked by decoding them. Not
//! believed without the server's word, nor because it is ours: damage only means that the index is read anew.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use gosync_core::{Digest, Error, ErrorKind, Link, Request, Result, Source};
use url::Url;

use crate::disk::Disk;
use crate::location::shown_url;
use crate::output;
use crate::source::{HttpSource, Validators};

/// The first line: the format.
const FORMAT: &str = "gosync-index-cache 1";
/// Bytes of all lines together.
const MOST_HEADER: u64 = 32 << 10;

/// An index as it was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What the server said of this version; one of the two is there.
    pub(crate) known: Validators,
    pub(crate) bytes: Vec<u8>,
}

/// What is kept of `url` in the file at `path`. Nothing if there is no file, or it is about another URL;
/// an error if it cannot be used.
pub(crate) fn read(path: &Path, url: &Url, limit: u64) -> Result<Option<Kept>> {
    let failed = |cause| Error::from_io(cause, "cannot read the index cache", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(failed(cause)),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(
            Error::new(ErrorKind::Argument, "the index cache is not a regular file").with("path", path.display())
        );
    }
    let most = limit.saturating_add(MOST_HEADER);
    let mut content = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    let damaged = |what: &str| {
        Error::new(ErrorKind::Format, format!("the index cache cannot be used: {what}")).with("path", path.display())
    };
    if content.len() as u64 > most {
        return Err(damaged("it is too large"));
    }
    parse(content, url).map_err(damaged)
}

fn parse(mut content: Vec<u8>, url: &Url) -> std::result::Result<Option<Kept>, &'static str> {
    let head = &content[..content.len().min(MOST_HEADER as usize)];
    let end = head.windows(2).position(|pair| pair == b"\n\n").ok_or("it has no header")?;
    let head = std::str::from_utf8(&head[..end]).map_err(|_| "its header is not text")?;
    let mut lines = head.lines();
    if lines.next() != Some(FORMAT) {
        return Err("it is of another format");
    }
    let (mut address, mut known) = (None, Validators::default());
    for line in lines {
        match line.split_once(": ").ok_or("a line of its header has no name")? {
            ("url-blake3", value) => address = Some(value.to_owned()),
            ("etag", value) => known.etag = Some(value.to_owned()),
            ("last-modified", value) => known.last_modified = Some(value.to_owned()),
            // For people.
            _ => {}
        }
    }
    if address.as_deref() != Some(&*address_of(url)) {
        return Ok(None);
    }
    let bytes = content.split_off(end + 2);
    if known == Validators::default() {
        return Err("it does not say which version it keeps");
    }
    Ok(Some(Kept { known, bytes }))
}

/// Keeps an index that was read from `url`: beside the file at `path` first, then by one rename. Without anything to tell
/// versions apart by, it is of no use and not written. Whether it was.
pub(crate) fn write(path: &Path, url: &Url, known: &Validators, bytes: &[u8]) -> Result<bool> {
    let fits = |value: &&String| value.len() < 4096 && !value.contains(char::is_control);
    // The weaker one is only of use where there is no other.
    let version = match (known.etag.as_ref().filter(fits), known.last_modified.as_ref().filter(fits)) {
        (Some(etag), _) => format!("etag: {etag}"),
        (None, Some(date)) => format!("last-modified: {date}"),
        (None, None) => return Ok(false),
    };
    // A long URL is cut: it is for people.
    let shown: String = shown_url(url).chars().take(4096).collect();
    let address = address_of(url);
    let head = format!("{FORMAT}\nurl: {shown}\nurl-blake3: {address}\n{version}\n\n");
    output::write_file(&Disk::system(), path, |write| write(head.as_bytes()).and_then(|()| write(bytes)))?;
    Ok(true)
}

/// Tells URLs apart without saying them: a query may be a secret. User name and password do not count.
fn address_of(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail for a URL that has a host; one without has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Digest::of(url.as_str().as_bytes()).to_string()
}

/// A source that is read only if it is not what is kept. However often it is asked, the condition comes with it.
pub(crate) struct IfChanged {
    pub(crate) source: Arc<HttpSource>,
    pub(crate) known: Validators,
}

impl Source for IfChanged {
    fn fetch(&self, request: Request) {
        if request.ranges().iter().all(|range| range.offset == 0) {
            self.source.read_if_changed(self.known.clone());
        }
        self.source.fetch(request);
    }

    fn cancel(&self, id: u64) {
        self.source.cancel(id);
    }

    fn resume(&self, id: u64) {
        self.source.resume(id);
    }

    fn link(&self) -> Link {
        self.source.link()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}
