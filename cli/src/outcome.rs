//! What a verb has to say at its end: the same facts once as rows for people and once as fields for programs.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{exit, text};

/// The end of a verb that worked.
pub(crate) struct Outcome {
    /// What the program exits with.
    pub(crate) code: u8,
    fields: Map<String, Value>,
    rows: Vec<(&'static str, String)>,
}

impl Outcome {
    /// The outcome of `verb`, for the moment without facts.
    pub(crate) fn new(verb: &'static str) -> Self {
        let mut fields = Map::new();
        fields.insert("event".into(), "result".into());
        fields.insert("verb".into(), verb.into());
        Outcome { code: exit::OK, fields, rows: Vec::new() }
    }

    /// A field for programs.
    pub(crate) fn field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.into(), value.into());
        self
    }

    /// A row for people.
    pub(crate) fn row(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.rows.push((label, value.into()));
        self
    }

    /// Another end than success.
    pub(crate) fn exit(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// As one JSON object.
    pub(crate) fn json(&self, elapsed: Duration) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("seconds".into(), ((elapsed.as_secs_f64() * 1000.0).round() / 1000.0).into());
        fields.into()
    }

    /// As aligned lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let width = self.rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        self.rows.iter().map(move |(label, value)| format!("{label:<width$}  {}", text::clean(value)))
    }
}
