//! The files of a directory as one seed: all regular ones, in the order of the walk, each at the next multiple of the block
//! size, as the contents of a payload are, with zeros between. So the last, short block of a file is found too where zeros
//! follow it in the target. Nothing here is believed: what a file has is verified wherever it is used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gosync_core::listing::Places;
use gosync_core::{Error, Range, ReadAt, Result};

use super::ignored::Ignored;
use super::walk;
use super::{Folder, payload};
use crate::output::names;
use crate::report::{Level, Observer};
use crate::seed::FileReader;

/// Files that are open at a time, at the most.
const MOST_OPEN: usize = 32;
/// Reads of a file that may fail. Each can take a failing disk many seconds.
const MOST_ERRORS: u32 = 8;
/// Files that are told of, of those that cannot be read.
const MOST_TOLD: usize = 8;

/// The regular files of a directory, one after another.
pub(crate) struct Files {
    folder: Folder<'static>,
    files: Vec<File>,
    /// The paths of all files, one after another.
    paths: String,
    length: u64,
    /// The number of the seed, for events.
    number: usize,
    observer: Observer,
    state: Mutex<State>,
}

struct File {
    place: Range,
    /// Where its path begins; it ends where that of the next one begins.
    path: usize,
}

#[derive(Default)]
struct State {
    /// The files that are open, the one used last at the end.
    open: Vec<(usize, Arc<FileReader>)>,
    /// How often reads of a file have failed.
    errors: HashMap<usize, u32>,
    told: usize,
}

