//! The programs that are compared, and how each is told to do the same.

use std::path::{Path, PathBuf};

use crate::server::Server;
use crate::sh::{Result, Sh, need, sh};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Describing the new version for publication.
    Index,
    /// Making the old version the new one.
    Update,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Action::Index => "index",
            Action::Update => "update",
        }
    }
}

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// Ours.
    Gosync,
    /// The nearest relative: the same job over HTTP.
    Zsync,
    /// The ancestor, between two local files with its delta algorithm.
    Rsync,
    /// A floor: writing the file.
    Cp,
    /// A floor: hashing the file.
    B3sum,
}

impl Tool {
    pub(super) const ALL: [Tool; 5] = [Tool::Gosync, Tool::Zsync, Tool::Rsync, Tool::Cp, Tool::B3sum];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Gosync => "gosync",
            Tool::Zsync => "zsync",
            Tool::Rsync => "rsync",
            Tool::Cp => "cp",
            Tool::B3sum => "b3sum",
        }
    }

    /// The suffix of its index file.
    fn suffix(self) -> &'static str {
        if self == Tool::Zsync { "zsync" } else { "gosync" }
    }

    /// The version that it says it is.
    pub(super) fn version(self, program: &Path) -> String {
        let (name, flag) = match self {
            Tool::Gosync => (program.to_path_buf(), "--version"),
            Tool::Zsync => (PathBuf::from("zsync"), "-V"),
            other => (PathBuf::from(other.name()), "--version"),
        };
        let text = sh(name).arg(flag).read().unwrap_or_default();
        text.lines().next().unwrap_or("unknown").trim().to_owned()
    }
}

/// The files of one case, and who serves them.
pub(super) struct Place<'a> {
    pub(super) program: &'a Path,
    pub(super) server: &'a Server,
    /// Served: the new version, and the indexes.
    pub(super) site: PathBuf,
    pub(super) old: PathBuf,
    /// Made new for every run.
    pub(super) work: PathBuf,
}

/// The name of the new version on the server.
pub(super) const CONTENT: &str = "content.bin";

impl Place<'_> {
    pub(super) fn new_version(&self) -> PathBuf {
        self.site.join(CONTENT)
    }

    /// The index file's name on the server.
    pub(super) fn index(tool: Tool) -> String {
        format!("{CONTENT}.{}", tool.suffix())
    }

    /// Where the result of an update lies.
    pub(super) fn result(&self) -> PathBuf {
        self.work.join(CONTENT)
    }

    /// Puts everything as it is before a run.
    pub(super) fn prepare(&self, tool: Tool, action: Action) -> Result<()> {
        if self.work.exists() {
            std::fs::remove_dir_all(&self.work)?;
        }
        std::fs::create_dir_all(&self.work)?;
        // These two update the file where it lies; zsync reads the old one and writes another.
        if action == Action::Update && matches!(tool, Tool::Gosync | Tool::Rsync) {
            std::fs::copy(&self.old, self.result())?;
        }
        Ok(())
    }

    /// The command, or `None` where the program has no such action.
    pub(super) fn command(&self, tool: Tool, action: Action) -> Result<Option<Sh>> {
        let (new, url) = (self.new_version(), self.server.url(&Self::index(tool)));
        let index = self.site.join(Self::index(tool));
        Ok(Some(match (tool, action) {
            (Tool::Gosync, Action::Index) => sh(self.program).args("index --quiet -o").arg(index).arg(new),
            (Tool::Gosync, Action::Update) => {
                sh(self.program).args("update --quiet").arg(self.result()).arg("--index").arg(url)
            }
            (Tool::Zsync, Action::Index) => {
                let make = sh(need("zsyncmake")?).arg("-o").arg(index);
                make.arg("-u").arg(self.server.url(CONTENT)).arg(new)
            }
            (Tool::Zsync, Action::Update) => {
                sh(need("zsync")?).args("-q -o").arg(self.result()).arg("-i").arg(&self.old).arg(url).within(&self.work)
            }
            (Tool::Rsync, Action::Index) => return Ok(None),
            (Tool::Rsync, Action::Update) => {
                sh(need("rsync")?).args("--no-whole-file --ignore-times").arg(new).arg(self.result())
            }
            (Tool::Cp, _) => sh("cp").arg(new).arg(self.result()),
            (Tool::B3sum, _) => sh(need("b3sum")?).arg(new),
        }))
    }

    /// Whether a run leaves the new version behind.
    pub(super) fn makes_a_result(tool: Tool, action: Action) -> bool {
        tool == Tool::Cp || (action == Action::Update && tool != Tool::B3sum)
    }
}
