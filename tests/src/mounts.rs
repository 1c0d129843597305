//! Small disks for tests: a file system in memory, one in a file that is mounted, and a block device that is a file.
//! All need to be root, and a system that lets root mount; where that is not so, a test says so and does nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether this is a machine on which nothing may be left out.
fn is_strict() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// What a command printed; `None`, said aloud, where it failed. Where `CI` is `true`, it must not.
#[track_caller]
fn attempt(command: &mut Command) -> Option<String> {
    let output = command.output();
    let why = match &output {
        Ok(output) if output.status.success() => return Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(!is_strict(), "{command:?}: {why}");
    eprintln!("skipped: {command:?}: {why}");
    None
}

/// A mounted file system. Its value ends it.
pub struct Mounted {
    folder: PathBuf,
    _place: tempfile::TempDir,
}

impl Mounted {
    /// One in memory, of so many bytes.
    #[track_caller]
    pub fn in_memory(bytes: u64) -> Option<Mounted> {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("mounted");
        std::fs::create_dir(&folder).expect("a folder");
        attempt(
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=755"), "none"]).arg(&folder),
        )?;
        Some(Mounted { folder, _place: place })
    }

    /// One in a file of so many bytes, which `program` (with its options) makes.
    #[track_caller]
    pub fn in_a_file(bytes: u64, program: &[&str]) -> Option<Mounted> {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, image) = (place.path().join("mounted"), place.path().join("image"));
        std::fs::create_dir(&folder).expect("a folder");
        File::create(&image).and_then(|file| file.set_len(bytes)).expect("a file");
        attempt(Command::new(program.first()?).args(&program[1..]).arg(&image))?;
        attempt(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&folder))?;
        Some(Mounted { folder, _place: place })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Mounts it anew with other options, for instance `ro`.
    #[track_caller]
    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        attempt(Command::new("mount").args(["-o", &options]).arg(&self.folder)).expect("a mounted file system");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.folder.display());
        }
    }
}

/// A block device that is a file. Its value ends it.
pub struct Device {
    path: PathBuf,
    file: PathBuf,
    _place: tempfile::TempDir,
}

impl Device {
    /// One with this content, whose length must be a multiple of 512.
    #[track_caller]
    pub fn new(content: &[u8]) -> Option<Device> {
        let place = tempfile::tempdir().expect("a folder");
        let file = place.path().join("device");
        std::fs::write(&file, content).expect("a file");
        let path = attempt(Command::new("losetup").args(["--find", "--show"]).arg(&file))?;
        Some(Device { path: path.trim().into(), file, _place: place })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on, what lies behind `length` cannot be read: the device says EIO there.
    pub fn break_behind(&self, length: u64) {
        File::options().write(true).open(&self.file).and_then(|file| file.set_len(length)).expect("a shorter file");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}
