//! The micro-benchmarks of the kernels: a program beside core's library, built as what is released is.

use crate::sh::{Result, cargo, fail};

/// Builds and runs it; it prints its own table.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    if let Some(unknown) = options.first() {
        return fail(format!("bench --kernels has no option {unknown}"));
    }
    cargo().args("run --quiet --profile fast --package gosync-core --example kernels").run()?;
    Ok(true)
}
