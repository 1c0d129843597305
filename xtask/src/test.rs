//! The tests of every language, each against what its users get: the crates, the compiled C programs,
//! the installed wheel, the installed npm package, the README.

use std::path::Path;

use crate::faces::{self, Profile};
use crate::paths::{root, target};
use crate::sh::{Result, Stop, cargo, cargo_path, fail, limited, need, sh};
use crate::steps::Steps;
use crate::{fuzz, lint, readme, setup, tidy, windows};

/// Seconds after which a step's tests count as hanging; the build of a fresh machine is in it.
const LIMIT: u32 = 1800;

/// What a change needs within three minutes.
pub(crate) fn run_quick() -> Result<bool> {
    let mut steps = Steps::new();
    steps.step("format", lint::format);
    steps.step("borders (tidy)", tidy::step);
    steps.step("Rust: core, io, cli, xtask", || {
        rust_tests(&["-p", "gosync-core", "-p", "gosync-io", "-p", "gosync-cli", "-p", "xtask"])
    });
    steps.finish()
}

/// Everything that a submission must pass but the lints.
pub(crate) fn run() -> Result<bool> {
    let mut steps = Steps::new();
    steps.step("format", lint::format);
    steps.step("borders (tidy)", tidy::step);
    add(&mut steps);
    steps.finish()
}

/// What CI runs, on a machine that may have none of the tools yet.
pub(crate) fn run_ci() -> Result<bool> {
    let mut steps = Steps::new();
    steps.step("setup", || setup::run().map(drop));
    lint::add(&mut steps);
    add(&mut steps);
    steps.step("fuzz: replay", fuzz::replay);
    windows::add(&mut steps);
    steps.finish()
}

fn add(steps: &mut Steps) {
    let folder = target().join("test");
    steps.step("C library: build, exported symbols", || c_library(&folder));
    steps.step("Rust, C and C++", || {
        rust_tests(&["--workspace", "--exclude", "gosync-python", "--exclude", "gosync-node"])
    });
    steps.step("Rust: documentation's examples", || {
        cargo().args("test --quiet --doc -p gosync-core -p gosync-io -p gosync-ffi -p gosync-binding").run()
    });
    steps.step("Python: the installed wheel", || python(&folder));
    steps.step("Python: types", || python_types(&folder));
    steps.step("Node: the installed package", || node(&folder));
    steps.step("Node: types", node_types);
    steps.step("README: its examples", || readme::run(&folder));
}

/// All tests of these packages, one process for each test file: what they share is then made once.
fn rust_tests(packages: &[&str]) -> Result<()> {
    let start = limited(LIMIT, cargo_path()).args("test --quiet --tests --no-fail-fast");
    packages.iter().fold(start, |sh, word| sh.arg(word)).run()
}

/// Builds libgosync; it exports exactly the symbols of the ledger.
fn c_library(folder: &Path) -> Result<()> {
    let library = faces::c_library(Profile::Dev, folder)?.join("lib/libgosync.so");
    let table = sh(need("nm")?).args("-D --defined-only --format=posix").arg(library).read()?;
    exports_are_the_ledger(table.lines().filter_map(|line| line.split_whitespace().next()))
}

/// A library exports what is in the ledger, and no more.
pub(crate) fn exports_are_the_ledger<'a>(exported: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut exported: Vec<String> = exported.map(str::to_owned).collect();
    exported.sort_unstable();
    let mut ledger = crate::generate::ledger()?;
    ledger.sort_unstable();
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|name| !those.contains(name)).cloned().collect::<Vec<_>>()
    };
    let (more, fewer) = (only(&exported, &ledger), only(&ledger, &exported));
    if !more.is_empty() || !fewer.is_empty() || ledger.is_empty() {
        return fail(format!("exported but not in the ledger: {more:?}; in the ledger but not exported: {fewer:?}"));
    }
    println!("{} symbols, as in the ledger", exported.len());
    Ok(())
}

/// What the tests and the checks of types need besides the package.
const PYTHON_TOOLS: &str = "bindings/python/requirements-dev.txt";

fn python(folder: &Path) -> Result<()> {
    let python = faces::python(Profile::Dev, folder)?;
    sh(&python).args("-m pip install --quiet -r").arg(PYTHON_TOOLS).run()?;
    // Run elsewhere than in the sources, so that it is the installed package that is imported.
    let tests = root().join("bindings/python/tests");
    limited(LIMIT, &python).args("-m pytest -q -p no:cacheprovider").arg(tests).within(folder).run()
}

/// The stubs say what the built module has (stubtest), and people's code passes with them (pyright, mypy).
fn python_types(folder: &Path) -> Result<()> {
    let bin = folder.join("venv/bin");
    let package = root().join("bindings/python");
    if !bin.join("stubtest").is_file() {
        return Err(Stop::Missing("the wheel of the step before".to_owned()));
    }
    sh(bin.join("stubtest"))
        .args("gosync --allowlist")
        .arg(package.join("stubtest-allowlist.txt"))
        .within(folder)
        .run()?;
    let pyright = || {
        sh(bin.join("pyright")).env("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1").arg("--pythonpath").arg(bin.join("python"))
    };
    pyright().arg("--project").arg(&package).run()?;
    pyright().arg(root().join("examples/python")).within(folder).run()
}

fn node(folder: &Path) -> Result<()> {
    faces::node(Profile::Dev, folder)?;
    limited(LIMIT, need("npm")?).args("test --silent").within(root().join("bindings/node")).run()
}

fn node_types() -> Result<()> {
    sh(need("npm")?).args("run --silent types").within(root().join("bindings/node")).run()
}
