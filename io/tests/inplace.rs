//! Updates in place: the target itself is changed. Moves, cycles, growth and shrinkage; what a failure leaves, and that
//! the next update finishes it.

mod common;

use std::fs;
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::{Place, UNIT, failing, index_of, memory, noise};
use gosync_io::{
    Cancel, ErrorKind, Format, Index, IndexOptions, Job, JobOptions, Result, Source, Statistics, VerifyOptions,
    verify_file,
};

fn legacy_index_of(content: &[u8]) -> Arc<Index> {
    let options = IndexOptions { format: Format::Legacy, ..IndexOptions::default() };
    Arc::new(gosync_io::index_bytes(content, &options).expect("an index"))
}

impl Place {
    fn options(&self) -> JobOptions {
        JobOptions { in_place: true, retries: Some(0), observer: self.heard.observer(), ..JobOptions::default() }
    }

    fn job(&self, index: &Arc<Index>, source: Arc<dyn Source>) -> Job {
        Job::new(Arc::clone(index), Some(source), &self.target, self.options()).expect("a job")
    }

    fn update(&self, content: &[u8], source: Arc<dyn Source>) -> Result<Statistics> {
        self.job(&index_of(content), source).run()
    }

    fn journal(&self) -> PathBuf {
        self.path(".target.gosync-journal")
    }
}

/// Updates in place, and says what that took.
fn update(old: &[u8], new: &[u8]) -> Statistics {
    let place = Place::new(old);
    let before = file_number(&place);
    let statistics = place.update(new, memory(new)).expect("an update");
    place.check(new);
    assert_eq!(file_number(&place), before, "another file");
    statistics
}

#[cfg(unix)]
fn file_number(place: &Place) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::metadata(&place.target).expect("the target"))
}

#[cfg(not(unix))]
fn file_number(_: &Place) -> u64 {
    0
}

#[test]
fn what_stays_is_not_written() {
    let old = noise(40 * UNIT, 1);
    let mut new = old.clone();
    for at in [3, 17 * UNIT, 39 * UNIT + 9] {
        new[at] ^= 1;
    }
    let statistics = update(&old, &new);
    assert_eq!(statistics.fetched, 3 * 1024);
    assert!(statistics.written <= 2 * 1024 + UNIT as u64, "{} bytes", statistics.written);
    assert_eq!(statistics.from_seeds, old.len() as u64 - 3 * 1024);
    let again = update(&new, &new);
    assert!(again.up_to_date);
}

#[test]
fn moves_cycles_and_shifts_fetch_nothing() {
    let old = noise(60 * UNIT, 2);
    let reversed: Vec<u8> = old.rchunks(100_000).flatten().copied().collect();
    for (name, new) in [
        ("halves swapped", [&old[30 * UNIT..], &old[..30 * UNIT]].concat()),
        ("halves swapped, unaligned", [&old[30 * UNIT + 777..], &old[..30 * UNIT + 777]].concat()),
        ("a little moved to the end", [&old[777..], &old[..777]].concat()),
        ("reversed", reversed),
        ("cut at the front", old[777..].to_vec()),
        ("cut at the end", old[..20 * UNIT + 5].to_vec()),
        ("twice", [&old[..], &old[..]].concat()),
        ("emptied", Vec::new()),
    ] {
        let statistics = update(&old, &new);
        // A block where it was cut is nowhere.
        let most = if name == "reversed" { 40 << 10 } else { 2048 };
        assert!(statistics.fetched <= most, "{name}: {} bytes", statistics.fetched);
    }
}

#[test]
fn growth_insertions_and_nothing_at_all() {
    let old = noise(50 * UNIT, 3);
    let inserted = update(&old, &[&noise(777, 4), &old[..]].concat());
    assert!(inserted.fetched <= 2048, "{} bytes", inserted.fetched);
    let grown = update(&old, &[&old[..], &noise(200_000, 5)].concat());
    assert!(grown.fetched <= 203_000, "{} bytes", grown.fetched);
    assert_eq!(update(&[], &old).fetched, old.len() as u64);
    assert!(update(&[], &[]).up_to_date);
    assert_eq!(update(&old, &noise(10 * UNIT + 1, 6)).fetched, 10 * UNIT as u64 + 1);
}

