//! The channel as it is served: what the core says, each to its end before the next, and what is queued
//! for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use vault_ipc::half::{Frames, Inlet, Outlet};
use vault_ipc::trace::Synced;
use vault_ipc::{
    Barrier, BarrierDone, Failure, FrameError, FrameRef, Kind, PeekedReply, Reply, ServerIdentity,
    State,
};

use super::Core;
use super::outgoing::Queue;
use super::pending::{Answer, Pending};
use crate::FrontError;
use crate::health::Healths;
use crate::tls::TlsCell;
use crate::unary::Framed;

/// Bytes taken from the channel at once.
const READ_BYTES: usize = 64 << 10;

impl Core {
    /// Serves the channel until it ends. A core that closes it with calls in it unread ends it like
    /// any other: whether it was to end is the supervisor's to judge, by how its process does.
    ///
    /// # Errors
    ///
    /// [`FrontError::Channel`] if it breaks or says what no core says, [`FrontError::Identity`] if
    /// the first identity cannot be used.
    pub(crate) async fn run(
        &self,
        (read, write): (Inlet, Outlet),
        tls: &TlsCell,
        healths: &Healths,
    ) -> Result<(), FrontError> {
        let ended = tokio::select! {
            ended = self.read(read, tls, healths) => ended,
            Err(error) = self.write(write) => Err(FrontError::Channel(error)),
            never = self.sweep() => match never {},
        };
        self.0.ended.store(true, Ordering::Release);
        // Their callers see that no answer will come.
        self.0.pending().by_correlation.clear();
        ended
    }

    async fn read(
        &self,
        stream: impl AsyncRead + Unpin,
        tls: &TlsCell,
        healths: &Healths,
    ) -> Result<(), FrontError> {
        let mut frames = Frames::new(stream, READ_BYTES);
        while frames.read().await? {
            let came = frames.came();
            while let Some(frame) = frames.next_ref()? {
                self.take(frame, came, tls, healths).await?;
            }
        }
        Ok(())
    }

    /// Handles one frame to its end before the next is looked at: a barrier comes after every reply
    /// that was sent before it.
    async fn take(
        &self,
        frame: FrameRef<'_>,
        came: std::time::Instant,
        tls: &TlsCell,
        healths: &Healths,
    ) -> Result<(), FrontError> {
        match frame.kind {
            Kind::Reply => match frame.peek_reply() {
                Some(PeekedReply { response, releases }) => {
                    let result = Ok(Framed::of(response));
                    self.take_answer(frame.correlation, result, releases, came);
                }
                None => self.take_reply(frame.correlation, frame.message()?, came),
            },
            Kind::Barrier => self.take_barrier(&frame.message()?)?,
            Kind::ServerIdentity => {
                let identity: ServerIdentity = frame.message()?;
                match tls.install(identity) {
                    Ok(()) => tracing::info!("server identity installed"),
                    // The old one still serves.
                    Err(error) if tls.is_installed() => {
                        tracing::error!(%error, "new server identity refused");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Kind::State => {
                let State { sealed } = frame.message()?;
                tracing::info!(sealed, "state of the vault");
                healths.set_sealed(sealed).await;
            }
            Kind::Synced => self.take_synced(&frame.message()?),
            Kind::Metrics => self.0.registry.metrics().told(frame.message()?),
            Kind::StreamCut | Kind::StreamRefusal => {
                self.0.streams.take_of_core(&frame.to_frame())?
            }
            // No core says it.
            _ => return Err(FrameError::Header.into()),
        }
        Ok(())
    }

    fn take_reply(&self, correlation: u64, reply: Reply, came: std::time::Instant) {
        let trace = |call: &Pending| call.trace.clone();
        let trace = self.0.pending().by_correlation.get(&correlation).and_then(trace);
        if let Some(call) = trace {
            call.decided(reply.stages);
        }
        let result = match reply.failure {
            Some(failure) => Err(Box::new(failure)),
            None => Ok(Framed::of(&reply.response)),
        };
        self.take_answer(correlation, result, reply.releases, came);
    }

    fn take_answer(
        &self,
        correlation: u64,
        result: Result<Framed, Box<Failure>>,
        releases: bool,
        came: std::time::Instant,
    ) {
        // No core of ours answers twice.
        let Some(pending) = self.0.pending().by_correlation.remove(&correlation) else {
            return;
        };
        let hold = || {
            let hold = self.0.registry.hold_since(&pending.connection, came);
            hold.of_call(pending.trace.clone())
        };
        let hold = releases.then(hold);
        // What a venue answers too goes on taking its place. All else is done with it, whenever its
        // caller looks: who does not read must not keep places of others.
        let asks_venue = matches!(pending.kind, Kind::Execute | Kind::Proxy);
        let place = pending.place.filter(|_| asks_venue);
        // If the call was dropped meanwhile, bytes, hold and place are dropped with the answer.
        if let Some(reply) = pending.reply {
            let _ = reply.send(Answer::Given { hold, place, result });
        }
    }

    fn take_synced(&self, synced: &Synced) {
        let pending = self.0.pending();
        for correlation in &synced.correlations {
            let call = pending.by_correlation.get(correlation);
            if let Some(call) = call.and_then(|call| call.trace.as_ref()) {
                call.synced(synced.began_us, synced.ended_us);
            }
        }
    }

    fn take_barrier(&self, barrier: &Barrier) -> Result<(), FrameError> {
        let done = BarrierDone { id: barrier.id };
        match self.0.registry.barrier(&barrier.cut_serials) {
            None => self.0.send(Queue::Operators, Kind::BarrierDone, 0, &done)?,
            Some(wait) => {
                let shared = Arc::clone(&self.0);
                tokio::spawn(async move {
                    wait.passed(shared.barrier_drain).await;
                    let sent = shared.send(Queue::Operators, Kind::BarrierDone, 0, &done);
                    if let Err(error) = sent {
                        tracing::error!(%error, "barrier not confirmed");
                    }
                });
            }
        }
        Ok(())
    }

    /// Writes what is queued until the core takes no more.
    async fn write(&self, mut stream: impl AsyncWrite + Unpin) -> Result<(), FrameError> {
        let mut batch = Vec::new();
        loop {
            self.0.wake_writer.notified().await;
            // What came while we waited or wrote goes out in few writes.
            loop {
                self.0.outgoing().take(&mut batch);
                if batch.is_empty() {
                    break;
                }
                match stream.write_all(&batch).await {
                    // What the core said before is still read, up to the end.
                    Err(error) if vault_ipc::is_end(&error) => return Ok(()),
                    written => written?,
                }
                batch.clear();
            }
        }
    }
}
