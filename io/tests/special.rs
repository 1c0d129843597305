//! Seeds and inputs that are no plain files: pipes, block devices, files with holes.
#![cfg(unix)]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{index_of, noise};
use gosync_io::source::{FileSource, MemorySource};
use gosync_io::{
    Cancel, ErrorKind, IndexOptions, Job, JobOptions, Observer, Result, Source, VerifyOptions, index_file,
    index_stream, verify_file,
};

fn memory(content: &[u8]) -> Option<Arc<dyn Source>> {
    Some(Arc::new(MemorySource::new(content.to_vec())))
}

/// A named pipe.
fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    path
}

/// Gives `content` to whoever opens the pipe first.
fn give(pipe: &Path, content: &[u8]) -> std::thread::JoinHandle<std::io::Result<()>> {
    let (pipe, content) = (pipe.to_owned(), content.to_vec());
    std::thread::spawn(move || File::options().write(true).open(pipe)?.write_all(&content))
}

#[test]
fn a_pipe_is_a_seed() {
    let content = noise(1_500_000, 1);
    let old = [&content[..700_000], &noise(90, 2), &content[700_000..]].concat();
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, target) = (pipe(folder.path()), folder.path().join("target"));
    let job = Job::new(index_of(&content), memory(&content), &target, JobOptions::default()).expect("a job");
    // Nobody writes yet: to add it must not wait.
    job.add_seed(&pipe).expect("a seed");
    let writer = give(&pipe, &old);
    let plan = job.plan().expect("a plan");
    writer.join().expect("a writer").expect("all was read");
    // The pipe is empty by now; what it gave was kept.
    let statistics = job.run().expect("an update");
    assert!(fs::read(&target).expect("the target") == content);
    assert_eq!(plan.missing, statistics.fetched);
    assert!(statistics.fetched < 10_000, "{statistics:?}");
}

#[test]
fn a_pipe_that_gives_nothing_is_left_at_once() {
    let content = noise(100_000, 1);
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, target) = (pipe(folder.path()), folder.path().join("target"));
    let within = |result: Result<()>, cancel: Instant| {
        assert_eq!(result.expect_err("cancelled").kind(), ErrorKind::Cancelled);
        assert!(cancel.elapsed() < Duration::from_millis(100), "{:?}", cancel.elapsed());
    };
    let later = |cancel: Cancel| {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            cancel.cancel();
            Instant::now()
        })
    };
    let observer = Observer::default();
    let options = JobOptions { observer: observer.clone(), ..JobOptions::default() };
    let job = Job::new(index_of(&content), memory(&content), &target, options).expect("a job");
    job.add_seed(&pipe).expect("a seed");
    let at = later(observer.cancel.clone());
    let result = job.run().map(drop);
    within(result, at.join().expect("a moment"));

    let observer = Observer::default();
    let at = later(observer.cancel.clone());
    let result = index_file(&pipe, &IndexOptions { observer, ..IndexOptions::default() }).map(drop);
    within(result, at.join().expect("a moment"));
    assert!(!target.exists());
}

#[test]
fn what_pipes_and_streams_give_can_be_described() {
    let content = noise(2_345_678, 3);
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = pipe(folder.path());
    let writer = give(&pipe, &content);
    let index = index_file(&pipe, &IndexOptions::default()).expect("an index");
    writer.join().expect("a writer").expect("all was read");
    let expected = index_of(&content);
    assert_eq!((index.root(), index.length(), index.source()), (expected.root(), expected.length(), None));
    let stream = index_stream(std::io::Cursor::new(content), &IndexOptions::default()).expect("an index");
    assert!(stream.encode() == expected.encode());
}

#[test]
fn what_cannot_be_read_at_any_place_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = pipe(folder.path());
    let refused = |error: Option<gosync_io::Error>, words: &str| {
        let error = error.expect("refused");
        assert!(error.message().contains(words), "{error}");
    };
    refused(FileSource::open(&pipe).err(), "the source is a pipe, which cannot be read at any place");
    refused(verify_file(&pipe, &index_of(b"content"), &VerifyOptions::default()).err(), "the target is a pipe");
    refused(index_file(Path::new("/dev/zero"), &IndexOptions::default()).err(), "neither a regular file nor a block");
    let job = Job::new(index_of(b"content"), None, folder.path().join("target"), JobOptions::default()).expect("a job");
    refused(job.add_seed("/dev/zero").err(), "the seed is neither a regular file nor a block device");
}

