//! Link arguments of the addon.

fn main() {
    napi_build::setup();
    // The addon contains the C functions and exports their names. Without this, a host program that has loaded another
    // libgosync would have the addon call that one instead of its own.
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if !matches!(os.as_str(), "macos" | "ios" | "windows") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-Bsymbolic-functions");
    }
}
