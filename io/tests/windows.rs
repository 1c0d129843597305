//! What only Windows does: a file keeps its name while somebody holds it, and a program's file while the program runs.
#![cfg(windows)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gosync_io::source::MemorySource;
use gosync_io::{
    Cancel, ErrorKind, Index, IndexOptions, Job, JobOptions, Observer, Phase, Result, Source, Statistics, index_bytes,
};

const NEW: &[u8] = b"the new version";

/// An update that remembers its phases.
struct Update {
    target: PathBuf,
    options: JobOptions,
    phases: Arc<Mutex<Vec<Phase>>>,
}

impl Update {
    fn of(target: &Path, milliseconds: u64) -> Self {
        let phases = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&phases);
        let mut options = JobOptions { replace_timeout: Duration::from_millis(milliseconds), ..JobOptions::default() };
        options.observer.progress = Some(Arc::new(move |progress| seen.lock().expect("phases").push(progress.phase)));
        Update { target: target.to_owned(), options, phases }
    }

    fn run(&self, new: &[u8]) -> Result<Statistics> {
        let index: Arc<Index> = Arc::new(index_bytes(new, &IndexOptions::default())?);
        let source: Arc<dyn Source> = Arc::new(MemorySource::new(new.to_vec()));
        Job::new(index, Some(source), &self.target, self.options.clone())?.run()
    }

    fn has_waited(&self) -> bool {
        self.phases.lock().expect("phases").contains(&Phase::Waiting)
    }
}

fn target() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    fs::write(&target, "the old version").expect("a target");
    (folder, target)
}

/// Opens a file as a scanner does: others may read it meanwhile, and no more.
fn hold(path: &Path) -> File {
    const FILE_SHARE_READ: u32 = 1;
    File::options().read(true).share_mode(FILE_SHARE_READ).open(path).expect("the file is there")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_target_that_is_held_for_a_while_is_waited_for() {
    let (folder, target) = target();
    let held = hold(&target);
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        drop(held);
    });
    let update = Update::of(&target, 20_000);
    update.run(NEW).expect("it is waited for");
    release.join().expect("the other program");
    assert!(update.has_waited());
    assert_eq!(fs::read(&target).expect("the target"), NEW);
    assert_eq!(names(folder.path()), ["target"]);
}

#[test]
fn a_target_that_is_held_for_too_long_stays() {
    let (folder, target) = target();
    let held = hold(&target);
    let update = Update::of(&target, 300);
    let error = update.run(NEW).expect_err("it is held");
    assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Permission), "{error}");
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(update.has_waited());
    assert_eq!(fs::read(&target).expect("the target"), b"the old version");
    // The finished file is kept for the next try, and nothing else.
    assert_eq!(names(folder.path()).len(), 2, "{:?}", names(folder.path()));
    drop(held);
    let done = update.run(NEW).expect("nobody holds it any more");
    assert_eq!(done.fetched, 0);
    assert_eq!(fs::read(&target).expect("the target"), NEW);
    assert_eq!(names(folder.path()), ["target"]);
}

#[test]
fn waiting_can_be_cancelled() {
    let (_folder, target) = target();
    let _held = hold(&target);
    let mut update = Update::of(&target, 60_000);
    let cancel = Cancel::new();
    update.options.observer = Observer { cancel: cancel.clone(), ..update.options.observer };
    let phases = Arc::clone(&update.phases);
    let cancelling = std::thread::spawn(move || {
        while !phases.lock().expect("phases").contains(&Phase::Waiting) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(200));
        cancel.cancel();
        Instant::now()
    });
    let error = update.run(NEW).expect_err("it is cancelled");
    let late = cancelling.join().expect("the time").elapsed();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(late < Duration::from_millis(100), "{late:?}");
    assert_eq!(fs::read(&target).expect("the target"), b"the old version");
}

/// In place there is nothing to be put in its place later: it is refused, and not waited for.
#[test]
fn a_target_that_is_held_is_not_updated_in_place() {
    let (folder, target) = target();
    let held = hold(&target);
    let mut update = Update::of(&target, 60_000);
    update.options.in_place = true;
    let error = update.run(NEW).expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::State, "{error}");
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(!update.has_waited());
    assert_eq!(fs::read(&target).expect("the target"), b"the old version");
    drop(held);
    update.run(NEW).expect("nobody holds it any more");
    assert_eq!(fs::read(&target).expect("the target"), NEW);
    assert_eq!(names(folder.path()), ["target"]);
}

/// Runs the program at this path until its input ends; what it says goes on being read.
fn start(program: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(program)
        .args(["--ignored", "--exact", "a_program_that_runs_until_its_input_ends", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program to start");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains("it runs") {
        line.clear();
        assert!(output.read_line(&mut line).expect("a line") > 0, "it has ended");
    }
    (child, output)
}

#[test]
#[ignore = "the program that another test runs"]
fn a_program_that_runs_until_its_input_ends() {
    println!("it runs");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn a_running_program_is_moved_aside_and_removed_when_it_has_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("program.exe");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy");
    let (mut child, _output) = start(&program);
    let mut update = Update::of(&program, 300);
    update.run(NEW).expect_err("a running program cannot be replaced");
    update.options.move_aside = true;
    update.run(NEW).expect("it is moved aside");
    assert_eq!(fs::read(&program).expect("the target"), NEW);
    assert_eq!(names(folder.path()), [".program.exe.1.gosync-old", "program.exe"]);
    // Still it runs, so that its file stays.
    update.run(NEW).expect("nothing is to do");
    assert_eq!(names(folder.path()), [".program.exe.1.gosync-old", "program.exe"]);
    drop(child.stdin.take());
    child.wait().expect("its end");
    update.run(NEW).expect("nothing is to do");
    assert_eq!(names(folder.path()), ["program.exe"]);
}

#[test]
fn what_was_read_only_is_replaced_and_is_so_again() {
    let (folder, target) = target();
    let mut permissions = fs::metadata(&target).expect("the target").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&target, permissions.clone()).expect("a mark");
    let update = Update::of(&target, 20_000);
    update.run(NEW).expect("it is replaced");
    assert!(!update.has_waited());
    assert_eq!(fs::read(&target).expect("the target"), NEW);
    assert!(fs::metadata(&target).expect("the target").permissions().readonly());
    assert_eq!(names(folder.path()), ["target"]);
    // The folder's own end wants it gone.
    #[expect(clippy::permissions_set_readonly_false, reason = "on Windows it only takes the mark away")]
    permissions.set_readonly(false);
    fs::set_permissions(&target, permissions).expect("no mark");
}

#[test]
fn a_name_in_other_letters_is_the_same_target() {
    let (folder, target) = target();
    let shouted = folder.path().join("TARGET");
    let update = Update::of(&shouted, 1_000);
    let done = update.run(b"the old version").expect("it is there");
    assert!(done.up_to_date);
    update.run(NEW).expect("it is replaced");
    assert_eq!(fs::read(&target).expect("the target"), NEW);
    assert_eq!(names(folder.path()).len(), 1);
}

#[test]
fn a_long_path_is_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut deep = folder.path().to_owned();
    for _ in 0..8 {
        deep.push("a folder whose name is rather long, so that a few of them suffice");
    }
    fs::create_dir_all(&deep).expect("folders");
    let target = deep.join("größer ☃");
    assert!(target.as_os_str().len() > 480);
    Update::of(&target, 1_000).run(NEW).expect("it is written");
    Update::of(&target, 1_000).run(b"once more").expect("it is replaced");
    assert_eq!(fs::read(&target).expect("the target"), b"once more");
}
