//! Whether somebody uses a target that is to be changed in place: a program that runs from it, or one that has mapped it,
//! would see it change under its feet.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use gosync_core::{Error, ErrorKind, Result};

/// Opens only what nobody else has open to run or to map it, as far as the system knows of such a thing.
#[cfg(windows)]
pub(super) fn alone(options: &mut OpenOptions, _is_device: bool) {
    // Others may read meanwhile, if they have opened it so that it may be written.
    const SHARE_READ: u32 = 1;
    std::os::windows::fs::OpenOptionsExt::share_mode(options, SHARE_READ);
}

#[cfg(target_os = "linux")]
pub(super) fn alone(options: &mut OpenOptions, is_device: bool) {
    // A device that is mounted, or used by another device, cannot be opened so.
    if is_device {
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, rustix::fs::OFlags::EXCL.bits() as i32);
    }
}

#[cfg(not(any(windows, target_os = "linux")))]
pub(super) fn alone(_: &mut OpenOptions, _is_device: bool) {}

/// The error for a target that cannot be opened to be changed.
pub(super) fn cannot_open(cause: io::Error, path: &Path) -> Error {
    // Windows: a sharing violation, a lock, or a mapping.
    let is_held = cfg!(windows) && matches!(cause.raw_os_error(), Some(32 | 33 | 1224));
    match cause.kind() {
        io::ErrorKind::ExecutableFileBusy => in_use("the target is a program that is running", path),
        io::ErrorKind::ResourceBusy => in_use("the target is a device that is in use", path),
        _ if is_held => in_use("the target is used by another program", path),
        _ => Error::from_io(cause, "cannot open the target to change it", path.display()),
    }
}

fn in_use(problem: &str, path: &Path) -> Error {
    let text = format!("{problem}: it cannot be updated in place");
    Error::new(ErrorKind::State, text).with("path", path.display())
}

/// Keeps out an update that knows the file by another name: a hard link, or a path through another mount, until [`unlock`] or the
/// end of the process. Not for devices, which are opened for one alone and whose locks the system uses for itself. Where there are no locks, that of the name has to do, and has said so.
#[cfg(unix)]
pub(super) fn lock(disk: &crate::disk::Disk, file: &File, path: &Path) -> Result<()> {
    match disk.lock(file, path) {
        Err(std::fs::TryLockError::WouldBlock) => Err(in_use("the target is locked by another program", path)),
        _ => Ok(()),
    }
}

/// Lets others in, whoever has a copy of the handle.
#[cfg(unix)]
pub(super) fn unlock(file: &File) {
    let _ = file.unlock();
}

#[cfg(not(unix))]
pub(super) fn unlock(_: &File) {}

/// There, [`alone`] keeps everybody else out that would write.
#[cfg(not(unix))]
pub(super) fn lock(_: &crate::disk::Disk, _: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// `STATE` if a process that may be looked at runs from the file, or has mapped it so that it sees changes.
#[cfg(target_os = "linux")]
pub(super) fn check(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata().map_err(|cause| cannot_open(cause, path))?;
    let (major, minor) = (rustix::fs::major(about.dev()), rustix::fs::minor(about.dev()));
    let device = format!("{major:02x}:{minor:02x}");
    let Ok(processes) = std::fs::read_dir("/proc") else { return Ok(()) };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        let Ok(maps) = std::fs::read(process.path().join("maps")) else { continue };
        if maps.split(|byte| *byte == b'\n').any(|line| is_mapping(line, &device, about.ino(), path)) {
            return Err(in_use("the target is mapped by another program", path).with("process", number));
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn check(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

/// Whether a line of `/proc/PID/maps` is about a mapping of this file that is shared or executable.
#[cfg(target_os = "linux")]
fn is_mapping(line: &[u8], device: &str, inode: u64, path: &Path) -> bool {
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let (_, Some(access), _, Some(on), Some(number)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    // Some file systems have another device there; then the name has to do.
    let is_named = || line.ends_with(path.as_os_str().as_encoded_bytes());
    let is_it = number == inode.to_string().as_bytes() && (on == device.as_bytes() || is_named());
    is_it && access.iter().any(|flag| matches!(flag, b's' | b'x'))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_recognised() {
        let path = Path::new("/a b/c");
        let is = |line: &str| is_mapping(line.as_bytes(), "fd:01", 77, path);
        assert!(is("7f00-7f01 r--s 00000000 fd:01 77                  /a b/c"));
        assert!(is("7f00-7f01 r-xp 00000000 fd:01 77                  /elsewhere"));
        assert!(is("7f00-7f01 r-xp 00000000 00:2a 77                  /a b/c"));
        assert!(!is("7f00-7f01 r--p 00000000 fd:01 77                 /a b/c"));
        assert!(!is("7f00-7f01 r-xp 00000000 fd:01 78                 /a b/c"));
        assert!(!is("7f00-7f01 r-xp 00000000 00:2a 77                 /a b/d"));
        assert!(!is("7f00-7f01 r-xp"));
        assert!(!is(""));
    }
}
