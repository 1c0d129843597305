//! The C face as C programs meet it: the installed header and libraries, the test programs in `tests/c`, the examples.

mod artefacts;
mod examples;
mod fetching;
mod programs;
