//! The job: plan and update.

use std::path::{Path, PathBuf};

use gosync_binding::{Change, Index, Job, JobOptions, Plan, Result, Seen, Statistics};
use napi::Env;
use napi::bindgen_prelude::{Function, Object};
use napi_derive::napi;

use crate::channel::{Channel, Message, Wants};
use crate::index::{Given, IndexHandle, OpenInput, SourceInput, open_options};
use crate::value::{number, whole};
use crate::work::{CancelHandle, Outcome, start};

/// How to plan and run an update.
#[napi(object, object_to_js = false)]
pub struct JobInput {
    /// The file to bring up to date.
    pub target: String,
    /// Local files that may help, or directories with all files in them.
    pub seeds: Vec<String>,
    /// Worker threads.
    pub threads: Option<u32>,
    /// Requests that the source may have unanswered.
    pub max_requests: Option<u32>,
    /// Bytes asked for and not yet written.
    pub max_bytes_in_flight: Option<f64>,
    /// Gaps that are fetched along, at most.
    pub max_gap: Option<f64>,
    /// Milliseconds of a round trip to plan with.
    pub assume_rtt: Option<f64>,
    /// Bytes per second to plan with.
    pub assume_rate: Option<f64>,
    /// How sources are opened. Its timeout and retries are the job's too.
    pub open: OpenInput,
    /// Do not use what is at the target as a seed.
    pub ignore_target: bool,
    /// Let the index name any source.
    pub allow_any_source: bool,
    /// Look through all seeds to their end.
    pub thorough: bool,
    /// Milliseconds that a target is waited for which another program holds.
    pub replace_timeout: Option<u32>,
    /// Move an old file aside that is held still then.
    pub move_aside: bool,
    /// What is kept of the file that is replaced.
    pub keep: Option<String>,
    /// A target that is a symbolic link is an error.
    pub refuse_symlink: bool,
    /// Change the target itself instead of replacing it.
    pub in_place: bool,
    /// Believe that a file of a directory is what an earlier update made of it by its size and time.
    pub quick: bool,
    /// Make a directory exactly what the index says.
    pub delete: bool,
    /// Where the journal of an update in place is.
    pub journal: Option<String>,
}

/// A run of the target that comes from one place.
#[napi(object, object_from_js = false)]
pub struct PieceInfo {
    /// Offset in the target.
    pub target_offset: f64,
    /// Number of bytes.
    pub length: f64,
    /// Whether it is to be fetched.
    pub is_missing: bool,
    /// Number of the seed.
    pub seed: Option<u32>,
    /// Offset in the seed.
    pub seed_offset: Option<f64>,
}

/// An entry of a directory that would change.
#[napi(object, object_from_js = false)]
pub struct ChangeInfo {
    /// Names from the directory to the entry.
    pub path: String,
    /// What becomes of it.
    #[napi(ts_type = "'added' | 'changed' | 'renamed' | 'removed' | 'kept' | 'mode' | 'link'")]
    pub what: String,
    /// The path that a renamed file has now.
    pub from: Option<String>,
    /// Bytes of the file.
    pub size: f64,
}

/// What an update would do.
#[napi(object, object_from_js = false)]
pub struct PlanInfo {
    /// Bytes of the target.
    pub total: f64,
    /// Bytes that the seeds have.
    pub from_seeds: f64,
    /// Bytes that are missing.
    pub missing: f64,
    /// Bytes that would be asked for.
    pub to_fetch: f64,
    /// Ranges that would be asked for.
    pub ranges: f64,
    /// Bytes of the index that was read.
    pub index_size: f64,
    /// The target is the new version already.
    pub up_to_date: bool,
    /// Whether an update of the target, in place or of a directory, was not finished.
    pub unfinished: bool,
    /// How the missing bytes would be fetched.
    #[napi(ts_type = "'local' | 'ranges' | 'whole'")]
    pub strategy: String,
    /// Milliseconds of a round trip, if known.
    pub round_trip: Option<f64>,
    /// Bytes per second, if known.
    pub rate: Option<f64>,
    /// Milliseconds that fetching the missing ranges would take, if known.
    pub time: Option<f64>,
    /// Milliseconds that fetching everything in one go would take, if known.
    pub time_whole: Option<f64>,
    /// Why it would be done this way.
    pub reason: String,
    /// An exact cover of the target.
    pub pieces: Vec<PieceInfo>,
    /// What would become of the entries of a directory.
    pub changes: Vec<ChangeInfo>,
}

/// What an update did.
#[napi(object, object_from_js = false)]
pub struct StatisticsInfo {
    /// Bytes of the target.
    pub total: f64,
    /// Bytes from seeds.
    pub from_seeds: f64,
    /// Bytes that were lacking and arrived.
    pub fetched: f64,
    /// Bytes that arrived and were not needed.
    pub wasted: f64,
    /// Verified bytes that were written; what was at its place already is not among them.
    pub written: f64,
    /// Round trips.
    pub requests: f64,
    /// Requests that were repeated.
    pub retries: f64,
    /// Whether nothing was written, because the target was right already.
    pub up_to_date: bool,
    /// Bytes of the index that were read.
    pub index_size: f64,
    /// What proves the result.
    pub proof: String,
    /// The root of what the target is now.
    pub root: Option<String>,
    /// Why it was done this way.
    pub reason: String,
}

