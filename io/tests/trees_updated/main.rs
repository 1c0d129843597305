//! Updates of directories.

mod going_on;
mod kept;
mod model;
mod property;
mod simple;
