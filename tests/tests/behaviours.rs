//! The conformance suite: one test for each behaviour of `tests/conformance/behaviours.json`, through the Rust library;
//! a few of them through the program too.
//!
//! What was measured is written to `conformance/measured.json` in Cargo's output folder.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gosync_tests::conformance::client::{Door, Measured, judge, update};
use gosync_tests::conformance::content::Content;
use gosync_tests::conformance::expected::{self, Expected};
use gosync_tests::conformance::program::program;
use gosync_tests::conformance::{behaviours, server::Server};
use libtest_mimic::{Arguments, Failed, Trial};

/// After this time an update counts as hanging.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Those that are tried with the program too: each has another option or another end.
const WITH_PROGRAM: &[&str] = &[
    "honest",
    "no-ranges",
    "several-501",
    "change-midway",
    "status-404",
    "status-429-seconds",
    "redirect-other-origin",
    "wrong-bytes",
    "proxy-strips-range",
    "tls-private-ca",
    "refused-then-up",
    "index-unchanged",
];

type Results = Arc<Mutex<BTreeMap<String, Measured>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let contents: Vec<Arc<Content>> = Content::standard().into_iter().map(Arc::new).collect();
    let results = Results::default();
    let all = expected::all();
    let mut trials = vec![Trial::test("the data and the server have the same behaviours", {
        let names: Vec<String> = all.iter().map(|expected| expected.name.clone()).collect();
        move || same_names(&names)
    })];
    for expected in all {
        let mut doors = vec![(Door::Library, expected.name.clone())];
        if WITH_PROGRAM.contains(&&*expected.name) {
            doors.push((Door::Program, format!("program: {}", expected.name)));
        }
        for (door, title) in doors {
            let (contents, results, expected) = (contents.clone(), results.clone(), expected.clone());
            let key = title.clone();
            trials.push(Trial::test(title, move || {
                // A server for each: a client may remember what an origin can do, and for others too.
                behaves(&Server::start(contents)?, &expected, door, (&key, &results))
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    write(&results);
    conclusion.exit_code()
}

fn same_names(names: &[String]) -> Result<(), Failed> {
    let served: Vec<&str> = behaviours::BEHAVIOURS.iter().map(|behaviour| behaviour.name).collect();
    if names == served { Ok(()) } else { Err(format!("data: {names:?}\nserver: {served:?}").into()) }
}

fn behaves(server: &Server, expected: &Expected, door: Door, to: (&str, &Results)) -> Result<(), Failed> {
    if door == Door::Program {
        program();
    }
    let (sender, receiver) = channel();
    // The program's behaviours have a memory of their own.
    let name = if door == Door::Program { format!("{}@1", expected.name) } else { expected.name.clone() };
    let (on_thread, known_as, client) = (server.clone(), name.clone(), expected.client.clone());
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_owned();
    std::thread::spawn(move || {
        // Nobody waits any more for one that took too long.
        let _ = sender.send(update(&on_thread, &known_as, &client, &path, door));
    });
    let measured = match receiver.recv_timeout(WATCHDOG) {
        Ok(measured) => measured,
        Err(RecvTimeoutError::Timeout) => return Err(format!("{name} hangs").into()),
        Err(RecvTimeoutError::Disconnected) => return Err(format!("{name} panicked").into()),
    };
    to.1.lock().unwrap_or_else(PoisonError::into_inner).insert(to.0.to_owned(), measured.clone());
    let wrong = judge(expected, &measured, server, &name);
    if wrong.is_empty() {
        return Ok(());
    }
    let ranges: Vec<String> = server
        .records(&name)
        .iter()
        .map(|record| {
            format!(
                "{:.3} {} {} {:?} if {:?} -> {} {:?}",
                record.at, record.method, record.target, record.range, record.if_range, record.status, record.sent
            )
        })
        .collect();
    Err(format!("{}\n{measured:#?}\n{}", wrong.join("\n"), ranges.join("\n")).into())
}

/// Leaves the figures where people can look at them.
fn write(results: &Results) {
    let results = results.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = gosync_tests::target().join("conformance");
    let text = serde_json::to_string_pretty(&*results).unwrap_or_default();
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("measured.json"), text));
    if let Err(error) = written {
        eprintln!("{}: {error}", folder.display());
    }
}
