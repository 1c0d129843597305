//! The C library as a user has it: built, installed in a folder of its own, and programs compiled against it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::{cargo, root, run, target};

/// What a static libgosync needs of the system.
const SYSTEM_LIBRARIES: &[&str] = if cfg!(target_os = "macos") {
    &["-lm", "-liconv", "-framework Security", "-framework CoreFoundation"]
} else {
    &["-lpthread", "-ldl", "-lm"]
};

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Against `libgosync.so`.
    Shared,
    /// Against `libgosync.a`.
    Static,
}

/// An installed libgosync: `lib/`, `include/`, `lib/pkgconfig/`, `lib/cmake/gosync/`.
pub struct Installed {
    prefix: PathBuf,
}

/// The library of the present code, built and installed once for this process.
pub fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        run(cargo().args(["build", "--quiet", "-p", "gosync-capi"]));
        let prefix = target().join("c-api");
        // What an earlier version installed must not be found.
        let _ = std::fs::remove_dir_all(&prefix);
        install(&target().join("debug"), &prefix).unwrap_or_else(|error| panic!("cannot install libgosync: {error}"));
        Installed { prefix }
    })
}

/// Installs the library that Cargo left in `built` below `prefix`.
fn install(built: &Path, prefix: &Path) -> std::io::Result<()> {
    let lib = prefix.join("lib");
    let (pkgconfig, cmake, include) = (lib.join("pkgconfig"), lib.join("cmake/gosync"), prefix.join("include"));
    for folder in [&pkgconfig, &cmake, &include] {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::copy(root().join("include/gosync.h"), include.join("gosync.h"))?;
    std::fs::copy(built.join("libgosync.a"), lib.join("libgosync.a"))?;
    let version = env!("CARGO_PKG_VERSION");
    let file = format!("libgosync.so.{version}");
    std::fs::copy(built.join("libgosync.so"), lib.join(&file))?;
    std::os::unix::fs::symlink(&file, lib.join(soname()))?;
    std::os::unix::fs::symlink(soname(), lib.join("libgosync.so"))?;
    let fill = |template: &str, to: &Path| {
        let text = std::fs::read_to_string(root().join("ffi/dist").join(template))?
            .replace("@prefix@", &prefix.display().to_string())
            .replace("@version@", version)
            .replace("@shared@", &file)
            .replace("@soname@", &soname())
            .replace("@libs_private@", &SYSTEM_LIBRARIES.join(" "))
            .replace("@libs_private_cmake@", &SYSTEM_LIBRARIES.join(";"));
        std::fs::write(to.join(template.trim_end_matches(".in")), text)
    };
    fill("gosync.pc.in", &pkgconfig)?;
    fill("gosync-config.cmake.in", &cmake)
}

/// The name that programs remember the shared library by: before 1.0 the minor version is part of it.
pub fn soname() -> String {
    let [major, minor] = [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR")];
    if major == "0" { format!("libgosync.so.0.{minor}") } else { format!("libgosync.so.{major}") }
}

impl Installed {
    /// The folder that everything is below.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// A library file.
    pub fn library(&self, link: Link) -> PathBuf {
        self.prefix.join(match link {
            Link::Shared => "lib/libgosync.so",
            Link::Static => "lib/libgosync.a",
        })
    }

    /// Compiles C (or, by its ending, C++) files into one program, with every warning an error.
    /// What has this name is compiled once, since another test may be running it.
    #[track_caller]
    pub fn compile(&self, name: &str, link: Link, files: &[PathBuf]) -> PathBuf {
        static DONE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.prefix.join("programs").join(format!("{link:?}").to_lowercase());
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let program = folder.join(name);
        if done.contains(&program) {
            return program;
        }
        let mut command = compiler(files);
        command.arg("-pthread").arg("-o").arg(&program).args(files).arg("-I").arg(self.prefix.join("include"));
        command.arg(self.library(link));
        match link {
            Link::Shared => command.arg(format!("-Wl,-rpath,{}", self.prefix.join("lib").display())),
            Link::Static => command.args(SYSTEM_LIBRARIES.iter().flat_map(|flags| flags.split(' '))),
        };
        run(&mut command);
        done.insert(program.clone());
        program
    }

    /// Only checks that the file compiles.
    #[track_caller]
    pub fn check(&self, file: &Path, standard: &str) {
        let mut command = strict(if standard.starts_with("c++") { "c++" } else { "cc" }, standard);
        run(command.arg("-fsyntax-only").arg(file).arg("-I").arg(self.prefix.join("include")));
    }
}

fn compiler(files: &[PathBuf]) -> Command {
    let is_cpp = files.iter().any(|file| file.extension().is_some_and(|ending| ending == "cpp"));
    if is_cpp { strict("c++", "c++17") } else { strict("cc", "c99") }
}

fn strict(compiler: &str, standard: &str) -> Command {
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(["-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
    // Threads and clocks of the test programs; the header itself needs nothing beyond the language.
    command.arg("-D_POSIX_C_SOURCE=200809L");
    command
}
