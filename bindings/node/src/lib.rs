//! The Node addon of gosync: values in, one call of the shim on a thread of its own, values out.
//!
//! What JavaScript programs see is the layer in TypeScript above this: it checks arguments, reads sources that are written
//! in JavaScript, and keeps what they throw. The addon never works on the main thread, nor on libuv's pool.

// The macros leave the exports out of a test build, so that everything behind them looks unused there.
#![cfg_attr(test, allow(dead_code))]
#![deny(unsafe_code)]
#![allow(unreachable_pub, reason = "what `#[napi]` exports must be `pub`, and is reached from JavaScript only")]

mod channel;
mod index;
mod job;
mod request;
mod value;
mod work;

use gosync_binding::Kind;
use napi_derive::napi;

/// An error kind.
#[napi(object, object_from_js = false)]
pub struct KindInfo {
    /// The number that all languages share.
    pub number: i32,
    /// The name that all languages share.
    pub name: &'static str,
    /// Whether doing the same again later may help.
    pub retryable: bool,
}

/// Every error kind, in the order of the numbers.
#[napi]
pub fn error_kinds() -> Vec<KindInfo> {
    let info = |kind: &Kind| KindInfo { number: kind.number(), name: kind.name(), retryable: kind.retryable() };
    Kind::ALL.iter().map(info).collect()
}

/// The version of the library.
#[napi]
pub fn version() -> &'static str {
    gosync_binding::version()
}
