//! Power cuts, simulated: a job runs with its changes written down (`log`), the log is cut anywhere, and `cut` says what a
//! disk may hold then. Under the target's name is exactly the old or exactly the new version, and the next job ends in
//! the new one, from whatever it finds.
//!
//! `GOSYNC_POWER_COUNT` (400 cuts otherwise), `GOSYNC_POWER_SEED` and `GOSYNC_POWER_FIRST` choose others than usual.

pub(super) mod cut;
pub(super) mod log;
pub(super) mod tree;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::disk::Disk;
use crate::source::MemorySource;
use crate::tests::common;
use crate::{Index, IndexOptions, Job, JobOptions, Level, Observer, OnEvent, Result, index_bytes};
use cut::{Chance, Files, Temper, cut};
use log::Recorder;

const KIB: usize = 1024;
/// What a cut may cost of what was here: two units.
const TORN: u64 = 128 * KIB as u64;
/// Cuts that one update suffers at the most.
const CUTS: usize = 4;

pub(super) fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}: {error}")),
        // Wine takes ten times as long for what changes a disk.
        Err(_) if cfg!(windows) => otherwise.div_ceil(5),
        Err(_) => otherwise,
    }
}

fn noise(length: usize, chance: &mut Chance) -> Vec<u8> {
    common::noise(length, chance.below(usize::MAX) as u64 | 1)
}

/// An old version, if there is one, and what becomes of it.
fn versions(chance: &mut Chance) -> (Option<Vec<u8>>, Vec<u8>) {
    let old = noise(200 * KIB + chance.below(500 * KIB), chance);
    let new = match chance.below(6) {
        // Overwritten here and there; with zeros, too.
        0 => {
            let mut new = old.clone();
            for _ in 0..1 + chance.below(6) {
                let length = 1 + chance.below(40 * KIB);
                let at = chance.below(old.len() - length);
                let is_zero = chance.below(3) == 0;
                let some = if is_zero { vec![0; length] } else { noise(length, chance) };
                new[at..at + length].copy_from_slice(&some);
            }
            new
        }
        // In another order.
        1 => {
            let size = old.len() / (2 + chance.below(6));
            let mut pieces: Vec<&[u8]> = old.chunks(size).collect();
            for last in (1..pieces.len()).rev() {
                pieces.swap(last, chance.below(last + 1));
            }
            pieces.concat()
        }
        // Everything moves backwards, or forwards.
        2 => {
            let (before, after) = (1 + chance.below(100 * KIB), chance.below(100 * KIB));
            [noise(before, chance), old.clone(), noise(after, chance)].concat()
        }
        3 => {
            let gone = 1 + chance.below(100 * KIB);
            let end = old.len() - chance.below(60 * KIB);
            [&old[gone..end], &noise(chance.below(30 * KIB), chance)].concat()
        }
        4 => noise(1 + chance.below(300 * KIB), chance),
        _ => return (None, noise(1 + chance.below(300 * KIB), chance)),
    };
    (Some(old), new)
}

/// One update with its cuts.
struct Round {
    number: u64,
    in_place: bool,
    target: PathBuf,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
    index: Arc<Index>,
    /// Bytes that the old version has not.
    missing: u64,
    /// Cuts so far.
    cuts: u64,
    history: Arc<Mutex<Vec<String>>>,
}

impl Round {
    /// Writes down what a job has to say.
    fn note(&self) -> OnEvent {
        let history = Arc::clone(&self.history);
        Arc::new(move |event| {
            if event.level != Level::Debug {
                lock(&history).push(format!("  {} {:?}", event.message, event.fields));
            }
        })
    }

    fn tell(&self, what: String) {
        lock(&self.history).push(what);
    }

    fn job(&self) -> Result<Job> {
        let options = JobOptions {
            in_place: self.in_place,
            // Nothing is fetched along, and nothing ahead of the search.
            thorough: true,
            max_gap: 1,
            assume_rtt: Duration::from_millis(1),
            assume_rate: 5 << 20,
            observer: Observer { events: Some(self.note()), ..Observer::default() },
            ..JobOptions::default()
        };
        let source = Arc::new(MemorySource::new(self.new.clone()));
        Job::new(Arc::clone(&self.index), Some(source), &self.target, options)
    }

