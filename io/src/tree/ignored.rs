//! What of a directory is left out of its index: by patterns of the caller, and by files named `.gosyncignore` in it, all in
//! the syntax of `.gitignore`. The files themselves are left out too.

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use gosync_core::{Error, ErrorKind, Result};

/// The name of the files with patterns.
pub(super) const FILE: &str = ".gosyncignore";

/// The patterns that hold where a walk is.
pub(crate) struct Ignored {
    /// Those of the caller, which come first.
    given: Gitignore,
    /// Those of each directory that the walk is in: the length of its path with the separator behind, and its own.
    files: Vec<(usize, Option<Gitignore>)>,
}

impl Ignored {
    /// Leaves out what `patterns` say.
    pub(super) fn new(patterns: &[String]) -> Result<Ignored> {
        let given = matcher(patterns.iter().map(String::as_str), "a pattern of what to leave out")?;
        Ok(Ignored { given, files: Vec::new() })
    }

    /// A directory is entered, whose file with patterns is this, if it has one.
    pub(super) fn enter(&mut self, directory: &str, file: Option<&str>) -> Result<()> {
        let rules = file.map(|text| matcher(text.trim_start_matches('\u{feff}').lines(), "a line of a .gosyncignore"));
        let rules = rules.transpose().map_err(|error| error.with("directory", directory))?;
        self.files.push((if directory.is_empty() { 0 } else { directory.len() + 1 }, rules));
        Ok(())
    }

    /// The directory that was entered last is left.
    pub(super) fn leave(&mut self) {
        self.files.pop();
    }

    /// Whether the entry at `path` is left out. The innermost file that says anything of it decides, the caller before all.
    pub(super) fn is_out(&self, path: &str, is_directory: bool) -> bool {
        let of_files =
            self.files.iter().rev().filter_map(|(start, rules)| Some((path.get(*start..)?, rules.as_ref()?)));
        for (path, rules) in std::iter::once((path, &self.given)).chain(of_files) {
            match rules.matched(path, is_directory) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        !is_directory && (path == FILE || path.ends_with(&format!("/{FILE}")))
    }
}

fn matcher<'a>(lines: impl Iterator<Item = &'a str>, what: &str) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder.add_line(None, line).map_err(|cause| wrong(what, cause).with("pattern", line.escape_debug()))?;
    }
    builder.build().map_err(|cause| wrong(what, cause))
}

fn wrong(what: &str, cause: ignore::Error) -> Error {
    Error::new(ErrorKind::Argument, format!("{what} is not one")).caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_rule_decides_and_the_caller_before_all() {
        let mut ignored = Ignored::new(&["*.log".into(), "!keep.log".into(), "/build/".into()]).unwrap();
        ignored.enter("", Some("*.tmp\n# comment\n\nsecret/\n!/a/b/x.log\n")).unwrap();
        ignored.enter("a", None).unwrap();
        ignored.enter("a/b", Some("\u{feff}!x.tmp\nlocal\n")).unwrap();
        let out = ["a/x.log", "build", "a/b/y.tmp", "a/b/secret", "a/b/local", "a/b/x.log", "a/b/.gosyncignore"];
        for path in out {
            let is_directory = path.ends_with("build") || path.ends_with("secret");
            assert!(ignored.is_out(path, is_directory), "{path}");
        }
        for path in ["a/keep.log", "a/build", "a/b/x.tmp", "secret", "a/b/locals", "a/gosyncignore"] {
            assert!(!ignored.is_out(path, false), "{path}");
        }
        ignored.leave();
        assert!(ignored.is_out("a/x.tmp", false) && !ignored.is_out("a/local", false));
        assert_eq!(Ignored::new(&["[z-a]".into()]).err().unwrap().kind(), ErrorKind::Argument);
    }
}
