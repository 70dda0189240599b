//! Approvals: another admin's word for one exact change. They come with the change, and the log names
//! them. One is good once: a mark of it is kept from the change that it was used for until it expires.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use vault_audit::Approval;
use vault_ipc::proto::{approval, v1};
use vault_model::{Name, Role, Timestamp};

use crate::caller::still_allowed;
use crate::certificate::SubjectKey;
use crate::command::Nonces;
use crate::error::{ApprovalProblem, VaultError};
use crate::storage::{CommandNonce, Holder, HolderState, Tables};

/// The change that is to be approved.
pub struct Proposal<'a> {
    /// Who asks for it: his own word does not count twice.
    pub asker: &'a Name,
    /// Of this vault, 16 bytes.
    pub instance_id: &'a [u8; 16],
    /// The RPC that makes it.
    pub method: &'a str,
    /// SHA-256 of the new document's canonical JSON.
    pub document_hash: [u8; 32],
    /// The revision that it replaces; 0: there is none.
    pub revision: u64,
}

/// An approval that holds.
#[derive(Clone, Debug)]
pub struct Approved {
    /// How the log has it.
    pub entry: Approval,
    /// What keeps it from being used again; kept with the change.
    pub mark: CommandNonce,
}

impl Proposal<'_> {
    /// Verifies approvals: each is of another active admin, is not over, was not used, and signs this
    /// very change with the key of a certificate that is still good. Nothing is used up by this.
    ///
    /// # Errors
    ///
    /// [`VaultError::Approval`], [`VaultError::Field`] for more of them than there is use for.
    pub fn verify(
        &self,
        tables: &Tables,
        used: &Nonces,
        approvals: &[v1::Approval],
        now: Timestamp,
    ) -> Result<Vec<Approved>, VaultError> {
        if approvals.len() > APPROVALS_MAX {
            return Err(VaultError::Field("approvals are 4 at most"));
        }
        let mut approvers = BTreeSet::new();
        let mut verified = Vec::with_capacity(approvals.len());
        for approval in approvals {
            let approved = self.verify_one(tables, approval, now)?;
            if !approvers.insert(approved.entry.approver.clone()) {
                return Err(VaultError::Approval(ApprovalProblem::Approver));
            }
            if used.is_used_up(&approved.mark) {
                return Err(VaultError::Approval(ApprovalProblem::Used));
            }
            verified.push(approved);
        }
        Ok(verified)
    }

    fn verify_one(
        &self,
        tables: &Tables,
        given: &v1::Approval,
        now: Timestamp,
    ) -> Result<Approved, VaultError> {
        let operator = tables
            .operators
            .get(given.operator.as_str())
            .filter(|row| row.state == HolderState::Active && row.role == Role::Admin)
            .filter(|row| row.name != *self.asker)
            .ok_or(VaultError::Approval(ApprovalProblem::Approver))?;
        let latest = now.millis().saturating_add(approval::LIFETIME_MS_MAX);
        let expires_at = Timestamp::from_millis(given.expires_at_ms);
        if expires_at <= now || given.expires_at_ms > latest {
            return Err(VaultError::Approval(ApprovalProblem::Expired));
        }
        let signed = approval::signing_bytes(
            self.instance_id,
            self.method,
            &self.document_hash,
            self.revision,
            given.expires_at_ms,
        )
        .ok_or(VaultError::Internal("a method's name is too long"))?;
        let holder = Holder::Operator(operator.name.clone());
        let verifies = tables.certificates_of(&holder).any(|certificate| {
            still_allowed(tables, &certificate.serial, now)
                && SubjectKey::from_spki(&certificate.public_key.0)
                    .is_ok_and(|key| key.verifies(&signed, &given.signature))
        });
        if !verifies {
            return Err(VaultError::Approval(ApprovalProblem::Signature));
        }
        Ok(Approved {
            entry: Approval {
                approver: operator.name.clone(),
                method: SIGNED.to_owned(),
                sig_sha256: Some(Sha256::digest(&given.signature).into()),
            },
            mark: CommandNonce { expires_at, nonce: mark(&operator.name, &signed) },
        })
    }
}

