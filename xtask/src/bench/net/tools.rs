//! The programs that are compared over the link, and how each is told to do the same.

use std::path::{Path, PathBuf};

use super::nginx::Protocol;
use super::spaces::{SERVER, Space};
use crate::sh::{Result, Sh, Stop, need, sh, which};

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    /// Ours.
    Gosync,
    /// Ours, with a flat index that is read whole.
    Flat,
    /// The same job over HTTP; it knows no HTTPS.
    Zsync,
    /// The same job over HTTP, from an archive of compressed pieces.
    Bita,
    /// The whole file: what everybody does who has none of the others.
    Curl,
}

/// Seconds after which a program is ended.
const LIMIT: &str = "240";

impl Tool {
    pub(super) const ALL: [Tool; 4] = [Tool::Gosync, Tool::Zsync, Tool::Bita, Tool::Curl];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Gosync => "gosync",
            Tool::Flat => "gosync, flat index",
            Tool::Zsync => "zsync",
            Tool::Bita => "bita",
            Tool::Curl => "curl",
        }
    }

    /// Whether it can be compared over this protocol.
    pub(super) fn speaks(self, protocol: Protocol) -> bool {
        self != Tool::Zsync || protocol == Protocol::Http1
    }

    /// The version that it says it is; `None` where it is not there.
    pub(super) fn version(self, gosync: &Path) -> Option<String> {
        let (program, flag) = match self {
            Tool::Gosync | Tool::Flat => (gosync.to_path_buf(), "--version"),
            Tool::Zsync => (which("zsync")?, "-V"),
            other => (which(other.name())?, "--version"),
        };
        let text = sh(program).arg(flag).read().ok()?;
        Some(text.lines().next()?.trim().to_owned())
    }
}

/// The new version, as it is called on the server.
pub(super) const CONTENT: &str = "content.bin";

/// What a program reads first, as it is called on the server.
pub(super) fn published(tool: Tool) -> &'static str {
    match tool {
        Tool::Gosync => "content.bin.gosync",
        Tool::Flat => "flat.gosync",
        Tool::Zsync => "content.bin.zsync",
        Tool::Bita => "content.cba",
        Tool::Curl => CONTENT,
    }
}

/// The files of one pair of versions.
pub(super) struct Place<'a> {
    pub(super) gosync: &'a Path,
    /// Served.
    pub(super) site: PathBuf,
    pub(super) old: PathBuf,
    /// Made new for every run.
    pub(super) work: PathBuf,
    /// The certificate that the server's was made with.
    pub(super) authority: PathBuf,
}

impl Place<'_> {
    /// Describes the new version for one program.
    pub(super) fn publish(&self, tool: Tool) -> Result<()> {
        let (new, output) = (self.site.join(CONTENT), self.site.join(published(tool)));
        match tool {
            Tool::Gosync => sh(self.gosync).args("index --quiet -o").arg(output).arg(new).quiet().run(),
            Tool::Flat => {
                let tree = self.site.join("tree");
                sh(self.gosync).args("index --quiet --source content.bin -o").arg(&tree).arg(new).quiet().run()?;
                super::flat::write(&tree, &output)
            }
            Tool::Zsync => {
                let url = Protocol::Http1.url(SERVER, CONTENT);
                sh(need("zsyncmake")?).arg("-o").arg(output).arg("-u").arg(url).arg(new).quiet().run()
            }
            Tool::Bita => sh(need("bita")?).args("compress --force-create -i").arg(new).arg(output).quiet().run(),
            Tool::Curl => Ok(()),
        }
    }

    pub(super) fn result(&self) -> PathBuf {
        self.work.join(CONTENT)
    }

    /// Puts everything as it is before a run.
    pub(super) fn prepare(&self, tool: Tool) -> Result<()> {
        if self.work.exists() {
            std::fs::remove_dir_all(&self.work)?;
        }
        std::fs::create_dir_all(&self.work)?;
        // gosync updates the file where it lies, the others read it and write another.
        if matches!(tool, Tool::Gosync | Tool::Flat) {
            std::fs::copy(&self.old, self.result())?;
        }
        Ok(())
    }

    /// The update over the link; `options` are for gosync.
    pub(super) fn update(&self, tool: Tool, protocol: Protocol, client: &Space, options: &[&str]) -> Result<Sh> {
        let url = protocol.url(SERVER, published(tool));
        let limited = || client.sh("timeout").args("--foreground --kill-after=5").arg(LIMIT);
        let run = |program: &Path| limited().arg(program).env("no_proxy", SERVER);
        Ok(match tool {
            Tool::Gosync | Tool::Flat => {
                let start = run(self.gosync).args("update --json --quiet").arg(self.result()).arg("--index").arg(url);
                let start = match protocol {
                    Protocol::Http1 | Protocol::OneRange => start,
                    Protocol::Http2 => start.arg("--ca-file").arg(&self.authority),
                };
                options.iter().fold(start, |sh, option| sh.arg(option))
            }
            Tool::Zsync => {
                let start = run(&need("zsync")?).args("-q -o").arg(self.result());
                start.arg("-i").arg(&self.old).arg(url).within(&self.work)
            }
            Tool::Bita => {
                let start = run(&need("bita")?).env("SSL_CERT_FILE", &self.authority).args("clone --seed");
                start.arg(&self.old).arg(url).arg(self.result())
            }
            Tool::Curl => {
                let start = run(&need("curl")?).args("--silent --show-error --fail --cacert");
                start.arg(&self.authority).arg("-o").arg(self.result()).arg(url)
            }
        })
    }

    /// The same update with the source beside it: what is left when there is no link.
    pub(super) fn local_update(&self) -> Sh {
        let index = self.site.join(published(Tool::Gosync));
        sh(self.gosync).args("update --json --quiet").arg(self.result()).arg("--index").arg(index)
    }
}

/// Those of the programs that are here, and what is to be said of the others.
pub(super) fn available() -> Result<(Vec<Tool>, Vec<String>)> {
    let (mut tools, mut remarks) = (vec![Tool::Flat], Vec::new());
    for tool in Tool::ALL {
        let found = match tool {
            Tool::Gosync | Tool::Flat => Ok(()),
            Tool::Bita => crate::setup::cargo_tool("bita").map(drop),
            other => need(other.name()).map(drop),
        };
        match found {
            Ok(()) => tools.push(tool),
            Err(Stop::Missing(why) | Stop::Failed(why)) => {
                let why = why.lines().next().unwrap_or_default();
                remarks.push(format!("{} is left out: {why}", tool.name()));
            }
        }
    }
    Ok((tools, remarks))
}
