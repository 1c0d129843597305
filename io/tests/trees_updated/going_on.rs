//! Updates of directories that are disturbed: cut off, cancelled, overtaken. Nothing is fetched twice, nothing is believed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use gosync_io::{ErrorKind, Job, JobOptions};

use crate::model::{Chance, Failing, Node, Site, Tree, Version, assert_same, file, put, read};

const UNIT: u64 = 64 << 10;
const IN_FLIGHT: u64 = 8 * UNIT;

/// Two versions of which the second has much that is new, in files small and large.
fn versions(chance: &mut Chance) -> (Tree, Tree) {
    let mut old = Tree::new();
    for number in 0..60 {
        let length = 1000 + chance.below(40_000);
        put(&mut old, &format!("some/{number}"), file(chance.bytes(length)));
    }
    put(&mut old, "large", file(chance.bytes(1_500_000)));
    let mut new = old.clone();
    for number in 0..30 {
        let length = 1000 + chance.below(40_000);
        put(&mut new, &format!("some/{}", 2 * number), file(chance.bytes(length)));
    }
    let Some(Node::File(content, _)) = new.get_mut("large") else { panic!("no file") };
    let fresh = chance.bytes(600_000);
    content[400_000..1_000_000].copy_from_slice(&fresh);
    (old, new)
}

fn bounded(site: &Site) -> JobOptions {
    JobOptions { max_bytes_in_flight: IN_FLIGHT, delete: true, ..site.options() }
}

#[test]
fn what_was_fetched_before_the_line_broke_is_not_fetched_again() {
    for seed in 0..12 {
        let mut chance = Chance::new(100 + seed);
        let (old, new) = versions(&mut chance);
        let (site, version) = (Site::with(&old), Version::of(&new));
        let plan = site.job(&version.index, version.source(), bounded(&site)).plan().expect("a plan");
        let mut fetched = 0;
        let mut breaks = 0;
        loop {
            let left = if breaks < 4 { chance.below(400_000) as u64 } else { u64::MAX };
            let job = site.job(&version.index, Failing::source(&version.payload, left, |_| ()), bounded(&site));
            let outcome = job.run();
            fetched += job.statistics().fetched;
            match outcome {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Source, "seed {seed}: {error}"),
            }
            breaks += 1;
            assert_same(&read(&site.target), &old, &format!("seed {seed}: after break {breaks}"));
        }
        assert_same(&read(&site.target), &new, &format!("seed {seed}"));
        let most = plan.missing + breaks * IN_FLIGHT;
        assert!(fetched <= most, "seed {seed}: {fetched} were fetched, {} are missing", plan.missing);
        assert!(breaks == 0 || site.heard("resumed"), "seed {seed}");
        assert_eq!(site.names(), [".target.gosync-installed", "target"], "seed {seed}");
    }
}

#[test]
fn what_a_stage_holds_is_not_believed() {
    let mut chance = Chance::new(200);
    let (old, new) = versions(&mut chance);
    let (site, version) = (Site::with(&old), Version::of(&new));
    let job = site.job(&version.index, Failing::source(&version.payload, 700_000, |_| ()), bounded(&site));
    job.run().expect_err("the line is dead");
    let stage = site.names().into_iter().find(|name| name.ends_with(".gosync-stage")).expect("a stage");
    let files = site.folder.path().join(stage).join("new");
    let mut spoilt = 0;
    for entry in fs::read_dir(&files).expect("new files") {
        let path = entry.expect("an entry").path();
        let mut content = fs::read(&path).expect("a file");
        let middle = content.len() / 2;
        if let Some(byte) = content.get_mut(middle) {
            *byte ^= 1;
            spoilt += 1;
        }
        fs::write(path, content).expect("a file");
    }
    assert!(spoilt > 3);
    fs::write(files.join("4000000"), "nobody's").expect("a file");
    fs::write(files.join("text"), "nobody's").expect("a file");
    site.job(&version.index, version.source(), bounded(&site)).run().expect("an update");
    assert_same(&read(&site.target), &new, "after all");
    assert_eq!(site.names(), [".target.gosync-installed", "target"]);
}

#[test]
fn what_another_version_left_in_its_stage_helps() {
    let mut chance = Chance::new(300);
    let (old, between) = versions(&mut chance);
    let mut new = between.clone();
    put(&mut new, "more", file(chance.bytes(5000)));
    let site = Site::with(&old);
    let version = Version::of(&between);
    let job = site.job(&version.index, Failing::source(&version.payload, 900_000, |_| ()), bounded(&site));
    job.run().expect_err("the line is dead");
    let there = job.statistics().fetched - IN_FLIGHT;
    let version = Version::of(&new);
    let done = site.job(&version.index, version.source(), bounded(&site)).run().expect("an update");
    assert_same(&read(&site.target), &new, "the newest");
    let without = Site::with(&old);
    let lacking = without.job(&version.index, version.source(), bounded(&without)).plan().expect("a plan").missing;
    assert!(done.fetched + there <= lacking + UNIT, "{} of {lacking} fetched, {there} were there", done.fetched);
    assert_eq!(site.names(), [".target.gosync-installed", "target"]);
}

