//! What is generated and committed: the C header, the ABI ledger, the list of errors, the page of the conformance
//! suite, the typings of the addon.
//! `gen` writes it; `gen --check` only compares, so that a change in the code brings its consequences along.

mod abi;
mod conformance;
mod errors;
mod header;
mod typings;

pub(crate) use abi::ledger;

use std::path::PathBuf;

use crate::sh::{Result, fail};

/// A file as it should be.
struct Generated {
    /// From the root of the tree.
    path: &'static str,
    content: String,
}

/// Writes the files, or (`check`) tells which differ from what would be written. True if all is well.
pub(crate) fn run(check: bool) -> Result<bool> {
    let header = header::generate()?;
    let mut files = vec![errors::generate()?, conformance::generate()?];
    files.extend(abi::generate(&header.content)?);
    files.push(header);
    let mut same = true;
    for file in &files {
        same &= settle(file, check)?;
    }
    Ok(typings::run(check)? && same)
}

/// As [`run`] with `check`, for a step of another task.
pub(crate) fn check_step() -> Result<()> {
    if run(true)? { Ok(()) } else { fail("generated files are stale: run `cargo xtask gen`") }
}

fn settle(file: &Generated, check: bool) -> Result<bool> {
    let path: PathBuf = crate::paths::root().join(file.path);
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    if present == file.content {
        println!("{}: up to date", file.path);
        return Ok(true);
    }
    if check {
        let line = present.lines().zip(file.content.lines()).take_while(|(old, new)| old == new).count() + 1;
        let expected = file.content.lines().nth(line - 1).unwrap_or("the end of the file");
        println!("{}:{line}: should be: {expected}", file.path);
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, &file.content)?;
    println!("{}: written", file.path);
    Ok(true)
}
