//! The main job on real input, through every face: a real package's release becomes the next one.
//!
//! The new release is published by a server on loopback; then the program, the C example, the Python package and the
//! Node package each update their own copy of the old one. What they report is shown beside what the server sent and
//! beside the BLAKE3 of the result; any difference fails the demo.

pub(crate) mod package;
mod table;

pub(crate) use table::grouped;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::faces::{self, Profile};
use crate::paths::{fresh, root, target};
use crate::server::Server;
use crate::sh::{Result, Sh, fail, limited, sh};
use table::Row;

/// The published file, and what the index of it is called.
const NAME: &str = "release.tar";
const INDEX: &str = "release.tar.gosync";

/// Runs the demo; false if a face's result is not the new release.
pub(crate) fn run() -> Result<bool> {
    let started = Instant::now();
    let folder = target().join("demo");
    std::fs::create_dir_all(&folder)?;
    let releases = package::releases(&package::DEMO, &folder)?;
    println!("\nbuilding and installing the faces");
    let faces = Faces::build(&folder)?;
    let ready = Instant::now();

    println!("\npublishing {}", releases.new.display());
    let site = fresh("demo/site")?;
    let published = site.join(NAME);
    std::fs::copy(&releases.new, &published)?;
    sh(&faces.program).arg("index").arg(&published).run()?;
    let server = Server::start(site.clone())?;
    let expected = digest(&published)?;
    println!("{} bytes, and an index of {}", size(&published)?, size(&site.join(INDEX))?);
    println!("BLAKE3 of the new release: {expected}\n");

    let mut rows = Vec::new();
    for face in ["CLI", "C", "Python", "Node"] {
        let work = fresh(&format!("demo/runs/{face}"))?;
        let copy = work.join(NAME);
        std::fs::copy(&releases.old, &copy)?;
        server.take_counts();
        let begun = Instant::now();
        let report = faces.command(face, &copy, &server.url(INDEX)).read()?;
        let seconds = begun.elapsed().as_secs_f64();
        let sent = server.take_counts();
        let (result, told) = (digest(&copy)?, told(face, &report)?);
        rows.push(Row { face, seconds, told, sent, is_right: result == expected, digest: result });
    }
    table::print(&rows, size(&published)?);
    let built = (ready - started).as_secs_f64();
    println!("\n{built:.0} s to get and build, {:.0} s in all", started.elapsed().as_secs_f64());
    Ok(rows.iter().all(Row::is_fine))
}

/// The faces, ready to run.
struct Faces {
    program: PathBuf,
    c_example: PathBuf,
    python: PathBuf,
    node_example: PathBuf,
}

impl Faces {
    fn build(folder: &Path) -> Result<Faces> {
        let program = faces::program(Profile::Fast)?;
        let library = faces::c_library(Profile::Fast, folder)?;
        let c_example = faces::c_program(&root().join("examples/c/updater.c"), &library, folder)?;
        let python = faces::python(Profile::Fast, folder)?;
        let node = faces::node(Profile::Fast, folder)?;
        // An import is looked for beside the file that imports.
        let node_example = node.join("update.mjs");
        std::fs::copy(root().join("examples/node/update.mjs"), &node_example)?;
        Ok(Faces { program, c_example, python, node_example })
    }

    /// The same update, as each face says it.
    fn command(&self, face: &str, copy: &Path, index: &str) -> Sh {
        const LIMIT: u32 = 120;
        match face {
            "CLI" => limited(LIMIT, &self.program).args("update --json --quiet").arg(copy).arg("--index").arg(index),
            "C" => limited(LIMIT, &self.c_example).arg(copy).arg(index),
            "Python" => limited(LIMIT, &self.python).arg(root().join("examples/python/update.py")).arg(copy).arg(index),
            _ => limited(LIMIT, "node").arg(&self.node_example).arg(copy).arg(index),
        }
    }
}

/// What a face says it did.
pub(crate) struct Told {
    pub(crate) total: u64,
    pub(crate) from_seeds: u64,
    pub(crate) fetched: u64,
    pub(crate) requests: u64,
}

/// Reads it off the last line: an object from the program, `RESULT name=number …` from the examples.
fn told(face: &str, report: &str) -> Result<Told> {
    let Some(line) = report.lines().rfind(|line| line.starts_with("RESULT ") || line.starts_with('{')) else {
        return fail(format!("{face} printed no result:\n{report}"));
    };
    let object: Value = serde_json::from_str(line).unwrap_or_default();
    let number = |name: &str| -> Result<u64> {
        let by_name = |word: &str| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        let value = object[name].as_u64().or_else(|| line.split_whitespace().find_map(by_name));
        value.map_or_else(|| fail(format!("{face} does not say {name}: {line}")), Ok)
    };
    Ok(Told {
        total: number("total")?,
        from_seeds: number("from_seeds")?,
        fetched: number("fetched")?,
        requests: number("requests")?,
    })
}

/// The BLAKE3 of a file.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn size(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}
