//! Updates of directories.

mod attributes;
#[path = "../common/mod.rs"]
mod common;
mod folding;
mod going_on;
mod kept;
mod model;
mod property;
mod simple;
