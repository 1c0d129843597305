//! One large file on the disk. For want of room there is only one whole file at a time for index and plan, and two for the
//! update: the new version is only described, and afterwards has holes where the update does not read it, the middle
//! between the edits. A result that took something from there would be wrong. Where there is no room for two, the update
//! is of a smaller file. What is read in a run is on the disk only: of a file of this size some, all or nothing of what
//! was written last is still in memory, and who finds it there is measured against who does not.

use std::path::Path;

use serde_json::Value;

use super::cases;
use super::place::Place;
use super::room::obstacle;
use super::runner::{Bench, Turn};
use super::tools::{Action, Tool};
use crate::demo::digest;
use crate::sh::{Result, need, sh};

/// The smallest file that says something about large ones.
const LEAST: u64 = 1 << 30;

/// Runs it once: what the first run leaves in memory is not what others would find. Nothing where there is no room.
pub(super) fn run(bench: &Bench<'_>, length: u64) -> Result<Vec<Value>> {
    let folder = crate::paths::fresh("bench/disk")?;
    let once = Bench { gosync: bench.gosync, folder: folder.clone(), tools: bench.tools.clone(), rounds: 1 };
    let outcome = measure(&once, length, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(bench: &Bench<'_>, length: u64, folder: &Path) -> Result<Vec<Value>> {
    if let Some(why) = obstacle(folder, length) {
        println!("skipped: {why}");
        return Ok(Vec::new());
    }
    let mut points = describe(bench, length, &folder.join("described"))?;
    let halves = std::iter::successors(Some(length), |length| Some(length / 2).filter(|half| *half >= LEAST));
    let mut fitting = halves.filter(|part| obstacle(folder, 2 * part).is_none());
    match fitting.next() {
        Some(part) => points.extend(update(bench, part, part < length, &folder.join("updated"))?),
        None => println!("skipped: there is no room for an update"),
    }
    Ok(points)
}

/// Index and plan.
fn describe(bench: &Bench<'_>, length: u64, folder: &Path) -> Result<Vec<Value>> {
    let place = Place::new(bench.gosync, folder)?;
    let case = cases::grown(length);
    case.write_new(&place.new_version())?;
    let turn = |tool, action| turn(&place, tool, action, (length, false), "");
    let mut points = Vec::new();
    for tool in [Tool::B3sum, Tool::Gosync] {
        forget(&place.new_version())?;
        points.extend(bench.take_turns(&[turn(tool, Action::Index)])?);
    }
    std::fs::remove_file(place.new_version())?;
    case.write_old(&place.old)?;
    forget(&place.old)?;
    points.extend(bench.take_turns(&[turn(Tool::Gosync, Action::Plan)])?);
    std::fs::remove_dir_all(folder)?;
    Ok(points)
}

fn update(bench: &Bench<'_>, length: u64, is_part: bool, folder: &Path) -> Result<Vec<Value>> {
    let place = Place::new(bench.gosync, folder)?;
    let case = cases::grown(length);
    case.write_new(&place.new_version())?;
    let expected = digest(&place.new_version())?;
    let turn = |tool| turn(&place, tool, Action::Update, (length, is_part), &expected);
    place.command(Tool::Gosync, Action::Index)?.quiet().run()?;
    forget(&place.new_version())?;
    let mut points = bench.take_turns(&[turn(Tool::Cp)])?;
    place.clear()?;
    for hole in case.untouched() {
        let (from, bytes) = (hole.start.to_string(), (hole.end - hole.start).to_string());
        let punch = sh(need("fallocate")?).args("--punch-hole --offset").arg(from).arg("--length").arg(bytes);
        punch.arg(place.new_version()).quiet().run()?;
    }
    case.write_old(&place.old)?;
    forget(&place.old)?;
    let own = turn(Tool::Local);
    let mut taken = bench.take_turns(std::slice::from_ref(&own))?;
    // Where things move, there is no saying which blocks have changed.
    taken.iter_mut().try_for_each(|point| own.watch_writes(point, |_| None))?;
    points.extend(taken);
    Ok(points)
}

/// Has all of a file written, and nothing of it kept in memory.
fn forget(file: &Path) -> Result<()> {
    sh("sync").quiet().run()?;
    let mut input = std::ffi::OsString::from("if=");
    input.push(file);
    sh("dd").arg(input).args("iflag=nocache count=0 status=none").quiet().run()
}

fn turn<'a>(
    place: &'a Place<'a>,
    tool: Tool,
    action: Action,
    (length, is_part): (u64, bool),
    expected: &'a str,
) -> Turn<'a> {
    let files = if is_part { format!("only {} GiB of it", length >> 30) } else { String::new() };
    Turn { place, tool, action, files, length, expected, is_beside: true }
}
