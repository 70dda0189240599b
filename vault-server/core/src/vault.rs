//! The vault: everything the decision thread holds. One method per request, in the files of the
//! nouns; `run.rs` calls them one after another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ring::rand::SystemRandom;
use vault_audit::{Entry, EntryKind, Hash, LogVerifier, Outcome};
use vault_ipc::proto::v1;
use vault_ipc::{Kind, ServerIdentity};
use vault_model::{ClockTime, Name, Serial, Timestamp};
use vault_policy::{Halts, Market, Scope, ScopeDocument, Span};
use vault_venue::Registry;

use crate::act::{Acts, Asker};
use crate::ahead::Ahead;
use crate::auth_failure::AuthFailures;
use crate::caller::{Caller, Origin};
use crate::certificate::{Authority, ServerCertificate};
use crate::checked::Checks;
use crate::clock::VaultClock;
use crate::command;
use crate::config::CoreConfig;
use crate::country::Countries;
use crate::crypto::mac::StateMac;
use crate::crypto::unique::Uniques;
use crate::denial_budget::DenialBudgets;
use crate::error::VaultError;
use crate::execute::Executions;
use crate::grant::Grants;
use crate::history::{Histories, keys_asked};
use crate::hold::Holds;
use crate::journal::{Channel, Journal, Place};
use crate::lane::Lanes;
use crate::lease::Leases;
use crate::metric::Counts;
use crate::nonce::NonceCounters;
use crate::open_key::OpenKeys;
use crate::outstanding::{Of, Released};
use crate::own::Own;
use crate::price::{LoggedPrices, Prices};
use crate::replay::Replay;
use crate::request_budget::RequestBudgets;
use crate::scope_replay::Replays;
use crate::seal::{Backoff, CoreIdentity, Guesser, Keyring, KeyringRecord, SlotRecord};
use crate::shadow::Shadows;
use crate::snapshot::Snapshots;
use crate::storage::{Instance, InstrumentRow, RowKey, ScopeRow, Snapshot, State, Tables};
use crate::stream::Streams;
use crate::ticket::Tickets;
use crate::writer::Durable;

/// The vault.
pub struct Vault {
    pub(crate) acts: Acts,
    /// Signatures that are computed before their calls are decided.
    pub(crate) ahead: Ahead,
    pub(crate) auth_failures: AuthFailures,
    pub(crate) backoff: Backoff,
    /// The last change in the database.
    pub(crate) change_id: Option<String>,
    /// What venues have said of keys.
    pub(crate) checks: Checks,
    /// What everything that is counted is measured on.
    pub(crate) clock: VaultClock,
    pub(crate) commands: command::Nonces,
    pub(crate) config: CoreConfig,
    /// What it counts of its own work.
    pub(crate) counts: Counts,
    pub(crate) countries: Countries,
    pub(crate) denials: DenialBudgets,
    /// The same, of operators' commands: who has the front can send them unsigned.
    pub(crate) operator_denials: DenialBudgets,
    /// The same for what shadows say.
    pub(crate) divergences: DenialBudgets,
    pub(crate) disk_full: bool,
    pub(crate) disk_low: bool,
    pub(crate) durable: Durable,
    /// What egress has and has not done with.
    pub(crate) executions: Executions,
    /// Revision and root of the policy state as the log has them last.
    pub(crate) expected_state: (u64, Hash),
    pub(crate) grants: Grants,
    /// How the other processes are confined, once the supervisor has said it.
    pub(crate) hardening: Vec<v1::ProcessHardening>,
    /// What each client has been given.
    pub(crate) histories: Histories,
    /// Whose the handles are of what egress keeps.
    pub(crate) holds: Holds,
    pub(crate) identity: CoreIdentity,
    pub(crate) instance: Instance,
    /// 32 lower-case hex digits.
    pub(crate) instance_id: String,
    pub(crate) journal: Journal,
    pub(crate) keyring: Vec<KeyringRecord>,
    pub(crate) lanes: Lanes,
    pub(crate) leases: Leases,
    pub(crate) log_origin: String,
    /// The key of `log.vkey`, by which the start has taken the log and its snapshot to be the vault's.
    pub(crate) log_verifier: Option<LogVerifier>,
    /// What the log has of prices, until the vault is opened.
    pub(crate) logged_prices: LoggedPrices,
    pub(crate) nonces: NonceCounters,
    pub(crate) open: Option<Open>,
    /// What the vault itself has asked venues for.
    pub(crate) own: Own,
    /// Why the vault will not unseal, for people.
    pub(crate) refused: Option<String>,
    pub(crate) registry: Registry,
    pub(crate) released: Released,
    pub(crate) replay: Replay,
    /// What each client may still ask for that is no order.
    pub(crate) requests: RequestBudgets,
    pub(crate) rng: SystemRandom,
    /// A person sealed the vault, and nobody has unsealed it since.
    pub(crate) sealed_by_hand: bool,
    /// When each operator last sealed.
    pub(crate) seals: HashMap<Name, Timestamp>,
    /// The rows as they lie in the database, not verified: who may try to unseal.
    pub(crate) sealed_tables: Arc<Tables>,
    pub(crate) server: ServerCertificate,
    pub(crate) scope_replays: Replays,
    pub(crate) shadows: Shadows,
    pub(crate) slots: Vec<SlotRecord>,
    /// The database as it was read at start, until it is verified at unseal.
    pub(crate) snapshot: Option<Snapshot>,
    /// Writes down what the next start needs of the log.
    pub(crate) snapshots: Snapshots,
    /// WebSockets to venues.
    pub(crate) streams: Streams,
    pub(crate) tickets: Tickets,
    /// For venues that want a text that was never sent before.
    pub(crate) uniques: Uniques,
    /// Certificates that have made a call since the start.
    pub(crate) used_serials: HashSet<Serial>,
    /// How the venues are.
    pub(crate) venues: Vec<v1::VenueHealth>,
}

