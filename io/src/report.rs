//! What a running piece of work tells its caller: progress, events, statistics.
//! Library code never prints; whoever wants to see something passes an [`Observer`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gosync_core::Digest;

use crate::cancel::Cancel;

/// What a job (or an index build, or a verification) is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing yet.
    #[default]
    Idle,
    /// Reading a file to index it.
    Indexing,
    /// Looking through the seeds for what is already here.
    Matching,
    /// Fetching what is missing and putting everything in its place.
    Transferring,
    /// Making the result durable and visible under its name.
    Publishing,
    /// Waiting for another program to let go of the target (on Windows).
    Waiting,
    /// Comparing a file with an index.
    Verifying,
    /// Putting the contents of a directory into packs.
    Packing,
    /// Over, successfully.
    Done,
}

impl Phase {
    /// Every phase, in order; the position is the number that the C face reports.
    pub const ALL: &'static [Phase] = &[
        Phase::Idle,
        Phase::Indexing,
        Phase::Matching,
        Phase::Transferring,
        Phase::Publishing,
        Phase::Waiting,
        Phase::Verifying,
        Phase::Packing,
        Phase::Done,
    ];

    /// The name that all faces share, for instance `matching`.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Indexing => "indexing",
            Phase::Matching => "matching",
            Phase::Transferring => "transferring",
            Phase::Publishing => "publishing",
            Phase::Waiting => "waiting",
            Phase::Verifying => "verifying",
            Phase::Packing => "packing",
            Phase::Done => "done",
        }
    }
}

/// A moment of a running piece of work. Counters and the fraction never go back, but for one case: when a newer version
/// turns out to be there and the job plans again for that, `from_seeds` and `written` begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Whether a cancel now would still stop it.
    pub cancellable: bool,
    /// How much of all work is done, from 0 to 1.
    pub fraction: f64,
    /// Bytes of the target (or of the file that is indexed or verified).
    pub total: u64,
    /// Bytes of the target that came from seeds.
    pub from_seeds: u64,
    /// Bytes that arrived from the source and were lacking.
    pub fetched: u64,
    /// Bytes that arrived from the source and were not needed (merged gaps, answers larger than asked, repeats).
    pub wasted: u64,
    /// Verified bytes that were written; what was at its place already is not among them.
    pub written: u64,
    /// Round trips to the source, as the source counts them.
    pub requests: u64,
    /// Requests that were repeated after a temporary failure.
    pub retries: u64,
}

/// What a job did, once it is over.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Bytes of the target.
    pub total: u64,
    /// Bytes of the target that came from seeds.
    pub from_seeds: u64,
    /// Bytes that arrived from the source and were lacking.
    pub fetched: u64,
    /// Bytes that arrived from the source and were not needed.
    pub wasted: u64,
    /// Verified bytes that were written; what was at its place already is not among them.
    pub written: u64,
    /// Round trips to the source, as the source counts them.
    pub requests: u64,
    /// Requests that were repeated after a temporary failure.
    pub retries: u64,
    /// Whether the target was the new version already, so that nothing was written.
    pub up_to_date: bool,
    /// Bytes of the index that were read, in part or whole; not among the other counters. Whatever was read of it before,
    /// for a plan or another job, counts as well.
    pub index_size: u64,
    /// What proves the result: `root` (the BLAKE3 of the whole target), or `blocks-md5` (the MD5 of each block, where the
    /// index says no more).
    pub proof: &'static str,
    /// The root of what the target is now, which a legacy index does not have: that of a newer index, if one was read meanwhile.
    pub root: Option<Digest>,
    /// Why it was done this way, one line.
    pub reason: String,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Something is wrong that the work survives.
    Warning,
    /// A step that a user may want to see.
    Info,
    /// A detail for whoever looks for a fault.
    Debug,
}

impl Level {
    /// Every level; the position is the number that the C face reports.
    pub const ALL: &'static [Level] = &[Level::Warning, Level::Info, Level::Debug];

