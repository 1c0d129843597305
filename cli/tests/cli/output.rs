//! What goes where: standard output, standard error, the log file, a terminal.

use std::process::{Command, Stdio};

use crate::server::{Habit, Server};
use crate::support::{Folder, Run};

#[test]
fn every_line_of_json_is_an_object_and_the_last_is_the_result() {
    let (folder, release) = Folder::with_release();
    let run = folder.gosync(["update", "app", "--index", "new.gosync", "--json", "-vv"]).expect_code(0);
    assert_eq!(run.stderr, "", "with --json everything is on standard output");
    let lines = run.json();
    assert_eq!(run.last()["event"], "result");
    let mut fraction = 0.0;
    for line in lines.iter().filter(|line| line["event"] == "progress") {
        let now = line["fraction"].as_f64().expect("a fraction");
        assert!((fraction..=1.0).contains(&now), "never back: {fraction} to {now}");
        fraction = now;
        for key in ["total", "from_seeds", "fetched", "wasted", "written", "requests", "retries"] {
            assert!(line[key].is_u64(), "{key}: {line}");
        }
        assert!(line["phase"].is_string() && line["cancellable"].is_boolean(), "{line}");
    }
    assert_eq!(fraction, 1.0);
    let logs: Vec<_> = lines.iter().filter(|line| line["event"] == "log").collect();
    assert!(!logs.is_empty(), "-vv shows events");
    for log in logs {
        assert!(["warning", "info", "debug"].contains(&log["level"].as_str().unwrap_or_default()), "{log}");
        assert!(log["kind"].is_string() && log["message"].is_string() && log["fields"].is_object(), "{log}");
    }
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn an_error_in_json_has_kind_number_and_context() {
    let (folder, _) = Folder::with_release();
    let run = folder.gosync(["verify", "nowhere", "--index", "new.gosync", "--json"]).expect_code(3);
    let last = run.last();
    assert_eq!(last["event"], "error");
    assert_eq!((last["kind"].as_str(), last["number"].as_i64()), (Some("NOT_FOUND"), Some(21)));
    assert_eq!(last["retryable"], false);
    assert!(last["text"].as_str().is_some_and(|text| text.contains("nowhere")), "{last}");
    assert!(last["context"]["path"].as_str().is_some_and(|path| path.contains("nowhere")), "{last}");
    assert!(last["message"].is_string());
}

#[test]
fn quiet_prints_nothing_but_errors() {
    let (folder, release) = Folder::with_release();
    for args in [
        &["index", "new", "-q"][..],
        &["info", "new.gosync", "-q"],
        &["plan", "app", "--index", "new.gosync", "-q", "-vv"],
        &["update", "app", "--index", "new.gosync", "--quiet"],
        &["verify", "app", "--index", "new.gosync", "-q"],
    ] {
        let run = folder.gosync(args).expect_code(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{args:?}");
    }
    assert_eq!(folder.read("app"), release.new);
    folder.write("other", b"something else");
    let run = folder.gosync(["verify", "other", "--index", "new.gosync", "-q"]).expect_code(1);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    folder.gosync(["info", "missing", "-q"]).expect_code(3).error();
    let run = folder.gosync(["info", "new.gosync", "-q", "--json"]).expect_code(0);
    assert_eq!(run.json().len(), 1, "the last line alone");
}

#[test]
fn verbose_shows_events_on_standard_error() {
    let (folder, _) = Folder::with_release();
    let run = folder.gosync(["update", "app", "--index", "new.gosync", "-v"]).expect_code(0);
    assert!(run.stderr.lines().any(|line| line.starts_with("info: ")), "{}", run.stderr);
    assert!(!run.stderr.contains("debug: "), "{}", run.stderr);
    assert!(!run.stdout.contains("info: "), "{}", run.stdout);
    let run = folder.gosync(["info", "missing", "-v"]).expect_code(3);
    assert!(run.stderr.contains("kind: NOT_FOUND (21)") && run.stderr.contains("caused by: "), "{}", run.stderr);
}

#[test]
fn the_log_file_is_appended_to_and_has_no_secrets() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Good);
    let source = server.url("new?token=hunter2").replace("http://", "http://user:hunter2@");
    folder.write("log", b"what was there\n");
    let args = ["update", "app", "--index", "new.gosync", "--source", &source, "--log", "log", "-q"];
    folder.gosync(args).expect_code(0);
    folder.gosync(["info", "missing", "--log", "log", "-q"]).expect_code(3);
    let log = String::from_utf8(folder.read("log")).unwrap();
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("what was there"));
    for line in lines {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
        let level = rest.split_whitespace().next();
        assert!(["info", "warning", "error"].contains(&level.unwrap_or_default()), "{line}");
    }
    assert!(log.contains("error") && log.contains("NOT_FOUND") && log.contains("started"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");

    folder.gosync(["info", "new.gosync", "--log", "no/such/log"]).expect_code(3).error();
    let run = folder.gosync(["info", "new.gosync", "--log", "no/such/log", "--json"]).expect_code(3);
    assert_eq!(run.last()["kind"], "NOT_FOUND");
}

#[test]
fn without_a_terminal_progress_is_a_few_plain_lines() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Slow);
    let args = ["update", "app", "--index", "new.gosync", "--source", &server.url("new")];
    let run = folder.gosync(args).expect_code(0);
    assert!(run.stderr.lines().any(|line| line.starts_with("transferring ")), "{}", run.stderr);
    assert!(!run.stderr.contains('\r') && !run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    assert!(run.stderr.lines().count() <= 20, "{}", run.stderr);
}

#[test]
fn on_a_terminal_progress_is_a_bar() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Slow);
    let program = env!("CARGO_BIN_EXE_gosync");
    let line = format!("{program} update app --index new.gosync --source {}", server.url("new"));
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).env("TERM", "xterm").current_dir(folder.path("")).stdin(Stdio::null());
    let Ok(output) = script.output() else {
        eprintln!("skipped: there is no `script` to make a terminal");
        return;
    };
    let run = Run::of(output).expect_code(0);
    assert!(run.stdout.contains("transferring [") && run.stdout.contains('\r'), "{:?}", run.stdout);
    assert!(run.stdout.contains("updated"), "{:?}", run.stdout);
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn a_reader_who_goes_away_is_no_panic() {
    let (folder, release) = Folder::with_release();
    for args in [&["--help"][..], &["info", "new.gosync"], &["update", "app", "--index", "new.gosync", "--json", "-vv"]]
    {
        let mut command = folder.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        Run::of(child.wait_with_output().unwrap()).expect_code(0);
    }
    assert_eq!(folder.read("app"), release.new, "the work goes on");
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let (folder, release) = Folder::with_release();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = folder.command(["update", "app", "--index", "new.gosync"]).stdout(full).output().unwrap();
    let run = Run::of(output).expect_code(3);
    assert!(run.error().contains("standard output"), "{}", run.stderr);
    assert_eq!(folder.read("app"), release.new);
}

#[test]
fn other_peoples_text_does_not_reach_the_terminal_raw() {
    let folder = Folder::new();
    folder.write("new", b"content");
    folder.gosync(["index", "new", "--source", "a\u{1b}[2Jb"]).expect_one_of(&[0, 2]);
    if folder.path("new.gosync").exists() {
        let run = folder.gosync(["info", "new.gosync"]).expect_code(0);
        assert!(!run.stdout.contains('\u{1b}'), "{:?}", run.stdout);
    }
    let run = folder.gosync(["info", "\u{1b}[2J"]).expect_code(3);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}
