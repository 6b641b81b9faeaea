//! Calls the target `table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| garboard_robustness::check("table", data));
