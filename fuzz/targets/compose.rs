//! Calls the target `compose`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| garboard_robustness::check("compose", data));
