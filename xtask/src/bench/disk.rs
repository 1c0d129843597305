//! One large file on the disk. For want of room the new version is only described: afterwards it has holes where the
//! update does not read it, the middle between the edits. A result that took something from there would be wrong.

use std::path::Path;

use serde_json::Value;

use super::cases;
use super::place::Place;
use super::room::obstacle;
use super::runner::{Bench, Turn};
use super::tools::{Action, Tool};
use crate::demo::digest;
use crate::sh::{Result, need, sh};

/// Runs it once; nothing where there is no room.
pub(super) fn run(bench: &Bench<'_>, length: u64) -> Result<Vec<Value>> {
    let folder = crate::paths::fresh("bench/disk")?;
    // At any time at most two whole files.
    let outcome = match obstacle(&folder, 2 * length) {
        Some(why) => {
            println!("skipped: {why}");
            Ok(Vec::new())
        }
        None => measure(bench, length, &folder),
    };
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn measure(bench: &Bench<'_>, length: u64, folder: &Path) -> Result<Vec<Value>> {
    let place = Place::new(bench.gosync, folder)?;
    let case = cases::grown(length);
    case.write_new(&place.new_version())?;
    let expected = digest(&place.new_version())?;
    let turn = |tool, action, is_beside| Turn {
        place: &place,
        tool,
        action,
        files: String::new(),
        length,
        expected: &expected,
        is_beside,
    };
    // Without rounds: what the first one left in memory is not what the others find.
    let once = Bench { gosync: bench.gosync, folder: folder.to_path_buf(), tools: bench.tools.clone(), rounds: 1 };
    let mut points = Vec::new();
    for tool in [Tool::B3sum, Tool::Gosync] {
        points.extend(once.take_turns(&[turn(tool, Action::Index, true)])?);
    }
    points.extend(once.take_turns(&[turn(Tool::Cp, Action::Update, true)])?);
    place.clear()?;
    for hole in case.untouched() {
        let (from, bytes) = (hole.start.to_string(), (hole.end - hole.start).to_string());
        let punch = sh(need("fallocate")?).args("--punch-hole --offset").arg(from).arg("--length").arg(bytes);
        punch.arg(place.new_version()).quiet().run()?;
    }
    case.write_old(&place.old)?;
    sh("sync").quiet().run()?;
    points.extend(once.take_turns(&[turn(Tool::Local, Action::Update, true)])?);
    Ok(points)
}
