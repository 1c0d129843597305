//! New files that begin as clones of others, by `reflink-copy`: on Linux (`FICLONE`), macOS (`clonefile`) and Windows (ReFS).
//! That one may not be possible is no error here: the file is empty then.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::{Disk, DiskFile, Op};

/// Whether it is worth trying. Only Windows can tell beforehand; there, a try leaves its marks on a file that cannot be a
/// clone.
pub(super) fn is_possible(from: &Path, new: &Path) -> bool {
    let folder = crate::output::folder_of(new);
    !cfg!(windows)
        || reflink_copy::check_reflink_support(from, folder)
            .is_ok_and(|support| support == reflink_copy::ReflinkSupport::Supported)
}

/// Makes the file at `path` as `options` say, as a clone of `from` if possible. Whether it is one.
#[cfg(not(target_os = "macos"))]
pub(super) fn create(disk: &Disk, path: &Path, options: &mut OpenOptions, from: &File) -> io::Result<(DiskFile, bool)> {
    let file = disk.create(path, options)?;
    // What fails is no change, and so nobody hears of it.
    if reflink_copy::reflink_file(from, &file.file).is_err() {
        // It may have got a length.
        file.set_length(0)?;
        return Ok((file, false));
    }
    disk.change(Op::Clone { file: file.number, from }, || Ok(()))?;
    Ok((file, true))
}

/// Makes the file at `path` as `options` say, as a clone of `from` if possible. Whether it is one. There, only what does not
/// exist yet can become one.
#[cfg(target_os = "macos")]
pub(super) fn create(disk: &Disk, path: &Path, options: &mut OpenOptions, from: &File) -> io::Result<(DiskFile, bool)> {
    let number = super::next_number();
    let made = disk.change(Op::Create { file: number, path }, || {
        reflink_copy::reflink_file_to_path(from, path)?;
        // It has the mode of the other one; nobody else is to open it before it is published.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let opened = std::fs::set_permissions(path, private)
            .and_then(|()| options.clone().read(true).write(true).create_new(false).open(path));
        if opened.is_err() {
            let _ = std::fs::remove_file(path);
        }
        opened
    });
    let Ok(file) = made else { return disk.create(path, options).map(|file| (file, false)) };
    disk.change(Op::Clone { file: number, from }, || Ok(()))?;
    Ok((DiskFile { disk: disk.clone(), file, number }, true))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whatever the file system can: it is all of the other one, or empty; and on its own from then on.
    #[test]
    fn a_file_begins_as_a_clone_or_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        let content: Vec<u8> = (0..300_001u32).map(|at| (at >> 7) as u8).collect();
        fs::write(&old, &content).expect("a file");
        let create = || Disk::system().create_clone(&new, &mut OpenOptions::new(), &old);
        let (file, is_clone) = create().expect("a new file");
        let found = fs::read(&new).expect("the new file");
        println!("a clone: {is_clone}");
        assert!(if is_clone { found == content } else { found.is_empty() });
        file.set_length(5).and_then(|()| file.write_all_at(b"other", 0)).expect("written");
        assert_eq!(fs::read(&new).expect("the new file"), b"other");
        assert!(fs::read(&old).expect("the old file") == content);
        // Nothing that is there is touched.
        drop(file);
        assert_eq!(create().expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&new).expect("the new file"), b"other");
        // What cannot be read cannot be cloned.
        fs::remove_file(&new).expect("removed");
        fs::remove_file(&old).expect("removed");
        assert!(!create().expect("a new file").1);
    }
}
