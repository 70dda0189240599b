//! What the proof of an enrolment covers.

/// The bytes to sign with the token's key: `"countersign enroll v1\0" | token id 16 | u32 BE CSR
/// length | CSR (DER)`. `None` if the CSR is longer than 4 GiB.
///
/// The token's secret never travels: whoever relays an enrolment cannot enrol a key of their own.
pub fn signing_bytes(token_id: &[u8; 16], csr: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = b"countersign enroll v1\0".to_vec();
    bytes.extend_from_slice(token_id);
    bytes.extend_from_slice(&u32::try_from(csr.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(csr);
    Some(bytes)
}
