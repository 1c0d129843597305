//! The conformance server as a program, for other clients than gosync.
//!
//!     gosync-conformance-server [--port N]
//!
//! Prints the addresses and what there is to ask for, and serves it on 127.0.0.1 until it is ended.
//! What each behaviour is, and which outcome is right: docs/conformance.md.

use std::io::Write;
use std::process::ExitCode;

use gosync_tests::conformance::content::Content;
use gosync_tests::conformance::server::{Listener, Server};

fn main() -> ExitCode {
    match serve(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gosync-conformance-server: {why}");
            ExitCode::from(2)
        }
    }
}

fn serve(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mut port = 0;
    while let Some(argument) = arguments.next() {
        if argument != "--port" {
            return Err("usage: gosync-conformance-server [--port N]".to_owned());
        }
        let value = arguments.next().ok_or("--port needs a value")?;
        port = value.parse().map_err(|error| format!("--port: {error}"))?;
    }
    let server = Server::start_at(Content::standard(), port).map_err(|error| error.to_string())?;
    // Nobody may be reading any more; the answers go on.
    let mut out = std::io::stdout();
    let _ = write!(out, "{}\n{}", server.url(Listener::Main, "/"), server.listing()).and_then(|()| out.flush());
    loop {
        std::thread::park();
    }
}
