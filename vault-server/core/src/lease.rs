//! Leases: a credential whose nonces must arrive in order is in the hands of one client that signs at
//! a time. What it was given it sends itself, some time later, so nobody else gets a nonce until
//! [`LEASE`] after its last Sign.
//!
//! While others ask, a lease is not prolonged without end: after [`SHARED_MAX`] it is over, and then
//! whoever was refused has its turn, in the order in which they came. Who does not come back within
//! [`LEASE`] loses its turn to the next.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use vault_model::{ClockTime, Name};

use crate::error::VaultError;

/// Who holds a credential whose nonces must arrive in order.
#[derive(Default)]
pub struct Leases(HashMap<Name, Lease>);

struct Lease {
    holder: Name,
    until: ClockTime,
    /// Since when somebody else has wanted it from this holder.
    wanted_since: Option<ClockTime>,
    /// Clients that were refused, the first of them first.
    line: VecDeque<Name>,
}

impl Leases {
    /// Takes or prolongs the lease of a credential for a client.
    ///
    /// # Errors
    ///
    /// As for [`Leases::check`]; and [`VaultError::CredentialLeased`] to the holder, if it could be
    /// over later than [`SHARED_MAX`] after somebody else has asked.
    pub fn take(
        &mut self,
        credential: &Name,
        client: &Name,
        now: ClockTime,
    ) -> Result<(), VaultError> {
        let holder = client.clone();
        let mut line = VecDeque::new();
        if let Some(lease) = self.0.get_mut(credential) {
            lease.admit(client, now)?;
            if lease.until > now {
                return lease.prolong(now);
            }
            line = std::mem::take(&mut lease.line);
        }
        let wanted_since = (!line.is_empty()).then_some(now);
        let lease = Lease { holder, until: now.plus(LEASE), wanted_since, line };
        self.0.insert(credential.clone(), lease);
        Ok(())
    }

    /// Whether a client that signs holds a credential now.
    pub fn is_held(&self, credential: &Name, now: ClockTime) -> bool {
        self.0.get(credential).is_some_and(|lease| lease.until > now)
    }

    /// Whether a client may use a credential now, without taking it. One that may not has its turn
    /// later.
    ///
    /// # Errors
    ///
    /// [`VaultError::CredentialLeased`] while another client's last Sign is not [`LEASE`] ago, or it
    /// is another's turn.
    pub fn check(
        &mut self,
        credential: &Name,
        client: &Name,
        now: ClockTime,
    ) -> Result<(), VaultError> {
        self.0.get_mut(credential).map_or(Ok(()), |lease| lease.admit(client, now))
    }
}

impl Lease {
    fn admit(&mut self, client: &Name, now: ClockTime) -> Result<(), VaultError> {
        if self.until > now {
            if self.holder == *client {
                return Ok(());
            }
            self.wanted_since.get_or_insert(now);
            self.place_of(client);
            return Err(self.leased_until(self.until, now));
        }
        // One more may come in with each time that the one before did not use.
        let open = now.since(self.until).as_micros() / LEASE.as_micros();
        let is_open = |at: usize| u128::try_from(at).is_ok_and(|at| at <= open);
        let at = match self.line.iter().position(|name| name == client) {
            None if is_open(self.line.len()) => self.line.len(),
            None => self.place_of(client),
            Some(at) => at,
        };
        if is_open(at) {
            self.line.drain(..self.line.len().min(at + 1));
            return Ok(());
        }
        let turn = u32::try_from(at).map_or(LEASE, |at| LEASE * at);
        Err(self.leased_until(self.until.plus(turn), now))
    }

    fn prolong(&mut self, now: ClockTime) -> Result<(), VaultError> {
        let until = now.plus(LEASE);
        if self.wanted_since.is_some_and(|since| until > since.plus(SHARED_MAX)) {
            let holder = self.holder.clone();
            let at = self.place_of(&holder);
            let turn = u32::try_from(at).map_or(LEASE, |at| LEASE * at);
            return Err(self.leased_until(self.until.plus(turn), now));
        }
        self.until = until;
        Ok(())
    }

    /// Where a client is in the line; one that is not comes in at the end, if there is room.
    fn place_of(&mut self, client: &Name) -> usize {
        if let Some(at) = self.line.iter().position(|name| name == client) {
            return at;
        }
        if self.line.len() < LINE_MAX {
            self.line.push_back(client.clone());
            return self.line.len() - 1;
        }
        self.line.len()
    }

    fn leased_until(&self, at: ClockTime, now: ClockTime) -> VaultError {
        let left = u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
        VaultError::CredentialLeased { retry_after_ms: left.max(1) }
    }
}

