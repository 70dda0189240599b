//! Unsealing: a passphrase or key file opens a slot, the slot the keyring, the keyring everything.
//!
//! The slow part, Argon2, runs on a thread of its own. What comes of an attempt is in the log.

use vault_audit::{EntryKind, LogSigner, Origin as LogOrigin};
use vault_ipc::proto::{sealed, v1};
use vault_model::{SecretBytes, Timestamp};

use crate::act::Asker;
use crate::certificate::Authority;
use crate::crypto::mac::StateMac;
use crate::crypto::stack::wiping_stack;
use crate::error::{UnsealProblem, VaultError};
use crate::history::keys_asked;
use crate::inbox::InputSender;
use crate::run::Input;
use crate::seal::{Guesser, Keyring, RootKey, SlotError, SlotRecord, UnsealInput};
use crate::storage::State;
use crate::vault::{Open, Vault};
use crate::writer::ToWriter;

/// An attempt that is being computed: who waits for it, and the slots' answer.
pub struct Attempt {
    /// Who asked.
    pub asker: Asker,
    /// The root key, if a slot opened.
    pub root_key: Result<RootKey, NotOpened>,
}

/// Why no slot opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotOpened {
    /// The key derivation could not be computed: no memory, or a slot that was altered.
    Broken,
    /// The passphrase is none of the slots'.
    Wrong,
}

fn open_slots(
    slots: &[SlotRecord],
    instance_id: &str,
    input: &UnsealInput,
) -> Result<RootKey, NotOpened> {
    let mut outcome = NotOpened::Wrong;
    for slot in slots {
        match slot.open(instance_id, input) {
            Ok(root_key) => return Ok(root_key),
            Err(SlotError::Wrong | SlotError::Kind | SlotError::KeyFile) => {}
            Err(error) => {
                tracing::error!(%error, slot = slot.id, "a slot cannot be tried");
                outcome = NotOpened::Broken;
            }
        }
    }
    Err(outcome)
}

impl Vault {
    /// Begins an attempt with a sealed passphrase.
    ///
    /// # Errors
    ///
    /// [`VaultError::Unseal`], [`VaultError::SealedSecret`].
    pub(crate) fn begin_unseal(
        &mut self,
        command: &v1::UnsealCommand,
        asker: Asker,
        core: &InputSender,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if self.open.is_some() {
            return Err(VaultError::Unseal(UnsealProblem::AlreadyUnsealed));
        }
        if self.refused.is_some() {
            return Err(VaultError::Unseal(UnsealProblem::StateRefused));
        }
        let who = Guesser::of(asker.caller.as_ref().map(|caller| &caller.name));
        let wait = self.backoff.wait(who, self.clock.time());
        if !wait.is_zero() {
            let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            return Err(VaultError::UnsealBackoff { retry_after_ms });
        }
        let passphrase =
            self.open_sealed(&command.ticket_id, sealed::UNSEAL, None, &[], &command.sealed, now)?;
        self.backoff
            .begin(who, self.clock.time())
            .map_err(|_| VaultError::UnsealBackoff { retry_after_ms: BUSY_MS })?;

        let slots = self.slots.clone();
        let instance_id = self.instance_id.clone();
        let core = core.clone();
        let attempt = move || {
            let input = UnsealInput::Passphrase(passphrase);
            let root_key = wiping_stack(|| open_slots(&slots, &instance_id, &input));
            // The decision thread is gone only when the process ends.
            let _ = core.send(Input::Attempted(Box::new(Attempt { asker, root_key })));
        };
        let thread = std::thread::Builder::new().name("kdf".to_owned()).spawn(attempt);
        if thread.is_err() {
            self.backoff.abandon();
            return Err(VaultError::Internal("no thread for the key derivation"));
        }
        Ok(())
    }

    /// Ends an attempt: opens the vault or refuses, and logs which.
    ///
    /// # Errors
    ///
    /// None of the caller's making.
    pub(crate) fn end_unseal(
        &mut self,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let Attempt { asker, root_key } = attempt;
        let opened = match root_key {
            Err(NotOpened::Wrong) => Err(VaultError::Unseal(UnsealProblem::WrongPassphrase)),
            Err(NotOpened::Broken) => Err(VaultError::Internal("the key derivation failed")),
            Ok(root_key) => self.open_with(&root_key, now),
        };
        let kind = match &opened {
            Ok(()) => EntryKind::Unseal,
            Err(_) => EntryKind::UnsealDenied,
        };
        let mut entry = self.entry_of(kind, &asker, now);
        let who = Guesser::of(asker.caller.as_ref().map(|caller| &caller.name));
        match opened {
            Ok(()) => {
                self.backoff.succeed(who);
                entry.state_rev = Some(self.expected_state.0);
                self.journal.record(entry)?;
                let state_rev = self.expected_state.0;
                let response = v1::UnsealResponse { state_rev };
                self.journal.answer(asker.channel, asker.correlation, &response);
            }
            Err(error) => {
                match error {
                    VaultError::Unseal(UnsealProblem::WrongPassphrase) => {
                        self.backoff.fail(who, self.clock.time());
                    }
                    _ => self.backoff.abandon(),
                }
                let place = self.record_denied(entry, &error)?;
                self.journal.refuse(asker.channel, asker.correlation, &error, Some(place.index));
            }
        }
        Ok(())
    }

