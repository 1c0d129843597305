//! What was measured on trees, as tables and goals: printed, kept, and on demand in docs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::bench::kept::machine;
use crate::demo::grouped;
use crate::sh::Result;

const MIB: u64 = 1 << 20;
/// Bytes of memory for each file, beside so many.
const MEMORY: (u64, u64) = (64 * MIB, 300);

/// Prints and writes it; whether every goal is met.
pub(super) fn write(results: &[Value], kept: &Path, to_docs: bool) -> Result<bool> {
    let goals = goals(results);
    let mut text = String::from("## Goals\n\n| what | goal | measured | |\n| --- | --- | --- | --- |\n");
    for goal in &goals {
        let verdict = if goal.is_met { "ok" } else { "**missed**" };
        let _ = writeln!(text, "| {} | {} | {} | {verdict} |", goal.what, goal.goal, goal.measured);
    }
    for case in results {
        tables(case, &mut text);
    }
    println!("\n{text}");
    let whole = json!({ "machine": machine(), "cases": results });
    std::fs::write(kept.join("results.json"), format!("{whole:#}\n"))?;
    if to_docs {
        let docs = crate::paths::root().join("docs/bench");
        std::fs::create_dir_all(&docs)?;
        std::fs::write(docs.join("trees.md"), page(&text))?;
        std::fs::write(docs.join("trees.json"), format!("{whole:#}\n"))?;
        println!("written: docs/bench/trees.md and docs/bench/trees.json");
    }
    Ok(goals.iter().all(|goal| goal.is_met))
}

fn page(tables: &str) -> String {
    format!(
        "# Benchmark of directories\n\n\
         Written by `cargo xtask bench --trees --write` (as JSON: `trees.json`): two adjacent releases of real packages, the \
         programs taking turns, the middle one of three runs. Machine: {}; files in memory.\n\n\
         gosync reads its index over HTTPS with HTTP/2 and the content over HTTP/1.1, from nginx as Debian sets it up; rsync from its \
         own daemon; casync from a store of its own over HTTP, with the old directory as seed; zsync the tar, beside the old tar \
         (its unpacking is not counted); curl the tar.gz, which is unpacked on the way. *From the server* and *to the server* are bytes \
         on the wire of the line of `net.md`, all headers included. The time contains bringing the result to the disk. Each \
         result was compared with the new version by `diff -r`.\n\n{tables}",
        machine(),
    )
}

struct Goal {
    what: String,
    goal: String,
    measured: String,
    is_met: bool,
}

fn goals(results: &[Value]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for case in results.iter().filter(|case| case["case"] != "growth") {
        let mut lines: Vec<&str> = points(case).filter_map(|point| point["line"].as_str()).collect();
        lines.dedup();
        for line in lines {
            of_line(case, line, &mut goals);
        }
    }
    if let Some(growth) = results.iter().find(|case| case["case"] == "growth") {
        of_growth(growth, &mut goals);
    }
    goals
}

fn of_line(case: &Value, line: &str, goals: &mut Vec<Goal>) {
    let point = |program: &str| points(case).find(|point| point["line"] == line && point["program"] == program);
    let bytes = |point: &Value| point["bytes_back"].as_u64().unwrap_or(0) + point["bytes_there"].as_u64().unwrap_or(0);
    let name = format!("{}, {line}", case["case"].as_str().unwrap_or_default());
    let best = |figure: &dyn Fn(&Value) -> f64, programs: &[&str]| {
        let all = programs.iter().filter_map(|program| point(program).map(|point| (*program, figure(point))));
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(program, figure)| (program.to_owned(), figure))
    };
    let Some(own) = point("gosync, packs") else { return };
    let own_bytes = bytes(own) as f64;
    let all_bytes = |point: &Value| bytes(point) as f64;
    if let Some((peer, theirs)) = best(&all_bytes, &["casync", "zsync, tar", "curl, tar.gz"]) {
        goals.push(ratio(
            format!("bytes: {name}"),
            own_bytes,
            theirs,
            0.6,
            &format!("{peer}, the best published index"),
            grouped_bytes,
        ));
    }
    if let Some(rsync) = point("rsync -az") {
        goals.push(ratio(format!("bytes: {name}"), own_bytes, bytes(rsync) as f64, 1.1, "rsync -az", grouped_bytes));
    }
    let seconds = |point: &Value| point["seconds"].as_f64().unwrap_or(0.0);
    if line != super::NEAR.name
        && let Some((peer, theirs)) = best(&seconds, &["rsync -a", "rsync -az", "casync", "zsync, tar", "curl, tar.gz"])
    {
        goals.push(ratio(format!("time: {name}"), seconds(own), theirs, 0.6, &format!("{peer}, the fastest"), |it| {
            format!("{it:.2} s")
        }));
    }
    if let Some(none) = point("gosync, nothing new") {
        let (requests, served) = (none["requests"].as_u64().unwrap_or(0), none["bytes_served"].as_u64().unwrap_or(0));
        goals.push(Goal {
            what: format!("nothing new: {name}"),
            goal: "at most 2 requests and 4 KB".to_owned(),
            measured: format!(
                "{requests} requests, {} bytes with headers ({} on the wire, with TLS)",
                grouped(served),
                grouped(bytes(none))
            ),
            is_met: requests <= 2 && served <= 4000,
        });
    }
}

