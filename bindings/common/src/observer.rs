//! Who watches a call and may stop it: closures on this side, a C observer with trampolines on the other.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use gosync_ffi::{gosync_event, gosync_observer, gosync_progress};

use crate::{Cancel, text};

/// A moment of a running piece of work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What is being done, for instance `matching`.
    pub phase: &'static str,
    /// Whether a cancel now would still stop it.
    pub cancellable: bool,
    /// How much of all work is done, from 0 to 1; never goes back.
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
    /// Round trips to the source.
    pub requests: u64,
    /// Requests that were repeated after a temporary failure.
    pub retries: u64,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// How much it matters: `warning`, `info` or `debug`.
    pub level: &'static str,
    /// A stable name for programs.
    pub kind: String,
    /// One line for people.
    pub message: String,
    /// The facts.
    pub fields: Vec<(String, String)>,
}

/// Called with progress from a thread of the library.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;
/// Called with events from a thread of the library.
pub type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// Who watches a piece of work and may stop it. Closures report their own failures through an [`crate::ErrorSlot`].
#[derive(Clone, Default)]
pub struct Observer {
    /// Receives progress, at most ten times a second and once at the end.
    pub progress: Option<OnProgress>,
    /// Receives events.
    pub events: Option<OnEvent>,
    /// Stops the work.
    pub cancel: Option<Cancel>,
}

impl Observer {
    /// The same without the progress: for a step whose own progress from 0 to 1 is not that of the whole call.
    pub fn without_progress(&self) -> Self {
        Observer { progress: None, ..self.clone() }
    }

    /// Makes the C observer for one call, which has to be made: only the library frees it.
    pub(crate) fn lend(&self) -> Lent {
        let watched = self.progress.is_some() || self.events.is_some();
        let user_data = if watched {
            Box::into_raw(Box::new(State { progress: self.progress.clone(), events: self.events.clone() })).cast()
        } else {
            ptr::null_mut()
        };
        let observer = gosync_observer {
            user_data,
            progress: self.progress.is_some().then_some(progress as _),
            event: self.events.is_some().then_some(event as _),
            drop: watched.then_some(drop_state as _),
            cancel: self.cancel.as_ref().map_or(ptr::null(), Cancel::as_ptr),
            ..Default::default()
        };
        Lent { observer, _cancel: self.cancel.clone() }
    }
}

/// A C observer for one call. Every call that takes one owns its user data from then on, whatever the call returns
/// (only a wrong `struct_size` would be refused before that), so there is nothing to take back here.
pub(crate) struct Lent {
    observer: gosync_observer,
    // The token is borrowed for the time of the call.
    _cancel: Option<Cancel>,
}

impl Lent {
    /// What goes into an options struct; valid as long as this object.
    pub(crate) fn as_ptr(&self) -> *const gosync_observer {
        if self.observer.user_data.is_null() && self.observer.cancel.is_null() { ptr::null() } else { &self.observer }
    }
}

struct State {
    progress: Option<OnProgress>,
    events: Option<OnEvent>,
}

/// What a C progress says.
pub(crate) fn read_progress(from: &gosync_progress) -> Progress {
    Progress {
        // SAFETY: any number is allowed; the name lives as long as the process.
        phase: unsafe { text::borrowed(gosync_ffi::gosync_phase_name(from.phase)) }.unwrap_or("unknown"),
        cancellable: from.cancellable != 0,
        fraction: from.fraction,
        total: from.total,
        from_seeds: from.from_seeds,
        fetched: from.fetched,
        wasted: from.wasted,
        written: from.written,
        requests: from.requests,
        retries: from.retries,
    }
}

/// # Safety
/// `from` is a valid event with valid strings.
unsafe fn read_event(from: &gosync_event) -> Event {
    // SAFETY: the level's name lives as long as the process; strings and arrays are valid during the callback, and are copied.
    unsafe {
        let field = |i: usize| {
            let key = text::copied(*from.field_keys.add(i))?;
            Some((key, text::copied(*from.field_values.add(i))?))
        };
        Event {
            level: text::borrowed(gosync_ffi::gosync_level_name(from.level)).unwrap_or("unknown"),
            kind: text::copied(from.kind).unwrap_or_default(),
            message: text::copied(from.message).unwrap_or_default(),
            fields: (0..from.field_count as usize).filter_map(field).collect(),
        }
    }
}

/// Runs a closure of the language module; a panic in it ends here, because it must not cross C code.
pub(crate) fn contained<T>(closure: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(closure)).ok()
}

unsafe extern "C" fn progress(user_data: *mut c_void, progress: *const gosync_progress) {
    // SAFETY: the library passes the user data of `lend`, alive until `drop_state`, and a valid progress.
    let (state, progress) = unsafe { (&*user_data.cast::<State>(), &*progress) };
    if let Some(listener) = &state.progress {
        contained(|| listener(read_progress(progress)));
    }
}

unsafe extern "C" fn event(user_data: *mut c_void, event: *const gosync_event) {
    // SAFETY: as in `progress`.
    let state = unsafe { &*user_data.cast::<State>() };
    if let Some(listener) = &state.events {
        // SAFETY: the library passes a valid event.
        contained(|| listener(unsafe { read_event(&*event) }));
    }
}

unsafe extern "C" fn drop_state(user_data: *mut c_void) {
    // SAFETY: the box that `lend` gave away; the library calls this once, last.
    let state = unsafe { Box::from_raw(user_data.cast::<State>()) };
    contained(move || drop(state));
}
