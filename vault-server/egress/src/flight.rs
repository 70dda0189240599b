//! The requests under way, and the barrier: what came before it is on its socket, or never will be.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::link::Link;

/// All requests under way.
#[derive(Debug)]
pub(crate) struct Flights {
    /// Rung by links and by flights that end.
    bell: Rc<Notify>,
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, Rc<Flight>>>,
}

/// One request under way.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// A barrier has passed: nothing of it may be given to a connection any more.
    fenced: Cell<bool>,
    handed: RefCell<Option<(Rc<Link>, u32)>>,
    stopped: Notify,
}

/// A request's place among those under way; it leaves on drop.
#[derive(Debug)]
pub(crate) struct Boarded {
    flight: Rc<Flight>,
    flights: Rc<Flights>,
    number: u64,
}

impl Flights {
    pub(crate) fn new(bell: Rc<Notify>) -> Rc<Self> {
        Rc::new(Self { bell, next: Cell::new(0), open: RefCell::default() })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Enters a request.
    pub(crate) fn board(self: &Rc<Self>) -> Boarded {
        let number = self.next.replace(self.next.get() + 1);
        let flight = Rc::<Flight>::default();
        self.open.borrow_mut().insert(number, Rc::clone(&flight));
        Boarded { flight, flights: Rc::clone(self), number }
    }

    /// Waits until every request that was entered before is written or over. What is not after
    /// `drain` is dropped; where it is half written, its connection is cut.
    pub(crate) async fn barrier(&self, before: u64, drain: Duration) {
        let end = Instant::now() + drain;
        loop {
            let mut bell = pin!(self.bell.notified());
            // Before the look, so that nothing between is missed.
            bell.as_mut().enable();
            let is_settled = self.open.borrow().range(..before).all(|(_, one)| one.is_settled());
            if is_settled || tokio::time::timeout_at(end, bell).await.is_err() {
                break;
            }
        }
        for (_, flight) in self.open.borrow().range(..before) {
            flight.fence();
        }
    }

    /// The number that the next request will have.
    pub(crate) fn next(&self) -> u64 {
        self.next.get()
    }
}

impl Flight {
    fn is_settled(&self) -> bool {
        self.handed.borrow().as_ref().is_some_and(|(link, request)| link.is_written(*request))
    }

    fn fence(&self) {
        self.fenced.set(true);
        match &*self.handed.borrow() {
            Some((link, request)) if !link.is_written(*request) => {
                tracing::warn!("connection to a venue cut at a barrier: not written in time");
                link.cut();
            }
            Some(_) => {}
            None => self.stopped.notify_one(),
        }
    }

    /// Waits until a barrier has passed over a request that was not on a connection.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Whether a barrier has passed over it.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.get()
    }

    /// Notes the connection that gets the request now.
    pub(crate) fn hand(&self, link: &Rc<Link>, request: u32) {
        *self.handed.borrow_mut() = Some((Rc::clone(link), request));
    }

    /// Notes that it is on no connection any more.
    pub(crate) fn take_back(&self) {
        *self.handed.borrow_mut() = None;
    }
}

impl std::ops::Deref for Boarded {
    type Target = Flight;

    fn deref(&self) -> &Flight {
        &self.flight
    }
}

impl Drop for Boarded {
    fn drop(&mut self) {
        self.flights.open.borrow_mut().remove(&self.number);
        self.flights.bell.notify_waiters();
    }
}
