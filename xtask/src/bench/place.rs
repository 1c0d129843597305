//! The files of one pair of versions, and how each program is told to do the same with them.

use std::path::{Path, PathBuf};

use super::tools::{Action, Tool};
use crate::server::Server;
use crate::sh::{Result, Sh, fail, need, sh};

/// The name of the new version on the server.
pub(super) const CONTENT: &str = "content.bin";

/// The files of one case, and who serves them.
pub(super) struct Place<'a> {
    pub(super) gosync: &'a Path,
    pub(super) server: Server,
    /// Served: the new version, and what is published with it.
    pub(super) site: PathBuf,
    pub(super) old: PathBuf,
    /// Made new for every run.
    work: PathBuf,
}

impl<'a> Place<'a> {
    pub(super) fn new(gosync: &'a Path, folder: &Path) -> Result<Place<'a>> {
        let site = folder.join("site");
        std::fs::create_dir_all(&site)?;
        let server = Server::start(site.clone())?;
        Ok(Place { gosync, server, site, old: folder.join("old.bin"), work: folder.join("run") })
    }

    pub(super) fn new_version(&self) -> PathBuf {
        self.site.join(CONTENT)
    }

    /// Where the result of an update lies.
    pub(super) fn result(&self) -> PathBuf {
        self.work.join(CONTENT)
    }

    /// What a run says and prints.
    pub(super) fn log(&self) -> PathBuf {
        self.work.with_extension("log")
    }

    /// What the action "index" leaves behind: the name, which on the server is the same.
    pub(super) fn published(tool: Tool) -> Option<&'static str> {
        Some(match tool {
            Tool::Gosync | Tool::Local | Tool::InPlace | Tool::OneThread => "content.bin.gosync",
            Tool::Zsync => "content.bin.zsync",
            Tool::Bita => "content.cba",
            Tool::Rdiff => "old.signature",
            Tool::Casync => "content.caibx",
            Tool::Zchunk => "content.zck",
            Tool::Xdelta3 => "content.xdelta",
            Tool::Zstd => "content.patch.zst",
            Tool::Rsync | Tool::Cp | Tool::B3sum => return None,
        })
    }

    pub(super) fn index(&self, tool: Tool) -> PathBuf {
        self.site.join(Self::published(tool).unwrap_or_default())
    }

    fn packed_old(&self) -> PathBuf {
        self.old.with_extension("zck")
    }

    fn store(&self) -> PathBuf {
        self.old.with_extension("castr")
    }

    /// Removes the last run's result.
    pub(super) fn clear(&self) -> Result<()> {
        remove(&self.work)
    }

    /// Puts everything as it is before a run.
    pub(super) fn prepare(&self, tool: Tool, action: Action) -> Result<()> {
        remove(&self.work)?;
        std::fs::create_dir_all(&self.work)?;
        match (tool, action) {
            (Tool::Casync, Action::Index) => remove(&self.store())?,
            // These replace the file where it lies; the others read the old one and write another.
            (Tool::Gosync | Tool::Local | Tool::InPlace | Tool::Rsync, Action::Update) => {
                std::fs::copy(&self.old, self.result())?;
            }
            (Tool::Zchunk, Action::Update) if !self.packed_old().exists() => {
                sh(need("zck")?).arg("-o").arg(self.packed_old()).arg(&self.old).quiet().run()?;
            }
            _ => {}
        }
        if action == Action::Index && Self::published(tool).is_some() {
            remove(&self.index(tool))?;
        }
        Ok(())
    }

    /// Writes so many bytes and removes them again, where files are in memory: on a virtual machine, memory that was not
    /// used for a while has gone back to the host, and whoever gets it first waits for that. Which program that is depends
    /// on how much the one before has left behind.
    pub(super) fn warm(&self, length: u64) -> Result<()> {
        if !self.work.starts_with(super::room::IN_MEMORY) {
            return Ok(());
        }
        let path = self.work.with_extension("warm");
        let mut file = std::fs::File::create(&path)?;
        let some = vec![0; 1 << 20];
        for _ in 0..length.div_ceil(some.len() as u64) {
            std::io::Write::write_all(&mut file, &some)?;
        }
        Ok(std::fs::remove_file(path)?)
    }

    /// The command to measure.
    pub(super) fn command(&self, tool: Tool, action: Action) -> Result<Sh> {
        match action {
            Action::Index => self.describe(tool),
            Action::Update => self.update(tool),
            Action::Plan => {
                let threads = if tool == Tool::OneThread { "1" } else { "0" };
                let plan = sh(self.gosync).args("plan --json --quiet --threads").arg(threads).arg(&self.old);
                Ok(plan.arg("--index").arg(self.index(tool)))
            }
        }
    }

