//! What the signature of an [`Approval`] covers, and how it travels as text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;

use crate::v1::Approval;

/// Longest life of an approval, in milliseconds: 24 hours.
pub const LIFETIME_MS_MAX: i64 = 24 * 3_600_000;

/// The RPC whose change is approved, as it stands in the signed bytes of a scope's approval.
pub const SCOPE_PUT: &str = "vault.v1.ScopeService/Put";

/// The bytes to sign: `"countersign approval v1\0" | instance id 16 | u16 BE method length | method |
/// SHA-256 of the document's canonical JSON, 32 | u64 BE expected_revision | i64 BE expires_at_ms`.
///
/// The instance ties the approval to one vault, hash and revision to one change. `None` if the
/// method is longer than its length field can say.
pub fn signing_bytes(
    instance_id: &[u8; 16],
    method: &str,
    document_hash: &[u8; 32],
    expected_revision: u64,
    expires_at_ms: i64,
) -> Option<Vec<u8>> {
    let mut bytes = b"countersign approval v1\0".to_vec();
    bytes.extend_from_slice(instance_id);
    bytes.extend_from_slice(&u16::try_from(method.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(method.as_bytes());
    bytes.extend_from_slice(document_hash);
    bytes.extend_from_slice(&expected_revision.to_be_bytes());
    bytes.extend_from_slice(&expires_at_ms.to_be_bytes());
    Some(bytes)
}

/// Writes an approval as one word: base64url of the message, without padding.
pub fn to_text(approval: &Approval) -> String {
    URL_SAFE_NO_PAD.encode(approval.encode_to_vec())
}

/// Reads what [`to_text`] wrote; `None` for anything else.
pub fn from_text(text: &str) -> Option<Approval> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let approval = Approval::decode(bytes.as_slice()).ok()?;
    let whole = !approval.operator.is_empty() && !approval.signature.is_empty();
    whole.then_some(approval)
}

#[cfg(test)]
mod tests {
    use super::{SCOPE_PUT, from_text, signing_bytes, to_text};
    use crate::v1::Approval;

    #[test]
    fn texts_read_back() {
        let approval = Approval {
            operator: "ada".to_owned(),
            expires_at_ms: 1_767_225_600_000,
            signature: vec![0xfb; 72],
        };
        let text = to_text(&approval);

        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(from_text(&text), Some(approval));
        for broken in ["", "AA==", "!", &text[1..], &format!("{text}\n")] {
            assert_eq!(from_text(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn every_part_is_signed() {
        let bytes = |instance: u8, method: &str, hash: u8, revision: u64, expires: i64| {
            signing_bytes(&[instance; 16], method, &[hash; 32], revision, expires).expect("short")
        };
        let signed = bytes(1, SCOPE_PUT, 2, 3, 4);

        assert_eq!(signed.len(), 24 + 16 + 2 + SCOPE_PUT.len() + 32 + 8 + 8);
        for other in [
            bytes(9, SCOPE_PUT, 2, 3, 4),
            bytes(1, "vault.v1.ScopeService/Get", 2, 3, 4),
            bytes(1, SCOPE_PUT, 9, 3, 4),
            bytes(1, SCOPE_PUT, 2, 9, 4),
            bytes(1, SCOPE_PUT, 2, 3, 9),
        ] {
            assert_ne!(other, signed);
        }
        assert_eq!(signing_bytes(&[0; 16], &"m".repeat(1 << 16), &[0; 32], 0, 0), None);
    }
}
