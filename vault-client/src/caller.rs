//! What everybody with an identity may find out: the way to the vault, and who it takes them for.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tonic::Request;
use tonic::transport::Channel;
use vault_proto::v1::client_service_client::ClientServiceClient;
use vault_proto::v1::{WhoamiRequest, WhoamiResponse};

use crate::certificate::Certificate;
use crate::error::ClientError;
use crate::identity::Identity;
use crate::transport;

/// A connection of anybody's, which asks for nothing but who its holder is. Other than a
/// [`Client`](crate::Client) it never renews the identity.
#[derive(Clone, Debug)]
pub struct Caller {
    channel: Channel,
}

/// One address of the vault that a handshake came through to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reached {
    /// Our own end of the connection, before anything on the way translated it.
    pub from: SocketAddr,
    /// How long TCP took to connect.
    pub tcp: Duration,
    /// How long TLS took after that, until the vault's first byte.
    pub tls: Duration,
    /// When the vault's certificate ends; `None` if it does not parse.
    pub server_not_after: Option<SystemTime>,
}

impl Caller {
    /// Connects with an identity.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn connect(identity: &Identity) -> Result<Self, ClientError> {
        Ok(Self { channel: transport::connect(identity).await? })
    }

    /// Asks the vault who it takes the caller for, and from where it sees the call come.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a vault that is older than the question refuses with
    /// [`Code::Unimplemented`](tonic::Code::Unimplemented).
    pub async fn whoami(&self) -> Result<WhoamiResponse, ClientError> {
        whoami(self.channel.clone()).await
    }
}

impl Identity {
    /// The addresses that the vault's host stands for just now, each with its port.
    ///
    /// # Errors
    ///
    /// [`ClientError::Identity`] if the address is none, [`ClientError::Timeout`],
    /// [`ClientError::Transport`] with the resolver's answer.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ClientError> {
        transport::resolve(self).await
    }

    /// Makes one connection to one of them, to the end of the handshake, and gives it up again.
    ///
    /// # Errors
    ///
    /// [`ClientError`], as for a connection that is used.
    pub async fn reach(&self, to: SocketAddr) -> Result<Reached, ClientError> {
        let probe = transport::probe(self, to).await?;
        let server_not_after =
            probe.server_certificate.and_then(|der| Some(Certificate::parse(&der)?.not_after));
        Ok(Reached { from: probe.from, tcp: probe.tcp, tls: probe.tls, server_not_after })
    }
}

pub(crate) async fn whoami(channel: Channel) -> Result<WhoamiResponse, ClientError> {
    let mut request = Request::new(WhoamiRequest {});
    request.set_timeout(TIMEOUT);
    let answer = ClientServiceClient::new(channel).whoami(request).await;
    Ok(answer.map_err(ClientError::from_status)?.into_inner())
}

const TIMEOUT: Duration = Duration::from_secs(5);