    /// The index, or what a program has in its place.
    fn describe(&self, tool: Tool) -> Result<Sh> {
        let (new, output) = (self.new_version(), self.index(tool));
        Ok(match tool {
            Tool::Gosync => sh(self.gosync).args("index --quiet -o").arg(output).arg(new),
            Tool::Zsync => {
                let start = sh(need("zsyncmake")?).arg("-o").arg(output);
                start.arg("-u").arg(self.server.url(CONTENT)).arg(new)
            }
            Tool::Bita => sh(need("bita")?).args("compress --force-create -i").arg(new).arg(output),
            Tool::Rdiff => sh(need("rdiff")?).arg("signature").arg(&self.old).arg(output),
            Tool::Casync => {
                let store = format!("--store={}", self.store().display());
                sh(need("casync")?).arg("make").arg(store).arg(output).arg(new)
            }
            Tool::Zchunk => sh(need("zck")?).arg("-o").arg(output).arg(new),
            Tool::Xdelta3 => {
                // Otherwise it looks only at the old version's 64 MiB around the place.
                let window = std::fs::metadata(&self.old)?.len().next_power_of_two().max(64 << 20).to_string();
                sh(need("xdelta3")?).args("-e -f -B").arg(window).arg("-s").arg(&self.old).arg(new).arg(output)
            }
            Tool::Zstd => {
                let from = format!("--patch-from={}", self.old.display());
                sh(need("zstd")?).args("-q -f --long=31").arg(from).arg(new).arg("-o").arg(output)
            }
            Tool::B3sum => sh(need("b3sum")?).arg(new),
            Tool::Local | Tool::InPlace | Tool::OneThread | Tool::Rsync | Tool::Cp => {
                return fail(format!("{} makes no index", tool.name()));
            }
        })
    }

    /// The new version out of the old one.
    fn update(&self, tool: Tool) -> Result<Sh> {
        let (new, index, result) = (self.new_version(), self.index(tool), self.result());
        let url = self.server.url(Self::published(tool).unwrap_or_default());
        Ok(match tool {
            Tool::Gosync => sh(self.gosync).args("update --json --quiet").arg(result).arg("--index").arg(url),
            Tool::Local | Tool::InPlace => {
                let in_place = if tool == Tool::InPlace { "--in-place" } else { "" };
                let start = sh(self.gosync).args("update --json --quiet").args(in_place).arg(result);
                start.arg("--index").arg(index).arg("--source").arg(new)
            }
            Tool::Zsync => {
                sh(need("zsync")?).args("-q -o").arg(result).arg("-i").arg(&self.old).arg(url).within(&self.work)
            }
            Tool::Bita => sh(need("bita")?).args("clone --seed").arg(&self.old).arg(url).arg(result),
            Tool::Rsync => sh(need("rsync")?).args("--no-whole-file --ignore-times").arg(new).arg(result),
            Tool::Rdiff => {
                let script = "\"$1\" delta \"$2\" \"$3\" delta && \"$1\" patch \"$4\" delta \"$5\"";
                self.script(script, need("rdiff")?).arg(index).arg(new).arg(&self.old).arg(result)
            }
            Tool::Casync => {
                let start = sh(need("casync")?).arg("extract").arg(format!("--store={}", self.store().display()));
                start.arg(format!("--seed={}", self.old.display())).arg(index).arg(result)
            }
            Tool::Zchunk => {
                let script = "\"$1\" -q -s \"$2\" \"$3\" && \"$4\" content.zck && mv content content.bin";
                self.script(script, need("zckdl")?).arg(self.packed_old()).arg(url).arg(need("unzck")?)
            }
            Tool::Xdelta3 => {
                let window = std::fs::metadata(&self.old)?.len().next_power_of_two().max(64 << 20).to_string();
                sh(need("xdelta3")?).args("-d -f -B").arg(window).arg("-s").arg(&self.old).arg(index).arg(result)
            }
            Tool::Zstd => {
                let from = format!("--patch-from={}", self.old.display());
                sh(need("zstd")?).args("-q -d -f --long=31").arg(from).arg(index).arg("-o").arg(result)
            }
            Tool::Cp => sh("cp").arg(new).arg(result),
            Tool::B3sum => sh(need("b3sum")?).arg(new),
            Tool::OneThread => return fail("it only plans"),
        })
    }

    /// Several programs after each other, in the folder of the run.
    fn script(&self, text: &str, first: PathBuf) -> Sh {
        sh("sh").arg("-c").arg(text).arg("sh").arg(first).within(&self.work)
    }

    /// The update of large files: the old version stays where it is and is a seed, so that no third copy is needed.
    pub(super) fn update_beside(&self) -> Sh {
        let start = sh(self.gosync).args("update --json --quiet").arg(self.result()).arg("--seed").arg(&self.old);
        start.arg("--index").arg(self.index(Tool::Local)).arg("--source").arg(self.new_version())
    }

    /// The floor of that: gosync's result is on the disk when it ends, so `cp`'s has to be.
    pub(super) fn copy_durably(&self) -> Sh {
        self.script("cp \"$1\" \"$2\" && sync \"$2\"", self.new_version()).arg(self.result())
    }

    /// What was transferred besides the index where no server counts it: a delta or a patch.
    pub(super) fn delta_bytes(&self, tool: Tool) -> Option<u64> {
        let file = match tool {
            Tool::Rdiff => self.work.join("delta"),
            Tool::Xdelta3 | Tool::Zstd => self.index(tool),
            _ => return None,
        };
        Some(std::fs::metadata(file).ok()?.len())
    }
}

/// Whether a run leaves the new version behind.
pub(super) fn makes_a_result(tool: Tool, action: Action) -> bool {
    action == Action::Update && tool != Tool::B3sum
}

fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        std::fs::remove_dir_all(path)?;
    } else if path.exists() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
