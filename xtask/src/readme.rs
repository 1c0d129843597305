//! Runs the README's examples as they stand there, against a server on loopback.
//!
//! A code block is an example if an HTML comment before it says so: `<!-- example -->`. Each is run in a new folder in
//! which `app.bin` is an old version; where `https://example.com/` is published, there is a new `app.bin` and its index.
//! `<!-- example: publish -->` marks one that runs where `app.bin` is the new version, and must leave `app.bin.gosync`.
//! After any other, `app.bin` must be the new version if the block updates it.

use std::path::{Path, PathBuf};

use crate::faces::{self, Profile};
use crate::paths::root;
use crate::server::Server;
use crate::sh::{Result, Sh, Stop, fail, need, sh};

/// Where the examples say that things are published.
const PUBLISHED: &str = "https://example.com/";

/// An example of the README.
#[derive(Debug, PartialEq)]
struct Example {
    language: String,
    publishes: bool,
    line: usize,
    code: String,
}

/// The marked code blocks.
fn examples(text: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut marked = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(comment) = line.trim().strip_prefix("<!-- example") {
            marked = Some(comment.contains("publish"));
            continue;
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let code: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
        if let Some(publishes) = marked.take() {
            let language = language.split([' ', ',']).next().unwrap_or_default().to_owned();
            found.push(Example { language, publishes, line: index + 1, code: code.join("\n") + "\n" });
        }
    }
    found
}

/// Runs them all; `folder` is where the installed faces are.
pub(crate) fn run(folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(root().join("README.md"))
        .map_err(|_| Stop::Failed("there is no README.md".to_owned()))?;
    let examples = examples(&text);
    if examples.is_empty() {
        return fail("README.md marks no example with <!-- example -->");
    }
    let stage = Stage::new(folder)?;
    for example in &examples {
        let place = format!("README.md:{} ({})", example.line, example.language);
        stage.run(example).map_err(|stop| Stop::Failed(format!("{place}: {stop}")))?;
        println!("{place}: as it says");
    }
    Ok(())
}

/// What the examples run on.
struct Stage {
    server: Server,
    installed: PathBuf,
    program: PathBuf,
    library: PathBuf,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Stage {
    fn new(installed: &Path) -> Result<Stage> {
        let program = faces::program(Profile::Dev)?;
        let library = faces::c_library(Profile::Dev, installed)?;
        let new: Vec<u8> = (0..300_000_u32).flat_map(|number| number.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
        let mut old = new.clone();
        old.drain(500_000..500_100);
        let site = crate::paths::fresh("test/readme-site")?;
        std::fs::write(site.join("app.bin"), &new)?;
        sh(&program).args("index --quiet").arg(site.join("app.bin")).quiet().run()?;
        let server = Server::start(site)?;
        Ok(Stage { server, installed: installed.to_path_buf(), program, library, old, new })
    }

    fn run(&self, example: &Example) -> Result<()> {
        let folder = crate::paths::fresh("test/readme")?;
        let target = folder.join("app.bin");
        std::fs::write(&target, if example.publishes { &self.new } else { &self.old })?;
        let code = example.code.replace(PUBLISHED, &self.server.url(""));
        self.command(&example.language, &code, &folder)?.quiet().run()?;
        if example.publishes && !folder.join("app.bin.gosync").is_file() {
            return fail("it left no index");
        }
        if !example.publishes && code.contains("update") && std::fs::read(&target)? != self.new {
            return fail("app.bin is not the new version");
        }
        Ok(())
    }

    /// Puts the code where its language wants it.
    fn command(&self, language: &str, code: &str, folder: &Path) -> Result<Sh> {
        let save = |name: &str| -> Result<PathBuf> {
            std::fs::write(folder.join(name), code)?;
            Ok(folder.join(name))
        };
        match language {
            "sh" | "console" | "bash" => {
                let path = std::env::var("PATH").unwrap_or_default();
                let own = self.program.parent().unwrap_or(folder).display();
                Ok(sh("bash")
                    .arg("-euo")
                    .arg("pipefail")
                    .arg(save("example.sh")?)
                    .env("PATH", format!("{own}:{path}"))
                    .within(folder))
            }
            "python" => Ok(sh(self.installed.join("venv/bin/python")).arg(save("example.py")?).within(folder)),
            "js" | "javascript" | "mjs" | "ts" => {
                // An import is looked for beside the file that imports, or above it.
                std::os::unix::fs::symlink(self.installed.join("node/node_modules"), folder.join("node_modules"))?;
                Ok(sh(need("node")?).arg(save("example.mjs")?).within(folder))
            }
            "c" => Ok(sh(faces::c_program(&save("example.c")?, &self.library, folder)?).within(folder)),
            "rust" => {
                let example = folder.join("rust");
                std::fs::create_dir_all(example.join("src"))?;
                std::fs::write(example.join("src/main.rs"), code)?;
                let io = root().join("io");
                let text = format!(
                    "[package]\nname = \"example\"\nedition = \"2024\"\n\n[dependencies]\ngosync-io = {{ path = {io:?} }}\n\n[workspace]\n"
                );
                std::fs::write(example.join("Cargo.toml"), text)?;
                std::fs::copy(root().join("Cargo.lock"), example.join("Cargo.lock"))?;
                let run = crate::sh::cargo().args("run --quiet --manifest-path").arg(example.join("Cargo.toml"));
                Ok(run.arg("--target-dir").arg(crate::paths::target().join("readme")).within(folder))
            }
            other => fail(format!("no way is known to run {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_are_examples() {
        let text = "# A\n```sh\nno\n```\n<!-- example -->\n```python\nyes\nindeed\n```\n<!-- example: publish -->\n\n```sh\ntoo\n```\n";
        let found = examples(text);
        let shape: Vec<_> =
            found.iter().map(|it| (it.language.as_str(), it.publishes, it.line, it.code.as_str())).collect();
        assert_eq!(shape, [("python", false, 6, "yes\nindeed\n"), ("sh", true, 12, "too\n")]);
    }
}
