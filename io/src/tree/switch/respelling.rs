//! Names that become the same names in other letters. Some systems do that by one rename; others take both names for one and
//! do nothing, and there a name in between is needed. What a folder has when it is listed tells which, and how far an
//! update has come that was killed; so all of it can be done again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

use gosync_core::{ChangeKind, Error, Result};

use super::Switch;
use super::descent::{Descent, name_of, parent_of};
use super::doing::tell;
use crate::disk::DiskFolder;
use crate::output::{is_held, while_held};
use crate::report::Level;
use crate::tree::changes::Removal;

/// A name of a folder.
struct Step<'a> {
    path: &'a str,
    to: &'a str,
    from: &'a str,
    between: &'a str,
}

/// What came of one.
enum Outcome {
    Done,
    /// It was done before, or there is nothing of that name any more.
    Nothing,
    Refused(io::Error),
}

/// A folder in which names are changed.
trait Names {
    /// All names, as they are spelt.
    fn names(&self) -> io::Result<HashSet<String>>;
    /// Whether anything is found by a name.
    fn has(&self, name: &str) -> io::Result<bool>;
    /// The outer error ends everything.
    fn rename(&self, from: &str, to: &str) -> Result<io::Result<()>>;
    fn sync(&self) -> io::Result<()>;
}

/// One of the target, in which another program may be in the way for a while (on Windows).
struct Real<'a>(&'a DiskFolder, &'a Switch<'a>);

