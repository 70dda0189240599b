//! What is on its way to the exporter: so much and no more, and nobody waits for it.
//!
//! A front is handed no descriptor while it runs. So it begins with a channel for each exporter that the
//! supervisor may ever start for it, one after the other.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use vault_ipc::half::{self, Frames, Inlet, Outlet};
use vault_ipc::metric::Counter;
use vault_ipc::trace::{Exported, Trace};
use vault_ipc::{FrameError, Kind};

/// What may lie here, in bytes: some thousand spans.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Bytes taken from the channel at once. What comes is short.
const READ_BYTES: usize = 1 << 10;

/// Where spans wait.
#[derive(Debug, Default)]
pub(super) struct Sink {
    exported: Mutex<Told>,
    /// The exporter is gone, and no other has said that it is there.
    is_gone: AtomicBool,
    overflown: Counter,
    queue: Mutex<Queue>,
    unsent: Counter,
    wake: Notify,
}

/// What waits for the exporter, and what it was handed.
#[derive(Debug, Default)]
struct Queue {
    frames: Vec<u8>,
    /// Spans in them.
    spans: u64,
    /// Spans that the present exporter was handed.
    handed: u64,
}

impl Queue {
    /// Takes the frames, which are handed to the exporter.
    fn take(&mut self) -> Vec<u8> {
        self.handed += std::mem::take(&mut self.spans);
        std::mem::take(&mut self.frames)
    }
}

/// What exporters have said: each begins to count at 0.
#[derive(Debug, Default)]
struct Told {
    /// Of those that are gone, all together.
    before: Exported,
    present: Exported,
}

