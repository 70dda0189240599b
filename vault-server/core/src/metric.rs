//! What the core counts of its own work, and the snapshot of it for whoever shows it.
//!
//! The decision thread counts in what is here, the writer in `writer.rs`. No text of a caller's is in
//! a snapshot: names that passed validation, reasons and states of ours, hosts of venues as egress asks
//! them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use vault_ipc::metric::{Family, Histogram, Metrics, SAMPLES_MAX, Sample, Usage};
use vault_ipc::proto::v1::{ProcessHardening, VenueState};
use vault_ipc::{Kind, Outcome};
use vault_model::{Name, Timestamp};

use crate::certificate;
use crate::error::VaultError;
use crate::execute::{problem, status};
use crate::journal::Channel;
use crate::storage::{CertificateState, Holder, HolderState, Tables};
use crate::vault::Vault;
use crate::writer::Hand;

/// What came of a request that a client wanted signed or sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Came {
    Denied,
    Executed,
    Signed,
}

/// What the decision thread counts.
pub struct Counts {
    /// When each was last answered.
    answered: HashMap<&'static str, Instant>,
    clients: HashMap<Name, ByOutcome>,
    /// From the frame of a Sign to its answer, without signing.
    decide: Histogram,
    denials: BTreeMap<&'static str, u64>,
    /// From the front's queue to the decision.
    hop: Histogram,
    /// The same moment twice, the second time in microseconds of the machine's monotonic clock.
    moment: (Instant, u64),
    /// Of the clients that came when [`CLIENTS_MAX`] had come already.
    other_clients: ByOutcome,
    sign: Histogram,
    /// How long the Sign that is being decided was signed.
    signing: Duration,
    started_at: Timestamp,
    /// What waited for its turn when the front asked last, by queue.
    turns: [(&'static str, usize); 3],
    /// What the processes have used that nobody asks for figures.
    usages: BTreeMap<&'static str, Usage>,
    venues: BTreeMap<String, Venue>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ByOutcome {
    denied: u64,
    executed: u64,
    signed: u64,
}

impl ByOutcome {
    fn add(&mut self, came: Came) {
        match came {
            Came::Denied => self.denied += 1,
            Came::Executed => self.executed += 1,
            Came::Signed => self.signed += 1,
        }
    }
}

struct Venue {
    outcomes: BTreeMap<String, u64>,
    seconds: Histogram,
}

impl Counts {
    /// Counts from now on.
    pub fn new(now: Timestamp) -> Self {
        Self {
            answered: HashMap::new(),
            clients: HashMap::new(),
            decide: Histogram::of_seconds(),
            denials: BTreeMap::new(),
            hop: Histogram::of_seconds(),
            moment: moment(),
            other_clients: ByOutcome::default(),
            sign: Histogram::of_seconds(),
            signing: Duration::ZERO,
            started_at: now,
            turns: [("clients", 0), ("operators", 0), ("urgent", 0)],
            usages: BTreeMap::new(),
            venues: BTreeMap::new(),
        }
    }

    /// A Sign is taken up that was queued in the front at a time of the monotonic clock; 0: it did not
    /// say. What the front says is believed for this figure alone.
    pub(crate) fn begin_sign(&mut self, queued_us: u64) -> Instant {
        let began = Instant::now();
        self.count_hop(queued_us, began);
        self.signing = Duration::ZERO;
        began
    }

    /// A Sign is set aside that is not decided yet, but looked at behind another; as
    /// [`Counts::begin_sign`].
    pub(crate) fn looked_at(&self, queued_us: u64) {
        self.count_hop(queued_us, Instant::now());
    }

    /// How many have been counted as taken up.
    #[cfg(test)]
    pub(crate) fn taken_up(&self) -> u64 {
        self.hop.snapshot().counts.iter().sum()
    }

    fn count_hop(&self, queued_us: u64, now: Instant) {
        let (moment, moment_us) = self.moment;
        let passed = u64::try_from(now.duration_since(moment).as_micros()).unwrap_or(u64::MAX);
        let now_us = moment_us.saturating_add(passed);
        if let Some(hop_us) = now_us.checked_sub(queued_us).filter(|_| queued_us != 0) {
            self.hop.observe_duration(Duration::from_micros(hop_us));
        }
    }

    /// So long was spent on a signature of it.
    pub(crate) fn signed_in(&mut self, took: Duration) {
        self.signing += took;
        self.sign.observe_duration(took);
    }

    /// A worker spent so long on a signature of it, before it was taken up again.
    pub(crate) fn signed_ahead_in(&mut self, took: Duration) {
        self.sign.observe_duration(took);
    }

    /// It is answered.
    pub(crate) fn end_sign(&mut self, began: Instant) {
        self.decide.observe_duration(began.elapsed().saturating_sub(self.signing));
    }

    /// Counts a request of a client.
    pub(crate) fn count(&mut self, client: &Name, came: Came) {
        if let Some(counted) = self.clients.get_mut(client) {
            counted.add(came);
        } else if self.clients.len() < CLIENTS_MAX {
            self.clients.entry(client.clone()).or_default().add(came);
        } else {
            self.other_clients.add(came);
        }
    }

    /// Counts a refusal, of a client that is known or of somebody.
    pub(crate) fn count_denied(&mut self, client: Option<&Name>, error: &VaultError) {
        *self.denials.entry(error.reason()).or_default() += 1;
        if let Some(client) = client {
            self.count(client, Came::Denied);
        }
    }

    /// Counts what became of a request to a venue.
    pub(crate) fn count_outcome(&mut self, venue: &str, outcome: &Outcome) {
        if !self.venues.contains_key(venue) {
            let counted = Venue { outcomes: BTreeMap::new(), seconds: Histogram::of_seconds() };
            self.venues.insert(venue.to_owned(), counted);
        }
        let Some(counted) = self.venues.get_mut(venue) else { return };
        let word = match (problem(outcome), status(outcome)) {
            (Some(problem), _) => problem.to_owned(),
            (None, Some(status)) => format!("{}xx", status / 100),
            (None, None) => NEITHER.to_owned(),
        };
        // Egress has a few dozen words, and reads what venues write.
        let is_room = counted.outcomes.len() < OUTCOMES_MAX || counted.outcomes.contains_key(&word);
        *counted.outcomes.entry(if is_room { word } else { OTHER.to_owned() }).or_default() += 1;
        if outcome.status != 0 {
            counted.seconds.observe_duration(Duration::from_micros(outcome.latency_us));
        }
    }

    /// A process has said what it has used.
    pub(crate) fn take_usage(&mut self, process: &'static str, usage: Usage) {
        // Egress reads what venues write.
        if [usage.cpu_s, usage.memory_peak_bytes]
            .iter()
            .all(|used| used.is_finite() && *used >= 0.0)
        {
            self.usages.insert(process, usage);
        }
    }

    /// So much waits for its turn, by queue.
    pub(crate) fn set_turns(&mut self, turns: [(&'static str, usize); 3]) {
        self.turns = turns;
    }

    /// Whether somebody is answered now: more often than the pause allows nobody is.
    fn is_due(&mut self, asker: &'static str) -> bool {
        let now = Instant::now();
        let last = self.answered.get(asker);
        let is_due = last.is_none_or(|last| now.duration_since(*last) >= PAUSE);
        if is_due {
            self.answered.insert(asker, now);
        }
        is_due
    }
}

/// When the first operator who is active will be left without a certificate that holds.
fn operator_not_after(tables: &Tables) -> Option<Timestamp> {
    let active = tables.operators.values().filter(|row| row.state == HolderState::Active);
    let newest = active.filter_map(|row| {
        let held = tables.certificates_of(&Holder::Operator(row.name.clone()));
        let good = held.filter(|row| row.state == CertificateState::Active);
        good.map(|row| row.not_after).max()
    });
    newest.min()
}

impl Vault {
    /// Answers who asks for figures. Who asks again at once is not answered: a snapshot is much longer
    /// than the question.
    pub(crate) fn tell_metrics(&mut self, to: Channel) {
        let asker = match to {
            Channel::Supervisor => "supervisor",
            Channel::Egress | Channel::Front => "front",
        };
        if self.counts.is_due(asker) {
            let metrics = self.metrics();
            self.journal.frame(to, Kind::Metrics, 0, &metrics);
        }
    }

    fn metrics(&mut self) -> Metrics {
        let mut samples = Vec::with_capacity(1_024);
        self.add_work(&mut samples);
        self.add_tables(&mut samples);
        self.add_clients(&mut samples);
        self.add_venues(&mut samples);
        samples.truncate(SAMPLES_MAX);
        Metrics { samples }
    }

    fn add_work(&self, samples: &mut Vec<Sample>) {
        let counts = &self.counts;
        let mut put = |family, labels: &[&str], value| {
            samples.push(Sample::number(family, labels, value));
        };
        let state = match (&self.open, &self.refused) {
            (Some(_), _) => "unsealed",
            (None, Some(_)) => "refused",
            (None, None) => "sealed",
        };
        for one in ["refused", "sealed", "unsealed"] {
            put(Family::SealState, &[one], flag(one == state));
        }
        put(Family::StartTime, &[], seconds(counts.started_at));
        let durable = self.durable.size();
        put(Family::LogDamaged, &[], flag(self.snapshots.found_damage()));
        put(Family::LogEntries, &[], durable as f64);
        put(Family::LogWaiting, &[], self.journal.size().saturating_sub(durable) as f64);
        put(Family::QueueBytes, &["log"], self.durable.waiting_bytes() as f64);
        let host = crate::host::look(&self.config.data.audit());
        put(Family::DiskFree, &[], host.disk_free_bytes as f64);
        put(Family::DiskLow, &[], flag(self.disk_low));
        put(Family::DiskFull, &[], flag(self.disk_full));
        put(Family::ClockSynchronised, &[], flag(host.clock_synchronised));
        let own = Usage::of_this_process();
        let usages = counts.usages.iter().map(|(process, usage)| (*process, *usage));
        for (process, Usage { cpu_s, memory_peak_bytes }) in usages.chain([("core", own)]) {
            put(Family::CpuSeconds, &[process], cpu_s);
            put(Family::MemoryPeak, &[process], memory_peak_bytes);
        }
        for (queue, waiting) in counts.turns {
            put(Family::TurnsWaiting, &[queue], waiting as f64);
        }
        for process in self.hardening() {
            put(Family::Hardened, &[&process.process], flag(is_hardened(&process)));
        }
        for (reason, count) in &counts.denials {
            put(Family::Denials, &[reason], *count as f64);
        }
        for (stage, histogram) in [
            ("decide", &counts.decide),
            ("hop", &counts.hop),
            ("sign", &counts.sign),
            ("sync", self.durable.syncs()),
        ] {
            samples.push(Sample::histogram(Family::StageSeconds, &[stage], histogram));
        }
        for (thread, hand) in [("decisions", Hand::Decisions), ("writer", Hand::Writer)] {
            let entries = self.durable.entries(hand);
            samples.push(Sample::histogram(Family::BatchEntries, &[thread], entries));
        }
    }

    fn add_tables(&self, samples: &mut Vec<Sample>) {
        let count = self.tables().count();
        let mut put = |family, labels: &[&str], value| {
            samples.push(Sample::number(family, labels, value));
        };
        let [active, revoked] = count.clients;
        put(Family::Clients, &["active"], active as f64);
        put(Family::Clients, &["revoked"], revoked as f64);
        let [enabled, disabled] = count.credentials;
        put(Family::Credentials, &["enabled"], enabled as f64);
        put(Family::Credentials, &["disabled"], disabled as f64);
        put(Family::Credentials, &["drifted"], self.checks.drifted().count() as f64);
        let [no_new_risk, nothing] = count.halts;
        put(Family::Halts, &["NO_NEW_RISK"], no_new_risk as f64);
        put(Family::Halts, &["NOTHING"], nothing as f64);
        let ca = certificate::not_after(&self.instance.ca_certificate.0);
        let ends = [
            ("ca", ca),
            ("operator", operator_not_after(self.tables())),
            ("server", Some(self.server.not_after)),
        ];
        for (which, not_after) in ends {
            if let Some(not_after) = not_after {
                put(Family::CertificateNotAfter, &[which], seconds(not_after));
            }
        }
    }

    fn add_clients(&self, samples: &mut Vec<Sample>) {
        let counts = &self.counts;
        let own = counts.clients.iter().map(|(client, counted)| (client.as_str(), counted));
        // No name begins like it.
        for (client, counted) in own.chain([(OTHER, &counts.other_clients)]) {
            for (outcome, count) in [
                ("denied", counted.denied),
                ("executed", counted.executed),
                ("signed", counted.signed),
            ] {
                let labels = [client, outcome];
                samples.push(Sample::number(Family::ClientRequests, &labels, count as f64));
            }
        }
    }

    fn add_venues(&self, samples: &mut Vec<Sample>) {
        for (venue, counted) in &self.counts.venues {
            for (outcome, count) in &counted.outcomes {
                let labels = [venue.as_str(), outcome.as_str()];
                samples.push(Sample::number(Family::VenueRequests, &labels, *count as f64));
            }
            let seconds = Sample::histogram(Family::VenueSeconds, &[venue], &counted.seconds);
            samples.push(seconds);
        }
        for host in &self.venues {
            let labels = [host.venue.as_str(), &host.host, &host.source];
            let mut put = |family, value| samples.push(Sample::number(family, &labels, value));
            put(Family::VenueInFlight, f64::from(host.in_flight));
            put(Family::VenueStreams, f64::from(host.streams));
            put(Family::VenueUntil, host.until_us as f64 / 1e6);
            put(Family::VenueWeightLimit, host.weight_limit as f64);
            put(Family::VenueWeightUsed, host.used_weight as f64);
            let [venue, name, source] = labels;
            for (word, state) in VENUE_STATES {
                let labels = [venue, name, source, word];
                let value = flag(host.state() == state);
                samples.push(Sample::number(Family::VenueState, &labels, value));
            }
        }
    }
}

/// The present on both clocks.
fn moment() -> (Instant, u64) {
    // The first look at it takes long: it has to be found.
    monotonic_us();
    (Instant::now(), monotonic_us())
}

/// Microseconds of the clock by which the front notes when it has queued a frame.
pub(crate) fn monotonic_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000).saturating_add(part(time.tv_nsec) / 1_000)
}

fn is_hardened(process: &ProcessHardening) -> bool {
    process.dumps_off
        && process.no_new_privileges
        && process.no_capabilities
        && process.seccomp
        // The supervisor starts the others, and has no Landlock.
        && (process.landlock_abi > 0 || process.process == "supervisor")
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn seconds(at: Timestamp) -> f64 {
    at.micros() as f64 / 1e6
}

const VENUE_STATES: [(&str, VenueState); 5] = [
    ("banned", VenueState::Banned),
    ("closed", VenueState::Closed),
    ("low", VenueState::Low),
    ("open", VenueState::Open),
    ("paused", VenueState::Paused),
];
/// Clients that are counted each for itself: the first that made a request since the start.
pub(crate) const CLIENTS_MAX: usize = 1_000;
/// Words for what became of requests to one venue.
const OUTCOMES_MAX: usize = 64;
/// Stands for all others. No name begins with it.
const OTHER: &str = "_other";
/// An outcome without a status and without a problem; egress has none.
const NEITHER: &str = "none";
/// Between two answers to the same process.
const PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use vault_ipc::metric::{SAMPLES_MAX, Usage};
    use vault_ipc::proto::v1;
    use vault_ipc::{
        BODY_BYTES_MAX, HEALTH_ROWS_MAX, Health, HealthRow, HealthState, Kind, Outcome,
    };
    use vault_model::{Name, Timestamp};

    use super::{CLIENTS_MAX, Came, Counts, OTHER, OUTCOMES_MAX};
    use crate::error::VaultError;
    use crate::execute::tests::bench::Bench;
    use crate::health::HOST_BYTES_MAX;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn clients_beyond_the_limit_are_counted_together_and_stay_there() {
        let mut counts = Counts::new(Timestamp::default());
        for number in 0..CLIENTS_MAX + 5 {
            counts.count(&name(&format!("bot-{number}")), Came::Signed);
        }
        let late = name(&format!("bot-{}", CLIENTS_MAX + 1));
        for _ in 0..100 {
            counts.count_denied(Some(&late), &VaultError::Overloaded);
        }
        assert_eq!(counts.clients.len(), CLIENTS_MAX);
        assert_eq!((counts.other_clients.signed, counts.other_clients.denied), (5, 100));
        assert_eq!(counts.denials.get("OVERLOADED"), Some(&100));
        assert!(OTHER.parse::<Name>().is_err());
    }

    #[test]
    fn an_egress_that_makes_words_up_fills_nothing() {
        let mut counts = Counts::new(Timestamp::default());
        for number in 0..1_000 {
            let outcome = Outcome { problem: format!("P_{number}"), ..Outcome::default() };
            counts.count_outcome("okx", &outcome);
        }
        let venue = counts.venues.get("okx").expect("counted");
        assert_eq!(venue.outcomes.len(), OUTCOMES_MAX + 1);
        assert_eq!(venue.outcomes.get(OTHER), Some(&(1_000 - OUTCOMES_MAX as u64)));
        counts.count_outcome("okx", &Outcome { status: 200, latency_us: 7, ..Outcome::default() });
        assert_eq!(counts.venues["okx"].seconds.snapshot().sum, 7_000);
    }

    /// What egress or clients can make of it, at its longest.
    #[test]
    fn a_snapshot_fits_into_a_frame_whatever_egress_says() {
        let mut bench = Bench::new();
        for number in 0..2 * CLIENTS_MAX {
            let client = name(&format!("{}{number:07}", "b".repeat(56)));
            for came in [Came::Denied, Came::Executed, Came::Signed] {
                bench.vault.counts.count(&client, came);
            }
        }
        for venue in ["binance", "bybit", "coinbase", "kraken", "okx"] {
            for number in 0..2 * OUTCOMES_MAX {
                let problem = format!("{}{number:04}", "P".repeat(60));
                let outcome = Outcome { problem, ..Outcome::default() };
                bench.vault.counts.count_outcome(venue, &outcome);
            }
        }
        let rows = (0..4 * HEALTH_ROWS_MAX).map(|number| HealthRow {
            venue: "coinbase".to_owned(),
            host: format!("{}{number:04}", "h".repeat(HOST_BYTES_MAX - 4)),
            source: "2001:db8:1111:2222:3333:4444:5555:6666".to_owned(),
            state: HealthState::Banned.into(),
            until_us: i64::MAX,
            used_weight: u64::MAX,
            weight_limit: u64::MAX,
            in_flight: u32::MAX,
            streams: u32::MAX,
            last_problem: "P".repeat(64),
        });
        let health = Health { rows: rows.collect() };
        bench.vault.venues = crate::health::venues(health, &bench.vault.registry);
        assert_eq!(bench.vault.venues.len(), HEALTH_ROWS_MAX);

        let metrics = bench.vault.metrics();
        assert!(metrics.samples.len() < SAMPLES_MAX, "{}", metrics.samples.len());
        let mut frame = Vec::new();
        vault_ipc::encode(Kind::Metrics, 0, &metrics, &mut frame).expect("fits");
        let status = v1::StatusResponse { venues: bench.vault.venues, ..Default::default() };
        assert!(status.encoded_len() < BODY_BYTES_MAX / 4, "{}", status.encoded_len());
    }

    #[test]
    fn what_egress_says_of_itself_is_a_number_or_nothing() {
        let mut counts = Counts::new(Timestamp::default());
        let well = Usage { cpu_s: 1.5, memory_peak_bytes: 4096.0 };
        counts.take_usage("egress", well);
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            counts.take_usage("egress", Usage { cpu_s: bad, ..well });
            counts.take_usage("egress", Usage { memory_peak_bytes: bad, ..well });
        }
        assert_eq!(counts.usages["egress"], well);
    }

    #[test]
    fn who_asks_again_at_once_is_not_answered() {
        let mut counts = Counts::new(Timestamp::default());
        assert!(counts.is_due("front"));
        assert!(!counts.is_due("front"));
        assert!(counts.is_due("supervisor"), "each for itself");
    }
}
