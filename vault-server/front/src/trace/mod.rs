//! Spans of single calls: which calls are traced, and what is gathered of them on their way.
//!
//! A call that is traced has a [`Call`] beside its deadline, which those who serve it tell what happens;
//! when the last of them lets go of it, its spans are handed to the exporter (`sink.rs`), the one process
//! that speaks to a collector. Whoever is not traced has none, and costs a branch.
//!
//! Nothing that a peer sent is in a span but the ids of its own trace (`parent.rs`).

mod bucket;
mod call;
mod parent;
mod sink;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::HeaderMap;
use vault_ipc::metric::{Counter, Family, Sample};
use vault_ipc::trace::{SpanKind, Trace};

pub(crate) use self::call::Call;
pub use self::parent::{Parent, traceparent};

use self::bucket::Bucket;
use self::sink::Sink;
use crate::metric::monotonic_us;
use crate::registry::Connection;

/// What is traced, and where it goes.
#[derive(Debug)]
pub struct Tracing {
    /// The channels to exporters, of each that there may be one after the other.
    pub exporters: Vec<UnixStream>,
    /// How many of all calls, from 0 to 1.
    pub sample: f64,
    /// Calls in a second; those of which bots ask for it get half of it.
    pub max_per_second: u32,
    /// Calls that take longer are traced too.
    pub slow: Option<Duration>,
    /// Whether the traces of bots are continued.
    pub from_bots: bool,
}

/// Decides which calls are traced.
#[derive(Debug)]
pub(crate) struct Tracer {
    counts: Counts,
    from_bots: bool,
    /// Of those for which bots ask.
    limit_of_bots: Mutex<Bucket>,
    limit: Mutex<Bucket>,
    sample: f64,
    sink: Sink,
    slow_us: Option<u64>,
}

/// Why a call is traced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reason {
    /// Its bot traces it.
    Parent,
    /// By chance.
    Sample,
    /// It took long.
    Slow,
}

#[derive(Debug, Default)]
struct Counts {
    limited: Counter,
    parent: Counter,
    sample: Counter,
    slow: Counter,
}

impl Tracer {
    /// Traces as it is told to; [`Tracer::serve`] is to be run.
    pub(crate) fn new(tracing: &Tracing) -> Self {
        let limit = |per_second| Mutex::new(Bucket::new(per_second, Instant::now()));
        Self {
            counts: Counts::default(),
            from_bots: tracing.from_bots,
            limit_of_bots: limit(tracing.max_per_second.div_ceil(2)),
            limit: limit(tracing.max_per_second),
            sample: tracing.sample,
            sink: Sink::default(),
            slow_us: tracing.slow.map(microseconds),
        }
    }

    /// Hands on what is gathered, for as long as there may be an exporter.
    pub(crate) async fn serve(&self, exporters: Vec<UnixStream>) {
        self.sink.serve(exporters).await;
    }

    /// What a call's headers say of its bot's trace.
    pub(crate) fn parent(&self, headers: &HeaderMap) -> Option<Parent> {
        self.from_bots.then(|| parent::of(headers)).flatten()
    }

    /// A call began then; `None` if it is not traced.
    pub(crate) fn begin(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        parent: Option<Parent>,
        kind: SpanKind,
        began: Instant,
    ) -> Option<Arc<Call>> {
        let reason = self.reason(parent, began);
        if reason.is_none() && self.slow_us.is_none() {
            return None;
        }
        let began_us = monotonic_us().saturating_sub(microseconds(began.elapsed()));
        Some(Arc::new(Call::new(self, connection, parent, kind, began_us, reason)))
    }

    fn reason(&self, parent: Option<Parent>, now: Instant) -> Option<Reason> {
        let reason = match parent {
            Some(parent) if parent.is_sampled => Reason::Parent,
            // Whoever does not record the trace would have a part of it.
            Some(_) => return None,
            None if self.sample > 0.0 && rand::random::<f64>() < self.sample => Reason::Sample,
            None => return None,
        };
        let of_bots = reason != Reason::Parent || take(&self.limit_of_bots, now);
        if of_bots && take(&self.limit, now) {
            return Some(reason);
        }
        self.counts.limited.add_one();
        None
    }

    /// Whether a call that nobody chose is traced, for what it took.
    fn is_slow(&self, took_us: u64) -> bool {
        if self.slow_us.is_none_or(|slow_us| took_us < slow_us) {
            return false;
        }
        let has_room = take(&self.limit, Instant::now());
        if !has_room {
            self.counts.limited.add_one();
        }
        has_room
    }

