//! What is at each path: in a directory, in a listing, and in a record; in the order of a listing, without a table of
//! paths. Where names that differ by case or form of letters are the same, all have the spelling of what was found.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::iter::{Peekable, Zip};
use std::ops::RangeFrom;
use std::time::SystemTime;

use gosync_core::Listing;
use gosync_core::listing::{Entry, EntryKind, path_order};

use super::Spellings;
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

/// Goes through all paths. What was found has the spelling of the listing already, as `spellings` says; whether there is more that
/// is the same name here, `folds` says.
pub(super) fn merged<'a>(
    found: &'a [Found],
    listing: &'a Listing,
    record: Option<&'a Record>,
    spellings: &'a Spellings,
    folds: bool,
) -> impl Iterator<Item = At<'a>> {
    let old = record.into_iter().flat_map(Record::entries).map(|(entry, time)| (entry.path, entry.kind, time));
    let old: Boxed<'a, Old<'a>> = match record.and_then(|record| Spelling::of(found, listing, record, spellings, folds))
    {
        None => Box::new(old),
        Some(spelling) => {
            let mut old: Vec<Old<'a>> = old.map(|(path, kind, time)| (spelling.path(path), kind, time)).collect();
            old.sort_by(|one, next| path_order(&one.0, &next.0));
            Box::new(old.into_iter())
        }
    };
    let found: Boxed<'a, &'a Found> = Box::new(found.iter());
    let new: Boxed<'a, Entry<'a>> = Box::new(listing.entries());
    Merged { found: found.peekable(), new: (0..).zip(new).peekable(), old: old.peekable() }
}

struct Merged<'a> {
    found: Peekable<Boxed<'a, &'a Found>>,
    new: Peekable<Zip<RangeFrom<u32>, Boxed<'a, Entry<'a>>>>,
    old: Peekable<Boxed<'a, Old<'a>>>,
}

impl<'a> Iterator for Merged<'a> {
    type Item = At<'a>;

    fn next(&mut self) -> Option<At<'a>> {
        let first = [
            self.found.peek().map(|found| found.path.as_str()),
            self.new.peek().map(|(_, entry)| entry.path.as_str()),
            self.old.peek().map(|(path, ..)| path.as_str()),
        ];
        let path = first.into_iter().flatten().min_by(|one, next| path_order(one, next))?.to_owned();
        let found = self.found.next_if(|found| found.path == path);
        let new = self.new.next_if(|(_, entry)| entry.path == path);
        let old = self.old.next_if(|(old, ..)| *old == path);
        Some(At {
            path: found.map_or(Cow::Owned(path), |found| Cow::Borrowed(found.path.as_str())),
            found: found.map(|found| &found.is),
            new,
            old: old.map(|(_, kind, time)| (kind, time)),
        })
    }
}

/// How what was found is spelt, for the paths of a record.
struct Spelling<'a> {
    found: &'a [Found],
    /// What has another spelling now than it had when it was recorded.
    others: HashMap<&'a str, &'a str>,
    /// What was found, is new and not recorded, by its folded form: a user may have renamed it before.
    folded: HashMap<String, String>,
}

impl<'a> Spelling<'a> {
    /// `None` where all are spelt alike.
    fn of(
        found: &'a [Found],
        listing: &Listing,
        record: &Record,
        spellings: &'a Spellings,
        folds: bool,
    ) -> Option<Spelling<'a>> {
        let (others, mut folded_forms): (HashMap<&str, &str>, _) = (spellings.by_path().collect(), HashMap::new());
        if folds {
            let spelt = |path: String| others.get(&*path).map_or(path.clone(), |path| (*path).to_owned());
            let known: HashSet<String> = record.entries().map(|(entry, _)| spelt(entry.path)).collect();
            let free = listing.entries().filter(|entry| is_there(found, &entry.path) && !known.contains(&entry.path));
            folded_forms.extend(free.map(|entry| (folded(&entry.path), entry.path)));
        }
        let are_alike = others.is_empty() && folded_forms.is_empty();
        (!are_alike).then_some(Spelling { found, others, folded: folded_forms })
    }

    fn path(&self, path: String) -> String {
        match self.others.get(&*path) {
            Some(path) => (*path).to_owned(),
            None if is_there(self.found, &path) => path,
            None => self.folded.get(&folded(&path)).cloned().unwrap_or(path),
        }
    }
}

fn is_there(found: &[Found], path: &str) -> bool {
    found.binary_search_by(|found| path_order(&found.path, path)).is_ok()
}
