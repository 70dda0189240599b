//! Figures about the vault's own work: which there are, how they are counted, and how they cross from
//! the core to whoever shows them.
//!
//! One table says what each is. Core and front count in atomics of their own; a snapshot is a list of
//! samples, which the front writes as text. `docs/reference/metrics.md` explains each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

macro_rules! families {
    ($($family:ident: $form:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        /// What a figure is about. On the wire, its place in [`Family::ALL`]: both ends are one binary.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Family {
            $(#[doc = $help] $family,)+
        }

        impl Family {
            /// All of them, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$family),+];

            /// What is known of it.
            pub fn about(self) -> About {
                match self {
                    $(Self::$family => About {
                        name: $name,
                        form: Form::$form,
                        labels: &[$($label),*],
                        help: $help,
                    },)+
                }
            }
        }
    };
}

families! {
    BatchEntries: Sizes "countersign_batch_entries" ["thread"]
        "Entries that one sync has put on disk, by the core's thread that made it";
    BuildInfo: Gauge "countersign_build_info" ["version"]
        "Always 1; the version is in the label";
    CallSeconds: Seconds "countersign_call_seconds" ["listener"]
        "From the head of a gRPC call to the head of its answer";
    Calls: Counter "countersign_calls_total" ["listener", "code"]
        "gRPC calls answered, by their status";
    CallsWaiting: Gauge "countersign_calls_waiting" []
        "Calls that wait for the core";
    CertificateNotAfter: Gauge "countersign_certificate_not_after_timestamp_seconds" ["certificate"]
        "When the certificate runs out; of operators', the first that does and has no successor";
    ClientRequests: Counter "countersign_client_requests_total" ["client", "outcome"]
        "What clients asked to have signed or sent, by what came of it";
    Clients: Gauge "countersign_clients" ["state"]
        "Clients that there are";
    ClockSynchronised: Gauge "countersign_clock_synchronised" []
        "Whether the kernel takes the clock for synchronised";
    Connections: Gauge "countersign_connections" ["listener"]
        "Connections that have shown who they are";
    ConnectionsRefused: Counter "countersign_connections_refused_total" ["listener"]
        "Connections that were turned away before their first call";
    CoreUp: Gauge "countersign_core_up" []
        "Whether the core answered this scrape in time; without an answer, what it counts is missing";
    CpuSeconds: Counter "countersign_process_cpu_seconds_total" ["process"]
        "Processor time that the process has used";
    Credentials: Gauge "countersign_credentials" ["state"]
        "Credentials that there are; drifted ones are counted in their state too";
    Denials: Counter "countersign_denials_total" ["reason"]
        "Requests that the core has refused to clients";
    DiskFree: Gauge "countersign_log_disk_free_bytes" []
        "What may still be written to the file system of the log";
    DiskFull: Gauge "countersign_log_disk_full" []
        "Whether signing has stopped for want of space";
    DiskLow: Gauge "countersign_log_disk_low" []
        "Whether the file system of the log is getting full";
    Halts: Gauge "countersign_halts" ["level"]
        "Halts that are in force";
    Hardened: Gauge "countersign_process_hardened" ["process"]
        "Whether all that can confine the process does";
    LogDamaged: Gauge "countersign_log_damaged" []
        "Whether the log was found damaged behind the snapshot that the start went on from";
    LogEntries: Counter "countersign_log_entries_total" []
        "Entries of the log that are on disk";
    LogWaiting: Gauge "countersign_log_waiting_entries" []
        "Entries that are decided and not on disk yet";
    MemoryPeak: Gauge "countersign_process_memory_peak_bytes" ["process"]
        "The most memory that the process has had at one time";
    ProxyRequests: Counter "countersign_proxy_requests_total" ["status"]
        "Requests through the HTTPS proxy, by the class of their HTTP status";
    QueueBytes: Gauge "countersign_queue_bytes" ["queue"]
        "What waits: for the core (front_bots, front_operators), for the disk or its readers (log)";
    SealState: Gauge "countersign_seal_state" ["state"]
        "1 for the state that the vault is in, 0 for the others";
    SpansDropped: Counter "countersign_spans_dropped_total" ["reason"]
        "Spans that no collector got, by why";
    SpansExported: Counter "countersign_spans_exported_total" []
        "Spans that the collector took";
    StageSeconds: Seconds "countersign_stage_seconds" ["stage"]
        "Time that a Sign spends in a stage; of sync, time of a batch";
    StartTime: Gauge "countersign_start_timestamp_seconds" []
        "When the processes were started, or started anew after a Seal";
    Traces: Counter "countersign_traces_total" ["reason"]
        "Calls that were traced, by why";
    TracesLimited: Counter "countersign_traces_limited_total" []
        "Calls that were not traced for want of room in the second";
    TracesUp: Gauge "countersign_traces_collector_up" []
        "Whether the collector took what it was last sent; 0 too before the first, and without one";
    TurnsWaiting: Gauge "countersign_turns_waiting" ["queue"]
        "Calls in the core that wait for their turn to be decided";
    VenueInFlight: Gauge "countersign_venue_in_flight" ["venue", "host", "source"]
        "Requests to the host that are under way";
    VenueRequests: Counter "countersign_venue_requests_total" ["venue", "outcome"]
        "Requests that were sent, by the class of the HTTP status or by what went wrong";
    VenueSeconds: Seconds "countersign_venue_seconds" ["venue"]
        "From a request's arrival at the egress to the venue's status line";
    VenueState: Gauge "countersign_venue_state" ["venue", "host", "source", "state"]
        "1 for the state that the host is in, 0 for the others";
    VenueStreams: Gauge "countersign_venue_streams" ["venue", "host", "source"]
        "WebSockets to the host that stand or are being opened";
    VenueUntil: Gauge "countersign_venue_pause_until_timestamp_seconds" ["venue", "host", "source"]
        "Until when the host's state holds; 0 while it is asked as usual";
    VenueWeightLimit: Gauge "countersign_venue_weight_limit" ["venue", "host", "source"]
        "The budget of the host for a minute, as far as it is known; else 0";
    VenueWeightUsed: Gauge "countersign_venue_weight_used" ["venue", "host", "source"]
        "What is used of it, as the venue last said";
}

/// What is known of a [`Family`].
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// `countersign_...`, with its unit.
    pub name: &'static str,
    /// What its samples are.
    pub form: Form,
    /// Names of the labels; a sample has their values in this order.
    pub labels: &'static [&'static str],
    /// What it says, without a full stop.
    pub help: &'static str,
}

