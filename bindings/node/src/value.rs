//! How numbers and errors of the library look in JavaScript.

use std::collections::BTreeMap;

use gosync_binding::{BindingError, Kind, Result};
use napi_derive::napi;

/// The largest whole number up to which a JavaScript number is exact.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// A count that JavaScript can hold exactly.
pub(crate) fn exact(count: u64, what: &str) -> Result<f64> {
    if count > MAX_SAFE {
        let message = format!("{what} is {count}, which is more than a JavaScript number holds exactly");
        return Err(BindingError::new(Kind::LIMIT, message));
    }
    Ok(count as f64)
}

/// A count that cannot pass the limit of `exact`, because it is bounded by the length of a target that was checked.
pub(crate) fn number(count: u64) -> f64 {
    count.min(MAX_SAFE) as f64
}

/// A whole number that the layer above has checked.
pub(crate) fn whole(number: f64) -> u64 {
    // Saturates: what is not a number, or negative, becomes 0.
    number as u64
}

/// Why a call failed. The layer above makes the error object of it.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// The name of the kind.
    pub kind: &'static str,
    /// One line with the facts.
    pub text: String,
    /// The facts.
    pub context: BTreeMap<String, String>,
}

/// The error, what caused it, what caused that, and so on.
pub(crate) fn failure(error: BindingError) -> Vec<Failure> {
    let mut chain = Vec::new();
    let mut next = Some(Box::new(error));
    while let Some(error) = next {
        let context = error.context.into_iter().collect();
        chain.push(Failure { kind: error.kind.name(), text: error.text, context });
        next = error.cause;
    }
    chain
}
