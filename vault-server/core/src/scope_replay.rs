//! Replays what the log has recorded against a candidate scope: what would change?
//!
//! A replay changes nothing and signs nothing. It runs on threads of its own with a snapshot of what it
//! needs, so that the decision thread never waits for it; there is one at a time, and a new one takes the
//! place of the one before. The log does not hold all that a decision is made of; where that matters the
//! answer is "unknown", never a guess. `docs/replay.md` says what is taken for what.
//!
//! (`replay.rs` is something else: it recognises a request that comes twice.)

mod candidate;
mod glance;
mod recorded;
mod run;
mod tally;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use vault_audit::AuditError;
use vault_ipc::proto::v1;
use vault_model::{Instrument, Name, Timestamp};
use vault_policy::ScopeDocument;
use vault_venue::CatalogError;
use vault_wire::scope_from_wire;

use crate::config::CatalogAddition;
use crate::country::{GeoipError, GeoipFile};
use crate::error::VaultError;
use crate::vault::Vault;

pub use self::run::replay;
pub use self::tally::{Becomes, CHANGES_MAX, Change, Report};

/// What is to be replayed, and all that it is judged by.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the log.
    pub audit: PathBuf,
    /// Entries from this index on are not read.
    pub size: u64,
    /// Requests before this are not judged.
    pub since: Timestamp,
    /// The scope that judges.
    pub candidate: ScopeDocument,
    /// Whose requests are judged, with their own networks.
    pub clients: BTreeMap<Name, Vec<IpNet>>,
    /// The stored scopes with their revisions.
    pub stored: Vec<(u64, ScopeDocument)>,
    /// The instruments that are approved.
    pub instruments: Vec<Instrument>,
    /// The database of countries; read only if the candidate asks for countries.
    pub geoip: Option<GeoipFile>,
    /// The operator's own additions to the catalogues.
    pub catalog_additions: Vec<CatalogAddition>,
}

/// Why a replay ends early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Audit(#[from] AuditError),
    /// It was cancelled, or who asked for it has gone.
    #[error("nobody asked for it any more")]
    Cancelled,
    /// The catalogues do not load.
    #[error("the catalogues do not load")]
    Catalog(#[from] CatalogError),
    /// The database of countries cannot be read.
    #[error("the database of countries cannot be read")]
    Geoip(#[from] GeoipError),
    /// The system gives no thread.
    #[error("no thread can be started")]
    Thread(#[from] std::io::Error),
}

impl ReplayError {
    /// In words, for who asked.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Audit(_) => "the log cannot be read",
            Self::Cancelled => "nobody asked for it any more",
            Self::Catalog(_) => "the catalogues do not load",
            Self::Geoip(_) => "the database of countries cannot be read",
            Self::Thread(_) => "no thread can be started",
        }
    }
}

/// How far a replay is, for other threads.
#[derive(Debug, Default)]
pub struct Progress {
    /// When somebody last asked for it; absent: nobody has to.
    asked_at: Mutex<Option<Instant>>,
    cancelled: AtomicBool,
    entries: AtomicU64,
    read: AtomicU64,
    report: Mutex<Arc<Report>>,
}

impl Progress {
    /// Of a replay that ends once nobody asks for it any more.
    fn watched() -> Self {
        let progress = Self::default();
        progress.asked();
        progress
    }

    /// Entries read so far, and of how many; both 0 until the first of them is found.
    pub fn entries(&self) -> (u64, u64) {
        (self.read.load(Ordering::Acquire), self.entries.load(Ordering::Acquire))
    }

    /// What was found when it was last shown, some times a second.
    pub fn report(&self) -> Arc<Report> {
        Arc::clone(&self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the replay at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire) || self.is_unasked(WAITED_FOR)
    }

    fn asked(&self) {
        *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_unasked(&self, limit: Duration) -> bool {
        let asked_at = *self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        asked_at.is_some_and(|asked_at| asked_at.elapsed() >= limit)
    }

    fn begin(&self, entries: u64) {
        self.entries.store(entries, Ordering::Release);
    }

    fn read(&self, entries: u64) {
        self.read.fetch_add(entries, Ordering::AcqRel);
    }

    fn show(&self, report: Report) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(report);
    }
}

/// The replay that was started last, if it is not forgotten.
#[derive(Default)]
pub(crate) struct Replays {
    /// Of the last one, from 1.
    number: u64,
    last: Option<Running>,
}

struct Running {
    progress: Arc<Progress>,
    thread: JoinHandle<()>,
}

impl Replays {
    /// Begins a replay on a thread of its own, in place of the one before. Returns its number.
    fn start(&mut self, plan: Plan) -> Result<u64, VaultError> {
        if let Some(running) = self.last.take() {
            running.progress.cancel();
        }
        let progress = Arc::new(Progress::watched());
        let shown = Arc::clone(&progress);
        let run = move || {
            give_way();
            let ended = replay(&plan, &shown);
            if let Err(error) = &ended {
                tracing::warn!(%error, "a replay of a scope has ended early");
            }
            let mut report = Report::clone(&shown.report());
            report.finished = true;
            report.error = ended.map_or_else(|error| error.words(), |()| "");
            shown.show(report);
        };
        let thread = Builder::new()
            .name("replay".to_owned())
            .spawn(run)
            .map_err(|_| VaultError::Internal("no thread can be started"))?;
        self.number += 1;
        self.last = Some(Running { progress, thread });
        Ok(self.number)
    }