/// How long a client keeps a credential after its last Sign, and how long a turn is kept for who has
/// it.
pub const LEASE: Duration = Duration::from_secs(10);
/// How long a client keeps a credential that somebody else wants.
pub const SHARED_MAX: Duration = Duration::from_secs(30);
/// Clients that have a turn.
const LINE_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use vault_model::{ClockTime, Name};

    use super::{LEASE, Leases, SHARED_MAX};
    use crate::error::VaultError;

    const AT: ClockTime = ClockTime(1_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    struct Bed {
        leases: Leases,
        seconds: u64,
    }

    impl Bed {
        fn new() -> Self {
            Self { leases: Leases::default(), seconds: 0 }
        }

        fn now(&self) -> ClockTime {
            AT.plus(Duration::from_secs(self.seconds))
        }

        /// Seconds until a client may sign; 0: it has.
        fn sign(&mut self, client: &str) -> u64 {
            let now = self.now();
            seconds(self.leases.take(&name("kraken"), &name(client), now))
        }

        /// As [`Bed::sign`], of an Execute.
        fn execute(&mut self, client: &str) -> u64 {
            let now = self.now();
            seconds(self.leases.check(&name("kraken"), &name(client), now))
        }
    }

    fn seconds(answer: Result<(), VaultError>) -> u64 {
        match answer {
            Ok(()) => 0,
            Err(VaultError::CredentialLeased { retry_after_ms }) => retry_after_ms / 1_000,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_lease_keeps_others_out_until_ten_seconds_after_the_last_sign() {
        let mut bed = Bed::new();
        assert_eq!(bed.sign("a"), 0);
        bed.seconds = 9;
        assert_eq!((bed.sign("a"), bed.execute("a")), (0, 0));
        bed.seconds = 18;
        assert_eq!((bed.sign("b"), bed.execute("b")), (1, 1));
        let kraken = name("kraken");
        assert!(bed.leases.is_held(&kraken, bed.now()));
        assert!(!bed.leases.is_held(&name("other"), bed.now()));
        bed.seconds = 19;
        assert!(!bed.leases.is_held(&kraken, bed.now()));
        assert_eq!(bed.execute("b"), 0);
        assert_eq!(bed.sign("b"), 0, "looking took nothing");
    }

    #[test]
    fn nobody_prolongs_for_ever_what_others_want() {
        let mut bed = Bed::new();
        for second in 0..1_000 {
            bed.seconds = second;
            assert_eq!(bed.sign("a"), 0, "nobody else wants it");
        }
        assert_eq!(bed.execute("b"), 10);
        let asked_at = bed.seconds;
        while bed.sign("a") == 0 {
            bed.seconds += 1;
        }
        // What it was given last may arrive for as long as ever.
        assert_eq!(bed.seconds, asked_at + 21);
        assert_eq!(bed.execute("b"), 9);
        bed.seconds = asked_at + 30;
        assert_eq!((bed.sign("a"), bed.execute("b")), (10, 0));
        assert_eq!(bed.sign("a"), 0, "its turn, now that the other has had its own");
    }

    #[test]
    fn turns_go_round_and_are_lost_by_who_does_not_come() {
        let mut bed = Bed::new();
        assert_eq!((bed.sign("a"), bed.sign("b"), bed.sign("c")), (0, 10, 10));
        bed.seconds = 10;
        assert_eq!((bed.sign("a"), bed.sign("c")), (20, 10));
        assert_eq!(bed.sign("b"), 0);
        // It is wanted from the start, by c and a.
        for second in [19, 28] {
            bed.seconds = second;
            assert_eq!(bed.sign("b"), 0);
        }
        bed.seconds = 37;
        assert_eq!(bed.sign("b"), 21);
        bed.seconds = 38;
        assert_eq!((bed.execute("c"), bed.execute("b"), bed.execute("a")), (0, 10, 0));

        let mut bed = Bed::new();
        assert_eq!((bed.sign("a"), bed.sign("b"), bed.sign("c")), (0, 10, 10));
        // Neither comes back.
        bed.seconds = 29;
        assert_eq!(bed.sign("a"), 1);
        bed.seconds = 30;
        assert_eq!(bed.sign("a"), 0);
        bed.seconds = 100;
        assert_eq!(bed.sign("a"), 0);
    }

    #[test]
    fn no_more_than_so_many_have_a_turn() {
        let mut bed = Bed::new();
        bed.sign("a");
        for number in 0..100 {
            assert_eq!(bed.sign(&format!("client-{number}")), 10);
        }
        bed.seconds = 10;
        assert_eq!((bed.sign("client-15"), bed.sign("client-16")), (150, 160));
        assert_eq!(bed.sign("client-0"), 0);
    }

    proptest! {
        /// However many ask how often: nobody else is let in within [`LEASE`] of a Sign, and who asks
        /// each second is let in after [`SHARED_MAX`] and a turn for each of the others.
        #[test]
        fn leases_are_safe_and_end(
            asks in prop::collection::vec((0..4_usize, any::<bool>()), 200..400)
        ) {
            let clients = ["a", "b", "c", "d"];
            let mut bed = Bed::new();
            let mut last_sign: Option<(usize, u64)> = None;
            let mut since = 0;
            for (client, signs) in asks {
                bed.seconds += 1;
                let left = match signs {
                    true => bed.sign(clients[client]),
                    false => bed.execute(clients[client]),
                };
                if left == 0 {
                    if let Some((holder, at)) = last_sign {
                        prop_assert!(holder == client || bed.seconds >= at + LEASE.as_secs());
                    }
                    if signs {
                        last_sign = Some((client, bed.seconds));
                    }
                }
                // One asks all the time.
                if bed.execute("z") == 0 {
                    if let Some((_, at)) = last_sign {
                        prop_assert!(bed.seconds >= at + LEASE.as_secs());
                    }
                    since = bed.seconds;
                }
                let most = 5 * (SHARED_MAX + LEASE).as_secs();
                prop_assert!(bed.seconds - since <= most);
            }
        }
    }
}
