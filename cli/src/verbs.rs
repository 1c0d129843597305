//! The verbs: from arguments to the library and from its answer to rows and fields.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gosync_io::source::FileSource;
use gosync_io::{
    Cancel, Change, ChangeKind, Digest, Error, ErrorKind, Index, Job, Observer, OpenOptions, Plan, Result, Source,
    Strategy, Verification,
};
use serde_json::Value;

use crate::args::{Args, Common, IndexArgs, InfoArgs, UpdateArgs, Verb, VerifyArgs};
use crate::outcome::Outcome;
use crate::ui::Ui;
use crate::{exit, json, lint, text};

/// Does what `args` say.
pub(crate) fn run(args: &Args, ui: &Arc<Ui>, cancel: &Cancel) -> Result<Outcome> {
    let observer = ui.observer(cancel);
    let common = &args.common;
    match &args.verb {
        Verb::Index(args) => index(common, args, &observer),
        Verb::Plan(args) => plan(common, args, &observer, ui.is_verbose()),
        Verb::Update(args) => update(common, args, &observer),
        Verb::Verify(args) => verify(common, args, &observer),
        Verb::Info(args) => info(args, &observer),
        Verb::Lint(args) => lint::lint(common, args, &observer),
    }
}

fn index(common: &Common, args: &IndexArgs, observer: &Observer) -> Result<Outcome> {
    let is_stdin = args.file == Path::new("-");
    let path = match &args.output {
        Some(path) => path.clone(),
        None => beside(&args.file)?,
    };
    check_output(&args.file, &path)?;
    let options = common.index_options(args, &path, observer)?;
    let index = match is_stdin {
        true => gosync_io::index_stream(std::io::stdin(), &options)?,
        false => gosync_io::index_file(&args.file, &options)?,
    };
    gosync_io::save_index(&index, &path)?;
    let outcome = Outcome::new("index").row("index", path.to_string_lossy()).row("root", root_text(index.root()));
    let mut outcome = contents(outcome, &index);
    if let (true, Some(content)) = (args.prune, &args.content) {
        let pruned = gosync_io::prune(content, &indexes_beside(&path)?)?;
        outcome = outcome.row("pruned", format!("{} packs, {}", pruned.packs, text::short_bytes(pruned.bytes)));
        outcome = outcome.field("pruned", pruned.packs).field("pruned_bytes", pruned.bytes);
    }
    Ok(describe(outcome.field("path", path.to_string_lossy()), &index))
}

/// The indexes in the folder of one, that one among them.
fn indexes_beside(index: &Path) -> Result<Vec<PathBuf>> {
    let folder = index.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |cause| Error::from_io(cause, "cannot look for indexes", folder.display());
    let mut indexes = vec![index.to_owned()];
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "gosync") && path.is_file() {
            indexes.push(path);
        }
    }
    Ok(indexes)
}

/// `FILE.gosync`, whatever FILE ends in. Only a file or directory has a place where its index is looked for.
fn beside(file: &Path) -> Result<PathBuf> {
    let is_special = || file.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
    if file == Path::new("-") || is_special() {
        let text = "what is described is not a regular file; say with -o where to write its index";
        return Err(Error::new(ErrorKind::Argument, text).with("path", file.display()));
    }
    if file.file_name().is_none() {
        let text = "the directory is named by no name of its own; say with -o where to write its index";
        return Err(Error::new(ErrorKind::Argument, text).with("path", file.display()));
    }
    // Without a slash at the end.
    let mut name = file.components().as_path().as_os_str().to_owned();
    name.push(".gosync");
    Ok(name.into())
}