/// A block device that holds a file's content; gone when dropped.
struct Device(PathBuf);

impl Device {
    /// Nothing where there is none to be had.
    fn of(file: &Path) -> Option<Device> {
        let made = Command::new("losetup").args(["--find", "--show", "--read-only"]).arg(file).output();
        match made {
            Ok(made) if made.status.success() => {
                Some(Device(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim())))
            }
            Ok(made) => {
                println!("skipped: no loop device: {}", String::from_utf8_lossy(&made.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: no losetup: {error}");
                None
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn a_block_device_is_a_file_like_any_other() {
    let content = noise(1 << 20, 5);
    let folder = tempfile::tempdir().expect("a folder");
    let (image, target) = (folder.path().join("image"), folder.path().join("target"));
    fs::write(&image, &content).expect("an image");
    let Some(device) = Device::of(&image) else { return };
    let index = index_file(&device.0, &IndexOptions::default()).expect("an index");
    let expected = index_of(&content);
    assert_eq!((index.root(), index.length(), index.source()), (expected.root(), 1 << 20, None));
    assert!(verify_file(&device.0, &index, &VerifyOptions::default()).expect("a comparison").is_match());
    let newer = [&content[..500_000], b"something new", &content[500_000..]].concat();
    let source: Arc<dyn Source> = Arc::new(MemorySource::new(newer.clone()));
    let job = Job::new(index_of(&newer), Some(source), &target, JobOptions::default()).expect("a job");
    job.add_seed(&device.0).expect("a seed");
    assert!(job.run().expect("an update").fetched < 10_000);
    assert!(fs::read(&target).expect("the target") == newer);
    // As a source too.
    let again = folder.path().join("again");
    let source: Arc<dyn Source> = Arc::new(FileSource::open(&device.0).expect("a source"));
    Job::new(expected, Some(source), &again, JobOptions::default()).expect("a job").run().expect("an update");
    assert!(fs::read(&again).expect("the copy") == content);
}

/// A file of `length` bytes that is a hole but for some data at both ends and in the middle.
fn sparse(path: &Path, length: u64, data: &[u8]) {
    let file = File::create(path).expect("a file");
    file.set_len(length).expect("a length");
    for at in [0, length / 2 - 77, length - data.len() as u64] {
        file.write_all_at(data, at).expect("room");
    }
}

/// Indexes a sparse file, updates an older one to it, and looks at both ends. Everything is done as for any other file.
fn holes(length: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (new, target) = (folder.path().join("new"), folder.path().join("target"));
    let data = noise(300_000, 6);
    sparse(&new, length, &data);
    // The older one is shorter, and its end lies elsewhere.
    sparse(&target, length - 123_456_789, &data[..299_000]);
    let index = Arc::new(index_file(&new, &IndexOptions::default()).expect("an index"));
    assert_eq!(index.length(), length);
    let source: Arc<dyn Source> = Arc::new(FileSource::open(&new).expect("a source"));
    let job = Job::new(Arc::clone(&index), Some(source), &target, JobOptions::default()).expect("a job");
    let statistics = job.run().expect("an update");
    assert_eq!((statistics.written, statistics.total), (length, length));
    assert!(statistics.fetched < 1 << 20, "{statistics:?}");
    let result = File::open(&target).expect("the target");
    let about = result.metadata().expect("its length");
    assert_eq!(about.len(), length);
    // Holes stay holes where there are any.
    let (new, is) = (fs::metadata(&new).expect("the new one").blocks(), about.blocks());
    assert!(is <= new + 4096, "{is} blocks where the new version has {new}");
    for at in [0, length / 2 - 77, length - data.len() as u64] {
        let mut there = vec![0; data.len()];
        result.read_exact_at(&mut there, at).expect("the data");
        assert!(there == data, "at {at}");
    }
    assert!(verify_file(&target, &index, &VerifyOptions::default()).expect("a comparison").is_match());
}

/// More bytes than 32 bits count.
#[test]
fn a_sparse_file_of_5_gib() {
    holes((5 << 30) + 4321);
}

#[test]
#[ignore = "a minute, and hundreds of megabytes of memory for the index"]
fn a_sparse_file_of_64_gib() {
    holes((64 << 30) + 4321);
}
