//! Who hears what: decides, from the options and the terminal, where progress, events, results and errors go.
//!
//! Standard output carries results (and with `--json` everything, one object per line); standard error carries
//! progress, events and errors for people; the log file gets the events.

use std::error::Error as _;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;

use gosync_io::{Cancel, Error, ErrorKind, Event, Level, Observer, Progress, Result};

use crate::args::Common;
use crate::log::Log;
use crate::outcome::Outcome;
use crate::output::{Output, error_line};
use crate::progress::{Bar, Lines};
use crate::{exit, json, text};

/// How progress is shown.
enum Display {
    Nothing,
    Json,
    Bar(Bar),
    Lines(Lines),
}

/// Everything that is told to the outside while a verb works and at its end.
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    verbose: u8,
    display: Display,
    output: Output,
    log: Option<Log>,
    started: Instant,
}

impl Ui {
    /// What the options and the terminal ask for. Fails if the log file cannot be opened.
    pub(crate) fn new(common: &Common, verb: &str) -> Result<Ui> {
        let log = common.log.as_deref().map(Log::open).transpose()?;
        let ui = Ui { log, ..Ui::without_log(common) };
        ui.log_line("info", "program_started", &format!("gosync {} {verb}", env!("CARGO_PKG_VERSION")), &[]);
        Ok(ui)
    }

    /// The same without a log file, to say that it could not be opened.
    pub(crate) fn without_log(common: &Common) -> Ui {
        let smart = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let display = match (common.quiet, common.json) {
            (true, _) => Display::Nothing,
            (false, true) => Display::Json,
            (false, false) if smart => Display::Bar(Bar::new()),
            (false, false) => Display::Lines(Lines::default()),
        };
        Ui {
            json: common.json,
            quiet: common.quiet,
            verbose: common.verbose,
            display,
            output: Output::default(),
            log: None,
            started: Instant::now(),
        }
    }

    /// What the library is given to report to, and to be stopped by.
    pub(crate) fn observer(self: &Arc<Self>, cancel: &Cancel) -> Observer {
        let (on_progress, on_event) = (Arc::clone(self), Arc::clone(self));
        Observer {
            progress: Some(Arc::new(move |progress| on_progress.progress(progress))),
            events: Some(Arc::new(move |event| on_event.event(event))),
            cancel: cancel.clone(),
        }
    }

    /// Whether details are asked for.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// A remark for the person at the terminal.
    pub(crate) fn note(&self, message: &str) {
        if !self.quiet && !self.json {
            self.stderr(message);
        }
    }

    /// A detail of the program's own, as an event.
    pub(crate) fn debug(&self, kind: &'static str, message: &str) {
        self.event(&Event { level: Level::Debug, kind, message: message.to_owned(), fields: Vec::new() });
    }

    /// Says how it ended; gives the exit code.
    pub(crate) fn finish(&self, outcome: Result<Outcome>) -> u8 {
        if let Display::Bar(bar) = &self.display {
            bar.clear();
        }
        let (code, failure) = match outcome {
            Ok(outcome) => (outcome.code, self.succeed(&outcome).err()),
            Err(error) => (exit::OK, Some(error)),
        };
        match failure {
            None => {
                self.log_line("info", "program_finished", &format!("exit code {code}"), &[]);
                code
            }
            Some(error) => self.fail(&error),
        }
    }

    fn succeed(&self, outcome: &Outcome) -> Result<()> {
        if self.json {
            self.output.last_line(&outcome.json(self.started.elapsed()).to_string());
        } else if !self.quiet {
            let lines: Vec<_> = outcome.lines().collect();
            self.output.last_line(&lines.join("\n"));
        }
        match self.output.failure() {
            None => Ok(()),
            Some(cause) => Err(Error::from_io(cause, "cannot write the result", "standard output")),
        }
    }

    fn fail(&self, error: &Error) -> u8 {
        let kind = error.kind();
        self.log_line("error", kind.name(), error.message(), error.context());
        if self.json {
            self.output.last_line(&json::error(error).to_string());
        } else if kind == ErrorKind::Cancelled {
            self.stderr("cancelled");
        } else {
            self.stderr(&format!("error: {error}"));
            self.explain(error);
        }
        exit::code(kind)
    }

    /// With `-v`, what is behind an error.
    fn explain(&self, error: &Error) {
        if self.verbose == 0 || self.quiet {
            return;
        }
        self.stderr(&format!("  kind: {} ({})", error.kind().name(), error.kind().number()));
        let mut cause = error.source();
        while let Some(error) = cause {
            self.stderr(&format!("  caused by: {error}"));
            cause = error.source();
        }
    }

    fn progress(&self, progress: &Progress) {
        match &self.display {
            Display::Nothing => {}
            Display::Json => self.output.line(&json::progress(progress).to_string()),
            Display::Bar(bar) => bar.show(progress),
            Display::Lines(lines) => lines.show(progress),
        }
    }

    fn event(&self, event: &Event) {
        // The error itself comes at the end, here as everywhere; nobody wants to read it twice.
        if event.kind == "failed" {
            return;
        }
        if let Some(log) = &self.log
            && (event.level < Level::Debug || self.verbose >= 2)
        {
            log.event(event);
        }
        let shown = match event.level {
            Level::Warning => true,
            Level::Info => self.verbose >= 1,
            Level::Debug => self.verbose >= 2,
        };
        if !shown || self.quiet {
            return;
        }
        if self.json {
            self.output.line(&json::log(event).to_string());
        } else {
            self.stderr(&describe(event));
        }
    }

    /// A line for people, above the bar if there is one.
    fn stderr(&self, line: &str) {
        let line = text::clean(line);
        match &self.display {
            Display::Bar(bar) => bar.above(&line),
            _ => error_line(&line),
        }
    }

    fn log_line(&self, level: &str, kind: &str, message: &str, fields: &[(&str, String)]) {
        if let Some(log) = &self.log {
            log.line(level, kind, message, fields);
        }
    }
}

fn describe(event: &Event) -> String {
    let facts: Vec<_> = event.fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    format!("{}: {}{facts}", event.level.name(), event.message)
}
