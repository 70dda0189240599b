//! Callers that nobody knows: counted per network and second, so that they cannot fill the log.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vault_audit::{EntryKind, Outcome};
use vault_model::Timestamp;

use crate::caller::Origin;
use crate::error::VaultError;
use crate::vault::{Vault, detail};

/// Failures that are not in the log yet, by network (/32 or /64) and reason.
#[derive(Default)]
pub struct AuthFailures(BTreeMap<(IpAddr, &'static str), Count>);

struct Count {
    first: Timestamp,
    last: Timestamp,
    times: u64,
    origin: Origin,
}

impl Vault {
    /// Counts a failure of somebody who was not identified.
    pub(crate) fn count_auth_failure(
        &mut self,
        origin: &Origin,
        error: &VaultError,
        now: Timestamp,
    ) {
        let Some(address) = origin.address else {
            return;
        };
        let key = (network_of(address), error.reason());
        let failures = &mut self.auth_failures.0;
        // Beyond this many sources in a second the rest is counted under one address.
        let key = if failures.len() >= SOURCES_MAX && !failures.contains_key(&key) {
            (IpAddr::from([0, 0, 0, 0]), "OTHER_SOURCES")
        } else {
            key
        };
        let count = failures.entry(key).or_insert_with(|| Count {
            first: now,
            last: now,
            times: 0,
            origin: origin.clone(),
        });
        count.last = now;
        count.times += 1;
    }

    /// Writes what was counted into the log; called about once a second.
    ///
    /// # Errors
    ///
    /// None in practice: such entries are short.
    pub(crate) fn record_auth_failures(&mut self, now: Timestamp) -> Result<(), VaultError> {
        for ((network, reason), count) in std::mem::take(&mut self.auth_failures.0) {
            let mut entry = self.journal.entry(EntryKind::AuthDenied, now);
            self.place_origin(&mut entry, &count.origin);
            entry.ip = Some(network);
            entry.outcome = Outcome::Denied;
            entry.reason = Some(reason.to_owned());
            entry.detail = detail([
                ("count", count.times.to_string()),
                ("first_ts", count.first.micros().to_string()),
                ("last_ts", count.last.micros().to_string()),
            ]);
            self.journal.record(entry)?;
        }
        Ok(())
    }
}

/// The address itself, or the /64 that an IPv6 client has to itself.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
    }
}

const SOURCES_MAX: usize = 256;
