//! The benchmark's results: tables for people, `results.json` for programs, and on demand page, JSON and chart in docs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::tools::Tool;
use super::{MIB, chart, goals, writes};
use crate::demo::grouped;
use crate::sh::Result;

/// Prints and writes what there is; whether gosync kept to the memory that it may take.
pub(super) fn write(
    results: Vec<Value>,
    gosync: &Path,
    remarks: &[String],
    folder: &Path,
    to_docs: bool,
) -> Result<bool> {
    let versions: Vec<String> = Tool::ALL
        .iter()
        .filter(|tool| **tool == Tool::Gosync || !tool.is_own())
        .filter_map(|tool| tool.version(gosync))
        .collect();
    let goals = goals_table(&goals::goals(&results));
    let tables = [table(&results), ratios(&results), writes::table(&results), recall(&results), kernels(&results)];
    let tables = tables.join("\n");
    println!("\n{goals}\n{tables}");
    let whole = json!({ "versions": versions, "remarks": remarks, "cases": results });
    std::fs::write(folder.join("results.json"), format!("{whole:#}\n"))?;
    println!("written: {}", folder.join("results.json").display());
    if to_docs {
        let docs = crate::paths::root().join("docs/bench");
        std::fs::create_dir_all(&docs)?;
        std::fs::write(docs.join("README.md"), page(&results, &versions, remarks, &goals, &tables))?;
        std::fs::write(docs.join("results.json"), format!("{whole:#}\n"))?;
        std::fs::write(docs.join("updates.svg"), chart::svg(&results))?;
        println!("written: docs/bench/README.md, results.json and updates.svg");
    }
    let mut is_fine = true;
    for (case, point) in points(&results) {
        let (peak, limit) = (point["peak_bytes"].as_u64(), point["memory_limit"].as_u64());
        if let (Some(peak), Some(limit)) = (peak, limit)
            && peak > limit
        {
            is_fine = false;
            println!("too much memory: {} of {}: {peak} bytes, limit {limit}", text(&point["action"]), text(case));
        }
    }
    Ok(is_fine)
}

fn page(results: &[Value], versions: &[String], remarks: &[String], goals: &str, tables: &str) -> String {
    // As a rule one machine and one commit; cases that were measured again say otherwise.
    let made = |key: &str| {
        let all: BTreeSet<&str> = results.iter().map(|case| text(&case["made"][key])).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let medium = if results.iter().all(|case| case["in_memory"] == true) { "in memory (tmpfs)" } else { "on disk" };
    let absent: String = remarks.iter().map(|remark| format!(" {remark}.")).collect();
    let what: String = Tool::ALL.iter().map(|tool| format!("- **{}**: {}\n", tool.name(), tool.what())).collect();
    format!(
        "# Benchmark\n\nWritten by `cargo xtask bench --write` (as JSON: `results.json`), or case by case with `--only CASE` and \
         then `--resume --write`: the programs take turns, and of three runs the middle one counts (one that took more than \
         10 s ran once; one that took less than 1 s nine times). Where the time goes: `profile.md`.\n\n\
         Machine: {}. Commit: {}. Date: {}. Files: {medium}, unless a case says otherwise. Versions: {}.{absent}\n\n\
         Over HTTP means from one server on loopback, which counts. The result of each update was compared with the new \
         version by digest. Peak memory is that of the largest process. How the files are made: \
         `xtask/src/bench/corpus.rs` and, the hostile ones, `hostile.rs`. Over a slow link: `net.md`.\n\n\
         What is run:\n\n{what}\n## Goals\n\n{goals}\n## Updates\n\n![Seconds of an update, by program](updates.svg)\n\n\
         ## All figures\n\n\
         *Index* is what an update reads first, *content* what else it reads of what was published. What makes one file of \
         both (bita, zchunk), or a patch for one old version (xdelta3, zstd), has it under *content*.\n\n{tables}",
        made("machine"),
        made("commit"),
        made("date"),
        versions.join("; "),
    )
}

fn goals_table(goals: &[goals::Goal]) -> String {
    let mut out = "| what | goal | measured | |\n| --- | --- | --- | --- |\n".to_owned();
    for goal in goals {
        let verdict = if goal.is_met { "ok" } else { "**missed**" };
        let _ = writeln!(out, "| {} | {} | {} | {verdict} |", goal.what, goal.goal, goal.measured);
    }
    out
}

fn table(results: &[Value]) -> String {
    let mut out = "| case | action | program | seconds | processor seconds | MiB/s | peak MiB | index bytes | content bytes | requests |\n\
                   | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for (case, point) in points(results) {
        let number = |key: &str| point[key].as_u64().map_or("-".to_owned(), grouped);
        let float = |key: &str| point[key].as_f64().unwrap_or_default();
        let files = point["files"].as_str().filter(|files| !files.is_empty());
        let _ = writeln!(
            out,
            "| {}{} | {} | {} | {:.3} | {:.2} | {:.0} | {:.0} | {} | {} | {} |",
            text(case),
            files.map(|files| format!(": {files}")).unwrap_or_default(),
            text(&point["action"]),
            text(&point["program"]),
            float("seconds"),
            float("processor_seconds"),
            float("length") / MIB as f64 / float("seconds"),
            float("peak_bytes") / MIB as f64,
            number("index_bytes"),
            number("content_bytes"),
            number("requests"),
        );
    }
    out
}

