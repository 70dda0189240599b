//! Invite tokens that people paste.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = vault_proto::token::Token::decode(text)
    {
        assert_eq!(token.encode().as_str(), text.trim());
    }
});