/// By what an approval is known again: who approved what. Not by its signature, of which ECDSA lets
/// anybody make a second one from the first.
fn mark(approver: &Name, signed: &[u8]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(approver.as_str());
    hash.update([0]);
    hash.update(signed);
    hash.finalize().to_vec()
}

/// How the log calls an approval that is a signature of its own.
const SIGNED: &str = "signed";
/// One is enough; a few more are written down too.
const APPROVALS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    };

    use super::*;
    use crate::storage::{CertificateRow, CertificateState, Hex, HexBytes, OperatorRow};
    use vault_model::Serial;

    const NOW: Timestamp = Timestamp(1_760_000_000_000_000);
    const HOUR_MS: i64 = 3_600_000;

    /// Whose key signs.
    enum Key {
        Ed25519(Ed25519KeyPair),
        P256(EcdsaKeyPair),
    }

    impl Key {
        fn ed25519() -> Self {
            Self::Ed25519(Ed25519KeyPair::generate().expect("a key"))
        }

        fn p256() -> Self {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
            Self::P256(key)
        }

        fn spki(&self) -> Vec<u8> {
            let (head, raw) = match self {
                Self::Ed25519(key) => ("302a300506032b6570032100", key.public_key().as_ref()),
                Self::P256(key) => (
                    "3059301306072a8648ce3d020106082a8648ce3d030107034200",
                    key.public_key().as_ref(),
                ),
            };
            [hex::decode(head).expect("hex"), raw.to_vec()].concat()
        }

        fn sign(&self, message: &[u8]) -> Vec<u8> {
            match self {
                Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
                Self::P256(key) => {
                    key.sign(&SystemRandom::new(), message).expect("signs").as_ref().to_vec()
                }
            }
        }
    }

    /// Three admins and an auditor; `ada` asks.
    struct Sample {
        tables: Tables,
        used: Nonces,
        ada: Name,
        keys: Vec<(&'static str, Key)>,
    }

    impl Sample {
        fn new() -> Self {
            let keys = vec![
                ("ada", Key::ed25519()),
                ("bob", Key::p256()),
                ("eve", Key::ed25519()),
                ("uma", Key::ed25519()),
            ];
            let mut tables = Tables::default();
            for (place, (name, key)) in (0u8..).zip(&keys) {
                let name: Name = name.parse().expect("a name");
                let serial = Serial([place; 16]);
                let operator = OperatorRow {
                    created_at: NOW,
                    name: name.clone(),
                    revoked_at: None,
                    role: if name.as_str() == "uma" { Role::Auditor } else { Role::Admin },
                    state: HolderState::Active,
                };
                tables.put(operator.into());
                let certificate = CertificateRow {
                    fingerprint: Hex([place; 32]),
                    holder: Holder::Operator(name),
                    issued_at: NOW,
                    not_after: Timestamp::from_millis(NOW.millis() + 240 * HOUR_MS),
                    parent: None,
                    public_key: HexBytes(key.spki()),
                    serial,
                    state: CertificateState::Active,
                };
                tables.put(certificate.into());
            }
            let (used, ada) = (Nonces::default(), "ada".parse().expect("a name"));
            Self { tables, used, ada, keys }
        }

        fn proposal(&self) -> Proposal<'_> {
            Proposal {
                asker: &self.ada,
                instance_id: &[1; 16],
                method: approval::SCOPE_PUT,
                document_hash: [2; 32],
                revision: 7,
            }
        }

        fn sign(&self, who: &str, proposal: &Proposal<'_>, expires_at_ms: i64) -> v1::Approval {
            let message = approval::signing_bytes(
                proposal.instance_id,
                proposal.method,
                &proposal.document_hash,
                proposal.revision,
                expires_at_ms,
            )
            .expect("short");
            let (_, key) = self.keys.iter().find(|(name, _)| *name == who).expect("a key");
            v1::Approval { operator: who.to_owned(), expires_at_ms, signature: key.sign(&message) }
        }

        fn approve(&self, who: &str) -> v1::Approval {
            self.sign(who, &self.proposal(), NOW.millis() + HOUR_MS)
        }

        fn verify(&self, approvals: &[v1::Approval]) -> Result<Vec<Approved>, VaultError> {
            self.proposal().verify(&self.tables, &self.used, approvals, NOW)
        }

        /// The problem with one approval, or none.
        fn problem(&self, approval: v1::Approval) -> Option<ApprovalProblem> {
            match self.verify(&[approval]) {
                Ok(verified) => {
                    assert_eq!(verified.len(), 1);
                    None
                }
                Err(VaultError::Approval(problem)) => Some(problem),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn another_admins_signature_is_taken_and_written_down() {
        let sample = Sample::new();
        let approvals = [sample.approve("bob"), sample.approve("eve")];
        let verified = sample.verify(&approvals).expect("verify");

        for (approval, (verified, name)) in
            approvals.iter().zip(verified.iter().zip(["bob", "eve"]))
        {
            assert_eq!(verified.entry.approver.as_str(), name);
            assert_eq!(verified.entry.method, "signed");
            let hash = Sha256::digest(&approval.signature).into();
            assert_eq!(verified.entry.sig_sha256, Some(hash));
        }
        assert!(sample.verify(&[]).expect("none").is_empty());
    }

    #[test]
    fn nobody_else_counts() {
        let sample = Sample::new();
        for who in ["ada", "uma"] {
            let problem = sample.problem(sample.approve(who));
            assert_eq!(problem, Some(ApprovalProblem::Approver), "{who}");
        }
        let mut unknown = sample.approve("bob");
        unknown.operator = "zoe".to_owned();
        assert_eq!(sample.problem(unknown), Some(ApprovalProblem::Approver));
        // Under another admin's name: not with his key.
        let mut borrowed = sample.approve("ada");
        borrowed.operator = "bob".to_owned();
        assert_eq!(sample.problem(borrowed), Some(ApprovalProblem::Signature));

        let twice = [sample.approve("bob"), sample.approve("bob")];
        let refused = sample.verify(&twice);
        assert!(matches!(refused, Err(VaultError::Approval(ApprovalProblem::Approver))));
        let many = vec![sample.approve("bob"); 5];
        let refused = sample.verify(&many);
        assert!(matches!(refused, Err(VaultError::Field(_))));
    }

    #[test]
    fn an_approval_ends_with_its_time() {
        let sample = Sample::new();
        let day = 24 * HOUR_MS;
        for (after_ms, problem) in [
            (-1, Some(ApprovalProblem::Expired)),
            (0, Some(ApprovalProblem::Expired)),
            (1, None),
            (day, None),
            (day + 1, Some(ApprovalProblem::Expired)),
            (i64::MAX - NOW.millis(), Some(ApprovalProblem::Expired)),
        ] {
            let approval = sample.sign("bob", &sample.proposal(), NOW.millis() + after_ms);
            assert_eq!(sample.problem(approval), problem, "{after_ms}");
        }
        let mut prolonged = sample.approve("bob");
        prolonged.expires_at_ms += 1;
        assert_eq!(sample.problem(prolonged), Some(ApprovalProblem::Signature));
    }

    #[test]
    fn an_approval_is_for_one_change_alone() {
        let sample = Sample::new();
        let others = [
            Proposal { instance_id: &[9; 16], ..sample.proposal() },
            Proposal { method: "vault.v1.ScopeService/Delete", ..sample.proposal() },
            Proposal { document_hash: [9; 32], ..sample.proposal() },
            Proposal { revision: 8, ..sample.proposal() },
        ];
        for (number, other) in others.iter().enumerate() {
            let approval = sample.sign("bob", other, NOW.millis() + HOUR_MS);
            assert_eq!(sample.problem(approval), Some(ApprovalProblem::Signature), "{number}");
        }
    }

    #[test]
    fn an_approval_is_good_once() {
        let mut sample = Sample::new();
        let approval = sample.approve("bob");
        let both = [approval.clone(), sample.approve("eve")];
        let marks = |approved: Vec<Approved>| -> Vec<CommandNonce> {
            approved.into_iter().map(|approved| approved.mark).collect()
        };
        let first = marks(sample.verify(&both).expect("verify"));
        assert_eq!(marks(sample.verify(&both).expect("looking uses nothing up")), first);
        assert_ne!(first[0].nonce, first[1].nonce);
        let in_an_hour = Timestamp::from_millis(NOW.millis() + HOUR_MS);
        assert!(first.iter().all(|mark| mark.nonce.len() == 32 && mark.expires_at == in_an_hour));

        sample.used.use_up(&first[..1], NOW);
        assert_eq!(sample.problem(approval.clone()), Some(ApprovalProblem::Used));
        // Another signature of the same word by the same admin: ECDSA makes a new one each time.
        let resigned = sample.approve("bob");
        assert_ne!(resigned.signature, approval.signature);
        assert_eq!(sample.problem(resigned), Some(ApprovalProblem::Used));
        assert!(matches!(sample.verify(&both), Err(VaultError::Approval(ApprovalProblem::Used))));
        // Another admin's word, and another word of the same admin.
        assert_eq!(sample.problem(both[1].clone()), None);
        let later = sample.sign("bob", &sample.proposal(), NOW.millis() + HOUR_MS + 1);
        assert_eq!(sample.problem(later), None);

        // A start goes on with what the database has.
        let kept = first.iter().take(1).map(|mark| (mark.nonce.clone(), mark.expires_at));
        sample.used = Nonces::resume(kept);
        assert_eq!(sample.problem(approval.clone()), Some(ApprovalProblem::Used));
        sample.used.use_up(&[], Timestamp::from_millis(NOW.millis() + HOUR_MS - 1));
        assert_eq!(sample.problem(approval.clone()), Some(ApprovalProblem::Used));
        // Over, and used all the same, if the wall clock is put back.
        sample.used.use_up(&[], in_an_hour);
        assert!(sample.used.is_used_up(&first[0]));
        assert_eq!(sample.problem(approval.clone()), Some(ApprovalProblem::Used));
        let over = sample.proposal().verify(&sample.tables, &sample.used, &[approval], in_an_hour);
        assert!(matches!(over, Err(VaultError::Approval(ApprovalProblem::Expired))));
    }

    #[test]
    fn an_approval_dies_with_its_admin_and_his_certificate() {
        let approval = |sample: &Sample| sample.problem(sample.approve("bob"));
        let with = |change: fn(&mut OperatorRow, &mut CertificateRow)| {
            let mut sample = Sample::new();
            let Sample { tables, .. } = &mut sample;
            let operator = tables.operators.get_mut("bob").expect("bob");
            let certificate = tables.certificates.get_mut(&Serial([1; 16])).expect("his");
            change(operator, certificate);
            approval(&sample)
        };

        assert_eq!(with(|_, _| {}), None);
        let revoked = with(|operator, _| operator.state = HolderState::Revoked);
        assert_eq!(revoked, Some(ApprovalProblem::Approver));
        let no_admin = with(|operator, _| operator.role = Role::Guard);
        assert_eq!(no_admin, Some(ApprovalProblem::Approver));
        let cut = with(|_, certificate| certificate.state = CertificateState::Revoked);
        assert_eq!(cut, Some(ApprovalProblem::Signature));
        let over = with(|_, certificate| certificate.not_after = NOW);
        assert_eq!(over, Some(ApprovalProblem::Signature));
        let renewed = with(|_, certificate| certificate.state = CertificateState::Superseded);
        assert_eq!(renewed, None);
        let elsewhere =
            with(|_, certificate| certificate.public_key = HexBytes(Key::ed25519().spki()));
        assert_eq!(elsewhere, Some(ApprovalProblem::Signature));
    }
}
