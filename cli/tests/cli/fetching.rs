//! How servers are talked to: credentials, certificates, rates, mirrors, the kept index, and what a plan reckons with.

use crate::server::{Habit, Server};
use crate::support::{Folder, Release};

/// A folder with a release, and a server that has its content and its index.
fn published() -> (Folder, Release, Server) {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Good);
    server.publish("new.gosync", folder.read("new.gosync"), Habit::Good);
    (folder, release, server)
}

#[test]
fn a_plan_reckons_with_what_it_is_told() {
    let (folder, _) = Folder::with_release();
    let plan = |args: &[&str]| {
        let all = [&["plan", "app", "--index", "new.gosync", "--assume-rtt", "100ms"], args].concat();
        folder.gosync(all).expect_code(0)
    };
    let slow = plan(&["--json", "--assume-rate", "125kB"]).last();
    let fast = plan(&["--json", "--assume-rate", "12.5MB/s"]).last();
    for (last, rate) in [(&slow, 125_000), (&fast, 12_500_000)] {
        assert_eq!(last["strategy"], "ranges", "{last}");
        assert_eq!((last["round_trip"].as_f64(), last["rate"].as_u64()), (Some(0.1), Some(rate)));
        assert_eq!((last["assume_rtt"].as_f64(), last["assume_rate"].as_u64()), (Some(0.1), Some(rate)));
    }
    let seconds = |last: &serde_json::Value, key: &str| last[key].as_f64().unwrap_or_else(|| panic!("{key}: {last}"));
    for key in ["time", "time_whole"] {
        assert!(seconds(&fast, key) > 0.1 && seconds(&slow, key) > seconds(&fast, key), "{slow} {fast}");
    }
    assert!(seconds(&slow, "time_whole") > seconds(&slow, "time"), "{slow}");
    assert!(slow["reason"].as_str().is_some_and(|reason| !reason.is_empty()));

    let text = plan(&["--assume-rate", "12.5MB"]).stdout;
    for expected in ["100 ms, assumed", "12.50 MB/s, assumed", "by ranges", "in one go", "strategy", "reason"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }

    let last = folder.gosync(["plan", "app", "--index", "new.gosync", "--json"]).expect_code(0).last();
    assert!(last["assume_rtt"].is_null() && last["assume_rate"].is_null(), "{last}");
    let last = folder.gosync(["plan", "new", "--index", "new.gosync", "--json"]).expect_code(0).last();
    assert_eq!((last["strategy"].as_str(), last["up_to_date"].as_bool()), (Some("local"), Some(true)));
    assert!(last["time"].is_null() && last["time_whole"].is_null(), "{last}");
}

#[test]
fn credentials_of_a_url_arrive_and_are_shown_nowhere() {
    let (folder, _, server) = published();
    let secret = server.url("new.gosync").replace("http://", "http://name:hunter2@") + "?token=hunter2";
    let run = folder.gosync(["update", "app", "--index", &secret, "-vv", "--json"]).expect_code(0);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter2"), "{}{}", run.stdout, run.stderr);
    // What `name:hunter2` is in base64, in the lower case that the server keeps.
    let credentials = "authorization: basic bmftztpodw50zxiy";
    assert!(server.heads().iter().all(|head| head.contains(credentials)), "{:?}", server.heads());
}

