//! The results over the link: each case in a file of its own under `target/bench/net`, so that a run can be taken up again
//! case by case, all of them together as a table for people, and on demand both in docs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::cases;
use super::tools::Tool;
use crate::bench::kept::{self, machine};
use crate::demo::grouped;
use crate::sh::Result;

/// How much slower than with a flat index an update may seem, since runs differ.
const FLAT: f64 = 1.05;

/// Where the cases' results lie.
pub(super) fn folder_name(is_quick: bool) -> &'static str {
    if is_quick { "net-quick" } else { "net" }
}

/// Prints and writes what there is; whether gosync is within every bound.
pub(super) fn write(gosync: &Path, remarks: &[String], is_quick: bool, to_docs: bool) -> Result<bool> {
    let from = kept::folder(folder_name(is_quick), false)?;
    let mut results = Vec::new();
    for case in cases::all(is_quick) {
        results.extend(kept::kept(&from, &case.name()));
    }
    let text = tables(&results);
    println!("\n{text}");
    let versions: Vec<String> = Tool::ALL.iter().filter_map(|tool| tool.version(gosync)).collect();
    let whole = json!({ "machine": machine(), "versions": versions, "remarks": remarks, "cases": results });
    std::fs::write(from.join("results.json"), format!("{whole:#}\n"))?;
    println!("written: {}", from.join("results.json").display());
    if to_docs {
        let docs = crate::paths::root().join("docs/bench");
        std::fs::create_dir_all(&docs)?;
        let remarks: String = remarks.iter().map(|remark| format!(" {remark}.")).collect();
        std::fs::write(docs.join("net.md"), page(&versions, &remarks, &text))?;
        std::fs::write(docs.join("net.json"), format!("{whole:#}\n"))?;
        println!("written: docs/bench/net.md and docs/bench/net.json");
    }
    let are_in_time = points(&results).all(|(_, point)| over(point).is_none_or(|ratio| ratio <= 1.0));
    Ok(are_in_time && results.iter().all(|case| of_flat(case).is_none_or(|ratio| ratio <= FLAT)))
}

fn page(versions: &[String], remarks: &str, tables: &str) -> String {
    format!(
        "# Benchmark over a slow link\n\n\
         Written by `cargo xtask bench --net --write` (as JSON: `net.json`): each case in one run on one machine, the \
         programs taking turns, median of the rounds (one that took more than 20 s ran once).\n\n\
         Machine: {}; files in memory. Versions: {}; nginx as Debian sets it up.{remarks}\n\n\
         The link is two network namespaces joined by a process that delays every packet, caps the rate of each direction, \
         and loses what finds 1000 packets waiting, at 1 Gbit/s 2000 (`xtask/src/bench/net/link.rs`): between the ends is \
         real TCP, and every connection starts cold (`tcp_no_metrics_save`). *From the server* and *to the server* are bytes on that wire, all \
         headers included. The time of a run contains bringing the result to the disk (`fsync`). Each result was compared \
         with the new version by digest.\n\n{tables}",
        machine(),
        versions.join("; "),
    )
}

fn tables(results: &[Value]) -> String {
    let kind = |name: &'static str| results.iter().filter(move |case| case["kind"] == name);
    let mut out = String::new();
    if kind("update").next().is_some() {
        out += "## Updates\n\n*May take* is 1.4 × (4 round trips + the bytes from the server at the line's rate + the same \
                update with index and source beside it).\n\n\
                | case | program | seconds | from the server | to the server | requests | connections | lost | may take | time ÷ may take |\n\
                | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        kind("update").for_each(|case| update_rows(case, &mut out));
        out += "\n| case | gosync ÷ zsync | gosync ÷ bita | gosync ÷ curl |\n| --- | ---: | ---: | ---: |\n";
        kind("update").for_each(|case| ratio_row(case, &mut out));
        out += "\n### The tree, and a flat index of the same file\n\nThe flat index (`xtask/src/bench/net/flat.rs`) has the same \
                blocks, and above them only what verifies them; the server gives it whole, in one answer. The tree is to be never slower, but \
                for the twentieth by which runs differ: at most 1.05.\n\n\
                | case | tree, seconds | bytes | flat, seconds | bytes | tree ÷ flat |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
        kind("update").for_each(|case| flat_row(case, &mut out));
    }
    if kind("grid").next().is_some() {
        out += "\n## Never slower than a plain download\n\ngosync from old versions that have so much of the new one. The \
                new version is cut into pieces of 4 KiB to 1 MiB; the old one has a piece, or something else that is 0 to \
                200 bytes longer, evenly over the file (`Relation::Share` in `xtask/src/bench/corpus.rs`). *May take* is \
                1.05 × curl + 3 round trips.\n\n\
                | line, protocol | files | seconds | from the server | requests | curl | may take | time ÷ may take | reason |\n\
                | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n";
        kind("grid").for_each(|case| grid_rows(case, &mut out));
    }
    if kind("connections").next().is_some() {
        out += "\n## Connections\n\n| line, protocol | files | connections allowed | seconds | from the server | requests | \
                connections made | lost |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        kind("connections").for_each(|case| connection_rows(case, &mut out));
    }
    out
}

