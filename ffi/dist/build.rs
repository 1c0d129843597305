//! Gives the shared library the name that programs remember it by. Only here: set in a crate that others depend on,
//! it would end up in the language modules too.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let part = |name: &str| var(format!("CARGO_PKG_VERSION_{name}")).unwrap_or_default();
    let (major, minor) = (part("MAJOR"), part("MINOR"));
    // Before 1.0 the minor version may change the ABI, so it is part of the name.
    let abi = if major == "0" { format!("{major}.{minor}") } else { major };
    match var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => println!("cargo::rustc-link-arg-cdylib=-Wl,-install_name,@rpath/libgosync.{abi}.dylib"),
        Ok("windows") | Err(_) => {}
        Ok(_) => println!("cargo::rustc-link-arg-cdylib=-Wl,-soname,libgosync.so.{abi}"),
    }
}
