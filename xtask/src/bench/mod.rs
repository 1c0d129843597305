//! gosync beside its peers and over its floors, in one run on one machine: index, update and plan, interleaved, medians.
//! `cases` says with which files, `tools` and `place` which programs and how, `runner` runs them, `goals` says what is
//! asked of gosync, `report`, `page` and `chart` show it.
//! Every result is compared with the new version by digest; a wrong one ends the run.

mod cases;
mod chart;
mod corpus;
mod disk;
mod goals;
mod hostile;
mod kept;
mod kernels;
mod measure;
#[cfg(target_os = "linux")]
mod net;
mod place;
mod recall;
mod report;
mod room;
mod runner;
mod tools;
mod writes;

use std::time::Instant;

use serde_json::json;

use crate::faces::{self, Profile};
use crate::sh::{Result, fail};
use cases::Case;
use room::room;
use runner::Bench;
use tools::Tool;

const MIB: u64 = 1 << 20;

/// Runs the benchmark with the options of the command line.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    match options {
        ["--net", options @ ..] => return over_link(options),
        ["--bytes", options @ ..] => return bytes(options),
        ["--trees", options @ ..] => return trees(options),
        ["--kernels", options @ ..] => return kernels::run(options),
        _ => {}
    }
    let Some(choice) = Choice::read(options) else {
        return fail(format!("bench has no options {}", options.join(" ")));
    };
    let chosen: Vec<&Case> = cases::all(choice.is_quick).iter().filter(|case| choice.takes(case)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = cases::all(choice.is_quick).iter().map(|case| case.name).collect();
        return fail(format!("no case is called so; the cases are:\n{}", names.join("\n")));
    }
    crate::setup::peers()?;
    let gosync = faces::program(Profile::Fast)?;
    let (mut tools, remarks) = tools::available(choice.is_quick);
    if choice.is_short {
        tools.retain(|tool| Tool::GOALS.contains(tool));
    }
    remarks.iter().for_each(|remark| println!("{remark}"));
    let kept = kept::folder(if choice.is_quick { "quick" } else { "full" }, choice.is_new())?;
    let folder = room("files")?;
    let is_in_memory = folder.starts_with(room::IN_MEMORY);
    let bench = Bench { gosync: &gosync, folder: folder.clone(), tools, rounds: choice.rounds() };
    let outcome = chosen.iter().try_for_each(|case| {
        if choice.is_resumed && kept::kept(&kept, case.name).is_some() {
            return Ok(());
        }
        println!("\n=== {}", case.name);
        let started = Instant::now();
        let points = bench.case(case)?;
        println!("--- {:.0} s", started.elapsed().as_secs_f64());
        let results = json!({
            "case": case.name, "key": case.key, "rounds": bench.rounds, "in_memory": is_in_memory, "points": points,
        });
        kept::keep(&kept, case.name, results)
    });
    std::fs::remove_dir_all(&folder)?;
    outcome?;
    let results = cases::all(choice.is_quick).iter().filter_map(|case| kept::kept(&kept, case.name)).collect();
    report::write(results, &gosync, &remarks, &kept, choice.is_for_docs)
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

#[cfg(target_os = "linux")]
fn bytes(options: &[&str]) -> Result<bool> {
    net::bytes::run(options)
}

#[cfg(not(target_os = "linux"))]
fn bytes(_: &[&str]) -> Result<bool> {
    println!("skipped: bench --bytes: it is written for Linux");
    Ok(true)
}

#[cfg(target_os = "linux")]
fn trees(options: &[&str]) -> Result<bool> {
    net::trees::run(options)
}

#[cfg(not(target_os = "linux"))]
fn trees(_: &[&str]) -> Result<bool> {
    println!("skipped: bench --trees: it needs the network namespaces of Linux");
    Ok(true)
}

/// As a step of another task.
pub(crate) fn quick_step() -> Result<()> {
    if run(&["--quick"])? { Ok(()) } else { fail("gosync took more memory than it may") }
}

/// What the command line chooses.
#[derive(Default)]
struct Choice<'a> {
    is_quick: bool,
    is_for_docs: bool,
    /// Cases that have been measured are left as they are.
    is_resumed: bool,
    /// Only the programs that a goal is about.
    is_short: bool,
    only: Vec<&'a str>,
}

impl<'a> Choice<'a> {
    fn read(options: &[&'a str]) -> Option<Choice<'a>> {
        let mut choice = Choice::default();
        let mut words = options.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => choice.is_quick = true,
                "--write" => choice.is_for_docs = true,
                "--resume" => choice.is_resumed = true,
                "--goals" => choice.is_short = true,
                "--only" => choice.only.push(words.next()?),
                _ => return None,
            }
        }
        // What is quick is not for docs.
        (!choice.is_quick || !choice.is_for_docs).then_some(choice)
    }

    fn takes(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| case.name.contains(word))
    }

    fn is_new(&self) -> bool {
        self.only.is_empty() && !self.is_resumed
    }

    fn rounds(&self) -> usize {
        if self.is_quick { 1 } else { 3 }
    }
}