#[test]
fn an_index_of_something_else_is_refused() {
    let (folder, release, server) = published();
    let url = server.url("new.gosync");
    let root =
        folder.gosync(["info", "new.gosync", "--json"]).expect_code(0).last()["root"].as_str().map(str::to_owned);
    let (root, other) = (root.expect("a root"), "0".repeat(64));
    for verb in ["plan", "update", "verify"] {
        let run = folder.gosync([verb, "app", "--index", &url, "--expect", &other]);
        assert!(run.code != Some(0) && run.stderr.contains(&other) && run.stderr.contains(&root), "{}", run.stderr);
    }
    assert_ne!(folder.gosync(["info", &url, "--expect", &other]).code, Some(0));
    let asked = |head: &String| head.starts_with("get /new ");
    assert!(!server.heads().iter().any(asked), "{:?}", server.heads());
    let run = folder.gosync(["update", "app", "--index", &url, "--expect", "af13"]);
    assert!(run.code == Some(2) && run.stderr.contains("64 hexadecimal digits"), "{}", run.stderr);
    folder.gosync(["update", "app", "--index", &url, "--expect", &root]).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn what_cannot_be_is_refused() {
    let (folder, _) = Folder::with_release();
    let cases = [
        ["--rate-limit", "fast"],
        ["--rate-limit", "-1"],
        ["--rate-limit", "1.5.5MB"],
        ["--rate-limit", "0.1"],
        ["--assume-rate", "12,5MB"],
        ["--assume-rtt", "soon"],
        ["--connect-timeout", "-1"],
        ["--first-byte-timeout", "x"],
        ["--stall-timeout", "1e300"],
        ["--max-gap", "1.5MiB"],
    ];
    for case in cases {
        let args = [&["plan", "app", "--index", "new.gosync"], &case[..]].concat();
        assert_eq!(folder.gosync(args).expect_code(2).stdout, "", "{case:?}");
    }
    for case in [["--user", "@missing"], ["--bearer", "@missing"], ["-H", "@missing"]] {
        let args = [&["plan", "app", "--index", "new.gosync"], &case[..]].concat();
        assert!(folder.gosync(args).expect_code(3).error().contains("missing"), "{case:?}");
    }
    let args = ["update", "app", "--index", "new.gosync", "--mirror", "missing"];
    assert!(folder.gosync(args).expect_code(3).error().contains("missing"));
}

#[test]
fn limits_of_fetching_are_passed_on() {
    let (folder, release, server) = published();
    let index = server.url("new.gosync");
    let mut args = vec!["update", "app", "--index", &index, "--max-gap", "64KiB", "--retries", "1"];
    args.extend(["--connect-timeout", "20s", "--first-byte-timeout", "20s", "--stall-timeout", "20"]);
    args.extend(["--rate-limit", "100MB/s", "--proxy", "", "--no-proxy", "*"]);
    folder.gosync(args).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn credentials_arrive_and_are_shown_nowhere() {
    let (folder, release, server) = published();
    folder.write("token", b"hunter2-token\n");
    folder.write("lines", b"X-One: hunter2-one\nX-Two: hunter2-two\n");
    let index = server.url("new.gosync");
    let mut args = vec!["update", "app", "--index", &index, "--bearer", "@token", "-H", "@lines"];
    args.extend(["--header", "X-Three: hunter2-three", "-vv", "--log", "log", "--json"]);
    let run = folder.gosync(args).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
    let heads = server.heads();
    assert!(heads.iter().any(|head| head.contains("/new.gosync ")) && heads.iter().any(|head| head.contains("/new ")));
    for head in heads {
        let lines = ["authorization: bearer hunter2-token", "x-one: hunter2-one", "x-two: hunter2-two"];
        for line in lines.into_iter().chain(["x-three: hunter2-three"]) {
            assert!(head.contains(line), "{line}: {head}");
        }
    }
    let log = String::from_utf8(folder.read("log")).expect("text");
    assert!(!format!("{}{}{log}", run.stdout, run.stderr).contains("hunter2"), "{}{}{log}", run.stdout, run.stderr);

    let before = server.heads().len();
    folder.gosync(["info", &index, "--user", "name:hunter2"]).expect_code(0);
    let heads = server.heads().split_off(before);
    // What `name:hunter2` is in base64, in the lower case that the server keeps.
    assert!(heads.iter().all(|head| head.contains("authorization: basic bmftztpodw50zxiy")), "{heads:?}");

    let run = folder.gosync(["info", &index, "-H", "no colon: but\nhunter2: a second line", "-vv"]).expect_code(2);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn a_ca_file_that_cannot_be_read_is_a_clear_error() {
    let (folder, _, server) = published();
    let index = server.url("new.gosync");
    let run = folder.gosync(["info", &index, "--ca-file", "missing.pem"]).expect_code(3);
    assert!(run.error().contains("missing.pem"));
    folder.write("bad.pem", b"this is no certificate");
    let run = folder.gosync(["info", &index, "--ca-file", "bad.pem"]).expect_one_of(&[2, 3]);
    assert!(run.error().contains("bad.pem"));
}

#[test]
fn a_mirror_stands_in() {
    let (folder, release, server) = published();
    server.publish("broken", Vec::new(), Habit::Fails(500));
    server.publish("wrong", crate::support::noise(9, release.new.len()), Habit::Good);
    for bad in ["broken", "wrong"] {
        folder.write("app", &release.old);
        let (bad, good) = (server.url(bad), server.url("new"));
        let mut args = vec!["update", "app", "--index", "new.gosync", "--source", &bad, "--mirror", &good];
        args.extend(["--retries", "2"]);
        folder.gosync(args).expect_code(0);
        assert_eq!(folder.read("app"), release.new);
    }
}

#[test]
fn a_kept_index_is_one_conditional_request() {
    let (folder, _, server) = published();
    let index = server.url("new.gosync");
    let args = ["info", &index, "--index-cache", "kept", "--json"];
    let first = folder.gosync(args).expect_code(0).last();
    let (requests, bytes) = (server.heads().len(), server.bytes());
    let again = folder.gosync(args).expect_code(0).last();
    assert_eq!(again["root"], first["root"]);
    let heads = server.heads().split_off(requests);
    assert_eq!((heads.len(), server.bytes()), (1, bytes), "{heads:?}");
    assert!(heads[0].contains("if-none-match: \"v1\""), "{heads:?}");
    // Damage is noticed, and read again.
    let mut kept = folder.read("kept");
    let middle = kept.len() / 2;
    kept[middle] ^= 1;
    folder.write("kept", &kept);
    assert_eq!(folder.gosync(args).expect_code(0).last()["root"], first["root"]);
}

#[test]
fn a_rate_limit_limits() {
    let (folder, release, server) = published();
    let index = server.url("new.gosync");
    let started = std::time::Instant::now();
    let args = ["update", "app", "--index", &index, "--ignore-target", "--rate-limit", "1MB"];
    folder.gosync(args).expect_code(0);
    assert_eq!(folder.read("app"), release.new);
    // Three megabytes; one may come at once.
    assert!(started.elapsed().as_secs_f64() > 1.5, "{:?}", started.elapsed());
}
