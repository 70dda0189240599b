//! WebSockets: from a request to the 101.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::timeout_at;
use tonic::body::Body;
use vault_ipc::proto::v1;
use vault_ipc::{Code, Failure, StreamCall};

use super::answer::{LATENCY, Refusal};
use super::{Target, VenueProxy, headers};
use crate::gate::{Deadline, late};
use crate::handler::no_certificate;
use crate::registry::Connection;
use crate::stream::{Handshake, OF_HANDSHAKE, Upgrade, Upgrades, accept};

impl VenueProxy {
    /// Opens a WebSocket: asks the core, waits for the venue's, and only then says yes.
    pub(super) async fn open(
        &self,
        mut request: Request<Incoming>,
        target: Target,
        connection: &Arc<Connection>,
        upgrades: &Upgrades,
        deadline: Deadline,
    ) -> Result<Response<Body>, Refusal> {
        let on = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let accepted = accept(&parts).map_err(|error| refused(error, parts.version))?;
        let mut headers = headers(&parts.headers)?;
        headers.retain(|header| !header.name.starts_with(OF_HANDSHAKE));
        let call = StreamCall {
            caller: connection.facts().caller().ok_or_else(no_certificate)?,
            deadline_us: deadline.unix_us,
            request: v1::VenueRequest {
                method: "GET".to_owned(),
                scheme: "wss".to_owned(),
                host: target.host,
                path: target.path,
                query: target.query,
                body: Vec::new(),
                headers,
            },
        };
        // As long as core and venue take, nothing of it is kept.
        drop(parts);
        let asked = async {
            let mut link = self.handler.core().stream(connection, call).await?;
            let ready = link.ready().await?;
            Ok::<_, Failure>((link, ready))
        };
        let (link, ready) = timeout_at(deadline.at, asked).await.map_err(|_| late())??;
        upgrades.put(Upgrade { link, on });

        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
        headers.insert(LATENCY, ready.latency_us.into());
        Ok(response)
    }
}

fn refused(error: Handshake, version: Version) -> Refusal {
    let failure = Failure::new(Code::BadRequest, error.code(), error.to_string());
    match error {
        Handshake::Browser => Refusal::new(StatusCode::FORBIDDEN, failure),
        // Headers of a connection are no part of HTTP/2.
        Handshake::Missing | Handshake::Version if version == Version::HTTP_11 => {
            Refusal::new(StatusCode::UPGRADE_REQUIRED, failure)
        }
        Handshake::Malformed
        | Handshake::Missing
        | Handshake::Other
        | Handshake::Protocol
        | Handshake::Version => failure.into(),
    }
}
