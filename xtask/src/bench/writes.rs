//! What an update writes and syncs, as the system sees it: strace follows one run more, which is not timed.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::report::points;
use crate::demo::grouped;
use crate::sh::{Result, Sh, sh, which};

/// The calls that write to files, those that make what was written durable, and how a journal's name ends.
const WRITES: &[&str] = &["pwrite64", "pwritev", "copy_file_range"];
const SYNCS: &[&str] = &["fsync", "fdatasync", "sync_file_range"];
const JOURNAL: &str = ".gosync-journal";

/// What was written and synced.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Writes {
    /// To all files but the journal.
    pub(super) bytes: u64,
    /// To the journal.
    pub(super) journal: u64,
    pub(super) syncs: u64,
    /// How long they took, each by itself.
    pub(super) sync_seconds: f64,
}

/// Runs it to its end; nothing where there is no strace.
pub(super) fn watch(program: Sh, log: &Path) -> Result<Option<Writes>> {
    let Some(strace) = which("strace") else { return Ok(None) };
    let trace = log.with_extension("trace");
    let (command, _) = program.into_command();
    let calls = [WRITES, SYNCS].concat().join(",");
    let start = sh(strace).args("-f -y -T --seccomp-bpf -s 0 -o").arg(&trace).args("-e").arg(format!("trace={calls}"));
    let start = start.arg("--").arg(command.get_program());
    command.get_args().fold(start, |sh, argument| sh.arg(argument)).quiet().run()?;
    let text = std::fs::read_to_string(&trace)?;
    std::fs::remove_file(trace)?;
    Ok(Some(read(&text)))
}

/// Adds up a trace. A call that another thread's interrupts is written in two parts: its file is in the first of them, what
/// came of it in the second.
fn read(trace: &str) -> Writes {
    let mut writes = Writes::default();
    let mut open = std::collections::BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        if let Some(call) = rest.strip_suffix("<unfinished ...>") {
            open.insert(thread, call);
            continue;
        }
        let call = if rest.starts_with("<... ") { open.remove(thread).unwrap_or_default() } else { rest };
        let name = call.split('(').next().unwrap_or_default();
        let Some((value, after)) = rest.rsplit_once(" = ").and_then(|(_, result)| result.split_once(' ')) else {
            continue;
        };
        let seconds = after.rsplit_once('<').and_then(|(_, time)| time.trim_end_matches('>').parse::<f64>().ok());
        if SYNCS.contains(&name) {
            writes.syncs += 1;
            writes.sync_seconds += seconds.unwrap_or_default();
        } else if WRITES.contains(&name) {
            let bytes = value.parse::<u64>().unwrap_or_default();
            // Of a copy the second file is the one that is written.
            let file = call.split('<').nth(if name == "copy_file_range" { 2 } else { 1 }).unwrap_or_default();
            let is_journal = file.split('>').next().is_some_and(|path| path.ends_with(JOURNAL));
            if is_journal { writes.journal += bytes } else { writes.bytes += bytes }
        }
    }
    writes
}

/// What gosync writes and how often it syncs, by case.
pub(super) fn table(results: &[Value]) -> String {
    let mut out = "## Writes and syncs\n\nWhat an update writes to files, the journal of an update in place by itself, and its \
                   syncs, as strace counts them in one more run. *Changed blocks* are the bytes of those blocks that are not \
                   the same in both versions, where nothing moves. The seconds are those of the table above, syncs included; \
                   in memory these take next to nothing, on the disk `cp` is followed by one too.\n\n\
                   | case | program | seconds | written | journal | changed blocks | syncs | seconds of these |\n\
                   | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for (case, point) in points(results).filter(|(_, point)| point["syncs"].is_u64()) {
        let number = |key: &str| point[key].as_u64().map_or("-".to_owned(), grouped);
        let _ = writeln!(
            out,
            "| {} | {} | {:.3} | {} | {} | {} | {} | {:.3} |",
            case.as_str().unwrap_or("-"),
            point["program"].as_str().unwrap_or("-"),
            point["seconds"].as_f64().unwrap_or_default(),
            number("written_bytes"),
            number("journal_bytes"),
            number("changed_bytes"),
            number("syncs"),
            point["sync_seconds"].as_f64().unwrap_or_default(),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_added_up() {
        let trace = "\
            10    pwrite64(5</a/.app.0123.gosync-part>, \"\"..., 1048576, 0) = 1048576 <0.000300>\n\
            11    pwrite64(5</a/.app.0123.gosync-part>, \"\"..., 65536, 1048576 <unfinished ...>\n\
            10    fsync(6</a/.app.gosync-journal> <unfinished ...>\n\
            11    <... pwrite64 resumed>)           = 65536 <0.000100>\n\
            10    <... fsync resumed>)              = 0 <0.250000>\n\
            10    pwrite64(6</a/.app.gosync-journal>, \"\"..., 100, 0) = 100 <0.000100>\n\
            12    copy_file_range(3</a/old>, [0], 5</a/new>, [0], 4096, 0) = 4096 <0.000100>\n\
            12    pwrite64(5</a/new>, \"\"..., 7, 0) = -1 ENOSPC (No space left on device) <0.000100>\n\
            10    fsync(7</a>)                      = 0 <0.500000>\n\
            10    +++ exited with 0 +++\n";
        let expected = Writes { bytes: 1_048_576 + 65_536 + 4_096, journal: 100, syncs: 2, sync_seconds: 0.75 };
        assert_eq!(read(trace), expected);
    }
}