/// What the samples of a family are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A number that only grows, until the processes start anew.
    Counter,
    /// A number.
    Gauge,
    /// A histogram of nanoseconds, shown in seconds.
    Seconds,
    /// A histogram of counts.
    Sizes,
}

impl Form {
    /// Upper bounds of its buckets but for the last, which has none.
    pub fn bounds(self) -> &'static [u64] {
        match self {
            Self::Counter | Self::Gauge => &[],
            Self::Seconds => &NANOSECONDS,
            Self::Sizes => &SIZES,
        }
    }
}

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;

/// Bounds of durations. Most stages of a Sign take some microseconds, a sync some hundred, a venue some
/// hundred milliseconds.
const NANOSECONDS: [u64; 30] = [
    US,
    2 * US,
    5 * US,
    10 * US,
    20 * US,
    30 * US,
    50 * US,
    75 * US,
    100 * US,
    150 * US,
    200 * US,
    300 * US,
    500 * US,
    750 * US,
    MS,
    1_500 * US,
    2 * MS,
    3 * MS,
    5 * MS,
    7_500 * US,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    1_000 * MS,
    2_000 * MS,
    5_000 * MS,
    10_000 * MS,
];
const SIZES: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096];

/// Buckets of a histogram with the most bounds.
const BUCKETS: usize = NANOSECONDS.len() + 1;

/// Counts from 0 on.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// From 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts values by size. Neither locks nor allocates; a snapshot that is taken while another thread
/// counts may miss its last value.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations.
    pub const fn of_seconds() -> Self {
        Self::new(&NANOSECONDS)
    }

    /// Of counts.
    pub const fn of_sizes() -> Self {
        Self::new(&SIZES)
    }

    const fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Counts a value, in nanoseconds if it is of durations.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts the time since a moment.
    pub fn observe_since(&self, moment: Instant) {
        self.observe_duration(moment.elapsed());
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> Buckets {
        let counts = &self.counts[..=self.bounds.len()];
        Buckets {
            counts: counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// What a histogram has counted.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Buckets {
    /// By bucket, each for itself; one more than the form has bounds.
    #[prost(uint64, repeated, tag = "1")]
    pub counts: Vec<u64>,
    /// Of all values.
    #[prost(uint64, tag = "2")]
    pub sum: u64,
}

/// One figure.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sample {
    /// Place of its [`Family`] in [`Family::ALL`].
    #[prost(uint32, tag = "1")]
    pub family: u32,
    /// Values of the family's labels.
    #[prost(string, repeated, tag = "2")]
    pub labels: Vec<String>,
    /// Of counters and gauges.
    #[prost(double, tag = "3")]
    pub value: f64,
    /// Of histograms.
    #[prost(message, optional, tag = "4")]
    pub buckets: Option<Buckets>,
}

impl Sample {
    /// A counter or a gauge. Numbers beyond 2^53 lose their last digits.
    pub fn number(family: Family, labels: &[&str], value: f64) -> Self {
        debug_assert_eq!(labels.len(), family.about().labels.len(), "{family:?}");
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Self { family: family as u32, labels, value, buckets: None }
    }

    /// A histogram.
    pub fn histogram(family: Family, labels: &[&str], histogram: &Histogram) -> Self {
        let buckets = Some(histogram.snapshot());
        Self { buckets, ..Self::number(family, labels, 0.0) }
    }

    /// What it is about; `None` for what is none of ours.
    pub fn family(&self) -> Option<Family> {
        Family::ALL.get(self.family as usize).copied()
    }
}

/// Figures of the core, at one moment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metrics {
    /// At most [`SAMPLES_MAX`].
    #[prost(message, repeated, tag = "1")]
    pub samples: Vec<Sample>,
}

