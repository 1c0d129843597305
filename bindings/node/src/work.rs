//! One call of the library: a thread of its own, and a promise that it resolves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use gosync_binding::{BindingError, Cancel, Kind, Result};
use napi::Env;
use napi::bindgen_prelude::{Function, Object, Uint8Array};
use napi_derive::napi;

use crate::channel::{Channel, Message, Signal};
use crate::index::{IndexFacts, IndexHandle, PrunedInfo, VerificationInfo};
use crate::job::{PlanInfo, StatisticsInfo};
use crate::value::{Failure, failure};

/// A token that stops work.
#[napi]
pub struct CancelHandle(Cancel);

#[napi]
impl CancelHandle {
    /// A token that nobody has triggered yet.
    #[napi(constructor)]
    pub fn new() -> napi::Result<Self> {
        Cancel::new().map(CancelHandle).map_err(|error| napi::Error::from_reason(error.text))
    }

    /// Asks the work to stop.
    #[napi]
    pub fn trigger(&self) {
        self.0.cancel();
    }

    pub(crate) fn token(&self) -> Cancel {
        self.0.clone()
    }
}

/// What came of a call: a failure, or the members that this call gives.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct Outcome {
    /// The error, and what caused it.
    pub failure: Option<Vec<Failure>>,
    /// An index.
    pub index: Option<IndexHandle>,
    /// What that index says.
    pub facts: Option<IndexFacts>,
    /// The bytes of an index.
    pub bytes: Option<Uint8Array>,
    /// What an update would do.
    pub plan: Option<PlanInfo>,
    /// What an update did.
    pub statistics: Option<StatisticsInfo>,
    /// What a verification found.
    pub verification: Option<VerificationInfo>,
    /// Which packs were removed.
    pub pruned: Option<PrunedInfo>,
}

/// How the promise of a call gets its value, on the main thread.
pub(crate) type Resolver = Box<dyn FnOnce(Env) -> napi::Result<Outcome>>;

/// Runs `work` on a thread of its own. The promise resolves when it is over, whatever came of it, after every message.
pub(crate) fn start<'env>(
    env: &'env Env,
    tell: &Function<'_, Message, ()>,
    work: impl FnOnce(&Channel) -> Result<Outcome> + Send + 'static,
) -> napi::Result<Object<'env>> {
    let channel = Channel::new(tell)?;
    let (promise, object) = env.create_deferred::<Outcome, Resolver>()?;
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| work(&channel)));
        let defect = || Err(BindingError::new(Kind::INTERNAL, "the addon panicked"));
        let outcome = result
            .unwrap_or_else(|_| defect())
            .unwrap_or_else(|error| Outcome { failure: Some(failure(error)), ..Outcome::default() });
        channel.send(Signal::Settled(promise, Box::new(outcome)));
    };
    thread::Builder::new().name(String::from("gosync-node")).spawn(run)?;
    Ok(object)
}