/// Refuses an output that cannot work or would do harm before the whole file is read for nothing.
fn check_output(file: &Path, output: &Path) -> Result<()> {
    if let (Ok(file), Ok(same)) = (file.canonicalize(), output.canonicalize())
        && file == same
    {
        let error = Error::new(ErrorKind::Argument, "the index would overwrite the file that it describes");
        return Err(error.with("path", output.display()));
    }
    if output.is_dir() {
        return Err(
            Error::new(ErrorKind::Argument, "the index cannot be written over a folder").with("path", output.display())
        );
    }
    let above = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.is_dir()
        && let (Ok(file), Ok(above)) = (file.canonicalize(), above.canonicalize())
        && above.starts_with(file)
    {
        let text = "the index would be in the directory that it describes; say with -o where else to write it";
        return Err(Error::new(ErrorKind::Argument, text).with("path", output.display()));
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match folder.metadata() {
        Ok(_) => Ok(()),
        Err(cause) => Err(Error::from_io(cause, "cannot write the index into its folder", folder.display())),
    }
}

fn plan(common: &Common, args: &UpdateArgs, observer: &Observer, with_pieces: bool) -> Result<Outcome> {
    let plan = job(common, args, observer)?.plan()?;
    let known = |time: Duration| Some(time).filter(|time| !time.is_zero()).map(|time| time.as_secs_f64());
    let outcome = plan_rows(args, &plan)
        .field("target", args.target().to_string_lossy())
        .field("total", plan.total)
        .field("from_seeds", plan.from_seeds)
        .field("missing", plan.missing)
        .field("to_fetch", plan.to_fetch)
        .field("ranges", plan.ranges)
        .field("index_size", plan.index_size)
        .field("up_to_date", plan.up_to_date)
        .field("unfinished", plan.unfinished)
        .field("strategy", plan.strategy.name())
        .field("round_trip", plan.round_trip.and_then(known))
        .field("rate", plan.rate)
        .field("assume_rtt", known(args.assume_rtt))
        .field("assume_rate", Some(args.assume_rate).filter(|rate| *rate > 0))
        .field("time", plan.time.and_then(known))
        .field("time_whole", plan.time_whole.and_then(known))
        .field("reason", plan.reason.as_str())
        .field("changes", plan.changes.iter().map(json::change).collect::<Value>());
    Ok(match with_pieces {
        true => outcome.field("pieces", plan.pieces.iter().map(json::piece).collect::<Value>()),
        false => outcome,
    })
}

fn plan_rows(args: &UpdateArgs, plan: &Plan) -> Outcome {
    let is_assumed = |assumed| if assumed { "assumed" } else { "measured" };
    let time = |time: Option<Duration>| time.map_or(String::from("not known"), text::time);
    let round_trip = plan.round_trip.map_or(String::from("not known"), |time| {
        format!("{}, {}", text::time(time), is_assumed(!args.assume_rtt.is_zero()))
    });
    let rate = plan.rate.map_or(String::from("not known"), |rate| {
        format!("{}, {}", text::rate(rate), is_assumed(args.assume_rate > 0))
    });
    let outcome = Outcome::new("plan")
        .row("target", args.target().to_string_lossy())
        .row("total", text::bytes(plan.total))
        .row("from seeds", text::share(plan.from_seeds, plan.total))
        .row("missing", text::share(plan.missing, plan.total))
        .row("to fetch", text::bytes(plan.to_fetch))
        .row("ranges", plan.ranges.to_string())
        .row("index bytes", text::bytes(plan.index_size))
        .row("up to date", if plan.up_to_date { "yes" } else { "no" });
    let outcome = if plan.unfinished { outcome.row("unfinished", UNFINISHED) } else { outcome };
    let outcome = match plan.strategy {
        Strategy::Local => outcome,
        _ => outcome
            .row("round trip", round_trip)
            .row("rate", rate)
            .row("by ranges", time(plan.time))
            .row("in one go", time(plan.time_whole)),
    };
    changes(outcome.row("strategy", plan.strategy.name()).row("reason", plan.reason.as_str()), &plan.changes)
}

/// The rows that say what becomes of the entries of a directory: how many of each kind, then each.
fn changes(mut outcome: Outcome, changes: &[Change]) -> Outcome {
    for kind in ChangeKind::ALL {
        let of_kind = || changes.iter().filter(|change| change.what == *kind);
        let (count, bytes) = (of_kind().count(), of_kind().map(|change| change.size).sum());
        let plural = if count == 1 { "entry" } else { "entries" };
        if count > 0 {
            outcome = outcome.row(kind.name(), format!("{count} {plural}, {}", text::bytes(bytes)));
        }
    }
    for change in changes.iter().take(SHOWN_ENTRIES) {
        let from = change.from.as_ref().map(|from| format!(" (was {from})")).unwrap_or_default();
        outcome = outcome.row(change.what.name(), format!("{}{from}", change.path));
    }
    match changes.len().saturating_sub(SHOWN_ENTRIES) {
        0 => outcome,
        more => outcome.row("and", format!("{more} more entries (--json lists all)")),
    }
}

/// Entries of a directory that a person may still want to read; programs get all of them.
const SHOWN_ENTRIES: usize = 100;

fn update(common: &Common, args: &UpdateArgs, observer: &Observer) -> Result<Outcome> {
    let done = job(common, args, observer)?.run()?;
    let target = args.target().to_string_lossy();
    Ok(Outcome::new("update")
        .row(if done.up_to_date { "up to date" } else { "updated" }, target.clone())
        .row("total", text::bytes(done.total))
        .row("from seeds", text::share(done.from_seeds, done.total))
        .row("fetched", text::share(done.fetched, done.total))
        .row("wasted", text::bytes(done.wasted))
        .row("requests", done.requests.to_string())
        .row("retries", done.retries.to_string())
        .row("index bytes", text::bytes(done.index_size))
        .row("proof", done.root.map_or_else(|| done.proof.to_owned(), |root| format!("{} {root}", done.proof)))
        .row("reason", done.reason.as_str())
        .field("target", target)
        .field("total", done.total)
        .field("from_seeds", done.from_seeds)
        .field("fetched", done.fetched)
        .field("wasted", done.wasted)
        .field("written", done.written)
        .field("requests", done.requests)
        .field("retries", done.retries)
        .field("up_to_date", done.up_to_date)
        .field("index_size", done.index_size)
        .field("proof", done.proof)
        .field("root", done.root.map(|root| root.to_string()))
        .field("reason", done.reason.as_str()))
}

/// The job that `plan` looks at and `update` runs.
fn job(common: &Common, args: &UpdateArgs, observer: &Observer) -> Result<Job> {
    let open = args.open.options(Some(args.target()), observer)?;
    let (assume_rtt, assume_rate) = (args.assume_rtt, args.assume_rate);
    let open = OpenOptions { threads: common.threads, assume_rtt, assume_rate, ..open };
    let index = Arc::new(open_index(&args.index, &open)?);
    let source = args.source.as_deref().map(|location| open_source(location, &open)).transpose()?;
    let mirrors = args.mirror.iter().map(|location| open_source(location, &open)).collect::<Result<Vec<_>>>()?;
    let job = Job::new(index, source, args.target(), common.job_options(args, open, observer))?;
    mirrors.into_iter().for_each(|mirror| job.add_mirror(mirror));
    args.seed.iter().try_for_each(|seed| job.add_seed(seed))?;
    Ok(job)
}

fn verify(common: &Common, args: &VerifyArgs, observer: &Observer) -> Result<Outcome> {
    let open = OpenOptions { threads: common.threads, ..args.open.options(Some(&args.target), observer)? };
    let index = Arc::new(open_index(&args.index, &open)?);
    let found = gosync_io::verify_file(&args.target, &index, &common.verify_options(args, observer))?;
    let target = args.target.to_string_lossy();
    let outcome = Outcome::new("verify")
        .field("target", target.clone())
        .field("is_match", found.is_match())
        .field("length", found.length)
        .field("expected_length", found.expected_length)
        .field("damaged", found.damaged.iter().map(json::range).collect::<Value>())
        .field("differences", found.differences.iter().map(json::difference).collect::<Value>())
        .field("unfinished", found.unfinished);
    let root = |outcome: Outcome, root: Option<Digest>| outcome.field("root", root.map(|root| root.to_string()));
    if found.is_match() {
        let outcome = root(outcome, index.root()).row("match", target).row("root", root_text(index.root()));
        return Ok(differences(outcome, &found));
    }
    if !args.repair {
        let outcome = root(outcome, index.root()).row("different", target);
        return Ok(damage(outcome.exit(exit::DIFFERENT), &found));
    }
    let source = args.source.as_deref().map(|location| open_source(location, &open)).transpose()?;
    let options = common.repair_options(args, open, observer);
    let done = Job::new(Arc::clone(&index), source, &args.target, options)?.run()?;
    // A newer version may have come meanwhile.
    let outcome = damage(root(outcome, done.root).row("repaired", target), &found)
        .row("fetched", text::share(done.fetched, done.total))
        .field("repaired", true)
        .field("fetched", done.fetched)
        .field("wasted", done.wasted);
    Ok(outcome.row("root", root_text(done.root)))
}

/// What is said of a target that is neither an old version nor a new one.
const UNFINISHED: &str = "an update ended early; run it again to finish it";

/// The rows that say in what a file differs.
fn damage(mut outcome: Outcome, found: &Verification) -> Outcome {
    /// Ranges that a person may still want to read; programs get all of them.
    const SHOWN: usize = 20;
    if found.length != found.expected_length && found.differences.is_empty() {
        outcome = outcome.row("length", text::bytes(found.length)).row("expected", text::bytes(found.expected_length));
    }
    if found.unfinished {
        outcome = outcome.row("unfinished", UNFINISHED);
    }
    for range in found.damaged.iter().take(SHOWN) {
        outcome = outcome.row("damaged", format!("offset {}, length {}", range.offset, text::bytes(range.length)));
    }
    let outcome = match found.damaged.len().saturating_sub(SHOWN) {
        0 => outcome,
        more => outcome.row("damaged", format!("and {more} more ranges (--json lists all)")),
    };
    differences(outcome, found)
}

/// The rows that say in what a directory differs.
fn differences(mut outcome: Outcome, found: &Verification) -> Outcome {
    for difference in found.differences.iter().take(SHOWN_ENTRIES) {
        let bytes: u64 = difference.damaged.iter().map(|range| range.length).sum();
        let damage = match difference.damaged.len() {
            0 => String::new(),
            count => format!(" ({} in {count} places)", text::short_bytes(bytes)),
        };
        outcome = outcome.row(difference.what.name(), format!("{}{damage}", difference.path));
    }
    match found.differences.len().saturating_sub(SHOWN_ENTRIES) {
        0 => outcome,
        more => outcome.row("and", format!("{more} more entries (--json lists all)")),
    }
}

fn info(args: &InfoArgs, observer: &Observer) -> Result<Outcome> {
    let options = args.open.options(None, observer)?;
    let index = open_index(&args.index, &options)?;
    let origin = index.origin().map(gosync_io::without_secrets);
    let outcome = Outcome::new("info")
        .row("kind", index.kind())
        .row("format", index.format().name())
        .row("length", text::bytes(index.length()))
        .row("root", root_text(index.root()))
        .row("block size", text::bytes(index.block_size().into()))
        .row("top size", text::bytes(index.top_size()))
        .row("blocks", index.block_count().to_string())
        .row("units", index.unit_count().to_string())
        .row("index size", text::bytes(index.encoded_size()))
        .row("source", index.source().unwrap_or("none"))
        .row("name", index.name().unwrap_or("none"))
        .row("version", index.version().unwrap_or("none"))
        .row("signature", signature(&index, &options))
        .row("origin", origin.as_deref().unwrap_or("none"));
    let outcome = contents(outcome, &index);
    Ok(describe(outcome, &index).field("origin", origin))
}

/// What there is to say of the signature: an index with a wrong one was not opened, if a key was given.
fn signature(index: &Index, options: &OpenOptions) -> &'static str {
    match (index.signature(), &options.public_key) {
        (None, _) => "none",
        (Some(_), None) => "there is one, not checked (--public-key checks it)",
        (Some(_), Some(_)) => "by the holder of the public key",
    }
}

