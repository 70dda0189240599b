//! The exporter: hands the spans of calls to a collector on this machine.
//!
//! It runs only where spans are wanted. It has a channel from the front, connects to one port, opens no
//! file and no listener, and knows nothing of the vault but what is in a [`Trace`]. It is the one process
//! that the vault does without: when it ends, spans are dropped and counted, and nothing else.
//!
//! What it is sent is checked before it leaves (`convert.rs`): a front that is broken into gets ids,
//! times, names and codes through it, and no text of its own. What is not fit to leave is dropped and
//! counted.

mod collector;
mod convert;
mod queue;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use vault_ipc::half::{self, Frames, Inlet, Outlet};
use vault_ipc::trace::{Exported, Trace};
use vault_ipc::{Frame, FrameError, Kind};

use crate::collector::{Collector, SendError};
use crate::convert::Fit;
use crate::queue::{Batch, Queue};

/// What the supervisor hands to the exporter.
#[derive(Debug)]
pub struct ExporterConfig {
    /// The channel from the front.
    pub front: UnixStream,
    /// Where the collector is.
    pub collector: SocketAddr,
    /// Path of its traces: `/v1/traces`.
    pub path: String,
    /// Which vault this is.
    pub instance: String,
}

/// Why the exporter ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The channel from the front broke, or what comes there is no frame of ours.
    #[error("the channel to the front broke")]
    Channel(#[from] FrameError),
    /// The path is none.
    #[error("the collector's path is none")]
    Path,
    /// The runtime or a socket could not be set up.
    #[error("the exporter could not be set up")]
    Setup(#[source] std::io::Error),
}

/// How often spans are handed on.
const EVERY: Duration = Duration::from_secs(1);
/// The longest pause after exports that came to nothing.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long an export may take.
const EXPORT: Duration = Duration::from_secs(5);
/// How long the last one may take, when the front has ended.
const LAST: Duration = Duration::from_millis(250);
/// How often it is said that spans do not get through.
const SAID: Duration = Duration::from_secs(60);
/// Bytes taken from the channel at once.
const READ_BYTES: usize = 64 << 10;

/// Exports until the channel from the front ends.
///
/// Makes its own runtime on the calling thread.
///
/// # Errors
///
/// [`ExporterError`].
pub fn run(config: ExporterConfig) -> Result<(), ExporterError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ExporterError::Setup)?;
    let collector = Collector::new(config.collector, &config.path).ok_or(ExporterError::Path)?;
    runtime.block_on(async {
        let (inlet, outlet) = half::split(config.front).map_err(ExporterError::Setup)?;
        let exporter = Exporter {
            collector,
            ended: Notify::new(),
            instance: config.instance,
            queue: Mutex::new(Queue::default()),
            unfit: AtomicU64::new(0),
        };
        let (read, exported) = tokio::join!(exporter.read(inlet), exporter.export(outlet));
        Ok(read.and(exported)?)
    })
}

struct Exporter {
    collector: Collector,
    /// Told when the front has.
    ended: Notify,
    instance: String,
    queue: Mutex<Queue>,
    /// Spans that no front of ours sends.
    unfit: AtomicU64,
}

/// What comes after an export.
#[derive(Debug, Eq, PartialEq)]
enum Then {
    GoOn,
    Wait,
}

impl Exporter {
    async fn read(&self, inlet: Inlet) -> Result<(), FrameError> {
        let ended = self.read_all(inlet).await;
        self.ended.notify_one();
        ended
    }

