//! Handles: what stands outside egress for a text of a venue's answer that authorises by itself, a
//! listen key or a token. Egress alone knows the text. Here is remembered whose handle it is, so that
//! nobody uses another's.
//!
//! They are in memory only: after a restart every handle is unknown, here and in egress.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ring::rand::SecureRandom;
use vault_model::{ClockTime, Name};

use crate::error::VaultError;

/// The handles of all clients.
#[derive(Default)]
pub struct Holds {
    of_handle: HashMap<String, Hold>,
    /// Each client's, the oldest first.
    of_client: HashMap<Name, VecDeque<String>>,
    /// Those whose answer is awaited, by the correlations of their requests.
    awaited: HashMap<u64, Vec<String>>,
}

/// What stands behind a handle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hold {
    /// Who asked for it.
    pub client: Name,
    /// With which credential.
    pub credential: Name,
    /// Of its key: with a new one nobody uses what an old one got.
    pub version: u32,
    /// Of which venue.
    pub venue: &'static str,
    /// From when on nobody uses it: on the vault's own clock, as egress measures it.
    pub until: ClockTime,
}

impl Holds {
    /// Remembers a handle that stands in for what the request with this correlation brings.
    ///
    /// It may be used at once: the venue's answer, with the handle in it, can be with its client
    /// before the outcome is here. Until then egress knows better whether anything is behind it.
    pub fn ask(&mut self, correlation: u64, handle: String, hold: Hold) {
        let handles = self.of_client.entry(hold.client.clone()).or_default();
        handles.push_back(handle.clone());
        if handles.len() > CLIENT_HANDLES_MAX
            && let Some(oldest) = handles.pop_front()
        {
            self.of_handle.remove(&oldest);
        }
        self.awaited.entry(correlation).or_default().push(handle.clone());
        self.of_handle.insert(handle, hold);
    }

    /// The outcome of a request is here: its handles with nothing behind them are forgotten.
    pub fn settle(&mut self, correlation: u64, held: &[String]) {
        for handle in self.awaited.remove(&correlation).unwrap_or_default() {
            if !held.contains(&handle) {
                self.forget(&handle);
            }
        }
    }

    /// A handle of this client, at this venue.
    ///
    /// # Errors
    ///
    /// [`VaultError::HandleUnknown`] for any other text: "not yours" and "not there" answer alike.
    pub fn look(
        &self,
        client: &Name,
        venue: &str,
        handle: &str,
        now: ClockTime,
    ) -> Result<&Hold, VaultError> {
        self.of_handle
            .get(handle)
            .filter(|hold| hold.client == *client && hold.venue == venue && now < hold.until)
            .ok_or(VaultError::HandleUnknown)
    }

    /// Forgets what has run out.
    pub fn forget_old(&mut self, now: ClockTime) {
        let is_over = |(_, hold): &(&String, &Hold)| now >= hold.until;
        let over: Vec<String> =
            self.of_handle.iter().filter(is_over).map(|(handle, _)| handle.clone()).collect();
        for handle in over {
            self.forget(&handle);
        }
    }

    fn forget(&mut self, handle: &str) {
        let Some(hold) = self.of_handle.remove(handle) else {
            return;
        };
        if let Some(handles) = self.of_client.get_mut(&hold.client) {
            handles.retain(|one| one != handle);
            if handles.is_empty() {
                self.of_client.remove(&hold.client);
            }
        }
    }
}

/// A new handle: 64 of `A-Za-z0-9`, about 381 bits that nobody guesses.
///
/// # Errors
///
/// A defect: the system has no randomness.
pub fn new_handle(rng: &dyn SecureRandom) -> Result<String, VaultError> {
    let mut handle = String::with_capacity(HANDLE_CHARS);
    let mut bytes = [0; HANDLE_CHARS];
    while handle.len() < HANDLE_CHARS {
        rng.fill(&mut bytes).map_err(|_| VaultError::Internal("the system has no randomness"))?;
        // Of 256 values the last 8 would make some letters likelier than others.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 4 * ALPHABET.len());
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        handle.extend(letters.take(HANDLE_CHARS - handle.len()));
    }
    Ok(handle)
}

