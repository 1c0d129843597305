//! The options of HTTP: what they do on the wire, and what is said about those that cannot be used.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gosync_io::source::HttpSource;
use gosync_io::{ErrorKind, HttpOptions, Observer, Range, Source};

use crate::server::{Answer, Cut, Server, good};
use crate::sink::{Taker, noise};

fn options() -> HttpOptions {
    HttpOptions { proxy: Some(String::new()), ..HttpOptions::default() }
}

fn open(url: &str, options: &HttpOptions) -> HttpSource {
    HttpSource::open(url, options, &Observer::default()).expect("a source")
}

fn refusal(options: &HttpOptions) -> gosync_io::Error {
    let result = HttpSource::open("http://localhost:1/", options, &Observer::default());
    result.err().expect("options that cannot be used")
}

#[test]
fn what_cannot_be_used_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "no certificate").expect("a file");
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("a file");
    let header = |line: &str| HttpOptions { headers: vec![line.to_owned()], ..options() };
    let proxy = |proxy: &str| HttpOptions { proxy: Some(proxy.to_owned()), ..options() };
    let ca = |path: PathBuf| HttpOptions { ca_file: Some(path), ..options() };
    let both = HttpOptions { user: Some("secret:x".into()), bearer: Some("secret".into()), ..options() };
    for bad in [
        header("no colon secret"),
        header(": secret"),
        header("a b: secret"),
        header("name: sec\nret: secret"),
        header("Range: bytes=0-1"),
        header("Accept-Encoding: gzip"),
        proxy("ftp://secret:secret@host/"),
        proxy("http://"),
        proxy("socks4://host"),
        ca(garbage),
        ca(broken),
        both,
        HttpOptions { bearer: Some("sec\nret".into()), ..options() },
    ] {
        let error = refusal(&bad);
        assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
        assert!(!format!("{error:?} {:?}", error.context()).contains("secret"), "{error}");
    }
    assert_eq!(refusal(&ca(folder.path().join("missing"))).kind(), ErrorKind::NotFound);
    // Windows does not even open a folder.
    let kind = if cfg!(windows) { ErrorKind::Permission } else { ErrorKind::Io };
    assert_eq!(refusal(&ca(folder.path().to_owned())).kind(), kind);
}

#[test]
fn the_proxy_is_used_unless_the_host_is_excepted() {
    let content = noise(10_000);
    let served = content.clone();
    let direct = Server::start(move |asked| good(asked, &served));
    let served = content.clone();
    let proxy = Server::start(move |asked| good(asked, &served));
    let with = |proxy: String, no_proxy: Option<&str>| HttpOptions {
        proxy: Some(proxy),
        no_proxy: no_proxy.map(str::to_owned),
        ..HttpOptions::default()
    };
    let address = proxy.address.clone();
    let signed = format!("http://name:secret@{address}/");
    for (count, proxy_text) in [proxy.url(""), address, signed].into_iter().enumerate() {
        let source = open(&direct.url("/content"), &with(proxy_text.clone(), Some("example.org")));
        Taker::new().get(&source, &[(0, 10)]).expect("an answer");
        assert_eq!((direct.log().len(), proxy.log().len()), (count, count + 1), "{proxy_text}");
        // An HTTP proxy is asked for the whole URL.
        assert_eq!(proxy.log()[count].path, direct.url("/content"));
        let source = open(&direct.url("/content"), &with(proxy_text, Some("example.org, 127.0.0.1")));
        Taker::new().get(&source, &[(0, 10)]).expect("an answer");
        assert_eq!((direct.log().len(), proxy.log().len()), (count + 1, count + 1));
    }
    assert_eq!(proxy.log()[2].header("proxy-authorization"), Some("Basic bmFtZTpzZWNyZXQ="));
    // Without a proxy of its own, an exception holds for the environment's.
    let source = open(&direct.url("/content"), &HttpOptions { no_proxy: Some("*".into()), ..HttpOptions::default() });
    Taker::new().get(&source, &[(0, 10)]).expect("an answer");
    assert_eq!(direct.log().len(), 4);
}

/// A SOCKS5 proxy without authentication that takes `count` connections, all of which it leads to `server`.
/// Its address, and the names that it was asked for.
fn socks(server: &Server, count: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let target = server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let proxy = std::thread::spawn(move || {
        let mut names = Vec::new();
        for _ in 0..count {
            let (mut client, _) = listener.accept().expect("a connection");
            let mut read = |count: usize| {
                let mut bytes = vec![0; count];
                client.read_exact(&mut bytes).expect("what the protocol wants");
                bytes
            };
            let methods = usize::from(read(2)[1]);
            read(methods);
            client.write_all(&[5, 0]).expect("no authentication");
            let mut read = |count: usize| {
                let mut bytes = vec![0; count];
                client.read_exact(&mut bytes).expect("what the protocol wants");
                bytes
            };
            let length = match read(4)[3] {
                1 => 4,
                4 => 16,
                _ => usize::from(read(1)[0]),
            };
            names.push(String::from_utf8_lossy(&read(length)).into_owned());
            read(2);
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).expect("connected");
            let mut upstream = std::net::TcpStream::connect(&target).expect("the server");
            let (mut from, mut to) = (client.try_clone().expect("a clone"), upstream.try_clone().expect("a clone"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut upstream, &mut client));
        }
        names
    });
    (address, proxy)
}

