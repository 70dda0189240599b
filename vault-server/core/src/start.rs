//! Opens everything at start: the log is read whole, torn ends are cut, half-done acts are resolved,
//! and the database is held against the log.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use ring::rand::SystemRandom;
use serde::Deserialize;
use vault_audit::tree::{CompactRange, leaf_hash};
use vault_audit::{EntryKind, Hash, Log, Origin as LogOrigin, Outcome, Recovered, VisitError};
use vault_model::{ClockTime, Leg, Name, RequestId, Timestamp};
use vault_policy::{ScopeDocument, Span, Spend};
use vault_venue::Venue;

use crate::caller::Origin;
use crate::checked::Checks;
use crate::clock::{FIRST, Machine, PastClock, VaultClock};
use crate::command;
use crate::config::{CoreConfig, registry};
use crate::country::Countries;
use crate::error::{UnsealProblem, VaultError};
use crate::grant::Librarian;
use crate::history::{Foreign, Histories, Noted, Signed, keys_asked, number};
use crate::inbox::InputSender;
use crate::journal::Journal;
use crate::lease::Leases;
use crate::metric::Counts;
use crate::nonce::NonceCounters;
use crate::outstanding::Released;
use crate::price::{LoggedPrice, LoggedPrices};
use crate::replay::Replay;
use crate::request_budget::RequestBudgets;
use crate::run::{CoreError, Input};
use crate::seal::{CoreIdentity, Guesser, Guesses};
use crate::storage::{Commit, Head, Hex, NONCE_KEPT, Sqlite, Store, Tables};
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

/// What the log says, read from its beginning.
struct Past {
    tree: CompactRange,
    last_seq: u64,
    nonces: NonceCounters,
    replay: Replay,
    state: Option<(u64, Hash)>,
    intent: Option<Intent>,
    guesses: Guesses,
    /// The newest signature of each client and credential: its venue and time.
    signed: HashMap<(Name, Name), (String, ClockTime)>,
    /// Who signed last with each credential that has nonces.
    held: HashMap<Name, (Name, ClockTime)>,
    checks: Checks,
    clock: PastClock,
    /// Nonces of commands that were no acts, and when those ended.
    commands: Vec<(Vec<u8>, Timestamp)>,
    histories: Histories,
    /// Signed by a vault that had no clock of its own yet: taken as spent when the first one that
    /// has one begins, the latest that it can have been.
    undated: Vec<(Name, Option<Name>, Spend)>,
    /// The newest price of each pair.
    prices: LoggedPrices,
    sealed_by_hand: bool,
    /// When each operator last sealed.
    seals: HashMap<Name, Timestamp>,
    /// The first entry of an act that does not follow the act before it.
    out_of_order: Option<u64>,
}

struct Intent {
    change_id: String,
    hash_before: Option<Hash>,
    state_rev: u64,
    state_root: Hash,
    operation: Option<String>,
}

/// The fields of an entry that a start needs. Everything else is left unread.
#[derive(Deserialize)]
struct Glance<'a> {
    change_id: Option<String>,
    client: Option<Name>,
    #[serde(borrow)]
    client_order_id: Option<Cow<'a, str>>,
    credential: Option<Name>,
    #[serde(borrow, default)]
    detail: Noted<'a>,
    hash_after: Option<Hex<32>>,
    hash_before: Option<Hex<32>>,
    #[serde(default)]
    legs: Vec<Leg>,
    nonce: Option<String>,
    #[serde(borrow)]
    notional: Option<Cow<'a, str>>,
    operation: Option<String>,
    reason: Option<String>,
    request_id: Option<RequestId>,
    scope: Option<Name>,
    seq: Option<u64>,
    state_rev: Option<u64>,
    state_root: Option<Hex<32>>,
    ts: Timestamp,
    venue: Option<String>,
    #[serde(rename = "type")]
    kind: EntryKind,
}

impl Past {
    /// Nothing is read yet. `keys` is for how long orders and client order ids are asked for.
    fn new(keys: Span) -> Self {
        Self {
            tree: CompactRange::new(),
            last_seq: 0,
            nonces: NonceCounters::default(),
            replay: Replay::default(),
            state: None,
            intent: None,
            guesses: Guesses::default(),
            signed: HashMap::new(),
            held: HashMap::new(),
            checks: Checks::default(),
            clock: PastClock::default(),
            commands: Vec::new(),
            histories: Histories::new(keys),
            undated: Vec::new(),
            prices: LoggedPrices::new(),
            sealed_by_hand: false,
            seals: HashMap::new(),
            out_of_order: None,
        }
    }