    /// Opens the vault with a key file's content, at start.
    ///
    /// # Errors
    ///
    /// [`VaultError::Unseal`] if no slot opens, or the state is refused.
    pub(crate) fn unseal_with_key_file(
        &mut self,
        content: SecretBytes,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let input = UnsealInput::KeyFile(content);
        let opened = open_slots(&self.slots, &self.instance_id, &input)
            .map_err(|_| VaultError::Unseal(UnsealProblem::WrongKeyFile))
            .and_then(|root_key| self.open_with(&root_key, now));
        let kind = if opened.is_ok() { EntryKind::Unseal } else { EntryKind::UnsealDenied };
        let mut entry = self.journal.entry(kind, now);
        self.place_origin(&mut entry, &crate::caller::Origin::local());
        entry.detail = crate::vault::detail([("slot", "key_file".to_owned())]);
        match &opened {
            Ok(()) => self.journal.record(entry)?,
            Err(error) => self.record_denied(entry, error)?,
        };
        opened
    }

    /// Opens keyring, state and CA, and holds the state against the log.
    fn open_with(&mut self, root_key: &RootKey, now: Timestamp) -> Result<(), VaultError> {
        let refuse = |vault: &mut Self, why: String| {
            tracing::error!(%why, "the vault stays sealed");
            vault.refused = Some(why);
            Err(VaultError::Unseal(UnsealProblem::StateRefused))
        };
        let keys = match Keyring::open(&self.instance_id, root_key, &self.keyring) {
            Ok(keys) => keys,
            Err(error) => {
                return refuse(self, format!("the keyring in the database was altered: {error}"));
            }
        };
        let copy = |secret: &SecretBytes| SecretBytes::copy_of(secret.expose_secret());
        let state_mac = StateMac::new(copy(keys.state_mac()), &self.instance_id);
        // Nothing was committed since the start: no keys, no acts.
        let Some(snapshot) = &self.snapshot else {
            return Err(VaultError::Internal("the vault was opened before"));
        };
        let state = match State::verify_read(snapshot, &self.sealed_tables, &state_mac) {
            Ok(state) => state,
            Err(error) => {
                return refuse(self, format!("the database was altered: {error}"));
            }
        };
        let (rev, root) = (state.state_rev(), state.state_root().0);
        if (rev, root) != self.expected_state {
            let logged = self.expected_state.0;
            return refuse(
                self,
                format!(
                    "the database is at revision {rev}, the log at {logged}: one of them is not the \
                     vault's newest"
                ),
            );
        }
        if state.instance().core_identity_public.0 != self.identity.public_key() {
            return refuse(self, "core-identity.key is not the vault's own".to_owned());
        }

        let instance = state.instance().clone();
        let authority = Authority::open(
            &instance.trust_domain,
            &instance.ca_certificate.0,
            keys.ca_key_pkcs8(),
        )?;
        let signer = || {
            self.log_origin
                .parse::<LogOrigin>()
                .ok()
                .and_then(|origin| LogSigner::from_seed(origin, keys.log_seed()).ok())
                .ok_or(VaultError::Internal("the log key does not read"))
        };
        let (signer, of_snapshots) = (signer()?, signer()?);
        if self.log_verifier.as_ref().is_some_and(|known| *known != signer.verifier()) {
            return refuse(self, "log.vkey is not the vault's own".to_owned());
        }
        let mut open = Open {
            authority,
            halts: vault_policy::Halts::default(),
            keys,
            keys_asked: keys_asked(std::iter::empty()),
            market: vault_policy::Market::default(),
            open_keys: crate::open_key::OpenKeys::default(),
            prices: crate::price::Prices::resume(std::mem::take(&mut self.logged_prices)),
            scopes: std::collections::HashMap::new(),
            state,
            state_mac,
        };
        open.compile()?;
        self.instance = instance;
        self.open = Some(open);
        self.snapshot = None;
        // Those of the open state from now on.
        self.sealed_tables = Default::default();
        let credentials = self.tables().credentials.keys().cloned().collect();
        self.refresh_drift(&credentials, now)?;
        self.sealed_by_hand = false;
        self.journal.tell_writer(ToWriter::Signer(Box::new(signer)));
        self.snapshots.sign_with(of_snapshots);
        if let Err(error) = self.renew_server_certificate(now) {
            tracing::error!(%error, "the server certificate cannot be renewed");
        }
        self.send_state();
        Ok(())
    }
}

/// When an attempt that is being computed has ended, about.
const BUSY_MS: u64 = 2_000;
