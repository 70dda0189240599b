//! One call that is traced: what is told of it on its way, and its spans in the end.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use vault_ipc::Failure;
use vault_ipc::trace::{SPANS_MAX, Span, SpanKind, Stages, Trace};

use super::{Parent, Reason, Tracer};
use crate::metric::{CODES, code, monotonic_us};
use crate::registry::Connection;
use crate::venue_proxy::REASON;

/// Requests of a batch that have spans of their own.
pub(crate) const ITEMS_MAX: usize = 16;

/// Gathers what happens to a call, and hands its spans on when nobody has it any more.
#[derive(Debug)]
pub(crate) struct Call {
    began_us: u64,
    connection: Arc<Connection>,
    /// When the monotonic clock was 0, in nanoseconds since the epoch, as it was when the call began.
    epoch_ns: u64,
    id: u64,
    kind: SpanKind,
    made: Mutex<Made>,
    /// The batch that it is of.
    of: Option<Arc<Call>>,
    parent: Option<Parent>,
    /// `None`: only if it turns out to be slow.
    reason: Option<Reason>,
    trace_id: [u8; 16],
    tracer: Arc<Tracer>,
}

/// What has happened so far. Times are microseconds of the monotonic clock; 0: it did not.
#[derive(Debug, Default)]
struct Made {
    batch: u32,
    came_us: u64,
    entry_index: Option<u64>,
    is_answered: bool,
    is_discarded: bool,
    problem: Option<String>,
    queued_us: u64,
    released_us: u64,
    /// Of a batch's requests.
    spans: Vec<Span>,
    stages: Option<Box<Stages>>,
    status: u32,
    synced_us: (u64, u64),
    venue_problem: String,
    venue_us: (u64, u64),
}

impl Call {
    pub(super) fn new(
        tracer: &Arc<Tracer>,
        connection: &Arc<Connection>,
        parent: Option<Parent>,
        kind: SpanKind,
        began_us: u64,
        reason: Option<Reason>,
    ) -> Self {
        Self {
            began_us,
            connection: Arc::clone(connection),
            epoch_ns: epoch_ns(),
            id: new_id(),
            kind,
            made: Mutex::default(),
            of: None,
            parent,
            reason,
            trace_id: parent.map_or_else(|| rand::random::<u128>().to_be_bytes(), |it| it.trace_id),
            tracer: Arc::clone(tracer),
        }
    }

    /// One request of a batch of so many; those beyond the first are not shown.
    pub(crate) fn item(self: &Arc<Self>, place: usize) -> Option<Arc<Self>> {
        (place < ITEMS_MAX).then(|| {
            let mut item = Self::new(
                &self.tracer,
                &self.connection,
                None,
                SpanKind::Sign,
                self.began_us,
                self.reason,
            );
            item.of = Some(Arc::clone(self));
            item.trace_id = self.trace_id;
            // As the batch has it, so that one is within the other to the nanosecond.
            item.epoch_ns = self.epoch_ns;
            Arc::new(item)
        })
    }

    /// It has so many requests.
    pub(crate) fn set_batch(&self, requests: usize) {
        self.made().batch = u32::try_from(requests).unwrap_or(u32::MAX);
    }

    /// Its frame is ready.
    pub(crate) fn queued(&self) {
        let now_us = monotonic_us();
        self.made().queued_us = now_us;
    }

    /// The core has told how it came to its answer.
    pub(crate) fn decided(&self, stages: Option<Box<Stages>>) {
        let now_us = monotonic_us();
        let mut made = self.made();
        made.came_us = now_us;
        made.stages = stages;
    }

    /// The core has told when its batch was synced.
    pub(crate) fn synced(&self, began_us: u64, ended_us: u64) {
        self.made().synced_us = (began_us, ended_us);
    }

    /// It came to this in the front.
    pub(crate) fn came_to<T>(&self, answer: &Result<T, Failure>) {
        match answer {
            Ok(_) => self.made().is_answered = true,
            Err(failure) => self.failed(failure),
        }
    }

    /// It came to nothing. What is said first counts.
    pub(crate) fn failed(&self, failure: &Failure) {
        let mut made = self.made();
        made.is_answered = true;
        made.entry_index = made.entry_index.or(failure.entry_index);
        made.problem.get_or_insert_with(|| failure.reason.clone());
    }

    /// It is answered with this head, by whomever.
    pub(crate) fn answered(&self, head: &HeaderMap) {
        let mut made = self.made();
        if made.is_answered {
            return;
        }
        made.is_answered = true;
        made.problem = match code(head) {
            0 => None,
            code => Some(CODES.get(code).unwrap_or(&"UNKNOWN").to_string()),
        };
    }

