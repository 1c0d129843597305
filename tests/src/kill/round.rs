//! One target's way from its old version to the last one that is published, with kills between.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::shapes::{Shape, content_name};
use super::victim::{Ended, Point, Victim};
use super::{Mode, Outcome};
use crate::conformance::random::Numbers;
use crate::process::{IN_FLIGHT, INDEX, TARGET, verify};
use crate::server::Server;

/// The kills of one round at the most.
const KILLS: u64 = 8;
/// Of an answer that brings everything to the end, the server sends a few pieces more before it sees that nobody reads on.
const ON_ITS_WAY: u64 = 64 * 1024;
/// What a kill may be late beside the time that an update takes.
const START: Duration = Duration::from_millis(150);
/// For how long a run may be refused because another is still at the target.
const PATIENCE: Duration = Duration::from_secs(10);
/// The kinds of errors that say that another update is at the target.
const BUSY: &[&str] = &["STATE"];

/// One round.
pub(super) struct Round<'a> {
    number: u64,
    mode: Mode,
    shape: &'a Shape,
    server: &'a Server,
    /// Where this round's versions are published, and the folder's name on the server.
    site: PathBuf,
    folder: PathBuf,
    numbers: Numbers,
    /// The version that is published.
    current: usize,
    /// What happened, for who looks for a fault.
    history: Vec<String>,
    kills: Vec<&'static str>,
    /// How often the target was found neither old nor new.
    unfinished: u64,
}

