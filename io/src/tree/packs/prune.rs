//! Removes packs that no index names any more.

use std::collections::HashSet;
use std::path::Path;
use std::{fs, io};

use gosync_core::{Error, Index, Result};

use crate::disk::Disk;

/// Removes from the folder `content` each pack that none of `indexes` names. How many, and how many bytes they had.
pub(crate) fn prune(content: &Path, indexes: &[Index]) -> Result<(u64, u64)> {
    let failed = |cause: io::Error| Error::from_io(cause, "cannot remove packs", content.display());
    let named: HashSet<String> = indexes
        .iter()
        .filter_map(Index::packs)
        .flat_map(|packs| (0..packs.count()).map(|pack| packs.name(pack)))
        .collect();
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(content).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_pack(name) && !named.contains(*name)) else { continue };
        let path = content.join(name);
        let about = entry.metadata().map_err(failed)?;
        if about.is_file() {
            Disk::system()
                .remove(&path)
                .map_err(|cause| Error::from_io(cause, "cannot remove a pack", path.display()))?;
            (count, bytes) = (count + 1, bytes + about.len());
        }
    }
    Ok((count, bytes))
}

/// Whether a file has the name of a pack.
fn is_pack(name: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.strip_suffix(".pack").is_some_and(|root| root.len() == 64 && root.bytes().all(is_digit))
}
