//! Hands the fuzzing engine's inputs to `gosync_fuzz::packs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gosync_fuzz::packs(input));
