//! The channel from the core: requests, WebSockets and barriers, in one order.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;
use vault_ipc::half::{self, Frames, Inlet};
use vault_ipc::metric::{USAGE_TOLD, Usage};
use vault_ipc::{
    Barrier, BarrierDone, Dispatch, Frame, FrameError, Kind, StreamCut, StreamDial, StreamSend,
};

use crate::dial::Dialer;
use crate::flight::Flights;
use crate::health::{Health, Now};
use crate::name::Names;
use crate::outbox::Outbox;
use crate::pool::{Pools, SWEEP};
use crate::problem::Problem;
use crate::send::Sender;
use crate::stream::Streams;
use crate::{EgressConfig, EgressError};

/// Bytes taken from the channel at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes for the front beyond which bodies wait.
const FRONT_BYTES_MAX: usize = 8 << 20;
/// How long a barrier lets what came before it be written.
const BARRIER_DRAIN: Duration = Duration::from_millis(250);
/// How often the core is told how venues are, if anything has changed.
const HEALTH_TOLD: Duration = Duration::from_secs(1);

/// Whom frames of the core are for.
struct Ends {
    sender: Rc<Sender>,
    flights: Rc<Flights>,
    requests_max: usize,
    streams: Rc<Streams>,
    /// Messages of WebSockets. Apart from the requests: neither takes the other's room.
    messages: Rc<Flights>,
}

/// Serves until the channel to the core ends. Runs inside a `LocalSet`.
pub(crate) async fn serve(config: EgressConfig, names: Names) -> Result<(), EgressError> {
    let EgressConfig { core, front, limits, roots_pem, sources, overrides } = config;
    let unusable = |_| EgressError::Setup("a channel cannot be used");
    let (core_read, core_write) = half::split(core).map_err(unusable)?;
    let front = half::outlet_of(front).map_err(unusable)?;

    let bell = Rc::new(Notify::new());
    let flights = Flights::new(Rc::clone(&bell));
    let messages = Flights::new(Rc::clone(&bell));
    let health = Rc::new(RefCell::new(Health::default()));
    let dialer = Dialer::new(roots_pem.as_deref(), overrides, names, limits.connect, bell)?;
    let sender = Rc::new(Sender {
        core: Rc::new(Outbox::new(usize::MAX)),
        front: Rc::new(Outbox::new(FRONT_BYTES_MAX)),
        pools: Pools::new(dialer, Rc::clone(&health), &limits),
        health,
        holder: Rc::default(),
        response_bytes: limits.response_bytes,
        sources,
    });

    let to_front = Rc::clone(&sender);
    spawn_local(async move {
        // A front that is gone is the supervisor's to notice. What venues answer is still told to
        // the core, for as long as there is one.
        match to_front.front.write(front).await {
            Ok(()) => tracing::info!("the front is gone"),
            Err(error) => tracing::warn!(%error, "the channel to the front broke"),
        }
    });
    let streams =
        Streams::new(Rc::clone(&sender), Rc::clone(&messages), limits.stream_idle, limits.streams);
    let requests_max = limits.requests;
    let ends = Ends { sender: Rc::clone(&sender), flights, requests_max, streams, messages };
    tokio::select! {
        ended = read(core_read, &ends) => ended,
        Err(error) = sender.core.write(core_write) => Err(error.into()),
        () = sweep(&sender) => Ok(()),
        () = tell_health(&sender) => Ok(()),
        () = tell_usage(&sender) => Ok(()),
    }
}

async fn sweep(sender: &Sender) {
    loop {
        tokio::time::sleep(SWEEP).await;
        sender.pools.sweep();
        sender.holder.borrow_mut().sweep(std::time::Instant::now());
    }
}

async fn tell_health(sender: &Sender) {
    let mut told = Vec::new();
    loop {
        tokio::time::sleep(HEALTH_TOLD).await;
        let rows = sender.health.borrow().rows(Now::read());
        if rows != told {
            let health = vault_ipc::Health { rows: rows.clone() };
            if sender.core.send(Kind::Health, 0, &health).is_err() {
                tracing::error!("how venues are is longer than a frame");
            }
            told = rows;
        }
    }
}

async fn tell_usage(sender: &Sender) {
    loop {
        // Far shorter than a frame may be.
        let _ = sender.core.send(Kind::Usage, 0, &Usage::of_this_process());
        tokio::time::sleep(USAGE_TOLD).await;
    }
}

async fn read(stream: Inlet, ends: &Ends) -> Result<(), EgressError> {
    let mut frames = Frames::new(stream, READ_BYTES);
    while let Some(frame) = frames.next().await? {
        take(&frame, ends, frames.came().into())?;
    }
    Ok(())
}

fn take(frame: &Frame, ends: &Ends, arrived: Instant) -> Result<(), FrameError> {
    let Ends { sender, flights, requests_max, streams, messages } = ends;
    let correlation = frame.correlation;
    match frame.kind {
        Kind::Dispatch => {
            let dispatch: Dispatch = frame.message()?;
            if flights.count() >= *requests_max {
                sender.turn_away(&dispatch, correlation, Problem::Busy);
                return Ok(());
            }
            let flight = flights.board();
            let sender = Rc::clone(sender);
            spawn_local(async move { sender.send(dispatch, correlation, flight, arrived).await });
            Ok(())
        }
        Kind::StreamDial => {
            let dial: StreamDial = frame.message()?;
            streams.dial(dial, correlation, arrived);
            Ok(())
        }
        Kind::StreamSend => {
            let send: StreamSend = frame.message()?;
            streams.send(send, correlation, arrived);
            Ok(())
        }
        Kind::StreamCut => {
            let _: StreamCut = frame.message()?;
            streams.cut(correlation);
            Ok(())
        }
        Kind::Barrier => {
            let Barrier { id, .. } = frame.message()?;
            let core = Rc::clone(&sender.core);
            let kinds = [flights, messages].map(|all| (Rc::clone(all), all.next()));
            spawn_local(async move {
                let [(flights, requests_before), (messages, messages_before)] = kinds;
                tokio::join!(
                    flights.barrier(requests_before, BARRIER_DRAIN),
                    messages.barrier(messages_before, BARRIER_DRAIN),
                );
                if let Err(error) = core.send(Kind::BarrierDone, 0, &BarrierDone { id }) {
                    tracing::error!(%error, "barrier not confirmed");
                }
            });
            Ok(())
        }
        _ => Err(FrameError::Header),
    }
}
