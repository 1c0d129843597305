//! How to open an index or a source, and the C structure of that with the texts that it points to.

use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::ptr;

use gosync_ffi::gosync_open_options;

use crate::observer::Lent;
use crate::{Observer, Result, text};

/// How to open an index or a source. Zero, `None` and empty mean the default.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// The largest index that is read, in bytes.
    pub max_index_size: u64,
    /// A file that keeps the index as it was last read from a URL.
    pub index_cache: Option<PathBuf>,
    /// The root that an index must have, as 64 hexadecimal digits.
    pub expect: Option<String>,
    /// Whose signature an index must have: a minisign public key.
    pub public_key: Option<String>,
    /// What an index is opened for, if that is known.
    pub target: Option<PathBuf>,
    /// Worker threads that read its files meanwhile.
    pub threads: u32,
    /// Decide with this round trip; zero: as measured.
    pub assume_rtt_ms: f64,
    /// Decide with this rate, in bytes per second; zero: as measured.
    pub assume_rate: u64,
    /// Temporary failures in a row that are survived; `None` is the default.
    pub retries: Option<u32>,
    /// How to talk to HTTP servers.
    pub http: HttpOptions,
    /// Who watches, and may cancel.
    pub observer: Observer,
}

/// How to talk to HTTP servers. Zero, `None` and empty mean the default.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Connections to an origin at the same time.
    pub connections: u32,
    /// How long a server may be silent.
    pub timeout_ms: u32,
    /// How long a connect may last.
    pub connect_timeout_ms: u32,
    /// How long an answer may take to begin.
    pub first_byte_timeout_ms: u32,
    /// How long an answer may stand still.
    pub stall_timeout_ms: u32,
    /// `name:password` for basic authentication.
    pub user: Option<String>,
    /// A token for bearer authentication.
    pub bearer: Option<String>,
    /// Further header lines, `Name: value`.
    pub headers: Vec<String>,
    /// The URL of the proxy; empty: none.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy.
    pub no_proxy: Option<String>,
    /// A PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Bytes per second that are read at most.
    pub rate_limit: u64,
}

/// The C structure for one call, which has to be made: only the library frees the observer.
pub(crate) struct ForC {
    options: gosync_open_options,
    // What the structure points to; on the heap, so that it stays where it is when this is moved.
    _texts: Vec<CString>,
    _headers: Vec<*const c_char>,
    _lent: Box<Lent>,
}

impl ForC {
    /// Valid as long as this object.
    pub(crate) fn as_ptr(&self) -> *const gosync_open_options {
        &self.options
    }
}

impl OpenOptions {
    pub(crate) fn for_c(&self) -> Result<ForC> {
        let http = &self.http;
        let mut texts = Vec::new();
        let mut keep = |text: Option<Result<CString>>| -> Result<*const c_char> {
            let Some(text) = text.transpose()? else { return Ok(ptr::null()) };
            // The bytes of a CString are on the heap, and stay there when it is moved.
            let pointer = text.as_ptr();
            texts.push(text);
            Ok(pointer)
        };
        let index_cache = keep(self.index_cache.as_deref().map(|path| text::c_path(path, "the index cache")))?;
        let expect = keep(self.expect.as_deref().map(|root| text::c_text(root, "the expected root")))?;
        let public_key = keep(self.public_key.as_deref().map(|key| text::c_text(key, "the public key")))?;
        let target = keep(self.target.as_deref().map(|path| text::c_path(path, "the target")))?;
        let ca_file = keep(http.ca_file.as_deref().map(|path| text::c_path(path, "the CA file")))?;
        let user = keep(http.user.as_deref().map(|user| text::c_text(user, "the user")))?;
        let bearer = keep(http.bearer.as_deref().map(|bearer| text::c_text(bearer, "the bearer token")))?;
        let proxy = keep(http.proxy.as_deref().map(|proxy| text::c_text(proxy, "the proxy")))?;
        let no_proxy = keep(http.no_proxy.as_deref().map(|hosts| text::c_text(hosts, "the list of hosts")))?;
        let line = |line: &String| keep(Some(text::c_text(line, "a header line")));
        let headers = http.headers.iter().map(line).collect::<Result<Vec<_>>>()?;
        // Last: nothing may fail any more.
        let lent = Box::new(self.observer.lend());
        let options = gosync_open_options {
            max_index_size: self.max_index_size,
            connections: http.connections,
            timeout_ms: http.timeout_ms,
            observer: lent.as_ptr(),
            index_cache,
            retries: retries(self.retries),
            connect_timeout_ms: http.connect_timeout_ms,
            first_byte_timeout_ms: http.first_byte_timeout_ms,
            stall_timeout_ms: http.stall_timeout_ms,
            user,
            bearer,
            headers: if headers.is_empty() { ptr::null() } else { headers.as_ptr() },
            header_count: headers.len(),
            proxy,
            no_proxy,
            ca_file,
            rate_limit: http.rate_limit,
            expect,
            public_key,
            target,
            assume_rtt_ms: self.assume_rtt_ms,
            assume_rate: self.assume_rate,
            threads: self.threads,
            ..Default::default()
        };
        Ok(ForC { options, _texts: texts, _headers: headers, _lent: lent })
    }
}

/// C says "none" by -1, because its zero means the default.
pub(crate) fn retries(count: Option<u32>) -> i32 {
    match count {
        None => 0,
        Some(0) => -1,
        Some(count) => i32::try_from(count).unwrap_or(i32::MAX),
    }
}
