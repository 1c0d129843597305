//! gosync beside its peers over a slow link, in one run on one machine, with nginx at the far end: HTTP/1.1, and HTTPS
//! with HTTP/2. What is asked of gosync is asked as a multiple of what nobody could do without, so that it holds on any
//! machine: round trips, bytes on the wire, the same update without a link, a plain download.
//! Every result is compared with the new version by digest; a wrong one ends the run.

pub(super) mod bytes;
mod cases;
mod flat;
mod link;
mod nginx;
mod report;
mod spaces;
mod tools;
pub(super) mod trees;
mod tun;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::{kept, measure};
use crate::demo::digest;
use crate::faces::{self, Profile};
use crate::sh::{Result, fail};
use cases::{Case, Files, Kind};
use nginx::{Nginx, Protocol};
use spaces::Spaces;
use tools::{Place, Tool};

/// Seconds: a program whose first run took longer is not run again.
const PATIENCE: f64 = 20.0;

/// What one run took and did.
#[derive(Clone, Debug)]
struct Run {
    seconds: f64,
    processor_seconds: f64,
    peak_bytes: u64,
    /// On the wire, to the server and from it.
    bytes_there: u64,
    bytes_back: u64,
    lost: u64,
    connects: u64,
    requests: u64,
    /// The last line of gosync's JSON.
    said: Value,
}

/// Runs it with the options of the command line, without `--net`.
pub(super) fn run(options: &[&str]) -> Result<bool> {
    let Some(choice) = Choice::read(options) else {
        return fail(format!("bench --net has no options {}", options.join(" ")));
    };
    crate::setup::peers()?;
    if let Some(obstacle) = spaces::obstacle() {
        println!("skipped: bench --net: {obstacle}");
        return Ok(true);
    }
    let chosen: Vec<Case> = cases::all(choice.is_quick).into_iter().filter(|case| choice.takes(case)).collect();
    if chosen.is_empty() {
        let names: Vec<String> = cases::all(choice.is_quick).iter().map(Case::name).collect();
        return fail(format!("no case is called so; the cases are:\n{}", names.join("\n")));
    }
    let gosync = faces::program(Profile::Fast)?;
    let (tools, remarks) = tools::available()?;
    remarks.iter().for_each(|remark| println!("{remark}"));
    let folder = super::room("net")?;
    let outcome = Bench::new(&gosync, &folder, tools).and_then(|mut bench| {
        let results = kept::folder(report::folder_name(choice.is_quick), choice.only.is_empty())?;
        chosen.iter().try_for_each(|case| kept::keep(&results, &case.name(), bench.case(case)?))
    });
    std::fs::remove_dir_all(&folder)?;
    outcome?;
    report::write(&gosync, &remarks, choice.is_quick, choice.is_for_docs)
}

/// What the command line chooses.
struct Choice<'a> {
    is_quick: bool,
    is_for_docs: bool,
    only: Vec<&'a str>,
}

impl<'a> Choice<'a> {
    fn read(options: &[&'a str]) -> Option<Choice<'a>> {
        let mut choice = Choice { is_quick: false, is_for_docs: false, only: Vec::new() };
        let mut words = options.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => choice.is_quick = true,
                "--write" => choice.is_for_docs = true,
                "--only" => choice.only.push(words.next()?),
                _ => return None,
            }
        }
        Some(choice)
    }

    fn takes(&self, case: &Case) -> bool {
        let is_named = self.only.iter().any(|word| case.name().contains(word));
        is_named || (self.only.is_empty() && !case.is_on_demand())
    }
}

/// What all cases share.
struct Bench<'a> {
    tools: Vec<Tool>,
    place: Place<'a>,
    nginx: Nginx,
    spaces: Spaces,
    /// What lies in the place now, so that cases that follow each other make it once; and its digest.
    files: Option<(Files, String)>,
    /// What the new version has been described for.
    published: Vec<Tool>,
}

