//! The benchmark's results: a table for people, `target/bench/results.json` for programs, and on demand the page in docs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::{Action, Measured, Tool};
use crate::demo::grouped;
use crate::sh::{Result, sh};

const MIB: f64 = (1 << 20) as f64;

/// Prints and writes them.
pub(super) fn write(results: &[Measured], program: &Path, rounds: usize, files: &Path, to_docs: bool) -> Result<()> {
    let machine = machine();
    let versions: Vec<String> = Tool::ALL.iter().map(|tool| tool.version(program)).collect();
    let mut text = table(results);
    text.push_str(&ratios(results));
    println!("\n{text}");

    let folder = crate::paths::target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let lines: Vec<_> = results.iter().map(as_json).collect();
    let whole = json!({ "machine": machine, "versions": versions, "rounds": rounds, "results": lines });
    std::fs::write(folder.join("results.json"), format!("{whole:#}\n"))?;
    println!("written: {}", folder.join("results.json").display());

    if to_docs {
        let medium = if files.starts_with("/dev/shm") { "in memory (tmpfs)" } else { "on disk" };
        let page = format!(
            "# Benchmark\n\nWritten by `cargo xtask bench --write`: everything in one run on one machine, the programs \
             taking turns, median of {rounds} (one that took more than a minute ran once).\n\nMachine: {machine}; files {medium}. Versions: {}.\n\n\
             gosync and zsync fetch over HTTP from the same server on loopback; rsync compares two local files with \
             `--no-whole-file`; `cp` (writing the new version) and `b3sum` (hashing it) are floors. Each update's result \
             was compared with the new version by digest. Peak memory is that of the largest process. \
             How the files are made: `xtask/src/bench/corpus.rs`.\n\n{text}",
            versions.join("; "),
        );
        let docs = crate::paths::root().join("docs/bench");
        std::fs::create_dir_all(&docs)?;
        std::fs::write(docs.join("README.md"), page)?;
        println!("written: docs/bench/README.md");
    }
    Ok(())
}

fn table(results: &[Measured]) -> String {
    let mut out = "| case | action | program | seconds | processor seconds | MiB/s | peak MiB | index bytes | content bytes | requests |\n\
                   | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for line in results {
        let usage = line.usage;
        let number = |value: u64| if value == 0 { "-".to_owned() } else { grouped(value) };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {:.2} | {:.0} | {:.0} | {} | {} | {} |",
            line.case,
            line.action.name(),
            line.tool.name(),
            usage.seconds,
            usage.processor_seconds,
            line.length as f64 / MIB / usage.seconds,
            usage.peak_bytes as f64 / MIB,
            number(line.index_bytes),
            number(line.content_bytes),
            number(line.requests),
        );
    }
    out
}

/// gosync's time as a multiple of each other program's: below 1 it is the faster.
fn ratios(results: &[Measured]) -> String {
    let mut out = "\n| case | action | gosync ÷ zsync | gosync ÷ rsync | gosync ÷ cp | gosync ÷ b3sum |\n\
                   | --- | --- | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for own in results.iter().filter(|line| line.tool == Tool::Gosync) {
        let _ = write!(out, "| {} | {} |", own.case, own.action.name());
        for other in [Tool::Zsync, Tool::Rsync, Tool::Cp, Tool::B3sum] {
            let peer = results.iter().find(|line| (line.case, line.action, line.tool) == (own.case, own.action, other));
            let cell = peer.map_or("-".to_owned(), |peer| format!("{:.2}", own.usage.seconds / peer.usage.seconds));
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
    out
}

fn as_json(line: &Measured) -> serde_json::Value {
    json!({
        "case": line.case,
        "length": line.length,
        "action": line.action.name(),
        "program": line.tool.name(),
        "seconds": line.usage.seconds,
        "processor_seconds": line.usage.processor_seconds,
        "peak_bytes": line.usage.peak_bytes,
        "index_bytes": line.index_bytes,
        "content_bytes": line.content_bytes,
        "requests": line.requests,
        "memory_limit": if line.tool == Tool::Gosync { line.memory_limit.into() } else { serde_json::Value::Null },
        "is_floor": matches!(line.tool, Tool::Cp | Tool::B3sum),
        "over_http": line.action == Action::Update && matches!(line.tool, Tool::Gosync | Tool::Zsync),
    })
}

/// Processor, cores and memory.
pub(super) fn machine() -> String {
    let read = |path: &str, key: &str| -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = read("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = read("/proc/meminfo", "MemTotal").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = sh("uname").arg("-sr").read().unwrap_or_default();
    format!("{processor}, {cores} cores, {memory} of memory, {}", kernel.trim())
}