/// How long a handle can be used. Egress forgets what is behind it after the same time.
pub const HANDLE_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Handles of one client; with one more its oldest is forgotten.
pub const CLIENT_HANDLES_MAX: usize = 64;
const HANDLE_CHARS: usize = 64;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ring::rand::SystemRandom;
    use vault_model::{ClockTime, Name};

    use super::{CLIENT_HANDLES_MAX, HANDLE_LIFE, Hold, Holds, new_handle};

    const NOW: ClockTime = ClockTime(1_800_000_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn hold(client: &str) -> Hold {
        Hold {
            client: name(client),
            credential: name("main"),
            version: 1,
            venue: "binance",
            until: NOW.plus(HANDLE_LIFE),
        }
    }

    fn has(holds: &Holds, client: &str, handle: &str) -> bool {
        holds.look(&name(client), "binance", handle, NOW).is_ok()
    }

    #[test]
    fn a_handle_is_its_clients_at_its_venue_for_its_time() {
        let mut holds = Holds::default();
        holds.ask(1, "a".to_owned(), hold("one"));
        assert!(has(&holds, "one", "a"), "the answer may be there before the outcome");
        assert!(!has(&holds, "other", "a"));
        assert!(!has(&holds, "one", "b"));
        assert!(holds.look(&name("one"), "kraken", "a", NOW).is_err());
        let end = NOW.plus(HANDLE_LIFE);
        let last = ClockTime(end.0 - 1);
        assert!(holds.look(&name("one"), "binance", "a", last).is_ok());
        let refused = holds.look(&name("one"), "binance", "a", end).map_err(|error| error.reason());
        assert_eq!(refused, Err("HANDLE_UNKNOWN"));

        holds.forget_old(last);
        assert!(has(&holds, "one", "a"));
        holds.forget_old(end);
        assert!(holds.of_handle.is_empty() && holds.of_client.is_empty());
    }

    #[test]
    fn what_egress_does_not_hold_is_forgotten() {
        let mut holds = Holds::default();
        for (correlation, handle) in [(1, "a"), (1, "b"), (2, "c")] {
            holds.ask(correlation, handle.to_owned(), hold("one"));
        }
        holds.settle(1, &["b".to_owned(), "c".to_owned()]);
        assert_eq!(["a", "b", "c"].map(|handle| has(&holds, "one", handle)), [false, true, true]);
        holds.settle(2, &[]);
        holds.settle(3, &["c".to_owned()]);
        assert!(!has(&holds, "one", "c"));
        assert!(holds.awaited.is_empty());
    }

    #[test]
    fn one_client_has_no_more_than_may_be() {
        let mut holds = Holds::default();
        holds.ask(0, "other".to_owned(), hold("other"));
        for number in 0..=CLIENT_HANDLES_MAX {
            holds.ask(number as u64, number.to_string(), hold("one"));
        }
        assert!(!has(&holds, "one", "0"), "the oldest goes");
        assert!(has(&holds, "one", "1") && has(&holds, "one", &CLIENT_HANDLES_MAX.to_string()));
        assert!(has(&holds, "other", "other"));
        assert_eq!(holds.of_handle.len(), CLIENT_HANDLES_MAX + 1);
        // What went early is settled all the same.
        holds.settle(0, &["0".to_owned()]);
        assert!(!has(&holds, "one", "0"));
    }

    #[test]
    fn handles_are_long_plain_and_never_the_same() {
        let rng = SystemRandom::new();
        let made: HashSet<String> =
            (0..64).map(|_| new_handle(&rng).expect("randomness")).collect();
        assert_eq!(made.len(), 64);
        let plain = |handle: &String| handle.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(made.iter().all(|handle| handle.len() == 64 && plain(handle)));
        // Every letter of the alphabet comes up.
        assert_eq!(made.iter().flat_map(|handle| handle.bytes()).collect::<HashSet<_>>().len(), 62);
    }
}
