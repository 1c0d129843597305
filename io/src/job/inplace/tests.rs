//! Updates in place in small batches, so that a small target has many of them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gosync_core::{ErrorKind, Link, Request, Result, Source, Supply};

use crate::source::{BlockingRead, BlockingSource};
use crate::tests::common::{Place, UNIT, failing, index_of, memory, noise};
use crate::{Job, JobOptions, Statistics};

impl Place {
    fn job(&self, new: &[u8], source: Arc<dyn Source>, options: JobOptions) -> Job {
        let observer = self.heard.observer();
        let options = JobOptions { in_place: true, max_bytes_in_flight: 512 << 10, observer, ..options };
        let mut job = Job::new(index_of(new), Some(source), &self.target, options).expect("a job");
        job.set_batch(256 << 10);
        job
    }

    fn update(&self, new: &[u8], source: Arc<dyn Source>) -> Result<Statistics> {
        let statistics = self.job(new, source, JobOptions::default()).run()?;
        assert!(self.read() == new, "the target is another");
        Ok(statistics)
    }

    /// The most that were ordered.
    fn batches(&self) -> u64 {
        self.heard.numbers("ordered", "batches").into_iter().max().unwrap_or_default()
    }
}

/// Content that is moved by a little, with something new in many places.
fn shifted(old: &[u8]) -> Vec<u8> {
    let mut new = noise(777, 50);
    for (number, piece) in old.chunks(500_000).enumerate() {
        new.extend_from_slice(piece);
        new.extend(noise(3000, 51 + number as u64));
    }
    new
}

#[test]
fn many_batches_with_something_to_fetch_in_each() {
    let old = noise(150 * UNIT, 1);
    let new = shifted(&old);
    let place = Place::new(&old);
    let statistics = place.update(&new, memory(&new)).expect("an update");
    assert!(place.batches() > 20, "{} batches", place.batches());
    assert!(statistics.fetched < 20 * 6000, "{} bytes", statistics.fetched);
}

/// Sends everything, from front to back, whatever is asked for.
struct Stream {
    content: Vec<u8>,
    /// Whether that is known before it was asked.
    known: AtomicBool,
    sent: Arc<AtomicU64>,
}

impl Source for Stream {
    fn fetch(&self, request: Request) {
        self.known.store(true, Ordering::Release);
        let (content, sent) = (self.content.clone(), Arc::clone(&self.sent));
        std::thread::spawn(move || {
            for (number, piece) in content.chunks(50_000).enumerate() {
                loop {
                    match request.supply(number as u64 * 50_000, piece) {
                        Supply::Taken => break,
                        Supply::Again => std::thread::sleep(Duration::from_millis(1)),
                        Supply::Closed => return,
                    }
                }
                sent.fetch_add(piece.len() as u64, Ordering::AcqRel);
            }
            // By now more may be wanted, which this answer has passed.
            std::thread::sleep(Duration::from_millis(100));
            request.finish(Ok(()));
        });
    }

    fn link(&self) -> Link {
        Link { ranges: self.known.load(Ordering::Acquire).then_some(false), ..Link::default() }
    }
}

#[test]
fn a_source_without_ranges_sends_everything_once() {
    let old = noise(150 * UNIT, 2);
    // The end is in the seed.
    let new = [shifted(&old), old[90 * UNIT..].to_vec()].concat();
    for known in [true, false] {
        let sent = Arc::new(AtomicU64::new(0));
        let source = Stream { content: new.clone(), known: AtomicBool::new(known), sent: Arc::clone(&sent) };
        let place = Place::new(&old);
        place.update(&new, Arc::new(source)).expect("an update");
        assert!(place.batches() > 20);
        // Where it is not known at first, the answers to the first requests are in vain.
        let most = if known { 1 } else { 8 } * new.len() as u64;
        assert!(sent.load(Ordering::Acquire) <= most, "{} bytes of {}", sent.load(Ordering::Acquire), new.len());
    }
}

#[test]
fn a_source_without_ranges_proves_the_length_first() {
    let old = noise(80 * UNIT, 3);
    let new = shifted(&old);
    let sent = Arc::new(AtomicU64::new(0));
    let source = Stream { content: new.clone(), known: AtomicBool::new(true), sent: Arc::clone(&sent) };
    Place::new(&old).update(&new, Arc::new(source)).expect("an update");
    // Once for the end, once for all.
    assert!(sent.load(Ordering::Acquire) <= 2 * new.len() as u64, "{} bytes", sent.load(Ordering::Acquire));
}

/// Gives wrong bytes for a while, after the end has been proven.
struct Liar {
    content: Vec<u8>,
    answers: AtomicU64,
}

impl BlockingRead for Liar {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.content.len() - offset as usize);
        buffer[..count].copy_from_slice(&self.content[offset as usize..][..count]);
        if (4..10).contains(&self.answers.fetch_add(1, Ordering::AcqRel)) {
            buffer[0] ^= 1;
        }
        Ok(count)
    }
}

