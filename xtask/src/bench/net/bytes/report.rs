//! The bytes as a table for people, and on demand in docs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::Tool;
use crate::bench::kept::{self, machine};
use crate::demo::grouped;
use crate::sh::Result;

/// How much more HTTP/1.1 may take than HTTP/2.
const HTTP1: f64 = 1.12;

/// Where the cases' results lie.
pub(super) fn folder_name(is_quick: bool) -> &'static str {
    if is_quick { "bytes-quick" } else { "bytes" }
}

/// Prints and writes what there is; whether every goal is met.
pub(super) fn write(
    names: &[&str],
    gosync: &Path,
    remarks: &[String],
    is_quick: bool,
    is_for_docs: bool,
) -> Result<bool> {
    let from = kept::folder(folder_name(is_quick), false)?;
    let results: Vec<Value> = names.iter().filter_map(|name| kept::kept(&from, name)).collect();
    let text = tables(&results);
    println!("\n{text}");
    let versions: Vec<String> = Tool::ALL[..3].iter().filter_map(|tool| tool.version(gosync)).collect();
    let whole = json!({ "machine": machine(), "versions": versions, "remarks": remarks, "cases": results });
    std::fs::write(from.join("results.json"), format!("{whole:#}\n"))?;
    println!("written: {}", from.join("results.json").display());
    if is_for_docs {
        let docs = crate::paths::root().join("docs/bench");
        let page = page(&versions, remarks, &text);
        std::fs::write(docs.join("bytes.md"), page)?;
        std::fs::write(docs.join("bytes.json"), format!("{whole:#}\n"))?;
        println!("written: docs/bench/bytes.md and docs/bench/bytes.json");
    }
    Ok(results.iter().all(|case| outcomes(case).iter().all(|(_, _, is_met)| *is_met)))
}

fn page(versions: &[String], remarks: &[String], tables: &str) -> String {
    let remarks: String = remarks.iter().map(|remark| format!(" {remark}.")).collect();
    format!(
        "# Bytes of an update\n\n\
         Written by `cargo xtask bench --bytes --write` (as JSON: `bytes.json`): one run of each, index and content, as nginx \
         counts them on loopback: requests and answers, headers included, without what TLS and TCP add. Versions: {}.{remarks}\n\n\
         Each result was compared with the new version by digest. How the files are made: `xtask/src/bench/corpus.rs` and \
         `xtask/src/bench/net/bytes/files.rs`; an edit replaces, inserts or deletes 1 to 12 500 bytes, 1.05 MB of new bytes in \
         all. bita compresses the content, the others send it as it is; its archive is index and content in one. Of 8 GiB \
         only the index was made for zsync.\n\n\
         **The compiled program** is one executable, linked anew: code moved, and with it the addresses in most blocks of any size. Of \
         its 25 MB, blocks of 2 KiB find 3.5 MB in the version before, of 1 KiB 3.8 MB, of 512 bytes 4.3 MB, and these double \
         the index: 0.97 × zsync at best. Bytes that are sent as they are can hardly be fewer; bita shows what compressing them is \
         worth. Libraries of which most were not linked anew are the other compiled pair.\n\n{tables}",
        versions.join("; "),
    )
}

fn tables(results: &[Value]) -> String {
    let mut out = String::from(
        "| case | program | bytes | of it index | of it content | to the server | requests |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for case in results {
        for point in points(case) {
            let cell = |key: &str| point[key].as_u64().map_or("-".to_owned(), grouped);
            let _ = writeln!(
                out,
                "| {} | {}, {} | {} | {} | {} | {} | {} |",
                text(&case["case"]),
                text(&point["program"]),
                text(&point["protocol"]),
                cell("bytes"),
                cell("index"),
                cell("content"),
                cell("there"),
                cell("requests"),
            );
        }
    }
    out += "\n## Goals\n\n| case | goal | measured | met |\n| --- | --- | ---: | --- |\n";
    for case in results {
        for (goal, measured, is_met) in outcomes(case) {
            let met = if is_met { "yes" } else { "**no**" };
            let _ = writeln!(out, "| {} | {goal} | {measured} | {met} |", text(&case["case"]));
        }
    }
    out
}

/// The goals of a case, what came out, and whether that is met.
fn outcomes(case: &Value) -> Vec<(String, String, bool)> {
    let bytes = |program: &str, protocol: &str| {
        let point = points(case).iter().find(|point| point["program"] == program && point["protocol"] == protocol)?;
        point["bytes"].as_u64().filter(|bytes| *bytes > 0)
    };
    let (two, one) = (bytes("gosync", "HTTPS, HTTP/2"), bytes("gosync", "HTTP/1.1"));
    let mut outcomes = Vec::new();
    if let (Some(own), Some(most)) = (two, case["goal"]["bytes"].as_u64()) {
        outcomes.push((format!("at most {} bytes over HTTP/2", grouped(most)), grouped(own), own <= most));
    }
    if let (Some(own), Some(zsync), Some(most)) = (two, bytes("zsync", "HTTP/1.1"), case["goal"]["of_zsync"].as_f64()) {
        let ratio = own as f64 / zsync as f64;
        outcomes.push((format!("at most {most} × zsync"), format!("{ratio:.2} ×"), ratio <= most));
    }
    if let (Some(two), Some(one)) = (two, one) {
        let ratio = one as f64 / two as f64;
        let goal = format!("HTTP/1.1 at most {HTTP1} × HTTP/2");
        outcomes.push((goal, format!("{ratio:.3} ×"), ratio <= HTTP1));
    }
    outcomes
}

fn points(case: &Value) -> &[Value] {
    case["points"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
