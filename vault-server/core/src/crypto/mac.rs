//! Message authentication: rows of the database, and payloads in the log.
//!
//! Every MAC here is HMAC-SHA256 over its fields, each as `u32` big-endian length and bytes, the
//! first of them a label that no other use has.

use ring::hmac;
use subtle::ConstantTimeEq;
use vault_model::{SecretBytes, VenueRequest};

/// Length of a MAC.
pub const MAC_BYTES: usize = 32;

/// HMAC-SHA256 over the fields, each with its length before it (`u32` big-endian).
pub fn hmac_fields(key: &SecretBytes, fields: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret()));
    for field in fields {
        // No field comes near 4 GiB: documents and bodies are limited long before.
        let len = u32::try_from(field.len()).unwrap_or(u32::MAX);
        context.update(&len.to_be_bytes());
        context.update(field);
    }
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(context.sign().as_ref());
    mac
}

/// The key that vouches for rows of the database, and the vault they belong to.
#[derive(Debug)]
pub struct StateMac {
    instance_id: String,
    key: SecretBytes,
}

impl StateMac {
    /// Takes the keyring's `state_mac` and the instance id (32 lower-case hex digits).
    pub fn new(key: SecretBytes, instance_id: &str) -> Self {
        Self { instance_id: instance_id.to_owned(), key }
    }

    /// The MAC of one row: fields `"countersign-row-v1"`, instance id, table, row key, document.
    pub fn row(&self, table: &str, row_key: &str, doc: &str) -> [u8; MAC_BYTES] {
        hmac_fields(
            &self.key,
            &[
                b"countersign-row-v1",
                self.instance_id.as_bytes(),
                table.as_bytes(),
                row_key.as_bytes(),
                doc.as_bytes(),
            ],
        )
    }

    /// Whether `mac` is that of the row; in time that does not depend on where they differ.
    #[must_use]
    pub fn verifies(&self, table: &str, row_key: &str, doc: &str, mac: &[u8]) -> bool {
        self.row(table, row_key, doc).as_slice().ct_eq(mac).into()
    }
}

/// The log's `payload_mac`: fields `"countersign-payload-v1"`, instance id, venue, method, scheme,
/// host, path, query, body, then name and value of each header in order.
pub fn payload_mac(
    audit_mac: &SecretBytes,
    instance_id: &str,
    venue: &str,
    request: &VenueRequest,
) -> [u8; MAC_BYTES] {
    let mut fields: Vec<&[u8]> = vec![
        b"countersign-payload-v1",
        instance_id.as_bytes(),
        venue.as_bytes(),
        request.method.as_bytes(),
        request.scheme.as_bytes(),
        request.host.as_bytes(),
        request.path.as_bytes(),
        request.query.as_bytes(),
        &request.body,
    ];
    for (name, value) in &request.headers {
        fields.extend([name.as_bytes(), value.as_bytes()]);
    }
    hmac_fields(audit_mac, &fields)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use vault_model::{SecretBytes, VenueRequest};

    use super::{StateMac, hmac_fields, payload_mac};

    #[derive(Deserialize)]
    struct Golden {
        key: String,
        instance_id: String,
        rows: Vec<GoldenRow>,
        payload: GoldenPayload,
    }

    #[derive(Deserialize)]
    struct GoldenRow {
        table: String,
        key: String,
        doc: String,
        mac: String,
    }

    #[derive(Deserialize)]
    struct GoldenPayload {
        venue: String,
        request: VenueRequest,
        mac: String,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../../../tests/vectors/golden/envelope/mac.json"))
            .expect("golden file")
    }

    fn key(golden: &Golden) -> SecretBytes {
        SecretBytes::new(hex::decode(&golden.key).expect("hex"))
    }

    #[test]
    fn golden_row_macs_hold() {
        let golden = golden();
        let state_mac = StateMac::new(key(&golden), &golden.instance_id);

        assert!(golden.rows.len() >= 4);
        for row in &golden.rows {
            let mac = hex::decode(&row.mac).expect("hex");
            assert_eq!(state_mac.row(&row.table, &row.key, &row.doc).as_slice(), mac);
            assert!(state_mac.verifies(&row.table, &row.key, &row.doc, &mac));
            assert!(!state_mac.verifies(&row.table, &row.key, &row.doc, &mac[..31]));
            assert!(!state_mac.verifies("halt2", &row.key, &row.doc, &mac));
        }
    }

    #[test]
    fn golden_payload_mac_holds_and_every_part_counts() {
        let golden = golden();
        let key = key(&golden);
        let GoldenPayload { venue, request, mac } = &golden.payload;
        let of = |request: &VenueRequest| {
            hex::encode(payload_mac(&key, &golden.instance_id, venue, request))
        };

        assert_eq!(&of(request), mac);
        let changes: [fn(&mut VenueRequest); 7] = [
            |r| r.method.push('x'),
            |r| r.scheme.push('x'),
            |r| r.host.push('x'),
            |r| r.path.push('x'),
            |r| r.query.push('x'),
            |r| r.body.push(b'x'),
            |r| r.headers.push(("a".to_owned(), String::new())),
        ];
        for change in changes {
            let mut changed = request.clone();
            change(&mut changed);
            assert_ne!(&of(&changed), mac);
        }
    }

    #[test]
    fn a_byte_cannot_cross_a_border() {
        let key = SecretBytes::new(vec![1; 32]);

        assert_ne!(hmac_fields(&key, &[b"ab", b"c"]), hmac_fields(&key, &[b"a", b"bc"]));
        assert_ne!(hmac_fields(&key, &[b"ab"]), hmac_fields(&key, &[b"ab", b""]));
    }

    #[test]
    fn debug_shows_no_key() {
        let state_mac = StateMac::new(SecretBytes::new(b"canary".to_vec()), "id");

        assert!(!format!("{state_mac:?}").contains("canary"));
    }
}
