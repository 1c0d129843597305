//! What is at each path: in a directory, in a listing, and in a record; in the order of a listing, without a table of
//! paths. Where names that differ by case or form of letters are the same, all have the spelling of the listing.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::iter::{Peekable, Zip};
use std::ops::RangeFrom;
use std::time::SystemTime;

use gosync_core::Listing;
use gosync_core::listing::{Entry, EntryKind, path_order};

use super::record::Record;
use super::walk::{Found, Is};
use crate::folding::folded;

/// What is at a path. Nowhere nothing.
pub(super) struct At<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) found: Option<&'a Is>,
    /// The entry of the listing, by its number.
    pub(super) new: Option<(u32, Entry<'a>)>,
    /// The entry of the record, and the time of its file.
    pub(super) old: Option<(EntryKind<'a>, Option<SystemTime>)>,
}

type Boxed<'a, T> = Box<dyn Iterator<Item = T> + 'a>;

/// An entry of a record.
type Old<'a> = (String, EntryKind<'a>, Option<SystemTime>);

/// Goes through all paths.
pub(super) fn merged<'a>(
    found: &'a [Found],
    listing: &'a Listing,
    record: Option<&'a Record>,
    folds: bool,
) -> impl Iterator<Item = At<'a>> {
    let found = found.iter().map(|found| (Cow::Borrowed(found.path.as_str()), &found.is));
    let old = record.into_iter().flat_map(Record::entries).map(|(entry, time)| (entry.path, entry.kind, time));
    let new: Boxed<'a, Entry<'a>> = Box::new(listing.entries());
    let (found, old): (Boxed<'a, (Cow<'a, str>, &'a Is)>, Boxed<'a, Old<'a>>) = if folds {
        let spelling = Spelling::new(listing);
        let exact: HashSet<Cow<'a, str>> = found.clone().map(|(path, _)| path).collect();
        let mut found: Vec<(Cow<'a, str>, &Is)> = found
            .map(|(path, is)| match spelling.of(&path) {
                // These are two, whatever is thought of letters here.
                spelt if exact.contains(spelt.as_str()) => (path, is),
                spelt => (Cow::Owned(spelt), is),
            })
            .collect();
        let mut old: Vec<Old<'a>> = old.map(|(path, kind, time)| (spelling.of(&path), kind, time)).collect();
        found.sort_by(|one, next| path_order(&one.0, &next.0));
        old.sort_by(|one, next| path_order(&one.0, &next.0));
        (Box::new(found.into_iter()), Box::new(old.into_iter()))
    } else {
        (Box::new(found), Box::new(old))
    };
    Merged { found: found.peekable(), new: (0..).zip(new).peekable(), old: old.peekable() }
}

struct Merged<'a> {
    found: Peekable<Boxed<'a, (Cow<'a, str>, &'a Is)>>,
    new: Peekable<Zip<RangeFrom<u32>, Boxed<'a, Entry<'a>>>>,
    old: Peekable<Boxed<'a, Old<'a>>>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = At<'a>;

    fn next(&mut self) -> Option<At<'a>> {
        let first = [
            self.found.peek().map(|(path, _)| &**path),
            self.new.peek().map(|(_, entry)| entry.path.as_str()),
            self.old.peek().map(|(path, ..)| path.as_str()),
        ];
        let path = first.into_iter().flatten().min_by(|one, next| path_order(one, next))?.to_owned();
        let found = self.found.next_if(|(found, _)| path_order(found, &path) == Ordering::Equal);
        let new = self.new.next_if(|(_, entry)| entry.path == path);
        let old = self.old.next_if(|(old, ..)| *old == path);
        Some(At {
            path: found.as_ref().map_or(Cow::Owned(path), |(path, _)| path.clone()),
            found: found.map(|(_, is)| is),
            new,
            old: old.map(|(_, kind, time)| (kind, time)),
        })
    }
}

/// How a listing spells paths.
struct Spelling(HashMap<String, String>);

impl Spelling {
    fn new(listing: &Listing) -> Spelling {
        Spelling(listing.entries().map(|entry| (folded(&entry.path), entry.path)).collect())
    }

    fn of(&self, path: &str) -> String {
        match (self.0.get(&folded(path)), path.rsplit_once('/')) {
            (Some(spelt), _) => spelt.clone(),
            (None, Some((folder, name))) => format!("{}/{name}", self.of(folder)),
            (None, None) => path.to_owned(),
        }
    }
}