    /// What the old version had is not fetched, whatever became of it on the way, but for what was torn.
    fn update(&mut self, disk: Disk) -> std::result::Result<(), String> {
        let run = || {
            let mut job = self.job()?;
            job.set_disk(disk);
            job.run()
        };
        let done = run().map_err(|error| self.fault(&error.to_string()))?;
        self.tell(format!("{} bytes fetched", done.fetched));
        let most = self.missing + self.cuts * TORN;
        if done.fetched > most {
            return Err(self.fault(&format!("{} bytes were fetched, {most} at the most had to be", done.fetched)));
        }
        Ok(())
    }

    /// What is wrong, with what led to it.
    fn fault(&self, what: &str) -> String {
        let Round { number, in_place, old, new, .. } = self;
        let old = old.as_ref().map(Vec::len);
        let history = lock(&self.history).join("\n  ");
        format!("round {number}, in place: {in_place}, from {old:?} to {} bytes: {what}\n  {history}", new.len())
    }

    /// Cuts the power `cuts` times, then lets an update end.
    fn run(&mut self, cuts: usize, chance: &mut Chance) -> std::result::Result<(), String> {
        let plan = self.job().and_then(|job| job.plan());
        self.missing = plan.map_err(|error| self.fault(&error.to_string()))?.to_fetch;
        let mut before = read(folder(&self.target));
        for _ in 0..cuts {
            let recorder = Arc::new(Recorder::default());
            let watch: Arc<Recorder> = Arc::clone(&recorder);
            self.update(Disk::watched(watch))?;
            let log = recorder.take();
            // The end, where all must be there, more often than any other moment.
            let moments = if chance.below(8) == 0 { log.length } else { chance.below(log.length + 1) };
            let temper = Temper::ALL[chance.below(Temper::ALL.len())];
            self.tell(format!("cut after {moments} of {} moments of a disk that {temper:?}", log.length));
            let after = cut(&before, &log, moments, temper, chance);
            self.cuts += 1;
            self.check(&after, moments == log.length)?;
            write(folder(&self.target), &after);
            let is_new = after.get(&self.target) == Some(&self.new);
            before = after;
            // What comes after that is of little interest.
            if is_new && chance.below(4) > 0 {
                break;
            }
        }
        self.update(Disk::system())?;
        self.check(&read(folder(&self.target)), true)?;
        let left = read(folder(&self.target)).into_keys().filter(|path| *path != self.target);
        match left.collect::<Vec<_>>() {
            left if left.is_empty() => Ok(()),
            left => Err(self.fault(&format!("{left:?} beside the finished target"))),
        }
    }

    fn check(&self, files: &Files, is_over: bool) -> std::result::Result<(), String> {
        let found = files.get(&self.target);
        if is_over && found != Some(&self.new) {
            return Err(self.fault("the update was over, and the target is not the new version"));
        }
        if !self.in_place && found != self.old.as_ref() && found != Some(&self.new) {
            return Err(self.fault("the target is neither old nor new"));
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder(target: &Path) -> &Path {
    target.parent().expect("a folder")
}

fn read(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).expect("the folder").flatten();
    entries.map(|entry| (entry.path(), std::fs::read(entry.path()).expect("a file"))).collect()
}

fn write(folder: &Path, files: &Files) {
    for path in read(folder).into_keys() {
        std::fs::remove_file(path).expect("removed");
    }
    for (path, content) in files {
        std::fs::write(path, content).expect("a file");
    }
}

/// Rounds until there have been so many cuts.
fn rounds(in_place: bool) {
    let (seed, first) = (number("GOSYNC_POWER_SEED", 1), number("GOSYNC_POWER_FIRST", 0));
    let count = number("GOSYNC_POWER_COUNT", 400);
    let (mut made, mut faults) = (0, Vec::new());
    for number in first.. {
        if made >= count {
            break;
        }
        let mut chance = Chance(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        let (old, new) = versions(&mut chance);
        if let Some(old) = &old {
            std::fs::write(&target, old).expect("the old version");
        }
        let index = Arc::new(index_bytes(&new, &IndexOptions::default()).expect("an index"));
        let mut round =
            Round { number, in_place, target, old, new, index, missing: 0, cuts: 0, history: Arc::default() };
        let cuts = 1 + chance.below(CUTS);
        made += cuts as u64;
        faults.extend(round.run(cuts, &mut chance).err());
    }
    println!("{made} power cuts, seed {seed}");
    assert!(
        faults.is_empty(),
        "seed {seed}: {} faults, the first ones:\n{}",
        faults.len(),
        faults[..faults.len().min(3)].join("\n")
    );
}

#[test]
fn a_power_cut_leaves_the_old_or_the_new_version() {
    rounds(false);
}

#[test]
fn after_a_power_cut_an_update_in_place_is_finished() {
    rounds(true);
}
