//! The options for servers, as C sets them and as they arrive at a server.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use gosync_io::{IndexOptions, index_bytes};
use gosync_tests::c::{Link, installed};
use gosync_tests::data::noise;
use gosync_tests::{root, run};

type Heads = Arc<Mutex<Vec<String>>>;

/// Serves `new` and its index as a whole, and keeps the heads of the requests, in lower case; gives the address.
fn serve(content: Vec<u8>, index: Vec<u8>) -> (String, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let heads = Heads::default();
    let (kept, files) = (heads.clone(), Arc::new([("/new ", content), ("/new.gosync", index)]));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (heads, files) = (kept.clone(), files.clone());
            // A client that hangs up in the middle is its own affair.
            std::thread::spawn(move || answer(stream, &heads, &*files).ok());
        }
    });
    (address, heads)
}

fn answer(mut stream: TcpStream, heads: &Heads, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let head = head.to_ascii_lowercase();
        heads.lock().expect("the heads").push(head.clone());
        let found = files.iter().find(|(name, _)| head.starts_with(&format!("get {name}")));
        let (status, body) = match found {
            None => ("404 Not Found", &[][..]),
            Some(_) if head.contains("if-none-match: \"v1\"") => ("304 Not Modified", &[][..]),
            Some((_, content)) => ("200 OK", &content[..]),
        };
        let length =
            if status.starts_with("304") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        stream.write_all(format!("HTTP/1.1 {status}\r\nETag: \"v1\"\r\n{length}\r\n").as_bytes())?;
        stream.write_all(body)?;
    }
}

#[test]
fn options_arrive_at_the_server() {
    let content = noise(300_000, 7);
    let index = index_bytes(&content, &IndexOptions::default()).expect("an index");
    let (address, heads) = serve(content.clone(), index.encode());
    let program = installed().compile("fetching", Link::Shared, &[root().join("tests/c/fetching.c")]);
    let folder = tempfile::tempdir().expect("a folder for the program");
    let out = run(Command::new(program).arg(folder.path()).arg(format!("http://{address}")));
    assert!(out.starts_with("fetching"), "{out}");
    assert_eq!(std::fs::read(folder.path().join("target")).expect("the target"), content);
    let heads = heads.lock().expect("the heads").clone();
    for name in ["/new.gosync?token=hunter2 ", "/missing ", "/new "] {
        assert!(heads.iter().any(|head| head.contains(name)), "{name}: {heads:?}");
    }
    for line in ["authorization: bearer hunter2\r\n", "x-one: hunter2-one\r\n", "x-two: hunter2-two\r\n"] {
        assert!(heads.iter().all(|head| head.contains(line)), "{line}: {heads:?}");
    }
    let opened: Vec<_> = heads.iter().filter(|head| head.contains("/new.gosync")).collect();
    // Twice with a file that keeps it, and once each by somebody who expects another one and who demands a signature.
    assert_eq!(opened.len(), 4, "{heads:?}");
    assert!(opened[1].contains("if-none-match: \"v1\""), "{heads:?}");
}
