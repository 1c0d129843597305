//! The `gosync` program: reads arguments, calls the library, shows what happens.
//!
//! The only part of gosync that knows about arguments, the environment and the terminal; all the work is `gosync-io`'s.
//! `args` is what can be said on the command line, `verbs` does it, `ui` decides who hears of it and where.

mod args;
mod exit;
mod fetching;
mod interrupt;
mod json;
mod lint;
mod log;
mod outcome;
mod output;
mod progress;
mod quantity;
mod text;
mod ui;
mod verbs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use gosync_io::{Cancel, Error, ErrorKind};

use crate::args::Args;
use crate::ui::Ui;

fn main() -> ExitCode {
    let args = match Args::try_parse().and_then(Args::check) {
        Ok(args) => args,
        Err(problem) => return usage(&problem),
    };
    ExitCode::from(run(&args))
}

/// Does what was asked for; the answer is the exit code.
fn run(args: &Args) -> u8 {
    let ui = match Ui::new(&args.common, args.verb.name()) {
        Ok(ui) => Arc::new(ui),
        Err(error) => return Ui::without_log(&args.common).finish(Err(error)),
    };
    let cancel = Cancel::new();
    interrupt::install(&cancel, &ui);
    // A defect must still end in one clear line and the documented code; the panic itself is on stderr by then.
    let outcome = catch_unwind(AssertUnwindSafe(|| verbs::run(args, &ui, &cancel)))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "a defect in gosync stopped the work")));
    ui.finish(outcome)
}

/// Shows a complaint about the arguments, or the help that was asked for.
fn usage(problem: &clap::Error) -> ExitCode {
    // Nothing sensible is left to do if the terminal or pipe is gone.
    let _ = problem.print();
    if !problem.use_stderr() {
        return ExitCode::from(exit::OK);
    }
    // There are no parsed arguments to ask, but a program that reads lines of JSON shall get its last line.
    if std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json") {
        let text = problem.to_string();
        let first: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let error = Error::new(ErrorKind::Argument, first.join(" ").trim_start_matches("error: "));
        output::Output::default().line(&json::error(&error).to_string());
    }
    ExitCode::from(exit::USAGE)
}
