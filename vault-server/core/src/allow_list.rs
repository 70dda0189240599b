//! The allow-list: which certificates are accepted, and which rows nobody needs any more.

use vault_ipc::proto::v1;
use vault_model::{Serial, Timestamp};

use crate::certificate::{Issued, SubjectKey};
use crate::storage::{CertificateRow, CertificateState, Changes, Hex, HexBytes, Holder, Tables};

/// The row of a certificate that was just issued.
pub(crate) fn certificate_row(
    issued: &Issued,
    holder: Holder,
    key: &SubjectKey,
    parent: Option<Serial>,
    now: Timestamp,
) -> CertificateRow {
    CertificateRow {
        fingerprint: Hex(issued.fingerprint),
        holder,
        issued_at: now,
        not_after: issued.not_after,
        parent,
        public_key: HexBytes(key.spki().to_vec()),
        serial: issued.serial,
        state: CertificateState::Active,
    }
}

/// The newest certificates of a holder, newest first.
pub(crate) fn certificate_infos(tables: &Tables, holder: &Holder) -> Vec<v1::CertificateInfo> {
    let mut rows: Vec<&CertificateRow> = tables.certificates_of(holder).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.issued_at));
    rows.into_iter()
        .take(CERTIFICATES_SHOWN)
        .map(|row| v1::CertificateInfo {
            serial: row.serial.to_string(),
            state: match row.state {
                CertificateState::Active => "active",
                CertificateState::Revoked => "revoked",
                CertificateState::Superseded => "superseded",
            }
            .to_owned(),
            issued_at_ms: row.issued_at.millis(),
            not_after_ms: row.not_after.millis(),
            fingerprint: row.fingerprint.0.to_vec(),
        })
        .collect()
}

/// Takes every certificate of a holder off the allow-list; returns those that were on it.
pub(crate) fn revoke_certificates(
    tables: &Tables,
    holder: &Holder,
    changes: &mut Changes,
) -> Vec<Serial> {
    let held = tables.certificates_of(holder).filter(|row| row.state != CertificateState::Revoked);
    let mut serials = Vec::new();
    for row in held {
        changes.put(CertificateRow { state: CertificateState::Revoked, ..row.clone() });
        serials.push(row.serial);
    }
    serials
}

/// Drops some of the rows that nobody can use any more, so that the tables stay small: certificates
/// that can be neither used nor renewed, and invitations that ran out or were used long ago.
pub(crate) fn forget_stale(tables: &Tables, now: Timestamp, changes: &mut Changes) {
    for stale in tables.stale(now).take(STALE_MAX) {
        changes.delete(stale);
    }
}

/// Rows that one act drops at most.
const STALE_MAX: usize = 64;
/// Certificates of a holder that an answer shows at most.
const CERTIFICATES_SHOWN: usize = 8;
