//! File systems that take names for the same whatever the case of their letters, for tests: in a file that is mounted, or in memory.
//! Only root can mount, and not every kernel has each of them; a test says so and goes on without. Where `CI` is `true`, the
//! programs that make them have to be there, and one of them at least has to be mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const KINDS: [&str; 4] = ["vfat", "exfat", "ext4", "tmpfs"];

/// A folder on one of them. Its value ends it.
pub(crate) struct Folding {
    pub(crate) kind: &'static str,
    folder: tempfile::TempDir,
    device: Option<String>,
}

impl Folding {
    /// Does something on each that there is.
    pub(crate) fn each(mut act: impl FnMut(&Folding)) {
        let mut count = 0;
        for kind in KINDS {
            if let Some(folding) = Folding::new(kind) {
                act(&folding);
                count += 1;
            }
        }
        let is_strict = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(count > 0 || !is_strict, "no file system that folds can be mounted here");
    }

    fn new(kind: &'static str) -> Option<Folding> {
        let mut folding = Folding { kind, folder: tempfile::tempdir().expect("a folder"), device: None };
        let (image, mount) = (folding.folder.path().join("image"), folding.folder.path().join("mount"));
        fs::create_dir(&mount).expect("a folder");
        let (image, mount) = (image.to_str()?, mount.to_str()?);
        if kind != "tmpfs" {
            fs::File::create(image).and_then(|file| file.set_len(32 << 20)).expect("an image");
            let made = match kind {
                "ext4" => run("mkfs.ext4", &["-q", "-O", "casefold", image]),
                kind => run(&format!("mkfs.{kind}"), &[image]),
            };
            let device = made.and_then(|_| run("losetup", &["--find", "--show", image]));
            folding.device = device.map(|device| device.trim().to_owned());
        }
        let mounted = match (&folding.device, kind) {
            (None, "tmpfs") => run("mount", &["-t", "tmpfs", "-o", "casefold,size=32m", "tmpfs", mount]),
            (None, _) => None,
            (Some(device), "exfat") => {
                let options = ["-t", kind, device, mount];
                run("mount", &options).or_else(|| run("mount.exfat-fuse", &[device, mount]))
            }
            // As a stick is mounted: letters beyond ASCII are letters there.
            (Some(device), "vfat") => run("mount", &["-t", kind, "-o", "utf8", device, mount]),
            (Some(device), _) => run("mount", &["-t", kind, device, mount]),
        };
        if mounted.is_none() {
            println!("skipped: no {kind} that folds can be mounted here");
            return None;
        }
        fs::create_dir(folding.path()).expect("a folder");
        if matches!(kind, "ext4" | "tmpfs") && run("chattr", &["+F", folding.path().to_str()?]).is_none() {
            println!("skipped: no folder of {kind} folds here");
            return None;
        }
        Some(folding)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("mount/folder")
    }

    /// Whether files know if they may be executed.
    pub(crate) fn has_modes(&self) -> bool {
        matches!(self.kind, "ext4" | "tmpfs")
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        let mount = self.folder.path().join("mount");
        if is_mounted(&mount) {
            run("umount", &[mount.to_str().expect("text")]);
        }
        if let Some(device) = &self.device {
            run("losetup", &["--detach", device]);
        }
    }
}

fn is_mounted(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    device(folder) != device(folder.parent().expect("a parent"))
}

/// What a program says, if it succeeds. Where nothing may be left out, it has to be there.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    if let Err(cause) = &output {
        let is_strict = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(cause.kind() != io::ErrorKind::NotFound || !is_strict, "{program} is not installed");
    }
    let output = output.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