/// What there is only while the vault is unsealed.
pub(crate) struct Open {
    pub(crate) authority: Authority,
    pub(crate) halts: Halts,
    pub(crate) keys: Keyring,
    /// For how long scopes ask for orders and client order ids.
    pub(crate) keys_asked: Span,
    pub(crate) market: Market,
    /// Of credentials that were signed with a moment ago.
    pub(crate) open_keys: OpenKeys,
    pub(crate) prices: Prices,
    pub(crate) scopes: HashMap<Name, CompiledScope>,
    pub(crate) state: State,
    pub(crate) state_mac: StateMac,
}

/// A scope, ready to judge.
pub(crate) struct CompiledScope {
    pub(crate) document: ScopeDocument,
    pub(crate) revision: u64,
    pub(crate) scope: Scope,
}

impl Open {
    /// Compiles what decisions read from all tables.
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] if a stored scope does not compile: nothing of it may be guessed.
    pub(crate) fn compile(&mut self) -> Result<(), VaultError> {
        for (venue, _) in vault_venue::VENUES {
            if let Some(name) = vault_venue::market_name(venue) {
                self.market.name_by(venue, name);
            }
        }
        let tables = self.state.tables();
        let scopes = tables.scopes.keys().cloned().map(RowKey::Scope);
        let instruments = tables.instruments.values().map(InstrumentRow::key);
        let halts = tables.halts.keys().cloned().map(RowKey::Halt);
        let feeds = tables.feeds.keys().cloned().map(RowKey::Feed);
        let all: Vec<RowKey> = scopes.chain(instruments).chain(halts).chain(feeds).collect();
        self.recompile(&all)
    }

    /// Compiles what decisions read from rows that have changed.
    ///
    /// # Errors
    ///
    /// As for [`Open::compile`].
    pub(crate) fn recompile(&mut self, changed: &[RowKey]) -> Result<(), VaultError> {
        let tables = self.state.tables();
        let mut touched = Touched::default();
        for key in changed {
            match key {
                RowKey::Scope(name) => {
                    touched.scopes = true;
                    match tables.scopes.get(name) {
                        Some(row) => {
                            self.scopes.insert(name.clone(), CompiledScope::of(row)?);
                        }
                        None => drop(self.scopes.remove(name)),
                    }
                }
                RowKey::Instrument(venue, product, symbol) => {
                    let table_key = (venue.clone(), *product, symbol.clone());
                    match tables.instruments.get(&table_key) {
                        Some(row) => self.market.approve(row.instrument.clone()),
                        None => self.market.withdraw(venue.as_str(), symbol, *product),
                    }
                }
                RowKey::Feed(_) => touched.feeds = true,
                RowKey::Halt(target) => {
                    touched.keys = true;
                    match tables.halts.get(target) {
                        Some(row) => self.halts.halt(target.clone(), row.level),
                        None => self.halts.resume(target),
                    };
                }
                // Whatever is disabled, halted or revoked.
                RowKey::Client(_) | RowKey::Credential(_) | RowKey::CredentialVersion(..) => {
                    touched.keys = true;
                }
                RowKey::Certificate(_) | RowKey::Invite(_) | RowKey::Operator(_) => {}
            }
        }
        if touched.feeds {
            self.prices.compile(&tables.feeds, &mut self.market)?;
        }
        if touched.keys {
            self.open_keys.close_all();
        }
        if touched.scopes {
            let scopes = self.scopes.values();
            self.keys_asked = keys_asked(scopes.map(|scope| scope.document.duplicates.clone()));
        }
        Ok(())
    }
}

