//! The first use case, whole: a directory of thousands of files on nginx, its index over HTTPS and its content over HTTP,
//! as the files are and in packs. An older release is installed, damaged here and changed there, and becomes the new one:
//! entry by entry what `diff` and `rsync` say, and no more over the wire than had changed.
//!
//! The releases are the standard library of the Python that is here and a version of it that is made older; or, where
//! GOSYNC_TREES is `OLD:NEW`, two directories that somebody has.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gosync_tests::conformance::program::program;
use gosync_tests::real::{Answered, Nginx};
use gosync_tests::{has, run};
use serde_json::Value;

/// Of so many files, one differs between the releases that are made here.
const EVERY: usize = 60;

/// Two releases on a site, and the directory that is updated.
struct Site {
    folder: tempfile::TempDir,
    nginx: Nginx,
}

impl Site {
    /// `None`, and a line that says why, where something is missing.
    fn new() -> Option<Site> {
        if !has("python3") || !has("rsync") || !has("diff") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("site")).expect("a folder");
        match std::env::var("GOSYNC_TREES").ok().as_deref().and_then(|both| both.split_once(':')) {
            Some((old, new)) => {
                copy(Path::new(old), &path("site/old"));
                copy(Path::new(new), &path("site/new"));
            }
            None => {
                let library =
                    run(Command::new("python3").args(["-c", "import os; print(os.path.dirname(os.__file__))"]));
                copy(Path::new(library.trim()), &path("site/new"));
                copy(&path("site/new"), &path("site/old"));
                make_older(&path("site/old"));
            }
        }
        // Between the releases, a directory has got another name.
        let renamed = large_folder(&path("site/new"));
        fs::rename(&renamed, renamed.with_file_name("renamed folder ü#%")).expect("renamed");
        fs::write(path("site/new/program"), "#!/bin/sh\nexit 0\n").expect("a file");
        fs::set_permissions(path("site/new/program"), fs::Permissions::from_mode(0o755)).expect("a mode");
        std::os::unix::fs::symlink("program", path("site/new/link to the program")).expect("a link");
        let nginx = Nginx::start(&path("site"), &path("nginx"))?;
        Some(Site { folder, nginx })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes a release as `app.gosync`, and its content as it is or, with `packed`, in packs.
    fn publish(&self, release: &str, packed: bool) {
        let (index, content) = (self.path("site/app.gosync"), self.path("site/packs"));
        let mut command = Command::new(program());
        command.args(["index", "-q"]).arg(self.path("site").join(release)).arg("-o").arg(index);
        if packed {
            command.arg("--content").arg(content);
        }
        run(&mut command);
    }

    /// Updates the directory; what is said at the end, and what nginx has answered.
    fn update(&self, source: &str, options: &[&str]) -> (Value, Vec<Answered>) {
        self.nginx.take_answers();
        let mut command = Command::new(program());
        command.args(["update", "--json", "-q"]).arg(self.path("app"));
        command.args(["--index", &self.nginx.https("app.gosync"), "--source", &self.nginx.http(source)]);
        command.arg("--ca-file").arg(self.nginx.ca_file()).args(options);
        let said = run(&mut command);
        let last = said.lines().last().expect("a last line");
        let answers = self.nginx.take_answers();
        for answer in &answers {
            let is_index = answer.path == "/app.gosync";
            assert_eq!(is_index, answer.server == "https", "{answer:?}");
            assert!(matches!(answer.status, 200 | 206), "{answer:?}");
        }
        (serde_json::from_str(last).expect("JSON"), answers)
    }

    /// Compares the directory with a release, entry by entry, by tools that know nothing of gosync.
    #[track_caller]
    fn compare(&self, release: &str) {
        let (release, app) = (self.path("site").join(release), self.path("app"));
        run(Command::new("diff").args(["-r", "--no-dereference"]).args([&release, &app]));
        let mut command = Command::new("rsync");
        command.args(["-n", "-rlc", "--executability", "--delete", "--itemize-changes"]);
        let slashed = |path: &Path| format!("{}/", path.display());
        let differs = run(command.args([slashed(&release), slashed(&app)]));
        assert_eq!(differs.trim(), "");
        let mut verify = Command::new(program());
        run(verify.args(["verify", "-q"]).arg(&app).arg("--index").arg(self.path("site/app.gosync")));
    }

    /// Bytes of the contents of `new` that no file of `old` has as a whole.
    fn changed(&self) -> u64 {
        let sums = |release: &str| -> Vec<(String, u64)> {
            let script = "import os, sys, hashlib\n\
                          for at, _, names in os.walk(sys.argv[1]):\n\
                          \x20 for name in names:\n\
                          \x20  path = os.path.join(at, name)\n\
                          \x20  if os.path.islink(path): continue\n\
                          \x20  data = open(path, 'rb').read()\n\
                          \x20  print(hashlib.sha256(data).hexdigest(), len(data))\n";
            let said = run(Command::new("python3").args(["-c", script]).arg(self.path("site").join(release)));
            let line = |line: &str| {
                let (sum, length) = line.split_once(' ').expect("two words");
                (sum.to_owned(), length.parse().expect("a number"))
            };
            said.lines().map(line).collect()
        };
        let old: std::collections::HashSet<(String, u64)> = sums("old").into_iter().collect();
        let new: std::collections::HashSet<(String, u64)> = sums("new").into_iter().collect();
        new.difference(&old).map(|(_, length)| length).sum()
    }
}