#[test]
fn a_socks_proxy_leads_to_the_server() {
    let content = noise(10_000);
    let served = content.clone();
    let server = Server::start(move |asked| good(asked, &served));
    let (address, proxy) = socks(&server, 1);
    // The proxy looks the name up, which nobody else could.
    let through = HttpOptions { proxy: Some(format!("socks5h://{address}")), connections: 1, ..HttpOptions::default() };
    let (source, taker) = (open("http://far.invalid/content", &through), Taker::new());
    taker.get(&source, &[(100, 500), (5000, 100)]).expect("an answer");
    taker.check(&content, &[(100, 500), (5000, 100)]);
    assert_eq!(proxy.join().expect("the proxy"), ["far.invalid"]);
}

#[test]
fn a_proxy_that_wants_credentials_says_so() {
    let proxy = Server::start(|_| Answer::status(407));
    let with = HttpOptions { proxy: Some(proxy.url("")), ..HttpOptions::default() };
    for url in ["http://example.invalid/", "https://example.invalid/"] {
        let error = Taker::new().get(&open(url, &with), &[(0, 10)]).expect_err("no credentials");
        assert_eq!(error.kind(), ErrorKind::Source, "{error}");
        assert_eq!(error.message(), "the proxy asks for a user name and a password");
    }
}

#[test]
fn the_rate_limit_holds_for_all_connections_together() {
    let content = noise(300_000);
    let served = content.clone();
    let server = Server::start(move |asked| good(asked, &served));
    let slow = HttpOptions { rate_limit: 200_000, ..options() };
    let (one, two) = (open(&server.url("/one"), &slow), open(&server.url("/two"), &slow));
    let taker = Taker::new();
    let begun = Instant::now();
    let ids = [taker.ask(&one, &[(0, 150_000), (150_000, 50_000)]), taker.ask(&two, &[(0, Range::TO_END)])];
    ids.into_iter().for_each(|id| taker.result(id).expect("an answer"));
    // 500,000 bytes, less what may come at once.
    assert!(begun.elapsed() >= Duration::from_millis(2300), "{:?}", begun.elapsed());
    // They flow in pieces.
    assert!(taker.supplies(ids[1]) >= 20, "{}", taker.supplies(ids[1]));
}

#[test]
fn each_kind_of_silence_has_its_own_patience() {
    let content = noise(10_000);
    let (short, long) = (Duration::from_millis(100), Duration::from_secs(60));
    let served = content.clone();
    let stalling = Server::start(move |asked| good(asked, &served).cut(100, Cut::Stall));
    let impatient = HttpOptions { timeout: long, stall_timeout: short, ..options() };
    let taker = Taker::new();
    assert_eq!(taker.kind(&open(&stalling.url("/"), &impatient), &[(0, 1000)]), ErrorKind::Timeout);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}/", listener.local_addr().expect("an address"));
    let impatient = HttpOptions { timeout: long, first_byte_timeout: short, ..options() };
    assert_eq!(taker.kind(&open(&silent, &impatient), &[(0, 1000)]), ErrorKind::Timeout);
    // The silence of a connect that TLS never answers.
    let impatient = HttpOptions { timeout: long, connect_timeout: short, ..options() };
    let error = taker.get(&open(&silent.replace("http:", "https:"), &impatient), &[(0, 1000)]).expect_err("silence");
    assert_eq!((error.kind(), error.message().split(':').next()), (ErrorKind::Timeout, Some("no connection in time")));
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let content = noise(100_000);
    let served = content.clone();
    let server = Server::start(move |asked| {
        let answer = good(asked, &served);
        let length = answer.body.len();
        // It closes without having said that it would.
        answer.cut(length, Cut::Close)
    });
    let (source, taker) = (open(&server.url("/"), &options()), Taker::new());
    for i in 0..30 {
        taker.get(&source, &[(i * 1000, 100)]).expect("an answer");
    }
    assert!(source.link().round_trip.is_some());
}

#[test]
fn a_pause_that_the_server_asks_for_is_told() {
    let server = Server::start(|_| Answer::status(503).with("retry-after", "7"));
    let error = Taker::new().get(&open(&server.url("/"), &options()), &[(0, 10)]).expect_err("busy");
    assert_eq!((error.kind(), error.pause()), (ErrorKind::SourceTemporary, Some(Duration::from_secs(7))));
}
