//! Signed commands.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use vault_proto::command::{LIFETIME_MS_MAX, NONCE_BYTES, signing_bytes};
use vault_proto::v1::SignedCommand;

use crate::error::ClientError;
use crate::identity::Identity;

/// Signs one command with the identity's key. `method` is the RPC's full name,
/// `vault.v1.ScopeService/Put`. The command is good for 55 s after `now` and for one use.
///
/// # Errors
///
/// [`ClientError::Protocol`] if the command is too long or the system's randomness fails.
pub fn signed_command(
    identity: &Identity,
    method: &str,
    command: &impl Message,
    now: SystemTime,
) -> Result<SignedCommand, ClientError> {
    let mut nonce = [0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| NO_RANDOMNESS)?;
    let expires = now.duration_since(UNIX_EPOCH).unwrap_or_default() + LIFETIME;
    let expires_at_ms = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
    let body = command.encode_to_vec();
    let message = signing_bytes(method, identity.serial(), &nonce, expires_at_ms, &body)
        .ok_or(ClientError::Protocol("the command is too long"))?;
    let signature = identity.key().sign(&message).map_err(|_| NO_RANDOMNESS)?;
    Ok(SignedCommand {
        method: method.to_owned(),
        body,
        nonce: nonce.to_vec(),
        expires_at_ms,
        signature,
    })
}

pub(crate) const NO_RANDOMNESS: ClientError =
    ClientError::Protocol("the system's randomness or cryptography failed");

/// A little less than the vault allows, for a clock that is ahead of the vault's.
const LIFETIME: Duration = Duration::from_millis(LIFETIME_MS_MAX as u64 - 5_000);
