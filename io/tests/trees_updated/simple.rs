//! What one update of a directory does and what it costs.

use std::fs;
use std::sync::Arc;

use gosync_io::{ErrorKind, IndexOptions, Job, JobOptions, index_bytes};

use crate::model::{Chance, Failing, Node, Site, Tree, Version, assert_same, file, put, read};

/// A few hundred files in some folders.
fn release(chance: &mut Chance) -> Tree {
    let mut tree = Tree::new();
    for number in 0..200 {
        let length = 500 + chance.below(20_000);
        put(&mut tree, &format!("lib/{}/module-{number}.js", number % 7), file(chance.bytes(length)));
    }
    put(&mut tree, "bin/program", Node::File(chance.bytes(900_000), cfg!(unix)));
    put(&mut tree, "empty/file", file([]));
    tree
}

#[test]
fn a_new_directory_is_made() {
    let tree = release(&mut Chance::new(1));
    let (site, version) = (Site::empty(), Version::of(&tree));
    let done = site.update(&version).expect("an update");
    assert_same(&read(&site.target), &tree, "made");
    assert_eq!((done.fetched, done.from_seeds), (done.total, 0));
    assert!(site.heard("published") && !done.up_to_date);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new directory of this process, and not for this user alone.
        let beside = site.target.with_extension("beside");
        fs::create_dir(&beside).expect("a directory");
        let mode = |path| fs::metadata(path).expect("a directory").permissions().mode();
        assert_eq!(mode(&site.target), mode(&beside));
    }
}

#[test]
fn a_renamed_folder_costs_nothing_and_a_changed_file_little() {
    let mut chance = Chance::new(2);
    let old = release(&mut chance);
    let site = Site::with(&old);
    let mut new: Tree = old.iter().map(|(path, node)| (path.replacen("lib/3", "lib/three", 1), node.clone())).collect();
    let version = Version::of(&new);
    let plan = site.job(&version.index, version.source(), site.options()).plan().expect("a plan");
    assert_eq!((plan.missing, plan.up_to_date), (0, false));
    assert_eq!(site.names(), ["target"], "a plan writes nothing");
    let done = site.mirror(&version).expect("an update");
    assert_same(&read(&site.target), &new, "renamed");
    assert_eq!(done.fetched, 0);
    // Only what has another name was written.
    let moved: usize = new
        .iter()
        .filter(|(path, _)| path.starts_with("lib/three"))
        .map(|(_, node)| if let Node::File(content, _) = node { content.len() } else { 0 })
        .sum();
    assert_eq!(done.written, moved as u64);

    let Some(Node::File(content, _)) = new.get_mut("bin/program") else { panic!("no program") };
    content[300_000] ^= 1;
    content.splice(600_000..600_000, *b"inserted");
    let version = Version::of(&new);
    let done = site.update(&version).expect("an update");
    assert_same(&read(&site.target), &new, "changed");
    assert!(done.fetched <= 4 * version.block(), "{done:?}");
}

#[test]
fn what_is_there_already_needs_no_source() {
    let tree = release(&mut Chance::new(3));
    let (site, version) = (Site::with(&tree), Version::of(&tree));
    let nothing = || Failing::source(&version.payload, 0, |_| ());
    let job = site.job(&version.index, nothing(), site.options());
    assert!(job.plan().expect("a plan").up_to_date);
    let done = job.run().expect("an update");
    assert!(done.up_to_date && done.written == 0, "{done:?}");
    assert!(site.heard("up_to_date"));

    // Without a look at them, files of the recorded size and time are what they were.
    let path = site.target.join("bin/program");
    let time = fs::metadata(&path).expect("a file").modified().expect("a time");
    let mut content = fs::read(&path).expect("a file");
    content[1000] ^= 1;
    fs::write(&path, &content).expect("a file");
    let set = fs::File::options().write(true).open(&path).expect("a file");
    set.set_modified(time).expect("a time");
    let quick = JobOptions { quick: true, ..site.options() };
    let done = site.job(&version.index, nothing(), quick).run().expect("an update");
    assert!(done.up_to_date, "{done:?}");
    // What is besides goes, and still nothing is read.
    fs::write(site.target.join("besides"), "mine").expect("a file");
    let quick = JobOptions { quick: true, delete: true, ..site.options() };
    let done = site.job(&version.index, nothing(), quick).run().expect("an update");
    assert!(!done.up_to_date && done.written == 0 && !site.target.join("besides").exists(), "{done:?}");
    assert_eq!(fs::read(&path).expect("a file"), content);
    // Otherwise they are read.
    let done = site.update(&version).expect("an update");
    assert!(!done.up_to_date && done.fetched == version.block(), "{done:?}");
    assert_same(&read(&site.target), &tree, "repaired");
}

