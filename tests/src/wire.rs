//! gRPC by name and bytes: for what no honest client sends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use vault_client::{ClientError, Identity, v1};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A refusal, as a caller sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Kind, as in gRPC.
    pub code: Code,
    /// Machine-readable; empty if the vault gave none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The operation outside the scope; may be empty.
    pub operation: String,
    /// Index of its entry.
    pub entry_index: Option<u64>,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let said = |key: &str| info.as_ref().and_then(|info| info.metadata.get(key).cloned());
        Self {
            code: status.code(),
            operation: said("operation").unwrap_or_default(),
            entry_index: said("entry_index").and_then(|index| index.parse().ok()),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
        }
    }
}

/// The reason of a call that must have been refused by the vault.
///
/// # Panics
///
/// If it was not refused, or broke on the way.
#[track_caller]
pub fn reason<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    let error = result.expect_err("to be refused");
    match error.refusal() {
        Some(refusal) => refusal.reason.clone(),
        None => panic!("not refused but broken: {error:?}"),
    }
}

/// A TLS client with an identity's certificate, or with none, that trusts the CA of an identity.
///
/// # Panics
///
/// If the identity's folder cannot be read.
pub fn tls(trust: &Identity, show: Option<&Identity>) -> ClientConfig {
    let ca = CertificateDer::from_pem_file(trust.folder().join("ca.pem")).expect("ca.pem");
    let key_and_certificate = show.map(|identity| {
        let read = |name: &str| identity.folder().join(name);
        (
            CertificateDer::from_pem_file(read("cert.pem")).expect("cert.pem"),
            PrivateKeyDer::from_pem_file(read("key.pem")).expect("key.pem"),
        )
    });
    tls_with(ca, key_and_certificate)
}

/// As [`tls`], with any certificate.
///
/// # Panics
///
/// If key and certificate do not fit.
pub fn tls_with(
    ca: CertificateDer<'static>,
    show: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match show {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate], key).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Connects, from a source address if one is given.
///
/// # Errors
///
/// What keeps TCP or TLS from being set up. In TLS 1.3 a client is refused after its own handshake
/// is over: a refused certificate may show at the first call only.
pub async fn stream(
    config: ClientConfig,
    to: SocketAddr,
    from: Option<IpAddr>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let dial = async {
        let tcp = socket.connect(to).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(to.ip()), tcp).await
    };
    tokio::time::timeout(TIMEOUT, dial).await?
}

/// A gRPC channel over [`stream`].
///
/// # Errors
///
/// As for [`stream`].
pub async fn channel(
    config: ClientConfig,
    to: SocketAddr,
    from: Option<IpAddr>,
) -> io::Result<Channel> {
    let stream = stream(config, to, from).await?;
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or(io::ErrorKind::ConnectionAborted);
        async move { Ok::<_, io::Error>(stream?) }
    });
    Endpoint::from_shared(format!("https://{to}"))
        .expect("an address")
        .timeout(TIMEOUT)
        .connect_with_connector(connector)
        .await
        .map_err(io::Error::other)
}

/// Calls an RPC by its full name (`vault.v1.SignService/Sign`) with the bytes of its request. Of a
/// stream the first message is returned; an empty stream returns nothing.
///
/// # Errors
///
/// [`Refused`], also if the connection breaks: the code is then `Unavailable`, `Unknown` or
/// `Cancelled` and the reason empty.
pub async fn call(channel: &Channel, method: &str, request: Vec<u8>) -> Result<Vec<u8>, Refused> {
    call_status(channel, method, request).await.map_err(Refused::from)
}

/// As [`call`], with all that a refusal says.
///
/// # Errors
///
/// As for [`call`].
pub async fn call_status(
    channel: &Channel,
    method: &str,
    request: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let path: PathAndQuery = format!("/{method}").parse().expect("a method's name");
    let mut grpc = Grpc::new(channel.clone());
    let attempt = async {
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let response = grpc.server_streaming(Request::new(request), path, Raw).await?;
        Ok::<_, Status>(response.into_inner().message().await?.unwrap_or_default())
    };
    match tokio::time::timeout(TIMEOUT, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Status::deadline_exceeded("the test waited long enough")),
    }
}

/// The bytes of a request that carries nothing but a signed command.
pub fn request(command: Option<v1::SignedCommand>) -> Vec<u8> {
    // Every request of an operator has the command in field 1.
    v1::StatusRequest { command }.encode_to_vec()
}

/// A message that is encoded already, whatever it is: for what no type of ours can say.
#[derive(Clone, Debug, Default)]
pub struct Encoded(pub Vec<u8>);

impl Message for Encoded {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Signs a command and calls its RPC.
///
/// # Errors
///
/// As for [`call`].
///
/// # Panics
///
/// If the answer does not decode.
pub async fn command<R: Message + Default>(
    channel: &Channel,
    identity: &Identity,
    method: &str,
    body: &impl Message,
    now: std::time::SystemTime,
) -> Result<R, Refused> {
    let command = vault_client::signed_command(identity, method, body, now).expect("signed");
    let answer = call(channel, method, request(Some(command))).await?;
    Ok(R::decode(answer.as_slice()).expect("the response"))
}

/// Bytes in, bytes out.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
