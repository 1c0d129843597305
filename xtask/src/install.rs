//! Puts libgosync where C programs look for it: library, header, pkg-config file and CMake package below a prefix.
//! Done here and not by a build script, because installing is an act of its own.

use std::path::{Path, PathBuf};

use crate::faces::Profile;
use crate::paths::root;
use crate::sh::{Result, cargo, fail, sh};

/// What a static libgosync needs of the system; `cargo rustc -p gosync-capi -- --print native-static-libs` says so.
const SYSTEM_LIBRARIES: &[&str] = if cfg!(target_os = "macos") {
    &["-lm", "-liconv", "-framework Security", "-framework CoreFoundation"]
} else {
    &["-lpthread", "-ldl", "-lm"]
};

/// The task: builds for release and installs below `prefix`.
pub(crate) fn run(prefix: &str) -> Result<bool> {
    if cfg!(windows) || cfg!(target_os = "macos") {
        return fail("installing is known for Linux and its like only");
    }
    let prefix = std::env::current_dir()?.join(prefix);
    library(Profile::Release, &prefix)?;
    println!("installed below {}", prefix.display());
    Ok(true)
}

/// Builds the library and installs it below `prefix`, in the place of one that is there already.
pub(crate) fn library(profile: Profile, prefix: &Path) -> Result<()> {
    cargo().args("build --quiet -p gosync-capi --profile").arg(profile.name()).run()?;
    let built = profile.folder();
    let lib = prefix.join("lib");
    let include = put_folder(prefix.join("include"))?;
    let pkgconfig = put_folder(lib.join("pkgconfig"))?;
    let cmake = put_folder(lib.join("cmake/gosync"))?;
    std::fs::copy(root().join("include/gosync.h"), include.join("gosync.h"))?;
    std::fs::copy(built.join("libgosync.a"), lib.join("libgosync.a"))?;
    let version = env!("CARGO_PKG_VERSION");
    let (file, soname) = (format!("libgosync.so.{version}"), soname(&built.join("libgosync.so"))?);
    // By rename: a process that has the old library loaded keeps it.
    std::fs::copy(built.join("libgosync.so"), lib.join("libgosync.so.partial"))?;
    std::fs::rename(lib.join("libgosync.so.partial"), lib.join(&file))?;
    link(&file, &lib.join(&soname))?;
    link(&soname, &lib.join("libgosync.so"))?;
    for (template, folder) in [("gosync.pc.in", pkgconfig), ("gosync-config.cmake.in", cmake)] {
        let text = std::fs::read_to_string(root().join("ffi/dist").join(template))?
            .replace("@prefix@", &prefix.display().to_string())
            .replace("@version@", version)
            .replace("@shared@", &file)
            .replace("@soname@", &soname)
            .replace("@libs_private@", &SYSTEM_LIBRARIES.join(" "))
            .replace("@libs_private_cmake@", &SYSTEM_LIBRARIES.join(";"));
        std::fs::write(folder.join(template.trim_end_matches(".in")), text)?;
    }
    Ok(())
}

/// The name that programs will remember the library by, as its build gave it.
fn soname(library: &Path) -> Result<String> {
    let dynamic = sh("readelf").arg("-d").arg(library).read()?;
    let name = dynamic.lines().find(|line| line.contains("(SONAME)")).and_then(|line| line.split(['[', ']']).nth(1));
    name.map_or_else(|| fail(format!("{} has no soname", library.display())), |name| Ok(name.to_owned()))
}

fn put_folder(folder: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn link(to: &str, at: &Path) -> Result<()> {
    if at.symlink_metadata().is_ok() {
        std::fs::remove_file(at)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(to, at)?;
    #[cfg(not(unix))]
    std::fs::copy(at.with_file_name(to), at)?;
    Ok(())
}
