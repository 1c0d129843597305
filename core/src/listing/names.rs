//! What may be a name in a tree, and which names make trouble where a tree may be written one day.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{MAX_DEPTH, MAX_PATH};

/// Bytes of a name at most.
const MAX_NAME: usize = 255;
/// Bytes of the target of a symbolic link at most.
const MAX_TARGET: usize = 4095;

/// Names that Windows keeps for devices, whatever follows behind a dot.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

/// What is wrong with a name, wherever the tree is. What is left can be a name in a directory of a Unix system.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("a name in the tree is empty"),
        "." | ".." => Some("a name in the tree leads to a directory that is not its own"),
        _ if name.contains('/') => Some("a name in the tree has a slash"),
        _ if name.contains('\0') => Some("a name in the tree has a zero"),
        _ if name.len() > MAX_NAME => Some("a name in the tree is longer than 255 bytes"),
        _ => None,
    }
}

/// What is wrong with what a symbolic link says. Where it leads is not looked at.
pub(super) fn target_fault(target: &str) -> Option<&'static str> {
    match target {
        "" => Some("a symbolic link in the tree says nothing"),
        _ if target.contains('\0') => Some("a symbolic link in the tree has a zero"),
        _ if target.len() > MAX_TARGET => Some("a symbolic link in the tree is longer than 4095 bytes"),
        _ => None,
    }
}

/// What is wrong with names with `/` between as the path of an entry.
pub fn path_fault(path: &str) -> Option<&'static str> {
    match path {
        _ if path.len() > MAX_PATH || path.split('/').count() > MAX_DEPTH => Some("a path in the tree is too long"),
        _ => path.split('/').find_map(name_fault),
    }
}

/// Which of two paths comes first in a tree: a directory before what is in it, names in the order of their bytes.
pub fn path_order(one: &str, other: &str) -> Ordering {
    // No name has a zero.
    let names = |byte: u8| if byte == b'/' { 0 } else { byte };
    one.bytes().map(names).cmp(other.bytes().map(names))
}

/// Why Windows does not take a name, or takes it for something else: a drive, a stream, a device, a path, another name.
pub fn portable_fault(name: &str) -> Option<&'static str> {
    if name.contains('\\') {
        return Some("has a backslash");
    }
    if name.contains(':') {
        return Some("has a colon");
    }
    if name.contains(|c: char| c < ' ' || "<>\"|?*".contains(c)) {
        return Some("has a character that Windows does not take");
    }
    if name.ends_with(['.', ' ']) {
        return Some("ends in a dot or a space");
    }
    let base = name.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    let numbered = |device: &str| {
        let number = base.strip_prefix(device)?;
        let mut digits = number.chars();
        let is_one = matches!(digits.next()?, '0'..='9' | '¹' | '²' | '³');
        (is_one && digits.next().is_none()).then_some(())
    };
    let is_device = DEVICES.contains(&&*base) || numbered("COM").is_some() || numbered("LPT").is_some();
    is_device.then_some("is the name of a device")
}

/// Finds names of one directory that a system takes for the same: by case, or by the form of their letters.
#[derive(Default)]
pub struct Folded {
    names: HashMap<(String, String), String>,
}

impl Folded {
    /// The name that was there before under the same `folded` form in this directory, if it is another one.
    pub fn add(&mut self, directory: &str, folded: String, name: &str) -> Option<String> {
        match self.names.entry((directory.to_owned(), folded)) {
            std::collections::hash_map::Entry::Occupied(known) => Some(known.get().clone()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(name.to_owned());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in ["", ".", "..", "/", "a/b", "/etc", "a\0b", &"x".repeat(256)] {
            assert!(name_fault(name).is_some(), "{name:?}");
        }
        for name in ["a", "...", "..a", "é", "C:", "a\\b", "CON", "a\nb", &"x".repeat(255)] {
            assert_eq!(name_fault(name), None, "{name:?}");
        }
        assert!(target_fault("").is_some() && target_fault("a\0").is_some() && target_fault("../../etc").is_none());
    }

    #[test]
    fn paths_are_names_and_have_an_order() {
        for path in ["", "/", "/a", "a/", "a//b", "a/../b", "../a", "./a", "a\0/b", &"a/".repeat(MAX_DEPTH + 1)] {
            assert!(path_fault(path).is_some(), "{path:?}");
        }
        let paths = ["A", "a", "a/b", "a/b/c", "a/b!", "a/ba", "a!", "a-", "ab", "é"];
        for pair in paths.windows(2) {
            assert_eq!(path_order(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(path_fault(pair[0]), None);
        }
    }

    #[test]
    fn names_that_windows_takes_for_something_else_are_known() {
        let wrong = [
            "a\\b",
            "..\\a",
            "C:",
            "C:a",
            "a:stream",
            "con",
            "CON",
            "Nul.txt",
            "COM1",
            "lpt9.tar.gz",
            "com¹",
            "aux .c",
            "a.",
            "a ",
            "a?",
            "a|b",
            "a\nb",
            "CONIN$",
        ];
        for name in wrong {
            assert!(portable_fault(name).is_some(), "{name:?}");
        }
        for name in ["a", "con1", "COM", "COM10", "console", ".con", "é", "a b", ".gitignore", "LPTx"] {
            assert_eq!(portable_fault(name), None, "{name:?}");
        }
    }
}
