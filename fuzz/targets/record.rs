//! Hands the fuzzing engine's inputs to `gosync_fuzz::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gosync_fuzz::record(input));