/// gosync's time as a multiple of each other program's: below 1 it is the faster. Over HTTP against those that are too.
fn ratios(results: &[Value]) -> String {
    let peers: Vec<&Tool> = Tool::ALL.iter().filter(|tool| !tool.is_own()).collect();
    let names: String = peers.iter().map(|tool| format!(" ÷ {} |", tool.name())).collect();
    let mut out = format!("| case | gosync's |{names}\n| --- | --- |{}\n", " ---: |".repeat(peers.len()));
    for case in results {
        let list = case["points"].as_array().map(Vec::as_slice).unwrap_or_default();
        let find = |action: &str, name: &str| {
            let is_it = |point: &&Value| point["action"] == action && point["program"] == name && point["files"] == "";
            list.iter().find(is_it).and_then(|point| point["seconds"].as_f64())
        };
        for action in ["index", "update"] {
            let cells: Vec<Option<f64>> = peers
                .iter()
                .map(|peer| {
                    let is_local = action == "update" && !peer.is_over_http();
                    let own = find(action, if is_local { "gosync, local" } else { "gosync" })?;
                    Some(own / find(action, peer.name())?)
                })
                .collect();
            if cells.iter().any(Option::is_some) {
                let cell = |ratio: Option<f64>| ratio.map_or("- |".to_owned(), |ratio| format!("{ratio:.2} |"));
                let cells: Vec<String> = cells.into_iter().map(cell).collect();
                let _ = writeln!(out, "| {} | {action} | {}", text(&case["case"]), cells.join(" "));
            }
        }
    }
    out
}

/// What the bounds on a search cost in matches.
fn recall(results: &[Value]) -> String {
    let mut out = "## Recall\n\nBytes of whole blocks that gosync finds under the bounds on its search, over those that a search \
                   without bounds finds (a scalar loop that looks at every offset), in content with scattered edits. Below 1 \
                   more is fetched than has to be; but what is put together of two ends of a block comes on top, and is not \
                   counted here.\n\n\
                   | content | bytes | an edit in | blocks of | gosync | without bounds | recall |\n\
                   | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for point in of_case(results, "recall") {
        let number = |key: &str| grouped(point[key].as_u64().unwrap_or_default());
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {:.4} |",
            text(&point["content"]),
            number("length"),
            number("every"),
            number("block_size"),
            number("found"),
            number("exact"),
            point["recall"].as_f64().unwrap_or_default(),
        );
    }
    out
}

/// The kernels, each by itself.
fn kernels(results: &[Value]) -> String {
    let mut out = "## Kernels\n\nGB/s of one core, in pieces of 256 KiB: of one piece that stays in the second-level cache, and of \
                   64 MiB; the best of many short rounds (`cargo xtask bench --kernels`). Beside them what throw-away \
                   prototypes reached, from memory.\n\n\
                   | kernel | from the cache | from memory | prototype |\n| --- | ---: | ---: | ---: |\n"
        .to_owned();
    for point in of_case(results, "kernels") {
        let number = |key: &str| point[key].as_f64().map_or("-".to_owned(), |speed| format!("{speed:.2}"));
        let (cache, memory, prototype) = (number("cache"), number("memory"), number("prototype"));
        let _ = writeln!(out, "| {} | {cache} | {memory} | {prototype} |", text(&point["kernel"]));
    }
    out
}

/// The points of the case with this key.
fn of_case<'a>(results: &'a [Value], key: &str) -> impl Iterator<Item = &'a Value> {
    let case = results.iter().filter(move |case| case["key"] == key);
    case.flat_map(|case| case["points"].as_array().map(Vec::as_slice).unwrap_or_default())
}

/// Each with the name of its case.
pub(super) fn points(results: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    results.iter().flat_map(|case| {
        let list = case["points"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Neither recall nor kernels are runs of a program.
        list.iter().filter(|point| point["action"].is_string()).map(move |point| (&case["case"], point))
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
