//! What a start takes from the log, entry by entry: the counters and memories of the vault that was,
//! and how its last act ended.
//!
//! A snapshot (`crate::snapshot`) is this, written down: whoever adds to it adds to `packed.rs`.

mod packed;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use vault_audit::{EntryKind, Hash, VisitError};
use vault_model::{ClockTime, Leg, Name, RequestId, Timestamp};
use vault_policy::{Span, Spend};

use crate::checked::Checks;
use crate::clock::{FIRST, Machine, PastClock};
use crate::error::UnsealProblem;
use crate::history::{Foreign, Histories, Noted, Signed, number};
use crate::nonce::NonceCounters;
use crate::price::{LoggedPrice, LoggedPrices};
use crate::replay::Replay;
use crate::seal::{Guesser, Guesses};
use crate::storage::Hex;

/// What the log says, read from its beginning.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Past {
    pub(super) last_seq: u64,
    pub(super) nonces: NonceCounters,
    pub(super) replay: Replay,
    pub(super) state: Option<(u64, Hash)>,
    pub(super) intent: Option<Intent>,
    pub(super) guesses: Guesses,
    /// The newest signature of each client and credential: its venue and time.
    pub(super) signed: HashMap<(Name, Name), (String, ClockTime)>,
    /// Who signed last with each credential that has nonces.
    pub(super) held: HashMap<Name, (Name, ClockTime)>,
    pub(super) checks: Checks,
    pub(super) clock: PastClock,
    /// Nonces of commands that were no acts, and when those ended.
    pub(super) commands: Vec<(Vec<u8>, Timestamp)>,
    pub(super) histories: Histories,
    /// Signed by a vault that had no clock of its own yet: taken as spent when the first one that
    /// has one begins, the latest that it can have been.
    pub(super) undated: Vec<(Name, Option<Name>, Spend)>,
    /// The newest price of each pair.
    pub(super) prices: LoggedPrices,
    pub(super) sealed_by_hand: bool,
    /// When each operator last sealed.
    pub(super) seals: HashMap<Name, Timestamp>,
    /// The first entry of an act that does not follow the act before it.
    pub(super) out_of_order: Option<u64>,
}

/// An act without an end.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Intent {
    pub(super) change_id: String,
    pub(super) hash_before: Option<Hash>,
    pub(super) state_rev: u64,
    pub(super) state_root: Hash,
    pub(super) operation: Option<String>,
}

/// The fields of an entry that a start needs. Everything else is left unread.
#[derive(Deserialize)]
struct Glance<'a> {
    #[serde(borrow)]
    change_id: Option<Cow<'a, str>>,
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
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    request_id: Option<RequestId>,
    scope: Option<Name>,
    seq: Option<u64>,
    state_rev: Option<u64>,
    state_root: Option<Hex<32>>,
    ts: Timestamp,
    #[serde(borrow)]
    venue: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    kind: EntryKind,
}

impl Past {
    /// Nothing is read yet. `keys` is for how long orders and client order ids are asked for.
    pub(crate) fn new(keys: Span) -> Self {
        Self {
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
    pub(super) fn date(&mut self, at: ClockTime) {
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

    /// Takes an entry: all of them, in order.
    ///
    /// # Errors
    ///
    /// What is wrong with an entry that no vault has written.
    pub(crate) fn visit(&mut self, index: u64, line: &[u8]) -> Result<(), VisitError> {
        let mut entry: Glance<'_> = serde_json::from_slice(line)?;
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
                    match self.signed.get_mut(&key) {
                        Some(known) if known.0 == *venue => known.1 = at,
                        _ => drop(self.signed.insert(key, (venue.to_string(), at))),
                    }
                }
                if let (Some(client), Some(request_id)) = (&entry.client, &entry.request_id) {
                    self.replay.signed(Replay::key(client, request_id), index);
                }
                self.count(&mut entry)?;
            }
            EntryKind::CredentialCheck => {
                if let Some(credential) = &entry.credential {
                    let problem = entry.reason.map(Cow::into_owned);
                    self.checks.resume(credential, entry.ts, problem, &entry.detail);
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
                        change_id: change_id.into_owned(),
                        hash_before,
                        state_rev: rev,
                        state_root: root.0,
                        operation: entry.operation.map(Cow::into_owned),
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
