//! Formats of our own, read from outside.

use std::sync::OnceLock;

/// Scopes as operators write them.
pub fn scope(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(scope) = vault_policy::ScopeDocument::from_toml(text)
    {
        super::take();
        let again = vault_policy::ScopeDocument::from_toml(&scope.to_toml()).expect("its own text");
        assert_eq!(again, scope);
        let _ = vault_policy::Scope::compile(&scope);
    }
}

/// Lines of a log.
pub fn entry(data: &[u8]) {
    if let Ok(entry) = vault_audit::Entry::from_line(data) {
        super::take();
        assert_eq!(entry.to_line().expect("it was a line"), data);
    }
}

/// Checkpoints and verifier keys of an export.
pub fn note(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(verifier) = vault_audit::LogVerifier::from_vkey(text)
    {
        super::take();
        assert_eq!(verifier.vkey(), text.trim_end());
    }
}

/// Frames of another process, cut anywhere.
pub fn frame(data: &[u8]) {
    let mut decoder = vault_ipc::Decoder::default();
    for piece in data.chunks(7) {
        decoder.extend(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    super::take();
                    let _ = frame.message::<vault_ipc::SignCall>();
                    let _ = frame.message::<vault_ipc::CommandCall>();
                    let _ = frame.message::<vault_ipc::Reply>();
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// CSRs from whoever enrols or renews.
pub fn csr(data: &[u8]) {
    if let Ok(key) = vault_core::certificate::SubjectKey::from_csr(data) {
        super::take();
        // What was taken reads back as the same key.
        let again =
            vault_core::certificate::SubjectKey::from_spki(key.spki()).expect("its own key");
        assert!(again.spki() == key.spki());
    }
}

/// Invite tokens that people paste.
pub fn token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = vault_proto::token::Token::decode(text)
    {
        super::take();
        assert_eq!(token.encode().as_str(), text.trim());
    }
}

/// Words of a scope.
pub fn scope_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = "credentials classes modes products symbols operations network allow deny orders \
                    withdrawals sign execute read trade cancel account transfer withdraw keys logon \
                    other public spot margin linear inverse option [] = [ ] \"\" true";
        text.split_whitespace().map(str::to_owned).collect()
    })
}

/// Members of an entry.
pub fn entry_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = include_str!("../../corpus/entry/first");
        text.split([',', '{', '}']).map(str::to_owned).collect()
    })
}
