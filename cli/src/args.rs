//! The command line: every verb and option, what it means, its unit and its default.
//!
//! Options carry the names that all faces of gosync share. Values are checked here only as far as one value
//! alone can be wrong; what the library can judge better (a block size, a location) it judges itself.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use gosync_io::{Error, Format, IndexOptions, JobOptions, Keep, Observer, OpenOptions, Result, VerifyOptions};

use crate::fetching::{OpenArgs, Secret};
use crate::{exit, quantity};

/// Updates files from a published index: fetches only what is missing, verifies every byte.
///
/// A publisher runs `gosync index FILE` once and puts FILE and FILE.gosync on any web server. Whoever has an
/// older version runs `gosync update FILE --index URL`.
#[derive(Debug, Parser)]
#[command(name = "gosync", version, after_help = exit::help(), max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb understands.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Common {
    /// Print lines of JSON on standard output: progress and log events, then one result or error [default: text for people]
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but errors (with --json: nothing but the last line); wins over -v
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Show what is being done; twice: show details too [default: warnings only]
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Append what is being done to this file, one line per event with the time; -vv adds details [default: no log]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Number of worker threads [default: 0, as many as there are cores]
    #[arg(long, global = true, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) threads: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Describe FILE, or a directory, in an index, to be published beside it
    Index(IndexArgs),
    /// Say what an update would take from where; fetch and write nothing but the index
    Plan(UpdateArgs),
    /// Make TARGET what the index says; the old TARGET stays until the new one is complete and verified
    Update(UpdateArgs),
    /// Compare TARGET, a file or directory, with an index
    Verify(VerifyArgs),
    /// Show what an index says
    Info(InfoArgs),
    /// Tell a publisher how well FILE, or a directory, will update, and why
    Lint(LintArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct IndexArgs {
    /// The file or directory to describe; also a block device or a pipe, or - for standard input (then with -o)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where to write the index [default: FILE.gosync, for a regular file or a directory]
    #[arg(short, long, value_name = "INDEX")]
    pub(crate) output: Option<PathBuf>,
    /// Bytes of a block, a power of two from 1KiB to 32KiB: smaller finds more, and makes a larger index
    /// [default: 0, by file size; 8KiB in the legacy format]
    #[arg(long, value_name = "SIZE", value_parser = quantity::small_size, default_value = "0", hide_default_value = true)]
    pub(crate) block_size: u32,
    /// Bytes of a block of the top level, which receivers look for first: a power of two from 64KiB to 1MiB [default: 0, by
    /// file size]
    #[arg(long, value_name = "SIZE", value_parser = quantity::small_size, default_value = "0", hide_default_value = true)]
    top_size: u32,
    /// Where receivers find the content: a name relative to the index, or a URL; "" writes none
    /// [default: the name of FILE, for a regular file or a directory]
    #[arg(long, value_name = "NAME|URL")]
    pub(crate) source: Option<String>,
    /// What the index is written as: gosync, or legacy for the format 0.2, which takes blocks of any size, says
    /// nothing of the whole file, and names no source [default: gosync]
    #[arg(long, value_name = "FORMAT", value_parser = ["gosync", "legacy"], default_value = "gosync", hide_default_value = true, hide_possible_values = true)]
    pub(crate) format: String,
    /// What the content is called, for those who look at the index; up to 255 bytes [default: nothing]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Which version of it this is; up to 255 bytes [default: nothing]
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Sign the index with the minisign secret key in this file: receivers can demand it with --public-key
    /// [default: no signature]
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// The password of that key. Others can see a command line, so @FILE reads it from a file [default: asked for on the
    /// terminal, if the key is encrypted]
    #[arg(long, value_name = "PASSWORD|@FILE", requires = "sign")]
    sign_password: Option<Secret>,
    /// What of a directory is left out, a pattern as in .gitignore; may be given several times, and comes before the lines of
    /// files .gosyncignore in the directory [default: nothing]
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Of a directory: put its contents into this folder, in compressed packs, which receivers fetch instead of the files. It
    /// is beside the index, unless --source says where receivers find it. What packs of the index that is replaced have is
    /// not written again [default: receivers fetch the files]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) content: Option<PathBuf>,
    /// The index of the version before, whose packs are in the folder of --content [default: INDEX, if it is there]
    #[arg(long, value_name = "INDEX", requires = "content")]
    previous: Option<PathBuf>,
    /// Of a directory: say in the index who may do what with each file and directory (the nine lowest bits of a Unix mode), so
    /// that receivers set it [default: only whether a file may be executed]
    #[arg(long)]
    modes: bool,
    /// Of a directory: say in the index when each file was last changed, in whole seconds, so that receivers set it
    #[arg(long)]
    times: bool,
    /// At last, remove from the folder of --content the packs that no index (*.gosync) in the folder of INDEX names
    #[arg(long, requires = "content")]
    pub(crate) prune: bool,
}

impl IndexArgs {
    /// The index of the version before, where `output` is the place of the new one.
    fn previous(&self, output: &Path) -> Option<PathBuf> {
        let replaced = || Some(output.to_owned()).filter(|path| path.is_file());
        self.content.as_ref()?;
        self.previous.clone().or_else(replaced)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct UpdateArgs {
    /// The file to update; one that exists is the first seed
    #[arg(value_name = "TARGET", required_unless_present = "output")]
    target: Option<PathBuf>,
    /// The same as TARGET [default: TARGET]
    #[arg(short, long, value_name = "TARGET")]
    output: Option<PathBuf>,
    /// The index of the new version: a path or URL
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) index: OsString,
    /// Where the new version is: a path or URL [default: where the index says, beside the index or below]
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) source: Option<OsString>,
    /// Where the same content is too: a path or URL; may be given several times [default: none]
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) mirror: Vec<OsString>,
    /// A file that may share content with the new version, also a block device or a pipe, or a directory with all files in
    /// it; may be given several times [default: TARGET alone]
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) seed: Vec<PathBuf>,
    /// Do not use TARGET as a seed [default: use it]
    #[arg(long)]
    pub(crate) ignore_target: bool,
    /// Follow the index to a source outside its own folder or on another server [default: refuse]
    #[arg(long)]
    pub(crate) allow_any_source: bool,
    /// Look through all seeds to their end, however little they seem to share with the new version
    /// [default: end the search where fetching is much faster]
    #[arg(long)]
    pub(crate) thorough: bool,
    /// On Windows, how long a TARGET that another program holds is waited for, in seconds or with ms, s, m
    /// [default: 0, which is 30s]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "0", hide_default_value = true)]
    pub(crate) replace_timeout: Duration,
    /// On Windows, move a TARGET aside that is held still then, which works for a running program too, and remove it at
    /// the next update [default: fail]
    #[arg(long)]
    pub(crate) move_aside: bool,
    /// What the new file has of the one that it replaces, as far as the platform can: none, or any of mode, owner, xattrs
    /// and times, with commas between [default: mode,owner,xattrs]
    #[arg(long, value_name = "LIST", default_value = "mode,owner,xattrs", hide_default_value = true)]
    pub(crate) keep: Keep,
    /// Fail if TARGET is a symbolic link [default: update what it leads to]
    #[arg(long)]
    pub(crate) refuse_symlink: bool,
    /// Change TARGET itself instead of replacing it: for files that there is no room for twice, and for block devices. From
    /// the first change to the last it is neither the old version nor the new one; if the update ends early, the next one
    /// finishes it [default: replace it at the end, by one rename]
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Where the file is by which an update in place is finished; a block device needs one
    /// [default: .NAME.gosync-journal, beside TARGET]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Of a directory, believe that a file is what an earlier update made of it if its size and its time are the same
    /// [default: read all of it]
    #[arg(long)]
    pub(crate) quick: bool,
    /// Make a directory exactly what the index says [default: what no update has put there stays]
    #[arg(long)]
    pub(crate) delete: bool,
    #[command(flatten)]
    pub(crate) open: OpenArgs,
    /// Requests that may be unanswered at the same time [default: 0, which is 8]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "Fetching")]
    max_requests: usize,
    /// Bytes that may be asked for and not yet written [default: 0, which is 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, default_value = "0", hide_default_value = true, help_heading = "Fetching")]
    max_bytes_in_flight: u64,
    /// Gaps between missing ranges that are fetched along, at most, where that is cheaper than another range
    /// [default: 0, which is 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, default_value = "0", hide_default_value = true, help_heading = "Fetching")]
    max_gap: u64,
    /// Plan with this round trip, in seconds or with ms, s [default: 0, as measured]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, default_value = "0", hide_default_value = true, help_heading = "Fetching")]
    pub(crate) assume_rtt: Duration,
    /// Plan with this rate in bytes per second, with kB, MB, GB, KiB, MiB or GiB [default: 0, as measured]
    #[arg(long, value_name = "RATE", value_parser = quantity::rate, default_value = "0", hide_default_value = true, help_heading = "Fetching")]
    pub(crate) assume_rate: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The file to compare, or the directory if the index describes one
    #[arg(value_name = "TARGET")]
    pub(crate) target: PathBuf,
    /// The index to compare with: a path or URL
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) index: OsString,
    /// If TARGET differs, fetch what is damaged, and only that: an update with TARGET as the only seed [default: only say so]
    #[arg(long)]
    pub(crate) repair: bool,
    /// Repair TARGET itself instead of replacing it, as `update --in-place` does: for files that there is no room for twice,
    /// and for block devices [default: replace it at the end, by one rename]
    #[arg(long, requires = "repair")]
    pub(crate) in_place: bool,
    /// Where the file is by which an update of TARGET in place is finished, if one ended early
    /// [default: .NAME.gosync-journal, beside TARGET]
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Where to fetch it from: a path or URL [default: where the index says, beside the index or below]
    #[arg(long, value_name = "PATH|URL", requires = "repair")]
    pub(crate) source: Option<OsString>,
    /// Follow the index to a source outside its own folder or on another server [default: refuse]
    #[arg(long, requires = "repair")]
    pub(crate) allow_any_source: bool,
    #[command(flatten)]
    pub(crate) open: OpenArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    /// The index: a path or URL
    #[arg(value_name = "INDEX")]
    pub(crate) index: OsString,
    #[command(flatten)]
    pub(crate) open: OpenArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LintArgs {
    /// The file or directory to be published. A tar or zip is looked into
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// An older version of it, a file or a directory: measure what FILE shares with that [default: measure nothing]
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) old: Option<PathBuf>,
    /// Bytes of a block, as of its index [default: 0, by file size]
    #[arg(long, value_name = "SIZE", value_parser = quantity::small_size, default_value = "0", hide_default_value = true)]
    pub(crate) block_size: u32,
    /// What of a directory is left out, as of its index; may be given several times [default: nothing]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
}

