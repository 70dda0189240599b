//! Checkpoints and verifier keys of an export.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(verifier) = vault_audit::LogVerifier::from_vkey(text)
    {
        assert_eq!(verifier.vkey(), text.trim_end());
    }
});
