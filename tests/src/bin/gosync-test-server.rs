//! The test server as a program, for tests in other languages.
//!
//!     gosync-test-server FOLDER [--no-ranges] [--fail-every N] [--log FILE]
//!
//! Serves FOLDER on 127.0.0.1. The first line on stdout is the port; then, on stdout or in FILE, one line of JSON for each
//! request: {"method","path","range","status","bytes"}. Whoever starts it ends it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use gosync_tests::server::{Options, Record, Server};

fn main() -> ExitCode {
    match serve(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gosync-test-server: {why}");
            ExitCode::from(2)
        }
    }
}

fn serve(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut folder, mut options) = (None, Options::default());
    let mut log: Box<dyn Write + Send> = Box::new(std::io::stdout());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--no-ranges" => options.no_ranges = true,
            "--fail-every" => {
                options.fail_every = value()?.parse().map_err(|error| format!("--fail-every: {error}"))?
            }
            "--log" => {
                let path = value()?;
                log = Box::new(std::fs::File::create(&path).map_err(|error| format!("{path}: {error}"))?);
            }
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ => folder = Some(argument),
        }
    }
    let folder = folder.ok_or("usage: gosync-test-server FOLDER [--no-ranges] [--fail-every N] [--log FILE]")?;
    let log = Mutex::new(log);
    let listener = move |record: &Record| {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody may be reading any more; the answers go on.
        let _ = writeln!(log, "{}", record.to_json()).and_then(|()| log.flush());
    };
    let server = Server::start_with(folder, options, Box::new(listener)).map_err(|error| error.to_string())?;
    println!("{}", server.port());
    loop {
        std::thread::park();
    }
}
