//! What a user on Windows has: the DLL, programs in C that are linked to it or to the static library, and the main job,
//! from the index to the updated file, with the program and with the C example, over HTTP from a server on loopback.

use std::path::{Path, PathBuf};

use super::setup::{self, GCC, in_wine};
use crate::paths::root;
use crate::server::Server;
use crate::sh::{Result, Sh, fail, limited, sh};

/// Seconds for one program; the C tests take a few.
const LIMIT: u32 = 120;

/// What a static libgosync needs of the system; `--print native-static-libs` says so.
const SYSTEM_LIBRARIES: &str = "-lbcrypt -ladvapi32 -lntdll -luserenv -lws2_32 -ldbghelp";

/// Bytes of the release that is updated, and how many of them a difference may cost at most.
const LENGTH: usize = 8 << 20;
const AT_MOST: u64 = 1 << 20;

pub(super) fn run() -> Result<()> {
    // Is there already, if the tests were run.
    super::cargo("build --quiet --all-targets").run()?;
    let folder = crate::paths::fresh("windows-users")?;
    for file in ["gosync.dll", "gosync.exe"] {
        std::fs::copy(super::built().join(file), folder.join(file))?;
    }
    exports(&folder)?;
    let wine = setup::Wine::start()?;
    wine.warm_up()?;
    for name in ["verbs", "sources", "arguments"] {
        for (kind, library) in [("dll", "libgosync.dll.a"), ("static", "libgosync.a")] {
            let program = compile(&root().join(format!("tests/c/{name}.c")), library, &folder, kind)?;
            let own = folder.join(format!("{name}-{kind}"));
            std::fs::create_dir(&own)?;
            run_there(&program, &folder).arg(windows_path(&own)).run()?;
        }
    }
    main_job(&folder)
}

/// The DLL exports what the shared library for Linux does.
fn exports(folder: &Path) -> Result<()> {
    let table = sh("x86_64-w64-mingw32-objdump").arg("-p").arg(folder.join("gosync.dll")).read()?;
    let names = table.lines().skip_while(|line| !line.starts_with("[Ordinal/Name Pointer]")).skip(1);
    let names = names.map_while(|line| line.trim().strip_prefix('[')?.split_whitespace().last());
    crate::test::exports_are_the_ledger(names)
}

/// Compiles a C file as strictly as elsewhere; returns the program.
fn compile(file: &Path, library: &str, folder: &Path, kind: &str) -> Result<PathBuf> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let program = folder.join(format!("{name}-{kind}.exe"));
    sh(GCC)
        .args("-std=c99 -Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L")
        .arg(format!("-I{}", root().join("include").display()))
        .arg(file)
        .arg(super::built().join(library))
        .args(SYSTEM_LIBRARIES)
        // MinGW's threads, which the tests use; not to be looked for as a DLL.
        .args("-Wl,-Bstatic -lpthread -o")
        .arg(&program)
        .run()?;
    Ok(program)
}

/// A run of a program under Wine, in this folder.
fn run_there(program: &Path, folder: &Path) -> Sh {
    in_wine(limited(LIMIT, setup::WINE)).arg(program).within(folder)
}

/// The path as Windows' programs see it.
fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

/// An old release becomes the new one; what the server sent is counted, and the index is the one that Linux makes.
fn main_job(folder: &Path) -> Result<()> {
    let (old, new) = releases();
    let site = folder.join("site");
    std::fs::create_dir(&site)?;
    std::fs::write(site.join("release"), &new)?;
    run_there(&folder.join("gosync.exe"), folder).args("index site\\release").run()?;
    let made = std::fs::read(site.join("release.gosync"))?;
    let program = crate::faces::program(crate::faces::Profile::Dev)?;
    sh(program).args("index --quiet release -o elsewhere").within(&site).run()?;
    if std::fs::read(site.join("elsewhere"))? != made {
        return fail("the index that is made on Windows is not the one that is made here");
    }
    let example = compile(&root().join("examples/c/updater.c"), "libgosync.dll.a", folder, "dll")?;
    let server = Server::start(site)?;
    let index = server.url("release.gosync");
    for face in ["program", "example"] {
        let target = folder.join(format!("{face}.bin"));
        std::fs::write(&target, &old)?;
        let name = windows_path(&target);
        server.take_counts();
        match face {
            "program" => {
                run_there(&folder.join("gosync.exe"), folder).arg("update").arg(name).arg("--index").arg(&index)
            }
            _ => run_there(&example, folder).arg(name).arg(&index),
        }
        .run()?;
        if std::fs::read(&target)? != new {
            return fail(format!("the {face}'s result is not the new release"));
        }
        let sent = server.take_counts().get("release").map_or(0, |count| count.bytes);
        println!("{face}: the server sent {sent} of {LENGTH} bytes");
        if sent == 0 || sent > AT_MOST {
            return fail(format!("the server sent {sent} bytes to the {face}, which is not what was missing"));
        }
    }
    let verify = run_there(&folder.join("gosync.exe"), folder).args("verify program.bin --index site\\release.gosync");
    verify.run()
}

/// Bytes that repeat nowhere, and an older version of them: a part of it differs, and all of it lies elsewhere.
fn releases() -> (Vec<u8>, Vec<u8>) {
    let mut new = vec![0; LENGTH];
    blake3::Hasher::new().update(b"release").finalize_xof().fill(&mut new);
    let mut old = b"an older head".to_vec();
    old.extend_from_slice(&new);
    old[LENGTH / 2..LENGTH / 2 + 200_000].fill(7);
    (old, new)
}
