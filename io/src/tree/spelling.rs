//! Names of a directory that a new version spells otherwise: in other letters or in another form of them, and to the file system
//! the same. Whether it is, it is asked, name by name. What is there gets the spelling of the new version before anything is
//! compared, so that all that follows finds it by that; and what is to be renamed for it is told here.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use gosync_core::listing::path_order;
use gosync_core::{Change, ChangeKind, Listing};

use super::Folder;
use super::changes::Removal;
use super::system_names::Here;
use super::walk::{Found, Is};
use crate::folding::{folded, is_decomposed, is_other_form};

/// What has its name for the moment in which it is renamed, where a file system does not change the spelling of a name.
const BETWEEN: &str = "gosync-renamed";
/// Names that differ in letters alone, at most: among more of them none is looked for. Only a trap has so many.
const MANY: usize = 16;

/// Everything whose path is not spelt as the listing does.
#[derive(Debug, Default)]
pub(crate) struct Spellings {
    /// In the order of paths.
    others: Vec<Other>,
    /// Whether there is a name in the directory that a file system would not have which chooses the form of letters itself.
    keeps_form: bool,
}

#[derive(Debug)]
struct Other {
    /// As the listing has it.
    path: String,
    /// As the directory has it.
    there: String,
    is_folder: bool,
    size: u64,
}

impl Other {
    /// The last names of both.
    fn names(&self) -> (&str, &str) {
        (name_of(&self.path), name_of(&self.there))
    }
}

impl Spellings {
    /// Gives what was `found` in `folder` the spelling of `listing`.
    pub(crate) fn settle(found: &mut [Found], listing: &Listing, folder: &Folder<'_>) -> Spellings {
        settle(found, listing, &|found, path| match found.is {
            Is::File { stamp, .. } => folder.stamp(path) == Some(stamp),
            ref is => folder.dir.symlink_metadata(path).is_ok_and(|about| match is {
                Is::Directory { .. } => about.is_dir(),
                Is::Symlink { .. } => about.is_symlink(),
                _ => !about.is_dir() && !about.is_symlink() && !about.is_file(),
            }),
        })
    }

    /// For each path as the directory has it, how the listing does.
    pub(crate) fn by_path(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|other| (other.there.as_str(), other.path.as_str()))
    }

    /// For what is spelt otherwise the whole path as the directory has it, by the path of the listing: of what has another name
    /// itself, and not only a folder around it. Where a file system chooses the form of letters, that is none.
    pub(super) fn renamed(&self, keeps_form: bool) -> impl Iterator<Item = (&str, &str)> {
        self.renamings(keeps_form).map(|other| (other.path.as_str(), other.there.as_str()))
    }

    fn renamings(&self, keeps_form: bool) -> impl Iterator<Item = &Other> {
        let keeps_form = keeps_form || self.keeps_form;
        self.others.iter().filter(move |other| {
            let (name, there) = other.names();
            name != there && (keeps_form || !is_other_form(name, there))
        })
    }

    /// What is to be renamed, and how that is told where nothing else is of the same entry. The others are those of `found`.
    pub(super) fn steps(&self, found: &[Found], listing: &Listing, here: Here) -> Vec<(Removal, Change)> {
        let mut renamings = self.renamings(here.keeps_form).peekable();
        if renamings.peek().is_none() {
            return Vec::new();
        }
        let names = listing.entries().map(|entry| entry.path).chain(found.iter().map(|found| found.path.clone()));
        let names = names.map(|path| folded(name_of(&path)));
        let taken: HashSet<String> = names.filter(|name| name.starts_with(BETWEEN)).collect();
        // Each has one of its own.
        let mut free = (0u64..).map(|number| format!("{BETWEEN}-{number}")).filter(|name| !taken.contains(name));
        let mut step = |other: &Other| {
            let end = if other.is_folder { "/" } else { "" };
            let from = Some(format!("{}{end}", other.there));
            let path = format!("{}{end}", other.path);
            let change = Change { path, what: ChangeKind::Renamed, from, size: other.size };
            let (path, there) = (other.path.clone(), other.names().1.to_owned());
            Some((Removal::Respell { path, there, between: free.next()? }, change))
        };
        renamings.filter_map(&mut step).collect()
    }
}

