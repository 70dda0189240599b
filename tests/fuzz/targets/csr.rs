//! CSRs from whoever enrols or renews.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(key) = vault_core::certificate::SubjectKey::from_csr(data) {
        // What was taken reads back as the same key.
        let again = vault_core::certificate::SubjectKey::from_spki(key.spki()).expect("its own key");
        assert!(again.spki() == key.spki());
    }
});
