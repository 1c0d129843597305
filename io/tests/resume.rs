//! Updates that end before they are done, and what the next one makes of it: nothing is fetched twice, nothing is believed.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Place, failing, memory, noise};
use gosync_io::source::{BlockingRead, BlockingSource};
use gosync_io::{ErrorKind, Index, IndexOptions, Job, JobOptions, Result, Source, Statistics};

const UNIT: u64 = common::UNIT as u64;
/// Bytes that a job here has in flight at most.
const IN_FLIGHT: u64 = 8 * UNIT;

fn index_of(content: &[u8]) -> Arc<Index> {
    let options = IndexOptions { block_size: 1024, top_size: 256 << 10, ..IndexOptions::default() };
    Arc::new(gosync_io::index_bytes(content, &options).expect("an index"))
}

impl Place {
    fn job(&self, index: &Arc<Index>, source: Arc<dyn Source>) -> Job {
        let options = JobOptions {
            max_bytes_in_flight: IN_FLIGHT,
            max_requests: 2,
            retries: Some(0),
            observer: self.heard.observer(),
            ..JobOptions::default()
        };
        Job::new(Arc::clone(index), Some(source), &self.target, options).expect("a job")
    }

    fn update(&self, content: &[u8], source: Arc<dyn Source>) -> Result<Statistics> {
        self.job(&index_of(content), source).run()
    }

    /// What fetches until so many bytes came, and fails then.
    fn fail(&self, content: &[u8], after: u64) -> u64 {
        let job = self.job(&index_of(content), failing(content, after));
        let error = job.run().expect_err("the line is dead");
        assert_eq!(error.kind(), ErrorKind::Source, "{error}");
        job.statistics().fetched
    }

    /// The only partial file.
    fn part(&self) -> PathBuf {
        let names = self.names();
        let parts: Vec<_> = names.iter().filter(|name| name.ends_with(".gosync-part")).collect();
        assert_eq!(parts.len(), 1, "{names:?}");
        self.path(parts[0])
    }
}

fn is(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == content)
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let content = noise(5_000_003, 1);
    for old in [None, Some(noise(1000, 9)), Some(content[..2_000_000].to_vec())] {
        let place = Place::empty();
        if let Some(old) = &old {
            fs::write(&place.target, old).expect("an old version");
        }
        let (mut all, missing) = (0, 5_000_003 - old.as_ref().map_or(0, |old| old.len() as u64 / UNIT * UNIT));
        for (round, bytes) in [700_000, 100_000, 800_000].into_iter().enumerate() {
            all += place.fail(&content, bytes);
            assert!(old.as_ref().map_or(!place.target.exists(), |old| is(&place.target, old)));
            assert!(place.part().exists(), "{round}");
            assert_eq!(place.heard.has("resumed"), round > 0);
        }
        let done = place.update(&content, memory(&content)).expect("an update");
        assert!(is(&place.target, &content));
        assert_eq!(place.names(), ["target"]);
        all += done.fetched;
        assert!(all <= missing + 3 * IN_FLIGHT, "{all} of {missing}");
        assert!(done.fetched < missing - 1_000_000, "{} of {missing}", done.fetched);
        assert_eq!(done.fetched + done.from_seeds, done.total);
        // What was kept is at its place already.
        assert_eq!(done.written, done.total - place.heard.numbers("resumed", "bytes").pop().expect("such an event"));
    }
}

#[test]
fn what_was_kept_is_not_believed() {
    let content = noise(3_000_000, 2);
    let place = Place::empty();
    place.fail(&content, 1_500_000);
    let part = place.part();
    let mut bytes = fs::read(&part).expect("the partial file");
    for at in [0, 100_000, 700_001, 2_999_999] {
        bytes[at] ^= 1;
    }
    for wrong in
        [bytes.clone(), bytes[..1_000_000].to_vec(), [&bytes[..], b"more"].concat(), noise(3_000_000, 8), Vec::new()]
    {
        fs::write(&part, &wrong).expect("a damaged one");
        place.update(&content, memory(&content)).expect("an update");
        assert!(is(&place.target, &content));
        assert_eq!(place.names(), ["target"]);
        fs::remove_file(&place.target).expect("removed");
    }
}

/// Zeros are not written where nothing is, but what was kept may be anything.
#[test]
fn zeros_take_the_place_of_what_was_kept() {
    let mut content = noise(2_000_000, 3);
    content[300_000..1_200_000].fill(0);
    let place = Place::empty();
    place.fail(&content, 100_000);
    fs::write(place.part(), noise(2_000_000, 4)).expect("something else");
    place.update(&content, memory(&content)).expect("an update");
    assert!(is(&place.target, &content));
}