/// Says what an update would do.
#[napi(ts_return_type = "Promise<Outcome>")]
#[allow(clippy::too_many_arguments, reason = "the arguments of JavaScript")]
pub fn plan_update<'env>(
    env: &'env Env,
    index: &IndexHandle,
    source: SourceInput,
    mirrors: Vec<SourceInput>,
    options: JobInput,
    cancel: &CancelHandle,
    wants: Wants,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let mirrors = mirrors.into_iter().map(Given::from).collect();
    let order = Order { source: source.into(), mirrors, options, wants };
    let (index, token) = (index.share(), cancel.token());
    start(env, &tell, move |channel| {
        let plan = order.job(&index, token, channel)?.plan()?;
        Ok(Outcome { plan: Some(plan_info(&plan)), ..Outcome::default() })
    })
}

/// Brings the target up to date.
#[napi(ts_return_type = "Promise<Outcome>")]
#[allow(clippy::too_many_arguments, reason = "the arguments of JavaScript")]
pub fn run_update<'env>(
    env: &'env Env,
    index: &IndexHandle,
    source: SourceInput,
    mirrors: Vec<SourceInput>,
    options: JobInput,
    cancel: &CancelHandle,
    wants: Wants,
    tell: Function<'env, Message, ()>,
) -> napi::Result<Object<'env>> {
    let mirrors = mirrors.into_iter().map(Given::from).collect();
    let order = Order { source: source.into(), mirrors, options, wants };
    let (index, token) = (index.share(), cancel.token());
    start(env, &tell, move |channel| {
        let statistics = order.job(&index, token, channel)?.run()?;
        Ok(Outcome { statistics: Some(statistics_info(statistics)), ..Outcome::default() })
    })
}

/// What both verbs are told.
struct Order {
    source: Given,
    mirrors: Vec<Given>,
    options: JobInput,
    wants: Wants,
}

impl Order {
    fn job(self, index: &Index, cancel: gosync_binding::Cancel, channel: &Channel) -> Result<Job> {
        let given = self.options;
        let observer = channel.observer(&self.wants, cancel);
        let open = open_options(given.open, observer.without_progress());
        let source = self.source.source(&open, channel)?;
        let mirrors = self.mirrors.into_iter().map(|mirror| mirror.source(&open, channel));
        let mirrors = mirrors.collect::<Result<Vec<_>>>()?;
        let options = JobOptions {
            threads: given.threads.unwrap_or_default(),
            max_requests: given.max_requests.unwrap_or_default(),
            max_bytes_in_flight: given.max_bytes_in_flight.map(whole).unwrap_or_default(),
            retries: open.retries,
            timeout_ms: open.http.timeout_ms,
            max_gap: given.max_gap.map(whole).unwrap_or_default(),
            assume_rtt_ms: given.assume_rtt.unwrap_or_default(),
            assume_rate: given.assume_rate.map(whole).unwrap_or_default(),
            ignore_target: given.ignore_target,
            allow_any_source: given.allow_any_source,
            thorough: given.thorough,
            replace_timeout_ms: given.replace_timeout.unwrap_or_default(),
            move_aside: given.move_aside,
            keep: given.keep,
            refuse_symlink: given.refuse_symlink,
            in_place: given.in_place,
            quick: given.quick,
            delete: given.delete,
            journal: given.journal.map(PathBuf::from),
            open: Some(open),
            observer,
        };
        let job = Job::new(index, source.as_ref(), Path::new(&given.target), &options)?;
        for mirror in mirrors.iter().flatten() {
            job.add_mirror(mirror)?;
        }
        for seed in given.seeds {
            job.add_seed(&PathBuf::from(seed))?;
        }
        Ok(job)
    }
}

fn plan_info(plan: &Plan) -> PlanInfo {
    let piece = |i| {
        let piece = plan.piece(i)?;
        let (seed, seed_offset) = match piece.seen {
            Seen::Seed { seed, offset } => (Some(seed), Some(number(offset))),
            Seen::Missing => (None, None),
        };
        let (target_offset, length) = (number(piece.offset), number(piece.length));
        Some(PieceInfo { target_offset, length, is_missing: seed.is_none(), seed, seed_offset })
    };
    PlanInfo {
        total: number(plan.total()),
        from_seeds: number(plan.from_seeds()),
        missing: number(plan.missing()),
        to_fetch: number(plan.to_fetch()),
        ranges: number(plan.ranges()),
        index_size: number(plan.index_size()),
        up_to_date: plan.up_to_date(),
        unfinished: plan.unfinished(),
        strategy: plan.strategy(),
        round_trip: plan.round_trip_ms(),
        rate: plan.rate().map(number),
        time: plan.time_ms(),
        time_whole: plan.time_whole_ms(),
        reason: plan.reason(),
        pieces: (0..plan.piece_count()).filter_map(piece).collect(),
        changes: (0..plan.change_count()).filter_map(|i| plan.change(i)).map(change_info).collect(),
    }
}

fn change_info(change: Change) -> ChangeInfo {
    ChangeInfo { path: change.path, what: change.what, from: change.from, size: number(change.size) }
}

fn statistics_info(statistics: Statistics) -> StatisticsInfo {
    StatisticsInfo {
        total: number(statistics.total),
        from_seeds: number(statistics.from_seeds),
        fetched: number(statistics.fetched),
        wasted: number(statistics.wasted),
        written: number(statistics.written),
        requests: number(statistics.requests),
        retries: number(statistics.retries),
        up_to_date: statistics.up_to_date,
        index_size: number(statistics.index_size),
        proof: statistics.proof,
        root: statistics.root,
        reason: statistics.reason,
    }
}
