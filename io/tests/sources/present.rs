//! A directory that no update has installed: what is in it says what of the index need not be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gosync_io::{
    HttpOptions, Index, IndexOptions, Job, JobOptions, OpenOptions, encode_index, open_index, open_source,
};

use crate::server::{Server, good};
use crate::sink::noise;
use crate::tree::Tree;

/// Fewer where making a file takes long; then there is little to be saved.
const COUNT: usize = if cfg!(windows) { 300 } else { 3000 };

type Files = Vec<(String, Vec<u8>)>;

/// Many small files, some of which are of a newer version, and one with this name.
fn files(is_new: impl Fn(usize) -> bool, name: &str) -> Files {
    let noise = noise(COUNT * 1500 + 4000);
    let file = |i: usize| {
        let mut content = noise[i * 1500..i * 1500 + 1200 + i % 300].to_vec();
        content[700] ^= u8::from(is_new(i));
        (format!("d{:02}/f{i:04}", i % 40), content)
    };
    let mut files: Files = (0..COUNT).map(file).collect();
    files.push((name.into(), noise[COUNT * 1500..].to_vec()));
    files
}

fn write(folder: &Path, files: &Files) {
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
}

/// A new version on a server, and a folder for a target.
struct Scene {
    folder: tempfile::TempDir,
    server: Server,
    new: Tree,
    files: Files,
    size: u64,
}

impl Scene {
    fn new(files: Files) -> Scene {
        let new = Tree::with(&files, &IndexOptions::default());
        let encoded = encode_index(&new.index).expect("bytes");
        let (size, folder) = (encoded.len() as u64, tempfile::tempdir().expect("a folder"));
        Scene { folder, server: Server::start(move |asked| good(asked, &encoded)), new, files, size }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    fn open(&self) -> Index {
        let http = HttpOptions { proxy: Some(String::new()), ..HttpOptions::default() };
        // So that an index of this size is read in part.
        let (assume_rtt, assume_rate) = (Duration::from_millis(1), 10_000_000);
        let target = Some(self.target());
        let options = OpenOptions { target, http, assume_rtt, assume_rate, ..OpenOptions::default() };
        let index = open_index(&self.server.url("/app.gosync"), &options).expect("an index");
        assert_eq!(index.listing(), self.new.index.listing());
        index
    }

    /// Updates the target: how many bytes were fetched.
    fn update(&self, index: Index) -> u64 {
        let place = self.new.folder.path().to_str().expect("text");
        let source = open_source(place, &OpenOptions::default()).expect("a source");
        let job = Job::new(Arc::new(index), Some(source), self.target(), JobOptions::default()).expect("a job");
        let statistics = job.run().expect("updated");
        for (name, content) in &self.files {
            assert!(std::fs::read(self.target().join(name)).is_ok_and(|there| there == *content), "{name}");
        }
        statistics.fetched
    }
}

#[test]
fn of_the_index_only_what_is_new_is_read() {
    let scene = Scene::new(files(|i| i % (COUNT / 5) == 7, "new name"));
    write(&scene.target(), &files(|_| false, "old name"));
    let index = scene.open();
    // Its beginning, then five entries and the renamed one of a listing that is most of the index.
    assert!(index.read_size() < (40 << 10) + (12 << 10), "{} of {}", index.read_size(), scene.size);
    assert!(cfg!(windows) || scene.size > 160_000);
    let fetched = scene.update(index);
    assert!(fetched <= 5 * 2048, "{fetched}");
}

#[test]
fn what_changes_after_it_was_looked_at_is_not_believed() {
    let scene = Scene::new(files(|i| i == 50, "name"));
    write(&scene.target(), &files(|_| false, "name"));
    let index = scene.open();
    // Same length, other bytes; one more has gone, and one is damaged that is to change anyway.
    let damage = |name: &str| {
        let path = scene.target().join(name);
        let mut content = std::fs::read(&path).expect("a file");
        content[10] ^= 0xff;
        std::fs::write(path, content).expect("damaged");
    };
    damage("d03/f0003");
    damage("d10/f0050");
    std::fs::remove_file(scene.target().join("d04/f0004")).expect("removed");
    scene.update(index);
}

#[test]
fn a_directory_that_has_nothing_of_it_does_no_harm() {
    let scene = Scene::new(files(|_| true, "name"));
    let other: Files = (0..COUNT / 2).map(|i| (format!("other/{i}"), format!("text {i}").into_bytes())).collect();
    write(&scene.target(), &other);
    let index = scene.open();
    scene.update(index);
    assert!(scene.target().join("other/17").exists());
}
