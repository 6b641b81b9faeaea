//! Calls the target `reference`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| garboard_robustness::check("reference", data));
