//! Calls that the core has and has not answered.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::oneshot;
use tokio::time::Instant;
use vault_ipc::{Failure, ForgetCall, Kind};

use super::outgoing::Queue;
use super::{Answered, Core, Shared, gone, lost};
use crate::gate::late;
use crate::place::Place;
use crate::registry::{Connection, Hold};
use crate::trace::Call;
use crate::unary::Framed;

/// How often it is looked for calls that nobody waits for any more.
const SWEEP: Duration = Duration::from_millis(25);

/// Calls that wait for their reply.
#[derive(Debug, Default)]
pub(super) struct PendingCalls {
    /// By numbers of our own.
    pub(super) by_correlation: FxHashMap<u64, Pending>,
    /// Whether it is looked for those that end.
    pub(super) is_swept: bool,
}

/// A call that waits for its reply, whether or not anybody waits for that: as long as the core has it,
/// it takes a place. Whoever calls and resets at once would otherwise have more with the core than may
/// be.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) connection: Arc<Connection>,
    /// When nobody waits for it any more, if that is seen to here.
    pub(super) ends: Option<Instant>,
    pub(super) kind: Kind,
    pub(super) place: Option<Place>,
    /// None: nobody waits for it any more.
    pub(super) reply: Option<oneshot::Sender<Answer>>,
    pub(super) trace: Option<Arc<Call>>,
}

/// A call, beside its connection and its message.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) correlation: u64,
    /// As in [`Pending`].
    pub(super) ends: Option<Instant>,
    pub(super) kind: Kind,
    pub(super) place: Option<Place>,
    pub(super) trace: Option<Arc<Call>>,
}

/// What comes of a call.
#[derive(Debug)]
pub(super) enum Answer {
    /// The core answered.
    Given { hold: Option<Hold>, place: Option<Place>, result: Result<Framed, Box<Failure>> },
    /// It has not answered in time.
    Late,
}

/// A call that the core has; its answer.
///
/// Dropped before that, it tells the core that nobody waits for the call any more, where that spares it
/// work or keeps a request from being sent. The core answers all the same, and the call is on the list
/// until then.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) answer: oneshot::Receiver<Answer>,
    pub(super) connection: Arc<Connection>,
    pub(super) correlation: u64,
    pub(super) is_answered: bool,
    pub(super) kind: Kind,
    pub(super) shared: Arc<Shared>,
}

impl Future for Asked {
    type Output = Result<Answered, Box<Failure>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.is_answered = !matches!(answer, Ok(Answer::Late));
        Poll::Ready(match answer {
            Ok(Answer::Given { hold, place, result }) => {
                result.map(|response| Answered { hold, place, response })
            }
            Ok(Answer::Late) => Err(Box::new(late())),
            Err(_) => Err(match self.kind {
                // It may be at the venue already: whoever took this for "not sent" would send it again.
                Kind::Execute | Kind::Proxy => Box::new(lost("SHUTTING_DOWN")),
                _ => gone(),
            }),
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_answered || !matches!(self.kind, Kind::Execute | Kind::Proxy | Kind::Sign) {
            return;
        }
        if self.shared.pending().by_correlation.contains_key(&self.correlation) {
            // Not bounded by `queue_bytes`, but by the calls that were: each is longer than this.
            // Behind the call itself.
            let queue = Queue::of(&self.connection);
            let call = ForgetCall { caller: self.connection.facts().caller() };
            let sent = self.shared.send(queue, Kind::Forget, self.correlation, &call);
            debug_assert!(sent.is_ok(), "a caller is short");
        }
    }
}

impl Core {
    /// Tells those calls that have taken too long, as long as there are any that may.
    pub(super) async fn sweep(&self) -> Infallible {
        loop {
            self.0.wake_sweeper.notified().await;
            loop {
                tokio::time::sleep(SWEEP).await;
                if !self.0.pending().end_late(Instant::now()) {
                    break;
                }
            }
        }
    }
}

impl PendingCalls {
    /// Whether somebody has to begin to look for those that end.
    pub(super) fn insert(&mut self, correlation: u64, pending: Pending) -> bool {
        let begins = pending.ends.is_some() && !mem::replace(&mut self.is_swept, true);
        self.by_correlation.insert(correlation, pending);
        begins
    }

