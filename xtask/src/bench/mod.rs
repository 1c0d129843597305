//! gosync beside its peers and over its floors, in one run on one machine: index and update, interleaved, medians.
//! Peers: zsync (the same job over HTTP) and rsync (two local files). Floors: `cp` (writing) and `b3sum` (hashing).
//! Every result is compared with the new version by digest; a wrong one ends the run.

mod corpus;
mod kernels;
mod measure;
#[cfg(target_os = "linux")]
mod net;
mod report;
mod tools;

use std::path::PathBuf;

use crate::demo::digest;
use crate::faces::{self, Profile};
use crate::server::Server;
use crate::sh::{Result, fail, sh};
use corpus::{Case, Relation};
use measure::Usage;
use tools::{Action, CONTENT, Place, Tool};

const MIB: u64 = 1 << 20;

/// Seconds: a program whose first run took longer is not run again.
const PATIENCE: f64 = 60.0;

/// What is measured, and how often.
const FULL: (&[Case], usize) = (
    &[
        Case { name: "1 GiB, 240 edits", length: 1024 * MIB, relation: Relation::Edits(240) },
        Case { name: "1 GiB, unrelated", length: 1024 * MIB, relation: Relation::None },
        Case { name: "256 MiB, unrelated", length: 256 * MIB, relation: Relation::None },
        Case { name: "64 MiB, 15 edits", length: 64 * MIB, relation: Relation::Edits(15) },
    ],
    3,
);

/// The same in small, to see that it works and that nothing is far off.
const QUICK: (&[Case], usize) = (
    &[
        Case { name: "128 MiB, 30 edits", length: 128 * MIB, relation: Relation::Edits(30) },
        Case { name: "64 MiB, unrelated", length: 64 * MIB, relation: Relation::None },
        Case { name: "64 MiB, 15 edits", length: 64 * MIB, relation: Relation::Edits(15) },
    ],
    1,
);

/// One line of the results.
struct Measured {
    case: &'static str,
    length: u64,
    action: Action,
    tool: Tool,
    usage: Usage,
    /// The index: its size when it is written, what the server sent of it in an update.
    index_bytes: u64,
    /// What the server sent of the content, and in how many answers.
    content_bytes: u64,
    requests: u64,
    /// What gosync's peak may be: 64 MiB and 64 bytes for each block of the index.
    memory_limit: u64,
}

/// Runs the benchmark with the options of the command line.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    match options {
        ["--net", options @ ..] => return over_link(options),
        ["--kernels", options @ ..] => return kernels::run(options),
        _ => {}
    }
    if let Some(unknown) = options.iter().find(|option| !matches!(**option, "--quick" | "--write")) {
        return fail(format!("bench has no option {unknown}"));
    }
    let (cases, rounds) = if options.contains(&"--quick") { QUICK } else { FULL };
    crate::setup::peers()?;
    let program = faces::program(Profile::Fast)?;
    let folder = room("files")?;
    let outcome: Result<Vec<Measured>> = cases.iter().try_fold(Vec::new(), |mut all, case| {
        all.extend(measure_case(case, rounds, &program, &folder)?);
        Ok(all)
    });
    std::fs::remove_dir_all(&folder)?;
    let results = outcome?;
    report::write(&results, &program, rounds, &folder, options.contains(&"--write"))?;
    let over = |line: &&Measured| line.tool == Tool::Gosync && line.usage.peak_bytes > line.memory_limit;
    for line in results.iter().filter(over) {
        let (peak, limit) = (line.usage.peak_bytes, line.memory_limit);
        println!("too much memory: {} of {}: {peak} bytes, limit {limit}", line.action.name(), line.case);
    }
    Ok(!results.iter().any(|line| over(&line)))
}

#[cfg(target_os = "linux")]
fn over_link(options: &[&str]) -> Result<bool> {
    net::run(options)
}

#[cfg(not(target_os = "linux"))]
fn over_link(_: &[&str]) -> Result<bool> {
    println!("skipped: bench --net: it needs the network namespaces of Linux");
    Ok(true)
}

