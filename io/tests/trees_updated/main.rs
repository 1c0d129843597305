//! Updates of directories.

mod attributes;
mod going_on;
mod kept;
mod model;
mod property;
mod simple;