#[test]
fn units_that_were_wrong_come_last() {
    let old = noise(100 * UNIT, 4);
    let new = shifted(&old);
    let liar = Liar { content: new.clone(), answers: AtomicU64::new(0) };
    let place = Place::new(&old);
    let statistics = place.update(&new, Arc::new(BlockingSource::new(liar, 2).expect("a source"))).expect("an update");
    assert!(place.heard.has("refetch") && place.heard.has("wrong_source"));
    assert!(statistics.fetched < 20 * 6000 + 10 * UNIT as u64, "{} bytes", statistics.fetched);
}

#[test]
fn failures_in_any_batch_are_gone_on_with() {
    let old = noise(100 * UNIT, 5);
    let new = shifted(&old);
    let place = Place::new(&old);
    let (mut fetched, mut tries) = (0, 0);
    loop {
        let job = place.job(&new, failing(&new, 30_000), JobOptions { retries: Some(0), ..JobOptions::default() });
        let outcome = job.run();
        fetched += job.statistics().fetched;
        tries += 1;
        match outcome {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Source, "{error}"),
        }
        assert!(tries < 40, "it does not come to its end");
    }
    assert!(tries > 1);
    assert!(place.read() == new);
    // What was missing, and what was in flight at each failure.
    assert!(fetched <= 20 * 6000 + tries * 30_000, "{fetched} bytes in {tries} tries");
}

/// A regular file that is taken for a device: its length stays, and so does what lies behind the new version. (Where there are
/// loop devices, `io/tests/inplace.rs` has the same with one.)
#[test]
fn what_is_opened_as_a_device_keeps_its_length() {
    let old = noise(100 * UNIT, 7);
    let new = shifted(&old[..80 * UNIT]);
    let place = Place::new(&old);
    let journals = tempfile::tempdir().expect("a folder");
    let journal = journals.path().join("journal");
    let job = |new: &[u8], bytes: u64, journal: Option<PathBuf>| {
        let mut job =
            place.job(new, failing(new, bytes), JobOptions { retries: Some(0), journal, ..JobOptions::default() });
        job.set_as_device();
        job
    };
    let run = |new: &[u8], bytes: u64, journal: Option<PathBuf>| job(new, bytes, journal).run();
    let content = || place.read();
    let left = || fs::read_dir(journals.path()).expect("the folder").count();
    let error = run(&new, u64::MAX, None).expect_err("there is no place for the journal");
    assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
    let error = run(&noise(101 * UNIT, 8), u64::MAX, Some(journal.clone())).expect_err("it is too long");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(content() == old && left() == 0);
    // A failure on the way, which the next one goes on from.
    let error = run(&new, 40_000, Some(journal.clone())).expect_err("the line is dead");
    assert_eq!(error.kind(), ErrorKind::Source, "{error}");
    assert!(journal.exists() && content().len() == old.len() && content() != old);
    let statistics = run(&new, u64::MAX, Some(journal.clone())).expect("an update");
    assert!(statistics.fetched < 12 * 6000, "{} bytes", statistics.fetched);
    assert!(content()[..new.len()] == new && content()[new.len()..] == old[new.len()..]);
    assert_eq!(left(), 0);
    assert!(job(&new, 0, Some(journal.clone())).plan().expect("a plan").up_to_date);
    assert!(run(&new, 0, Some(journal.clone())).expect("nothing to do").up_to_date);
}

#[cfg(target_os = "linux")]
mod refusals {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_running_program_is_refused() {
        let program = fs::read("/bin/sleep").expect("a program");
        let place = Place::new(&program);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&place.target, mode).expect("a mode");
        // Another thread's child may hold the file open for writing for a moment.
        let mut running = loop {
            match Command::new(&place.target).arg("60").spawn() {
                Ok(running) => break running,
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("it does not run: {error}"),
            }
        };
        let new = noise(3 * UNIT, 6);
        let error = place.update(&new, memory(&new)).expect_err("it runs");
        assert_eq!(error.kind(), ErrorKind::State, "{error}");
        assert!(error.message().contains("running"), "{error}");
        assert!(place.read() == program);
        running.kill().and_then(|()| running.wait()).expect("it ends");
        place.update(&new, memory(&new)).expect("an update");
    }
}

/// Somebody may still read what the target was.
#[cfg(unix)]
#[test]
fn a_target_is_free_as_soon_as_its_update_has_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    std::fs::write(&target, "content").expect("a file");
    let open =
        || crate::inplace::InPlace::open(&crate::disk::Disk::system(), &target, &folder.path().join("journal"), false);
    let place = open().expect("nobody has it");
    let old = place.old();
    drop(place);
    open().expect("nobody changes it");
    drop(old);
}