/// What is over HTTP, of the content.
fn content(answers: &[Answered]) -> u64 {
    answers.iter().filter(|answer| answer.server == "http").map(|answer| answer.bytes).sum()
}

/// Copies a directory, without what a run of Python leaves in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    let from = format!("{}/", from.display());
    run(Command::new("rsync").args(["-rlpt", "--exclude=__pycache__", "--exclude=site-packages", &from]).arg(to));
}

/// All regular files below, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => files.extend(self::files(&entry.path())),
            kind if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files.sort();
    files
}

/// The directory below that has most files, but not more than half of all.
fn large_folder(folder: &Path) -> PathBuf {
    let all = files(folder);
    let mut counts = std::collections::BTreeMap::<&Path, usize>::new();
    for above in all.iter().flat_map(|path| path.ancestors().skip(1)).filter(|above| *above != folder) {
        *counts.entry(above).or_default() += 1;
    }
    let fits = counts.into_iter().filter(|(above, count)| above.starts_with(folder) && 2 * count <= all.len());
    fits.max_by_key(|(_, count)| *count).expect("a folder").0.to_owned()
}

/// Makes what an older release may have looked like: lines are other ones, files are missing, others still there.
fn make_older(folder: &Path) {
    for (at, path) in files(folder).iter().enumerate() {
        let mut content = fs::read(path).expect("a file");
        match at % EVERY {
            3 => fs::remove_file(path).expect("removed"),
            7 => fs::write(path.with_extension("old"), &content).expect("a file"),
            13 => {
                let middle = content.len() / 2;
                content.splice(middle..(middle + 40).min(content.len()), *b"# as it was before\n");
                fs::write(path, content).expect("a file");
            }
            _ => {}
        }
    }
}

/// Flips a byte in the middle of a large file that the new release has too. The file keeps its size and its time, as on a
/// failing disk.
fn damage(folder: &Path, new: &Path) -> PathBuf {
    let of_size = |path: &PathBuf| path.metadata().expect("a file").len();
    let stays = |path: &PathBuf| path.strip_prefix(folder).is_ok_and(|names| new.join(names).is_file());
    let path = files(folder).into_iter().filter(stays).max_by_key(of_size).expect("a file");
    let mut content = fs::read(&path).expect("a file");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    let modified = path.metadata().and_then(|about| about.modified()).expect("a time");
    fs::write(&path, content).expect("a file");
    fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("a time");
    path
}

/// Installs the old release, damages a file, updates to the new one.
fn update(packed: bool) {
    let Some(site) = Site::new() else { return };
    let source = |release: &str| if packed { String::from("packs/") } else { format!("{release}/") };
    site.publish("old", packed);
    let (installed, answers) = site.update(&source("old"), &[]);
    site.compare("old");
    let whole = content(&answers);
    println!("installed: {installed}\n{} requests, {whole} bytes of content", answers.len());

    let count = files(&site.path("app")).len();
    assert!(count > 1000, "{count} files are no large tree");
    let damaged = damage(&site.path("app"), &site.path("site/new"));
    site.publish("new", packed);
    let index_size = site.path("site/app.gosync").metadata().expect("the index").len();
    let (updated, answers) = site.update(&source("new"), &[]);
    site.compare("new");
    let (fetched, changed) = (content(&answers), site.changed());
    let of_index: u64 = answers.iter().filter(|answer| answer.server == "https").map(|answer| answer.bytes).sum();
    println!(
        "updated: {updated}\n{} requests, {fetched} bytes of content, {changed} in files that have changed",
        answers.len()
    );
    println!("{of_index} of the {index_size} bytes of the index");
    // The damaged unit is fetched besides what has changed; nothing else of all that was there.
    let most = changed + 2 * 64 * 1024 + if packed { 64 * 1024 } else { 0 };
    assert!(fetched <= most, "{fetched} of at most {most} bytes; {updated}");
    assert!(of_index <= index_size + 4096, "{answers:?}");

    // Nothing is left to do, and that is found out by the index alone.
    let (again, answers) = site.update(&source("new"), &["--quick"]);
    assert_eq!(again["up_to_date"].as_bool(), Some(true), "{again}");
    assert_eq!(content(&answers), 0, "{answers:?}");
    // The damaged file was not what an update had put there, so it was kept; besides that and the record, nothing is left.
    let kept = site.path("app.gosync-kept");
    assert_eq!(files(&kept), [kept.join(damaged.strip_prefix(site.path("app")).expect("in the directory"))]);
    let known = ["site", "app", "nginx", "app.gosync-kept", ".app.gosync-installed", ".app.gosync-lock"];
    let names = fs::read_dir(site.folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let strange: Vec<_> = names.filter(|name| known.iter().all(|known| *name != **known)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn a_large_directory_is_updated_from_its_files_on_nginx() {
    update(false);
}

#[test]
fn a_large_directory_is_updated_from_packs_on_nginx() {
    update(true);
}