    /// It is answered through the proxy with this head: by the venue, or with a reason of ours.
    pub(crate) fn proxied(&self, head: &HeaderMap) {
        let reason = head.get(&REASON).and_then(|reason| reason.to_str().ok());
        let mut made = self.made();
        if !made.is_answered {
            made.is_answered = true;
            made.problem = reason.map(str::to_owned);
        }
    }

    /// Its venue has answered with a status, after so many microseconds as egress saw it.
    pub(crate) fn at_venue(&self, status: u32, latency_us: u64) {
        let now_us = monotonic_us();
        let mut made = self.made();
        made.status = status;
        made.venue_us = (now_us.saturating_sub(latency_us), now_us);
    }

    /// Its venue has not answered; nobody knows when it was asked.
    pub(crate) fn lost_at_venue(&self, problem: &str) {
        let now_us = monotonic_us();
        let mut made = self.made();
        let since_us = made.synced_us.1.max(made.came_us);
        made.venue_us = (since_us, now_us);
        problem.clone_into(&mut made.venue_problem);
    }

    /// Its bytes are with TLS, or dropped.
    pub(crate) fn released(&self) {
        let now_us = monotonic_us();
        self.made().released_us = now_us;
    }

    /// It is no call of those that are traced.
    pub(crate) fn discard(&self) {
        self.made().is_discarded = true;
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().expect("no panic while locked")
    }

    /// Its spans: first itself, then its stages, then those of a batch's requests.
    fn spans(&self, mut made: Made, ended_us: u64) -> Vec<Span> {
        let ns = |us: u64| {
            // What another process says is believed within the call alone.
            self.epoch_ns.saturating_add(us.clamp(self.began_us, ended_us).saturating_mul(1_000))
        };
        let stages = made.stages.take().unwrap_or_default();
        let problem = match made.problem.take() {
            Some(problem) => problem,
            None if made.is_answered => String::new(),
            None => CANCELLED.to_owned(),
        };
        let parent = match (&self.of, self.parent) {
            (Some(batch), _) => batch.id,
            (None, Some(parent)) => parent.id,
            (None, None) => 0,
        };
        let own = Span {
            id: self.id,
            parent,
            kind: self.kind.into(),
            began_ns: ns(self.began_us),
            ended_ns: ns(ended_us),
            problem,
            client: self.connection.facts().client().unwrap_or_default().to_owned(),
            venue: stages.venue,
            entry_index: stages.entry_index.or(made.entry_index),
            seq: stages.seq,
            batch: made.batch,
            status: 0,
            is_continued: self.of.is_none() && self.parent.is_some(),
        };
        let mut spans = vec![own];
        let mut put = |parent, kind: SpanKind, began_us: u64, ended_us: u64| {
            if began_us == 0 || ended_us == 0 {
                return None;
            }
            let (began_ns, ended_ns) = (ns(began_us), ns(ended_us.max(began_us)));
            let id = new_id();
            let kind = kind.into();
            spans.push(Span { id, parent, kind, began_ns, ended_ns, ..Span::default() });
            Some(id)
        };
        put(self.id, SpanKind::Decode, self.began_us, made.queued_us);
        put(self.id, SpanKind::Hop, made.queued_us, stages.taken_us);
        let decide = put(self.id, SpanKind::Decide, stages.taken_us, stages.decided_us);
        if let Some(decide) = decide {
            put(decide, SpanKind::Signature, stages.sign_began_us, stages.sign_ended_us);
        }
        let (synced_from_us, synced_us) = made.synced_us;
        put(self.id, SpanKind::Sync, synced_from_us, synced_us);
        put(self.id, SpanKind::Release, made.came_us, made.released_us);
        let (venue_from_us, venue_us) = made.venue_us;
        put(self.id, SpanKind::Venue, venue_from_us, venue_us);
        if venue_us != 0
            && let Some(venue) = spans.last_mut()
        {
            venue.problem = made.venue_problem;
            venue.status = made.status;
        }
        spans.append(&mut made.spans);
        spans.truncate(SPANS_MAX);
        spans
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let ended_us = monotonic_us();
        let made = std::mem::take(&mut *self.made());
        if made.is_discarded {
            return;
        }
        if let Some(batch) = &self.of {
            let mut spans = self.spans(made, ended_us);
            batch.made().spans.append(&mut spans);
            return;
        }
        let took_us = ended_us.saturating_sub(self.began_us);
        let slow = || self.tracer.is_slow(took_us).then_some(Reason::Slow);
        let Some(reason) = self.reason.or_else(slow) else { return };
        let spans = self.spans(made, ended_us);
        self.tracer.send(reason, &Trace { trace_id: self.trace_id.to_vec(), spans });
    }
}

/// Of a call whose caller went away.
const CANCELLED: &str = "CANCELLED";

