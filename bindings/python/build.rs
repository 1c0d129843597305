//! Link flags of the Python module.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let elf = std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family.contains("unix"))
        && !matches!(os.as_str(), "macos" | "ios");
    if elf {
        // The module carries the C functions under their own names. Without this, a libgosync that the process has loaded
        // before would be called instead of them.
        println!("cargo:rustc-link-arg-cdylib=-Wl,-Bsymbolic-functions");
    }
    if os == "macos" {
        // Python's own symbols come from the interpreter that loads the module.
        println!("cargo:rustc-link-arg-cdylib=-undefined");
        println!("cargo:rustc-link-arg-cdylib=dynamic_lookup");
    }
}
