//! Names of places: telling a path from a URL, and judging where an index says that its content is.
//! Opens nothing; that is `open`.

use std::path::{Path, PathBuf};

use gosync_core::{Error, ErrorKind, Result};
use url::Url;

/// A place that can be opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Location {
    /// A local path.
    Path(PathBuf),
    /// An `http:` or `https:` URL.
    Http(Url),
}

impl Location {
    /// Reads a path, a `file:` URL or an `http(s):` URL. A drive letter is not a scheme.
    pub(crate) fn parse(text: &str) -> Result<Location> {
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Argument, "a path or URL is needed, not an empty text"));
        }
        if text.contains('\0') {
            return Err(Error::new(ErrorKind::Argument, "a path or URL cannot contain a zero byte"));
        }
        match scheme(text).as_deref() {
            None => Ok(Location::Path(PathBuf::from(text))),
            Some("http" | "https") => {
                let url = parse_url(text)?;
                if url.cannot_be_a_base() || url.host_str().is_none_or(str::is_empty) {
                    return Err(Error::new(ErrorKind::Argument, "the URL names no host").with("url", shown(text)));
                }
                Ok(Location::Http(url))
            }
            Some("file") => parse_url(text)?.to_file_path().map(Location::Path).map_err(|()| {
                Error::new(ErrorKind::Argument, "the file: URL does not name a local path").with("url", shown(text))
            }),
            Some(other) => {
                let message =
                    format!("cannot open '{other}:' locations; paths, file:, http: and https: URLs can be opened");
                Err(Error::new(ErrorKind::Argument, message).with("url", shown(text)))
            }
        }
    }
}

impl Location {
    /// Whether it has the scheme, host and port of the URL `origin`.
    pub(crate) fn is_same_origin(&self, origin: Option<&str>) -> bool {
        match (self, origin.map(Location::parse)) {
            (Location::Http(url), Some(Ok(Location::Http(origin)))) => url.origin() == origin.origin(),
            _ => false,
        }
    }
}

/// The URL without what may be secret: user name, password, query, fragment.
pub(crate) fn shown_url(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail for a URL that has a host; one without has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// A path or URL without what may be secret in a URL: user name, password, query, fragment. Everything that is not a
/// URL stays as it is.
pub fn without_secrets(location: &str) -> String {
    match Location::parse(location) {
        Ok(Location::Http(url)) => shown_url(&url),
        _ if scheme(location).is_some() => shown(location),
        _ => location.to_owned(),
    }
}

/// A location as messages show it.
pub(crate) fn shown(text: &str) -> String {
    match scheme(text) {
        None => text.escape_debug().to_string(),
        Some(scheme) => match Url::parse(text) {
            Ok(url) => shown_url(&url),
            // It may hold a password at a place that nobody can tell.
            Err(_) => format!("{scheme}:…"),
        },
    }
}

fn parse_url(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|cause| {
        Error::new(ErrorKind::Argument, format!("not a usable URL: {cause}")).with("url", shown(text)).caused_by(cause)
    })
}

/// The scheme in lower case if `text` is a URL: `name://…`, or one of those that we open, whatever follows.
fn scheme(text: &str) -> Option<String> {
    let (name, rest) = text.split_once(':')?;
    let well_formed = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let name = name.to_ascii_lowercase();
    let known = matches!(name.as_str(), "http" | "https" | "file");
    (well_formed && (known || rest.starts_with("//"))).then_some(name)
}

/// Where the content is that an index from `origin` names as `name`. Unless `allow_any`, that is in the index's own
/// folder or below: the name comes from whoever wrote the index, and must not choose what is read from here.
pub(crate) fn resolve(name: &str, origin: Option<&str>, allow_any: bool) -> Result<Location> {
    let fail = |message: String| Error::new(ErrorKind::Argument, message).with("source", shown(name));
    if !allow_any {
        check_plain(name).map_err(|problem| {
            fail(format!("the index names a source outside its own folder ({problem}); name the source, or allow any"))
        })?;
    }
    if scheme(name).is_some() {
        return Location::parse(name);
    }
    if name.contains('\0') {
        return Err(fail("the index names a source with a zero byte in it".into()));
    }
    // On Windows, a name that begins with a slash has a root and yet no drive: the current one is meant.
    let is_rooted = Path::new(name).has_root();
    let base = match origin.map(Location::parse).transpose()? {
        None if is_rooted => return Ok(Location::Path(PathBuf::from(name))),
        None => {
            return Err(fail(
                "the index names its source relative to itself, but was not read from a path or URL".into(),
            ));
        }
        Some(base) => base,
    };
    match base {
        Location::Path(path) => Ok(Location::Path(path.parent().unwrap_or(Path::new("")).join(name))),
        Location::Http(url) => {
            join_url(url, name).map(Location::Http).ok_or_else(|| fail("the index's URL has no folder".into()))
        }
    }
}

