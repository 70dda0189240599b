//! Whose turn it is on the front's one thread.
//!
//! A runtime on one thread runs what is ready in the order in which it became so: whoever makes much
//! ready makes everybody wait. Therefore the thread's time is shared out in rounds. What connections
//! have to do stands in lanes, and in a round each lane gets its slice and no more:
//!
//! ```text
//! round:  the channels to core and egress, barriers, timers   as much as they need
//!         operators                                           4 ms
//!         bots                                                4 ms
//!         strangers at the operators' listener                2 ms   (accepting, TLS handshakes)
//!         strangers at all others                             2 ms
//! ```
//!
//! A lane that does not use its slice leaves it to the others, since the next round begins at once. A
//! slice is overdrawn by one turn at most; how long that may be is bounded by what a connection may
//! read in a turn (`Limits::turn_bytes`), by how many Signs it may have whose answers it hands over in its
//! own turn (`task.rs`), and by what one message and one handshake cost. So who floods one lane makes his
//! own kind wait, and what is in other lanes at most some milliseconds for each turn it needs.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use vault_ipc::Listener;

use crate::caller::Facts;

/// Who shares a slice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lane {
    /// Clients, at whichever listener, and whoever enrols: connections that have shown who they are.
    Bots,
    /// Connections to their listeners that have not.
    BotStrangers,
    /// Operators, by their certificates.
    Operators,
    /// Connections on the operators' listener that have not shown who they are.
    OperatorStrangers,
}

const LANES: usize = 4;

/// How many of a lane are called in one round, if its slice lasts.
const CALLED_PER_ROUND: usize = 64;

impl Lane {
    /// Of connections that have shown who they are.
    pub(crate) fn of(facts: &Facts) -> Self {
        if facts.is_operator() { Self::Operators } else { Self::Bots }
    }

    /// Of those that have not yet.
    pub(crate) fn of_strangers(listener: Listener) -> Self {
        match listener {
            Listener::Operator => Self::OperatorStrangers,
            Listener::Bot | Listener::Enroll | Listener::Unspecified => Self::BotStrangers,
        }
    }

    fn slice(self) -> Duration {
        match self {
            Self::Bots | Self::Operators => Duration::from_millis(4),
            Self::BotStrangers | Self::OperatorStrangers => Duration::from_millis(2),
        }
    }
}

/// A handle on the lanes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lanes: Mutex<[Standing; LANES]>,
    /// Told when the first of a round has had its turn.
    begun: Notify,
}

#[derive(Debug, Default)]
struct Standing {
    /// Called when the slice was used up already: the first in the next round, in their order.
    called: VecDeque<Arc<Ticket>>,
    /// In this round.
    spent: Duration,
    waiting: VecDeque<Arc<Ticket>>,
}

/// A future's place in its lane.
#[derive(Debug, Default)]
struct Ticket(Mutex<Place>);

#[derive(Debug, Default)]
enum Place {
    /// Its turn has come.
    Called,
    #[default]
    Outside,
    /// In the lane; with whom to wake.
    Waiting(Waker),
}

/// A future that is polled when it is its turn.
pub(crate) struct InTurn<F> {
    future: Pin<Box<F>>,
    lane: Lane,
    ticket: Arc<Ticket>,
    turns: Turns,
}

/// Spawns what hyper spawns, in a lane.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub(crate) lane: Lane,
    pub(crate) turns: Turns,
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(self.turns.within(self.lane, future));
    }
}

impl Turns {
    /// A future whose every poll is a turn of a lane.
    pub(crate) fn within<F>(&self, lane: Lane, future: F) -> InTurn<F> {
        InTurn { future: Box::pin(future), lane, ticket: Arc::default(), turns: self.clone() }
    }

    /// Begins one round after the other, as long as there is anything to do.
    pub(crate) async fn go_round(&self) {
        loop {
            // Everybody who is ready gets the thread, and the sockets are looked at, before it goes on.
            tokio::task::yield_now().await;
            if !self.begin_round() {
                self.0.begun.notified().await;
            }
        }
    }

    /// Gives every lane its slice, and calls those who wait. `false` if nobody does.
    fn begin_round(&self) -> bool {
        let mut called = Vec::new();
        for standing in &mut *self.lanes() {
            standing.spent = Duration::ZERO;
            let again = standing.called.len().min(CALLED_PER_ROUND);
            called.extend(standing.called.drain(..again));
            let count = standing.waiting.len().min(CALLED_PER_ROUND - again);
            called.extend(standing.waiting.drain(..count));
        }
        for ticket in &called {
            ticket.call();
        }
        !called.is_empty()
    }

