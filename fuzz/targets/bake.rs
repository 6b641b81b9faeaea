//! Calls the target `bake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| garboard_robustness::check("bake", data));
