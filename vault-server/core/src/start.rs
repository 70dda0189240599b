//! Opens everything at start: the log is read, torn ends are cut, half-done acts are resolved, and the
//! database is held against the log.

mod past;
mod read;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ring::rand::SystemRandom;
use vault_audit::{EntryKind, Hash, Origin as LogOrigin, Outcome, Recovered};
use vault_model::{ClockTime, Timestamp};
use vault_policy::ScopeDocument;
use vault_venue::Venue;

use self::past::Intent;
pub(crate) use self::past::Past;
pub(crate) use self::read::{LogFiles, Taken, load, read_log};
use crate::act::Acts;
use crate::ahead::Ahead;
use crate::caller::Origin;
use crate::clock::{Machine, VaultClock};
use crate::command;
use crate::config::{CoreConfig, registry};
use crate::country::Countries;
use crate::error::VaultError;
use crate::grant::Librarian;
use crate::history::keys_asked;
use crate::inbox::InputSender;
use crate::journal::Journal;
use crate::lease::Leases;
use crate::metric::Counts;
use crate::outstanding::Released;
use crate::request_budget::RequestBudgets;
use crate::run::{CoreError, Input};
use crate::seal::CoreIdentity;
use crate::snapshot::{Setup, Snapshots};
use crate::storage::{Commit, Head, NONCE_KEPT, Sqlite, Store, Tables};
use crate::vault::{Vault, detail};
use crate::writer::{self, Channels, Durable, ToWriter};
use crate::{grant, server};

/// A vault that is ready to run, and the ends of the channels its loop needs.
pub struct Started {
    pub vault: Vault,
    pub librarian: Sender<grant::Read>,
    /// To the writer, for the end.
    pub writer: std::thread::JoinHandle<()>,
}