    /// Tells those whose time is over. `false`: there are none that have an end.
    fn end_late(&mut self, now: Instant) -> bool {
        self.is_swept = false;
        for pending in self.by_correlation.values_mut() {
            let Some(ends) = pending.ends else { continue };
            if ends > now {
                self.is_swept = true;
                continue;
            }
            pending.ends = None;
            if let Some(reply) = pending.reply.take() {
                let _ = reply.send(Answer::Late);
            }
        }
        self.is_swept
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use tokio::time::Instant;
    use vault_ipc::{Decoder, Kind, SignCall};

    use super::SWEEP;
    use crate::core::tests::{core, reply, split};
    use crate::health::Healths;
    use crate::place::Places;
    use crate::tls::TlsCell;

    #[tokio::test]
    async fn a_call_takes_its_place_until_the_core_has_answered() {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let places = Places::with_share(3, 1);
        let holder = open.connection().facts().holder();
        let call = SignCall {
            caller: open.connection().facts().caller().expect("a certificate"),
            ..SignCall::default()
        };
        let served = core.run(split(ours), &tls, &healths);
        let asked = async {
            // Called and taken back at once, as often as there are places.
            let place = places.take(holder).expect("the first");
            let asked = core.call(open.connection(), Kind::Sign, call, place, None).expect("asked");
            assert!(tokio::time::timeout(Duration::from_millis(1), asked).await.is_err());
            assert!(places.take(holder).is_none(), "the core still has it");

            let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
            while frames.len() < 2 {
                let mut bytes = vec![0; 1024];
                let count = theirs.read(&mut bytes).await.expect("frames");
                decoder.extend(&bytes[..count]);
                while let Some(frame) = decoder.next_frame().expect("frames") {
                    frames.push(frame);
                }
            }
            let [sign, forget] = frames.as_slice() else { panic!("{frames:?}") };
            assert_eq!((sign.kind, sign.correlation), (Kind::Sign, 1));
            assert_eq!((forget.kind, forget.correlation), (Kind::Forget, 1));
            assert_eq!(forget.peek().serial, sign.peek().serial);
            assert_eq!(forget.peek().serial, Some([1; 16]));
            assert!(places.take(holder).is_none(), "the core still has it");

            theirs.write_all(&reply()).await.expect("written");
            while places.take(holder).is_none() {
                tokio::task::yield_now().await;
            }
            assert!(core.0.pending().by_correlation.is_empty());
        };
        tokio::select! {
            ended = served => panic!("{ended:?}"),
            () = asked => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_that_is_not_answered_in_time_is_late_and_forgotten() {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let places = Places::with_share(3, 1);
        let holder = open.connection().facts().holder();
        let call = SignCall::default();
        let served = core.run(split(ours), &tls, &healths);
        let asked = async {
            let place = places.take(holder).expect("the first");
            let ends = Instant::now() + Duration::from_secs(5);
            let asked = core.begin_sign(open.connection(), call, place, Some(ends), None);
            let failure = asked.expect("asked").await.expect_err("late");
            assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
            let late = Instant::now();
            assert!(ends <= late && late <= ends + 2 * SWEEP, "{:?}", late - ends);
            assert!(places.take(holder).is_none(), "the core still has it");

            let (mut decoder, mut kinds) = (Decoder::default(), Vec::new());
            while kinds.len() < 2 {
                let mut bytes = vec![0; 1024];
                let count = theirs.read(&mut bytes).await.expect("frames");
                decoder.extend(&bytes[..count]);
                while let Some(frame) = decoder.next_frame().expect("frames") {
                    kinds.push((frame.kind, frame.correlation));
                }
            }
            assert_eq!(kinds, [(Kind::Sign, 1), (Kind::Forget, 1)]);
            theirs.write_all(&reply()).await.expect("written");
            while places.take(holder).is_none() {
                tokio::task::yield_now().await;
            }
            assert!(!core.0.pending().is_swept);
        };
        tokio::select! {
            ended = served => panic!("{ended:?}"),
            () = asked => {}
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_looks_at_keeps_no_place() {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let places = Places::with_share(2, 1);
        let holder = open.connection().facts().holder();
        let call = SignCall::default();
        let served = core.run(split(ours), &tls, &healths);
        let asked = async {
            let place = places.take(holder).expect("the first");
            let asked = core.call(open.connection(), Kind::Sign, call, place, None);
            let mut asked = asked.expect("asked");
            // Looked at once, and not again: as a stream whose client does not read.
            assert!(futures_util::poll!(&mut asked).is_pending());
            assert!(places.take(holder).is_none(), "the core has it");
            theirs.write_all(&reply()).await.expect("written");
            while places.take(holder).is_none() {
                tokio::task::yield_now().await;
            }
            assert!(asked.await.is_ok());
        };
        tokio::select! {
            ended = served => panic!("{ended:?}"),
            () = asked => {}
        }
    }
}
