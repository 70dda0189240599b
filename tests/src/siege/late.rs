//! Calls that come but for their last byte, and then end together.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Done, Effort, Target};
use crate::wire;

/// Of one connection, as many as it may have.
const STREAMS: usize = 128;
/// Of each message: all of them together fit where they wait for their ends.
const MESSAGE_BYTES: usize = 8_000;
/// Until all but the ends have come, and before another connection.
const PAUSE: Duration = Duration::from_millis(100);

type Error = Box<dyn std::error::Error + Send + Sync>;

pub(super) async fn late_ends(target: &Target, effort: Effort, done: &Arc<Done>) {
    let mut connections = JoinSet::new();
    for _ in 0..effort.count {
        let (target, done) = (target.clone(), Arc::clone(done));
        connections.spawn(async move {
            while Instant::now() < effort.until {
                if connection(&target, effort.until, &done).await.is_err() {
                    Done::add(&done.ended, 1);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

/// One connection until the vault ends it (an error) or it is late.
async fn connection(target: &Target, until: Instant, done: &Done) -> Result<(), Error> {
    let stream = wire::stream((*target.traitor).clone(), target.bot, None).await?;
    Done::add(&done.connections, 1);
    let (mut send, http) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // Ended with this one.
    let mut served = JoinSet::new();
    served.spawn(http);
    let message = message();
    while Instant::now() < until {
        let (end, _) = watch::channel(false);
        let mut calls = JoinSet::new();
        for _ in 0..STREAMS {
            send.ready().await?;
            let request = Request::post("https://127.0.0.1/vault.v1.SignService/Sign")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(body(&message, end.subscribe()))?;
            calls.spawn(send.send_request(request));
            Done::add(&done.sent, 1);
        }
        tokio::time::sleep(PAUSE).await;
        end.send_replace(true);
        while let Some(answer) = calls.join_next().await {
            answer??;
        }
    }
    Ok(())
}

/// A body whose last byte comes when it is told to.
fn body(
    message: &Bytes,
    mut end: watch::Receiver<bool>,
) -> impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static {
    let (head, last) = (message.slice(..message.len() - 1), message.slice(message.len() - 1..));
    let last = stream::once(async move {
        // An error is an end too: nobody waits for the answer any more.
        let _ = end.wait_for(|is_over| *is_over).await;
        last
    });
    let pieces = stream::once(async move { head }).chain(last);
    StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece))).boxed())
}

/// What costs the front most for its length: a Sign of empty headers, and of a field that nobody knows, so
/// that it has to be decoded and written anew.
fn message() -> Bytes {
    let mut request: Vec<u8> = [0x3a, 0].repeat(MESSAGE_BYTES / 2);
    request.extend_from_slice(&[0x40, 1]);
    let mut message = vec![0x1a];
    prost::encode_length_delimiter(request.len(), &mut message).expect("a vector grows");
    message.append(&mut request);
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
    framed.append(&mut message);
    framed.into()
}