    /// Acts follow each other without a gap, each on the root of the one before. What does not was
    /// not written by this vault: an entry behind the checkpoint is signed by nobody yet.
    fn check_order(&mut self, index: u64, rev: u64, hash_before: Option<Hash>) {
        let follows = match self.state {
            None => rev == 1,
            Some((last, root)) => rev == last + 1 && hash_before == Some(root),
        };
        if !follows {
            self.out_of_order.get_or_insert(index);
        }
    }

    /// Counts a signature, whether it was released or not: nobody knows what became of one that a
    /// crash overtook.
    fn count(&mut self, entry: &mut Glance<'_>) -> Result<(), Foreign> {
        let (Some(client), Some(credential)) = (&entry.client, &entry.credential) else {
            return Ok(());
        };
        let signed = Signed {
            credential,
            legs: std::mem::take(&mut entry.legs),
            client_order_id: entry.client_order_id.as_deref(),
            notional: entry.notional.as_deref(),
            noted: &entry.detail,
        };
        match entry.detail.clock.as_deref().map(number).transpose()?.map(ClockTime) {
            Some(at) => {
                self.clock.seen(at);
                self.histories.add(client, entry.scope.as_ref(), &signed.spend(at)?);
            }
            None => {
                let spend = signed.spend(FIRST)?;
                self.undated.push((client.clone(), entry.scope.clone(), spend));
            }
        }
        Ok(())
    }

    fn started(&mut self, noted: &Noted<'_>) -> Result<(), Foreign> {
        let (Some(clock), Some(boottime)) = (&noted.clock, &noted.boottime) else {
            // A vault without a clock ran, for nobody knows how long.
            self.clock.started = None;
            return Ok(());
        };
        let at = ClockTime(number(clock)?);
        let boot = noted.boot.as_deref().map(str::to_owned);
        self.clock.seen(at);
        self.clock.started = Some((Machine { boot, boottime_us: number(boottime)? }, at));
        self.date(at);
        Ok(())
    }

    /// What has no time yet is taken as spent now.
    fn date(&mut self, at: ClockTime) {
        for (client, scope, spend) in self.undated.drain(..) {
            self.histories.add(&client, scope.as_ref(), &spend.moved_to(at));
        }
    }

    fn price(&mut self, noted: &Noted<'_>) -> Result<(), VisitError> {
        let Noted { pair: Some(pair), price: Some(price), clock: Some(clock), .. } = noted else {
            return Ok(());
        };
        let at = ClockTime(number(clock)?);
        let revision = noted.revision.as_deref().map_or(Ok(0), number)?;
        self.clock.seen(at);
        let window = noted.window.as_deref().map(str::parse).transpose()?;
        let logged = LoggedPrice { at, jumps: 0, price: price.parse()?, revision, window };
        self.prices.insert(pair.parse()?, logged);
        Ok(())
    }

