//! The programs that are compared: what each is called, what it can do here, and what of it is measured.
//! How each is told to do it is `place`'s.

use std::path::Path;

use crate::sh::{Result, Stop, need, sh, which};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Describing the new version for publication; for those who need the old one too: what takes the place of it.
    Index,
    /// Making the old version the new one.
    Update,
    /// Finding out what the old version has, and writing nothing.
    Plan,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Action::Index => "index",
            Action::Update => "update",
            Action::Plan => "plan",
        }
    }
}

/// A program, or one way to run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// Ours, over HTTP.
    Gosync,
    /// The same with the new version as a local file.
    Local,
    /// The same, in place.
    InPlace,
    /// The same with one thread.
    OneThread,
    Zsync,
    Bita,
    Rsync,
    Rdiff,
    Casync,
    Zchunk,
    Xdelta3,
    Zstd,
    Cp,
    B3sum,
}

impl Tool {
    pub(super) const ALL: &[Tool] = &[
        Tool::Gosync,
        Tool::Local,
        Tool::InPlace,
        Tool::OneThread,
        Tool::Zsync,
        Tool::Bita,
        Tool::Rsync,
        Tool::Rdiff,
        Tool::Casync,
        Tool::Zchunk,
        Tool::Xdelta3,
        Tool::Zstd,
        Tool::Cp,
        Tool::B3sum,
    ];

    /// Without zchunk and xdelta3, which take minutes for what they can neither compress nor find.
    pub(super) const MOST: &[Tool] = &[
        Tool::Gosync,
        Tool::Local,
        Tool::OneThread,
        Tool::Zsync,
        Tool::Bita,
        Tool::Rsync,
        Tool::Rdiff,
        Tool::Casync,
        Tool::Zstd,
        Tool::Cp,
        Tool::B3sum,
    ];

    /// Those that a goal is about, but for the slowest of them.
    pub(super) const GOALS: &[Tool] =
        &[Tool::Gosync, Tool::Local, Tool::InPlace, Tool::OneThread, Tool::Rsync, Tool::Cp, Tool::B3sum];

    /// Those that an update in place is compared with.
    pub(super) const PLACE: &[Tool] = &[Tool::Gosync, Tool::Local, Tool::InPlace, Tool::Cp];

    /// gosync and the floors.
    pub(super) const OWN: &[Tool] = &[Tool::Gosync, Tool::Local, Tool::OneThread, Tool::Cp, Tool::B3sum];

    /// The nearest ones and the floors.
    pub(super) const FEW: &[Tool] =
        &[Tool::Gosync, Tool::Local, Tool::OneThread, Tool::Zsync, Tool::Rsync, Tool::Rdiff, Tool::Cp, Tool::B3sum];

