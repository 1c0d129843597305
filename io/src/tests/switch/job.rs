//! Whole updates of directories, stage and all, whose machine loses its power: the directory is as it was, or what was begun
//! is seen to be, and the next update ends as if nothing had been.

use std::sync::Arc;

use super::*;
use crate::source::MemorySource;
use crate::{Index, IndexOptions, Job, JobOptions, Result, Statistics, index_file};

/// A version as it is published, with all contents as one.
pub(super) struct Published {
    pub(super) index: Arc<Index>,
    payload: Vec<u8>,
}

impl Published {
    pub(super) fn new(tree: &Tree) -> Published {
        let folder = tempfile::tempdir().expect("a folder");
        write(tree, folder.path());
        let index = index_file(folder.path(), &IndexOptions::default()).expect("an index");
        let mut payload = vec![0; index.length() as usize];
        for entry in index.listing().expect("a listing").entries() {
            if let Some(Node::File(content, _)) = tree.get(&entry.path) {
                let place = entry.place.offset as usize..entry.place.end() as usize;
                payload[place].copy_from_slice(content.as_bytes());
            }
        }
        Published { index: Arc::new(index), payload }
    }

    /// A version with files of these names and contents, whether they can be written here or not.
    pub(super) fn named(files: &[(&str, &str)]) -> Published {
        let numbers: Vec<String> = (0..files.len()).map(|number| number.to_string()).collect();
        let written = numbers.iter().zip(files).map(|(number, (_, content))| (number.clone(), super::file(content)));
        let Published { index, payload } = Published::new(&written.collect());
        let listing = index.listing().expect("a listing");
        let entries: Vec<_> = listing.entries().zip(files).map(|(entry, (name, _))| (*name, entry.kind)).collect();
        let (block_size, length, root) = (listing.block_size(), listing.payload_length(), listing.payload_root());
        let listing = Listing::new(block_size, length, root, entries).expect("a listing");
        let index = (*index).clone().with_listing(listing).expect("an index");
        Published { index: Arc::new(index), payload }
    }

    pub(super) fn update(&self, scene: &Scene, delete: bool, disk: Disk) -> Result<Statistics> {
        let options = JobOptions { delete, threads: 1, observer: scene.observer(), ..JobOptions::default() };
        let source = Arc::new(MemorySource::new(self.payload.clone()));
        let mut job = Job::new(Arc::clone(&self.index), Some(source), scene.target(), options)?;
        job.set_disk(disk);
        job.run()
    }
}

#[test]
#[cfg_attr(windows, ignore = "what a disk that refuses changes leaves of a stage is not all removed there yet")]
fn an_update_of_a_directory_survives_power_cuts() {
    let (count, mut made) = (number("GOSYNC_POWER_COUNT", 400) / 2, 0);
    for round in number("GOSYNC_POWER_FIRST", 0).. {
        if made >= count {
            break;
        }
        let mut chance = chance(round ^ 0x70b);
        let case = Case::random(&mut chance);
        let published = Published::new(&case.new);
        let mut scene = case.scene();
        let mut history = format!("round {round}");
        for _ in 0..1 + chance.below(3) {
            let before = Image::read(scene.folder.path());
            let recorder = Arc::new(Recorder::default());
            let watch: Arc<Recorder> = Arc::clone(&recorder);
            published.update(&scene, case.delete, Disk::watched(watch)).expect(&history);
            let log = recorder.take();
            let moments = if chance.below(8) == 0 { log.length } else { chance.below(log.length + 1) };
            let temper = Temper::ALL[chance.below(Temper::ALL.len())];
            history = format!("{history}, cut after {moments} of {} of a disk that {temper:?}", log.length);
            let after = cut(&before, scene.folder.path(), &log, moments, temper, &mut chance);
            scene = Scene::new();
            after.write(scene.folder.path());
            made += 1;
            let found = without_modes(read(&scene.target()));
            let is_whole = found == without_modes(case.old.clone()) || found == without_modes(case.expected().0);
            let is_unfinished = switch::unfinished(&scene.around()).is_some();
            assert!(is_whole || is_unfinished, "{history}: {found:?}\nold {:?}", case.old);
        }
        published.update(&scene, case.delete, Disk::system()).expect(&history);
        // The simulated disk knows nothing of the mode that a file is made with.
        case.check_as(&scene, &history, without_modes);
    }
}

/// Whatever change of an update is the first that the disk refuses: the directory is as it was or unfinished, and the next
/// update is done as if nothing had been.
#[test]
#[cfg_attr(windows, ignore = "what a disk that refuses changes leaves of a stage is not all removed there yet")]
fn an_update_of_a_directory_that_a_disk_refuses_from_any_change_on() {
    for round in 0..number("GOSYNC_SWITCH_COUNT", 450) / 75 {
        let case = Case::random(&mut chance(round ^ 0xd15c));
        let published = Published::new(&case.new);
        for changes in 0.. {
            let scene = case.scene();
            let killed = Disk::watched(Arc::new(Killed(AtomicUsize::new(changes))));
            let failed = published.update(&scene, case.delete, killed).is_err();
            let found = read(&scene.target());
            let is_whole = found == case.old || found == case.expected().0;
            assert!(is_whole || switch::unfinished(&scene.around()).is_some(), "round {round}, {changes}: {found:?}");
            published.update(&scene, case.delete, Disk::system()).expect("an update");
            case.check(&scene, &format!("round {round}, {changes} changes"));
            if !failed {
                break;
            }
        }
    }
}