    fn visit(&mut self, index: u64, line: &[u8]) -> Result<(), VisitError> {
        let mut entry: Glance<'_> = serde_json::from_slice(line)?;
        self.tree.append(leaf_hash(line));
        self.last_seq = self.last_seq.max(entry.seq.unwrap_or(0));
        // The database does not know it: it must not be carried out again.
        self.commands.extend(entry.detail.command()?);
        match entry.kind {
            // Whether it was sent or not: nobody knows what became of one that a crash overtook.
            EntryKind::ExecuteIntent | EntryKind::Sign => {
                let is_released = entry.kind == EntryKind::Sign;
                let clock = entry.detail.clock.as_deref().map(number).transpose()?;
                let at = clock.map_or(FIRST, ClockTime);
                if let (Some(credential), Some(nonce)) = (&entry.credential, &entry.nonce) {
                    self.nonces.seen(credential, nonce.parse()?);
                    if let Some(client) = &entry.client
                        && is_released
                    {
                        self.held.insert(credential.clone(), (client.clone(), at));
                    }
                }
                if let (Some(client), Some(credential), Some(venue)) =
                    (&entry.client, &entry.credential, &entry.venue)
                    && is_released
                {
                    let key = (client.clone(), credential.clone());
                    self.signed.insert(key, (venue.clone(), at));
                }
                if let (Some(client), Some(request_id)) = (&entry.client, &entry.request_id) {
                    self.replay.signed(Replay::key(client, request_id), index);
                }
                self.count(&mut entry)?;
            }
            EntryKind::CredentialCheck => {
                if let Some(credential) = &entry.credential {
                    self.checks.resume(credential, entry.ts, entry.reason, &entry.detail);
                }
            }
            EntryKind::LogStarted => self.started(&entry.detail)?,
            EntryKind::PriceAccepted => self.price(&entry.detail)?,
            EntryKind::AdminIntent => {
                if let (Some(change_id), Some(rev), Some(root)) =
                    (entry.change_id, entry.state_rev, entry.hash_after)
                {
                    let hash_before = entry.hash_before.map(|hash| hash.0);
                    self.check_order(index, rev, hash_before);
                    self.intent = Some(Intent {
                        change_id,
                        hash_before,
                        state_rev: rev,
                        state_root: root.0,
                        operation: entry.operation,
                    });
                }
            }
            EntryKind::AdminApplied => {
                if let (Some(rev), Some(root)) = (entry.state_rev, entry.state_root) {
                    self.check_order(index, rev, entry.hash_before.map(|hash| hash.0));
                    self.state = Some((rev, root.0));
                }
                self.intent = None;
            }
            EntryKind::AdminAborted => self.intent = None,
            // Only guesses count: what was refused for another reason was none.
            EntryKind::UnsealDenied
                if entry.reason.as_deref() == Some(UnsealProblem::WrongPassphrase.code()) =>
            {
                self.guesses.fail(Guesser::of(entry.client.as_ref()), entry.ts);
            }
            EntryKind::Unseal => {
                self.guesses.succeed(Guesser::of(entry.client.as_ref()));
                self.sealed_by_hand = false;
            }
            EntryKind::Seal => {
                self.sealed_by_hand = true;
                if let Some(operator) = entry.client.take() {
                    self.seals.insert(operator, entry.ts);
                }
            }
            _ => {}
        }
        Ok(())
    }
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

    // Not verified yet: who edits scopes here gets a vault that does not unseal.
    let snapshot = store.snapshot()?;
    let sealed_tables = Tables::unverified(&snapshot);
    let mut past = Past::new(keys_asked(sealed_tables.scopes.values().filter_map(|row| {
        let document = ScopeDocument::deserialize(&row.document).ok()?;
        Some(document.duplicates)
    })));
    let opened = Log::open(
        &config.data.audit(),
        &origin,
        config.segment_bytes,
        now,
        Some(head.audit_size),
        &mut |index, line| past.visit(index, line),
    )?;
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
    let unsigned = past.tree.size() - signed.unwrap_or(0).min(past.tree.size());
    let (slots, keyring) = (store.slots()?, store.keyring()?);
    let nonces = store.nonces()?;

    let commands = past.commands.into_iter().filter(|(_, end)| end.plus(NONCE_KEPT) > now);

    let durable = Durable::default();
    let (to_store, commits) = channel();
    let (to_writer, shared, writer) =
        writer::spawn(opened.log, channels, to_store, core.clone(), durable.clone())?;
    spawn_store(store, commits, core.clone())?;
    let librarian = spawn_librarian(&config, to_writer.clone(), durable.clone())?;

    let mut journal = Journal::new(
        instance.node.to_string(),
        instance.epoch,
        config.build.clone(),
        past.tree,
        past.last_seq,
        to_writer,
        durable.clone(),
    );
    journal.share(shared);
    let mut released = Released::default();
    for ((client, credential), (venue, at)) in &past.signed {
        let usable_ms = registry.venue(venue).and_then(longest_usable_ms);
        released.add(client, credential, usable_ms, *at);
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
        acts: Default::default(),
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
        sealed_tables,
        server,
        scope_replays: Default::default(),
        shadows: Default::default(),
        slots,
        snapshot: Some(snapshot),
        tickets: Default::default(),
        used_serials: Default::default(),
        venues: Default::default(),
    };
    vault
        .record_start(opened.recovered, past.intent, &head, unsigned, now, machine)
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
        unsigned: u64,
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
