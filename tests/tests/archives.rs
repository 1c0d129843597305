//! Archives as targets, made by the tools that people have: what an older archive, or an unpacked directory, has of them,
//! and what `lint` says of them. The shares that docs/archives.md tells are printed with `--nocapture`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gosync_io::source::FileSource;
use gosync_io::{IndexOptions, Job, JobOptions, Lint, LintOptions, Source, index_file, lint_file};
use gosync_tests::{has, run};

const FILES: usize = 300;
const BLOCK: u64 = 1024;

/// Lines of words, as source code or configuration has them: the same for the same seed.
fn text(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = state >> 48;
        let end = if word.is_multiple_of(9) { '\n' } else { ' ' };
        bytes.extend_from_slice(format!("{word:x}{end}").as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Files by path, most of them small, some large.
fn release() -> BTreeMap<String, Vec<u8>> {
    let size = |number: usize| match number % 30 {
        0 => 200_000 + number * 131,
        1..=9 => 20_000 + number * 37,
        _ => 500 + number * 17,
    };
    let path = |number: usize| format!("app/{:02}/file-{number:03}.txt", number % 17);
    (0..FILES).map(|number| (path(number), text(number as u64 + 1, size(number)))).collect()
}

/// What becomes of them: some are changed, one is gone, one has another name, and two are new.
fn next(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let mut next = files.clone();
    let paths: Vec<&String> = files.keys().collect();
    for (at, path) in paths.iter().enumerate().filter(|(at, _)| at % 60 == 7) {
        if let Some(content) = next.get_mut(*path) {
            let middle = content.len() / 2;
            content.splice(middle..middle + 100, text(1000 + at as u64, 120));
        }
    }
    next.remove(paths[100]);
    if let Some(content) = next.remove(paths[200]) {
        next.insert(String::from("app/moved/here.txt"), content);
    }
    next.insert(String::from("app/03/new-1.txt"), text(2001, 30_000));
    next.insert(String::from("app/zz/new-2.txt"), text(2002, 3_000));
    next
}

/// Bytes of the new release that are in no file of the old one.
const CHANGED: u64 = 30_000 + 3_000 + 5 * 120;

/// Two releases in folders, and archives of them that are made when they are asked for.
struct Releases {
    folder: tempfile::TempDir,
}

impl Releases {
    fn new() -> Releases {
        let releases = Releases { folder: tempfile::tempdir().expect("a folder") };
        let old = release();
        for (name, files) in [("old", &old), ("new", &next(&old))] {
            for (path, content) in files {
                let path = releases.path(name).join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
                fs::write(path, content).expect("a file");
            }
        }
        releases
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes `old.SUFFIX` and `new.SUFFIX` by a script of Python, which sees `folder`, `archive` and `files`, sorted, with
    /// the path of each in the archive.
    fn pack(&self, suffix: &str, script: &str) -> (PathBuf, PathBuf) {
        let make = |name: &str| {
            let archive = self.path(&format!("{name}.{suffix}"));
            let begin = "import sys, os, tarfile, zipfile, time\nfolder, archive = sys.argv[1:]\n\
                         files = sorted(os.path.relpath(os.path.join(at, name), folder).replace(os.sep, '/') \
                         for at, _, names in os.walk(folder) for name in names)\n";
            let script = format!("{begin}{script}");
            run(Command::new("python3").args(["-c", &script]).arg(self.path(name)).arg(&archive));
            archive
        };
        (make("old"), make("new"))
    }

    /// Bytes of `new` that would be fetched if `seed` is here, as a share of all; and updates to it.
    fn missing(&self, what: &str, new: &Path, seed: &Path) -> (u64, f64) {
        let index = index_file(new, &IndexOptions { block_size: BLOCK as u32, ..IndexOptions::default() });
        let source: Arc<dyn Source> = Arc::new(FileSource::open(new).expect("the archive"));
        let target = self.path("target");
        let options = JobOptions { thorough: true, ..JobOptions::default() };
        let job = Job::new(Arc::new(index.expect("an index")), Some(source), &target, options).expect("a job");
        job.add_seed(seed).expect("a seed");
        let plan = job.plan().expect("a plan");
        job.run().expect("an update");
        assert!(fs::read(&target).expect("the target") == fs::read(new).expect("the archive"), "{what}");
        fs::remove_file(&target).expect("removed");
        let share = plan.missing as f64 / plan.total as f64;
        println!("{what}: {} of {} bytes missing, {:.1} %", plan.missing, plan.total, share * 100.0);
        (plan.missing, share)
    }
}

/// Members have the times of a build unless the script says otherwise.
const TAR: &str = "with tarfile.open(archive, 'w', format=tarfile.GNU_FORMAT) as tar:\n\
                   \x20 for name in files:\n\
                   \x20  info = tar.gettarinfo(os.path.join(folder, name), name)\n\
                   \x20  info.mtime = 1700000000\n\
                   \x20  tar.addfile(info, open(os.path.join(folder, name), 'rb'))\n";
const ZIP: &str = "with zipfile.ZipFile(archive, 'w', METHOD) as zip:\n\
                   \x20 for name in files:\n\
                   \x20  info = zipfile.ZipInfo(name, (2023, 11, 14, 0, 0, 0))\n\
                   \x20  info.compress_type = METHOD\n\
                   \x20  zip.writestr(info, open(os.path.join(folder, name), 'rb').read())\n";

/// What may be lost at the ends of members: a block at either end of each, and the header between.
fn at_ends(members: usize, header: u64) -> u64 {
    members as u64 * (2 * BLOCK + header)
}

#[test]
fn a_tar_is_found_in_an_older_one_and_in_a_directory() {
    let releases = Releases::new();
    let (old, new) = releases.pack("tar", TAR);
    let (missing, _) = releases.missing("tar from an older tar", &new, &old);
    // What has changed, and some blocks around each of the nine places.
    assert!(missing <= CHANGED + 9 * 4 * BLOCK, "{missing}");
    let (missing, _) = releases.missing("tar from the unpacked old release", &new, &releases.path("old"));
    assert!(missing <= CHANGED + at_ends(FILES, 1024), "{missing}");
    let (missing, _) = releases.missing("tar from the unpacked new release", &new, &releases.path("new"));
    assert!(missing <= at_ends(FILES, 1024), "{missing}");
}

#[test]
fn a_zip_of_stored_members_is_found_in_an_older_one_and_in_a_directory() {
    let releases = Releases::new();
    let (old, new) = releases.pack("zip", &ZIP.replace("METHOD", "zipfile.ZIP_STORED"));
    let directory = FILES as u64 * 100;
    let (missing, _) = releases.missing("stored zip from an older one", &new, &old);
    // The directory at its end says where each member is: nearly all of it is new.
    assert!(missing <= CHANGED + 9 * 4 * BLOCK + directory, "{missing}");
    let (missing, _) = releases.missing("stored zip from the unpacked old release", &new, &releases.path("old"));
    assert!(missing <= CHANGED + at_ends(FILES, 100) + directory, "{missing}");
    // The same bytes in another container.
    let (tar, _) = releases.pack("tar", TAR);
    let (missing, _) = releases.missing("stored zip from an older tar", &new, &tar);
    assert!(missing <= CHANGED + at_ends(FILES, 100) + directory, "{missing}");
}

#[test]
fn compressed_members_of_a_zip_are_found_as_they_are() {
    let releases = Releases::new();
    let (old, new) = releases.pack("zip", &ZIP.replace("METHOD", "zipfile.ZIP_DEFLATED"));
    let (_, share) = releases.missing("deflated zip from an older one", &new, &old);
    assert!(share < 0.15, "{share}");
    // Compressed bytes are not in what was unpacked.
    let (_, share) = releases.missing("deflated zip from the unpacked old release", &new, &releases.path("old"));
    assert!(share > 0.95, "{share}");
}

#[test]
fn one_stream_is_found_up_to_the_first_change_unless_it_begins_anew() {
    if !has("gzip") || !run(Command::new("gzip").arg("--help")).contains("rsyncable") {
        println!("skipped: no gzip with --rsyncable");
        return;
    }
    let releases = Releases::new();
    let (old, new) = releases.pack("tar", TAR);
    let gzip = |path: &Path, option: &str| {
        let made = path.with_extension(format!("{option}.gz"));
        let output = Command::new("gzip").args(["-n", "-c", option]).arg(path).output().expect("gzip");
        fs::write(&made, output.stdout).expect("a file");
        made
    };
    let (_, share) = releases.missing("tar.gz from an older one", &gzip(&new, "-6"), &gzip(&old, "-6"));
    assert!(share > 0.5, "{share}");
    let (one, other) = (gzip(&old, "--rsyncable"), gzip(&new, "--rsyncable"));
    let (_, share) = releases.missing("tar.gz with --rsyncable from an older one", &other, &one);
    assert!(share < 0.35, "{share}");
    let lint = lint_file(&other, &LintOptions::default()).expect("looked at");
    assert!(rules(&lint) == ["packed"] && lint.findings[0].text.contains("--rsyncable"), "{lint:?}");
    let lint = lint_file(&gzip(&new, "-6"), &LintOptions::default()).expect("looked at");
    assert!(rules(&lint) == ["packed"] && lint.findings[0].text.contains("one stream (gzip)"), "{lint:?}");
}

fn rules(lint: &Lint) -> Vec<&'static str> {
    lint.findings.iter().map(|finding| finding.rule).collect()
}

fn lint(path: &Path, old: Option<&Path>) -> Lint {
    let options = LintOptions { old: old.map(Path::to_owned), block_size: BLOCK as u32, ..LintOptions::default() };
    lint_file(path, &options).expect("looked at")
}

#[test]
fn lint_has_little_to_say_of_what_updates_well() {
    let releases = Releases::new();
    for (suffix, script) in [("tar", TAR.to_owned()), ("zip", ZIP.replace("METHOD", "zipfile.ZIP_STORED"))] {
        let (old, new) = releases.pack(suffix, &script);
        let found = lint(&new, Some(&old));
        assert!(found.findings.is_empty(), "{found:?}");
        assert_eq!((found.kind, found.members), (suffix, FILES as u64 + 1));
        let measured = found.measured.expect("measured");
        assert_eq!(measured.total, new.metadata().expect("the archive").len());
        assert!(measured.missing < CHANGED + 80_000, "{measured:?}");
        // The new file lacks everything, and what has not changed lacks nothing to speak of.
        let first = &measured.members[0];
        assert_eq!((first.path.as_str(), first.size), ("app/03/new-1.txt", 30_000));
        assert!(first.missing > 28_000, "{first:?}");
        assert!(measured.members.iter().filter(|member| member.missing > 1024).count() <= 9, "{measured:?}");
    }
    let found = lint(&releases.path("new"), Some(&releases.path("old")));
    assert_eq!((found.kind, found.members), ("directory", FILES as u64 + 1));
    let measured = found.measured.expect("measured");
    assert!(measured.missing < CHANGED + 5 * 3 * BLOCK, "{measured:?}");
    let unpacked = lint(&releases.path("new.tar"), Some(&releases.path("old")));
    assert!(unpacked.measured.expect("measured").from_old > 4_500_000);
}

#[test]
fn lint_names_what_changes_with_every_build() {
    let releases = Releases::new();
    let now = TAR.replace("1700000000", "int(time.time()) - len(folder) % 2 - len(name) % 7");
    let (old, new) = releases.pack("tar", &now);
    let alone = lint(&new, None);
    assert_eq!(rules(&alone), ["time"], "{alone:?}");
    assert!(alone.findings[0].members > 250 && alone.findings[0].text.contains("the day"), "{alone:?}");
    // Times that differ are told by the pair, one member more or less.
    let later = now.replace("int(time.time())", "int(time.time()) + 100");
    let (_, newer) = releases.pack("later.tar", &later);
    let pair = lint(&newer, Some(&old));
    assert_eq!(rules(&pair), ["time"], "{pair:?}");
    assert!(pair.findings[0].members > 280 && pair.findings[0].text.contains("another time"), "{pair:?}");
    assert!(pair.measured.expect("measured").missing > 250 * 512);
    let (_, shuffled) = releases.pack("other.tar", &format!("files.sort(key=lambda name: hash(name) % 97)\n{TAR}"));
    let alone = lint(&shuffled, None);
    assert_eq!(rules(&alone), ["order"], "{alone:?}");
    let (sorted, _) = releases.pack("tar", TAR);
    let pair = lint(&shuffled, Some(&sorted));
    assert_eq!(rules(&pair), ["order"], "{pair:?}");
    assert!(pair.findings[0].text.contains("another order"), "{pair:?}");
}

#[test]
fn lint_looks_into_archives() {
    let releases = Releases::new();
    let script = "import gzip\n\
                  with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as zip:\n\
                  \x20 [zip.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 0, 0, 0)), open(os.path.join(folder, name), 'rb').read(), zipfile.ZIP_DEFLATED) for name in files]\n\
                  inner = archive\n\
                  with tarfile.open(archive + '.tar', 'w', format=tarfile.PAX_FORMAT) as tar:\n\
                  \x20 tar.add(archive, 'in/' + 'long' * 60 + '/a.zip')\n\
                  \x20 packed = archive + '.gz'\n\
                  \x20 gzip.open(packed, 'wb').write(open(os.path.join(folder, files[0]), 'rb').read() * 3)\n\
                  \x20 tar.add(packed, 'b.gz')\n";
    let (_, zip) = releases.pack("zip", script);
    let found = lint(&zip, None);
    assert_eq!(rules(&found), ["deflated"], "{found:?}");
    assert_eq!(found.findings[0].members, FILES as u64 + 1);
    let found = lint(&releases.path("new.zip.tar"), None);
    assert!(rules(&found).contains(&"packed"), "{found:?}");
    let paths: Vec<&str> = found.findings.iter().filter_map(|finding| finding.path.as_deref()).collect();
    assert!(paths.iter().any(|path| path.ends_with("long/a.zip") && path.len() > 240), "{paths:?}");
    assert!(paths.contains(&"b.gz"), "{paths:?}");
    // A time in the header of the gzip, which Python writes.
    assert!(found.findings.iter().any(|finding| finding.rule == "time"), "{found:?}");
}

#[test]
fn what_is_no_whole_archive_is_looked_at_as_far_as_it_goes() {
    let releases = Releases::new();
    let (_, tar) = releases.pack("tar", TAR);
    let (_, zip) = releases.pack("zip", &ZIP.replace("METHOD", "zipfile.ZIP_STORED"));
    for path in [&tar, &zip] {
        let whole = fs::read(path).expect("the archive");
        let cut = releases.path("cut");
        for length in [1, 300, 511, 512, 700, whole.len() / 3, whole.len() - 30] {
            fs::write(&cut, &whole[..length]).expect("a file");
            let found = lint(&cut, None);
            let is_told = found.findings.iter().any(|finding| finding.rule == "broken");
            // Without the blocks of zeros at its end, a tar is still whole.
            assert!(
                is_told || found.kind == "file" || path == &tar && length == whole.len() - 30,
                "{length} {found:?}"
            );
        }
        // Any byte of a header may be any other one.
        let mut state = 7u64;
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let near_end = bytes.len() - 1 - (state >> 20) as usize % 25_000.min(bytes.len());
                let at = if state >> 63 == 0 { (state >> 20) as usize % 600 } else { near_end };
                bytes[at] = (state >> 40) as u8;
            }
            fs::write(&cut, &bytes).expect("a file");
            lint_file(&cut, &LintOptions::default()).expect("looked at");
        }
    }
}
