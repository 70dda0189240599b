//! Lines of a log.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(entry) = vault_audit::Entry::from_line(data) {
        assert_eq!(entry.to_line().expect("it was a line"), data);
    }
});