/// What is compiled anew as a whole if one row of it has changed.
#[derive(Default)]
struct Touched {
    feeds: bool,
    keys: bool,
    scopes: bool,
}

impl CompiledScope {
    fn of(row: &ScopeRow) -> Result<Self, VaultError> {
        let document = ScopeDocument::deserialize(&row.document)
            .map_err(|_| VaultError::Internal("a stored scope does not read"))?;
        let scope = Scope::compile(&document);
        Ok(Self { document, revision: row.revision, scope })
    }
}

impl Vault {
    /// What is open.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`].
    pub(crate) fn opened(&self) -> Result<&Open, VaultError> {
        self.open.as_ref().ok_or(VaultError::Sealed)
    }

    /// The time on the vault's own clock at which the present input was taken.
    pub(crate) fn clock_time(&self) -> ClockTime {
        self.clock.time()
    }

    /// What is left of the signatures that an act concerns.
    pub(crate) fn outstanding(&self, of: Of<'_>) -> v1::Outstanding {
        self.released.outstanding(of, self.clock_time())
    }

    /// The policy tables: verified ones, or while sealed those that lie in the database.
    pub(crate) fn tables(&self) -> &Tables {
        match &self.open {
            Some(open) => open.state.tables(),
            None => &self.sealed_tables,
        }
    }

    /// An entry about a caller's act.
    pub(crate) fn entry_by(&self, kind: EntryKind, caller: &Caller, now: Timestamp) -> Entry {
        let mut entry = self.journal.entry(kind, now);
        entry.client = Some(caller.name.clone());
        entry.serial = Some(caller.serial);
        self.place_origin(&mut entry, &caller.origin);
        entry
    }

    /// An entry about what somebody asked for, whether a certificate says who or not.
    pub(crate) fn entry_of(&self, kind: EntryKind, asker: &Asker, now: Timestamp) -> Entry {
        match &asker.caller {
            Some(caller) => self.entry_by(kind, caller, now),
            None => {
                let mut entry = self.journal.entry(kind, now);
                self.place_origin(&mut entry, &asker.origin);
                entry
            }
        }
    }

    /// Says in an entry where its cause came from, and under which policy state.
    pub(crate) fn place_origin(&self, entry: &mut Entry, origin: &Origin) {
        entry.ip = origin.address;
        entry.ip_via = Some(origin.via.clone());
        entry.state_rev = self.open.as_ref().map(|open| open.state.state_rev());
    }

