//! Keys that were opened a moment ago and are likely to be asked for again.
//!
//! To open a credential's key takes two derivations and two decryptions, about as long as all else that
//! a signature takes, and a private key is parsed then, which may take longer still. A bot that trades
//! asks for the same key thousands of times a second. So an open key stays where secrets lie
//! ([`vault_model::SecretBytes`]), and beside it the private key that was parsed from it, on the heap of
//! the library that signs with it, until nobody has asked for it for some seconds, until an act has
//! changed a client, a credential or a halt, or until the vault is sealed; and there are only so many. What has no
//! private key could be read by nobody who could not read the keys that it was opened with, beside it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use vault_model::Name;

use crate::credential::OpenSecret;
use crate::error::VaultError;

/// Open keys, by credential.
#[derive(Default)]
pub(crate) struct OpenKeys(RefCell<HashMap<Name, Kept>>);

struct Kept {
    secret: Rc<OpenSecret>,
    /// Ticks since it was asked for.
    ticks: u32,
    version: u32,
}

impl OpenKeys {
    /// The key of a credential's version; it is opened by `open` if it does not lie here.
    ///
    /// # Errors
    ///
    /// Those of `open`.
    pub fn get(
        &self,
        credential: &Name,
        version: u32,
        open: impl FnOnce() -> Result<OpenSecret, VaultError>,
    ) -> Result<Rc<OpenSecret>, VaultError> {
        let mut keys = self.0.borrow_mut();
        if let Some(kept) = keys.get_mut(credential)
            && kept.version == version
        {
            kept.ticks = 0;
            return Ok(Rc::clone(&kept.secret));
        }
        let secret = Rc::new(open()?);
        if keys.len() >= KEYS_MAX
            && let Some(idlest) = keys.iter().max_by_key(|(_, kept)| kept.ticks)
        {
            let idlest = idlest.0.clone();
            keys.remove(&idlest);
        }
        let kept = Kept { secret: Rc::clone(&secret), ticks: 0, version };
        keys.insert(credential.clone(), kept);
        Ok(secret)
    }

    /// Closes what nobody has asked for in so many ticks of a second.
    pub fn tick(&self) {
        self.0.borrow_mut().retain(|_, kept| {
            kept.ticks += 1;
            kept.ticks <= IDLE_TICKS_MAX
        });
    }

    /// Closes all of them.
    pub fn close_all(&self) {
        self.0.borrow_mut().clear();
    }
}

const IDLE_TICKS_MAX: u32 = 5;
const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::{Rc, Weak};
    use std::sync::Arc;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey};
    use vault_model::Name;
    use vault_venue::{KeyType, Registry};

    use super::{IDLE_TICKS_MAX, KEYS_MAX, OpenKeys};
    use crate::credential::OpenSecret;
    use crate::error::VaultError;

    /// Open keys, and how often one was opened.
    #[derive(Default)]
    struct Bed {
        keys: OpenKeys,
        opened: Cell<usize>,
    }

    impl Bed {
        fn get(&self, credential: &str, version: u32) -> Weak<OpenSecret> {
            let name: Name = credential.parse().expect("a name");
            let opened = self.keys.get(&name, version, || {
                self.opened.set(self.opened.get() + 1);
                Ok(OpenSecret::for_test())
            });
            Rc::downgrade(&opened.expect("opened"))
        }
    }

    #[test]
    fn a_key_is_opened_once_for_as_long_as_it_is_asked_for() {
        let bed = Bed::default();
        for _ in 0..100 {
            bed.get("main", 1);
            bed.keys.tick();
        }
        assert_eq!(bed.opened.get(), 1);
    }

    #[test]
    fn a_key_that_nobody_asks_for_is_closed() {
        let bed = Bed::default();
        let key = bed.get("main", 1);
        for _ in 0..IDLE_TICKS_MAX {
            bed.keys.tick();
        }
        assert!(key.upgrade().is_some());
        bed.keys.tick();
        assert!(key.upgrade().is_none());
    }

    #[test]
    fn another_version_is_another_key_and_takes_the_place() {
        let bed = Bed::default();
        let old = bed.get("main", 1);
        let new = bed.get("main", 2);
        assert!(old.upgrade().is_none() && new.upgrade().is_some());
    }

    #[test]
    fn all_are_closed_at_once() {
        let bed = Bed::default();
        let keys = [bed.get("one", 1), bed.get("two", 1)];
        bed.keys.close_all();
        assert!(keys.iter().all(|key| key.upgrade().is_none()));
    }

    #[test]
    fn only_so_many_lie_open_and_the_idlest_goes() {
        let bed = Bed::default();
        let idlest = bed.get("idlest", 1);
        bed.keys.tick();
        let keys: Vec<_> = (0..KEYS_MAX).map(|n| bed.get(&format!("key-{n}"), 1)).collect();
        assert!(idlest.upgrade().is_none());
        assert_eq!(keys.iter().filter(|key| key.upgrade().is_some()).count(), KEYS_MAX);
    }

    #[test]
    fn a_private_key_is_parsed_once_and_closed_with_its_secret() {
        let registry = Registry::bundled().expect("catalogues");
        let venue = registry.venue("binance").expect("a venue");
        let pair = Ed25519KeyPair::generate().expect("a key");
        let pem = crate::server::pem("PRIVATE KEY", pair.to_pkcs8v1().expect("PKCS#8").as_ref());
        let keys = OpenKeys::default();
        let name: Name = "main".parse().expect("a name");
        let parsed = || {
            let secret = keys.get(&name, 1, || Ok(OpenSecret::with_pem(&pem))).expect("opened");
            let key = secret.parsed_key(venue, KeyType::Ed25519).expect("a private key");
            let signature = key.private_key.expect("parsed").sign(b"text").expect("signed");
            let public = pair.public_key().as_ref();
            UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public)
                .verify(b"text", &signature)
                .expect("its signature");
            Arc::downgrade(secret.private_key().expect("parsed"))
        };

        let key = parsed();
        assert!(key.ptr_eq(&parsed()), "it is the same one");
        assert_eq!(key.strong_count(), 1, "it is kept with its secret, and nowhere else");
        keys.close_all();
        assert_eq!(key.strong_count(), 0);
        let key = parsed();
        for _ in 0..=IDLE_TICKS_MAX {
            keys.tick();
        }
        assert_eq!(key.strong_count(), 0);
    }

    #[test]
    fn what_does_not_open_is_not_kept() {
        let keys = OpenKeys::default();
        let name: Name = "main".parse().expect("a name");
        let failed = keys.get(&name, 1, || Err(VaultError::Internal("it does not open")));
        assert!(failed.is_err());
        assert!(keys.get(&name, 1, || Ok(OpenSecret::for_test())).is_ok());
    }
}
