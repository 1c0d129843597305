//! The conformance suite: a server that misbehaves on request, and what a client should make of it.
//!
//! `tests/conformance/behaviours.json` says what each behaviour is and which outcome is right; `expected` reads it,
//! `behaviours` and `several` are what the server does, `client` runs gosync against it and judges,
//! `random` does so many times over by chance. The server also runs on its own, for other clients: `gosync-conformance-server`.

pub mod answer;
pub mod behaviours;
pub mod client;
pub mod content;
pub mod expected;
pub mod program;
pub mod random;
pub mod request;
pub mod server;
mod several;
mod tls;