    fn send(&self, reason: Reason, trace: &Trace) {
        let counter = match reason {
            Reason::Parent => &self.counts.parent,
            Reason::Sample => &self.counts.sample,
            Reason::Slow => &self.counts.slow,
        };
        counter.add_one();
        self.sink.put(trace);
    }
}

/// The figures; all 0 where nothing is traced.
pub(crate) fn samples(tracer: Option<&Tracer>) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut put = |family, labels: &[&str], value: u64| {
        samples.push(Sample::number(family, labels, value as f64));
    };
    let counted = |of: fn(&Tracer) -> u64| tracer.map_or(0, of);
    put(Family::Traces, &["parent"], counted(|tracer| tracer.counts.parent.count()));
    put(Family::Traces, &["sample"], counted(|tracer| tracer.counts.sample.count()));
    put(Family::Traces, &["slow"], counted(|tracer| tracer.counts.slow.count()));
    put(Family::TracesLimited, &[], counted(|tracer| tracer.counts.limited.count()));
    put(Family::TracesUp, &[], counted(|tracer| u64::from(tracer.sink.exported().is_up)));
    put(Family::SpansExported, &[], counted(|tracer| tracer.sink.exported().exported));
    put(Family::SpansDropped, &["collector"], counted(|tracer| tracer.sink.exported().dropped));
    put(Family::SpansDropped, &["exporter"], counted(|tracer| tracer.sink.unsent()));
    put(Family::SpansDropped, &["queue"], counted(|tracer| tracer.sink.overflown()));
    put(Family::SpansDropped, &["unfit"], counted(|tracer| tracer.sink.exported().unfit));
    samples
}

fn take(limit: &Mutex<Bucket>, now: Instant) -> bool {
    limit.lock().expect("no panic while locked").take(now)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::{Parent, Reason, Tracer, Tracing};

    fn tracing() -> Tracing {
        Tracing {
            exporters: vec![UnixStream::pair().expect("a pair").0],
            sample: 0.0,
            max_per_second: 10,
            slow: None,
            from_bots: true,
        }
    }

    const PARENT: Parent = Parent { trace_id: [1; 16], id: 1, is_sampled: true };

    /// How many of a thousand calls at one moment are traced.
    fn traced(tracer: &Tracer, parent: Option<Parent>) -> usize {
        let now = Instant::now();
        (0..1_000).filter(|_| tracer.reason(parent, now).is_some()).count()
    }

    #[test]
    fn by_default_nothing_is_traced_and_by_chance_as_much_as_is_asked_for() {
        assert_eq!(traced(&Tracer::new(&tracing()), None), 0);
        let half = Tracing { sample: 0.5, max_per_second: 10_000, ..tracing() };
        let half = traced(&Tracer::new(&half), None);
        // Ten standard deviations.
        assert!((342..=658).contains(&half), "{half}");
        let all = Tracing { sample: 1.0, max_per_second: 10_000, ..tracing() };
        assert_eq!(traced(&Tracer::new(&all), None), 1_000);
    }

    #[test]
    fn bots_get_half_of_what_is_traced_in_a_second() {
        let tracer = Tracer::new(&Tracing { sample: 1.0, ..tracing() });
        assert_eq!(traced(&tracer, Some(PARENT)), 5);
        assert_eq!(traced(&tracer, None), 5);
        assert_eq!(tracer.counts.limited.count(), 2_000 - 10);
    }

    #[test]
    fn a_bot_that_does_not_record_its_trace_is_not_traced_by_chance() {
        let tracer = Tracer::new(&Tracing { sample: 1.0, ..tracing() });
        let unsampled = Parent { is_sampled: false, ..PARENT };
        assert_eq!(tracer.reason(Some(unsampled), Instant::now()), None);
        assert_eq!(tracer.reason(None, Instant::now()), Some(Reason::Sample));
    }

    #[test]
    fn what_is_slow_has_the_same_limit() {
        let slow = Tracing { slow: Some(Duration::from_millis(5)), ..tracing() };
        let tracer = Tracer::new(&slow);
        assert!(!tracer.is_slow(4_999));
        let slow = (0..1_000).filter(|_| tracer.is_slow(5_000)).count();
        // A thousand looks may take a tenth of a second.
        assert!((10..=20).contains(&slow), "{slow}");
        assert!(!Tracer::new(&tracing()).is_slow(u64::MAX));
    }
}
