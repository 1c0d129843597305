//! Runs a case: makes its files, lets the programs take turns, and compares every result with the new version.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cases::{self, Case, Files, Kind};
use super::hostile::{BLOCK, Shape};
use super::measure::{self, Usage};
use super::place::{self, CONTENT, Place};
use super::room::obstacle;
use super::tools::{Action, Tool};
use super::{MIB, disk, kernels, recall, writes};
use crate::demo::digest;
use crate::sh::{Result, Sh, fail, sh};

/// Seconds: a program whose first run took longer is not run again.
const PATIENCE: f64 = 10.0;
/// Seconds: where a run is shorter, what the machine does otherwise is a large part of it, and more runs are taken.
const SHORT: f64 = 1.0;
/// So many more for each round.
const MORE: usize = 2;

/// What all cases share.
pub(super) struct Bench<'a> {
    pub(super) gosync: &'a Path,
    pub(super) folder: PathBuf,
    pub(super) tools: Vec<Tool>,
    pub(super) rounds: usize,
}

/// One program doing one thing with one pair of versions.
pub(super) struct Turn<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) tool: Tool,
    pub(super) action: Action,
    /// What the pair is called where the case has several.
    pub(super) files: String,
    pub(super) length: u64,
    /// The digest of the new version.
    pub(super) expected: &'a str,
    /// gosync has the old version as a seed beside the target.
    pub(super) is_beside: bool,
}

/// What one run took and what was transferred.
#[derive(Clone, Debug, Default)]
struct Run {
    usage: Usage,
    index_bytes: u64,
    content_bytes: Option<u64>,
    requests: u64,
    /// What gosync's last line of JSON says was found in the old version.
    found: Option<u64>,
}

