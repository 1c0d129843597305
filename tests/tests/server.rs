//! The test server, as the tests in other languages use it: a program that tells its port and logs what it sends.
//! And the conformance server, as another client than gosync would use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use gosync_tests::conformance::content::Content;
use gosync_tests::conformance::server::{Listener, Server};
use gosync_tests::data::pattern;
use serde_json::Value;

struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(arguments: &[&str]) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a file"), pattern(1000)).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gosync-test-server"));
    let mut child = command.arg(folder.path()).args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    out.read_line(&mut line).expect("the first line");
    Running { child, out, port: line.trim().parse().expect("a port"), _folder: folder }
}

impl Running {
    /// Status, head and body of an answer, and what the log says about it.
    fn ask(&mut self, request: &str) -> (u16, String, Vec<u8>, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        write!(stream, "{request}\r\nConnection: close\r\n\r\n").expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line of the log");
        (status, head, answer[end..].to_vec(), serde_json::from_str(&line).expect("a line of JSON"))
    }
}

const GET: &str = "GET /a%20file HTTP/1.1\r\nHost: x";

#[test]
fn ranges_are_answered_and_counted() {
    let mut server = start(&[]);
    let (status, head, body, log) = server.ask(GET);
    assert_eq!((status, body, &log["bytes"]), (200, pattern(1000), &Value::from(1000)));
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("a tag").to_owned();
    for (range, first, end) in
        [("0-0", 0, 1), ("10-19", 10, 20), ("990-", 990, 1000), ("900-5000", 900, 1000), ("-7", 993, 1000)]
    {
        let (status, head, body, log) = server.ask(&format!("{GET}\r\nRange: bytes={range}\r\nIf-Range: {tag}"));
        assert_eq!((status, &body[..]), (206, &pattern(1000)[first..end]), "{range}");
        assert!(head.contains(&format!("Content-Range: bytes {first}-{}/1000", end - 1)), "{head}");
        assert_eq!((&log["range"], &log["bytes"]), (&Value::from(format!("bytes={range}")), &Value::from(end - first)));
    }
    assert_eq!(server.ask(&format!("{GET}\r\nRange: bytes=1000-")).0, 416);
    assert_eq!(server.ask(&format!("{GET}\r\nRange: bytes=0-1,5-6")).0, 200);
    assert_eq!(server.ask(&format!("{GET}\r\nRange: bytes=0-1\r\nIf-Range: \"other\"")).0, 200);
    assert_eq!(server.ask("GET /../a%20file HTTP/1.1").0, 404);
    let (status, _, body, log) = server.ask("HEAD /a%20file HTTP/1.1");
    assert_eq!((status, body.len(), &log["bytes"]), (200, 0, &Value::from(0)));
}

#[test]
fn it_can_be_told_to_misbehave() {
    let mut server = start(&["--no-ranges", "--fail-every", "2"]);
    let range = format!("{GET}\r\nRange: bytes=0-1");
    let answers: Vec<_> = (0..4).map(|_| server.ask(&range)).collect();
    assert_eq!(answers.iter().map(|answer| answer.0).collect::<Vec<_>>(), [200, 503, 200, 503]);
    assert!(answers.iter().all(|answer| !answer.1.contains("Accept-Ranges")));
}

/// Status and body of the conformance server's answer.
fn get(server: &Server, path: &str, header: &str) -> (u16, Vec<u8>) {
    let url = server.url(Listener::Main, "");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let status = std::str::from_utf8(&answer[9..12]).ok().and_then(|text| text.parse().ok());
    (status.expect("a status"), answer[end..].to_vec())
}

#[test]
fn the_conformance_server_serves_files_and_a_log() {
    let server = Server::start(Content::standard()).expect("a server");
    let few = server.content("few").expect("the content");
    assert_eq!(get(&server, "/honest/few", ""), (200, few.now.bytes.clone()));
    assert_eq!(get(&server, "/honest/few.old", ""), (200, few.old.clone()));
    assert_eq!(get(&server, "/never-answers/few.gosync", "").1, few.now.index);
    assert_eq!(get(&server, "/honest@5/few", "Range: bytes=10-19\r\n"), (206, few.now.bytes[10..20].to_vec()));
    assert_eq!(get(&server, "/honest@5/few", "Range: bytes=2000000-\r\n").0, 416);
    let (status, parts) = get(&server, "/honest@5/few", "Range: bytes=1-2,5-6\r\n");
    let text = String::from_utf8_lossy(&parts);
    assert!(status == 206 && text.contains("Content-Range: bytes 5-6/1060921\r\n\r\n"), "{status} {text}");
    assert_eq!(get(&server, "/no-ranges/few", "Range: bytes=10-19\r\n"), (200, few.now.bytes.clone()));
    assert_eq!(get(&server, "/status-404/few", "").0, 404);
    assert_eq!(get(&server, "/no-such-behaviour/few", "").0, 404);
    let log: Value = serde_json::from_slice(&get(&server, "/honest@5/log", "").1).expect("a log");
    let sent: Vec<u64> = log.as_array().expect("a list").iter().filter_map(|record| record["sent"].as_u64()).collect();
    assert_eq!(sent, [10, 0, parts.len() as u64]);
    assert_eq!(log[0]["range"], "bytes=10-19");
    let listing = String::from_utf8(get(&server, "/", "").1).expect("text");
    assert!(listing.contains("/several-501/") && listing.contains("https://127.0.0.1:"), "{listing}");
    assert!(get(&server, "/ca.pem", "").1.starts_with(b"-----BEGIN CERTIFICATE-----"));
}