/// The same; whether what was found is what has a path now, is asked.
fn settle(found: &mut [Found], listing: &Listing, is_it: &dyn Fn(&Found, &str) -> bool) -> Spellings {
    let unknown = unknown(found, listing);
    let mut missing = missing(found, &unknown, listing);
    if missing.is_empty() {
        return Spellings::default();
    }
    let keeps_form = found.iter().any(|found| !is_decomposed(&found.path));
    let mut others: Vec<Other> = Vec::new();
    let mut spelt: HashMap<String, usize> = HashMap::new();
    for number in unknown {
        let there = &found[number].path;
        // The folder around it may have got another spelling just before.
        let folder = there.rsplit_once('/').and_then(|(folder, _)| spelt.get(folder)).map(|at| &*others[*at].path);
        let own = folder.map_or_else(|| there.clone(), |folder| format!("{folder}/{}", name_of(there)));
        let candidates = missing.get_mut(&folded(&own));
        let candidate = candidates.filter(|candidates| candidates.len() <= MANY).and_then(|candidates| {
            let is_beside = |path: &String| parent_of(path) == parent_of(&own);
            let at = match candidates.iter().position(|path| *path == own) {
                Some(at) => at,
                None => candidates.iter().position(|path| is_beside(path) && is_it(&found[number], path))?,
            };
            Some(candidates.swap_remove(at))
        });
        let path = candidate.unwrap_or(own);
        if path == *there {
            continue;
        }
        spelt.insert(there.clone(), others.len());
        let (is_folder, size) =
            (matches!(found[number].is, Is::Directory { .. }), found[number].length().unwrap_or_default());
        others.push(Other { there: std::mem::replace(&mut found[number].path, path.clone()), path, is_folder, size });
    }
    found.sort_by(|one, next| path_order(&one.path, &next.path));
    Spellings { others, keeps_form }
}

/// The numbers of what the listing does not have. Both are in the same order.
fn unknown(found: &[Found], listing: &Listing) -> Vec<usize> {
    let (mut unknown, mut there) = (Vec::new(), found.iter().enumerate().peekable());
    for entry in listing.entries() {
        let is_before = |found: &Found| path_order(&found.path, &entry.path) == Ordering::Less;
        while let Some((number, _)) = there.next_if(|(_, found)| is_before(found)) {
            unknown.push(number);
        }
        there.next_if(|(_, found)| found.path == entry.path);
    }
    unknown.extend(there.map(|(number, _)| number));
    unknown
}