impl<'a> Bench<'a> {
    fn new(gosync: &'a Path, folder: &Path, tools: Vec<Tool>) -> Result<Bench<'a>> {
        let site = folder.join("site");
        std::fs::create_dir_all(&site)?;
        let spaces = Spaces::new(&cases::MIDDLE)?;
        let nginx = Nginx::start(Some(&spaces.server), spaces::SERVER, &site, &folder.join("nginx"))?;
        let authority = nginx.authority().to_path_buf();
        let place = Place { gosync, site, old: folder.join("old.bin"), work: folder.join("run"), authority };
        Ok(Bench { tools, place, nginx, spaces, files: None, published: Vec::new() })
    }

    /// Measures one case; its results as JSON.
    fn case(&mut self, case: &Case) -> Result<Value> {
        println!("\n=== {}", case.name());
        let started = Instant::now();
        self.spaces.link.become_like(&case.line);
        let points = match &case.kind {
            Kind::Update { files, tools } => self.update(case, files, tools)?,
            Kind::Grid { files } => self.grid(case, files)?,
            Kind::Connections { files } => self.connections(case, files)?,
        };
        println!("--- {:.0} s", started.elapsed().as_secs_f64());
        Ok(json!({
            "case": case.name(),
            "kind": case.kind.name(),
            "line": case.line.name,
            "round_trip": case.line.round_trip.as_secs_f64(),
            "rate": case.line.rate,
            "queue": case.line.queue,
            "protocol": case.protocol.name(),
            "rounds": case.rounds,
            "points": points,
        }))
    }

    /// One pair of versions, every program.
    fn update(&mut self, case: &Case, files: &Files, tools: &[Tool]) -> Result<Vec<Value>> {
        let mut variants = Vec::new();
        for tool in tools.iter().filter(|tool| self.tools.contains(tool) && tool.speaks(case.protocol)) {
            variants.push(Variant { tool: *tool, name: tool.name().to_owned(), options: Vec::new() });
        }
        self.make(files, &variants)?;
        let local = self.local(case.rounds)?;
        let line = &case.line;
        let mut points = Vec::new();
        for (variant, run) in self.take_turns(case, &variants)? {
            let mut point = describe(&files.name(), &variant.name, &run);
            // What is compared with a flat index has no bound of its own.
            if variant.tool == Tool::Gosync && !matches!(files, Files::Prefix { .. }) {
                let bound = 4.0 * line.round_trip.as_secs_f64() + line.time(run.bytes_back) + local;
                point["local_seconds"] = local.into();
                point["bound_seconds"] = (1.4 * bound).into();
            }
            points.push(point);
        }
        Ok(points)
    }

    /// The same new version, and old ones that have more and more of it; beside the plain download.
    fn grid(&mut self, case: &Case, all: &[Files]) -> Result<Vec<Value>> {
        let gosync = Variant { tool: Tool::Gosync, name: "gosync".to_owned(), options: Vec::new() };
        let curl = Variant { tool: Tool::Curl, name: "curl".to_owned(), options: Vec::new() };
        let Some(first) = all.first() else { return Ok(Vec::new()) };
        self.make(first, std::slice::from_ref(&gosync))?;
        let plain = self.take_turns(case, std::slice::from_ref(&curl))?;
        let mut points: Vec<Value> = plain.iter().map(|(curl, run)| describe("download", &curl.name, run)).collect();
        let download = plain.iter().map(|(_, run)| run.seconds).next().unwrap_or_default();
        let bound = 1.05 * download + 3.0 * case.line.round_trip.as_secs_f64();
        for files in all {
            self.make(files, std::slice::from_ref(&gosync))?;
            for (_, run) in self.take_turns(case, std::slice::from_ref(&gosync))? {
                let mut point = describe(&files.name(), &gosync.name, &run);
                point["bound_seconds"] = bound.into();
                points.push(point);
            }
        }
        Ok(points)
    }

    /// gosync with so many connections.
    fn connections(&mut self, case: &Case, all: &[Files]) -> Result<Vec<Value>> {
        let counts: &[&str] = if case.protocol == Protocol::Http2 { &["1"] } else { &["1", "2", "4", "8"] };
        let variant = |count: &&str| Variant {
            tool: Tool::Gosync,
            name: format!("gosync, {count}"),
            options: vec!["--connections".to_owned(), (*count).to_owned()],
        };
        let variants: Vec<Variant> = counts.iter().map(variant).collect();
        let mut points = Vec::new();
        for files in all {
            self.make(files, &variants)?;
            let runs = self.take_turns(case, &variants)?;
            points.extend(runs.iter().map(|(variant, run)| describe(&files.name(), &variant.name, run)));
        }
        Ok(points)
    }

    /// Makes the files, unless they are there, and describes them for those who need it.
    fn make(&mut self, files: &Files, variants: &[Variant]) -> Result<()> {
        if self.files.as_ref().is_none_or(|(made, _)| made != files) {
            let is_new = self.files.as_ref().is_none_or(|(made, _)| !made.has_new_version_of(files));
            let content = self.place.site.join(tools::CONTENT);
            files.make(&self.place.old, &content)?;
            if is_new {
                self.published.clear();
            }
            self.files = Some((files.clone(), digest(&content)?));
        }
        for variant in variants {
            if !self.published.contains(&variant.tool) {
                self.place.publish(variant.tool)?;
                self.published.push(variant.tool);
            }
        }
        Ok(())
    }

    /// The runs of all variants, interleaved; of each the middle one.
    fn take_turns<'v>(&self, case: &Case, variants: &'v [Variant]) -> Result<Vec<(&'v Variant, Run)>> {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); variants.len()];
        for _ in 0..case.rounds {
            for (variant, runs) in variants.iter().zip(&mut runs) {
                if runs.first().is_none_or(|first| first.seconds <= PATIENCE) {
                    runs.push(self.once(case.protocol, variant)?);
                }
            }
        }
        let middles = variants.iter().zip(runs).filter_map(|(variant, runs)| Some((variant, middle(runs)?)));
        Ok(middles.collect())
    }