#[test]
fn what_is_not_there_is_made() {
    let new = noise(3 * UNIT, 7);
    let place = Place::new(&[]);
    fs::remove_file(&place.target).expect("removed");
    place.update(&new, memory(&new)).expect("an update");
    place.check(&new);
}

#[test]
fn holes_stay_holes() {
    let old = noise(40 * UNIT, 8);
    let mut new = old.clone();
    new[5 * UNIT..35 * UNIT].fill(0);
    let place = Place::new(&old);
    place.update(&new, memory(&new)).expect("an update");
    place.check(&new);
    #[cfg(target_os = "linux")]
    {
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&place.target).expect("the target"));
        assert!(blocks * 512 < 20 * UNIT as u64, "{blocks} blocks");
    }
}

#[test]
fn further_seeds_help() {
    let old = noise(20 * UNIT, 9);
    let seed = noise(20 * UNIT, 10);
    let new = [&seed[5000..], &old[..3 * UNIT], &seed[..5000]].concat();
    let place = Place::new(&old);
    let path = place.path("seed");
    fs::write(&path, &seed).expect("a seed");
    let job = place.job(&index_of(&new), memory(&new));
    job.add_seed(&path).expect("a seed");
    let statistics = job.run().expect("an update");
    assert!(statistics.fetched <= 4096, "{} bytes", statistics.fetched);
    assert!(place.read() == new);
}

#[test]
fn legacy_indexes_too() {
    let old = noise(900_001, 11);
    for new in [[&old[777..], &old[..777]].concat(), [&noise(777, 12), &old[..]].concat(), old[..500_000].to_vec()] {
        let place = Place::new(&old);
        let statistics = place.job(&legacy_index_of(&new), memory(&new)).run().expect("an update");
        assert_eq!(statistics.proof, "blocks-md5");
        assert!(statistics.fetched <= 3 * 8192, "{} bytes", statistics.fetched);
        place.check(&new);
    }
}

#[test]
fn a_failure_says_so_and_the_next_update_finishes() {
    let old = noise(40 * UNIT, 13);
    let new = [&noise(20 * UNIT, 14), &old[777..], &old[..777]].concat();
    let missing = 20 * UNIT as u64;
    for in_place in [true, false] {
        let place = Place::new(&old);
        let failed = place.job(&index_of(&new), failing(&new, 10 * UNIT as u64));
        let error = failed.run().expect_err("the line is dead");
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.message().contains("neither the old version nor the new one"), "{error}");
        let about = |key| error.context().iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
        assert_eq!(about("unfinished"), Some(place.target.display().to_string()));
        assert_eq!(about("journal"), Some(place.journal().display().to_string()));
        let first = failed.statistics().fetched;
        // Whoever looks is told.
        let found = verify_file(&place.target, &index_of(&new), &VerifyOptions::default()).expect("a verification");
        assert!(found.unfinished && !found.is_match());
        assert!(place.job(&index_of(&new), memory(&new)).plan().expect("a plan").unfinished);
        place.heard.events().clear();
        let options = JobOptions { in_place, ..place.options() };
        let job = Job::new(index_of(&new), Some(memory(&new)), &place.target, options).expect("a job");
        let statistics = job.run().expect("an update");
        assert!(place.heard.has("unfinished"));
        place.check(&new);
        // What had come into units that were complete is not fetched again; the rest was in memory.
        assert!(statistics.fetched + first <= missing + 11 * UNIT as u64, "{} and {first}", statistics.fetched);
        let found = verify_file(&place.target, &index_of(&new), &VerifyOptions::default()).expect("a verification");
        assert!(!found.unfinished && found.is_match());
    }
}

