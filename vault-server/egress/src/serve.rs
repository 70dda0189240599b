//! The channel from the core: requests and barriers, in one order.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;
use vault_ipc::{Barrier, BarrierDone, Decoder, Dispatch, Frame, FrameError, Kind};

use crate::dial::Dialer;
use crate::flight::Flights;
use crate::health::Health;
use crate::name::Names;
use crate::outbox::Outbox;
use crate::pool::{Pools, SWEEP};
use crate::problem::Problem;
use crate::send::Sender;
use crate::{EgressConfig, EgressError};

/// Bytes taken from the channel at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes for the front beyond which bodies wait.
const FRONT_BYTES_MAX: usize = 8 << 20;
/// How long a barrier lets what came before it be written.
const BARRIER_DRAIN: Duration = Duration::from_millis(250);

/// Serves until the channel to the core ends. Runs inside a `LocalSet`.
pub(crate) async fn serve(config: EgressConfig, names: Names) -> Result<(), EgressError> {
    let EgressConfig { core, front, limits, roots_pem, sources, overrides } = config;
    let (core_read, core_write) = stream(core)?.into_split();
    let front = stream(front)?;

    let bell = Rc::new(Notify::new());
    let flights = Flights::new(Rc::clone(&bell));
    let health = Rc::new(RefCell::new(Health::default()));
    let dialer = Dialer::new(roots_pem.as_deref(), overrides, names, limits.connect, bell)?;
    let sender = Rc::new(Sender {
        core: Rc::new(Outbox::new(usize::MAX)),
        front: Rc::new(Outbox::new(FRONT_BYTES_MAX)),
        pools: Pools::new(dialer, Rc::clone(&health), &limits),
        health,
        response_bytes: limits.response_bytes,
        sources,
    });

    let to_front = Rc::clone(&sender);
    spawn_local(async move {
        // A front that is gone is the supervisor's to notice. What venues answer is still told to
        // the core, for as long as there is one.
        if let Err(error) = to_front.front.write(front).await {
            tracing::warn!(%error, "the channel to the front ended");
        }
    });
    let to_core = Rc::clone(&sender.core);
    let sweeping = Rc::clone(&sender);
    tokio::select! {
        ended = read(core_read, &sender, &flights, limits.requests) => ended,
        Err(error) = to_core.write(core_write) => Err(error.into()),
        () = sweep(&sweeping) => Ok(()),
    }
}

fn stream(stream: std::os::unix::net::UnixStream) -> Result<UnixStream, EgressError> {
    stream
        .set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(stream))
        .map_err(|_| EgressError::Setup("a channel cannot be used"))
}

async fn sweep(sender: &Sender) {
    loop {
        tokio::time::sleep(SWEEP).await;
        sender.pools.sweep();
    }
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    sender: &Rc<Sender>,
    flights: &Rc<Flights>,
    requests_max: usize,
) -> Result<(), EgressError> {
    let mut bytes = vec![0; READ_BYTES];
    let mut decoder = Decoder::default();
    loop {
        let count = stream.read(&mut bytes).await.map_err(FrameError::Io)?;
        if count == 0 {
            if decoder.is_empty() {
                return Ok(());
            }
            let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            return Err(FrameError::Io(ended).into());
        }
        decoder.extend(&bytes[..count]);
        let arrived = Instant::now();
        while let Some(frame) = decoder.next_frame()? {
            take(&frame, sender, flights, requests_max, arrived)?;
        }
    }
}

fn take(
    frame: &Frame,
    sender: &Rc<Sender>,
    flights: &Rc<Flights>,
    requests_max: usize,
    arrived: Instant,
) -> Result<(), FrameError> {
    let correlation = frame.correlation;
    match frame.kind {
        Kind::Dispatch => {
            let dispatch: Dispatch = frame.message()?;
            if flights.count() >= requests_max {
                sender.turn_away(&dispatch, correlation, Problem::Busy);
                return Ok(());
            }
            let flight = flights.board();
            let sender = Rc::clone(sender);
            spawn_local(async move { sender.send(dispatch, correlation, flight, arrived).await });
            Ok(())
        }
        Kind::Barrier => {
            let Barrier { id, .. } = frame.message()?;
            let (flights, core) = (Rc::clone(flights), Rc::clone(&sender.core));
            let before = flights.next();
            spawn_local(async move {
                flights.barrier(before, BARRIER_DRAIN).await;
                if let Err(error) = core.send(Kind::BarrierDone, 0, &BarrierDone { id }) {
                    tracing::error!(%error, "barrier not confirmed");
                }
            });
            Ok(())
        }
        _ => Err(FrameError::Header),
    }
}