    /// One run over the link.
    fn once(&self, protocol: Protocol, variant: &Variant) -> Result<Run> {
        let place = &self.place;
        place.prepare(variant.tool)?;
        self.nginx.take_counts()?;
        self.spaces.link.take_traffic();
        let options: Vec<&str> = variant.options.iter().map(String::as_str).collect();
        let usage = self.timed(place.update(variant.tool, protocol, &self.spaces.client, &options)?, variant.tool)?;
        let (there, back) = self.spaces.link.take_traffic();
        let counts = self.nginx.take_counts()?;
        let printed = std::fs::read_to_string(self.log().with_extension("out")).unwrap_or_default();
        let said = printed.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null);
        let run = Run {
            bytes_there: there.bytes,
            bytes_back: back.bytes,
            lost: there.lost + back.lost,
            connects: there.connects,
            requests: counts.values().map(|count| count.requests).sum(),
            said,
            ..usage
        };
        let files = self.files.as_ref().map(|(files, _)| files.name()).unwrap_or_default();
        let said = run.said["reason"].as_str().unwrap_or_default();
        println!(
            "{:>10} {:12} {:7.2} s {:11} bytes {:5} requests {:2} connects {:4} lost  {said}",
            files, variant.name, run.seconds, run.bytes_back, run.requests, run.connects, run.lost
        );
        Ok(run)
    }

    /// gosync with index and source beside it.
    fn local(&self, rounds: usize) -> Result<f64> {
        let mut all = Vec::new();
        for _ in 0..rounds {
            self.place.prepare(Tool::Gosync)?;
            all.push(self.timed(self.place.local_update(), Tool::Gosync)?);
        }
        Ok(middle(all).map(|run| run.seconds).unwrap_or_default())
    }

    /// Runs it, brings what it wrote to the disk, and compares that.
    fn timed(&self, command: crate::sh::Sh, tool: Tool) -> Result<Run> {
        let usage = measure::run(command, &self.log())?;
        let started = Instant::now();
        let result = std::fs::File::open(self.place.result())?;
        result.sync_all()?;
        let seconds = usage.seconds + started.elapsed().as_secs_f64();
        if self.files.as_ref().is_none_or(|(_, expected)| digest(&self.place.result()).is_ok_and(|it| it != *expected))
        {
            return fail(format!("the result of {} is wrong", tool.name()));
        }
        Ok(Run {
            seconds,
            processor_seconds: usage.processor_seconds,
            peak_bytes: usage.peak_bytes,
            bytes_there: 0,
            bytes_back: 0,
            lost: 0,
            connects: 0,
            requests: 0,
            said: Value::Null,
        })
    }

    fn log(&self) -> PathBuf {
        self.place.work.with_extension("log")
    }
}

/// A program with options.
struct Variant {
    tool: Tool,
    name: String,
    options: Vec<String>,
}

/// The middle one by time; of an even number, the faster of the two.
fn middle(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let at = runs.len().checked_sub(1)? / 2;
    Some(runs.swap_remove(at))
}

fn describe(files: &str, program: &str, run: &Run) -> Value {
    json!({
        "files": files,
        "program": program,
        "seconds": run.seconds,
        "processor_seconds": run.processor_seconds,
        "peak_bytes": run.peak_bytes,
        "bytes_there": run.bytes_there,
        "bytes_back": run.bytes_back,
        "packets_lost": run.lost,
        "connects": run.connects,
        "requests": run.requests,
        "reason": run.said["reason"],
        "fetched": run.said["fetched"],
        "wasted": run.said["wasted"],
    })
}
