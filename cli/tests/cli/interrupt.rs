//! Ctrl-C: clean the first time, at once the second time.
#![cfg(unix)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{Habit, Server};
use crate::support::{Folder, Run, noise};

fn press_ctrl_c(child: &Child) {
    signal(child, "-INT");
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("a `kill` program").success());
}

/// Waits for the end, but not for ever.
fn end(mut child: Child) -> Run {
    let started = Instant::now();
    while child.try_wait().expect("the child's state").is_none() {
        if started.elapsed() > Duration::from_secs(20) {
            child.kill().expect("the child to be killed");
            panic!("the program did not stop");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Run::of(child.wait_with_output().expect("the child's output"))
}

#[test]
fn the_first_ctrl_c_cancels_cleanly() {
    let (folder, release) = Folder::with_release();
    let server = Server::start();
    server.publish("new", release.new.clone(), Habit::Hangs);
    // What the system sends before it ends everything works as well.
    for (json, which) in [(false, "-INT"), (true, "-INT"), (false, "-TERM")] {
        let mut command = folder.command(["update", "app", "--index", "new.gosync", "--source", &server.url("new")]);
        if json {
            command.arg("--json");
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        server.wait_for("new");
        // The connection is made and the first bytes are on their way.
        std::thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        signal(&child, which);
        let run = end(child).expect_code(130);
        assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
        if json {
            assert_eq!(run.last()["kind"], "CANCELLED");
        } else {
            assert_eq!(run.stderr.lines().last(), Some("cancelled"), "{}", run.stderr);
        }
        assert_eq!(folder.read("app"), release.old);
        assert_eq!(
            folder.names_but_parts(),
            ["app", "new", "new.gosync"],
            "nothing is left behind but what the next update can use"
        );
    }
}

#[test]
fn a_server_that_hangs_with_the_index_can_be_cancelled_too() {
    let folder = Folder::new();
    let server = Server::start();
    server.publish("index", noise(3, 100_000), Habit::Hangs);
    let mut command = folder.command(["info", &server.url("index")]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.wait_for("index");
    std::thread::sleep(Duration::from_millis(200));
    press_ctrl_c(&child);
    end(child).expect_code(130);
}

#[test]
fn the_second_ctrl_c_stops_at_once() {
    let (folder, release) = Folder::with_release();
    // A result that is larger than a pipe holds, and nobody who reads it: a place where no cancel helps.
    let mut holes = release.new.clone();
    holes.iter_mut().step_by(4096).for_each(|byte| *byte ^= 1);
    folder.write("app", &holes);
    folder.gosync(["index", "new", "--block-size", "1KiB"]).expect_code(0);
    let mut command = folder.command(["plan", "app", "--index", "new.gosync", "--json", "-v"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    press_ctrl_c(&child);
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it is stuck in its output");
    press_ctrl_c(&child);
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "the second Ctrl-C does not stop it");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(130));
}
