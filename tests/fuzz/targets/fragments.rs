#![no_main]

#[path = "../entries.rs"]
#[allow(dead_code, reason = "each target is one of them")]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::fragments(data));