    /// Whether a future may be polled now; if not, it stands in its lane.
    fn enter(&self, lane: Lane, ticket: &Arc<Ticket>, waker: &Waker) -> bool {
        let mut place = ticket.place();
        let was_called = match &mut *place {
            Place::Waiting(known) => {
                known.clone_from(waker);
                return false;
            }
            Place::Called => true,
            Place::Outside => false,
        };
        let mut lanes = self.lanes();
        let standing = &mut lanes[lane as usize];
        let has_time = standing.spent < lane.slice();
        let is_next = was_called || (standing.called.is_empty() && standing.waiting.is_empty());
        if has_time && is_next {
            *place = Place::Outside;
            return true;
        }
        *place = Place::Waiting(waker.clone());
        let ticket = Arc::clone(ticket);
        if was_called {
            standing.called.push_back(ticket);
        } else {
            standing.waiting.push_back(ticket);
        }
        drop(lanes);
        self.0.begun.notify_one();
        false
    }

    fn spend(&self, lane: Lane, time: Duration) {
        self.lanes()[lane as usize].spent += time;
        self.0.begun.notify_one();
    }

    fn lanes(&self) -> MutexGuard<'_, [Standing; LANES]> {
        self.0.lanes.lock().expect("no panic while locked")
    }
}

impl Ticket {
    fn call(&self) {
        if let Place::Waiting(waker) = mem::replace(&mut *self.place(), Place::Called) {
            waker.wake();
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().expect("no panic while locked")
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.turns.enter(self.lane, &self.ticket, cx.waker()) {
            return Poll::Pending;
        }
        let began = Instant::now();
        let polled = self.future.as_mut().poll(cx);
        self.turns.spend(self.lane, began.elapsed());
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;
    use std::time::{Duration, Instant};

    use vault_ipc::Listener;

    use super::{Lane, Turns};
    use crate::caller::Facts;

    /// Is always ready again, and takes its time.
    fn greedy(count: Arc<AtomicUsize>, time: Duration) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            let began = Instant::now();
            while began.elapsed() < time {
                std::hint::spin_loop();
            }
            count.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn the_certificate_decides_on_the_lane_and_not_the_listener() {
        for listener in [Listener::Bot, Listener::Enroll, Listener::Operator] {
            for is_operator in [false, true] {
                let lane = if is_operator { Lane::Operators } else { Lane::Bots };
                assert_eq!(Lane::of(&Facts::for_test_at(listener, is_operator)), lane);
            }
        }
    }

    #[tokio::test]
    async fn who_floods_a_lane_makes_only_his_own_kind_wait() {
        let turns = Turns::default();
        let rounds = turns.clone();
        tokio::spawn(async move { rounds.go_round().await });
        let greedy_turns = Arc::new(AtomicUsize::new(0));
        for _ in 0..1_000 {
            let greedy = greedy(Arc::clone(&greedy_turns), Duration::from_micros(500));
            tokio::spawn(turns.within(Lane::Bots, greedy));
        }
        tokio::task::yield_now().await;

        // Each of 1,000 takes half a millisecond: a fair turn would come after half a second.
        let calm = turns.within(Lane::Operators, async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        calm.await;
        let between = greedy_turns.load(Ordering::Relaxed);
        assert!(between > 0 && between < 1_000, "{between} turns of others for ten of its own");
    }

    #[tokio::test]
    async fn everybody_in_a_lane_has_a_turn_before_anybody_has_the_next() {
        let turns = Turns::default();
        let rounds = turns.clone();
        tokio::spawn(async move { rounds.go_round().await });
        let counts: Vec<_> = (0..200).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        for count in &counts {
            let greedy = greedy(Arc::clone(count), Duration::from_micros(200));
            tokio::spawn(turns.within(Lane::BotStrangers, greedy));
        }
        while counts[199].load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
        let had: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let (least, most) = (had.iter().min().expect("200"), had.iter().max().expect("200"));
        assert!(most - least <= 1, "between {least} and {most} turns");
    }

    #[tokio::test]
    async fn who_is_dropped_while_waiting_keeps_nobody_up() {
        let turns = Turns::default();
        let greedy_turns = Arc::new(AtomicUsize::new(0));
        // Nobody calls yet: all but the first stand in the lane.
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let greedy = greedy(Arc::clone(&greedy_turns), Duration::from_millis(3));
                tokio::spawn(turns.within(Lane::BotStrangers, greedy))
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(greedy_turns.load(Ordering::Relaxed), 1);
        waiting.iter().for_each(tokio::task::JoinHandle::abort);

        let rounds = turns.clone();
        tokio::spawn(async move { rounds.go_round().await });
        turns.within(Lane::BotStrangers, async {}).await;
        assert_eq!(greedy_turns.load(Ordering::Relaxed), 1);
    }
}
