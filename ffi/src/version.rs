//! Which gosync this is: as constants for the compiler, and as functions for what was really linked.

use std::ffi::c_char;

/// Major version of this header.
pub const GOSYNC_VERSION_MAJOR: u32 = 0;
/// Minor version of this header.
pub const GOSYNC_VERSION_MINOR: u32 = 1;
/// Patch version of this header.
pub const GOSYNC_VERSION_PATCH: u32 = 0;
/// Version of this header as one number that grows: major << 16 | minor << 8 | patch.
pub const GOSYNC_VERSION_NUMBER: u32 =
    (GOSYNC_VERSION_MAJOR << 16) | (GOSYNC_VERSION_MINOR << 8) | GOSYNC_VERSION_PATCH;

const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("a part of the package's version is a number"),
    }
}

const _: () = {
    assert!(GOSYNC_VERSION_MAJOR == number(env!("CARGO_PKG_VERSION_MAJOR")));
    assert!(GOSYNC_VERSION_MINOR == number(env!("CARGO_PKG_VERSION_MINOR")));
    assert!(GOSYNC_VERSION_PATCH == number(env!("CARGO_PKG_VERSION_PATCH")));
};

/// The version of the library that is linked, as major << 16 | minor << 8 | patch. Compare it with
/// GOSYNC_VERSION_NUMBER, which is that of the header. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn gosync_version_number() -> u32 {
    GOSYNC_VERSION_NUMBER
}

/// The version of the library that is linked, for people, for instance "0.1.0". Never NULL; the text lives as long
/// as the process. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn gosync_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
