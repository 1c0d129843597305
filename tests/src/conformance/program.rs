//! The `gosync` program as the suite's client, built once for the process that asks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use super::client::{Ended, Events, addresses};
use super::expected::Client;
use super::server::{Listener, Server, lock};
use crate::{cargo, run as run_to_end, target};

/// The program of the present code. Building it takes a while, the first time.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("GOSYNC_TEST_PROGRAM") {
            return given.into();
        }
        run_to_end(cargo().args(["build", "--quiet", "-p", "gosync-cli"]));
        target().join("debug/gosync")
    })
}

/// One update, as the library's is made by `client`.
pub(super) fn run(server: &Server, name: &str, client: &Client, folder: &Path, events: &Events) -> Ended {
    let (index, source) = addresses(server, name, client);
    let wait = format!("{}ms", client.wait_ms);
    let proxy = if client.uses_proxy { server.url(Listener::Proxy, "/") } else { String::new() };
    let mut command = Command::new(program());
    command.args(["--json", "-vv", "update"]).arg(folder.join("target/content")).args(["--index", &index]);
    command.args(["--connections", &client.connections.to_string(), "--retries", &client.retries.to_string()]);
    command.args(["--first-byte-timeout", &wait, "--stall-timeout", &wait, "--proxy", &proxy]);
    command.args(["--assume-rtt", &format!("{}ms", client.rtt_ms), "--assume-rate", "1MB"]);
    if let Some(source) = &source {
        command.args(["--source", source]);
    }
    if client.trusts_ca {
        command.arg("--ca-file").arg(folder.join("client/ca.pem"));
    }
    if client.has_credentials {
        command.args(["--bearer", "secret", "--header", "X-Token: secret"]);
    }
    if client.runs > 1 {
        command.arg("--index-cache").arg(folder.join("client/index"));
    }
    let output = command.output().map_err(|error| ("no program".to_owned(), error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut ended = Err(("no last line".to_owned(), said.clone()));
    for line in said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match line["event"].as_str() {
            Some("log") => lock(events).push((text(&line["kind"]), text(&line["message"]))),
            Some("error") => ended = Err((text(&line["kind"]), format!("{} {}", text(&line["text"]), line["context"]))),
            Some("result") => ended = Ok(text(&line["reason"])),
            _ => {}
        }
    }
    if ended.is_ok() != output.status.success() {
        return Err(("another exit code".to_owned(), format!("{}: {said}", output.status)));
    }
    ended
}
