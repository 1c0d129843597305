//! The way to the folder of a path: from the top, one name at a time, by handles, and through no link. The handles that
//! lead to the last path stay open, because the next one is mostly near.

use std::io;

use crate::disk::DiskFolder;

/// The directory that an entry is in; the top is "".
pub(super) fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last name of a path.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// A directory, and the folders in it that are open.
pub(super) struct Descent {
    root: DiskFolder,
    open: Vec<(String, DiskFolder)>,
}

impl Descent {
    pub(super) fn new(root: DiskFolder) -> Descent {
        Descent { root, open: Vec::new() }
    }

    pub(super) fn root(&self) -> &DiskFolder {
        &self.root
    }

    /// The folder at a path, if there is one that no link leads to.
    pub(super) fn folder(&mut self, path: &str) -> io::Result<Option<&DiskFolder>> {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        self.keep_open(&names);
        for name in &names[self.open.len()..] {
            let Some(below) = open(self.last(), name)? else { return Ok(None) };
            self.open.push(((*name).to_owned(), below));
        }
        Ok(Some(self.last()))
    }

    /// The folder at a path. Where there is none, it is made; `clear` takes away what is in its place.
    pub(super) fn make(
        &mut self,
        path: &str,
        mut clear: impl FnMut(&DiskFolder, &str) -> gosync_core::Result<()>,
        failed: impl Fn(io::Error) -> gosync_core::Error,
    ) -> gosync_core::Result<&DiskFolder> {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        self.keep_open(&names);
        let mut at = names[..self.open.len()].join("/");
        for name in &names[self.open.len()..] {
            at = if at.is_empty() { (*name).to_owned() } else { format!("{at}/{name}") };
            let below = match open(self.last(), name).map_err(&failed)? {
                Some(below) => below,
                None => {
                    clear(self.last(), &at)?;
                    self.last().make(name).map_err(&failed)?
                }
            };
            self.open.push(((*name).to_owned(), below));
        }
        Ok(self.last())
    }

    fn last(&self) -> &DiskFolder {
        self.open.last().map_or(&self.root, |(_, folder)| folder)
    }

    /// Closes all but what leads to these names.
    fn keep_open(&mut self, names: &[&str]) {
        let same = self.open.iter().zip(names).take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(same);
    }
}

/// Opens a directory in a folder; `None` if there is none.
fn open(folder: &DiskFolder, name: &str) -> io::Result<Option<DiskFolder>> {
    match folder.below(name) {
        Ok(below) => Ok(Some(below)),
        Err(cause) => match folder.look(name)? {
            Some(about) if about.is_dir() => Err(cause),
            _ => Ok(None),
        },
    }
}

/// Removes everything in a folder.
pub(super) fn empty(folder: &DiskFolder) -> io::Result<()> {
    for entry in folder.dir().entries()? {
        let name = entry?.file_name();
        let Some(text) = name.to_str() else {
            folder.remove_strange(&name)?;
            continue;
        };
        match folder.look(text)? {
            None => {}
            Some(about) if about.is_dir() => {
                empty(&folder.below(text)?)?;
                folder.remove_folder(text)?;
            }
            Some(_) => folder.remove(text)?,
        }
    }
    Ok(())
}
