//! Renewal: a certificate that is good, or was until lately, becomes a new one with a new key.

use std::time::Duration;

use prost::Message;
use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_model::Timestamp;

use crate::act::{Asker, Plan};
use crate::allow_list::{certificate_row, forget_stale};
use crate::caller::Caller;
use crate::certificate::{Subject, SubjectKey};
use crate::command::{self, Method};
use crate::error::{CertificateProblem, VaultError};
use crate::storage::{CertificateRow, CertificateState, Changes, Holder, RowKey, Tables};
use crate::vault::{Vault, detail};

impl Vault {
    /// Exchanges the caller's own certificate for a new one with a new key.
    ///
    /// # Errors
    ///
    /// [`VaultError::Csr`], [`VaultError::Certificate`], [`VaultError::RenewedLately`].
    pub(crate) fn renew(
        &mut self,
        command: &v1::SignedCommand,
        caller: &Caller,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::RenewCommand = command::body(command)?;
        let key = SubjectKey::from_csr(&command.csr)?;
        let open = self.opened()?;
        let old = crate::caller::certificate(open.state.tables(), &caller.serial)?.clone();
        let held = open.state.tables().certificates_of(&old.holder);
        let alive = held.filter(|row| row.not_after > now).count();
        if alive >= CERTIFICATES_MAX {
            return Err(VaultError::Certificate(CertificateProblem::NotRenewable));
        }
        // The answer to the first renewal came through: nobody needs it again.
        let is_used = |child: &CertificateRow| self.used_serials.contains(&child.serial);
        let answered = open.state.tables().renewals_of(old.serial).any(is_used);
        if answered {
            return Err(VaultError::Certificate(CertificateProblem::NotRenewable));
        }
        if old.public_key.0 == key.spki() {
            return Err(VaultError::Field("a renewal needs a new key"));
        }
        // Each renewal is an act, with three entries and two syncs, that others' acts wait for.
        if let Some(wait) = until_next(open.state.tables(), &old.holder, now) {
            let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            return Err(VaultError::RenewedLately { retry_after_ms });
        }
        let subject = match &old.holder {
            Holder::Client(name) => Subject::Client(name),
            Holder::Operator(name) => Subject::Operator(name),
        };
        let issued = open.authority.issue(subject, &key, now, &self.rng)?;
        let mut changes = Changes::new();
        forget_stale(open.state.tables(), now, &mut changes);
        // Of two answers to one certificate only the later one is good.
        for child in open.state.tables().renewals_of(old.serial) {
            changes.delete(RowKey::Certificate(child.serial));
        }
        changes.put(certificate_row(&issued, old.holder.clone(), &key, Some(old.serial), now));
        changes.put(CertificateRow { state: CertificateState::Superseded, ..old.clone() });

        let facts =
            || detail([("parent", old.serial.to_string()), ("serial", issued.serial.to_string())]);
        let (plan_detail, also) = (facts(), facts());
        let not_after_ms = issued.not_after.millis();
        let certificate = issued.der.clone();
        let mut plan = Plan::new(Method::ClientRenew.name(), changes, move |vault, _| {
            v1::RenewResponse {
                certificate,
                ca_certificate: vault.instance.ca_certificate.0.clone(),
                not_after_ms,
            }
            .encode_to_vec()
        });
        plan.detail = plan_detail;
        plan.also = Some((EntryKind::CertIssued, also));
        self.begin_act(plan, asker, now)
    }
}

/// How long a holder has to wait for the next renewal. One that the wall clock has put into the future
/// holds nobody up: the clock has been set back since.
fn until_next(tables: &Tables, holder: &Holder, now: Timestamp) -> Option<Duration> {
    let renewals =
        tables.certificates_of(holder).filter(|row| row.parent.is_some() && row.issued_at <= now);
    let next = renewals.map(|row| row.issued_at).max()?.plus(RENEWAL_INTERVAL);
    let wait_us = u64::try_from(next.micros().saturating_sub(now.micros())).unwrap_or(0);
    (wait_us > 0).then(|| Duration::from_micros(wait_us))
}

/// Between two new certificates of one holder.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60);

/// Certificates that one holder may have alive; renewals in time keep it at two.
const CERTIFICATES_MAX: usize = 32;