/// Not 0.
fn new_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// When the monotonic clock was 0, in nanoseconds since the epoch, as things are now.
fn epoch_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    now_ns.saturating_sub(monotonic_us().saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use vault_ipc::trace::{Span, SpanKind, Stages, Trace};
    use vault_ipc::{Code, Failure};

    use super::{Call, ITEMS_MAX};
    use crate::caller::Facts;
    use crate::metric::monotonic_us;
    use crate::registry::{Connection, Registry};
    use crate::trace::{Tracer, Tracing};

    fn tracer(sample: f64, slow: Option<Duration>) -> Arc<Tracer> {
        let exporters = vec![UnixStream::pair().expect("a pair").0];
        let tracing = Tracing { exporters, sample, max_per_second: 1_000, slow, from_bots: true };
        Arc::new(Tracer::new(&tracing))
    }

    fn connection() -> Arc<Connection> {
        let registry = Arc::new(Registry::default());
        let open = registry.enter(Facts::for_test([1; 16]), 1, 1).expect("below the limit");
        Arc::clone(open.connection())
    }

    fn begin(tracer: &Arc<Tracer>, kind: SpanKind) -> Arc<Call> {
        tracer.begin(&connection(), None, kind, Instant::now()).expect("traced")
    }

    fn only(tracer: &Tracer) -> Trace {
        let mut traces = tracer.sink.take();
        assert_eq!(traces.len(), 1);
        traces.remove(0)
    }

    fn of(trace: &Trace, kind: SpanKind) -> Vec<&Span> {
        trace.spans.iter().filter(|span| span.kind() == kind).collect()
    }

    #[test]
    fn what_a_core_says_of_times_stays_within_the_call() {
        let tracer = tracer(1.0, None);
        let call = begin(&tracer, SpanKind::Sign);
        call.queued();
        let far = monotonic_us() + 3_600_000_000;
        let stages = Stages {
            taken_us: 1,
            decided_us: far,
            sign_began_us: far,
            sign_ended_us: 1,
            ..Stages::default()
        };
        call.decided(Some(Box::new(stages)));
        call.synced(far, 1);
        call.came_to(&Ok(()));
        drop(call);

        let trace = only(&tracer);
        let [root, stages @ ..] = trace.spans.as_slice() else { panic!("{trace:?}") };
        assert_eq!(root.problem, "");
        assert_eq!(stages.len(), 5);
        for span in stages {
            assert!(span.began_ns >= root.began_ns && span.ended_ns <= root.ended_ns, "{span:?}");
            assert!(span.began_ns <= span.ended_ns, "{span:?}");
        }
    }

    #[test]
    fn a_call_that_nobody_waits_for_any_more_was_cancelled_and_what_is_said_first_counts() {
        let tracer = tracer(1.0, None);
        drop(begin(&tracer, SpanKind::Execute));
        assert_eq!(only(&tracer).spans[0].problem, "CANCELLED");

        let call = begin(&tracer, SpanKind::Execute);
        let denied = Failure { entry_index: Some(41), ..Failure::new(Code::Denied, "FIRST", "no") };
        call.came_to::<()>(&Err(denied));
        call.failed(&Failure::new(Code::Internal, "SECOND", "no"));
        drop(call);
        let root = &only(&tracer).spans[0];
        assert_eq!((root.problem.as_str(), root.entry_index), ("FIRST", Some(41)));

        begin(&tracer, SpanKind::Proxy).discard();
        assert!(tracer.sink.take().is_empty());
    }

    #[test]
    fn a_batch_is_told_when_its_last_request_is_done() {
        let tracer = tracer(1.0, None);
        let batch = begin(&tracer, SpanKind::SignBatch);
        batch.set_batch(300);
        let items: Vec<_> = (0..300).filter_map(|place| batch.item(place)).collect();
        assert_eq!(items.len(), ITEMS_MAX);
        drop(batch);
        assert!(tracer.sink.take().is_empty());
        drop(items);
        let trace = only(&tracer);
        let [batch] = of(&trace, SpanKind::SignBatch)[..] else { panic!("{trace:?}") };
        assert_eq!((batch.batch, batch.parent), (300, 0));
        let items = of(&trace, SpanKind::Sign);
        assert_eq!(items.len(), ITEMS_MAX);
        assert!(items.iter().all(|item| item.parent == batch.id));
    }

    #[test]
    fn what_was_quick_is_forgotten() {
        let patient = tracer(0.0, Some(Duration::from_secs(3_600)));
        drop(begin(&patient, SpanKind::Sign));
        assert!(patient.sink.take().is_empty());
        let tracer = tracer(0.0, Some(Duration::from_millis(1)));
        let earlier = Instant::now() - Duration::from_millis(2);
        drop(tracer.begin(&connection(), None, SpanKind::Sign, earlier));
        assert_eq!(only(&tracer).spans.len(), 1);
    }
}
