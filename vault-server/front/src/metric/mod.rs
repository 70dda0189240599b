//! What the front counts of its own work, and the figures that the core tells it.
//!
//! `text.rs` writes them, `serve.rs` answers who asks. Nothing that a peer sent is in a figure: what is
//! counted are listeners, status codes, times and numbers.

mod serve;
mod text;

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use vault_ipc::Listener;
use vault_ipc::metric::{self, Counter, Family, Histogram, Sample, Usage};

pub(crate) use self::serve::{Figures, serve};
use crate::trace::Tracer;

/// Listeners and what they are called.
const LISTENERS: [(Listener, &str); 3] =
    [(Listener::Bot, "bot"), (Listener::Enroll, "enroll"), (Listener::Operator, "operator")];

/// Statuses of gRPC by their number.
pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Classes of HTTP statuses from 1xx on.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What the front counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// The same moment twice, the second time in microseconds of the machine's monotonic clock.
    began: (Instant, u64),
    /// The newest of the core's, and when they came.
    core: watch::Sender<Option<Told>>,
    /// From the head of a Sign to its frame.
    decode: Histogram,
    listeners: [OfListener; LISTENERS.len()],
    proxied: [Counter; CLASSES.len()],
    /// From the answer of a Sign to its bytes being with TLS.
    release: Histogram,
    /// What traces calls, if anything does.
    tracer: Option<Arc<Tracer>>,
}

/// What the core told, and when.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    at: Instant,
    metrics: Arc<metric::Metrics>,
}

#[derive(Debug)]
struct OfListener {
    calls: [Counter; CODES.len()],
    refused: Counter,
    seconds: Histogram,
}

impl Default for OfListener {
    fn default() -> Self {
        Self {
            calls: [const { Counter::new() }; CODES.len()],
            refused: Counter::new(),
            seconds: Histogram::of_seconds(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::traced(None)
    }
}

impl Metrics {
    /// Those of a front whose calls are traced, if there is something that traces them.
    pub(crate) fn traced(tracer: Option<Arc<Tracer>>) -> Self {
        Self {
            began: moment(),
            core: watch::Sender::new(None),
            decode: Histogram::of_seconds(),
            listeners: Default::default(),
            proxied: [const { Counter::new() }; CLASSES.len()],
            release: Histogram::of_seconds(),
            tracer,
        }
    }

    /// What traces calls.
    pub(crate) fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// The frame of a Sign is ready whose head came at this moment. Returns the time for its frame, in
    /// microseconds of the machine's monotonic clock.
    pub(crate) fn decoded(&self, began: Instant) -> u64 {
        let now = Instant::now();
        self.decode.observe_duration(now.saturating_duration_since(began));
        let (moment, moment_us) = self.began;
        let passed = now.saturating_duration_since(moment).as_micros();
        moment_us.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The bytes of an answer that releases are with TLS, or dropped, which came at this moment.
    pub(crate) fn released(&self, came: Instant) {
        self.release.observe_since(came);
    }

    /// A gRPC call is answered with this head.
    pub(crate) fn answered(&self, listener: Listener, head: &HeaderMap, began: Instant) {
        let Some(of_listener) = self.of_listener(listener) else { return };
        of_listener.seconds.observe_since(began);
        if let Some(counter) = of_listener.calls.get(code(head)) {
            counter.add_one();
        }
    }

    /// A request through the proxy is answered with this status.
    pub(crate) fn proxied(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = class.checked_sub(1).and_then(|class| self.proxied.get(class)) {
            counter.add_one();
        }
    }

    /// A connection is turned away.
    pub(crate) fn refused(&self, listener: Listener) {
        if let Some(of_listener) = self.of_listener(listener) {
            of_listener.refused.add_one();
        }
    }

    /// The core has told its figures.
    pub(crate) fn told(&self, metrics: metric::Metrics) {
        let told = Told { at: Instant::now(), metrics: Arc::new(metrics) };
        self.core.send_replace(Some(told));
    }

    fn listen_to_core(&self) -> watch::Receiver<Option<Told>> {
        self.core.subscribe()
    }

    fn of_listener(&self, listener: Listener) -> Option<&OfListener> {
        let place = LISTENERS.iter().position(|(one, _)| *one == listener)?;
        self.listeners.get(place)
    }

    /// The front's own figures, but for those that others hold.
    fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for ((_, listener), counted) in LISTENERS.iter().zip(&self.listeners) {
            samples.push(Sample::histogram(Family::CallSeconds, &[listener], &counted.seconds));
            let refused = counted.refused.count() as f64;
            samples.push(Sample::number(Family::ConnectionsRefused, &[listener], refused));
            for (code, counter) in CODES.iter().zip(&counted.calls) {
                // Most listeners never give most of them.
                if counter.count() > 0 || *code == CODES[0] {
                    let count = counter.count() as f64;
                    samples.push(Sample::number(Family::Calls, &[listener, code], count));
                }
            }
        }
        for (class, counter) in CLASSES.iter().zip(&self.proxied) {
            let count = counter.count() as f64;
            samples.push(Sample::number(Family::ProxyRequests, &[class], count));
        }
        for (stage, histogram) in [("decode", &self.decode), ("release", &self.release)] {
            samples.push(Sample::histogram(Family::StageSeconds, &[stage], histogram));
        }
        samples.extend(crate::trace::samples(self.tracer.as_deref()));
        let Usage { cpu_s, memory_peak_bytes } = Usage::of_this_process();
        samples.push(Sample::number(Family::CpuSeconds, &["front"], cpu_s));
        samples.push(Sample::number(Family::MemoryPeak, &["front"], memory_peak_bytes));
        samples.push(Sample::number(Family::BuildInfo, &[env!("CARGO_PKG_VERSION")], 1.0));
        samples
    }
}

/// The status of gRPC in the head of an answer, as its number.
pub(crate) fn code(head: &HeaderMap) -> usize {
    // A call that went well, or not yet badly, says so after its body.
    let code = head.get("grpc-status").map_or(Some(0), |code| code.to_str().ok()?.parse().ok());
    code.unwrap_or(UNKNOWN)
}

/// The present on both clocks.
fn moment() -> (Instant, u64) {
    // The first look at it takes long: it has to be found.
    monotonic_us();
    (Instant::now(), monotonic_us())
}

pub(crate) fn monotonic_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000).saturating_add(part(time.tv_nsec) / 1_000)
}