/// Whoever looks has to know where.
#[test]
fn an_unfinished_target_is_told_by_a_journal_elsewhere() {
    let old = noise(40 * UNIT, 21);
    let new = [&noise(20 * UNIT, 22), &old[777..], &old[..777]].concat();
    let place = Place::new(&old);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let journal = Some(elsewhere.path().join("journal"));
    let job = |source| {
        let options = JobOptions { journal: journal.clone(), ..place.options() };
        Job::new(index_of(&new), Some(source), &place.target, options).expect("a job")
    };
    job(failing(&new, 10 * UNIT as u64)).run().expect_err("the line is dead");
    let is_unfinished = |journal| {
        let options = VerifyOptions { journal, ..VerifyOptions::default() };
        verify_file(&place.target, &index_of(&new), &options).expect("a verification").unfinished
    };
    assert!(is_unfinished(journal.clone()) && !is_unfinished(None));
    assert!(job(memory(&new)).plan().expect("a plan").unfinished);
    job(memory(&new)).run().expect("an update");
    place.check(&new);
    assert!(!is_unfinished(journal.clone()));
}

#[test]
fn an_unfinished_target_becomes_a_newer_version() {
    let old = noise(40 * UNIT, 15);
    let new = [&noise(20 * UNIT, 16), &old[777..], &old[..777]].concat();
    let newer = [&old[..10 * UNIT], &new[..], &noise(3000, 17)].concat();
    let place = Place::new(&old);
    place.update(&new, failing(&new, 10 * UNIT as u64)).expect_err("the line is dead");
    let statistics = place.update(&newer, memory(&newer)).expect("an update");
    place.check(&newer);
    assert!(statistics.fetched < 24 * UNIT as u64, "{} bytes", statistics.fetched);
}

#[test]
fn a_damaged_or_foreign_journal_is_only_bytes() {
    let old = noise(30 * UNIT, 18);
    let new = [&noise(15 * UNIT, 19), &old[777..], &old[..777]].concat();
    for damage in 0..4 {
        let place = Place::new(&old);
        place.update(&new, failing(&new, 10 * UNIT as u64)).expect_err("the line is dead");
        let mut journal = fs::read(place.journal()).expect("a journal");
        match damage {
            0 => journal.iter_mut().for_each(|byte| *byte ^= 0x55),
            1 => journal.truncate(100),
            2 => journal.extend_from_slice(&noise(1_000_000, 20)),
            _ => journal.clear(),
        }
        fs::write(place.journal(), journal).expect("a journal");
        place.update(&new, memory(&new)).expect("an update");
        place.check(&new);
    }
}

#[test]
fn a_cancel_at_any_event_can_be_gone_on_with() {
    let old = noise(30 * UNIT, 21);
    let new = [&noise(15 * UNIT, 22), &old[777..], &old[..777]].concat();
    for at in 0..12 {
        let place = Place::new(&old);
        let (mut options, heard) = (place.options(), place.heard.clone());
        let cancel = Cancel::new();
        options.observer.cancel = cancel.clone();
        options.observer.events = Some(Arc::new(move |event| {
            let mut events = heard.events();
            events.push(event.clone());
            if events.len() > at {
                cancel.cancel();
            }
        }));
        let job = Job::new(index_of(&new), Some(memory(&new)), &place.target, options).expect("a job");
        let outcome = job.run();
        if let Err(error) = &outcome {
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            let is_unfinished = error.context().iter().any(|(key, _)| *key == "unfinished");
            // Without a word of it, the target is what it was.
            if !is_unfinished {
                assert!(place.read() == old, "the target has changed");
            }
        }
        // What was let go of may take a while to end.
        let lock = place.path(".target.gosync-lock");
        while lock.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        place.update(&new, memory(&new)).expect("an update");
        place.check(&new);
    }
}

#[test]
fn a_source_that_lies_about_the_end_changes_nothing() {
    let old = noise(30 * UNIT, 23);
    let new = noise(20 * UNIT + 100, 24);
    let mut wrong = new.clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let place = Place::new(&old);
    let error = place.update(&new, memory(&wrong)).expect_err("the end is wrong");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    place.check(&old);
    // Wrong bytes elsewhere never come to the target either, but what is right does.
    wrong[last] ^= 1;
    wrong[5 * UNIT] ^= 1;
    let error = place.update(&new, memory(&wrong)).expect_err("a unit is wrong");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    place.update(&new, memory(&new)).expect("an update");
    place.check(&new);
}

