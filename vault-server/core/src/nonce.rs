//! Nonces belong to the vault: strictly increasing per credential, through restarts and steps of the
//! clock, and in the hands of one client at a time ([`crate::lease`]).

use std::collections::HashMap;

use vault_model::{Name, NotPacked, Pack, Timestamp, Unpack};

use crate::error::VaultError;
use crate::snapshot;

/// The last nonce of each credential; rebuilt from the log at start.
#[derive(Debug, Default, Eq, PartialEq)]
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

    /// Writes all of it, for a snapshot.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        snapshot::pack_map(
            &self.0,
            pack,
            |pack, name| pack.text(name.as_str()),
            |pack, nonce| {
                pack.number(*nonce);
            },
        );
    }

    /// Reads what [`NonceCounters::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        snapshot::unpack_map(unpack, Unpack::name, Unpack::number).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{Name, Timestamp};

    use super::NonceCounters;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

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
}
