//! Checks the borders between the parts of gosync, and fails with the file and line that break one.
//!
//! A rule is a function from a [`Tree`] to findings; each has a test in `tests.rs` that shows it fail.
//! What rustc and clippy check already is left to them.

mod borders;
mod cface;
mod events;
mod graph;
mod rust;
mod texts;
mod versions;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::sh::{Result, fail, sh};

/// The texts of the tree, and which package depends on which.
#[derive(Default)]
pub(crate) struct Tree {
    /// Path from the root, with `/`, to content.
    files: BTreeMap<String, String>,
    /// The packages of the workspace.
    packages: Vec<graph::Package>,
}

/// A broken rule, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Finding { file: file.to_owned(), line, what: what.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule, by the name under which it is reported.
const RULES: &[(&str, Rule)] = &[
    ("dependency directions", graph::directions),
    ("who may use which library", graph::libraries),
    ("core is pure", borders::core_is_pure),
    ("libraries do not print", borders::libraries_are_silent),
    ("unsafe has its places", borders::unsafe_has_its_places),
    ("bindings go through the shim", cface::bindings_use_the_shim),
    ("every event is listed", events::events_are_listed),
    ("every C function is used", cface::every_function_is_used),
    ("files have a head", texts::heads),
    ("files are short", texts::lengths),
    ("texts are finished and travel", texts::forbidden),
    ("folders have a reason", texts::folders),
    ("public words", vocabulary::public_words),
    ("one version", versions::one_version),
];

impl Tree {
    /// Reads what is (or could be) committed.
    fn read() -> Result<Tree> {
        let listing = sh("git").args("ls-files --cached --others --exclude-standard -z").read()?;
        let root = crate::paths::root();
        let mut files = BTreeMap::new();
        for path in listing.split('\0').filter(|path| !path.is_empty()) {
            // A file that is not text (or was just deleted) has nothing to say here.
            if let Ok(text) = std::fs::read_to_string(root.join(path)) {
                files.insert(path.to_owned(), text);
            }
        }
        Ok(Tree { files, packages: graph::packages()? })
    }

    /// The files whose path starts with one of `places` and ends with `suffix`.
    fn files_in<'a>(&'a self, places: &'a [&'a str], suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| path.ends_with(suffix) && places.iter().any(|place| path.starts_with(place)))
    }

    fn check(&self) -> Vec<(&'static str, Vec<Finding>)> {
        RULES.iter().map(|(name, rule)| (*name, rule(self))).collect()
    }
}

/// Runs every rule over the tree.
pub(crate) fn run() -> Result<bool> {
    let tree = Tree::read()?;
    let mut broken = 0;
    for (name, findings) in tree.check() {
        for finding in &findings {
            println!("{finding} [{name}]");
        }
        broken += findings.len();
    }
    println!("tidy: {} rules over {} files, {broken} findings", RULES.len(), tree.files.len());
    Ok(broken == 0)
}

/// As [`run`], for a step of another task.
pub(crate) fn step() -> Result<()> {
    if run()? { Ok(()) } else { fail("the borders are broken where the lines above say") }
}
