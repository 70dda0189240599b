//! The Signs that a connection polls itself, in its own turn: those that came whole.
//!
//! A task of the runtime for each call costs more than what there is to do for a Sign: an allocation of
//! its own, a place in the runtime's list, two turns of a lane, and the clock read four times. Here calls
//! lie in slots that are used again; who wakes one notes its slot and wakes the connection. So all answers
//! that come together for one connection are handed over in one of its turns, which then writes them.
//!
//! They end with their connection. Each was read, looked at and passed on when it came, within the bytes
//! that a connection reads in a turn; what is left is to hand its answer over, and that takes
//! microseconds, for no more of them than a connection may have calls: so a turn stays short. A Sign of
//! which the rest is awaited is none of these: up to 64 KiB would have to be decoded for each once it is
//! there, and all of them may end together. It is a task with turns of its own, as other calls are.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Wake, Waker};

use futures_util::FutureExt;

use crate::registry::Connection;
use crate::turn::Executor;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes calls up, for their connection.
#[derive(Clone, Debug)]
pub(crate) struct Tasks(Arc<Shared>);

struct Shared {
    /// Not polled yet.
    come: Mutex<Vec<Task>>,
    connection: Arc<Connection>,
    /// Whether the next that hyper spawns is one of these.
    is_next: AtomicBool,
    /// Slots to poll.
    woken: Mutex<Vec<usize>>,
}

/// The calls of one connection.
pub(crate) struct Running {
    free: Vec<usize>,
    slots: Vec<Slot>,
    tasks: Tasks,
    /// Kept, so that they are not allocated anew.
    taken: (Vec<Task>, Vec<usize>),
}

struct Slot {
    bell: Arc<Bell>,
    task: Option<Task>,
    waker: Waker,
}

/// Wakes what is in a slot, whatever is in it then.
struct Bell {
    is_rung: AtomicBool,
    shared: Arc<Shared>,
    slot: usize,
}

/// Spawns what hyper spawns: with the connection, or in a lane.
#[derive(Clone, Debug)]
pub(crate) struct TaskExecutor {
    pub(crate) others: Executor,
    pub(crate) tasks: Tasks,
}

impl Tasks {
    pub(crate) fn of(connection: &Arc<Connection>) -> Self {
        Self(Arc::new(Shared {
            come: Mutex::default(),
            connection: Arc::clone(connection),
            is_next: AtomicBool::new(false),
            woken: Mutex::default(),
        }))
    }

    /// The call that is being handed to hyper is to be polled here. hyper spawns it before it looks at
    /// the next.
    pub(crate) fn expect(&self) {
        self.0.is_next.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn come(&self) -> MutexGuard<'_, Vec<Task>> {
        self.come.lock().expect("no panic while locked")
    }

    fn woken(&self) -> MutexGuard<'_, Vec<usize>> {
        self.woken.lock().expect("no panic while locked")
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("woken", &self.woken().len()).finish_non_exhaustive()
    }
}

impl<F> hyper::rt::Executor<F> for TaskExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let shared = &self.tasks.0;
        if shared.is_next.swap(false, Ordering::Relaxed) {
            shared.come().push(Box::pin(future.map(drop)));
        } else {
            self.others.execute(future);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.shared.woken().push(self.slot);
            self.shared.connection.wake();
        }
    }
}

impl Running {
    pub(crate) fn of(tasks: Tasks) -> Self {
        Self { free: Vec::new(), slots: Vec::new(), tasks, taken: Default::default() }
    }

    /// Polls the calls that were woken.
    pub(crate) fn poll_woken(&mut self) {
        let mut woken = mem::take(&mut self.taken.1);
        mem::swap(&mut woken, &mut *self.tasks.0.woken());
        for slot in woken.drain(..) {
            self.slots[slot].bell.is_rung.store(false, Ordering::Release);
            self.poll(slot);
        }
        self.taken.1 = woken;
    }

    /// Takes up and polls the calls that have come.
    pub(crate) fn poll_come(&mut self) {
        let mut come = mem::take(&mut self.taken.0);
        mem::swap(&mut come, &mut *self.tasks.0.come());
        for task in come.drain(..) {
            let slot = self.free.pop().unwrap_or_else(|| self.add_slot());
            self.slots[slot].task = Some(task);
            self.poll(slot);
        }
        self.taken.0 = come;
    }

    fn poll(&mut self, place: usize) {
        let Slot { task, waker, .. } = &mut self.slots[place];
        // Whoever had the slot before may have woken it.
        let Some(future) = task else { return };
        if future.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
            *task = None;
            self.free.push(place);
        }
    }

    fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let shared = Arc::clone(&self.tasks.0);
        let bell = Arc::new(Bell { is_rung: AtomicBool::new(false), shared, slot });
        let waker = Waker::from(Arc::clone(&bell));
        self.slots.push(Slot { bell, task: None, waker });
        slot
    }
}

/// Wakes a connection, but not while it polls what it will look at afterwards anyhow.
pub(crate) struct Alarm {
    connection: Arc<Connection>,
    is_off: AtomicBool,
}