impl Bench<'_> {
    /// The points of a case; none where there is no room for it.
    pub(super) fn case(&self, case: &Case) -> Result<Vec<Value>> {
        let folder = self.folder.join("case");
        std::fs::create_dir_all(&folder)?;
        let points = match case.kind {
            Kind::Pair { files, tools } => self.pair(files, tools, &folder),
            Kind::Hostile { length, one_block } => self.hostile(length, one_block, &folder),
            Kind::Growth { lengths } => self.growth(lengths, &folder),
            Kind::Disk { length } => disk::run(self, length),
            Kind::Kernels => kernels::points(),
            Kind::Recall { length } => recall::run(self.gosync, length, &folder),
        };
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        points
    }

    fn pair(&self, files: Files, tools: &[Tool], folder: &Path) -> Result<Vec<Value>> {
        let place = Place::new(self.gosync, folder)?;
        files.make(&place.old, &place.new_version())?;
        let length = std::fs::metadata(place.new_version())?.len();
        let expected = digest(&place.new_version())?;
        let mut points = Vec::new();
        let changed = |block| files.changed(block);
        for action in [Action::Index, Action::Update, Action::Plan] {
            let does = |tool: &&&Tool| tool.does(action) && self.tools.contains(tool);
            let turns = tools.iter().filter(|tool| does(&tool)).map(|tool| Turn {
                place: &place,
                tool: *tool,
                action,
                files: String::new(),
                length,
                expected: &expected,
                is_beside: false,
            });
            let turns: Vec<Turn<'_>> = turns.collect();
            let mut taken = self.take_turns(&turns)?;
            for (turn, point) in turns.iter().zip(&mut taken) {
                turn.watch_writes(point, changed)?;
            }
            points.extend(taken);
        }
        Ok(points)
    }

    /// What should make it crawl, and random data of the same size.
    fn hostile(&self, length: u64, one_block: u64, folder: &Path) -> Result<Vec<Value>> {
        let mut points = self.shapes(cases::SHAPES, length, length, folder)?;
        std::fs::remove_dir_all(folder)?;
        points.extend(self.shapes(&[Shape::Random, Shape::OneBlock], length, one_block, folder)?);
        Ok(points)
    }

    fn shapes(&self, shapes: &[Shape], old: u64, new: u64, folder: &Path) -> Result<Vec<Value>> {
        let mut places = Vec::new();
        for (number, shape) in shapes.iter().enumerate() {
            let place = Place::new(self.gosync, &folder.join(number.to_string()))?;
            shape.seed(old, &mut std::io::BufWriter::new(std::fs::File::create(&place.old)?))?;
            shape.target(new, &mut std::io::BufWriter::new(std::fs::File::create(place.new_version())?))?;
            place.prepare(Tool::Gosync, Action::Index)?;
            // Made for blocks of one size: another one would make them harmless.
            let index = place.command(Tool::Gosync, Action::Index)?.args("--block-size").arg(BLOCK.to_string());
            index.quiet().run()?;
            if block_count(&place)? != new.div_ceil(BLOCK as u64) {
                return fail(format!("the index has no blocks of {BLOCK} bytes"));
            }
            places.push((shape.name(), place));
        }
        let turns = places.iter().map(|(name, place)| Turn {
            place,
            tool: Tool::Gosync,
            action: Action::Plan,
            files: format!("{name}, {} MiB in {} MiB", new / MIB, old / MIB),
            length: old,
            expected: "",
            is_beside: false,
        });
        self.take_turns(&turns.collect::<Vec<_>>())
    }

    fn growth(&self, lengths: &[u64], folder: &Path) -> Result<Vec<Value>> {
        let mut points = Vec::new();
        for length in lengths {
            std::fs::create_dir_all(folder)?;
            // Old, new, and what is made of them.
            if let Some(why) = obstacle(folder, 3 * length) {
                println!("skipped: {} MiB: {why}", length / MIB);
                continue;
            }
            let place = Place::new(self.gosync, folder)?;
            cases::grown(*length).write(&place.old, &place.new_version())?;
            points.extend(self.own(&place, *length)?);
            std::fs::remove_dir_all(folder)?;
        }
        Ok(points)
    }

    /// Index and update by gosync alone, over the floors.
    fn own(&self, place: &Place<'_>, length: u64) -> Result<Vec<Value>> {
        let expected = digest(&place.new_version())?;
        let turn = |(tool, action)| Turn {
            place,
            tool,
            action,
            files: format!("{} MiB", length / MIB),
            length,
            expected: &expected,
            is_beside: true,
        };
        let index = [(Tool::Gosync, Action::Index), (Tool::B3sum, Action::Index)].map(turn);
        let mut points = self.take_turns(&index)?;
        let update = [(Tool::Local, Action::Update), (Tool::Cp, Action::Update)].map(turn);
        points.extend(self.take_turns(&update)?);
        Ok(points)
    }

    /// Interleaved, so that what the machine does otherwise falls on all alike; of each the middle one.
    pub(super) fn take_turns(&self, turns: &[Turn<'_>]) -> Result<Vec<Value>> {
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); turns.len()];
        for round in 0..self.rounds * (1 + MORE) {
            let longest = if round < self.rounds { PATIENCE } else { SHORT };
            for (turn, runs) in turns.iter().zip(&mut runs) {
                if runs.first().is_none_or(|first| first.usage.seconds <= longest) {
                    runs.push(turn.run()?);
                }
            }
        }
        turns.iter().zip(runs).map(|(turn, runs)| turn.describe(runs)).collect()
    }
}

