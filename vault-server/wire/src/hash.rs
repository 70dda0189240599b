//! The hash by which people approve a scope.

use sha2::{Digest, Sha256};
use vault_policy::ScopeDocument;

/// SHA-256 of the scope's canonical JSON (RFC 8785): what an approval signs. `None` if the scope has
/// no canonical JSON, which [`ScopeDocument::check`] rules out.
pub fn scope_hash(document: &ScopeDocument) -> Option<[u8; 32]> {
    let json = serde_jcs::to_vec(document).ok()?;
    Some(Sha256::digest(json).into())
}
