//! The library's only randomness: for spreading the retries of many clients. Not for secrets.

use std::hash::{BuildHasher, Hasher};

/// From 0 to 1.
pub(crate) fn random() -> f64 {
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    bits as f64 / u64::MAX as f64
}