/// The URL of a file name beside (or, with slashes, around) `base`. The name is a file's name and not a URL: whatever
/// has a meaning in URLs is percent-encoded.
fn join_url(mut base: Url, name: &str) -> Option<Url> {
    base.set_query(None);
    base.set_fragment(None);
    {
        let mut segments = base.path_segments_mut().ok()?;
        if name.starts_with('/') {
            segments.clear();
        } else {
            segments.pop();
        }
        for segment in name.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop_if_empty().pop()),
                other => drop(segments.push(other)),
            }
        }
    }
    Some(base)
}

/// The URL of the file `name` (names with `/` between) below `folder`, whether that ends in a slash or not. The names are
/// those of files: whatever could have a meaning in a URL, or to a server, is percent-encoded.
pub(crate) fn below(folder: &Url, name: &str) -> Url {
    let mut path = folder.path().trim_end_matches('/').to_owned();
    for segment in name.split('/') {
        path.push('/');
        for byte in segment.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
                _ => path.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    let mut url = folder.clone();
    url.set_path(&path);
    url
}

/// Whether `name` surely stays in one folder, or below, on every system and behind every server that decodes names.
fn check_plain(name: &str) -> std::result::Result<(), &'static str> {
    // A server may decode more than once.
    let mut form = name.to_owned();
    for _ in 0..3 {
        check_form(&form)?;
        let decoded = percent_decode(&form);
        if decoded == form {
            return Ok(());
        }
        form = decoded;
    }
    Err("its name is percent-encoded several times")
}

fn check_form(name: &str) -> std::result::Result<(), &'static str> {
    if name.is_empty() {
        return Err("its name is empty");
    }
    if name.contains(|c: char| c.is_control()) {
        return Err("its name has control characters");
    }
    if name.contains('\\') {
        return Err("its name has a backslash");
    }
    if name.contains(':') {
        return Err("its name has a scheme or a drive");
    }
    if name.starts_with('/') {
        return Err("its name is an absolute path");
    }
    name.split('/').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> std::result::Result<(), &'static str> {
    if segment == "." {
        return Ok(());
    }
    if segment == ".." {
        return Err("its name has '..'");
    }
    if segment.is_empty() {
        return Err("its name has an empty part");
    }
    // Windows drops these ends, so that '.. ' would be '..'.
    if segment.ends_with(['.', ' ']) {
        return Err("a part of its name ends in a dot or a space");
    }
    if is_windows_device(segment) {
        return Err("its name is that of a device on Windows");
    }
    Ok(())
}

/// Whether Windows takes this file name for a device, whatever its suffix.
fn is_windows_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or(segment).trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    number.is_some_and(|number| {
        matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    })
}