impl Alarm {
    pub(crate) fn of(connection: &Arc<Connection>) -> Arc<Self> {
        Arc::new(Self { connection: Arc::clone(connection), is_off: AtomicBool::new(false) })
    }

    /// To be followed by a look at all that could wake.
    pub(crate) fn without<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_off.store(true, Ordering::Release);
        let done = work();
        self.is_off.store(false, Ordering::Release);
        done
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_off.load(Ordering::Acquire) {
            self.connection.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Poll, Wake, Waker};

    use hyper::rt::Executor as _;

    use super::{Alarm, Running, TaskExecutor, Tasks};
    use crate::caller::Facts;
    use crate::registry::{Registered, Registry};
    use crate::turn::{Executor, Lane, Turns};

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn open() -> Registered {
        let registry = Arc::new(Registry::default());
        registry.enter(Facts::for_test([1; 16]), 8, 1).expect("below the limit")
    }

    fn executor(open: &Registered) -> TaskExecutor {
        let others = Executor { lane: Lane::Bots, turns: Turns::default() };
        TaskExecutor { others, tasks: Tasks::of(open.connection()) }
    }

    /// A call that says how often it is polled, and ends when it is told to and woken.
    #[derive(Clone, Default)]
    struct Call {
        polled: Arc<Count>,
        is_over: Arc<Count>,
        waker: Arc<Mutex<Option<Waker>>>,
    }

    impl Call {
        fn future(&self) -> impl Future<Output = ()> + Send + 'static {
            let call = self.clone();
            poll_fn(move |cx| {
                call.polled.0.fetch_add(1, Ordering::Relaxed);
                *call.waker.lock().expect("no panic while locked") = Some(cx.waker().clone());
                if call.is_over.get() > 0 { Poll::Ready(()) } else { Poll::Pending }
            })
        }

        fn waker(&self) -> Waker {
            self.waker.lock().expect("no panic while locked").clone().expect("polled")
        }
    }

    #[tokio::test]
    async fn what_is_expected_is_polled_here_and_nothing_else() {
        let open = open();
        let executor = executor(&open);
        let mut running = Running::of(executor.tasks.clone());
        let (own, other) = (Call::default(), Call::default());
        executor.tasks.expect();
        executor.execute(own.future());
        executor.execute(other.future());

        running.poll_come();
        assert_eq!((own.polled.get(), other.polled.get()), (1, 0));
        while other.polled.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(own.polled.get(), 1);
    }

    #[test]
    fn a_call_is_polled_once_for_each_turn_in_which_it_was_woken() {
        let open = open();
        let executor = executor(&open);
        let mut running = Running::of(executor.tasks.clone());
        let (first, second) = (Call::default(), Call::default());
        for call in [&first, &second] {
            executor.tasks.expect();
            executor.execute(call.future());
        }
        running.poll_come();
        running.poll_woken();
        assert_eq!((first.polled.get(), second.polled.get()), (1, 1));

        second.waker().wake();
        second.waker().wake();
        running.poll_woken();
        running.poll_woken();
        assert_eq!((first.polled.get(), second.polled.get()), (1, 2));
        second.waker().wake();
        running.poll_woken();
        assert_eq!(second.polled.get(), 3);
    }

    #[test]
    fn a_slot_is_used_again_and_whoever_had_it_does_no_harm() {
        let open = open();
        let executor = executor(&open);
        let mut running = Running::of(executor.tasks.clone());
        let calls: Vec<Call> = (0..5).map(|_| Call::default()).collect();
        for call in &calls {
            executor.tasks.expect();
            executor.execute(call.future());
            running.poll_come();
            call.is_over.0.fetch_add(1, Ordering::Relaxed);
            call.waker().wake();
            running.poll_woken();
            assert_eq!(call.polled.get(), 2);
            // It has ended.
            call.waker().wake();
            running.poll_woken();
            assert_eq!(call.polled.get(), 2);
        }
        assert_eq!(running.slots.len(), 1);

        let last = Call::default();
        executor.tasks.expect();
        executor.execute(last.future());
        running.poll_come();
        calls[0].waker().wake();
        running.poll_woken();
        assert_eq!((last.polled.get(), calls[0].polled.get()), (2, 2));
    }

    #[test]
    fn who_wakes_a_call_wakes_its_connection() {
        let open = open();
        let executor = executor(&open);
        let mut running = Running::of(executor.tasks.clone());
        let call = Call::default();
        executor.tasks.expect();
        executor.execute(call.future());
        running.poll_come();
        let woken = Arc::new(Count::default());
        for turn in 1..4 {
            open.connection().register_task(&Waker::from(Arc::clone(&woken)));
            call.waker().wake();
            assert_eq!(woken.get(), turn);
            running.poll_woken();
        }
    }

    #[test]
    fn an_alarm_wakes_but_while_it_is_off() {
        let open = open();
        let (alarm, woken) = (Alarm::of(open.connection()), Arc::new(Count::default()));
        open.connection().register_task(&Waker::from(Arc::clone(&woken)));
        alarm.without(|| Arc::clone(&alarm).wake());
        assert_eq!(woken.get(), 0);
        Arc::clone(&alarm).wake();
        assert_eq!(woken.get(), 1);
    }
}
