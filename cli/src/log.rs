//! The log file of `--log`: one line per event, appended, with the time.
//!
//! Holds what the library says (which names no credentials) and never the command line (which may).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use gosync_io::{Error, Event, Result};

use crate::text;

/// A log file that is open for appending.
pub(crate) struct Log {
    file: File,
}

impl Log {
    /// Opens the file, or creates it.
    pub(crate) fn open(path: &Path) -> Result<Log> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|cause| Error::from_io(cause, "cannot open the log file", path.display()))?;
        Ok(Log { file })
    }

    /// Appends a line.
    pub(crate) fn line(&self, level: &str, kind: &str, message: &str, fields: &[(&str, String)]) {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let mut line = format!("{now} {level:<7} {kind}: {}", text::clean(message));
        for (key, value) in fields {
            line.push_str(&format!(" {key}={}", quoted(value)));
        }
        line.push('\n');
        // A log that cannot be written must not stop an update; and one call keeps the lines of several programs apart.
        let _ = (&self.file).write_all(line.as_bytes());
    }

    /// Appends an event.
    pub(crate) fn event(&self, event: &Event) {
        self.line(event.level.name(), event.kind, &event.message, &event.fields);
    }
}

/// A value as it is, or in quotes where it would not end at the next space.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
    if plain { value.to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_stay_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        let log = Log::open(&path).unwrap();
        log.line("info", "kind", "two\nlines", &[("a", "1".into()), ("b", "x \"y\"\n".into())]);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0], "before");
        assert!(lines[1].ends_with(r#" info    kind: two\nlines a=1 b="x \"y\"\n""#), "{}", lines[1]);
    }
}