impl<'a> Round<'a> {
    /// One below `folder`, whose `site` the server serves.
    pub(super) fn new(
        number: u64,
        mode: Mode,
        shape: &'a Shape,
        server: &'a Server,
        folder: &Path,
        numbers: Numbers,
    ) -> Round<'a> {
        let site = folder.join("site").join(number.to_string());
        let folder = folder.join("target").join(number.to_string());
        let (history, kills) = (Vec::new(), Vec::new());
        Round { number, mode, shape, server, site, folder, numbers, current: 0, history, kills, unfinished: 0 }
    }

    /// Does it; a fault is what must not be.
    pub(super) fn run(&mut self, has_strace: bool) -> Result<(), String> {
        std::fs::create_dir_all(&self.site).expect("a folder");
        std::fs::create_dir_all(&self.folder).expect("a folder");
        if let Some(old) = &self.shape.old {
            std::fs::write(self.target(), old).expect("the old version");
        }
        self.publish(0);
        let several = self.numbers.below(4) == 0;
        let kills = 1 + self.numbers.below(KILLS);
        let newer = self.numbers.below(kills + 1);
        for number in 0..kills {
            if number == newer && self.current + 1 < self.shape.versions.len() {
                self.publish(self.current + 1);
            }
            if self.one(has_strace, several)? {
                break;
            }
        }
        self.finish()?;
        let (sent, most) = (self.sent(), self.most());
        if sent > most {
            return Err(format!("{sent} bytes were sent, of which {most} at the most had to be"));
        }
        Ok(())
    }

    /// Adds to what came of all.
    pub(super) fn note(&self, outcome: &mut Outcome, result: Result<(), String>) {
        outcome.rounds += 1;
        self.kills.iter().for_each(|name| *outcome.kills.entry(name).or_default() += 1);
        outcome.unfinished += self.unfinished;
        outcome.sent += self.sent();
        outcome.missing += self.missing();
        if let Err(fault) = result {
            let Round { number, mode, shape, .. } = self;
            let history = self.history.join("\n  ");
            outcome.faults.push(format!("round {number}, {mode:?}, {}: {fault}\n  {history}", shape.name));
        }
        // The folders of a round with a fault are gone with all the others; the number makes it again.
        let _ = std::fs::remove_dir_all(&self.site);
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    fn target(&self) -> PathBuf {
        self.folder.join(TARGET)
    }

    fn prefix(&self) -> String {
        format!("{}/", self.number)
    }

    /// The content first, then the index by a rename.
    fn publish(&mut self, number: usize) {
        let folder = &self.shape.versions[number].folder;
        let name = content_name(number);
        std::fs::hard_link(folder.join(&name), self.site.join(&name)).expect("a link");
        std::fs::copy(folder.join(INDEX), self.site.join("new")).expect("a copy");
        std::fs::rename(self.site.join("new"), self.site.join(INDEX)).expect("a rename");
        self.current = number;
        self.history.push(format!("published version {number}"));
    }

    /// Bytes of content that have been sent.
    fn sent(&self) -> u64 {
        (0..=self.current).map(|number| self.server.sent(&format!("{}{}", self.prefix(), content_name(number)))).sum()
    }

    fn missing(&self) -> u64 {
        self.shape.versions[..=self.current].iter().map(|version| version.missing).sum()
    }

    /// What may be sent: what was missing, what each kill may have caught on its way, and that once more for each version that
    /// came while another was under way.
    fn most(&self) -> u64 {
        let is_whole = self.shape.versions.iter().any(|version| version.is_whole);
        let caught = IN_FLIGHT + if is_whole { ON_ITS_WAY } else { 0 };
        self.missing() + (self.kills.len() + self.current) as u64 * caught
    }

    fn start(&self, point: Point) -> Victim {
        let options: &[&str] = if self.mode == Mode::InPlace { &["--in-place"] } else { &[] };
        let url = self.server.url(&format!("{}{INDEX}", self.prefix()));
        Victim::start(&self.folder, &url, options, point)
    }

    /// One run that is killed, or two at the same time one of which is. Whether the target is the last version by now.
    fn one(&mut self, has_strace: bool, several: bool) -> Result<bool, String> {
        let (sent, left) = (self.sent(), self.missing().saturating_sub(self.sent()));
        let time = START + Duration::from_secs_f64(left as f64 / super::RATE as f64);
        let point = match Point::by_chance(&mut self.numbers, time, left, has_strace) {
            // Counted from the beginning of the round.
            Point::Sent(bytes) => Point::Sent(sent + bytes),
            point => point,
        };
        self.history.push(format!("{point:?}{}", if several { ", and another at the same time" } else { "" }));
        let (name, victim, kills) = (point.name(), self.start(point), self.kills.len());
        let other = several.then(|| self.start(Point::Never));
        let ended = victim.end(|| self.sent());
        let mut is_done = self.take(name, ended)?;
        if let Some(other) = other {
            let ended = other.end(|| 0);
            is_done |= self.take("never", ended)?;
        }
        // The other one may have found that nothing was left to do while the one that was killed then was at its end.
        let may_be_locked = several && self.kills.len() > kills;
        self.check(is_done, may_be_locked)?;
        Ok(is_done)
    }

    /// What may come of a run; whether it ended well.
    fn take(&mut self, name: &'static str, ended: Ended) -> Result<bool, String> {
        let is_done = matches!(&ended, Ended::Itself(said) if said.is_well);
        match ended {
            Ended::Killed if name == "never" => return Err("killed by nobody".to_owned()),
            Ended::Killed => self.kills.push(name),
            Ended::Itself(said) if said.is_well => {}
            // Another one is at it.
            Ended::Itself(said) if BUSY.contains(&said.kind()) => self.history.push(said.all),
            Ended::Itself(said) => return Err(said.all),
            Ended::Hung(said) => return Err(format!("it hangs: {said}")),
        }
        self.history.push(format!("done: {is_done}, {} bytes sent", self.sent()));
        Ok(is_done)
    }

    /// What is at the target and beside it, after a kill or (`is_done`) after a run that ended well, beside which another may have
    /// left its lock file.
    fn check(&mut self, is_done: bool, may_be_locked: bool) -> Result<(), String> {
        let found = std::fs::read(self.target()).ok();
        let is = |version: &[u8]| found.as_deref() == Some(version);
        let versions = &self.shape.versions[..=self.current];
        let is_old = found.as_deref() == self.shape.old.as_deref();
        let is_whole = is_old || versions.iter().any(|version| is(&version.bytes));
        let names = self.names();
        let beside = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).count();
        let [parts, journals, locks] = [".gosync-part", ".gosync-journal", ".gosync-lock"].map(beside);
        self.history.push(format!("whole: {is_whole}, old: {is_old}, beside: {names:?}"));
        // The partial file of the version that is wanted, and one of another.
        if names.len() != parts + journals + locks || parts > 2.min(versions.len()) || journals > 1 || locks > 1 {
            return Err(format!("{names:?} beside the target"));
        }
        if !is_whole && (self.mode == Mode::Beside || journals == 0) {
            return Err("the target is neither old nor new".to_owned());
        }
        if !is_whole {
            // Whoever looks is told why.
            let said = verify(&self.target(), &self.site.join(INDEX));
            if said.is_well || said.last["unfinished"] != true {
                return Err(format!("a target that is neither old nor new is verified: {}", said.all));
            }
            self.unfinished += 1;
        }
        let is_new = is(&self.shape.versions[self.current].bytes);
        match is_done {
            true if !is_new => Err("it ended well, but not in the new version".to_owned()),
            true if !(names.is_empty() || may_be_locked && names.len() == locks) => {
                Err(format!("{names:?} beside the finished target"))
            }
            _ => Ok(()),
        }
    }

    /// What lies beside the target.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).expect("the folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != TARGET).collect()
    }

    /// A run that nobody kills ends in the new version, and leaves nothing beside it.
    fn finish(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            match self.start(Point::Never).end(|| 0) {
                Ended::Itself(said) if said.is_well => break,
                Ended::Itself(said) if BUSY.contains(&said.kind()) && start.elapsed() < PATIENCE => {}
                Ended::Itself(said) => return Err(format!("the last run: {}", said.all)),
                Ended::Hung(said) => return Err(format!("the last run hangs: {said}")),
                Ended::Killed => return Err("killed by nobody".to_owned()),
            }
        }
        self.check(true, false)
    }
}
