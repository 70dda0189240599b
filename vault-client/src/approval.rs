//! Approvals: an admin's word for another admin's change.

use std::time::{SystemTime, UNIX_EPOCH};

use vault_proto::approval::{SCOPE_PUT, signing_bytes};
use vault_proto::v1::Approval;

use crate::command::NO_RANDOMNESS;
use crate::error::ClientError;
use crate::identity::Identity;

/// Approves that a scope of this hash (SHA-256 of its canonical JSON) takes the place of the revision
/// `expected_revision` (0: of nothing), until `expires_at`, in the identity's vault and no other.
///
/// # Errors
///
/// [`ClientError::Protocol`] if the system's randomness fails.
pub fn approve_scope(
    identity: &Identity,
    document_hash: &[u8; 32],
    expected_revision: u64,
    expires_at: SystemTime,
) -> Result<Approval, ClientError> {
    let expires = expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_at_ms = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
    let message = signing_bytes(
        identity.instance_id(),
        SCOPE_PUT,
        document_hash,
        expected_revision,
        expires_at_ms,
    )
    .ok_or(ClientError::Protocol("the method's name is too long"))?;
    let signature = identity.key().sign(&message).map_err(|_| NO_RANDOMNESS)?;
    Ok(Approval { operator: identity.name().to_owned(), expires_at_ms, signature })
}
