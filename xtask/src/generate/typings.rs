//! The addon's typings, which its own script writes from what the addon's Rust code declares.

use crate::sh::{Result, Stop, need, sh};

/// Writes or checks them. Without Node there is nothing to ask, which is said and not a failure here.
pub(super) fn run(check: bool) -> Result<bool> {
    let folder = crate::paths::root().join("bindings/node");
    let Ok(node) = need("node") else {
        println!("bindings/node: skipped, node is not installed");
        return Ok(true);
    };
    let script = sh(node).args("scripts/native.mjs gen").within(folder);
    let script = if check { script.arg("--check") } else { script };
    match script.run() {
        Ok(()) => Ok(true),
        Err(Stop::Failed(why)) if check => {
            println!("bindings/node: {why}");
            Ok(false)
        }
        Err(stop) => Err(stop),
    }
}