#[test]
fn a_cancelled_update_leaves_everything_as_it_was() {
    let mut chance = Chance::new(400);
    let (old, new) = versions(&mut chance);
    let (site, version) = (Site::with(&old), Version::of(&new));
    let slow = |_| std::thread::sleep(std::time::Duration::from_millis(20));
    let job = Arc::new(site.job(&version.index, Failing::source(&version.payload, u64::MAX, slow), bounded(&site)));
    let running = Arc::clone(&job);
    let thread = std::thread::spawn(move || running.run());
    while job.progress().fetched < 200_000 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let start = Instant::now();
    job.cancel();
    assert_eq!(thread.join().expect("a thread").expect_err("cancelled").kind(), ErrorKind::Cancelled);
    assert!(start.elapsed().as_millis() < 1000, "{:?}", start.elapsed());
    assert_same(&read(&site.target), &old, "cancelled");
    drop(job);
    let done = loop {
        // The thread of the cancelled one may hold the lock for a moment.
        match site.job(&version.index, version.source(), bounded(&site)).run() {
            Err(error) if error.kind() == ErrorKind::State => std::thread::yield_now(),
            outcome => break outcome.expect("an update"),
        }
    };
    assert_same(&read(&site.target), &new, "gone on with");
    assert!(done.from_seeds > 0);
}

/// What was found right, and stays, is changed while the rest is fetched: it is noticed, and repaired.
#[test]
fn a_file_that_changes_during_the_update_is_looked_at_again() {
    let mut chance = Chance::new(500);
    let (old, new) = versions(&mut chance);
    for how in 0..3 {
        let (site, version) = (Site::with(&old), Version::of(&new));
        let (victim, is_done) = (site.target.join("some/1"), AtomicBool::new(false));
        let spoil = move |_| {
            if !is_done.swap(true, Ordering::AcqRel) {
                match how {
                    0 => fs::write(&victim, "another content").expect("a file"),
                    1 => fs::remove_file(&victim).expect("removed"),
                    _ => {
                        let mut content = fs::read(&victim).expect("a file");
                        content[0] ^= 1;
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        fs::write(&victim, content).expect("a file");
                    }
                }
            }
        };
        let job = site.job(&version.index, Failing::source(&version.payload, u64::MAX, spoil), bounded(&site));
        job.run().unwrap_or_else(|error| panic!("{how}: {error:?}"));
        assert!(site.heard("looked_again"), "{how}");
        assert_same(&read(&site.target), &new, &format!("{how}"));
    }
}

/// A file whose time and size lie: what is believed of it costs nothing, and shows where it is put together with others. Then it
/// is known not to be what was installed, and kept.
#[test]
fn quick_does_not_spoil_what_is_read() {
    for delete in [true, false] {
        let mut chance = Chance::new(600);
        let mut old = Tree::new();
        for name in ["a", "b", "c"] {
            put(&mut old, name, file(chance.bytes(20_000)));
        }
        let site = Site::empty();
        site.update(&Version::of(&old)).expect("an update");
        let path = site.target.join("b");
        let time = fs::metadata(&path).expect("a file").modified().expect("a time");
        let mut content = fs::read(&path).expect("a file");
        content[100] ^= 1;
        fs::write(&path, &content).expect("a file");
        fs::File::options().write(true).open(&path).expect("a file").set_modified(time).expect("a time");
        let mut new = old.clone();
        put(&mut new, "a", file(chance.bytes(20_000)));
        let version = Version::of(&new);
        let options = JobOptions { quick: true, delete, ..site.options() };
        site.job(&version.index, version.source(), options).run().expect("an update");
        assert_same(&read(&site.target), &new, "all in one unit");
        let kept = fs::read(site.target.with_file_name("target.gosync-kept").join("b")).ok();
        assert!(kept == (!delete).then_some(content), "delete: {delete}, kept: {}", kept.is_some());
    }
}

#[test]
fn one_update_of_a_directory_at_a_time() {
    let mut chance = Chance::new(700);
    let (old, new) = versions(&mut chance);
    let (site, version) = (Arc::new(Site::with(&old)), Version::of(&new));
    let (index, target) = (Arc::clone(&version.index), site.target.clone());
    let other = move |_| {
        let job = Job::new(Arc::clone(&index), None, &target, JobOptions::default()).expect("a job");
        assert_eq!(job.run().expect_err("it is locked").kind(), ErrorKind::State);
    };
    let job = site.job(&version.index, Failing::source(&version.payload, u64::MAX, other), bounded(&site));
    job.run().expect("an update");
    assert_same(&read(&site.target), &new, "the first one");
}
