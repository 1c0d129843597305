//! Which package may depend on which, and which may use the libraries that carry a border with them.

use serde_json::Value;

use super::{Finding, Tree};
use crate::sh::{Result, cargo, fail};

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its Cargo.toml, from the root.
    pub(crate) manifest: String,
    /// What it depends on, in any way, with "is it for tests only".
    pub(crate) dependencies: Vec<(String, bool)>,
}

/// What each package may use of gosync. A new package needs a line here.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("gosync-core", &[]),
    ("gosync-io", &["gosync-core"]),
    ("gosync-cli", &["gosync-io"]),
    ("gosync-ffi", &["gosync-io"]),
    ("gosync-capi", &["gosync-ffi"]),
    ("gosync-binding", &["gosync-ffi"]),
    ("gosync-python", &["gosync-binding"]),
    ("gosync-node", &["gosync-binding"]),
    ("xtask", &[]),
    ("gosync-tests", &["gosync-core", "gosync-io", "gosync-cli", "gosync-ffi", "gosync-capi", "gosync-binding"]),
];

/// Libraries that only these packages may use outside their tests: each opens a border.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("reqwest", &["gosync-io"]),
    ("hyper", &["gosync-io"]),
    ("tokio", &["gosync-io"]),
    ("rustls", &["gosync-io", "gosync-tests"]),
    ("tempfile", &["gosync-io", "gosync-tests"]),
    ("memmap2", &["gosync-io"]),
    ("pyo3", &["gosync-python"]),
    ("napi", &["gosync-node"]),
    ("napi-derive", &["gosync-node"]),
    ("clap", &["gosync-cli"]),
    ("indicatif", &["gosync-cli"]),
    ("cbindgen", &["xtask"]),
    ("log", &[]),
    ("tracing", &[]),
    ("openssl", &[]),
    ("native-tls", &[]),
];

/// Asks cargo for the packages of the workspace.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let text = cargo().args("metadata --format-version 1 --no-deps --quiet").read()?;
    let metadata: Value = serde_json::from_str(&text)?;
    let root = metadata["workspace_root"].as_str().unwrap_or_default().to_owned();
    let Some(list) = metadata["packages"].as_array() else { return fail("cargo metadata lists no packages") };
    Ok(list
        .iter()
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap_or_default();
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            Package {
                name: text("name").to_owned(),
                manifest: text("manifest_path").trim_start_matches(&root).trim_start_matches('/').to_owned(),
                dependencies: dependencies
                    .map(|it| (it["name"].as_str().unwrap_or_default().to_owned(), it["kind"] == "dev"))
                    .collect(),
            }
        })
        .collect())
}

/// Nothing points down: a package uses only what its line in [`DIRECTIONS`] says.
pub(crate) fn directions(tree: &Tree) -> Vec<Finding> {
    let ours: Vec<&str> = tree.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &tree.packages {
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(name, _)| *name == package.name) else {
            let what = format!("{} has no place in the order of packages (xtask/src/tidy/graph.rs)", package.name);
            findings.push(Finding::new(&package.manifest, 1, what));
            continue;
        };
        for (dependency, _) in &package.dependencies {
            if ours.contains(&dependency.as_str()) && !allowed.contains(&dependency.as_str()) {
                findings.push(tree.at(package, dependency, format!("{} must not use {dependency}", package.name)));
            }
        }
    }
    findings
}

/// The network, the terminal, the languages: each has its package.
pub(crate) fn libraries(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        for (dependency, for_tests) in &package.dependencies {
            let rule = LIBRARIES.iter().find(|(name, _)| name == dependency);
            let Some((_, users)) = rule else { continue };
            if !for_tests && !users.contains(&package.name.as_str()) {
                findings.push(tree.at(package, dependency, format!("{dependency} is not for {}", package.name)));
            }
        }
    }
    findings
}

impl Tree {
    fn at(&self, package: &Package, dependency: &str, what: String) -> Finding {
        let manifest = self.files.get(&package.manifest).map(String::as_str).unwrap_or_default();
        let line = manifest.lines().position(|line| line.trim_start().starts_with(dependency)).unwrap_or(0) + 1;
        Finding::new(&package.manifest, line, what)
    }
}