impl Told {
    fn sum(&self) -> Exported {
        let Self { before, present } = self;
        Exported {
            exported: before.exported.saturating_add(present.exported),
            dropped: before.dropped.saturating_add(present.dropped),
            unfit: before.unfit.saturating_add(present.unfit),
            is_up: present.is_up,
        }
    }
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
        let fits = queue.frames.len() < QUEUE_BYTES_MAX
            && vault_ipc::encode(Kind::Trace, 0, trace, &mut queue.frames).is_ok();
        queue.spans += if fits { spans } else { 0 };
        drop(queue);
        if fits {
            self.wake.notify_one();
        } else {
            self.overflown.add(spans);
        }
    }

    /// What has become of spans by what the exporter said last, and those before it.
    pub(super) fn exported(&self) -> Exported {
        self.told().sum()
    }

    /// Spans for which there was no room.
    pub(super) fn overflown(&self) -> u64 {
        self.overflown.count()
    }

    /// Spans that came when there was no exporter, and those that one took with it.
    pub(super) fn unsent(&self) -> u64 {
        self.unsent.count()
    }

    /// Hands on what comes: to the first exporter, and when that is gone to the next that says that it is
    /// there. The vault does not need them.
    pub(super) async fn serve(&self, exporters: Vec<UnixStream>) {
        for exporter in exporters {
            self.serve_one(exporter).await;
        }
    }

    async fn serve_one(&self, exporter: UnixStream) {
        let ended = match half::split(exporter) {
            Ok((inlet, outlet)) => tokio::select! {
                ended = self.read(inlet) => ended,
                ended = self.write(outlet) => ended,
            },
            Err(error) => Err(error.into()),
        };
        self.is_gone.store(true, Ordering::Release);
        let known = {
            let mut told = self.told();
            told.before = Exported { is_up: false, ..told.sum() };
            let Exported { exported, dropped, unfit, is_up: _ } = std::mem::take(&mut told.present);
            exported.saturating_add(dropped).saturating_add(unfit)
        };
        // What it was handed and has not accounted for it took with it; the rest it never got.
        let Queue { frames: _, spans, handed } = std::mem::take(&mut *self.queue());
        self.unsent.add(spans + handed.saturating_sub(known));
        match ended {
            Ok(()) => tracing::warn!("the exporter has ended: spans are dropped from now on"),
            Err(error) => {
                tracing::warn!(%error, "the exporter cannot be reached: spans are dropped")
            }
        }
    }

    async fn read(&self, inlet: Inlet) -> Result<(), FrameError> {
        let mut frames = Frames::new(inlet, READ_BYTES);
        while let Some(frame) = frames.next().await? {
            match frame.kind {
                Kind::Exported => {
                    self.told().present = frame.message()?;
                    if self.is_gone.swap(false, Ordering::AcqRel) {
                        tracing::info!("there is an exporter again");
                    }
                }
                // No exporter says it.
                _ => return Err(FrameError::Header),
            }
        }
        Ok(())
    }

    async fn write(&self, mut outlet: Outlet) -> Result<(), FrameError> {
        loop {
            self.wake.notified().await;
            loop {
                let batch = self.queue().take();
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
        let mut decoder = vault_ipc::Decoder::default();
        decoder.extend(&self.queue().take());
        let next = || decoder.next_frame().expect("frames").map(|frame| frame.message());
        std::iter::from_fn(next).map(|trace| trace.expect("a trace")).collect()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.exported.lock().expect("no panic while locked")
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic while locked")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use vault_ipc::trace::{Exported, Span, Trace};
    use vault_ipc::{Decoder, Kind};

    use super::{Ordering, QUEUE_BYTES_MAX, Sink};

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
            () = sink.serve(vec![ours]) => panic!("it has not ended"),
            put = fill => put,
        };
        assert!(sink.queue().frames.len() < QUEUE_BYTES_MAX + (64 << 10));
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
        tokio::join!(sink.serve(vec![ours]), read);
        // It was handed the first and did not say what became of it.
        assert_eq!(sink.unsent(), 7);
        for _ in 0..3 {
            sink.put(&trace());
        }
        assert_eq!((sink.unsent(), sink.overflown()), (7 + 21, 0));
        assert!(sink.queue().frames.is_empty());
    }

    #[tokio::test]
    async fn what_an_exporter_takes_with_it_is_counted_and_what_it_accounted_for_is_not() {
        let sink = Sink::default();
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        theirs.set_nonblocking(true).expect("set");
        let mut decoder = Decoder::default();
        let exporter = async {
            for _ in 0..3 {
                sink.put(&trace());
                assert_eq!(next(&theirs, &mut decoder).await, trace());
            }
            say(&theirs, &Exported { exported: 8, dropped: 2, unfit: 1, is_up: true });
            while !sink.exported().is_up {
                tokio::task::yield_now().await;
            }
            // It waits still, and is not handed on any more.
            sink.put(&trace());
            drop(theirs);
        };
        tokio::join!(sink.serve(vec![ours]), exporter);
        let Exported { exported, dropped, unfit, .. } = sink.exported();
        assert_eq!((exported, dropped, unfit), (8, 2, 1));
        assert_eq!((sink.unsent(), sink.overflown()), (4 * 7 - 8 - 2 - 1, 0));
    }

    /// A frame of the front, read by an exporter that blocks nobody.
    async fn next(theirs: &UnixStream, decoder: &mut Decoder) -> Trace {
        let mut bytes = [0; 4096];
        loop {
            if let Some(frame) = decoder.next_frame().expect("a frame") {
                return frame.message().expect("a trace");
            }
            tokio::task::yield_now().await;
            if let Ok(count) = (&mut &*theirs).read(&mut bytes) {
                decoder.extend(&bytes[..count]);
            }
        }
    }

    fn say(theirs: &UnixStream, exported: &Exported) {
        vault_ipc::write(&mut &*theirs, Kind::Exported, 0, exported).expect("written");
    }

    #[tokio::test]
    async fn spans_go_to_the_next_exporter_once_it_says_that_it_is_there() {
        let sink = Sink::default();
        let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().expect("a pair")).collect();
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        for exporter in &theirs {
            exporter.set_nonblocking(true).expect("set");
        }
        let exporters = async {
            let mut theirs = theirs.into_iter();
            for nth in 0..3 {
                let exporter = theirs.next().expect("one more");
                let until = async |holds: &dyn Fn() -> bool| {
                    while !holds() {
                        tokio::task::yield_now().await;
                    }
                };
                if nth > 0 {
                    // Nobody is there yet.
                    until(&|| sink.is_gone.load(Ordering::Acquire)).await;
                    sink.put(&trace());
                    assert_eq!(sink.unsent(), 7 * nth);
                }
                say(&exporter, &Exported { exported: 5, unfit: 1, ..Exported::default() });
                until(&|| sink.exported().exported == 5 * (nth + 1)).await;
                sink.put(&trace());
                let mut decoder = Decoder::default();
                assert_eq!(next(&exporter, &mut decoder).await, trace());
                say(&exporter, &Exported { exported: 5, dropped: 2, unfit: 1, is_up: true });
                until(&|| sink.exported().is_up).await;
            }
        };
        tokio::join!(sink.serve(ours), exporters);
        let sum = sink.exported();
        // Each counts from 0.
        assert_eq!((sum.exported, sum.dropped, sum.unfit, sum.is_up), (15, 6, 3, false));
        sink.put(&trace());
        assert_eq!((sink.unsent(), sink.overflown()), (21, 0));
    }
}