fn grouped_bytes(bytes: f64) -> String {
    grouped(bytes as u64)
}

fn ratio(what: String, own: f64, theirs: f64, most: f64, peer: &str, show: fn(f64) -> String) -> Goal {
    let ratio = own / theirs.max(f64::MIN_POSITIVE);
    Goal {
        what,
        goal: format!("at most {most} × {peer}"),
        measured: format!("{ratio:.2} × ({}, {})", show(own), show(theirs)),
        is_met: ratio <= most,
    }
}

fn of_growth(growth: &Value, goals: &mut Vec<Goal>) {
    let of = |action: &str| -> Vec<(u64, f64, u64)> {
        let all = points(growth).filter(|point| point["action"] == action);
        all.map(|point| {
            let whole = |name: &str| point[name].as_u64().unwrap_or(0);
            (whole("files"), point["seconds"].as_f64().unwrap_or(0.0), whole("peak_bytes"))
        })
        .collect()
    };
    for action in ["index", "update"] {
        let all = of(action);
        // The smallest is mostly the start of the program.
        let each: Vec<f64> = all.iter().skip(1).map(|(files, seconds, _)| seconds / *files as f64).collect();
        if let [first, last] = each[..] {
            goals.push(Goal {
                what: format!("growth: {action}, time for each file"),
                goal: "linear: at 100,000 files at most 1.25 × that at 10,000".to_owned(),
                measured: format!("{:.2} × ({:.0} µs, {:.0} µs)", last / first, last * 1e6, first * 1e6),
                is_met: last / first <= 1.25,
            });
        }
        for (files, _, peak) in all {
            let most = MEMORY.0 + MEMORY.1 * files;
            goals.push(Goal {
                what: format!("memory: {action}, {} files", grouped(files)),
                goal: format!("at most {} MiB", most / MIB),
                measured: format!("{} MiB", peak / MIB),
                is_met: peak <= most,
            });
        }
    }
    if let Some((_, seconds, _)) = of(super::growth::RENAMED).into_iter().find(|(files, ..)| *files == 10_000) {
        goals.push(Goal {
            what: "published but nothing to fetch, 10,000 files, by size and time".to_owned(),
            goal: "at most 0.5 s".to_owned(),
            measured: format!("{seconds:.3} s"),
            is_met: seconds <= 0.5,
        });
    }
}

fn points(case: &Value) -> impl Iterator<Item = &Value> {
    case["points"].as_array().into_iter().flatten()
}

fn tables(case: &Value, out: &mut String) {
    let whole = |point: &Value, name: &str| point[name].as_u64().map_or_else(|| "-".to_owned(), grouped);
    let seconds = |point: &Value| point["seconds"].as_f64().unwrap_or(0.0);
    let name = case["case"].as_str().unwrap_or_default();
    if name == "growth" {
        *out += "\n## Growth\n\nFiles of 512 bytes to 8 KiB, a hundred in each folder, of which the new version has one in a \
                 hundred anew; index and content beside the target. Nothing to fetch: a version after that in which a folder has \
                 another name.\n\n\
                 | files | bytes | action | seconds | peak KiB |\n| ---: | ---: | --- | ---: | ---: |\n";
        for point in points(case) {
            let peak = point["peak_bytes"].as_u64().unwrap_or(0) >> 10;
            let action = point["action"].as_str().unwrap_or_default();
            let (files, bytes) = (whole(point, "files"), whole(point, "bytes"));
            let _ = writeln!(out, "| {files} | {bytes} | {action} | {:.3} | {} |", seconds(point), grouped(peak));
        }
        return;
    }
    let _ = writeln!(
        out,
        "\n## {name}\n\n{} files, {} bytes.\n\n\
         | line | program | seconds | from the server | to the server | requests | peak MiB |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        whole(case, "files"),
        whole(case, "bytes"),
    );
    for point in points(case) {
        let text = |name: &str| point[name].as_str().unwrap_or_default().to_owned();
        let _ = writeln!(
            out,
            "| {} | {} | {:.2} | {} | {} | {} | {} |",
            text("line"),
            text("program"),
            seconds(point),
            whole(point, "bytes_back"),
            whole(point, "bytes_there"),
            whole(point, "requests"),
            point["peak_bytes"].as_u64().unwrap_or(0) / MIB,
        );
    }
}