    /// How far a replay is. One that nobody has asked for in a while is ended and forgotten.
    fn look(&mut self, number: u64) -> Option<Arc<Progress>> {
        self.last.take_if(|last| last.progress.is_unasked(KEPT));
        let Running { progress, thread } = self.last.as_ref().filter(|_| number == self.number)?;
        // In this order: a thread that ends as it should shows its last report before.
        if thread.is_finished() && !progress.report().finished {
            let report = Report::clone(&progress.report());
            progress.show(Report { finished: true, error: "it has stopped", ..report });
        }
        progress.asked();
        Some(Arc::clone(progress))
    }
}

/// Lets every other thread of the machine go first: those that sign are more urgent. The threads that
/// this one starts do the same.
fn give_way() {
    // On Linux "no process" is the calling thread alone. Where it is refused, the replay is no worse.
    let _ = rustix::process::setpriority_process(None, NICE);
}

impl Vault {
    /// Begins to judge what was recorded by a candidate.
    ///
    /// # Errors
    ///
    /// [`VaultError::Scope`] for a candidate that is none, [`VaultError::NotFound`] for a client.
    pub(crate) fn start_replay(
        &mut self,
        command: &v1::StartReplayCommand,
    ) -> Result<v1::StartReplayResponse, VaultError> {
        let wire = command.scope.as_ref().ok_or(VaultError::Field("scope is not set"))?;
        let candidate =
            scope_from_wire(wire).map_err(|error| VaultError::Scope(error.to_string()))?;
        self.check_scope(&candidate)?;
        let open = self.opened()?;
        let tables = open.state.tables();
        let clients: BTreeMap<Name, Vec<IpNet>> = if command.clients.is_empty() {
            let holders = tables
                .clients
                .values()
                .filter(|client| client.scope.as_ref() == Some(&candidate.name));
            holders.map(|client| (client.name.clone(), client.networks.clone())).collect()
        } else {
            let named = command.clients.iter().map(|name| {
                let client = tables.clients.get(name.as_str());
                let client = client.ok_or(VaultError::NotFound("client"))?;
                Ok((client.name.clone(), client.networks.clone()))
            });
            named.collect::<Result<_, VaultError>>()?
        };
        if clients.is_empty() {
            return Err(VaultError::Field("no client holds a scope of this name: name clients"));
        }
        let stored = open.scopes.values();
        let plan = Plan {
            audit: self.config.data.audit(),
            size: self.durable.size(),
            since: Timestamp::from_millis(command.since_ms),
            candidate,
            clients,
            stored: stored.map(|scope| (scope.revision, scope.document.clone())).collect(),
            instruments: tables.instruments.values().map(|row| row.instrument.clone()).collect(),
            geoip: self.config.geoip.clone(),
            catalog_additions: self.config.catalog_additions.clone(),
        };
        let entries = plan.size;
        let replay = self.scope_replays.start(plan)?;
        Ok(v1::StartReplayResponse { replay, entries })
    }

    /// How far a replay is, and what it found.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] if another has taken its place, or it is forgotten.
    pub(crate) fn get_replay(
        &mut self,
        command: &v1::GetReplayCommand,
    ) -> Result<v1::GetReplayResponse, VaultError> {
        let progress =
            self.scope_replays.look(command.replay).ok_or(VaultError::NotFound("replay"))?;
        Ok(answer(&progress))
    }
}

fn answer(progress: &Progress) -> v1::GetReplayResponse {
    let report = progress.report();
    let (read, entries) = progress.entries();
    let changes = report.changes.iter().map(|change| v1::ReplayChange {
        becomes: change.becomes.as_str().to_owned(),
        reason: change.reason.clone(),
        operation: change.operation.clone(),
        count: change.count,
        first_index: change.first_index,
        first_client: change.first_client.to_string(),
        first_words: change.first_words.clone(),
        first_at_ms: change.first_at.millis(),
    });
    v1::GetReplayResponse {
        read,
        entries,
        finished: report.finished,
        judged: report.judged,
        same: report.same,
        now_denied: report.now_denied,
        now_allowed: report.now_allowed,
        unknown: report.unknown,
        changes: changes.collect(),
        error: report.error.to_owned(),
    }
}

/// How long what was found is kept if nobody asks for it.
const KEPT: Duration = Duration::from_secs(600);
/// How long a replay goes on if nobody asks for it: `vaultctl` asks some times a second.
const WAITED_FOR: Duration = Duration::from_secs(60);
/// Of 19.
const NICE: i32 = 10;

#[cfg(test)]
mod tests;