/// The paths of the listing that were not found and could be any of what it does not have, by their folded forms.
fn missing(found: &[Found], unknown: &[usize], listing: &Listing) -> HashMap<String, Vec<String>> {
    let mut missing: HashMap<String, Vec<String>> =
        unknown.iter().map(|number| (folded(&found[*number].path), Vec::new())).collect();
    if missing.is_empty() {
        return missing;
    }
    for entry in listing.entries() {
        let is_there = || found.binary_search_by(|found| path_order(&found.path, &entry.path)).is_ok();
        if let Some(paths) = missing.get_mut(&folded(&entry.path))
            && !is_there()
        {
            paths.push(entry.path);
        }
    }
    missing.retain(|_, paths| !paths.is_empty());
    missing
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use gosync_core::{Digest, EntryKind};

    use super::*;
    use crate::tree::Stamp;

    const NFC: &str = "\u{c4}";
    const NFD: &str = "A\u{308}";

    /// A path that ends with `/` is that of a directory.
    fn entry(path: &str) -> (&str, EntryKind<'_>) {
        let empty = EntryKind::File { size: 0, root: Digest::of(&[]), is_executable: false };
        path.strip_suffix('/').map_or((path, empty), |path| (path, EntryKind::Directory))
    }

    fn listing(paths: &[&str]) -> Listing {
        Listing::new(1024, 0, Digest::of(&[]), paths.iter().map(|path| entry(path))).expect("a listing")
    }

    fn found(paths: &[&str]) -> Vec<Found> {
        let file =
            || Is::File { stamp: Stamp { length: 0, modified: None }, mode: 0, is_executable: false, is_shared: false };
        let found = |path: &&str| match entry(path) {
            (path, EntryKind::Directory) => Found { path: path.to_owned(), is: Is::Directory { mode: 0 } },
            (path, _) => Found { path: path.to_owned(), is: file() },
        };
        paths.iter().map(found).collect()
    }

    /// Of everything it is said that it is the same.
    fn all(found: &mut [Found], listing: &Listing) -> Spellings {
        settle(found, listing, &|_, _| true)
    }

    fn paths(found: &[Found]) -> Vec<&str> {
        found.iter().map(|found| found.path.as_str()).collect()
    }

    fn renamed(spellings: &Spellings, keeps_form: bool) -> Vec<(&str, &str)> {
        spellings.renamed(keeps_form).collect()
    }

    #[test]
    fn what_is_in_a_folder_goes_along_and_is_not_renamed_itself() {
        let listing = listing(&["lib/", "lib/Sub/", "lib/Sub/ONE", "lib/two", "z"]);
        let mut found = found(&["Lib/", "Lib/mine", "Lib/sub/", "Lib/sub/one", "Lib/two", "z"]);
        let spellings = all(&mut found, &listing);
        assert_eq!(paths(&found), ["lib", "lib/Sub", "lib/Sub/ONE", "lib/mine", "lib/two", "z"]);
        let right = [("lib", "Lib"), ("lib/Sub", "Lib/sub"), ("lib/Sub/ONE", "Lib/sub/one")];
        assert_eq!(renamed(&spellings, true), right);
    }

    #[test]
    fn what_is_another_file_to_the_system_is_left_alone() {
        let mut there = found(&["a", "stra\u{df}e", "strasse"]);
        there.sort_by(|one, next| path_order(&one.path, &next.path));
        let before: Vec<String> = paths(&there).into_iter().map(str::to_owned).collect();
        let listing = listing(&["A", "STRASSE"]);
        assert_eq!(renamed(&settle(&mut there, &listing, &|_, _| false), true), []);
        assert_eq!(paths(&there), before);
        // It has one of both by the new name.
        let spellings = settle(&mut there, &listing, &|found, path| path == "STRASSE" && found.path == "strasse");
        assert_eq!(renamed(&spellings, true), [("STRASSE", "strasse")]);
        assert_eq!(paths(&there), ["STRASSE", "a", "stra\u{df}e"]);
    }

    #[test]
    fn names_that_are_there_are_nothing_elses() {
        let mut there = found(&["README", "Readme"]);
        assert_eq!(renamed(&all(&mut there, &listing(&["README"])), true), []);
        assert_eq!(paths(&there), ["README", "Readme"]);
    }

    /// Where all are decomposed, the file system may have done that, and would do it again.
    #[test]
    fn another_form_is_no_other_name_where_the_file_system_chooses_it() {
        let (mut there, new) = (found(&[NFD]), listing(&[NFC]));
        let spellings = all(&mut there, &new);
        assert_eq!(paths(&there), [NFC]);
        assert_eq!(renamed(&spellings, false), []);
        // It was tried, and does not.
        assert_eq!(renamed(&spellings, true), [(NFC, NFD)]);
        // Another name shows that.
        let (mut there, new) = (found(&[NFD, "\u{d6}"]), listing(&[NFC, "\u{d6}"]));
        assert_eq!(renamed(&all(&mut there, &new), false), [(NFC, NFD)]);
        // Case is another matter.
        let mut there = found(&[NFD]);
        assert_eq!(renamed(&all(&mut there, &listing(&["\u{e4}"])), false), [("\u{e4}", NFD)]);
    }

    #[test]
    fn each_has_a_name_in_between_that_nothing_has() {
        let mut there = found(&["A", "Gosync-Renamed-1", "b"]);
        let listing = listing(&["B", "a", "gosync-renamed-0"]);
        let spellings = all(&mut there, &listing);
        let here = Here { folds: true, keeps_form: true, has_modes: true };
        let steps = spellings.steps(&there, &listing, here).into_iter().map(|(step, _)| step);
        let step = |path: &str, there: &str, between: &str| {
            let [path, there, between] = [path, there, between].map(str::to_owned);
            Removal::Respell { path, there, between }
        };
        assert_eq!(steps.collect::<Vec<_>>(), [step("a", "A", "gosync-renamed-2"), step("B", "b", "gosync-renamed-3")]);
    }
}