/// Opens the vault's files and starts its threads.
///
/// # Errors
///
/// [`CoreError`] if the vault must not run at all.
pub fn start(
    config: CoreConfig,
    channels: Channels,
    core: &InputSender,
    now: Timestamp,
    machine: &Machine,
) -> Result<Started, CoreError> {
    let registry = registry(&config.catalog_additions)?;
    for name in registry.names() {
        let catalog = registry.venue(name).map(|venue| &venue.catalog);
        let hash = catalog.map(|catalog| hex::encode(catalog.hash)).unwrap_or_default();
        let operations = catalog.map_or(0, |catalog| catalog.operations.len());
        tracing::debug!(venue = name, operations, %hash, "catalogue loaded");
    }
    if !config.catalog_additions.is_empty() {
        let files: Vec<&str> =
            config.catalog_additions.iter().map(|addition| addition.file.as_str()).collect();
        tracing::info!(?files, "operator's own catalogue files added");
    }
    let countries = Countries::open(config.geoip.as_ref())?;
    let store = Sqlite::open(&config.data.database())?;
    let (instance, head) = (store.instance()?, store.head()?);
    if instance.development != config.development {
        return Err(CoreError::Development { made_with: instance.development });
    }
    let identity = CoreIdentity::load(config.data.path())?;
    let origin = LogOrigin::new(&instance.trust_domain, instance.node.as_str(), instance.epoch)
        .map_err(|_| CoreError::Defect("the log's origin is not one"))?;

    let audit = config.data.audit();
    let uses_snapshot = config.snapshot_every > 0 && !config.verify_at_start;
    // Both are long where there are many clients.
    let ((sealed_tables, snapshot), of_log) = std::thread::scope(|scope| {
        let of_log = std::thread::Builder::new()
            .name("snapshot-reader".to_owned())
            .spawn_scoped(scope, || if uses_snapshot { load(&audit) } else { Ok(None) })?;
        // Not verified yet: who edits scopes here gets a vault that does not unseal.
        let rows = store.snapshot().map(|rows| (Tables::unverified(&rows), rows));
        let of_log = of_log.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, CoreError>((rows?, of_log))
    })?;
    let keys = keys_asked(sealed_tables.scopes.values().filter_map(|row| {
        let document = ScopeDocument::deserialize(&row.document).ok()?;
        Some(document.duplicates)
    }));
    let files = LogFiles { audit, origin: &origin, segment_bytes: config.segment_bytes, keys };
    let Taken { opened, mut past, read } = read_log(&files, of_log, head.audit_size, now)?;
    let clock = VaultClock::resume(&past.clock, machine, now);
    past.date(clock.time());
    past.histories.tidy(clock.time());
    let signed = opened.checkpoint.as_ref().map(|checkpoint| checkpoint.size);
    let refused = match (signed, past.out_of_order) {
        (None, _) => Some(
            "the log's newest checkpoint or its key is missing: entries that it signed may be gone"
                .to_owned(),
        ),
        (_, Some(index)) => Some(format!(
            "entry {index} of the log is about an act that does not follow the one before it"
        )),
        _ => compare_log(&head, opened.root_at),
    };
    let unsigned = opened.place.tree().size().saturating_sub(signed.unwrap_or(0));
    let (slots, keyring) = (store.slots()?, store.keyring()?);
    let nonces = store.nonces()?;

    let commands = past.commands.into_iter().filter(|(_, end)| end.plus(NONCE_KEPT) > now);

    let durable = Durable::default();
    let (to_store, commits) = channel();
    let (to_writer, shared, writer) =
        writer::spawn(opened.log, channels, to_store, core.clone(), durable.clone())?;
    spawn_store(store, commits, core.clone())?;
    let librarian = spawn_librarian(&config, to_writer.clone(), durable.clone())?;
    let detail_of_read = read.detail();
    let snapshots = Snapshots::spawn(Setup {
        audit: config.data.audit(),
        origin: origin.clone(),
        durable: durable.clone(),
        keys,
        every: config.snapshot_every,
        last: read.last,
    })?;

    let mut journal = Journal::new(
        instance.node.to_string(),
        instance.epoch,
        config.build.clone(),
        past.last_seq,
        to_writer,
        durable.clone(),
    );
    journal.share(shared);
    let mut released = Released::default();
    for ((client, credential), (venue, at)) in &past.signed {
        let usable_ms = registry.venue(venue).and_then(longest_usable_ms);
        let scope = sealed_tables.clients.get(client).and_then(|row| row.scope.as_ref());
        released.add(client, scope, credential, usable_ms, *at);
    }
    // Refusals say the wall clock alone.
    let backoff = past.guesses.resume(|failed_at| {
        let ago_us = now.micros().saturating_sub(failed_at.micros());
        ClockTime(clock.time().0.saturating_sub(u64::try_from(ago_us).unwrap_or(0)))
    });
    let mut leases = Leases::default();
    for (credential, (client, at)) in &past.held {
        // Each credential is taken once here: nobody else can hold it.
        let _ = leases.take(credential, client, *at);
    }
    let server = server::load(&config.data.server_identity()).map_err(CoreError::ServerIdentity)?;
    let requests = RequestBudgets::new(config.requests);
    let mut vault = Vault {
        acts: Acts::new(core.clone()),
        ahead: Ahead::spawn(core)?,
        auth_failures: Default::default(),
        backoff,
        change_id: head.change_id.clone(),
        checks: past.checks,
        clock,
        commands: command::Nonces::resume(
            nonces.into_iter().map(|nonce| (nonce.nonce, nonce.expires_at)).chain(commands),
        ),
        config,
        counts: Counts::new(now),
        countries,
        denials: Default::default(),
        operator_denials: Default::default(),
        divergences: Default::default(),
        disk_full: false,
        disk_low: false,
        durable,
        executions: Default::default(),
        holds: Default::default(),
        streams: Default::default(),
        expected_state: past.state.unwrap_or_default(),
        grants: Default::default(),
        hardening: Default::default(),
        histories: past.histories,
        identity,
        instance_id: instance.instance_id.to_string(),
        instance,
        journal,
        keyring,
        lanes: Default::default(),
        leases,
        log_origin: origin.to_string(),
        log_verifier: opened.verifier,
        logged_prices: past.prices,
        nonces: past.nonces,
        open: None,
        own: Default::default(),
        refused,
        registry,
        released,
        replay: past.replay,
        requests,
        rng: SystemRandom::new(),
        sealed_by_hand: past.sealed_by_hand,
        seals: past.seals,
        sealed_tables: Arc::new(sealed_tables),
        server,
        scope_replays: Default::default(),
        shadows: Default::default(),
        slots,
        snapshot: Some(snapshot),
        snapshots,
        tickets: Default::default(),
        uniques: Default::default(),
        used_serials: Default::default(),
        venues: Default::default(),
    };
    vault
        .record_start(
            opened.recovered,
            past.intent,
            &head,
            (unsigned, detail_of_read),
            now,
            machine,
        )
        .map_err(CoreError::from)?;
    Ok(Started { vault, librarian, writer })
}

/// How long a signature of any key can be used. The log does not say of which type a key was.
fn longest_usable_ms(venue: &Venue) -> Option<u64> {
    let of_types = venue.key_types().iter().map(|key_type| venue.usable_ms(*key_type));
    of_types.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten()
}

