//! One answer: the whole file, one range, or several as `multipart/byteranges`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;

use super::Request;

const BOUNDARY: &str = "gosync-ranges";

/// Answers the request and returns the length of the body that was sent.
pub(super) fn answer(request: &Request, folder: &Path, out: &mut TcpStream) -> std::io::Result<u64> {
    let body = request.method != "HEAD";
    if request.method != "GET" && body {
        return plain(out, "405 Method Not Allowed", "");
    }
    if request.name.is_empty() || request.name.starts_with('.') {
        return plain(out, "404 Not Found", "");
    }
    let Ok(mut file) = File::open(folder.join(&request.name)) else { return plain(out, "404 Not Found", "") };
    let metadata = file.metadata()?;
    let length = metadata.len();
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let tag = format!("\"{length:x}-{:x}\"", modified.as_nanos());
    let common = format!("Accept-Ranges: bytes\r\nETag: {tag}\r\n");
    let is_current = request.if_range.as_ref().is_none_or(|known| *known == tag);
    let asked = request.range.as_deref().filter(|_| is_current && body).and_then(|text| ranges(text, length));
    match asked.as_deref() {
        None => {
            write!(out, "HTTP/1.1 200 OK\r\n{common}Content-Length: {length}\r\n\r\n")?;
            if body { send(&mut file, 0, length, out) } else { Ok(0) }
        }
        Some([]) => plain(out, "416 Range Not Satisfiable", &format!("Content-Range: bytes */{length}\r\n")),
        Some([(first, last)]) => {
            let size = last - first + 1;
            let range = format!("Content-Range: bytes {first}-{last}/{length}\r\nContent-Length: {size}\r\n");
            write!(out, "HTTP/1.1 206 Partial Content\r\n{common}{range}\r\n")?;
            send(&mut file, *first, size, out)
        }
        Some(several) => multipart(&mut file, several, length, &common, out),
    }
}

fn plain(out: &mut TcpStream, status: &str, header: &str) -> std::io::Result<u64> {
    write!(out, "HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\n\r\n")?;
    Ok(0)
}

/// The ranges of a `Range` header as first and last byte, those past the end left out; `None` if it cannot be read.
fn ranges(text: &str, length: u64) -> Option<Vec<(u64, u64)>> {
    let mut list = Vec::new();
    for one in text.strip_prefix("bytes=")?.split(',') {
        let (first, last) = one.trim().split_once('-')?;
        let (first, last) = match (first, last) {
            ("", suffix) => (length.saturating_sub(suffix.parse().ok()?), length.checked_sub(1)?),
            (first, "") => (first.parse().ok()?, length.checked_sub(1)?),
            (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.min(length.checked_sub(1)?)),
        };
        if first < length && first <= last {
            list.push((first, last));
        }
    }
    Some(list)
}

fn multipart(
    file: &mut File,
    list: &[(u64, u64)],
    length: u64,
    common: &str,
    out: &mut TcpStream,
) -> std::io::Result<u64> {
    let heads: Vec<String> = list
        .iter()
        .map(|(first, last)| format!("\r\n--{BOUNDARY}\r\nContent-Range: bytes {first}-{last}/{length}\r\n\r\n"))
        .collect();
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let content: u64 = list.iter().map(|(first, last)| last - first + 1).sum();
    let size = content + heads.iter().map(|head| head.len() as u64).sum::<u64>() + tail.len() as u64;
    let kind = format!("Content-Type: multipart/byteranges; boundary={BOUNDARY}\r\nContent-Length: {size}\r\n");
    write!(out, "HTTP/1.1 206 Partial Content\r\n{common}{kind}\r\n")?;
    for ((first, last), head) in list.iter().zip(&heads) {
        out.write_all(head.as_bytes())?;
        send(file, *first, last - first + 1, out)?;
    }
    out.write_all(tail.as_bytes())?;
    Ok(size)
}

fn send(file: &mut File, from: u64, length: u64, out: &mut TcpStream) -> std::io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let sent = std::io::copy(&mut file.take(length), out)?;
    if sent == length { Ok(sent) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::super::{Count, Server};
    use std::io::{Read, Write};

    fn ask(server: &Server, head: &str) -> String {
        let address = server.url("").replace("http://", "");
        let mut stream = std::net::TcpStream::connect(address.trim_end_matches('/')).expect("connects");
        write!(stream, "{head}Connection: close\r\n\r\n").expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("is answered");
        answer
    }

    #[test]
    fn ranges_are_answered_and_counted() {
        let folder = std::env::temp_dir().join(format!("xtask-server-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        std::fs::write(folder.join("a"), "0123456789").expect("file");
        let server = Server::start(folder.clone()).expect("starts");
        let whole = ask(&server, "GET /a HTTP/1.1\r\n");
        assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
        let one = ask(&server, "GET /a HTTP/1.1\r\nRange: bytes=2-4\r\n");
        assert!(one.contains(" 206 ") && one.contains("bytes 2-4/10") && one.ends_with("\r\n\r\n234"), "{one}");
        let two = ask(&server, "GET /a HTTP/1.1\r\nRange: bytes=0-1,8-20\r\n");
        assert!(
            two.contains("multipart") && two.contains("\r\n\r\n01\r\n--") && two.contains("\r\n\r\n89\r\n--"),
            "{two}"
        );
        let stale = ask(&server, "GET /a HTTP/1.1\r\nRange: bytes=2-4\r\nIf-Range: \"old\"\r\n");
        assert!(stale.contains(" 200 "), "{stale}");
        assert!(ask(&server, "GET /a HTTP/1.1\r\nRange: bytes=10-\r\n").contains(" 416 "));
        assert!(
            ask(&server, "GET /../a HTTP/1.1\r\n").contains(" 200 ")
                && ask(&server, "GET /b HTTP/1.1\r\n").contains(" 404 ")
        );
        let counts = server.take_counts();
        assert_eq!(counts["a"].requests, 6);
        assert!(counts["a"].bytes > 10 + 3 + 4 + 10 + 10);
        assert_eq!(counts["b"], Count { requests: 1, bytes: 0 });
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