/// Decodes `%xx` once; what is not UTF-8 afterwards is replaced.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits are a byte.
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The path, with the same separator on every system.
    fn slashed(path: &Path) -> String {
        let text = path.display().to_string();
        if cfg!(windows) { text.replace('\\', "/") } else { text }
    }

    /// A `file:` URL of an absolute path, and that path: on Windows it has a drive.
    fn file_url(rest: &str) -> (String, String) {
        let drive = if cfg!(windows) { "C:/" } else { "" };
        (format!("file:///{drive}{rest}"), if cfg!(windows) { drive.into() } else { "/".into() })
    }

    fn plain(name: &str, origin: &str) -> String {
        match resolve(name, Some(origin), false) {
            Ok(Location::Path(path)) => slashed(&path),
            Ok(Location::Http(url)) => url.to_string(),
            Err(error) => error.kind().to_string(),
        }
    }

    #[test]
    fn a_name_is_looked_for_beside_the_index() {
        assert_eq!(plain("app.bin", "dir/app.gosync"), "dir/app.bin");
        assert_eq!(plain("app.bin", "app.gosync"), "app.bin");
        assert_eq!(plain("sub/app.bin", "/dir/app.gosync"), "/dir/sub/app.bin");
        let (origin, root) = file_url("dir/app.gosync");
        assert_eq!(plain("app.bin", &origin), format!("{root}dir/app.bin"));
        assert_eq!(plain("app.bin", "http://u:p@h:8/a/b.gosync?x=1#f"), "http://u:p@h:8/a/app.bin");
        assert_eq!(plain("a b?c#d%.bin", "http://h/b.gosync"), "http://h/a%20b%3Fc%23d%25.bin");
        assert_eq!(plain("./x/y", "https://h/d/"), "https://h/d/x/y");
    }

    #[test]
    fn names_below_a_url_are_those_of_files() {
        let below = |folder: &str, name: &str| below(&Url::parse(folder).expect("a URL"), name).to_string();
        assert_eq!(below("http://h/d", "a/b.c"), "http://h/d/a/b.c");
        assert_eq!(below("http://h/d/", "a/b.c"), "http://h/d/a/b.c");
        assert_eq!(below("http://h", "a"), "http://h/a");
        assert_eq!(below("https://u:p@h:8/d?token=1", "x"), "https://u:p@h:8/d/x?token=1");
        assert_eq!(below("http://h/", "a b+c?d#e%2e\\f:\t\n"), "http://h/a%20b%2Bc%3Fd%23e%252e%5Cf%3A%09%0A");
        assert_eq!(below("http://h/", "@s/ü~_-"), "http://h/%40s/%C3%BC~_-");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let names = [
            "",
            "/etc/passwd",
            "//host/x",
            "../x",
            "a/../x",
            "a/..",
            "..",
            "%2e%2e/x",
            "a/%2E./x",
            "%252e%252e/x",
            "a%2f..%2fx",
            "a\\..\\x",
            "\\\\host\\x",
            "%5cx",
            "C:/x",
            "C:x",
            "http://h/x",
            "file:///x",
            "HTTP:x",
            "x\0",
            "x%00",
            "x\n",
            "a//b",
            "a/",
            "nul",
            "NUL.txt",
            "a/com1",
            "LPT9.x.y",
            "con .txt",
            ".. /x",
            "x.",
            "%25252525",
        ];
        for name in names {
            for origin in ["dir/app.gosync", "http://h/d/app.gosync"] {
                assert_eq!(plain(name, origin), "ARGUMENT", "{name:?} from {origin}");
            }
        }
    }

    #[test]
    fn any_source_is_found_when_it_is_allowed() {
        let any = |name, origin| match resolve(name, origin, true) {
            Ok(Location::Path(path)) => slashed(&path),
            Ok(Location::Http(url)) => url.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(any("../x", Some("/a/b/c.gosync")), "/a/b/../x");
        assert_eq!(any("/x", Some("/a/b/c.gosync")), "/x");
        assert_eq!(any("/x", None), "/x");
        assert_eq!(any("http://o/x?q", Some("/a")), "http://o/x?q");
        assert_eq!(any("../x", Some("http://h/a/b/c.gosync")), "http://h/a/x");
        assert_eq!(any("/x", Some("http://h/a/b/c.gosync")), "http://h/x");
        assert!(any("x", None).contains("relative to itself"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |one: &str, other| Location::parse(one).is_ok_and(|one| one.is_same_origin(Some(other)));
        assert!(same("https://h/x", "https://u:p@H:443/a/b?c#d"));
        assert!(same("http://h:80/x", "http://h/"));
        for (one, other) in [
            ("https://h/x", "http://h/x"),
            ("https://h/x", "https://h:444/x"),
            ("https://h/x", "https://a.h/x"),
            ("https://h/x", "https://h.example/x"),
            ("https://h/x", "/h/x"),
            ("/h/x", "/h/x"),
            ("/h/x", "https://h/x"),
            ("https://h/x", "not:a url"),
        ] {
            assert!(!same(one, other), "{one} and {other}");
        }
        assert!(!Location::parse("https://h/x").expect("a URL").is_same_origin(None));
    }

    #[test]
    fn what_is_shown_has_no_secrets() {
        let cases = [
            ("https://u:secret@h:8/a?sig=secret#secret", "https://h:8/a"),
            ("ftp://u:secret@h/a", "ftp://h/a"),
            ("http://u:secret@:x/", "http:…"),
            ("dir/a?b#c", "dir/a?b#c"),
            ("/with\nline", "/with\nline"),
        ];
        for (location, shown) in cases {
            assert_eq!(without_secrets(location), shown);
        }
    }

    #[test]
    fn paths_and_urls_are_told_apart() {
        let parsed = |text: &str| match Location::parse(text) {
            Ok(Location::Path(path)) => format!("path {}", path.display()),
            Ok(Location::Http(url)) => format!("http {url}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(parsed("C:\\x\\y"), "path C:\\x\\y");
        assert_eq!(parsed("c:/x"), "path c:/x");
        assert_eq!(parsed("a:b.bin"), "path a:b.bin");
        assert_eq!(parsed("ab:c.bin"), "path ab:c.bin");
        assert_eq!(parsed("HTTPS://H/x"), "http https://h/x");
        let (url, root) = file_url("x%20y");
        assert_eq!(parsed(&url).replace('\\', "/"), format!("path {root}x y"));
        assert!(parsed("ftp://user:secret@h/x?y").contains("'ftp:'"));
        assert!(!parsed("ftp://user:secret@h/x?key").contains("secret"));
        assert!(!parsed("ftp://user:secret@h/x?key").contains("key"));
        assert!(parsed("http://").contains("URL"));
        assert!(!parsed("http://user:secret@:x/").contains("secret"));
        assert!(parsed("").contains("empty"));
        assert!(parsed("a\0b").contains("zero byte"));
    }
}
