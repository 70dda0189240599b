//! Nonces belong to the vault: strictly increasing per credential, through restarts and steps of the
//! clock, and in the hands of one client at a time.

use std::collections::HashMap;
use std::time::Duration;

use vault_model::{ClockTime, Name, Timestamp};

use crate::error::VaultError;

/// The last nonce of each credential; rebuilt from the log at start.
#[derive(Default)]
pub struct NonceCounters(HashMap<Name, u64>);

impl NonceCounters {
    /// A nonce that the log has: later ones are greater.
    pub fn seen(&mut self, credential: &Name, nonce: u64) {
        match self.0.get_mut(credential) {
            Some(last) => *last = (*last).max(nonce),
            None => {
                self.0.insert(credential.clone(), nonce);
            }
        }
    }

    /// The next nonce: microseconds since the epoch, or one more than the last or the floor.
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] when 2^64 nonces are used up.
    pub fn next(
        &mut self,
        credential: &Name,
        floor: u64,
        now: Timestamp,
    ) -> Result<u64, VaultError> {
        let last = self.0.get(credential).copied().unwrap_or(0).max(floor);
        let after = last.checked_add(1).ok_or(VaultError::Internal("no nonce is left"))?;
        let nonce = after.max(u64::try_from(now.micros()).unwrap_or(0));
        self.0.insert(credential.clone(), nonce);
        Ok(nonce)
    }
}

/// Who holds a credential whose nonces must arrive in order.
#[derive(Default)]
pub struct Leases(HashMap<Name, (Name, ClockTime)>);

impl Leases {
    /// Takes or prolongs the lease of a credential for a client.
    ///
    /// # Errors
    ///
    /// [`VaultError::CredentialLeased`] while another client's last Sign is not [`LEASE`] ago.
    pub fn take(
        &mut self,
        credential: &Name,
        client: &Name,
        now: ClockTime,
    ) -> Result<(), VaultError> {
        self.check(credential, client, now)?;
        self.0.insert(credential.clone(), (client.clone(), now.plus(LEASE)));
        Ok(())
    }

    /// Whether a client that signs holds a credential now.
    pub fn is_held(&self, credential: &Name, now: ClockTime) -> bool {
        self.0.get(credential).is_some_and(|(_, until)| *until > now)
    }

    /// Whether a client may use a credential now, without taking it.
    ///
    /// # Errors
    ///
    /// As for [`Leases::take`].
    pub fn check(
        &self,
        credential: &Name,
        client: &Name,
        now: ClockTime,
    ) -> Result<(), VaultError> {
        match self.0.get(credential) {
            Some((holder, until)) if holder != client && *until > now => {
                let left = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
                Err(VaultError::CredentialLeased { retry_after_ms: left.max(1) })
            }
            _ => Ok(()),
        }
    }
}

/// How long a client keeps a credential after its last Sign.
pub const LEASE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{ClockTime, Name, Timestamp};

    use super::{Leases, NonceCounters};
    use crate::error::VaultError;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
    const AT: ClockTime = ClockTime(1_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn nonces_rise_through_steps_of_the_clock() {
        let mut nonces = NonceCounters::default();
        let kraken = name("kraken");
        let mut last = 0;
        for now in
            [NOW, NOW, NOW.minus(Duration::from_secs(86_400)), NOW.plus(Duration::from_secs(1))]
        {
            let nonce = nonces.next(&kraken, 0, now).expect("a nonce");
            assert!(nonce > last);
            last = nonce;
        }
        assert_eq!(last, 1_800_000_001_000_000);
    }

    #[test]
    fn nonces_begin_above_the_floor_and_what_the_log_has() {
        let mut nonces = NonceCounters::default();
        let kraken = name("kraken");
        nonces.seen(&kraken, 2_000_000_000_000_000);
        nonces.seen(&kraken, 7);

        assert_eq!(nonces.next(&kraken, 0, NOW).expect("a nonce"), 2_000_000_000_000_001);
        assert_eq!(nonces.next(&kraken, u64::MAX - 1, NOW).expect("a nonce"), u64::MAX);
        assert!(nonces.next(&kraken, 0, NOW).is_err());
    }

    #[test]
    fn a_lease_keeps_others_out_until_ten_seconds_after_the_last_sign() {
        let mut leases = Leases::default();
        let (kraken, a, b) = (name("kraken"), name("a"), name("b"));

        leases.take(&kraken, &a, AT).expect("free");
        leases.take(&kraken, &a, AT.plus(Duration::from_secs(9))).expect("its own");
        let at = AT.plus(Duration::from_secs(18));
        assert!(matches!(
            leases.take(&kraken, &b, at),
            Err(VaultError::CredentialLeased { retry_after_ms: 1_000 })
        ));
        assert!(leases.check(&kraken, &b, at).is_err());
        assert!(leases.is_held(&kraken, at) && !leases.is_held(&b, at));
        let free = AT.plus(Duration::from_secs(19));
        leases.check(&kraken, &b, free).expect("free again");
        assert!(!leases.is_held(&kraken, free));
        leases.take(&kraken, &b, free).expect("looking took nothing");
    }
}
