//! A directory on a server that counts, and an older version of it on a disk: what tests of updates in trouble begin with.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gosync_tests::data::noise;
use gosync_tests::process::{INDEX, index, plan, run_by, run_while, steady, verify};
use gosync_tests::run;
use gosync_tests::server::{Options, Server};

use crate::MIB;

/// The directory that is updated.
pub(crate) const TARGET: &str = "app";
/// Of the new version, what is shared with no file of the old one.
pub(crate) const NEW: usize = 2 * MIB + MIB / 4;

/// Writes a version of the directory: of `main` half is the same in both, `same` is, and all else is not.
fn write(top: &Path, is_new: bool) {
    let seed = if is_new { 10 } else { 20 };
    let file = |path: &str, content: &[u8]| fs::write(top.join(path), content).expect("a file");
    fs::create_dir_all(top.join("lib/deep")).expect("a folder");
    file("main", &[noise(MIB / 2, 1), noise(MIB, seed)].concat());
    file("same", &noise(MIB / 4, 2));
    file("lib/deep/part", &noise(MIB, seed + 1));
    symlink(if is_new { "main" } else { "same" }, top.join("link")).expect("a link");
    if is_new {
        fs::create_dir_all(top.join("more/of/it")).expect("a folder");
        for number in 0..64u64 {
            file(&format!("more/of/it/{number}"), &noise(MIB / 256, 100 + number));
        }
    } else {
        file("gone", &noise(3000, 3));
    }
}

/// An entry: what it is and contains, and the inode and times by which one shows that has been made anew.
pub(crate) type Entry = (u32, u64, (i64, i64), Vec<u8>);

/// All that is in a directory, the directory itself with it.
pub(crate) fn entries(top: &Path) -> BTreeMap<PathBuf, Entry> {
    let about = fs::symlink_metadata(top).expect("an entry");
    let content = match about.file_type() {
        kind if kind.is_dir() => Vec::new(),
        kind if kind.is_symlink() => fs::read_link(top).expect("a link").into_os_string().into_encoded_bytes(),
        _ => fs::read(top).expect("a file"),
    };
    let entry = (about.mode(), about.ino(), (about.mtime(), about.mtime_nsec()), content);
    let mut all = BTreeMap::from([(top.to_owned(), entry)]);
    if about.is_dir() {
        fs::read_dir(top).expect("a folder").for_each(|entry| all.extend(entries(&entry.expect("an entry").path())));
    }
    all
}

/// The new version on a server.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    /// One that sends so many bytes in a second (0: as many as it can).
    pub(crate) fn new(rate: u64) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join(TARGET), true);
        index(&folder.path().join(TARGET), &folder.path().join(INDEX));
        let server = Server::start(folder.path(), Options { rate, ..Options::default() }).expect("a server");
        Site { folder, server }
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.folder.path().join(INDEX)
    }

    /// Bytes of content that have been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.server.sent_below(&format!("{TARGET}/"))
    }

    pub(crate) fn update(&self, target: &Path, before: &[&str]) -> Command {
        let mut command = run_by(before);
        command.arg("update").arg(target).args(["--index", &self.server.url(INDEX)]);
        steady(&mut command).stdin(Stdio::null());
        command
    }

    /// The old version on a disk, and what an update has to fetch for it.
    pub(crate) fn old_version(&self, disk: &Path) -> (PathBuf, u64) {
        let target = disk.join(TARGET);
        write(&target, false);
        let missing = plan(&target, &self.index())["to_fetch"].as_u64().expect("a plan");
        assert!((NEW as u64..NEW as u64 + 8 * 1024).contains(&missing), "{missing}");
        (target, missing)
    }

    /// An update that is not hindered ends in the new version, and nothing lies beside it but the record. At the end at most what
    /// was missing was sent, and what may have been in flight each time before.
    #[track_caller]
    pub(crate) fn then_it_goes_well(&self, target: &Path, most: u64) {
        let said = run_while(self.update(target, &[]), || true, || {});
        assert!(said.is_well, "{}", said.all);
        let found = verify(target, &self.index());
        assert!(found.is_well && found.last["unfinished"] == false, "{}", found.all);
        let published = self.folder.path().join(TARGET);
        run(Command::new("diff").args(["-r", "--no-dereference", "--exclude=gone"]).args([&published, target]));
        assert_eq!(beside(target), [format!(".{TARGET}.gosync-installed")]);
        assert!(self.sent() <= most, "{} bytes sent, {most} at the most had to be: {}", self.sent(), said.all);
    }
}

/// What lies beside the directory.
pub(crate) fn beside(target: &Path) -> Vec<String> {
    let names = fs::read_dir(target.parent().expect("a folder")).expect("the folder").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| ![TARGET, "lost+found", "ballast"].contains(&&**name)).collect();
    names.sort();
    names
}

/// Whether it is what is left of a new version.
pub(crate) fn is_stage(names: &[String]) -> bool {
    matches!(names, [name] if name.starts_with(&format!(".{TARGET}.")) && name.ends_with(".gosync-stage"))
}
