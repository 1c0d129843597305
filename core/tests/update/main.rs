//! Updates in memory and in virtual time: matching, planning, fetching and placing together, without files or clocks.

mod common;
mod rebuild;
mod transfer;
mod wire;