/// A partial file has holes, and so zeros all over, which are gone where something is written.
#[test]
fn holes_of_what_was_kept_are_not_taken_for_zeros_elsewhere() {
    let mut content = noise(5_000_000, 14);
    // Each unit from some on has zeros; the others come first.
    for start in (30 * UNIT as usize..4_900_000).step_by(UNIT as usize) {
        content[start + 10_000..start + 40_000].fill(0);
    }
    let place = Place::empty();
    let before = place.fail(&content, 1_000_000);
    let done = place.update(&content, memory(&content)).expect("an update");
    assert!(is(&place.target, &content));
    assert!(done.fetched + before <= 5_000_000 + IN_FLIGHT, "{} and {before}", done.fetched);
    assert_eq!(done.fetched + done.from_seeds, done.total, "some was fetched twice");
    assert!(!place.heard.has("refetch") && !place.heard.has("wrong_seed"));
}

#[test]
fn what_was_kept_serves_a_newer_version() {
    let first = noise(4_000_000, 5);
    let second = [&noise(777, 6)[..], &first, &noise(50_000, 7)].concat();
    let place = Place::empty();
    let before = place.fail(&first, 3_000_000);
    assert!(before > 2_000_000);
    let kept = place.part();
    let done = place.update(&second, memory(&second)).expect("an update");
    assert!(is(&place.target, &second));
    assert!(done.fetched < second.len() as u64 - before + IN_FLIGHT + 3 * UNIT, "{done:?}");
    assert!(!kept.exists());
    assert_eq!(place.names(), ["target"]);
}

#[test]
fn of_other_versions_only_the_newest_is_kept() {
    let place = Place::empty();
    let contents: Vec<Vec<u8>> = (0..4).map(|version| noise(1_000_000, 20 + version)).collect();
    for content in &contents {
        place.fail(content, 300_000);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(place.names().len() <= 2, "{:?}", place.names());
    }
    // Also an update that turns out not to be needed tidies up.
    fs::write(&place.target, &contents[0]).expect("a target");
    assert!(place.update(&contents[0], memory(&[])).expect("nothing to do").up_to_date);
    assert_eq!(place.names(), ["target"]);
}

#[test]
fn what_was_kept_can_be_planned_with() {
    let content = noise(3_000_000, 10);
    let place = Place::empty();
    let fetched = place.fail(&content, 2_000_000);
    let plan = place.job(&index_of(&content), memory(&content)).plan().expect("a plan");
    assert!(plan.missing <= 3_000_000 - fetched + IN_FLIGHT, "{plan:?}");
    assert!(place.part().exists());
}

/// A source that has another job of the same target run while it is asked.
struct Meanwhile<F>(F, Vec<u8>);

impl<F: Fn() + Send + Sync + 'static> BlockingRead for Meanwhile<F> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        (self.0)();
        buffer.copy_from_slice(&self.1[offset as usize..][..buffer.len()]);
        Ok(buffer.len())
    }
}

#[test]
fn one_update_of_a_target_at_a_time_whatever_the_version() {
    let (content, other) = (noise(300_000, 11), noise(300_000, 12));
    let place = Arc::new(Place::empty());
    fs::write(&place.target, b"old").expect("an old version");
    let second = Arc::clone(&place);
    let versions = [content.clone(), other];
    let meanwhile = move || {
        for version in &versions {
            let error = second.update(version, memory(version)).expect_err("another one is running");
            assert_eq!(error.kind(), ErrorKind::State, "{error}");
            assert!(error.to_string().contains("another update"), "{error}");
        }
    };
    let source = Arc::new(BlockingSource::new(Meanwhile(meanwhile, content.clone()), 1).expect("a source"));
    place.update(&content, source).expect("an update");
    assert!(is(&place.target, &content));
    assert_eq!(place.names(), ["target"]);
}

/// Partial files have names that others may know: what they put there is neither followed nor gone on with.
#[cfg(unix)]
#[test]
fn links_in_the_place_of_a_partial_file_are_not_followed() {
    let content = noise(500_000, 13);
    for hard in [true, false] {
        let place = Place::empty();
        place.fail(&content, 200_000);
        let part = place.part();
        let victim = place.path("victim");
        fs::write(&victim, b"precious").expect("a file");
        fs::remove_file(&part).expect("removed");
        if hard {
            fs::hard_link(&victim, &part).expect("a link");
        } else {
            std::os::unix::fs::symlink(&victim, &part).expect("a link");
        }
        place.update(&content, memory(&content)).expect("an update");
        assert!(is(&place.target, &content) && is(&victim, b"precious"));
        assert_eq!(place.names(), ["target", "victim"]);
    }
}
