//! The exporter: hands the spans of calls to a collector on this machine.
//!
//! It runs only where spans are wanted. It has a channel from the front, connects to one port, opens no
//! file and no listener, and knows nothing of the vault but what is in a [`Trace`]. It is the one process
//! that the vault does without: when it ends, spans are dropped and counted, and nothing else.
//!
//! What it is sent is checked before it leaves (`convert.rs`): a front that is broken into gets ids,
//! times, names and codes through it, and no text of its own.

mod collector;
mod convert;
mod queue;

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use vault_ipc::half::{self, Inlet, Outlet};
use vault_ipc::trace::{Exported, Trace};
use vault_ipc::{Decoder, FrameError, Kind};

use crate::collector::{Collector, SendError};
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
    /// The channel from the front broke, or said what no front says.
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

    async fn read_all(&self, mut inlet: Inlet) -> Result<(), FrameError> {
        let mut bytes = vec![0; READ_BYTES];
        let mut decoder = Decoder::default();
        loop {
            let count = vault_ipc::read_count(inlet.read(&mut bytes).await)?;
            if count == 0 {
                return Ok(());
            }
            decoder.extend(&bytes[..count]);
            while let Some(frame) = decoder.next_frame()? {
                match frame.kind {
                    Kind::Trace => {
                        let trace: Trace = frame.message()?;
                        // No front of ours sends another.
                        let spans = convert::spans(trace).ok_or(FrameError::Body)?;
                        self.queue().put(spans);
                    }
                    _ => return Err(FrameError::Header),
                }
            }
        }
    }

    async fn export(&self, mut outlet: Outlet) -> Result<(), FrameError> {
        let (mut exported, mut told) = (Exported::default(), Exported::default());
        let mut pause = EVERY;
        let mut said_at = None::<Instant>;
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
