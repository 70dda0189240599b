//! What the signature of a [`SignedCommand`](crate::v1::SignedCommand) covers.

/// Longest life of a command, in milliseconds.
pub const LIFETIME_MS_MAX: i64 = 60_000;

/// Length of a nonce, in bytes.
pub const NONCE_BYTES: usize = 16;

/// The bytes to sign: `"countersign command v1\0" | u16 BE method length | method | serial 16 |
/// nonce 16 | i64 BE expires_at_ms | u32 BE body length | body`.
///
/// The certificate's serial ties the command to one vault and one person. `None` if a part is
/// longer than its length field can say or the nonce is not 16 bytes.
pub fn signing_bytes(
    method: &str,
    serial: &[u8; 16],
    nonce: &[u8],
    expires_at_ms: i64,
    body: &[u8],
) -> Option<Vec<u8>> {
    if nonce.len() != NONCE_BYTES {
        return None;
    }
    let mut bytes = b"countersign command v1\0".to_vec();
    bytes.extend_from_slice(&u16::try_from(method.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(method.as_bytes());
    bytes.extend_from_slice(serial);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&expires_at_ms.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(body);
    Some(bytes)
}