/// Whether the log is shorter or another than the database remembers.
fn compare_log(head: &Head, root_at: Option<Hash>) -> Option<String> {
    match root_at {
        None => Some(format!(
            "the log has fewer than the {} entries that the database remembers: entries were lost or \
             an older log was put back",
            head.audit_size
        )),
        Some(root) if root != head.audit_root.0 => Some(format!(
            "the first {} entries of the log are not those that the database remembers",
            head.audit_size
        )),
        Some(_) => None,
    }
}

impl Vault {
    /// Says in the log that a process began to write, what it cut, and how a half-done act ended.
    fn record_start(
        &mut self,
        recovered: Option<Recovered>,
        intent: Option<Intent>,
        head: &Head,
        (unsigned, read): (u64, Option<(&str, String)>),
        now: Timestamp,
        machine: &Machine,
    ) -> Result<(), VaultError> {
        if let Some(recovered) = recovered {
            let mut entry = self.journal.entry(EntryKind::LogRecovered, now);
            entry.detail = detail([
                ("cut_bytes", recovered.cut_bytes.to_string()),
                ("offset", recovered.offset.to_string()),
                ("segment", recovered.segment),
                ("torn_file", recovered.torn_file),
            ]);
            self.journal.record(entry)?;
        }
        if let Some(intent) = intent {
            self.resolve(&intent, head, now)?;
        }
        let (rev, _) = self.expected_state;
        if self.refused.is_none() && head.state_rev != rev {
            self.refused = Some(format!(
                "the database is at revision {}, the log at {rev}: an older or another vault.db was \
                 put in place",
                head.state_rev
            ));
        }
        let mut entry = self.journal.entry(EntryKind::LogStarted, now);
        self.place_origin(&mut entry, &Origin::local());
        entry.state_rev = Some(rev);
        entry.detail = detail([
            ("development", self.instance.development.to_string()),
            // Entries behind the newest checkpoint: taken over, and signed by the next one.
            ("unsigned", unsigned.to_string()),
            // From these three the next start finds the time on the vault's own clock.
            ("clock", self.clock_time().0.to_string()),
            ("boottime", machine.boottime_us.to_string()),
        ]);
        if let Some((name, what)) = read {
            entry.detail.insert(name.to_owned(), what);
        }
        if let Some(boot) = &machine.boot {
            entry.detail.insert("boot".to_owned(), boot.clone());
        }
        if let Some(why) = &self.refused {
            tracing::error!(%why, "the vault stays sealed");
            entry.outcome = Outcome::Error;
            entry.reason = Some("STATE_REFUSED".to_owned());
        }
        self.journal.record(entry)?;
        Ok(())
    }

    /// An intent without an end: the database knows whether it was carried out.
    fn resolve(&mut self, intent: &Intent, head: &Head, now: Timestamp) -> Result<(), VaultError> {
        let applied = head.change_id.as_deref() == Some(intent.change_id.as_str())
            && head.state_rev == intent.state_rev
            && head.state_root.0 == intent.state_root;
        let kind = if applied { EntryKind::AdminApplied } else { EntryKind::AdminAborted };
        let mut entry = self.journal.entry(kind, now);
        self.place_origin(&mut entry, &Origin::local());
        entry.change_id = Some(intent.change_id.clone());
        entry.operation = intent.operation.clone();
        entry.detail = detail([("resolved_at", "start".to_owned())]);
        if applied {
            self.expected_state = (intent.state_rev, intent.state_root);
            entry.hash_before = intent.hash_before;
            entry.hash_after = Some(intent.state_root);
            entry.state_rev = Some(intent.state_rev);
            entry.state_root = Some(intent.state_root);
        } else {
            entry.outcome = Outcome::Error;
            entry.reason = Some("NOT_COMMITTED".to_owned());
        }
        self.journal.record(entry)?;
        Ok(())
    }
}

fn spawn_store(
    mut store: Sqlite,
    commits: Receiver<Commit>,
    core: InputSender,
) -> std::io::Result<()> {
    std::thread::Builder::new().name("store".to_owned()).spawn(move || {
        for commit in commits {
            if core.send(Input::Committed(store.commit(&commit))).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

fn spawn_librarian(
    config: &CoreConfig,
    writer: Sender<ToWriter>,
    durable: Durable,
) -> std::io::Result<Sender<grant::Read>> {
    let (sender, reads) = channel();
    let librarian = Librarian::new(config.data.audit(), writer, durable);
    std::thread::Builder::new()
        .name("librarian".to_owned())
        .spawn(move || librarian.run(&reads))?;
    Ok(sender)
}

#[cfg(test)]
mod tests;
