//! How many bytes an update takes, index and content, as the server counts them: requests and answers, headers included,
//! by nginx on loopback. Time is of no matter here, so one run of each is enough, and other work does not disturb it.
//! Every result is compared with the new version by digest; a wrong one ends the run.

mod files;
mod report;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::nginx::{Nginx, Protocol};
use super::tools::{self, CONTENT, Tool, published};
use crate::bench::kept;
use crate::bench::room::{obstacle, room};
use crate::demo::digest;
use crate::faces::{self, Profile};
use crate::sh::{Result, Sh, fail, need, sh};
use files::Case;

const SERVER: &str = "127.0.0.1";

/// Runs it with the options of the command line, without `--bytes`.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    let (mut is_quick, mut is_for_docs, mut only) = (false, false, Vec::new());
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match (*word, words.as_slice().first()) {
            ("--quick", _) => is_quick = true,
            ("--write", _) => is_for_docs = true,
            ("--only", Some(name)) => {
                only.push(*name);
                words.next();
            }
            _ => return fail(format!("bench --bytes has no options {}", options.join(" "))),
        }
    }
    crate::setup::peers()?;
    let cases = files::all(is_quick);
    let chosen = cases.iter().filter(|case| only.is_empty() || only.iter().any(|word| case.name.contains(word)));
    let gosync = faces::program(Profile::Fast)?;
    let (tools, remarks) = tools::available()?;
    let results = kept::folder(report::folder_name(is_quick), only.is_empty())?;
    for case in chosen {
        println!("\n=== {}", case.name);
        let folder = if case.is_large() { crate::paths::fresh("bench/bytes-on-disk")? } else { room("bytes")? };
        let outcome = Place::new(&gosync, &folder).and_then(|place| measure(&place, case, &tools));
        std::fs::remove_dir_all(&folder)?;
        if let Some(points) = outcome? {
            kept::keep(&results, case.name, json!({ "case": case.name, "goal": case.goal, "points": points }))?;
        }
    }
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    report::write(&names, &gosync, &remarks, is_quick, is_for_docs)
}

/// Measures one case; nothing where there is no room for it.
fn measure(place: &Place<'_>, case: &Case, tools: &[Tool]) -> Result<Option<Vec<Value>>> {
    if let Some(why) = obstacle(&place.folder, case.room()) {
        println!("skipped: {why}");
        return Ok(None);
    }
    let content = place.site.join(CONTENT);
    case.write_new(&content)?;
    let expected = digest(&content)?;
    let wanted: Vec<Tool> = case.tools.iter().copied().filter(|tool| tools.contains(tool)).collect();
    for tool in &wanted {
        place.publish(*tool)?;
    }
    case.dig_holes(&content)?;
    case.write_old(&place.old)?;
    let mut points = Vec::new();
    for tool in wanted {
        let protocols: &[Protocol] = match tool {
            Tool::Gosync => &[Protocol::Http2, Protocol::Http1],
            _ => &[Protocol::Http1],
        };
        for protocol in protocols.iter().filter(|_| tool == Tool::Gosync || !case.is_large()) {
            points.push(place.update(tool, *protocol, &expected)?);
        }
        if tool != Tool::Gosync && case.is_large() {
            let index = std::fs::metadata(place.site.join(published(tool)))?.len();
            println!("{:>10}: the index alone has {index} bytes", tool.name());
            points.push(json!({ "program": tool.name(), "protocol": Protocol::Http1.name(), "index": index }));
        }
    }
    Ok(Some(points))
}

/// Where the files of a case lie, and who serves them.
struct Place<'a> {
    gosync: &'a Path,
    nginx: Nginx,
    folder: PathBuf,
    site: PathBuf,
    old: PathBuf,
    work: PathBuf,
}

impl<'a> Place<'a> {
    fn new(gosync: &'a Path, folder: &Path) -> Result<Place<'a>> {
        let site = folder.join("site");
        std::fs::create_dir_all(&site)?;
        let nginx = Nginx::start(None, SERVER, &site, &folder.join("nginx"))?;
        let (old, work) = (folder.join("old.bin"), folder.join("run"));
        Ok(Place { gosync, nginx, folder: folder.to_owned(), site, old, work })
    }

    /// Describes the new version for one program.
    fn publish(&self, tool: Tool) -> Result<()> {
        let (new, output) = (self.site.join(CONTENT), self.site.join(published(tool)));
        match tool {
            Tool::Gosync => sh(self.gosync).args("index --quiet -o").arg(output).arg(new).quiet().run(),
            Tool::Zsync => {
                let url = Protocol::Http1.url(SERVER, CONTENT);
                sh(need("zsyncmake")?).arg("-o").arg(output).arg("-u").arg(url).arg(new).quiet().run()
            }
            Tool::Bita => sh(need("bita")?).args("compress --force-create -i").arg(new).arg(output).quiet().run(),
            Tool::Flat | Tool::Curl => Ok(()),
        }
    }

    /// One update, and what the server counted.
    fn update(&self, tool: Tool, protocol: Protocol, expected: &str) -> Result<Value> {
        if self.work.exists() {
            std::fs::remove_dir_all(&self.work)?;
        }
        std::fs::create_dir_all(&self.work)?;
        self.nginx.take_counts()?;
        self.command(tool, protocol)?.env("no_proxy", SERVER).quiet().run()?;
        if digest(&self.work.join(CONTENT))? != expected {
            return fail(format!("the result of {} is wrong", tool.name()));
        }
        // An answer is written down when it has ended, which may be a moment later than the client has it.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let mut sums = [0; 3];
        let (mut index, mut content) = (0, 0);
        for (name, count) in self.nginx.take_counts()? {
            sums = [sums[0] + count.requests, sums[1] + count.there, sums[2] + count.back];
            // An archive is index and content in one.
            let part = if name == CONTENT || tool == Tool::Bita { &mut content } else { &mut index };
            *part += count.there + count.back;
        }
        let [requests, there, back] = sums;
        println!("{:>10} {:14} {:12} bytes  {requests} requests", tool.name(), protocol.name(), there + back);
        Ok(json!({
            "program": tool.name(), "protocol": protocol.name(), "requests": requests, "there": there, "back": back,
            "index": index, "content": content, "bytes": there + back,
        }))
    }

    fn command(&self, tool: Tool, protocol: Protocol) -> Result<Sh> {
        let (result, url) = (self.work.join(CONTENT), protocol.url(SERVER, published(tool)));
        Ok(match tool {
            Tool::Gosync | Tool::Flat => {
                let start = sh(self.gosync).args("update --quiet").arg(result).arg("--seed").arg(&self.old);
                start.arg("--index").arg(url).arg("--ca-file").arg(self.nginx.authority())
            }
            Tool::Zsync => {
                let start = sh(need("zsync")?).args("-q -o").arg(result);
                start.arg("-i").arg(&self.old).arg(url).within(&self.work)
            }
            Tool::Bita => sh(need("bita")?).args("clone --seed").arg(&self.old).arg(url).arg(result),
            Tool::Curl => sh(need("curl")?).args("--silent --show-error --fail -o").arg(result).arg(url),
        })
    }
}
