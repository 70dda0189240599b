//! Spans that wait for their collector: the newest, and no more than so many.

use std::collections::VecDeque;

use opentelemetry_proto::tonic::trace::v1::Span;

/// Spans that may wait.
const SPANS_MAX: usize = 8_192;
/// Spans that are handed on at once.
const BATCH_SPANS_MAX: usize = 512;
/// How often the same are tried.
const TRIES_MAX: u32 = 3;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// What was tried already; goes first.
    again: Option<Batch>,
    overflown: u64,
    waiting: VecDeque<Span>,
}

/// Spans that are handed on at once.
#[derive(Debug)]
pub(crate) struct Batch {
    spans: Vec<Span>,
    tries: u32,
}

impl Batch {
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

impl Queue {
    /// Takes spans in. The oldest go for them, if there are too many.
    pub(crate) fn put(&mut self, spans: Vec<Span>) {
        self.waiting.extend(spans);
        let over = self.waiting.len().saturating_sub(SPANS_MAX);
        self.waiting.drain(..over);
        self.overflown += over as u64;
    }

    /// What is to be handed on next.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if let Some(again) = self.again.take() {
            return Some(again);
        }
        let count = self.waiting.len().min(BATCH_SPANS_MAX);
        (count > 0).then(|| Batch { spans: self.waiting.drain(..count).collect(), tries: 0 })
    }

    /// Keeps what did not get through for another time; how many spans have had their last.
    pub(crate) fn put_back(&mut self, batch: Batch) -> u64 {
        let tries = batch.tries + 1;
        if tries >= TRIES_MAX {
            return batch.spans.len() as u64;
        }
        self.again = Some(Batch { tries, ..batch });
        0
    }

    /// How many went for others since this was last asked.
    pub(crate) fn take_overflown(&mut self) -> u64 {
        std::mem::take(&mut self.overflown)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::Span;

    use super::{BATCH_SPANS_MAX, Queue, SPANS_MAX, TRIES_MAX};

    fn spans(names: std::ops::Range<usize>) -> Vec<Span> {
        names.map(|name| Span { name: name.to_string(), ..Span::default() }).collect()
    }

    #[test]
    fn the_oldest_go_and_are_counted() {
        let mut queue = Queue::default();
        queue.put(spans(0..SPANS_MAX));
        assert_eq!(queue.take_overflown(), 0);
        queue.put(spans(SPANS_MAX..SPANS_MAX + 3));
        assert_eq!(queue.take_overflown(), 3);
        assert_eq!(queue.take_overflown(), 0);

        let batch = queue.take().expect("full");
        assert_eq!(batch.spans().len(), BATCH_SPANS_MAX);
        assert_eq!(batch.spans()[0].name, "3");
    }

    #[test]
    fn what_did_not_get_through_goes_first_and_not_for_ever() {
        let mut queue = Queue::default();
        queue.put(spans(0..BATCH_SPANS_MAX + 1));
        for _ in 1..TRIES_MAX {
            let batch = queue.take().expect("some");
            assert_eq!(batch.spans()[0].name, "0");
            assert_eq!(queue.put_back(batch), 0);
        }
        let batch = queue.take().expect("some");
        assert_eq!(queue.put_back(batch), BATCH_SPANS_MAX as u64);
        assert_eq!(queue.take().expect("the rest").spans().len(), 1);
        assert!(queue.take().is_none());
    }
}