impl Names for Real<'_> {
    fn names(&self) -> io::Result<HashSet<String>> {
        let entries = self.0.dir().entries()?;
        entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()).collect()
    }

    fn has(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.look(name)?.is_some())
    }

    fn rename(&self, from: &str, to: &str) -> Result<io::Result<()>> {
        while_held(&|| self.0.rename(from, self.0, to), self.1.how)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// Does all steps that are such. The folders in which a name has changed.
pub(super) fn all(switch: &Switch<'_>, steps: &[Removal], tree: &mut Descent) -> Result<BTreeSet<String>> {
    let mut folders: Vec<(&str, Vec<Step<'_>>)> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for step in steps {
        let Removal::Respell { path, there, between } = step else { continue };
        let step = Step { path, to: name_of(path), from: there, between };
        let number = *numbers.entry(parent_of(path)).or_insert_with(|| {
            folders.push((parent_of(path), Vec::new()));
            folders.len() - 1
        });
        folders[number].1.push(step);
    }
    let mut touched = BTreeSet::new();
    for (path, steps) in folders {
        let failed = |cause| switch.failed(cause, "spell names of the target as the new version does", path);
        let Some(folder) = tree.folder(path).map_err(failed)? else { continue };
        for (step, outcome) in steps.iter().zip(spell(&Real(folder, switch), &steps, &failed)?) {
            match outcome {
                Outcome::Done => tell(switch, step.path, ChangeKind::Renamed),
                Outcome::Nothing => {}
                Outcome::Refused(cause) => {
                    let text = format!("a name cannot be spelt as the new version does: {cause}");
                    switch.observer.event(Level::Warning, "not_respelt", text, &[("path", &step.path)]);
                }
            }
        }
        touched.insert(path.to_owned());
    }
    Ok(touched)
}

/// Does the steps of one folder. What cannot be renamed keeps its name and is no reason to stop; what has the name in between has to
/// go on, if nothing else has come to its place.
fn spell(folder: &dyn Names, steps: &[Step<'_>], failed: &dyn Fn(io::Error) -> Error) -> Result<Vec<Outcome>> {
    let names = folder.names().map_err(failed)?;
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let is_to_do = names.contains(step.from) && !names.contains(step.to) && !names.contains(step.between);
        outcomes.push(match is_to_do {
            false => Outcome::Nothing,
            true => match folder.rename(step.from, step.to)? {
                Ok(()) => Outcome::Done,
                Err(cause) if is_held(&cause) => Outcome::Refused(cause),
                // Perhaps it goes by way of the other name.
                Err(_) => Outcome::Nothing,
            },
        });
    }
    let names = folder.names().map_err(failed)?;
    let mut between = Vec::new();
    for (step, outcome) in steps.iter().zip(&mut outcomes) {
        if names.contains(step.to) || matches!(outcome, Outcome::Refused(_)) {
            continue;
        }
        if names.contains(step.between) {
            between.push((step, outcome));
        } else if names.contains(step.from) {
            match folder.rename(step.from, step.between)? {
                Ok(()) => between.push((step, outcome)),
                Err(cause) => *outcome = Outcome::Refused(cause),
            }
        } else {
            *outcome = Outcome::Nothing;
        }
    }
    if !between.is_empty() {
        folder.sync().map_err(failed)?;
    }
    for (step, outcome) in between {
        *outcome = if folder.has(step.to).map_err(failed)? {
            Outcome::Refused(io::ErrorKind::AlreadyExists.into())
        } else {
            folder.rename(step.between, step.to)?.map_err(failed)?;
            Outcome::Done
        };
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use gosync_core::ErrorKind;

    use super::*;
    use crate::folding::folded;

    /// A folder that takes names for the same whatever the case of their letters, and gives what it has a number.
    struct Fake {
        names: RefCell<HashMap<String, u32>>,
        /// Whether one rename is enough.
        spells: bool,
        /// So many renames are done, then none any more.
        left: Cell<usize>,
    }

    impl Fake {
        fn find(&self, name: &str) -> Option<String> {
            self.names.borrow().keys().find(|there| folded(there) == folded(name)).cloned()
        }
    }

    impl Names for Fake {
        fn names(&self) -> io::Result<HashSet<String>> {
            Ok(self.names.borrow().keys().cloned().collect())
        }

        fn has(&self, name: &str) -> io::Result<bool> {
            Ok(self.find(name).is_some())
        }

        fn rename(&self, from: &str, to: &str) -> Result<io::Result<()>> {
            let left = self.left.get().checked_sub(1);
            self.left.set(left.ok_or_else(|| Error::new(ErrorKind::Cancelled, "killed"))?);
            let (from, over) = (self.find(from).expect("it is there"), self.find(to));
            if over.as_ref() == Some(&from) && !self.spells {
                return Ok(Ok(()));
            }
            assert!(over.is_none_or(|over| over == from), "{to} would be replaced");
            let number = self.names.borrow_mut().remove(&from).expect("it is there");
            self.names.borrow_mut().insert(to.to_owned(), number);
            Ok(Ok(()))
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    const STEPS: [Step<'_>; 3] = [
        Step { path: "README", to: "README", from: "Readme", between: "between-0" },
        Step { path: "lib", to: "lib", from: "Lib", between: "between-1" },
        Step { path: "gone", to: "gone", from: "Gone", between: "between-2" },
    ];

    fn run(fake: &Fake) -> Result<Vec<Outcome>> {
        spell(fake, &STEPS, &|cause| Error::from_io(cause, "cannot", ""))
    }

    fn names(of: &[(&str, u32)]) -> HashMap<String, u32> {
        of.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    #[test]
    fn names_are_spelt_anew_and_after_a_kill_at_any_rename_too() {
        for spells in [false, true] {
            for killed in 0..7 {
                let names_before = names(&[("Readme", 1), ("Lib", 2), ("other", 3)]);
                let fake = Fake { names: RefCell::new(names_before), spells, left: Cell::new(killed) };
                let is_done = run(&fake).is_ok();
                fake.left.set(usize::MAX);
                run(&fake).expect("the rest");
                assert_eq!(
                    *fake.names.borrow(),
                    names(&[("README", 1), ("lib", 2), ("other", 3)]),
                    "{spells} {killed}"
                );
                assert!(is_done || killed < if spells { 2 } else { 6 });
            }
        }
    }

    #[test]
    fn what_has_come_to_a_name_meanwhile_is_not_replaced() {
        for there in ["README", "Readme", "readme"] {
            let before = names(&[("between-0", 1), (there, 4)]);
            let fake = Fake { names: RefCell::new(before.clone()), spells: false, left: Cell::new(usize::MAX) };
            let outcomes = run(&fake).expect("told");
            assert!(!matches!(outcomes[0], Outcome::Done), "{there}");
            assert_eq!(*fake.names.borrow(), before, "{there}");
        }
    }
}