/// Also where the second one knows the file by another name.
#[test]
fn one_update_at_a_time() {
    let old = noise(30 * UNIT, 25);
    let new = noise(30 * UNIT, 26);
    let place = Place::new(&old);
    let other_name = place.path("other");
    fs::hard_link(&place.target, &other_name).expect("a link");
    let index = index_of(&new);
    let refused: Arc<Mutex<Vec<Option<ErrorKind>>>> = Arc::default();
    let (seen, other, targets) = (Arc::clone(&refused), Arc::clone(&index), [place.target.clone(), other_name.clone()]);
    let mut options = place.options();
    options.observer.events = Some(Arc::new(move |event| {
        if event.kind == "planned" {
            for target in &targets {
                let options = JobOptions { in_place: true, ..JobOptions::default() };
                let job = Job::new(Arc::clone(&other), None, target, options).expect("a job");
                seen.lock().expect("it").push(job.run().err().map(|error| error.kind()));
            }
        }
    }));
    Job::new(index, Some(memory(&new)), &place.target, options).expect("a job").run().expect("an update");
    assert_eq!(*refused.lock().expect("it"), [Some(ErrorKind::State); 2]);
    fs::remove_file(&other_name).expect("the link");
    place.check(&new);
}

/// More than one batch: what lies in the journal at a time stays within its bounds.
#[test]
fn a_large_shift_stays_within_its_bounds() {
    let old = noise(90 << 20, 27);
    let new = [&noise(777, 28), &old[..]].concat();
    let place = Place::new(&old);
    let (journal, most) = (place.journal(), Arc::new(AtomicU64::new(0)));
    let seen = Arc::clone(&most);
    let mut options = place.options();
    options.observer.progress = Some(Arc::new(move |_| {
        seen.fetch_max(fs::metadata(&journal).map_or(0, |about| about.len()), Ordering::AcqRel);
    }));
    let job = Job::new(index_of(&new), Some(memory(&new)), &place.target, options).expect("a job");
    let statistics = job.run().expect("an update");
    place.check(&new);
    assert!(statistics.fetched <= 4096, "{} bytes", statistics.fetched);
    let most = most.load(Ordering::Acquire);
    assert!(most > 32 << 20, "{most} bytes of journal were seen");
    assert!(most <= (64 << 20) + (old.len() as u64) / 100, "{most} bytes of journal");
}

#[cfg(target_os = "linux")]
#[test]
fn a_block_device_is_updated() {
    if !Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n")) {
        println!("skipped: only root makes loop devices");
        return;
    }
    let old = noise(40 * UNIT, 7);
    let place = Place::new(&old);
    let made = Command::new("losetup").args(["--find", "--show"]).arg(&place.target).output();
    let device = match made {
        Ok(made) if made.status.success() => PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()),
        other => {
            assert!(std::env::var_os("CI").is_none(), "no loop device: {other:?}");
            println!("skipped: no loop device: {other:?}");
            return;
        }
    };
    struct Loop(PathBuf);
    impl Drop for Loop {
        fn drop(&mut self) {
            let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
        }
    }
    let device = Loop(device);
    let journal = place.target.with_file_name("journal");
    let run = |new: &[u8], journal: Option<PathBuf>| {
        let options = JobOptions { in_place: true, journal, ..JobOptions::default() };
        Job::new(index_of(new), Some(memory(new)), &device.0, options).expect("a job").run()
    };
    let new = [&noise(777, 8), &old[..30 * UNIT]].concat();
    let error = run(&new, None).expect_err("there is no place for the journal");
    assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
    let statistics = run(&new, Some(journal.clone())).expect("an update");
    assert!(statistics.fetched <= 4096, "{} bytes", statistics.fetched);
    let content = fs::read(&device.0).expect("the device");
    assert!(content[..new.len()] == new && content.len() == old.len());
    // What lies behind the new version was not touched.
    assert!(content[31 * UNIT..] == old[31 * UNIT..]);
    assert!(!journal.exists());
    assert!(run(&new, Some(journal.clone())).expect("an update").up_to_date);
    let found = verify_file(&device.0, &index_of(&new), &VerifyOptions::default()).expect("a verification");
    assert!(found.is_match() && found.length == new.len() as u64, "{found:?}");
    let error = run(&noise(41 * UNIT, 9), Some(journal.clone())).expect_err("it is too long");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(!journal.exists());
}
