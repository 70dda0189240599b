//! What is on its way to the exporter: so much and no more, and nobody waits for it.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use vault_ipc::half::{self, Inlet, Outlet};
use vault_ipc::metric::Counter;
use vault_ipc::trace::{Exported, Trace};
use vault_ipc::{Decoder, FrameError, Kind};

/// What may lie here, in bytes: some thousand spans.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Bytes taken from the channel at once. What comes is short.
const READ_BYTES: usize = 1 << 10;

/// Where spans wait.
#[derive(Debug, Default)]
pub(super) struct Sink {
    exported: Mutex<Exported>,
    /// The exporter is gone.
    is_gone: AtomicBool,
    overflown: Counter,
    queue: Mutex<Vec<u8>>,
    unsent: Counter,
    wake: Notify,
}

impl Sink {
    /// Takes the spans of a call, or counts them.
    pub(super) fn put(&self, trace: &Trace) {
        let spans = trace.spans.len() as u64;
        if self.is_gone.load(Ordering::Acquire) {
            self.unsent.add(spans);
            return;
        }
        let mut queue = self.queue();
        let fits = queue.len() < QUEUE_BYTES_MAX
            && vault_ipc::encode(Kind::Trace, 0, trace, &mut queue).is_ok();
        drop(queue);
        if fits {
            self.wake.notify_one();
        } else {
            self.overflown.add(spans);
        }
    }

    /// What the exporter said last.
    pub(super) fn exported(&self) -> Exported {
        *self.exported.lock().expect("no panic while locked")
    }

    /// Spans for which there was no room.
    pub(super) fn overflown(&self) -> u64 {
        self.overflown.count()
    }

    /// Spans that came when there was no exporter any more.
    pub(super) fn unsent(&self) -> u64 {
        self.unsent.count()
    }

    /// Hands on what comes until the exporter is gone. The vault does not need it.
    pub(super) async fn serve(&self, exporter: UnixStream) {
        let ended = match half::split(exporter) {
            Ok((inlet, outlet)) => tokio::select! {
                ended = self.read(inlet) => ended,
                ended = self.write(outlet) => ended,
            },
            Err(error) => Err(error.into()),
        };
        self.is_gone.store(true, Ordering::Release);
        self.exported.lock().expect("no panic while locked").is_up = false;
        let lost = std::mem::take(&mut *self.queue());
        let mut decoder = Decoder::default();
        decoder.extend(&lost);
        while let Ok(Some(frame)) = decoder.next_frame() {
            self.unsent.add(frame.message::<Trace>().map_or(0, |trace| trace.spans.len() as u64));
        }
        match ended {
            Ok(()) => tracing::warn!("the exporter has ended: spans are dropped from now on"),
            Err(error) => {
                tracing::warn!(%error, "the exporter cannot be reached: spans are dropped")
            }
        }
    }

    async fn read(&self, mut inlet: Inlet) -> Result<(), FrameError> {
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
                    Kind::Exported => {
                        let exported = frame.message()?;
                        *self.exported.lock().expect("no panic while locked") = exported;
                    }
                    // No exporter says it.
                    _ => return Err(FrameError::Header),
                }
            }
        }
    }

    async fn write(&self, mut outlet: Outlet) -> Result<(), FrameError> {
        loop {
            self.wake.notified().await;
            loop {
                let batch = std::mem::take(&mut *self.queue());
                if batch.is_empty() {
                    break;
                }
                match outlet.write_all(&batch).await {
                    Err(error) if vault_ipc::is_end(&error) => return Ok(()),
                    written => written?,
                }
            }
        }
    }

    /// What waits.
    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<Trace> {
        let mut decoder = Decoder::default();
        decoder.extend(&std::mem::take(&mut *self.queue()));
        let next = || decoder.next_frame().expect("frames").map(|frame| frame.message());
        std::iter::from_fn(next).map(|trace| trace.expect("a trace")).collect()
    }

    fn queue(&self) -> MutexGuard<'_, Vec<u8>> {
        self.queue.lock().expect("no panic while locked")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use vault_ipc::Decoder;
    use vault_ipc::trace::{Span, Trace};

    use super::{QUEUE_BYTES_MAX, Sink};

    fn trace() -> Trace {
        let span = Span { id: 1, client: "bot".to_owned(), ..Span::default() };
        Trace { trace_id: vec![1; 16], spans: vec![span; 7] }
    }

    #[tokio::test]
    async fn an_exporter_that_reads_nothing_keeps_nobody_waiting_and_what_does_not_fit_is_counted()
    {
        let sink = Sink::default();
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let fill = async {
            let mut put = 0;
            while sink.overflown() < 70 {
                sink.put(&trace());
                put += 7;
                tokio::task::yield_now().await;
            }
            put
        };
        let put = tokio::select! {
            () = sink.serve(ours) => panic!("it has not ended"),
            put = fill => put,
        };
        assert!(sink.queue().len() < QUEUE_BYTES_MAX + (64 << 10));
        assert!(put > 70);
        assert_eq!((sink.overflown(), sink.unsent()), (70, 0));
        drop(theirs);
    }

    #[tokio::test]
    async fn what_comes_after_the_exporter_is_gone_is_counted_and_not_kept() {
        let sink = Sink::default();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let read = async {
            sink.put(&trace());
            let mut decoder = Decoder::default();
            let mut bytes = [0; 4096];
            theirs.set_nonblocking(true).expect("set");
            while decoder.next_frame().expect("a frame").is_none() {
                tokio::task::yield_now().await;
                if let Ok(count) = theirs.read(&mut bytes) {
                    decoder.extend(&bytes[..count]);
                }
            }
            drop(theirs);
        };
        tokio::join!(sink.serve(ours), read);
        for _ in 0..3 {
            sink.put(&trace());
        }
        assert_eq!((sink.unsent(), sink.overflown()), (21, 0));
        assert!(sink.queue().is_empty());
    }
}
