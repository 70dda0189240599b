//! Reads the log, makes requests of its lines on several threads, and judges them in order on one.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use vault_audit::{AuditError, Reader};
use vault_model::Timestamp;
use vault_venue::Registry;

use super::candidate::Candidate;
use super::glance::{self, Glance};
use super::recorded::{Operations, Recorded};
use super::{Plan, Progress, ReplayError};
use crate::config;
use crate::country::Countries;

type Lines = Result<Vec<(u64, Vec<u8>)>, AuditError>;

/// What became of some lines.
struct Batch {
    read: u64,
    requests: Vec<Recorded>,
}

/// Replays a plan, and says in `progress` how far it is. Returns when it is through.
///
/// # Errors
///
/// [`ReplayError`], also if it is cancelled. What was found until then is in `progress`.
pub fn replay(plan: &Plan, progress: &Progress) -> Result<(), ReplayError> {
    if progress.is_cancelled() {
        return Err(ReplayError::Cancelled);
    }
    let registry = config::registry(&plan.catalog_additions)?;
    replay_by(&registry, plan, progress)
}

/// As [`replay`], with catalogues that are loaded already.
pub(super) fn replay_by(
    registry: &Registry,
    plan: &Plan,
    progress: &Progress,
) -> Result<(), ReplayError> {
    let operations = Operations::of(registry);
    let countries = match plan.candidate.network.countries {
        Some(_) => Countries::open(plan.geoip.as_ref())?,
        None => Countries::default(),
    };
    let mut candidate = Candidate::new(plan, countries);
    let reader = Reader::open(&plan.audit);
    let range = first(&reader, plan.size, plan.begin())?..plan.size;
    progress.begin(range.end - range.start);

    std::thread::scope(|scope| -> Result<(), ReplayError> {
        let (mut to_makers, mut from_makers) = (Vec::new(), Vec::new());
        for number in 0..MAKERS {
            let (to_maker, lines) = sync_channel(WAITING);
            let (made, from_maker) = sync_channel(WAITING);
            let operations = &operations;
            Builder::new()
                .name(format!("replay-{number}"))
                .spawn_scoped(scope, move || make(plan, operations, &lines, &made))?;
            to_makers.push(to_maker);
            from_makers.push(from_maker);
        }
        let reader = &reader;
        Builder::new()
            .name("replay-read".to_owned())
            .spawn_scoped(scope, move || read(reader, range, &to_makers))?;

        // In turn, as they were handed out: that keeps the order of the log.
        let mut shown_at = Instant::now();
        for from_maker in from_makers.iter().cycle() {
            let Ok(batch) = from_maker.recv() else {
                break;
            };
            let batch = batch?;
            if progress.is_cancelled() {
                return Err(ReplayError::Cancelled);
            }
            candidate.take(batch.requests);
            progress.read(batch.read);
            if shown_at.elapsed() >= SHOWN_EVERY {
                progress.show(candidate.report());
                shown_at = Instant::now();
            }
        }
        // With its ends dropped, the other threads end too.
        drop(from_makers);
        Ok(())
    })
    .inspect_err(|_| progress.show(candidate.report()))?;
    progress.show(candidate.report());
    Ok(())
}

/// Reads lines and deals them out, one batch to each in turn.
fn read(reader: &Reader, range: Range<u64>, to_makers: &[SyncSender<Lines>]) {
    if range.is_empty() {
        return;
    }
    let mut entries = match reader.entries(range) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = to_makers.first().map(|maker| maker.send(Err(error)));
            return;
        }
    };
    for maker in to_makers.iter().cycle() {
        let lines: Lines = entries.by_ref().take(BATCH_LINES).collect();
        if lines.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        let is_broken = lines.is_err();
        // Nobody listens any more once the replay is cancelled.
        if maker.send(lines).is_err() || is_broken {
            return;
        }
    }
}

/// Makes requests of lines.
fn make(
    plan: &Plan,
    operations: &Operations<'_>,
    lines: &Receiver<Lines>,
    made: &SyncSender<Result<Batch, AuditError>>,
) {
    let begin = plan.begin();
    let counts = plan.counts();
    for lines in lines {
        let batch = lines.map(|lines| {
            let requests = lines.iter().filter_map(|(index, line)| {
                let glance = Glance::read(line)?;
                let (client, _) = plan.clients.get_key_value(glance.client.as_ref()?.as_str())?;
                if Timestamp(glance.ts) < begin {
                    return None;
                }
                Some(Recorded::new(*index, client.clone(), glance, operations, counts))
            });
            Batch { read: lines.len() as u64, requests: requests.collect() }
        });
        if made.send(batch).is_err() {
            return;
        }
    }
}

/// The first index from which on entries are wanted. The order of entries is that of their indexes; where
/// the wall clock was put back, some of before are read too, or a few that were meant are not.
fn first(reader: &Reader, size: u64, begin: Timestamp) -> Result<u64, AuditError> {
    let is_before = |line: &[u8]| glance::ts(line).is_none_or(|ts| Timestamp(ts) < begin);
    let (mut low, mut high) = (0, size);
    // A look at an entry reads its segment from the beginning: the last steps are taken by reading on.
    while high - low > STEP_LINES {
        let middle = low + (high - low) / 2;
        match reader.entries(middle..middle + 1)?.next().transpose()? {
            Some((_, line)) if is_before(&line) => low = middle + 1,
            _ => high = middle,
        }
    }
    for entry in reader.entries(low..high)? {
        let (index, line) = entry?;
        if !is_before(&line) {
            return Ok(index);
        }
    }
    Ok(high)
}

/// Threads that make requests of lines.
const MAKERS: usize = 2;
/// Lines that go from thread to thread at once.
const BATCH_LINES: usize = 512;
/// Batches that wait for a thread.
const WAITING: usize = 4;
/// From here on it is faster to read on than to look in the middle.
const STEP_LINES: u64 = 16_384;
const SHOWN_EVERY: Duration = Duration::from_millis(200);
