//! The one door for developers: `cargo xtask help` lists the tasks.
//! Only the choice of the task is here; each task is a module of its own.
//! Depends on no gosync crate: it runs the programs from outside, as a user does.

mod bench;
mod demo;
mod faces;
mod fuzz;
mod generate;
mod install;
mod lint;
mod long;
mod paths;
mod readme;
mod server;
mod setup;
mod sh;
mod steps;
mod test;
mod tidy;
mod windows;

use std::process::ExitCode;

const HELP: &str = "\
The developers' door: cargo xtask TASK

  demo             updates a real package's release to the next one through every face, and compares
  test [--quick]   the tests of every language; --quick only what a change needs within 3 minutes
  lint             format, clippy, documentation, generated files, borders: every warning an error
  tidy             the borders of ARCHITECTURE.md, with file and line
  gen [--check]    writes what is generated (C header, ABI ledger, error list, typings); --check only compares
  windows          builds for Windows and runs the tests of core, io and the program under Wine (as root, on Debian 12)
  long             what takes longer: many property cases, kills, power cuts, fuzzing, huge files, the quick benchmark
  fuzz [SECONDS]   fuzzes each target for so long (60) with the nightly toolchain
  fuzz --replay    runs the committed inputs through the targets, on the stable toolchain
  bench [--quick | --write] [--goals] [--resume] [--only CASE]...
                   side by side with every peer that is installed, over cp and b3sum; --goals runs only what a goal is
                   about, --only takes the cases whose name has this in it and leaves the others' results, --resume
                   measures only what has none; --write renews docs/bench (README.md, results.json, updates.svg)
  bench --net [--quick] [--write] [--only CASE]...
                   over a slow link (as root, on Linux), beside zsync, bita and curl; --only takes the cases whose name
                   has this in it and leaves the others' results; --write renews docs/bench/net.md and net.json
  bench --bytes [--quick] [--write] [--only CASE]...
                   bytes of index and content as nginx counts them, beside zsync and bita; --write renews
                   docs/bench/bytes.md and bytes.json
  bench --trees [--write] [--only CASE]...
                   directories over a slow link (as root, on Linux), beside rsync, casync, zsync of a tar and curl, and how they
                   grow with the number of files; --write renews docs/bench/trees.md and trees.json
  bench --kernels  the vector kernels of the scan by themselves, in GB/s
  install PREFIX   builds libgosync for release and installs it: library, header, pkg-config file, CMake package
  setup            installs what the other tasks need (Debian packages, Python and Node tools under target/)
  ci               setup, lint, test, fuzz --replay and windows: all that a submission must pass
  help             this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(true)
        }
        ["setup"] => setup::run(),
        ["tidy"] => tidy::run(),
        ["gen"] => generate::run(false),
        ["gen", "--check"] => generate::run(true),
        ["lint"] => lint::run(),
        ["test"] => test::run(),
        ["test", "--quick"] => test::run_quick(),
        ["ci"] => test::run_ci(),
        ["windows"] => windows::run(),
        ["long"] => long::run(),
        ["demo"] => demo::run(),
        ["bench", options @ ..] => bench::run(options),
        ["fuzz", "--replay"] => fuzz::replay_alone(),
        ["fuzz"] => fuzz::run("60"),
        ["install", prefix] => install::run(prefix),
        ["fuzz", seconds] => fuzz::run(seconds),
        other => Err(sh::Stop::Failed(format!("no such task: {}\n\n{HELP}", other.join(" ")))),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(stop) => {
            eprintln!("xtask: {stop}");
            ExitCode::FAILURE
        }
    }
}