impl Turn<'_> {
    /// Puts everything as it is before a run: the command of it.
    fn prepare(&self) -> Result<Sh> {
        let Turn { place, tool, action, .. } = self;
        let is_beside = self.is_beside && *action == Action::Update;
        place.prepare(if is_beside { Tool::Cp } else { *tool }, *action)?;
        match tool {
            Tool::Local if is_beside => Ok(place.update_beside()),
            Tool::Cp if is_beside => Ok(place.copy_durably()),
            _ => place.command(*tool, *action),
        }
    }

    fn run(&self) -> Result<Run> {
        let Turn { place, tool, action, .. } = self;
        let command = self.prepare()?;
        if *action == Action::Update {
            place.warm(self.length)?;
        }
        place.server.take_counts();
        let usage = measure::run(command, &place.log())?;
        let sent = place.server.take_counts();
        if place::makes_a_result(*tool, *action) && digest(&place.result())? != self.expected {
            return fail(format!("the result of {} is wrong", tool.name()));
        }
        let printed = std::fs::read_to_string(place.log().with_extension("out")).unwrap_or_default();
        let said: Value = printed.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let published = Place::published(*tool).unwrap_or_default();
        let size = std::fs::metadata(place.site.join(published)).map_or(0, |file| file.len());
        let count = |name: &str| sent.get(name).copied().unwrap_or_default();
        let (index, content) = (count(published), count(CONTENT));
        let mut run = Run { usage, found: said["from_seeds"].as_u64(), ..Run::default() };
        match (*tool, *action) {
            (Tool::Rsync | Tool::Cp | Tool::B3sum, _) => {}
            // What has all in one file: for the size of an index see the first action.
            (Tool::Bita | Tool::Zchunk | Tool::Xdelta3 | Tool::Zstd, Action::Index) => run.content_bytes = Some(size),
            (Tool::Bita | Tool::Zchunk, _) => (run.content_bytes, run.requests) = (Some(index.bytes), index.requests),
            (Tool::Gosync | Tool::Zsync, Action::Update) => {
                run.index_bytes = index.bytes;
                (run.content_bytes, run.requests) = (Some(content.bytes), index.requests + content.requests);
            }
            (Tool::Local | Tool::InPlace, _) => (run.index_bytes, run.content_bytes) = (size, said["fetched"].as_u64()),
            (_, Action::Update) => (run.index_bytes, run.content_bytes) = (size, place.delta_bytes(*tool)),
            _ => run.index_bytes = size,
        }
        if matches!(tool, Tool::Xdelta3 | Tool::Zstd) {
            run.index_bytes = 0;
        }
        Ok(run)
    }

    /// Adds what gosync writes and syncs in an update, as the system sees it in one more run.
    pub(super) fn watch_writes(&self, point: &mut Value, changed: impl Fn(u64) -> Option<u64>) -> Result<()> {
        if self.action != Action::Update || !matches!(self.tool, Tool::Local | Tool::InPlace) {
            return Ok(());
        }
        let Some(writes) = writes::watch(self.prepare()?, &self.place.log())? else {
            return Ok(());
        };
        point["syncs"] = json!(writes.syncs);
        point["sync_seconds"] = json!(writes.sync_seconds);
        point["written_bytes"] = json!(writes.bytes);
        point["journal_bytes"] = json!(writes.journal);
        point["changed_bytes"] = json!(changed(info(self.place, "block_size")?));
        Ok(())
    }

    fn describe(&self, mut runs: Vec<Run>) -> Result<Value> {
        let all: Vec<f64> = runs.iter().map(|run| run.usage.seconds).collect();
        let usage = measure::median(runs.iter().map(|run| run.usage).collect());
        let last = runs.pop().unwrap_or_default();
        println!("{:>8} {:18} {:8.3} s  {}", self.action.name(), self.tool.name(), usage.seconds, self.files);
        let limit = if self.tool.is_own() { Some(64 * MIB + 64 * block_count(self.place)?) } else { None };
        Ok(json!({
            "files": self.files,
            "length": self.length,
            "action": self.action.name(),
            "program": self.tool.name(),
            "seconds": usage.seconds,
            "processor_seconds": usage.processor_seconds,
            "peak_bytes": usage.peak_bytes,
            "index_bytes": Some(last.index_bytes).filter(|bytes| *bytes > 0),
            "content_bytes": last.content_bytes,
            "requests": Some(last.requests).filter(|_| self.tool.is_over_http() && self.action == Action::Update),
            "found": last.found,
            "memory_limit": limit,
            "all_seconds": all,
        }))
    }
}

/// The number of blocks in gosync's index.
fn block_count(place: &Place<'_>) -> Result<u64> {
    info(place, "block_count")
}

/// What the program says of gosync's index.
fn info(place: &Place<'_>, key: &str) -> Result<u64> {
    let said = sh(place.gosync).args("info --json --quiet").arg(place.index(Tool::Gosync)).read()?;
    let object: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
    object[key].as_u64().map_or_else(|| fail(format!("no {key}: {said}")), Ok)
}
