//! What `tests/conformance/behaviours.json` says: each behaviour, and which outcome is right.

use serde::{Deserialize, Serialize};

use super::server::Listener;

/// One behaviour of the data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// As in the URL.
    pub name: String,
    /// What the server does, for people. Only the documentation uses it.
    pub server: String,
    /// What the client brings along.
    #[serde(default)]
    pub client: Client,
    /// How it ends: `exact`, `next` (exactly the next version), or an error's kind. Where several are right, all of them.
    pub outcome: OneOrMore,
    /// What may be asked for and taken at the most.
    #[serde(default)]
    pub most: Most,
    /// Part of the reason in the statistics, whatever the outcome.
    pub reason: Option<String>,
    /// The kind of an event that must have been told.
    pub event: Option<String>,
    /// Part of the error's message or context.
    pub message: Option<String>,
    /// Seconds after the first request for the content in which none may follow.
    pub pause: Option<f64>,
    /// A remark for people, on what is expected.
    pub remark: Option<String>,
}

/// What the client brings along.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Which of the contents it updates to.
    pub content: String,
    /// Whether it begins with nothing instead of the old version.
    pub from_nothing: bool,
    /// Where it finds the content.
    pub listener: Listener,
    /// Whether it trusts the server's private authority.
    pub trusts_ca: bool,
    /// Whether it has credentials: a bearer token and a header `X-Token`.
    pub has_credentials: bool,
    /// Whether it uses the server's proxy listener as its proxy.
    pub uses_proxy: bool,
    /// Connections at the same time.
    pub connections: usize,
    /// Failures in a row that it survives.
    pub retries: u32,
    /// The round trip that it shall reckon with, in milliseconds.
    pub rtt_ms: u64,
    /// How often it updates, keeping the index between.
    pub runs: u32,
    /// Milliseconds of silence after which it gives a server up.
    pub wait_ms: u64,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            content: "few".to_owned(),
            from_nothing: false,
            listener: Listener::Main,
            trusts_ca: false,
            has_credentials: false,
            uses_proxy: false,
            connections: 2,
            retries: 4,
            rtt_ms: 1,
            runs: 1,
            wait_ms: 500,
        }
    }
}

/// Bounds. Bytes of bodies of the content are at most `content` × the content's length + `missing` × what the client
/// lacks + `more`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Most {
    /// Times the content's length.
    pub content: f64,
    /// Times the bytes that the client lacks.
    pub missing: f64,
    /// So many bytes.
    pub more: u64,
    /// Requests for the content, redirects included.
    pub requests: u64,
    /// Requests for the index.
    pub index_requests: Option<u64>,
    /// Times the index's length, as bodies of the index.
    pub index: Option<f64>,
}

/// A text, or a list of them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Any of these.
    More(Vec<String>),
}

impl OneOrMore {
    /// Whether this one is among them.
    pub fn has(&self, outcome: &str) -> bool {
        match self {
            OneOrMore::One(text) => text == outcome,
            OneOrMore::More(list) => list.iter().any(|text| text == outcome),
        }
    }
}

/// All behaviours of the data.
///
/// # Panics
/// If the file is not there or not as it should be.
pub fn all() -> Vec<Expected> {
    #[derive(Deserialize)]
    struct Data {
        behaviours: Vec<Expected>,
    }
    let path = crate::root().join("tests/conformance/behaviours.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let data: Data = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    data.behaviours
}