impl Args {
    /// Refuses what only several arguments together make wrong.
    pub(crate) fn check(self) -> std::result::Result<Args, clap::Error> {
        if let Verb::Plan(args) | Verb::Update(args) = &self.verb
            && let (Some(target), Some(output)) = (&args.target, &args.output)
            && target != output
        {
            let message = format!("TARGET is given twice: '{}' and -o '{}'", target.display(), output.display());
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(self)
    }
}

impl Verb {
    /// The word on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Verb::Index(_) => "index",
            Verb::Plan(_) => "plan",
            Verb::Update(_) => "update",
            Verb::Verify(_) => "verify",
            Verb::Info(_) => "info",
            Verb::Lint(_) => "lint",
        }
    }
}

impl Common {
    /// The options of `index`. Reads the password, from where it is.
    pub(crate) fn index_options(&self, args: &IndexArgs, output: &Path, observer: &Observer) -> Result<IndexOptions> {
        Ok(IndexOptions {
            block_size: args.block_size,
            top_size: args.top_size,
            threads: self.threads,
            source: args.source.clone(),
            format: Format::from_name(&args.format)?,
            name: args.name.clone(),
            version: args.version.clone(),
            sign: args.sign.clone(),
            sign_password: args.sign_password()?,
            exclude: args.exclude.clone(),
            content: args.content.clone(),
            previous: args.previous(output),
            modes: args.modes,
            times: args.times,
            observer: observer.clone(),
        })
    }