    /// Records that something was refused.
    ///
    /// # Errors
    ///
    /// [`VaultError::EntryTooLong`].
    pub(crate) fn record_denied(
        &mut self,
        mut entry: Entry,
        error: &VaultError,
    ) -> Result<Place, VaultError> {
        entry.outcome = Outcome::Denied;
        entry.reason = Some(error.reason().to_owned());
        self.journal.record(entry)
    }

    /// Gives the front its key and certificate.
    pub(crate) fn send_server_identity(&mut self) {
        let identity = ServerIdentity {
            chain: self.server.chain.clone(),
            private_key: self.server.private_key.expose_secret().to_vec(),
            ca_certificate: self.instance.ca_certificate.0.clone(),
        };
        self.journal.frame(Channel::Front, Kind::ServerIdentity, 0, &identity);
    }

    /// Tells the front whether the vault is sealed.
    pub(crate) fn send_state(&mut self) {
        let sealed = self.open.is_none();
        self.journal.frame(Channel::Front, Kind::State, 0, &vault_ipc::State { sealed });
    }

    /// How the processes are confined, as far as they have said so yet.
    pub(crate) fn hardening(&self) -> Vec<v1::ProcessHardening> {
        let others = self.hardening.iter().cloned();
        std::iter::once(self.config.hardening.clone()).chain(others).collect()
    }

    /// The state of the vault for somebody, with a ticket for an unseal attempt if it is sealed.
    pub(crate) fn status(
        &mut self,
        who: Guesser<'_>,
        now: Timestamp,
    ) -> Result<v1::StatusResponse, VaultError> {
        let state = match (&self.open, &self.refused) {
            (Some(_), _) => v1::SealState::Unsealed,
            (None, Some(_)) => v1::SealState::Refused,
            (None, None) => v1::SealState::Sealed,
        };
        let unseal_ticket = match state {
            v1::SealState::Sealed => {
                Some(self.issue_ticket(vault_ipc::proto::sealed::UNSEAL, None, now)?)
            }
            _ => None,
        };
        let slots = self
            .slots
            .iter()
            .map(|slot| v1::SlotInfo { id: slot.id, kind: slot_kind(slot).to_owned() })
            .collect();
        Ok(v1::StatusResponse {
            state: state.into(),
            reason: self.refused.clone().unwrap_or_default(),
            development: self.instance.development,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: self.config.build.clone(),
            instance_id: self.instance.instance_id.0.to_vec(),
            node: self.instance.node.to_string(),
            epoch: self.instance.epoch,
            log_origin: self.log_origin.clone(),
            log_size: self.durable.size(),
            state_rev: self.open.as_ref().map(|open| open.state.state_rev()).unwrap_or_default(),
            slots,
            retry_after_s: u32::try_from(
                self.backoff.wait(who, self.clock.time()).as_secs_f64().ceil() as u64,
            )
            .unwrap_or(u32::MAX),
            unseal_ticket,
            time_ms: now.millis(),
            server_not_after_ms: self.server.not_after.millis(),
            catalogs: self
                .registry
                .names()
                .filter_map(|name| self.registry.venue(name))
                .map(|venue| v1::CatalogInfo {
                    venue: venue.name().to_owned(),
                    hash: venue.catalog.hash.to_vec(),
                    operations: u32::try_from(venue.catalog.operations.len()).unwrap_or(u32::MAX),
                })
                .collect(),
            catalog_additions: u32::try_from(self.config.catalog_additions.len())
                .unwrap_or(u32::MAX),
            venues: self.venues.clone(),
            drifted_credentials: self.checks.drifted().map(ToString::to_string).collect(),
            hardening: self.hardening(),
            host: Some(crate::host::look(&self.config.data.audit())),
        })
    }
}

/// A short list of facts for an entry's `detail`.
pub(crate) fn detail<const N: usize>(facts: [(&str, String); N]) -> BTreeMap<String, String> {
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn slot_kind(slot: &SlotRecord) -> &'static str {
    match slot.kdf {
        crate::seal::Kdf::KeyFile { .. } => "key_file",
        crate::seal::Kdf::Passphrase { .. } => "passphrase",
    }
}

#[cfg(test)]
mod tests;