    /// The name that all faces share, for instance `warning`.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// Something worth telling. Holds no secrets: URLs come without credentials and queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// How much it matters.
    pub level: Level,
    /// A stable name for programs, for instance `seed_dropped`.
    pub kind: &'static str,
    /// One line for people.
    pub message: String,
    /// The facts.
    pub fields: Vec<(&'static str, String)>,
}

/// Called with progress, at most ten times a second and once at the end.
pub type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;
/// Called with events, from any thread. Events of one piece of work come one call at a time; a source that was opened on
/// its own is such a piece.
pub type OnEvent = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who watches a piece of work and may stop it. Every blocking call takes one in its options.
#[derive(Clone, Default)]
pub struct Observer {
    /// Receives progress.
    pub progress: Option<OnProgress>,
    /// Receives events.
    pub events: Option<OnEvent>,
    /// Stops the work.
    pub cancel: Cancel,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Observer {
    /// The same observer, whose events come one call at a time, and no more once `over` is set.
    pub(crate) fn in_turn(&self, over: &Arc<AtomicBool>) -> Observer {
        let mut observer = self.clone();
        if let Some(listener) = observer.events.take() {
            let (turn, over) = (Mutex::new(()), Arc::clone(over));
            observer.events = Some(Arc::new(move |event| {
                // Looked at before the turn too: who set it must not wait for a listener that is stuck.
                if over.load(Ordering::Acquire) {
                    return;
                }
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                if !over.load(Ordering::Acquire) {
                    listener(event);
                }
            }));
        }
        observer
    }

    /// Tells an event to whoever listens.
    pub(crate) fn event(
        &self,
        level: Level,
        kind: &'static str,
        message: impl Into<String>,
        fields: &[(&'static str, &dyn std::fmt::Display)],
    ) {
        if let Some(listener) = &self.events {
            let fields = fields.iter().map(|(key, value)| (*key, value.to_string())).collect();
            listener(&Event { level, kind, message: message.into(), fields });
        }
    }
}

/// Keeps one piece of work's progress: counters only grow, the fraction never goes back,
/// and the listener hears of it at most ten times a second, one call at a time, and not after a cancel.
#[derive(Default)]
pub(crate) struct Meter {
    state: Mutex<Progress>,
    /// When the listener was last told; held while it is told.
    told: Mutex<Option<Instant>>,
    listener: Option<OnProgress>,
    cancel: Cancel,
}

impl Meter {
    /// Nine calls a second, which leaves room for the last one.
    const INTERVAL: Duration = Duration::from_millis(112);

    pub(crate) fn new(observer: &Observer) -> Self {
        let (listener, cancel) = (observer.progress.clone(), observer.cancel.clone());
        Meter { state: Mutex::default(), told: Mutex::default(), listener, cancel }
    }

    /// Another piece of work begins (a run after its plan), with a fraction of its own. What is under way is not disturbed.
    pub(crate) fn restart(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(state.phase, Phase::Transferring | Phase::Publishing | Phase::Waiting) {
            (state.phase, state.cancellable, state.fraction) = (Phase::Idle, true, 0.0);
        }
    }

    /// Changes the progress, and tells the listener unless it was told just now.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.change(change);
        // Whoever finds another thread telling leaves it to that one.
        if let (Some(_), Ok(told)) = (&self.listener, self.told.try_lock())
            && told.is_none_or(|told| told.elapsed() >= Self::INTERVAL)
        {
            self.tell(told);
        }
    }

    /// As [`Meter::update`], and the listener surely hears of it: for the last change.
    pub(crate) fn finish(&self, change: impl FnOnce(&mut Progress)) {
        self.change(change);
        self.tell(self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn get(&self) -> Progress {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.fraction;
        change(&mut state);
        state.fraction = state.fraction.max(before).min(1.0);
    }

    fn tell(&self, mut told: MutexGuard<'_, Option<Instant>>) {
        let Some(listener) = &self.listener else { return };
        if !self.cancel.is_cancelled() {
            listener(&self.get());
            *told = Some(Instant::now());
        }
    }
}
