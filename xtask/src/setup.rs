//! Installs what the tasks need and a fresh machine lacks, by the ordinary package clients.
//! A machine that has everything is left as it is.

use std::path::PathBuf;

use crate::paths;
use crate::sh::{Result, Stop, cargo, need, sh, which};

/// Programs from Debian's packages: what it is called there, and for what it is needed.
const DEBIAN: &[(&str, &str, &str)] = &[
    ("cc", "gcc", "the C examples and tests"),
    ("c++", "g++", "the C++ examples and tests"),
    ("pkg-config", "pkg-config", "the test of the installed C library"),
    ("cmake", "cmake", "the test of the installed C library"),
    ("valgrind", "valgrind", "the leak tests"),
    ("minisign", "minisign", "the tests of signatures"),
    ("losetup", "mount", "the tests of small and broken disks"),
    ("mkfs.ext4", "e2fsprogs", "the tests of small disks"),
    ("mkfs.btrfs", "btrfs-progs", "the tests on file systems that can clone"),
    ("mkfs.xfs", "xfsprogs", "the tests on file systems that can clone"),
    ("mkfs.vfat", "dosfstools", "the tests on a file system that folds case"),
    ("mkfs.exfat", "exfatprogs", "the tests on a file system that folds case"),
    ("mount.exfat-fuse", "exfat-fuse", "the tests on a file system that folds case"),
    ("strace", "strace", "the tests of kills and of failing disks, and the benchmark"),
    ("rsync", "rsync", "the benchmark, and the tests of directories"),
    ("zsync", "zsync", "the benchmark"),
    ("b3sum", "b3sum", "the benchmark"),
    ("rdiff", "rdiff", "the benchmark"),
    ("casync", "casync", "the benchmark"),
    ("zck", "zchunk", "the benchmark"),
    ("xdelta3", "xdelta3", "the benchmark"),
    ("zstd", "zstd", "the benchmark"),
    ("ip", "iproute2", "the benchmark over a slow link"),
    ("curl", "curl", "the benchmark over a slow link"),
    ("nginx", "nginx", "the benchmark over a slow link, and the tests with real servers"),
    ("openssl", "openssl", "the benchmark over a slow link, and the tests with real servers"),
];

/// The Python tools, with the versions that the results were seen with.
const PYTHON: &str = "bindings/python/requirements-dev.txt";

/// Installs all of it.
pub(crate) fn run() -> Result<bool> {
    debian(DEBIAN)?;
    python_tool("maturin")?;
    crate::faces::node_modules()?;
    println!("setup: done");
    Ok(true)
}

/// Installs the packages of the benchmark's peers.
pub(crate) fn peers() -> Result<()> {
    let peers: Vec<_> = DEBIAN.iter().filter(|(.., purpose)| purpose.contains("benchmark")).copied().collect();
    debian(&peers)
}

fn debian(list: &[(&str, &str, &str)]) -> Result<()> {
    let missing: Vec<_> = list.iter().filter(|(program, ..)| which(program).is_none()).collect();
    if missing.is_empty() {
        println!("Debian packages: nothing is missing");
        return Ok(());
    }
    for (program, package, purpose) in &missing {
        println!("{program} is missing: installing {package}, for {purpose}");
    }
    let Ok(client) = need("apt-get") else {
        let names = missing.iter().map(|(program, ..)| *program).collect::<Vec<_>>();
        return Err(Stop::Missing(format!("{} (and there is no apt-get to install it)", names.join(", "))));
    };
    let apt = || sh(&client).env("DEBIAN_FRONTEND", "noninteractive");
    apt().args("update -q").quiet().run()?;
    let install = apt().args("install -y -q --no-install-recommends");
    missing.iter().fold(install, |sh, (_, package, _)| sh.arg(package)).quiet().run()
}

/// A program of the tools' own virtual environment, made and filled at the first use.
pub(crate) fn python_tool(program: &str) -> Result<PathBuf> {
    let venv = paths::tools().join("python");
    let marker = venv.join("installed.txt");
    let list = std::fs::read_to_string(paths::root().join(PYTHON))?;
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == list) {
        return Ok(venv.join("bin").join(program));
    }
    println!("Python tools: installing {PYTHON} below {}", venv.display());
    new_venv(&venv)?;
    sh(venv.join("bin/python")).args("-m pip install --quiet -r").arg(PYTHON).run()?;
    std::fs::write(marker, list)?;
    Ok(venv.join("bin").join(program))
}

/// A new virtual environment in this folder.
pub(crate) fn new_venv(folder: &std::path::Path) -> Result<()> {
    sh(need("python3")?).args("-m venv --clear").arg(folder).run()
}

/// A cargo program, built under the tools' folder at the first use.
pub(crate) fn cargo_tool(package: &str) -> Result<PathBuf> {
    if let Some(file) = which(package) {
        return Ok(file);
    }
    println!("installing {package} under {}", paths::tools().display());
    cargo().args("install --quiet --locked --root").arg(paths::tools()).arg(package).run()?;
    need(package)
}
