//! Sources that are wrong, short, long, lying or gone: one clear error, and the old file stays.

use std::net::TcpListener;

use crate::server::{Habit, Server};
use crate::support::{Folder, noise};

/// The first byte of `new` that `app` does not have (see `Release`).
const LACKING: usize = 1_000_777;

#[test]
fn a_source_with_other_content_is_a_mismatch() {
    let (folder, release) = Folder::with_release();
    let mut lying = release.new.clone();
    lying[LACKING + 1000] ^= 1;
    folder.write("lying", &lying);
    folder.write("another", &noise(77, release.new.len()));
    let before = folder.names_but_parts();
    for source in ["lying", "another"] {
        let args = ["update", "app", "--index", "new.gosync", "--source", source];
        let run = folder.gosync(args).expect_code(1);
        run.error();
        let run = folder.gosync(args.iter().chain(&["--json"])).expect_code(1);
        assert_eq!(run.last()["kind"], "MISMATCH");
        assert_eq!(folder.read("app"), release.old, "{source}");
    }
    assert_eq!(folder.names_but_parts(), before);
}

#[test]
fn a_shorter_source_is_an_error_and_a_longer_one_harmless() {
    let (folder, release) = Folder::with_release();
    folder.write("shorter", &release.new[..LACKING + 100]);
    folder.write("empty", b"");
    let before = folder.names_but_parts();
    for source in ["shorter", "empty"] {
        let args = ["update", "app", "--index", "new.gosync", "--source", source];
        folder.gosync(args).expect_one_of(&[1, 4]).error();
        assert_eq!(folder.read("app"), release.old, "{source}");
    }
    assert_eq!(folder.names_but_parts(), before);

    let mut longer = release.new.clone();
    longer.extend_from_slice(&noise(5, 1000));
    folder.write("longer", &longer);
    let args = ["update", "app", "--index", "new.gosync", "--source", "longer"];
    match folder.gosync(args).expect_one_of(&[0, 1, 4]).code {
        Some(0) => assert_eq!(folder.read("app"), release.new),
        _ => assert_eq!(folder.read("app"), release.old),
    }
}

#[test]
fn a_lying_server_is_a_mismatch() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    let mut lying = release.new.clone();
    lying[LACKING + 1000] ^= 1;
    for (name, habit) in [("ranges", Habit::Good), ("whole", Habit::NoRanges)] {
        server.publish(name, lying.clone(), habit);
        let args = ["update", "app", "--index", "new.gosync", "--source", &server.url(name)];
        folder.gosync(args).expect_code(1).error();
        assert_eq!(folder.read("app"), release.old);
    }
    assert_eq!(folder.names_but_parts(), ["app", "new", "new.gosync"]);
}

#[test]
fn a_server_that_refuses_is_a_source_error() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("forbidden", Vec::new(), Habit::Fails(403));
    server.publish("gone", Vec::new(), Habit::Fails(410));
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/file", listener.local_addr().unwrap())
    };
    let (missing, forbidden, gone) = (server.url("missing"), server.url("forbidden"), server.url("gone"));
    for url in [&missing, &forbidden, &gone, &nobody] {
        folder.gosync(["info", url, "--timeout", "2"]).expect_code(4).error();
        let args = ["update", "app", "--index", "new.gosync", "--source", url, "--retries", "1", "--timeout", "2"];
        folder.gosync(args).expect_code(4).error();
        assert_eq!(folder.read("app"), release.old, "{url}");
    }
    assert_eq!(folder.names_but_parts(), ["app", "new", "new.gosync"]);
}

#[test]
fn a_server_that_hangs_runs_into_the_time_limit() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Hangs);
    let url = server.url("new");
    let args = ["update", "app", "--index", "new.gosync", "--source", &url, "--retries", "0", "--timeout", "300ms"];
    folder.gosync(args).expect_code(4).error();
    assert_eq!(folder.read("app"), release.old);
}

#[test]
fn what_is_not_a_url_is_not_fetched() {
    let (folder, release) = Folder::with_release();
    for source in ["http://", "http://[bad/", "ftp://127.0.0.1/file", ""] {
        let args = ["update", "app", "--index", "new.gosync", "--source", source];
        folder.gosync(args).expect_one_of(&[2, 3, 4]).error();
        assert_eq!(folder.read("app"), release.old, "{source}");
    }
}
