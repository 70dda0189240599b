//! One WebSocket's way to the core, and what has come for it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use vault_ipc::{Code, Failure, StreamEnd, StreamMessage, StreamReady};

use super::{Arrival, End, Outgoing, Streams, code, not_connected};
use crate::core::Core;
use crate::place::Place;
use crate::registry::Connection;

/// A WebSocket as the core has it. Dropped, its end is told, unless it was told or is known there.
#[derive(Debug)]
pub(crate) struct Link {
    arrival: Arc<Arrival>,
    core: Core,
    correlation: u64,
    /// Whether the core waits for a word of its end.
    is_open: bool,
    streams: Streams,
    _place: Place,
}

/// What the bot is to be told next.
pub(super) enum Next {
    End(End),
    Message(Outgoing),
    /// As [`End::Venue`], but the venue's own word has not come yet.
    Orphan,
}

impl Streams {
    /// Enters a WebSocket; what comes for it is kept from now on. The core must be asked for it next.
    ///
    /// # Errors
    ///
    /// `STREAMS_EXHAUSTED`, `SHUTTING_DOWN`.
    pub(crate) fn enter(
        &self,
        correlation: u64,
        core: &Core,
        connection: &Arc<Connection>,
    ) -> Result<Link, Box<Failure>> {
        let place = self.0.places.take(connection.facts().holder()).ok_or_else(|| {
            Failure::new(Code::Exhausted, "STREAMS_EXHAUSTED", "too many websockets are open")
                .with_hint("close those that are not used, or listen to more on each")
        })?;
        let arrival = Arc::new(Arrival {
            connection: Arc::clone(connection),
            state: std::sync::Mutex::default(),
            task: AtomicWaker::new(),
        });
        self.arrivals().insert(correlation, Arc::clone(&arrival));
        let mut link = Link {
            arrival,
            core: core.clone(),
            correlation,
            is_open: true,
            streams: self.clone(),
            _place: place,
        };
        // After the entry: whoever ends the channel sees one or the other.
        if self.0.ended.load(Ordering::Acquire) {
            link.forget();
            let words = "vault is shutting down";
            return Err(Failure::new(Code::Unavailable, "SHUTTING_DOWN", words).into());
        }
        Ok(link)
    }
}

impl Link {
    /// Waits until the venue's WebSocket stands.
    ///
    /// # Errors
    ///
    /// The core's failure, or `NOT_CONNECTED`.
    pub(crate) async fn ready(&mut self) -> Result<StreamReady, Failure> {
        poll_fn(|cx| {
            self.arrival.task.register(cx.waker());
            let mut state = self.arrival.state();
            match &state.end {
                Some(End::Cut { failure, .. }) => {
                    let failure = (**failure).clone();
                    // The bot is told by an answer like others.
                    state.end = None;
                    drop(state);
                    self.is_open = false;
                    Poll::Ready(Err(failure))
                }
                Some(End::Venue(end)) if state.ready.is_none() => {
                    Poll::Ready(Err(not_connected(end)))
                }
                _ => match &state.ready {
                    Some(ready) => Poll::Ready(Ok(ready.clone())),
                    None => Poll::Pending,
                },
            }
        })
        .await
    }

    /// Passes a message of the bot on; gives it back if the core has too much to do.
    pub(super) fn send(&self, message: StreamMessage) -> Result<(), StreamMessage> {
        if self.core.say(self.correlation, &message) { Ok(()) } else { Err(message) }
    }

    /// What the bot is to be told next.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.arrival.task.register(cx.waker());
        let mut state = self.arrival.state();
        if let Some(message) = state.messages.pop_front() {
            let size = message.size();
            state.bytes -= size;
            self.streams.0.bytes.fetch_sub(size, Ordering::AcqRel);
            return Poll::Ready(Next::Message(message));
        }
        if let Some(end) = state.end.take() {
            return Poll::Ready(Next::End(end));
        }
        if state.is_orphan { Poll::Ready(Next::Orphan) } else { Poll::Pending }
    }

    /// Why it has been cut off, without waiting for what was said before.
    pub(super) fn abrupt_end(&mut self, cx: &mut Context<'_>) -> Option<End> {
        self.arrival.task.register(cx.waker());
        let mut state = self.arrival.state();
        match state.end {
            Some(End::Cut { .. } | End::Unread) => state.end.take(),
            _ => None,
        }
    }

    /// Tells the core of the end, once: the close code, 0 for none, and what else there is to say.
    pub(super) fn end(&mut self, code: u16, problem: &str) {
        if mem::take(&mut self.is_open) {
            let end = StreamEnd { code: code.into(), problem: problem.to_owned() };
            self.core.say_end(self.correlation, &end);
        }
    }

    /// Tells the core nothing: it knows, or was never asked.
    pub(crate) fn forget(&mut self) {
        self.is_open = false;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end(0, "CONNECTION_LOST");
        self.streams.arrivals().remove(&self.correlation);
        let mut state = self.arrival.state();
        let unread = mem::take(&mut state.messages);
        let count = mem::take(&mut state.bytes);
        self.streams.0.bytes.fetch_sub(count, Ordering::AcqRel);
        let end = state.end.take();
        drop(state);
        drop::<(VecDeque<Outgoing>, Option<End>)>((unread, end));
    }
}

/// The problem of a venue's end; empty if it was in order.
pub(super) fn problem(end: &StreamEnd) -> &str {
    if end.problem.is_empty() { "" } else { code(&end.problem) }
}