/// Of a code that does not read.
const UNKNOWN: usize = 2;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::{HeaderMap, HeaderValue, StatusCode};
    use vault_ipc::Listener;
    use vault_ipc::metric::{Family, Sample};

    use super::{Metrics, monotonic_us};

    fn value(samples: &[Sample], family: Family, labels: &[&str]) -> f64 {
        let is_it = |sample: &&Sample| sample.family() == Some(family) && sample.labels == labels;
        samples.iter().find(is_it).map_or(0.0, |sample| sample.value)
    }

    #[test]
    fn calls_are_counted_by_listener_and_status() {
        let metrics = Metrics::default();
        let now = Instant::now();
        let mut refused = HeaderMap::new();
        metrics.answered(Listener::Bot, &refused, now);
        refused.insert("grpc-status", HeaderValue::from_static("7"));
        metrics.answered(Listener::Bot, &refused, now);
        metrics.answered(Listener::Operator, &refused, now);
        for odd in ["x", "99", "-1"] {
            refused.insert("grpc-status", HeaderValue::from_static(odd));
            metrics.answered(Listener::Enroll, &refused, now);
        }
        metrics.answered(Listener::Unspecified, &refused, now);
        metrics.proxied(StatusCode::UNPROCESSABLE_ENTITY);
        metrics.proxied(StatusCode::from_u16(999).expect("a status"));
        metrics.refused(Listener::Enroll);

        let samples = metrics.samples();
        for (labels, count) in [
            (["bot", "OK"], 1.0),
            (["bot", "PERMISSION_DENIED"], 1.0),
            (["operator", "PERMISSION_DENIED"], 1.0),
            (["operator", "OK"], 0.0),
            (["enroll", "UNKNOWN"], 2.0),
        ] {
            assert_eq!(value(&samples, Family::Calls, &labels), count, "{labels:?}");
        }
        assert_eq!(value(&samples, Family::ProxyRequests, &["4xx"]), 1.0);
        assert_eq!(value(&samples, Family::ProxyRequests, &["5xx"]), 0.0);
        assert_eq!(value(&samples, Family::ConnectionsRefused, &["enroll"]), 1.0);
    }

    #[test]
    fn a_frame_says_the_time_of_the_clock_that_all_processes_share() {
        let metrics = Metrics::default();
        let before = monotonic_us();
        let said = metrics.decoded(Instant::now() - Duration::from_millis(3));
        let after = monotonic_us();
        // Within what a scheduler may take between two looks.
        assert!((before - 5_000..=after + 5_000).contains(&said), "{before} {said} {after}");
        assert!(metrics.decode.snapshot().sum >= 3_000_000);
    }
}
