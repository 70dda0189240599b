//! Callers that nobody knows: counted per network and second, so that they cannot fill the log.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vault_audit::{EntryKind, Outcome};
use vault_model::Timestamp;

use crate::caller::Origin;
use crate::error::VaultError;
use crate::vault::{Vault, detail};

/// Failures that are not in the log yet, by network (/32 or /64) and reason. How many sources get an
/// entry of their own is bounded over time too: who has many networks would fill the disk with one
/// entry each.
pub struct AuthFailures {
    counted: BTreeMap<Source, Count>,
    /// Entries for further sources: [`SOURCES_MAX`] at once, then [`SOURCES_PER_TICK`].
    left: usize,
}

type Source = (IpAddr, &'static str);

impl Default for AuthFailures {
    fn default() -> Self {
        Self { counted: BTreeMap::new(), left: SOURCES_MAX }
    }
}

impl AuthFailures {
    fn count(&mut self, address: IpAddr, reason: &'static str, origin: &Origin, now: Timestamp) {
        let mut source = (network_of(address), reason);
        if !self.counted.contains_key(&source) {
            if self.left == 0 {
                // The rest is counted under one address.
                source = (IpAddr::from([0, 0, 0, 0]), OTHER_SOURCES);
            } else {
                self.left -= 1;
            }
        }
        let count = self.counted.entry(source).or_insert_with(|| Count {
            first: now,
            last: now,
            times: 0,
            origin: origin.clone(),
        });
        count.last = now;
        count.times += 1;
    }

    /// What is to be written now; called about once a second.
    fn take(&mut self) -> BTreeMap<Source, Count> {
        self.left = self.left.saturating_add(SOURCES_PER_TICK).min(SOURCES_MAX);
        std::mem::take(&mut self.counted)
    }
}

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
        self.auth_failures.count(address, error.reason(), origin, now);
    }

    /// Writes what was counted into the log; called about once a second.
    ///
    /// # Errors
    ///
    /// None in practice: such entries are short.
    pub(crate) fn record_auth_failures(&mut self, now: Timestamp) -> Result<(), VaultError> {
        for ((network, reason), count) in self.auth_failures.take() {
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

const OTHER_SOURCES: &str = "OTHER_SOURCES";
const SOURCES_MAX: usize = 256;
const SOURCES_PER_TICK: usize = 2;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use vault_model::Timestamp;

    use super::{AuthFailures, OTHER_SOURCES, SOURCES_MAX, SOURCES_PER_TICK};
    use crate::caller::Origin;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn fail(failures: &mut AuthFailures, address: IpAddr) {
        let origin = Origin { address: Some(address), via: "direct".to_owned() };
        failures.count(address, "CLIENT_UNKNOWN", &origin, NOW);
    }

    #[test]
    fn a_million_failures_from_a_million_networks_are_a_few_entries() {
        const SECONDS: u128 = 100;
        let mut failures = AuthFailures::default();
        let (mut entries, mut times) = (0, 0);
        for second in 0..SECONDS {
            for number in 0..10_000_u128 {
                // Another /64 each time, and another address in it.
                let network = (0x2001_0db8_u128 << 96) | ((second * 10_000 + number) << 64);
                fail(&mut failures, Ipv6Addr::from_bits(network | number).into());
                assert!(failures.counted.len() <= SOURCES_MAX + 1);
            }
            let counted = failures.take();
            entries += counted.len();
            times += counted.values().map(|count| count.times).sum::<u64>();
        }
        assert_eq!(times, 1_000_000, "none is lost");
        let most = SOURCES_MAX + (SOURCES_PER_TICK + 1) * SECONDS as usize;
        assert!(entries <= most, "{entries} entries");
    }

    #[test]
    fn a_64_is_one_source_and_a_quiet_minute_gives_room_again() {
        let mut failures = AuthFailures::default();
        for number in 0..1_000_u128 {
            fail(&mut failures, Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | number).into());
        }
        assert_eq!(failures.take().len(), 1);
        for number in 0..1_000_u32 {
            fail(&mut failures, IpAddr::from(number.to_be_bytes()));
        }
        let counted = failures.take();
        assert!(counted.keys().any(|(_, reason)| *reason == OTHER_SOURCES));
        for _ in 0..SOURCES_MAX {
            assert!(failures.take().is_empty());
        }
        fail(&mut failures, IpAddr::from([10, 0, 0, 1]));
        assert!(failures.take().keys().all(|(_, reason)| *reason != OTHER_SOURCES));
    }
}
