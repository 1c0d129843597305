//! Updates of directories.

mod going_on;
mod model;
mod property;
mod simple;