/// What a process has used.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Usage {
    /// Processor time, in seconds.
    #[prost(double, tag = "1")]
    pub cpu_s: f64,
    /// The most memory at one time, in bytes.
    #[prost(double, tag = "2")]
    pub memory_peak_bytes: f64,
}

impl Usage {
    /// Of the calling process; zeros if the system does not say.
    pub fn of_this_process() -> Self {
        // SAFETY: `rusage` is a struct of integers; all zeros is a value of it.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a whole `rusage` of our own that outlives the call.
        if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
            return Self::default();
        }
        let part = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Self {
            cpu_s: part(usage.ru_utime) + part(usage.ru_stime),
            // The kernel counts in KiB.
            memory_peak_bytes: usage.ru_maxrss as f64 * 1024.0,
        }
    }
}

/// How often a process says so that nobody asks.
pub const USAGE_TOLD: Duration = Duration::from_secs(10);
/// Samples in one snapshot, so that it fits a frame.
pub const SAMPLES_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::{Family, Form, Histogram, NANOSECONDS, SIZES, Sample};

    #[test]
    fn names_are_those_of_prometheus() {
        let mut names = HashSet::new();
        for (place, family) in Family::ALL.iter().enumerate() {
            assert_eq!(*family as usize, place, "{family:?}");
            let about = family.about();
            assert!(names.insert(about.name), "{} is there twice", about.name);
            assert!(about.name.starts_with("countersign_"), "{}", about.name);
            let is_total = about.name.ends_with("_total");
            assert_eq!(is_total, about.form == Form::Counter, "{}", about.name);
            if about.form == Form::Seconds {
                assert!(about.name.ends_with("_seconds"), "{}", about.name);
            }
            for label in about.labels {
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase()), "{label}");
            }
            assert!(!about.help.contains(['\n', '\\', '"']) && !about.help.ends_with('.'));
        }
    }

    #[test]
    fn a_value_falls_into_the_first_bucket_that_is_not_below_it() {
        assert!(NANOSECONDS.is_sorted() && SIZES.is_sorted());
        let histogram = Histogram::of_seconds();
        histogram.observe_duration(Duration::from_micros(10));
        histogram.observe_duration(Duration::from_nanos(10_001));
        histogram.observe_duration(Duration::from_secs(11));
        histogram.observe(0);
        let buckets = histogram.snapshot();
        assert_eq!(buckets.counts.len(), NANOSECONDS.len() + 1);
        let filled = |bucket: usize| buckets.counts[bucket];
        assert_eq!((filled(0), filled(3), filled(4), filled(30)), (1, 1, 1, 1));
        assert_eq!(buckets.counts.iter().sum::<u64>(), 4);
        assert_eq!(buckets.sum, 10_000 + 10_001 + 11_000_000_000);

        let sizes = Histogram::of_sizes();
        sizes.observe(5_000);
        assert_eq!(sizes.snapshot().counts.len(), SIZES.len() + 1);
        assert_eq!(sizes.snapshot().counts.last(), Some(&1));
    }

    #[test]
    fn a_sample_of_no_family_is_none_of_ours() {
        let sample = Sample { family: u32::MAX, ..Sample::default() };
        assert_eq!(sample.family(), None);
        let sample = Sample::number(Family::CoreUp, &[], 1.0);
        assert_eq!(sample.family(), Some(Family::CoreUp));
    }
}