/// As a step of another task.
pub(crate) fn quick_step() -> Result<()> {
    if run(&["--quick"])? { Ok(()) } else { fail("gosync took more memory than it may") }
}

/// Where the files of this name lie: in memory where there is enough of it, so that no disk is measured.
fn room(name: &str) -> Result<PathBuf> {
    const ENOUGH: u64 = 10 << 30;
    let printed = sh("df").args("--output=avail --block-size=1 /dev/shm").read().unwrap_or_default();
    let free: u64 = printed.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or(0);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    let available = available.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0) * 1024;
    if free.min(available) < ENOUGH {
        return Ok(crate::paths::fresh(&format!("bench/{name}"))?);
    }
    // Always the same, so that what a run that was killed has left goes with the next one.
    let folder = PathBuf::from(format!("/dev/shm/gosync-bench-{name}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn measure_case(
    case: &Case,
    rounds: usize,
    program: &std::path::Path,
    folder: &std::path::Path,
) -> Result<Vec<Measured>> {
    println!("\n{}: writing the files", case.name);
    let site = folder.join("site");
    std::fs::create_dir_all(&site)?;
    let server = Server::start(site.clone())?;
    let place = Place { program, server: &server, site, old: folder.join("old.bin"), work: folder.join("run") };
    case.write(&place.old, &place.new_version())?;
    let expected = digest(&place.new_version())?;
    let mut measured = Vec::new();
    for action in [Action::Index, Action::Update] {
        let tools: Vec<Tool> =
            Tool::ALL.into_iter().filter(|tool| (*tool, action) != (Tool::Rsync, Action::Index)).collect();
        let mut runs: Vec<Vec<Usage>> = vec![Vec::new(); tools.len()];
        let mut sent = vec![Default::default(); tools.len()];
        for _ in 0..rounds {
            for (index, tool) in tools.iter().enumerate() {
                if runs[index].first().is_some_and(|first| first.seconds > PATIENCE) {
                    continue;
                }
                runs[index].push(measure_run(&place, *tool, action, &expected)?);
                sent[index] = place.server.take_counts();
            }
        }
        let memory_limit = 64 * MIB + 64 * blocks(program, &place.site.join(Place::index(Tool::Gosync)))?;
        for ((tool, runs), sent) in tools.into_iter().zip(runs).zip(sent) {
            let count = |name: &str| sent.get(name).copied().unwrap_or_default();
            let (index, content) = (count(&Place::index(tool)), count(CONTENT));
            let has_index = matches!(tool, Tool::Gosync | Tool::Zsync) && action == Action::Index;
            let written = if has_index { std::fs::metadata(place.site.join(Place::index(tool)))?.len() } else { 0 };
            let usage = measure::median(runs);
            println!("{:>8} {:8} {:8.2} s", action.name(), tool.name(), usage.seconds);
            measured.push(Measured {
                case: case.name,
                length: case.length,
                action,
                tool,
                usage,
                index_bytes: index.bytes.max(written),
                content_bytes: content.bytes,
                requests: content.requests,
                memory_limit,
            });
        }
    }
    Ok(measured)
}

/// The number of blocks in an index, which the program says.
fn blocks(program: &std::path::Path, index: &std::path::Path) -> Result<u64> {
    let said = sh(program).args("info --json --quiet").arg(index).read()?;
    let object: serde_json::Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
    object["block_count"].as_u64().map_or_else(|| fail(format!("no block count: {said}")), Ok)
}

fn measure_run(place: &Place<'_>, tool: Tool, action: Action, expected: &str) -> Result<Usage> {
    place.prepare(tool, action)?;
    let Some(command) = place.command(tool, action)? else { return fail("no such action") };
    let usage = measure::run(command, &place.work.with_extension("log"))?;
    if Place::makes_a_result(tool, action) && digest(&place.result())? != expected {
        return fail(format!("the result of {} is wrong", tool.name()));
    }
    Ok(usage)
}
