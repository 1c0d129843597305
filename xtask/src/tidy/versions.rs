//! One version number: the workspace's, which every package repeats or inherits.

use serde_json::Value;

use super::{Finding, Tree};

/// Every place that carries the version says the same.
pub(crate) fn one_version(tree: &Tree) -> Vec<Finding> {
    let root = tree.files.get("Cargo.toml").map(String::as_str).unwrap_or_default();
    let Some(version) = quoted_after(root, "[workspace.package]", "version") else {
        return vec![Finding::new("Cargo.toml", 1, "the workspace has no version")];
    };
    let mut findings = Vec::new();
    for (index, line) in root.lines().enumerate().filter(|(_, line)| line.contains("path =")) {
        if !line.contains(&format!("version = \"{version}\"")) {
            findings.push(Finding::new("Cargo.toml", index + 1, format!("not version {version}")));
        }
    }
    for package in &tree.packages {
        let text = tree.files.get(&package.manifest).map(String::as_str).unwrap_or_default();
        if !text.lines().any(|line| line.trim() == "version.workspace = true") {
            findings.push(Finding::new(&package.manifest, 1, "the version is not the workspace's"));
        }
    }
    for (path, text) in tree.files_in(&["bindings/"], "pyproject.toml") {
        let is_dynamic = text.lines().any(|line| line.starts_with("dynamic") && line.contains("\"version\""));
        let own = quoted_after(text, "[project]", "version");
        if !is_dynamic && own.as_deref() != Some(version.as_str()) {
            findings.push(Finding::new(path, 1, format!("not version {version}")));
        }
    }
    for (path, text) in tree.files_in(&["bindings/node/"], ".json") {
        if path.ends_with("/package.json") || path.ends_with("/package-lock.json") {
            findings.extend(node_version(path, text, &version));
        }
    }
    if let Some(changes) = tree.files.get("CHANGELOG.md")
        && !changes.lines().any(|line| line.starts_with("## ") && line.contains(version.as_str()))
    {
        findings.push(Finding::new("CHANGELOG.md", 1, format!("no heading for version {version}")));
    }
    findings
}

fn node_version(path: &str, text: &str, version: &str) -> Option<Finding> {
    let Ok(package) = serde_json::from_str::<Value>(text) else {
        return Some(Finding::new(path, 1, "not JSON"));
    };
    let line = text.lines().position(|line| line.contains("\"version\"")).unwrap_or(0) + 1;
    let wrong = |value: &Value| value.as_str().is_some_and(|own| own != version);
    // A package of tests that is never published may have no version at all.
    (wrong(&package["version"]) || wrong(&package["packages"][""]["version"]))
        .then(|| Finding::new(path, line, format!("not version {version}")))
}

/// The value of `key = "value"` in a section of a TOML file.
pub(crate) fn quoted_after(text: &str, section: &str, key: &str) -> Option<String> {
    let inside =
        text.lines().skip_while(|line| line.trim() != section).skip(1).take_while(|line| !line.starts_with('['));
    inside
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
}
