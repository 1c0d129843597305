//! `gosync_observer` and what it hears: progress, events; and the statistics of a job that is over.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use gosync_io::{Event, Level, Observer, OnEvent, OnProgress, Phase, Progress, Result, Statistics};

use crate::cancel::gosync_cancel;
use crate::foreign::{DropFn, Foreign};
use crate::guard::{c_string, value};
use crate::sized::{self, sized};
use crate::status::padded;

/// Nothing yet.
pub const GOSYNC_PHASE_IDLE: u32 = 0;
/// Reading a file to index it.
pub const GOSYNC_PHASE_INDEXING: u32 = 1;
/// Looking through the seeds for what is already here.
pub const GOSYNC_PHASE_MATCHING: u32 = 2;
/// Fetching what is missing and putting everything in its place.
pub const GOSYNC_PHASE_TRANSFERRING: u32 = 3;
/// Making the result durable and visible under its name.
pub const GOSYNC_PHASE_PUBLISHING: u32 = 4;
/// Waiting for another program to let go of the target (on Windows).
pub const GOSYNC_PHASE_WAITING: u32 = 5;
/// Comparing a file with an index.
pub const GOSYNC_PHASE_VERIFYING: u32 = 6;
/// Putting the contents of a directory into packs.
pub const GOSYNC_PHASE_PACKING: u32 = 7;
/// Over, successfully.
pub const GOSYNC_PHASE_DONE: u32 = 8;

/// Something is wrong that the work survives.
pub const GOSYNC_LEVEL_WARNING: u32 = 0;
/// A step that a user may want to see.
pub const GOSYNC_LEVEL_INFO: u32 = 1;
/// A detail for whoever looks for a fault.
pub const GOSYNC_LEVEL_DEBUG: u32 = 2;

const _: () = {
    assert!(Phase::ALL.len() == 9 && Level::ALL.len() == 3, "each phase and level has its constant");
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_IDLE as usize], Phase::Idle));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_INDEXING as usize], Phase::Indexing));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_MATCHING as usize], Phase::Matching));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_TRANSFERRING as usize], Phase::Transferring));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_PUBLISHING as usize], Phase::Publishing));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_WAITING as usize], Phase::Waiting));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_VERIFYING as usize], Phase::Verifying));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_PACKING as usize], Phase::Packing));
    assert!(matches!(Phase::ALL[GOSYNC_PHASE_DONE as usize], Phase::Done));
    assert!(matches!(Level::ALL[GOSYNC_LEVEL_WARNING as usize], Level::Warning));
    assert!(matches!(Level::ALL[GOSYNC_LEVEL_INFO as usize], Level::Info));
    assert!(matches!(Level::ALL[GOSYNC_LEVEL_DEBUG as usize], Level::Debug));
};

/// A moment of a running piece of work. Counters and the fraction never go back.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_progress {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// What is being done: GOSYNC_PHASE_....
    pub phase: u32,
    /// 1 while a cancel would still stop it, else 0.
    pub cancellable: u32,
    /// How much of all work is done, from 0 to 1.
    pub fraction: f64,
    /// Bytes of the target (or of the file that is indexed or verified).
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
}

/// Something worth telling. Holds no secrets: URLs come without credentials and queries.
/// The structure and all that it points to is borrowed for the time of the callback.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_event {
    /// Bytes of this structure.
    pub struct_size: usize,
    /// How much it matters: GOSYNC_LEVEL_....
    pub level: u32,
    /// Number of fields.
    pub field_count: u32,
    /// A stable name for programs, for instance "seed_dropped", or "entry" for each file of a directory that has come to its
    /// place; docs/events.md has them all, with their fields.
    pub kind: *const c_char,
    /// One line for people.
    pub message: *const c_char,
    /// Names of the fields; NULL if there are none.
    pub field_keys: *const *const c_char,
    /// Values of the fields; NULL if there are none.
    pub field_values: *const *const c_char,
}

/// What a job has done.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_statistics {
    /// Bytes of this structure; set by the caller.
    pub struct_size: usize,
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
    /// 1 if the target was the new version already, so that nothing was written, else 0.
    pub up_to_date: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes of the index that were read, in part or whole; not among the other counters. Whatever was read of it before, for
    /// a plan or another job, counts as well.
    pub index_size: u64,
}

/// Who watches a piece of work and may stop it; the `observer` member of each options structure points to one.
///
/// The callbacks are called from library threads or from the thread of the call, one call of each at a time; they must
/// return soon and must not unwind (throw). They may trigger a cancel and ask a job for its progress.
///
/// The library copies this structure. As soon as it has read it, `user_data` is the library's, and `drop` is called
/// exactly once, from any thread, whatever the call returns: after the last callback, and for a call that hands out no
/// object that keeps it (index, verify) usually before the call returns. Only a call that is refused for the
/// `struct_size` of its options or of this structure took nothing and calls nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gosync_observer {
    /// Bytes of this structure; GOSYNC_OBSERVER_INIT sets it.
    pub struct_size: usize,
    /// Passed to the functions below.
    pub user_data: *mut c_void,
    /// Called with progress, at most ten times a second and once at the end. May be NULL.
    pub progress: Option<unsafe extern "C" fn(user_data: *mut c_void, progress: *const gosync_progress)>,
    /// Called with events. May be NULL.
    pub event: Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const gosync_event)>,
    /// Called once when `user_data` is no longer needed. May be NULL.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// Stops the work when it is triggered. Borrowed for the time of the call that takes it. May be NULL.
    pub cancel: *const gosync_cancel,
}