    pub(super) fn name(self) -> &'static str {
        match self {
            Tool::Gosync => "gosync",
            Tool::Local => "gosync, local",
            Tool::InPlace => "gosync, in place",
            Tool::OneThread => "gosync, one thread",
            Tool::Zsync => "zsync",
            Tool::Bita => "bita",
            Tool::Rsync => "rsync",
            Tool::Rdiff => "rdiff",
            Tool::Casync => "casync",
            Tool::Zchunk => "zchunk",
            Tool::Xdelta3 => "xdelta3",
            Tool::Zstd => "zstd",
            Tool::Cp => "cp",
            Tool::B3sum => "b3sum",
        }
    }

    /// What is run, and how it differs from the others.
    pub(super) fn what(self) -> &'static str {
        match self {
            Tool::Gosync => "`index`; `update` of the old version where it lies, over HTTP; `plan`",
            Tool::Local => "the same `update` with index and content as local files",
            Tool::InPlace => "the same with `--in-place`",
            Tool::OneThread => "`plan --threads 1`",
            Tool::Zsync => "`zsyncmake`; `zsync -i OLD URL`, over HTTP",
            Tool::Bita => "`bita compress`, which also compresses the content; `bita clone --seed OLD URL`, over HTTP",
            Tool::Rsync => "`rsync --no-whole-file` between two local files; its sums are part of the update",
            Tool::Rdiff => "`rdiff signature OLD`; `rdiff delta` (which needs the new version) and `rdiff patch`",
            Tool::Casync => "`casync make` into a local store, compressed; `casync extract --seed OLD` from it",
            Tool::Zchunk => {
                "`zck`, which also compresses; `zckdl -s` (the old version packed as well) over HTTP, `unzck`"
            }
            Tool::Xdelta3 => {
                "`xdelta3 -e -s OLD NEW`, for this one old version, as index; `xdelta3 -d`; both unpack gzip first"
            }
            Tool::Zstd => "`zstd --patch-from=OLD NEW`, for this one old version, as index; `zstd -d`",
            Tool::Cp => "a floor: `cp NEW RESULT`; where only gosync is beside it, and `sync RESULT`, as gosync does",
            Tool::B3sum => "a floor: `b3sum NEW`",
        }
    }

    /// Whether it does this, as something of its own that is measured.
    pub(super) fn does(self, action: Action) -> bool {
        match self {
            Tool::Gosync => true,
            Tool::Local | Tool::InPlace | Tool::Rsync | Tool::Cp => action == Action::Update,
            Tool::OneThread => action == Action::Plan,
            _ => action != Action::Plan,
        }
    }

    pub(super) fn is_own(self) -> bool {
        matches!(self, Tool::Gosync | Tool::Local | Tool::InPlace | Tool::OneThread)
    }

    /// Whether what it reads in an update comes from the server.
    pub(super) fn is_over_http(self) -> bool {
        matches!(self, Tool::Gosync | Tool::Zsync | Tool::Bita | Tool::Zchunk)
    }

    /// The program and others that come with it.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Tool::Gosync | Tool::Local | Tool::InPlace | Tool::OneThread => &[],
            Tool::Zsync => &["zsync", "zsyncmake"],
            Tool::Bita => &["bita"],
            Tool::Rsync => &["rsync"],
            Tool::Rdiff => &["rdiff"],
            Tool::Casync => &["casync"],
            Tool::Zchunk => &["zck", "zckdl", "unzck"],
            Tool::Xdelta3 => &["xdelta3"],
            Tool::Zstd => &["zstd"],
            Tool::Cp => &["cp"],
            Tool::B3sum => &["b3sum"],
        }
    }

    /// The version that it says it is; `None` where it is not there.
    pub(super) fn version(self, gosync: &Path) -> Option<String> {
        let (program, flag) = match self {
            Tool::Gosync => (gosync.to_path_buf(), "--version"),
            Tool::Zsync => (which("zsync")?, "-V"),
            // It says its version where others say what is wrong.
            Tool::Xdelta3 => {
                let (mut command, _) = sh(which("xdelta3")?).arg("-V").into_command();
                let said = command.output().ok()?.stderr;
                return Some(String::from_utf8_lossy(&said).lines().next()?.split(',').next()?.to_owned());
            }
            other => (which(other.programs().first()?)?, "--version"),
        };
        let text = sh(program).arg(flag).read().ok()?;
        let line = text.lines().next()?.trim().trim_matches('*').trim().to_owned();
        Some(if line.contains(self.programs().first().unwrap_or(&"gosync")) {
            line
        } else {
            format!("{} {line}", self.name())
        })
    }
}

/// Those of the programs that are here, and what is to be said of the others. Nothing is installed for a quick run.
pub(super) fn available(is_quick: bool) -> (Vec<Tool>, Vec<String>) {
    let (mut tools, mut remarks) = (Vec::new(), Vec::new());
    for tool in Tool::ALL {
        match find(*tool, is_quick) {
            Ok(()) => tools.push(*tool),
            Err(Stop::Missing(why) | Stop::Failed(why)) => {
                let why = why.lines().next().unwrap_or_default();
                remarks.push(format!("{} is absent: {why}", tool.name()));
            }
        }
    }
    (tools, remarks)
}

fn find(tool: Tool, is_quick: bool) -> Result<()> {
    if tool == Tool::Bita && !is_quick {
        crate::setup::cargo_tool("bita")?;
    }
    tool.programs().iter().try_for_each(|program| need(program).map(drop))
}
