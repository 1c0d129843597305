//! The program from outside: the built binary, real files, a real (small) server.

mod bad_input;
mod bad_source;
mod fetching;
mod interrupt;
mod lint;
mod main_job;
mod output;
mod server;
mod signatures;
mod support;
mod trees;
mod usage;