#[test]
fn damage_in_any_of_several_files_with_one_content_is_found() {
    let mut chance = Chance::new(4);
    let (one, other) = (chance.bytes(100_000), chance.bytes(70_000));
    let mut tree = Tree::new();
    for path in ["a/1", "a/2", "b/3", "c"] {
        put(&mut tree, path, file(one.clone()));
    }
    put(&mut tree, "b/other", file(other));
    let version = Version::of(&tree);
    for damaged in [&["a/1"][..], &["a/2"], &["c"], &["a/1", "c"], &["a/2", "b/3", "c"], &["b/other"]] {
        let site = Site::with(&tree);
        for path in damaged {
            let path = site.target.join(path);
            let mut content = fs::read(&path).expect("a file");
            content[50_000] ^= 1;
            fs::write(path, content).expect("a file");
        }
        let done = site.update(&version).expect("an update");
        assert_same(&read(&site.target), &tree, &format!("{damaged:?}"));
        let most = if damaged == ["b/other"] { version.block() } else { 0 };
        assert_eq!(done.fetched, most, "{damaged:?}");
    }
}

#[test]
fn the_target_can_be_left_out_as_a_seed() {
    let tree = release(&mut Chance::new(5));
    let (site, version) = (Site::with(&tree), Version::of(&tree));
    let options = JobOptions { ignore_target: true, ..site.options() };
    let done = site.job(&version.index, version.source(), options).run().expect("an update");
    assert_eq!((done.from_seeds, done.fetched), (0, done.total));
    assert_same(&read(&site.target), &tree, "fetched");
}

#[test]
fn a_file_is_no_directory() {
    let (site, version) = (Site::empty(), Version::of(&release(&mut Chance::new(6))));
    fs::write(&site.target, "a file").expect("a file");
    let error = site.update(&version).expect_err("a file");
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.to_string().contains("the target is a file, and the index describes a directory"), "{error}");
    assert_eq!(site.names(), ["target"]);
    fs::remove_file(&site.target).expect("removed");
    fs::create_dir(&site.target).expect("a folder");
    let of_file = Arc::new(index_bytes(b"content", &IndexOptions::default()).expect("an index"));
    let job = Job::new(of_file, None, &site.target, JobOptions::default()).expect("a job");
    let error = job.run().expect_err("a directory");
    assert_eq!(error.kind(), ErrorKind::Argument);
    assert!(error.to_string().contains("the target is a directory, and the index describes a file"), "{error}");
    let in_place = JobOptions { in_place: true, ..JobOptions::default() };
    let error = Job::new(version.index, None, &site.target, in_place).err().expect("not in place");
    assert_eq!(error.kind(), ErrorKind::Argument);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_target_is_followed() {
    let mut chance = Chance::new(7);
    let (site, version) = (Site::with(&release(&mut chance)), Version::of(&release(&mut chance)));
    let linked = site.folder.path().join("current");
    std::os::unix::fs::symlink("target", &linked).expect("a link");
    let options = JobOptions { delete: true, ..site.options() };
    let job = Job::new(Arc::clone(&version.index), Some(version.source()), &linked, options).expect("a job");
    job.run().expect("an update");
    assert!(fs::symlink_metadata(&linked).expect("a link").is_symlink());
    assert!(Version::of(&read(&site.target)).index.root() == version.index.root());
    let refused = JobOptions { refuse_symlink: true, ..site.options() };
    let job = Job::new(version.index.clone(), None, &linked, refused).expect("a job");
    assert_eq!(job.run().expect_err("a link").kind(), ErrorKind::Argument);
}
