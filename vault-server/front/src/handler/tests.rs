use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, Collected, StreamBody};
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;
use vault_ipc::proto::{FILE_DESCRIPTOR_SET, v1};
use vault_ipc::{Decoder, Listener};

use super::{Handler, is_stream, routes};
use crate::core::tests::{core, split};
use crate::gate::Deadline;
use crate::health::Healths;
use crate::heap::allocated_bytes;
use crate::limit::Limits;
use crate::registry::Registered;
use crate::tls::TlsCell;

const LONG: Duration = Duration::from_secs(60 * 60);

/// One less than a client may have batches and streams.
const CALLS: usize = 15;

/// A front whose core takes every call and answers none.
struct Silent {
    frames: Decoder,
    open: Registered,
    routes: Routes,
    theirs: UnixStream,
}

impl Silent {
    async fn at(listener: Listener) -> Self {
        let (core, open) = core();
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let limits = Limits::default();
        let of_listener = limits.listener(listener).expect("a listener");
        let handler = Handler::new(listener, &core, of_listener, limits.execute_bytes);
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let routes = routes(&handler, &healths, of_listener.message_bytes);
        tokio::spawn(async move { core.run(split(ours), &tls, &healths).await });
        Self { frames: Decoder::default(), open, routes, theirs }
    }

    /// Makes a call of these messages, of which the core gets so many; returns it while it waits.
    async fn call(
        &mut self,
        path: &str,
        messages: &[Vec<u8>],
        asks: usize,
    ) -> BoxFuture<'static, Collected<Bytes>> {
        let request = self.request(path, messages);
        let mut routes = self.routes.clone();
        let mut waiting = Box::pin(async move {
            let response = routes.call(request).await.expect("routes answer");
            response.into_body().collect().await.expect("an end")
        });
        assert!((&mut waiting).now_or_never().is_none());
        for _ in 0..asks {
            while self.frames.next_frame().expect("frames").is_none() {
                let mut bytes = [0; 8 << 10];
                let count = self.theirs.read(&mut bytes).await.expect("frames");
                assert!(count > 0, "the front is there");
                self.frames.extend(&bytes[..count]);
            }
        }
        waiting
    }

    /// As the gate hands it to the router.
    fn request(&self, path: &str, messages: &[Vec<u8>]) -> Request<Body> {
        let frames: Vec<_> = messages
            .iter()
            .map(|message| {
                let length = u32::try_from(message.len()).expect("short").to_be_bytes();
                let whole = [&[0][..], &length, message].concat();
                Ok::<_, Infallible>(Frame::data(whole.into()))
            })
            .collect();
        let mut request = Request::post(format!("/vault.v1.{path}"))
            .body(Body::new(StreamBody::new(stream::iter(frames))))
            .expect("a request");
        request.extensions_mut().insert(Deadline::after(LONG));
        request.extensions_mut().insert(Arc::clone(self.open.connection()));
        request
    }
}

#[tokio::test]
async fn a_call_that_waits_for_the_core_keeps_nothing_of_its_message() {
    // Two bytes each, and 48 decoded.
    let request = |headers| {
        let headers = vec![v1::Header::default(); headers];
        Some(v1::VenueRequest { headers, ..v1::VenueRequest::default() })
    };
    let sign = |headers| v1::SignRequest { request: request(headers), ..Default::default() };
    let batch = v1::SignBatchRequest { requests: vec![sign(15_000), sign(15_000)] };
    let execute = v1::ExecuteRequest { request: request(30_000), ..Default::default() };
    let command = v1::SignedCommand { body: vec![7; 60_000], ..Default::default() };
    let enroll = v1::EnrollRequest { csr: vec![7; 60_000], ..Default::default() }.encode_to_vec();
    // As any other that is a command.
    let command = v1::CancelAllRequest { command: Some(command) }.encode_to_vec();
    let (sign, batch) = (sign(30_000).encode_to_vec(), batch.encode_to_vec());
    let execute = execute.encode_to_vec();

    for (listener, path, message, messages, asks) in [
        (Listener::Bot, "ExecuteService/Execute", &execute, 1, 1),
        (Listener::Bot, "ExecuteService/ExecuteStream", &execute, 1, 1),
        (Listener::Bot, "PriceService/Put", &command, 1, 1),
        (Listener::Bot, "SignService/Sign", &sign, 1, 1),
        (Listener::Bot, "SignService/SignBatch", &batch, 1, 2),
        (Listener::Bot, "SignService/SignStream", &sign, 8, 8),
        (Listener::Enroll, "ClientService/Enroll", &enroll, 1, 1),
        (Listener::Operator, "AuditService/Export", &command, 1, 1),
        (Listener::Operator, "HaltService/CancelAll", &command, 1, 1),
    ] {
        let messages = vec![message.clone(); messages];
        let mut front = Silent::at(listener).await;
        // What is made once, of the largest size.
        let mut waiting = Vec::with_capacity(1 + CALLS);
        waiting.push(front.call(path, &messages, asks).await);
        let before = allocated_bytes();
        for _ in 0..CALLS {
            waiting.push(front.call(path, &messages, asks).await);
        }
        let kept = allocated_bytes() - before;
        let sent = CALLS * messages.iter().map(Vec::len).sum::<usize>();
        assert!(kept < sent.cast_signed() / 2, "{path} keeps {kept} bytes of {sent}");
    }
}

#[test]
fn the_rpcs_with_any_number_of_requests_are_those_of_the_descriptors() {
    let ours = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET);
    let mut count = 0;
    for file in &ours.expect("descriptors").file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                assert_eq!(is_stream(&path), method.client_streaming(), "{path}");
                count += 1;
            }
        }
    }
    assert!(count >= 30, "{count}");
    assert!(is_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
}