    async fn read_all(&self, inlet: Inlet) -> Result<(), FrameError> {
        let mut frames = Frames::new(inlet, READ_BYTES);
        loop {
            match frames.next().await {
                Ok(Some(frame)) => self.take(&frame),
                Ok(None) => return Ok(()),
                // Where the front has ended in the midst of one, that is no fault of the channel.
                Err(FrameError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes what is ours out of a frame. What is not is dropped and counted, and the next may be good:
    /// where a frame ends its header says, whatever is in it.
    fn take(&self, frame: &Frame) {
        let trace = match frame.kind {
            Kind::Trace => frame.message::<Trace>().ok(),
            _ => None,
        };
        // How many there are in what does not read nobody knows.
        let fit = trace.map_or(Fit { spans: Vec::new(), unfit: 1 }, convert::spans);
        self.unfit.fetch_add(fit.unfit, Ordering::Relaxed);
        self.queue().put(fit.spans);
    }

    async fn export(&self, mut outlet: Outlet) -> Result<(), FrameError> {
        let (mut exported, mut told) = (Exported::default(), Exported::default());
        let mut pause = EVERY;
        let mut said_at = None::<Instant>;
        // That it is here: the front sends nothing to one that has not said so in the place of another.
        tell(&mut outlet, &exported).await?;
        loop {
            let is_last = tokio::select! {
                biased;
                () = self.ended.notified() => true,
                () = sleep(pause) => false,
            };
            let most = if is_last { LAST } else { EXPORT };
            let mut then = Then::GoOn;
            while then == Then::GoOn
                && let Some(batch) = self.next_batch()
            {
                let sent = self.send(&batch, most).await;
                if let Err(error) = &sent
                    && said_at.is_none_or(|at| at.elapsed() >= SAID)
                {
                    tracing::warn!(%error, "spans do not get to their collector");
                    said_at = Some(Instant::now());
                }
                then = self.account(batch, sent, &mut exported);
            }
            exported.dropped += self.queue().take_overflown();
            exported.unfit = self.unfit.load(Ordering::Relaxed);
            pause = if then == Then::Wait { (pause * 2).min(PAUSE_MAX) } else { EVERY };
            if is_last {
                return Ok(());
            }
            if exported != told {
                told = exported;
                tell(&mut outlet, &exported).await?;
            }
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        self.queue().take()
    }

    async fn send(&self, batch: &Batch, most: Duration) -> Result<u64, SendError> {
        let request = convert::request(&self.instance, batch.spans());
        timeout(most, self.collector.send(request)).await.unwrap_or(Err(SendError::TooSlow))
    }

    fn account(&self, batch: Batch, sent: Result<u64, SendError>, exported: &mut Exported) -> Then {
        let spans = batch.spans().len() as u64;
        exported.is_up = sent.is_ok();
        match sent {
            Ok(refused) => {
                let refused = refused.min(spans);
                exported.exported += spans - refused;
                exported.dropped += refused;
                Then::GoOn
            }
            Err(error) if error.may_pass() => {
                exported.dropped += self.queue().put_back(batch);
                Then::Wait
            }
            Err(_) => {
                exported.dropped += spans;
                Then::Wait
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic while locked")
    }
}

async fn tell(outlet: &mut Outlet, exported: &Exported) -> Result<(), FrameError> {
    let mut frame = Vec::new();
    vault_ipc::encode(Kind::Exported, 0, exported, &mut frame)?;
    match outlet.write_all(&frame).await {
        // Its end is read, too.
        Err(error) if vault_ipc::is_end(&error) => Ok(()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Notify;
    use vault_ipc::trace::{Exported, Span, SpanKind, Trace};
    use vault_ipc::{BarrierDone, FrameError, HEADER_BYTES, Kind, encode, half};

    use super::{Collector, Exporter, Queue};

    fn exporter() -> Exporter {
        let address = "127.0.0.1:1".parse().expect("an address");
        Exporter {
            collector: Collector::new(address, "/v1/traces").expect("a path"),
            ended: Notify::new(),
            instance: "vault.example".to_owned(),
            queue: Mutex::new(Queue::default()),
            unfit: AtomicU64::new(0),
        }
    }

    fn trace(client: &str, spans: usize) -> Trace {
        let span = Span {
            id: 1,
            kind: SpanKind::Sign.into(),
            client: client.to_owned(),
            ..Span::default()
        };
        Trace { trace_id: vec![1; 16], spans: vec![span; spans] }
    }

    /// What becomes of bytes from the front: how it ended, the spans that wait, and how many were unfit.
    async fn read(bytes: &[u8]) -> (Result<(), FrameError>, usize, u64) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(bytes).expect("written");
        drop(theirs);
        let exporter = exporter();
        let ended = exporter.read_all(half::inlet(ours).expect("an inlet")).await;
        let waiting = exporter.next_batch().map_or(0, |batch| batch.spans().len());
        (ended, waiting, exporter.unfit.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_is_not_fit_to_leave_is_dropped_and_counted_and_the_next_goes() {
        let mut bytes = Vec::new();
        let mut put = |kind, message: &Trace| encode(kind, 0, message, &mut bytes).expect("short");
        put(Kind::Trace, &trace("bot", 2));
        put(Kind::Trace, &trace("-----BEGIN PRIVATE KEY-----", 3));
        put(Kind::Trace, &Trace { trace_id: Vec::new(), ..trace("bot", 4) });
        // What another process says, and what says nothing.
        put(Kind::Sign, &trace("bot", 5));
        put(Kind::Trace, &trace("bot", 1));
        let garbage = HEADER_BYTES + bytes.len();
        encode(Kind::Trace, 0, &BarrierDone { id: 1 }, &mut bytes).expect("short");
        bytes[garbage..].fill(0xff);
        encode(Kind::Trace, 0, &trace("bot", 1), &mut bytes).expect("short");

        let (ended, waiting, unfit) = read(&bytes).await;
        ended.expect("an end in order");
        assert_eq!((waiting, unfit), (2 + 1 + 1, 3 + 4 + 1 + 1));
    }

    #[tokio::test]
    async fn what_is_no_frame_ends_it() {
        let mut good = Vec::new();
        encode(Kind::Trace, 0, &trace("bot", 1), &mut good).expect("short");
        for (at, value) in [(4, 9), (5, 0), (6, 1), (3, 1)] {
            let mut bytes = good.clone();
            bytes.extend(&good);
            bytes[good.len() + at] = value;
            let (ended, waiting, _) = read(&bytes).await;
            assert!(matches!(ended, Err(FrameError::Header)), "{at}: {ended:?}");
            assert_eq!(waiting, 1, "what came before is kept");
        }
        let (ended, waiting, unfit) = read(&good[..good.len() - 1]).await;
        ended.expect("a front may end in the midst of a frame");
        assert_eq!((waiting, unfit), (0, 0));
    }

    #[tokio::test]
    async fn it_says_that_it_is_here_before_there_is_anything() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (_inlet, outlet) = half::split(ours).expect("split");
        let exporter = exporter();
        let mut frames = half::Frames::new(half::inlet(theirs).expect("an inlet"), 64);
        let first = tokio::select! {
            ended = exporter.export(outlet) => panic!("{ended:?}"),
            first = frames.next() => first.expect("a frame").expect("one"),
        };
        assert_eq!(first.kind, Kind::Exported);
        assert!(first.message::<Exported>().expect("it reads") == Exported::default());
    }
}