sized!(gosync_progress, gosync_event, gosync_statistics, gosync_observer);

/// Takes the observer at `pointer`, user data included.
///
/// # Safety
/// `pointer` is NULL or points to an observer as the header describes it.
pub(crate) unsafe fn take(pointer: *const gosync_observer) -> Result<Observer> {
    // SAFETY: as the caller says.
    let Some(observer) = unsafe { sized::read(pointer, "observer") }? else { return Ok(Observer::default()) };
    let foreign = Arc::new(Foreign::new(observer.user_data, observer.drop as DropFn));
    foreign.take();
    let progress = observer.progress.map(|callback| {
        let foreign = foreign.clone();
        Arc::new(move |progress: &Progress| {
            // SAFETY: the function and its user data came together, and the user data is kept by `foreign`.
            unsafe { callback(foreign.user_data(), &progress_of(progress)) };
        }) as OnProgress
    });
    let events = observer.event.map(|callback| {
        let foreign = foreign.clone();
        Arc::new(move |event: &Event| {
            // SAFETY: as above.
            with_event(event, |event| unsafe { callback(foreign.user_data(), event) });
        }) as OnEvent
    });
    // SAFETY: NULL or live for the time of the call, as the header asks.
    let cancel = unsafe { observer.cancel.as_ref() }.map_or_else(Default::default, |cancel| cancel.0.clone());
    Ok(Observer { progress, events, cancel })
}

/// Progress as C sees it.
pub(crate) fn progress_of(progress: &Progress) -> gosync_progress {
    gosync_progress {
        phase: Phase::ALL.iter().position(|phase| *phase == progress.phase).unwrap_or_default() as u32,
        cancellable: progress.cancellable.into(),
        fraction: progress.fraction,
        total: progress.total,
        from_seeds: progress.from_seeds,
        fetched: progress.fetched,
        wasted: progress.wasted,
        written: progress.written,
        requests: progress.requests,
        retries: progress.retries,
        ..Default::default()
    }
}

/// Statistics as C sees them.
pub(crate) fn statistics_of(statistics: &Statistics) -> gosync_statistics {
    gosync_statistics {
        total: statistics.total,
        from_seeds: statistics.from_seeds,
        fetched: statistics.fetched,
        wasted: statistics.wasted,
        written: statistics.written,
        requests: statistics.requests,
        retries: statistics.retries,
        up_to_date: statistics.up_to_date.into(),
        index_size: statistics.index_size,
        ..Default::default()
    }
}

/// Shows an event to `show` as C sees it.
fn with_event(event: &Event, show: impl FnOnce(&gosync_event)) {
    let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
    let keys: Vec<CString> = event.fields.iter().map(|(key, _)| c_string(key)).collect();
    let values: Vec<CString> = event.fields.iter().map(|(_, value)| c_string(value)).collect();
    let (kind, message) = (c_string(event.kind), c_string(&event.message));
    let (keys, values) = (pointers(&keys), pointers(&values));
    let array = |pointers: &Vec<*const c_char>| if pointers.is_empty() { std::ptr::null() } else { pointers.as_ptr() };
    show(&gosync_event {
        level: Level::ALL.iter().position(|level| *level == event.level).unwrap_or_default() as u32,
        field_count: keys.len() as u32,
        kind: kind.as_ptr(),
        message: message.as_ptr(),
        field_keys: array(&keys),
        field_values: array(&values),
        ..Default::default()
    });
}

static PHASE_NAMES: [[u8; 24]; Phase::ALL.len()] = {
    let mut names = [[0; 24]; Phase::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = padded(Phase::ALL[i].name());
        i += 1;
    }
    names
};

static LEVEL_NAMES: [[u8; 24]; Level::ALL.len()] = {
    let mut names = [[0; 24]; Level::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = padded(Level::ALL[i].name());
        i += 1;
    }
    names
};

fn name(names: &'static [[u8; 24]], number: u32) -> *const c_char {
    value(c"unknown".as_ptr(), || names.get(number as usize).map_or(c"unknown".as_ptr(), |name| name.as_ptr().cast()))
}

/// The name of a phase, for instance "matching"; "unknown" for a number that has no name. Never NULL; the text lives
/// as long as the process. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn gosync_phase_name(phase: u32) -> *const c_char {
    name(&PHASE_NAMES, phase)
}

/// The name of a level, for instance "warning"; "unknown" for a number that has no name. Never NULL; the text lives as
/// long as the process. Thread-safe. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn gosync_level_name(level: u32) -> *const c_char {
    name(&LEVEL_NAMES, level)
}
