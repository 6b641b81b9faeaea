//! Calls the target `segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| garboard_robustness::check("segment", data));