impl Files {
    /// All regular files in the directory at `path`, links not followed, but for what is at `target` and what updates keep
    /// beside their targets: both may change meanwhile. What cannot be read is told and left out.
    pub(crate) fn open(
        path: &Path,
        target: &Path,
        block_size: u32,
        number: usize,
        observer: &Observer,
    ) -> Result<Files> {
        let folder = Folder::open(path.to_owned(), "seed")?;
        let mut files = Files::of(folder, [], block_size, number, observer)?;
        let found = walk::walk_readable(&files.folder, &observer.cancel, &|error| files.tell(&error))?.found;
        let target = below(path, target);
        let is_target = |path: &str| {
            let rest = target.as_deref().and_then(|target| path.strip_prefix(target));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_left_out = |path: &str| is_target(path) || path.split('/').any(names::is_ours);
        let lengths = found.iter().filter_map(|entry| Some((&*entry.path, entry.length()?)));
        files.add(lengths.filter(|(path, length)| *length > 0 && !is_left_out(path)), block_size)?;
        Ok(files)
    }

    /// The regular files in the directory at `path` that its index would describe.
    pub(crate) fn describable(path: &Path, exclude: &[String], block_size: u32, observer: &Observer) -> Result<Files> {
        let folder = Folder::open(path.to_owned(), "directory")?;
        let mut files = Files::of(folder, [], block_size, 0, observer)?;
        let found = walk::walk(&files.folder, Some(Ignored::new(exclude)?), &observer.cancel)?.found;
        let lengths = found.iter().filter_map(|entry| Some((&*entry.path, entry.length()?)));
        files.add(lengths.filter(|(_, length)| *length > 0), block_size)?;
        Ok(files)
    }

    /// These files in a directory, with their lengths; none is empty.
    pub(crate) fn of<'a>(
        folder: Folder<'static>,
        files: impl IntoIterator<Item = (&'a str, u64)>,
        block_size: u32,
        number: usize,
        observer: &Observer,
    ) -> Result<Files> {
        let (observer, state) = (observer.clone(), Mutex::default());
        let mut all = Files { folder, files: Vec::new(), paths: String::new(), length: 0, number, observer, state };
        all.add(files, block_size)?;
        Ok(all)
    }

    fn add<'a>(&mut self, files: impl IntoIterator<Item = (&'a str, u64)>, block_size: u32) -> Result<()> {
        let mut places = Places::new(block_size);
        for (path, length) in files {
            let place = places.next(length).map_err(|error| error.with("path", path))?;
            self.files.push(File { place, path: self.paths.len() });
            self.paths.push_str(path);
        }
        self.length = places.end();
        self.files.shrink_to_fit();
        self.paths.shrink_to_fit();
        Ok(())
    }

    pub(crate) fn folder(&self) -> &Folder<'static> {
        &self.folder
    }

    /// The files in their order: the path of each, and its place.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, Range)> {
        self.files.iter().enumerate().map(|(number, file)| (self.path(number), file.place))
    }

    fn path(&self, number: usize) -> &str {
        let start = |number: usize| self.files.get(number).map_or(self.paths.len(), |file| file.path);
        self.paths.get(start(number)..start(number + 1)).unwrap_or_default()
    }

    /// Fills `buffer` with what a file has from `offset` on, as far as it has it; the rest with zeros.
    pub(crate) fn read(&self, number: usize, offset: u64, buffer: &mut [u8]) {
        let is_dropped = self.state().errors.get(&number).is_some_and(|errors| *errors >= MOST_ERRORS);
        let read = match is_dropped {
            true => Ok(0),
            false => self.reader(number).and_then(|reader| {
                let read = reader.read_at(offset, buffer);
                read.inspect_err(|_| *self.state().errors.entry(number).or_default() += 1)
            }),
        };
        let read = read.unwrap_or_else(|error| {
            self.tell(&error);
            0
        });
        if let Some(rest) = buffer.get_mut(read..) {
            rest.fill(0);
        }
    }

    /// The file, which is opened if it is not. One that cannot be opened is left out from then on.
    fn reader(&self, number: usize) -> Result<Arc<FileReader>> {
        let mut state = self.state();
        if let Some(at) = state.open.iter().position(|(open, _)| *open == number) {
            let open = state.open.remove(at);
            let reader = Arc::clone(&open.1);
            state.open.push(open);
            return Ok(reader);
        }
        drop(state);
        let opened = self.folder.file(self.path(number)).map(|(reader, _)| Arc::new(reader));
        let mut state = self.state();
        let reader = opened.inspect_err(|_| {
            state.errors.insert(number, MOST_ERRORS);
        })?;
        if state.open.len() >= MOST_OPEN {
            state.open.remove(0);
        }
        state.open.push((number, Arc::clone(&reader)));
        Ok(reader)
    }

    fn tell(&self, error: &Error) {
        let told = {
            let mut state = self.state();
            state.told += 1;
            state.told
        };
        if told <= MOST_TOLD {
            let more = if told == MOST_TOLD { "; no more such places are told" } else { "" };
            let text = format!("a part of a seed cannot be read and is left out: {error}{more}");
            self.observer.event(Level::Warning, "seed_unreadable", text, &[("seed", &self.number)]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for Files {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let length = (buffer.len() as u64).min(self.length.saturating_sub(offset)) as usize;
        let buffer = &mut buffer[..length];
        payload::fill(
            &self.files,
            |file| file.place,
            offset,
            buffer,
            |number, offset, part| {
                self.read(number, offset, part);
                Ok(())
            },
        )?;
        Ok(length)
    }
}

/// The names that lead from the directory at `folder` to `target`, if it is in there: with `/` between.
fn below(folder: &Path, target: &Path) -> Option<String> {
    let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let target: PathBuf = above.canonicalize().ok()?.join(target.file_name()?);
    let names = target.strip_prefix(folder.canonicalize().ok()?).ok()?;
    let names: Option<Vec<&str>> = names.iter().map(|name| name.to_str()).collect();
    names.map(|names| names.join("/")).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn seed(folder: &Path) -> Files {
        Files::open(folder, Path::new("elsewhere"), 1024, 1, &Observer::default()).expect("a directory")
    }

    fn all(files: &Files) -> Vec<u8> {
        let mut bytes = vec![0xff; files.length() as usize + 10];
        let read = files.read_at(0, &mut bytes).expect("bytes");
        bytes.truncate(read);
        bytes
    }

    #[test]
    fn files_follow_each_other_in_the_order_of_the_walk_at_whole_blocks() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("b/c")).expect("folders");
        for (path, content) in [("b/c/d", "second"), ("a", "first"), ("b/empty", ""), ("c", "third")] {
            fs::write(folder.path().join(path), content).expect("a file");
        }
        let files = seed(folder.path());
        let mut expected = vec![0; 2048 + 5];
        for (at, content) in [(0, "first"), (1024, "second"), (2048, "third")] {
            expected[at..at + content.len()].copy_from_slice(content.as_bytes());
        }
        assert!(all(&files) == expected);
        for (offset, length) in [(3, 1024), (1024, 6), (1029, 1), (1030, 1018), (2050, 100), (2053, 4), (5000, 1)] {
            let mut bytes = vec![0xff; length];
            let read = files.read_at(offset as u64, &mut bytes).expect("bytes");
            let rest = expected.get(offset..).unwrap_or_default();
            assert_eq!(bytes[..read], rest[..rest.len().min(length)], "{offset} {length}");
        }
    }

    #[test]
    fn what_is_gone_shorter_or_longer_by_now_harms_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a", "b", "c", "d"] {
            fs::write(folder.path().join(name), name.repeat(1024)).expect("a file");
        }
        let files = seed(folder.path());
        fs::remove_file(folder.path().join("a")).expect("removed");
        fs::write(folder.path().join("b"), "bb").expect("a file");
        fs::write(folder.path().join("c"), "c".repeat(5000)).expect("a file");
        let bytes = all(&files);
        assert_eq!(bytes.len(), 4096);
        assert!(bytes[..1024].iter().all(|byte| *byte == 0) && &bytes[1024..1027] == b"bb\0");
        assert!(bytes[2048..3072].iter().all(|byte| *byte == b'c') && bytes[3072..].iter().all(|byte| *byte == b'd'));
    }

    #[test]
    fn more_files_than_may_be_open_are_read_again_and_again() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..3 * MOST_OPEN {
            fs::write(folder.path().join(format!("{number:03}")), [number as u8; 1024]).expect("a file");
        }
        let files = seed(folder.path());
        for _ in 0..2 {
            let bytes = all(&files);
            let is_right = |(number, part): (usize, &[u8])| part.iter().all(|byte| *byte == number as u8);
            assert!(bytes.chunks(1024).enumerate().all(is_right));
            assert_eq!(files.state().open.len(), MOST_OPEN);
        }
    }

    #[test]
    fn the_target_is_known_wherever_the_directory_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("b/c")).expect("folders");
        for path in ["a", "b/c/d", "b/c/dd"] {
            fs::write(folder.path().join(path), path).expect("a file");
        }
        let lengths = [("b/c/d", 1024 + 6), ("b", 1), ("b/../a", 1024 + 6), ("none", 2048 + 6)];
        for (target, length) in lengths {
            let target = folder.path().join(target);
            let files = Files::open(folder.path(), &target, 1024, 1, &Observer::default()).expect("a directory");
            assert_eq!(files.length(), length, "{}", target.display());
        }
    }
}