fn update_rows(case: &Value, out: &mut String) {
    for point in list(case) {
        let limit = point["bound_seconds"].as_f64().map_or("-".to_owned(), |bound| format!("{bound:.2}"));
        let ratio = over(point).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = writeln!(
            out,
            "| {}: {} | {} | {:.2} | {} | {} | {} | {} | {} | {limit} | {ratio} |",
            text(&case["protocol"]),
            text(&point["files"]),
            text(&point["program"]),
            seconds(point),
            count(&point["bytes_back"]),
            count(&point["bytes_there"]),
            count(&point["requests"]),
            count(&point["connects"]),
            count(&point["packets_lost"]),
        );
    }
}

/// Below 1 gosync is the faster.
fn ratio_row(case: &Value, out: &mut String) {
    let points = list(case);
    let time = |name: &str| points.iter().find(|point| point["program"] == name).map(seconds);
    let Some(own) = time("gosync") else { return };
    let cell = |name| time(name).map_or("-".to_owned(), |peer| format!("{:.2}", own / peer));
    if ["zsync", "bita", "curl"].iter().all(|peer| time(peer).is_none()) {
        return;
    }
    let files = points.first().map(|point| text(&point["files"])).unwrap_or_default();
    let protocol = text(&case["protocol"]);
    let _ = writeln!(out, "| {protocol}: {files} | {} | {} | {} |", cell("zsync"), cell("bita"), cell("curl"));
}

/// The runs with the tree, and with a flat index.
fn tree_and_flat(case: &Value) -> Option<(&Value, &Value)> {
    let run = |name| list(case).iter().find(|point| point["program"] == name);
    Some((run(Tool::Gosync.name())?, run(Tool::Flat.name())?))
}

fn of_flat(case: &Value) -> Option<f64> {
    let (tree, flat) = tree_and_flat(case)?;
    Some(seconds(tree) / seconds(flat))
}

fn flat_row(case: &Value, out: &mut String) {
    let (Some((tree, flat)), Some(ratio)) = (tree_and_flat(case), of_flat(case)) else { return };
    let _ = writeln!(
        out,
        "| {}: {} | {:.2} | {} | {:.2} | {} | {ratio:.2} |",
        text(&case["protocol"]),
        text(&tree["files"]),
        seconds(tree),
        count(&tree["bytes_back"]),
        seconds(flat),
        count(&flat["bytes_back"]),
    );
}

fn grid_rows(case: &Value, out: &mut String) {
    let plain = list(case).iter().find(|point| point["program"] == "curl").map(seconds).unwrap_or_default();
    for point in list(case).iter().filter(|point| point["program"] == "gosync") {
        let _ = writeln!(
            out,
            "| {}, {} | {} | {:.2} | {} | {} | {plain:.2} | {:.2} | {:.2} | {} |",
            text(&case["line"]),
            text(&case["protocol"]),
            text(&point["files"]),
            seconds(point),
            count(&point["bytes_back"]),
            count(&point["requests"]),
            point["bound_seconds"].as_f64().unwrap_or_default(),
            over(point).unwrap_or_default(),
            text(&point["reason"]),
        );
    }
}

fn connection_rows(case: &Value, out: &mut String) {
    for point in list(case) {
        let _ = writeln!(
            out,
            "| {}, {} | {} | {} | {:.2} | {} | {} | {} | {} |",
            text(&case["line"]),
            text(&case["protocol"]),
            text(&point["files"]),
            text(&point["program"]).rsplit(' ').next().unwrap_or_default(),
            seconds(point),
            count(&point["bytes_back"]),
            count(&point["requests"]),
            count(&point["connects"]),
            count(&point["packets_lost"]),
        );
    }
}

fn points(results: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    results.iter().flat_map(|case| list(case).iter().map(move |point| (case, point)))
}

fn list(case: &Value) -> &[Value] {
    case["points"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Time as a multiple of what it may take, where there is such a bound.
fn over(point: &Value) -> Option<f64> {
    Some(seconds(point) / point["bound_seconds"].as_f64()?)
}

fn seconds(point: &Value) -> f64 {
    point["seconds"].as_f64().unwrap_or_default()
}

fn count(value: &Value) -> String {
    value.as_u64().map_or("-".to_owned(), grouped)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