    /// The options of `verify`.
    pub(crate) fn verify_options(&self, args: &VerifyArgs, observer: &Observer) -> VerifyOptions {
        VerifyOptions { threads: self.threads, journal: args.journal.clone(), observer: observer.clone() }
    }

    /// The options of `verify --repair`.
    pub(crate) fn repair_options(&self, args: &VerifyArgs, open: OpenOptions, observer: &Observer) -> JobOptions {
        JobOptions {
            threads: self.threads,
            retries: args.open.retries,
            timeout: args.open.timeout,
            allow_any_source: args.allow_any_source,
            // What is damaged is to be found to the last block.
            thorough: true,
            in_place: args.in_place,
            journal: args.journal.clone(),
            open,
            observer: observer.clone(),
            ..JobOptions::default()
        }
    }

    /// The options of `plan` and `update`.
    pub(crate) fn job_options(&self, args: &UpdateArgs, open: OpenOptions, observer: &Observer) -> JobOptions {
        JobOptions {
            threads: self.threads,
            max_requests: args.max_requests,
            max_bytes_in_flight: args.max_bytes_in_flight,
            retries: args.open.retries,
            timeout: args.open.timeout,
            max_gap: args.max_gap,
            assume_rtt: args.assume_rtt,
            assume_rate: args.assume_rate,
            ignore_target: args.ignore_target,
            allow_any_source: args.allow_any_source,
            thorough: args.thorough,
            replace_timeout: args.replace_timeout,
            move_aside: args.move_aside,
            keep: args.keep,
            refuse_symlink: args.refuse_symlink,
            in_place: args.in_place,
            journal: args.journal.clone(),
            quick: args.quick,
            delete: args.delete,
            open,
            observer: observer.clone(),
        }
    }
}

impl IndexArgs {
    /// The password of the secret key. A person at the terminal is asked for it, if there is one.
    fn sign_password(&self) -> Result<Option<String>> {
        let Some(key) = &self.sign else { return Ok(None) };
        if let Some(given) = &self.sign_password {
            return given.text().map(Some);
        }
        if !std::io::stdin().is_terminal() || !gosync_io::needs_password(key)? {
            return Ok(None);
        }
        let asked = rpassword::prompt_password(format!("Password of {}: ", key.display()));
        asked.map(Some).map_err(|cause| Error::from_io(cause, "cannot ask for the password of", key.display()))
    }
}

impl UpdateArgs {
    /// TARGET, however it was given. The parser lets nobody through who gave none.
    pub(crate) fn target(&self) -> &Path {
        self.target.as_deref().or(self.output.as_deref()).unwrap_or(Path::new(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_option_names_its_default() {
        let mut command = Args::command();
        command.build();
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            for option in verb.get_opts().filter(|option| !option.is_required_set()) {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("[default: "), "{} --{}: {help}", verb.get_name(), option.get_id());
            }
        }
    }
}