/// The rows that say what is in a directory.
fn contents(outcome: Outcome, index: &Index) -> Outcome {
    match index.listing() {
        Some(listing) => outcome.row("entries", listing.count().to_string()).row("bytes", text::bytes(listing.total())),
        None => outcome,
    }
}

/// The fields of an index.
fn describe(outcome: Outcome, index: &Index) -> Outcome {
    outcome
        .field("kind", index.kind())
        .field("entry_count", index.listing().map_or(0, |listing| listing.count()))
        .field("format", index.format().name())
        .field("length", index.length())
        .field("root", index.root().map(|root| root.to_string()))
        .field("block_size", index.block_size())
        .field("top_size", index.top_size())
        .field("block_count", index.block_count())
        .field("unit_count", index.unit_count())
        .field("encoded_size", index.encoded_size())
        .field("source", index.source())
        .field("name", index.name())
        .field("version", index.version())
        .field("signature", index.signature())
}

/// The root, for people.
fn root_text(root: Option<Digest>) -> String {
    root.map_or_else(|| String::from("none"), |root| root.to_string())
}

fn open_index(location: &OsStr, options: &OpenOptions) -> Result<Index> {
    gosync_io::open_index(&spelled(location)?, options)
}

fn open_source(location: &OsStr, options: &OpenOptions) -> Result<Arc<dyn Source>> {
    match location.to_str() {
        Some(location) => gosync_io::open_source(location, options),
        None => Ok(Arc::new(FileSource::open(Path::new(location))?)),
    }
}

/// A location as the library takes it, which is text. A path that is not text becomes a `file:` URL.
fn spelled(location: &OsStr) -> Result<String> {
    if let Some(location) = location.to_str() {
        return Ok(location.to_owned());
    }
    let path = std::path::absolute(location);
    let path = path.map_err(|cause| Error::from_io(cause, "cannot find the path", location.display()))?;
    let url = url::Url::from_file_path(path).map(String::from);
    url.map_err(|()| {
        Error::new(ErrorKind::Argument, "the path cannot be written as text").with("path", location.display())
    })
}
