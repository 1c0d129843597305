//! Hands the fuzzing engine's inputs to `gosync_fuzz::archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gosync_fuzz::archive(input));
