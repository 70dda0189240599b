//! Scopes as operators write them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(scope) = vault_policy::ScopeDocument::from_toml(text)
    {
        let again = vault_policy::ScopeDocument::from_toml(&scope.to_toml()).expect("its own text");
        assert_eq!(again, scope);
        let _ = vault_policy::Scope::compile(&scope);
    }
});
