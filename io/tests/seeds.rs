//! A directory as a seed: all files in it help, wherever they lie, and nothing that happens to them does harm.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use gosync_io::source::MemorySource;
use gosync_io::{Event, Index, IndexOptions, Job, JobOptions, Observer, Origin, Source, index_bytes};

const BLOCK: usize = 1024;

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Files in several folders, by path, in the order of a walk.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let lengths = [("a/deep/one", 100_003), ("a/two", 3 * BLOCK), ("a-three", 70_000), ("b", 1), ("c/four", 250_000)];
    (1..).zip(lengths).map(|(seed, (path, length))| (path, noise(length, seed))).collect()
}

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, content).expect("a file");
}

/// What the files have, in another order, with something new before each.
fn target() -> Vec<u8> {
    let parts = files().into_iter().rev().enumerate();
    parts.flat_map(|(at, (_, content))| [noise(300 + at, 100 + at as u64), content].concat()).collect()
}

fn index_of(content: &[u8]) -> Arc<Index> {
    let options = IndexOptions { block_size: BLOCK as u32, ..IndexOptions::default() };
    Arc::new(index_bytes(content, &options).expect("an index"))
}

fn memory(content: &[u8]) -> Option<Arc<dyn Source>> {
    Some(Arc::new(MemorySource::new(content.to_vec())))
}

/// A folder that holds the files, in `seed`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files().iter().for_each(|(path, content)| write(&folder.path().join("seed"), path, content));
    folder
}

#[test]
fn all_files_of_a_directory_are_one_seed() {
    let (folder, content) = (folder(), target());
    let path = folder.path().join("target");
    write(folder.path(), "seed/a/empty", b"");
    let job = Job::new(index_of(&content), memory(&content), &path, JobOptions::default()).expect("a job");
    job.add_seed(folder.path().join("seed")).expect("a seed");
    let plan = job.plan().expect("a plan");
    // What an offset means: the files in the order of a walk, each at a whole block.
    let mut seed = Vec::new();
    for (_, content) in files() {
        seed.resize(seed.len().next_multiple_of(BLOCK), 0);
        seed.extend(content);
    }
    let mut found = 0;
    for piece in &plan.pieces {
        if let Origin::Seed { seed: number, offset } = piece.origin {
            let (at, length) = (piece.target.offset as usize, piece.target.length as usize);
            assert_eq!(number, 1);
            assert!(seed[offset as usize..][..length] == content[at..][..length], "{piece:?}");
            found += length;
        }
    }
    // What is new, and of each file a part of a block at either end.
    assert!(content.len() - found <= files().len() * (2 * BLOCK + 304), "{found} of {}", content.len());
    let done = job.run().expect("an update");
    assert!(fs::read(&path).expect("the target") == content);
    assert_eq!((done.from_seeds, done.fetched), (found as u64, (content.len() - found) as u64));
}

#[test]
fn the_target_in_a_directory_of_seeds_is_no_seed_twice() {
    let (folder, content) = (folder(), target());
    let (old, heard) = (noise(400_000, 50), Arc::new(Mutex::new(0)));
    write(folder.path(), "seed/a/target", &old);
    write(folder.path(), "seed/a/.target.0123456789abcdef.gosync-part", &old);
    let told = Arc::clone(&heard);
    let listen = move |event: &Event| {
        for (key, value) in &event.fields {
            if event.kind == "started" && *key == "seed_bytes" {
                *told.lock().expect("a number") = value.parse().expect("a number");
            }
        }
    };
    let observer = Observer { events: Some(Arc::new(listen)), ..Observer::default() };
    let path = folder.path().join("seed/a/../a/target");
    let options = JobOptions { observer, ..JobOptions::default() };
    let job = Job::new(index_of(&content), memory(&content), &path, options).expect("a job");
    job.add_seed(folder.path()).expect("a seed");
    job.plan().expect("a plan");
    let of_files: usize = files().iter().map(|(_, content)| content.len().next_multiple_of(BLOCK)).sum();
    // The target, the partial file of another version, and the directory; its last file ends within a block.
    let most = 2 * old.len() + of_files;
    let seed_bytes: usize = *heard.lock().expect("a number");
    assert!((most - BLOCK..=most).contains(&seed_bytes), "{seed_bytes} of {most}");
}

#[test]
fn files_that_change_after_they_were_looked_at_are_fetched() {
    let (folder, content) = (folder(), target());
    let (path, seed) = (folder.path().join("target"), folder.path().join("seed"));
    let changing = seed.clone();
    let listen = move |event: &Event| {
        if event.kind == "planned" {
            write(&changing, "a-three", b"short");
            write(&changing, "c/four", &noise(250_000, 77));
            fs::remove_file(changing.join("a/two")).expect("removed");
        }
    };
    let observer = Observer { events: Some(Arc::new(listen)), ..Observer::default() };
    let options = JobOptions { observer, ..JobOptions::default() };
    let job = Job::new(index_of(&content), memory(&content), &path, options).expect("a job");
    job.add_seed(&seed).expect("a seed");
    job.run().expect("an update");
    assert!(fs::read(&path).expect("the target") == content);
}

#[cfg(unix)]
#[test]
fn links_in_a_directory_are_not_followed() {
    let (folder, content) = (folder(), target());
    let seed = folder.path().join("links");
    fs::create_dir(&seed).expect("a folder");
    std::os::unix::fs::symlink(folder.path().join("seed"), seed.join("folder")).expect("a link");
    std::os::unix::fs::symlink(folder.path().join("seed/c/four"), seed.join("file")).expect("a link");
    assert!(std::process::Command::new("mkfifo").arg(seed.join("pipe")).status().expect("mkfifo").success());
    let path = folder.path().join("target");
    let plan = |of: &Path| {
        let job = Job::new(index_of(&content), memory(&content), &path, JobOptions::default()).expect("a job");
        job.add_seed(of).expect("a seed");
        job.plan().expect("a plan")
    };
    assert_eq!(plan(&seed).from_seeds, 0);
    // Unless the seed itself is one.
    assert!(plan(&seed.join("folder")).from_seeds > 0);
}
