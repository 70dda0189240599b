//! A front on loopback, the core's end of its channel, and certificates.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::client::SendRequest;
use hyper_util::rt::TokioIo;
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use vault_front::{FrontConfig, FrontError, Limits, ListenerConfig, run};
use vault_ipc::proto::v1;
use vault_ipc::{
    Barrier, BarrierDone, ExecuteCall, Failure, ForgetCall, Frame, Kind, Listener, ProxyCall,
    Reply, ServerIdentity, SignCall, State, VenueBody, VenueEnd, VenueHead,
};

/// Longer than anything takes; only a defect waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub struct Ca(CertifiedIssuer<'static, KeyPair>);

pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a ca"))
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A client certificate whose serial is `serial` sixteen times.
    pub fn client(&self, serial: u8) -> Identity {
        self.client_until(serial, SystemTime::now() + DAY)
    }

    /// A certificate as the vault's own CA makes it: `kind` is `client` or `operator`.
    pub fn named(&self, serial: u8, kind: &str, name: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&[serial; 16]));
        let uri = format!("spiffe://vault.test/{kind}/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ascii"))];
        self.issue(params)
    }

    pub fn client_until(&self, serial: u8, not_after: SystemTime) -> Identity {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&[serial; 16]));
        params.not_before = (SystemTime::now() - 30 * DAY).into();
        params.not_after = not_after.into();
        self.issue(params)
    }

    pub fn server(&self) -> Identity {
        let mut params = CertificateParams::new(["vault.test".to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("pkcs#8"),
        }
    }

    pub fn server_identity(&self) -> ServerIdentity {
        let server = self.server();
        ServerIdentity {
            chain: server.chain.iter().map(|der| der.to_vec()).collect(),
            private_key: server.key.secret_der().to_vec(),
            ca_certificate: self.der().to_vec(),
        }
    }
}

/// The core's end of the channel.
pub struct Core(UnixStream);

impl Core {
    pub fn send(&mut self, kind: Kind, correlation: u64, message: &impl Message) {
        vault_ipc::write(&mut self.0, kind, correlation, message).expect("the front reads");
    }

    /// Several frames in one write.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        io::Write::write_all(&mut self.0, bytes).expect("the front reads");
    }

    /// Ends the channel at once.
    pub fn hang_up(&mut self) {
        let how = std::net::Shutdown::Both;
        self.0.shutdown(how).expect("the front is there");
    }

    pub fn next(&mut self) -> Frame {
        vault_ipc::read(&mut self.0).expect("a frame in time").expect("the front is there")
    }

    pub fn next_sign(&mut self) -> (u64, SignCall) {
        let frame = self.next();
        assert_eq!(frame.kind, Kind::Sign);
        (frame.correlation, frame.message().expect("a sign call"))
    }

    pub fn next_execute(&mut self) -> (u64, ExecuteCall) {
        let frame = self.next();
        assert_eq!(frame.kind, Kind::Execute);
        (frame.correlation, frame.message().expect("an execute call"))
    }

    pub fn next_proxy(&mut self) -> (u64, ProxyCall) {
        let frame = self.next();
        assert_eq!(frame.kind, Kind::Proxy);
        (frame.correlation, frame.message().expect("a proxy call"))
    }

    pub fn expect_forget(&mut self, correlation: u64) {
        let frame = self.next();
        assert_eq!((frame.kind, frame.correlation), (Kind::Forget, correlation));
        let call: ForgetCall = frame.message().expect("a call that is forgotten");
        assert_eq!(call.caller.expect("a caller").serial.len(), 16);
    }

    pub fn barrier(&mut self, id: u64, cut_serials: &[[u8; 16]]) {
        let cut_serials = cut_serials.iter().map(|serial| serial.to_vec()).collect();
        self.send(Kind::Barrier, 0, &Barrier { id, cut_serials });
    }

    pub fn expect_barrier_done(&mut self, id: u64) {
        let frame = self.next();
        assert_eq!(frame.kind, Kind::BarrierDone);
        assert_eq!(frame.message::<BarrierDone>().expect("a barrier").id, id);
    }
}

/// The egress's end of its channel to the front.
pub struct Egress(UnixStream);

impl Egress {
    pub fn send(&mut self, kind: Kind, correlation: u64, message: &impl Message) {
        vault_ipc::write(&mut self.0, kind, correlation, message).expect("the front reads");
    }

    /// Several frames in one write.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        io::Write::write_all(&mut self.0, bytes).expect("the front reads");
    }

    /// Ends the channel at once.
    pub fn hang_up(&mut self) {
        let how = std::net::Shutdown::Both;
        self.0.shutdown(how).expect("the front is there");
    }

    pub fn head(&mut self, correlation: u64, head: &VenueHead) {
        self.send(Kind::VenueHead, correlation, head);
    }

    pub fn body(&mut self, correlation: u64, bytes: &[u8]) {
        self.send(Kind::VenueBody, correlation, &VenueBody { bytes: bytes.to_vec() });
    }

    pub fn end(&mut self, correlation: u64, end: &VenueEnd) {
        self.send(Kind::VenueEnd, correlation, end);
    }

    /// A whole response in one write.
    pub fn respond(&mut self, correlation: u64, head: &VenueHead, body: &[u8]) {
        let mut bytes = frame(Kind::VenueHead, correlation, head);
        for piece in body.chunks(64 << 10) {
            let piece = VenueBody { bytes: piece.to_vec() };
            bytes.extend(frame(Kind::VenueBody, correlation, &piece));
        }
        bytes.extend(frame(Kind::VenueEnd, correlation, &VenueEnd::default()));
        self.send_bytes(&bytes);
    }
}

/// The head of a response: status, and headers.
pub fn head(status: u32, headers: &[(&str, &str)]) -> VenueHead {
    let headers = headers
        .iter()
        .map(|(name, value)| v1::Header { name: (*name).to_owned(), value: (*value).to_owned() })
        .collect();
    VenueHead { status, headers, latency_us: 1234 }
}

/// An end that is not in order.
pub fn lost(problem: &str, sent: bool) -> VenueEnd {
    VenueEnd { problem: problem.to_owned(), sent, retry_after_ms: 0 }
}

/// The core's answer to what is sent: its entry has this index.
pub fn executed(index: u64) -> Reply {
    answer(&v1::Execution {
        receipt: Some(v1::Receipt { index, ..Default::default() }),
        seq: 9,
        ..Default::default()
    })
}

/// A released answer to a Sign, with a body of `bytes`.
pub fn released(bytes: usize) -> Reply {
    let response = v1::SignResponse {
        request: Some(v1::SignedRequest { body: vec![0x5a; bytes], ..Default::default() }),
        seq: 7,
        ..Default::default()
    };
    Reply { response: response.encode_to_vec(), releases: true, ..Default::default() }
}

pub fn answer(response: &impl Message) -> Reply {
    Reply { response: response.encode_to_vec(), ..Default::default() }
}

pub fn failed(failure: Failure) -> Reply {
    Reply { failure: Some(failure), ..Default::default() }
}

pub fn frame(kind: Kind, correlation: u64, message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    vault_ipc::encode(kind, correlation, message, &mut bytes).expect("short");
    bytes
}

pub struct Front {
    pub ca: Ca,
    pub core: Option<Core>,
    egress: UnixStream,
    pub bot: SocketAddr,
    /// Takes PROXY headers from 127.0.0.1.
    pub proxied: SocketAddr,
    /// Takes PROXY headers from elsewhere only.
    pub proxied_elsewhere: SocketAddr,
    pub operator: SocketAddr,
    pub enroll: SocketAddr,
    thread: Option<JoinHandle<Result<(), FrontError>>>,
}

impl Front {
    /// Started and unsealed.
    pub fn start() -> Self {
        Self::start_with(Limits::default())
    }

    pub fn start_with(limits: Limits) -> Self {
        let ca = Ca::new();
        let mut front = Self::start_silent(ca, limits);
        let identity = front.ca.server_identity();
        let core = front.core();
        core.send(Kind::ServerIdentity, 0, &identity);
        core.send(Kind::State, 0, &State { sealed: false });
        // Answered after the frames before it: the front is ready then.
        core.barrier(u64::MAX, &[]);
        core.expect_barrier_done(u64::MAX);
        front
    }

    /// Started; the core has not said a word.
    pub fn start_silent(ca: Ca, limits: Limits) -> Self {
        let (core, theirs) = UnixStream::pair().expect("a socket pair");
        let (egress, from_egress) = UnixStream::pair().expect("a socket pair");
        core.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for (kind, proxied_from) in [
            (Listener::Bot, vec![]),
            (Listener::Bot, vec!["127.0.0.0/8"]),
            (Listener::Bot, vec!["192.0.2.0/24"]),
            (Listener::Operator, vec![]),
            (Listener::Enroll, vec![]),
        ] {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            addresses.push(socket.local_addr().expect("bound"));
            listeners.push(ListenerConfig {
                kind,
                socket,
                proxied_from: proxied_from
                    .iter()
                    .map(|network| network.parse().expect("a network"))
                    .collect(),
            });
        }
        let config = FrontConfig {
            core: theirs,
            egress: from_egress,
            listeners,
            limits,
            metrics: None,
            tracing: None,
        };
        let thread = std::thread::spawn(move || run(config));
        Self {
            ca,
            core: Some(Core(core)),
            egress,
            bot: addresses[0],
            proxied: addresses[1],
            proxied_elsewhere: addresses[2],
            operator: addresses[3],
            enroll: addresses[4],
            thread: Some(thread),
        }
    }

    pub fn core(&mut self) -> &mut Core {
        self.core.as_mut().expect("not taken")
    }

    /// One more handle on the egress's end.
    pub fn egress(&self) -> Egress {
        Egress(self.egress.try_clone().expect("a handle"))
    }

    /// Plays the core on a thread of its own; it hands the core's end back.
    pub fn play<R: Send + 'static>(
        &mut self,
        script: impl FnOnce(&mut Core) -> R + Send + 'static,
    ) -> Play<R> {
        let mut core = self.core.take().expect("not taken");
        Play(tokio::task::spawn_blocking(move || {
            let result = script(&mut core);
            (core, result)
        }))
    }

    /// Ends the channel and returns what the front made of it.
    pub fn end(mut self) -> Result<(), FrontError> {
        self.core = None;
        let thread = self.thread.take().expect("not ended before");
        thread.join().expect("the front does not panic")
    }

    /// Waits for the front to end by itself and returns what it made of that.
    pub fn ended(mut self) -> Result<(), FrontError> {
        let thread = self.thread.take().expect("not ended before");
        thread.join().expect("the front does not panic")
    }

    pub async fn channel(&self, address: SocketAddr, identity: Option<&Identity>) -> Channel {
        self.try_channel(address, identity).await.expect("the front lets it in")
    }

    pub async fn try_channel(
        &self,
        address: SocketAddr,
        identity: Option<&Identity>,
    ) -> Result<Channel, tonic::transport::Error> {
        let config = client_config(&self.ca.der(), identity);
        Endpoint::from_static("http://vault.test")
            .connect_with_connector(tower::service_fn(move |_| {
                let config = config.clone();
                async move {
                    let stream = connect(address, config, &[]).await?;
                    Ok::<_, io::Error>(TokioIo::new(stream))
                }
            }))
            .await
    }
}

pub struct Play<R>(tokio::task::JoinHandle<(Core, R)>);

impl<R> Play<R> {
    pub async fn end(self, front: &mut Front) -> R {
        let (core, result) = self.0.await.expect("the script holds");
        front.core = Some(core);
        result
    }
}

pub fn client_config(
    ca: &CertificateDer<'static>,
    identity: Option<&Identity>,
) -> rustls::ClientConfig {
    config_with(ca, identity, rustls::ALL_VERSIONS)
}

pub fn config_with(
    ca: &CertificateDer<'static>,
    identity: Option<&Identity>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.clone()).expect("a ca");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .expect("an identity"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Connects, sends `before` in the clear, and shakes hands.
pub async fn connect(
    address: SocketAddr,
    config: rustls::ClientConfig,
    before: &[u8],
) -> io::Result<TlsStream<TcpStream>> {
    let mut tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    tcp.write_all(before).await?;
    handshake(tcp, config).await
}

pub async fn handshake(
    tcp: TcpStream,
    config: rustls::ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("vault.test").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Whether the server keeps the connection: it sends its HTTP/2 settings, or ends it.
pub async fn is_let_in(stream: io::Result<TlsStream<TcpStream>>) -> bool {
    let Ok(stream) = stream else {
        return false;
    };
    let Ok((mut send, connection)) = h2::client::handshake(stream).await else {
        return false;
    };
    let connection = tokio::spawn(connection);
    // A call that no listener knows is answered only on a connection that is served.
    let request = http::Request::post("http://vault.test/none").body(()).expect("a request");
    let answered = match send.send_request(request, true) {
        Ok((response, _)) => tokio::time::timeout(PATIENCE, response)
            .await
            .expect("answered or ended in time")
            .is_ok(),
        Err(_) => false,
    };
    connection.abort();
    answered
}

fn grpc(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// Sends a Sign without a client library that would watch the time itself.
pub async fn send_sign(
    send: &mut SendRequest<Bytes>,
    timeout: Option<&str>,
) -> h2::client::ResponseFuture {
    let mut request = http::Request::post("http://vault.test/vault.v1.SignService/Sign")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let request = request.body(()).expect("a request");
    poll_fn(|cx| send.poll_ready(cx)).await.expect("served");
    let (response, mut body) = send.send_request(request, false).expect("sent");
    // A front that refuses what the headers say has ended the stream already; the response tells.
    let _ = body.send_data(grpc(&sign_request("a")), true);
    response
}

pub fn execute_request(request_id: &str) -> v1::ExecuteRequest {
    let v1::SignRequest { request_id, credential, request } = sign_request(request_id);
    v1::ExecuteRequest { request_id, credential, request }
}

pub fn sign_request(request_id: &str) -> v1::SignRequest {
    v1::SignRequest {
        request_id: request_id.to_owned(),
        credential: "okx-main".to_owned(),
        request: Some(v1::VenueRequest {
            method: "GET".to_owned(),
            host: "www.okx.com".to_owned(),
            path: "/api/v5/account/balance".to_owned(),
            ..Default::default()
        }),
    }
}

/// A PROXY v2 header for a TCP connection from `source`.
pub fn proxy_header(source: IpAddr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match source {
        IpAddr::V4(source) => {
            header.extend_from_slice(&[0x11, 0, 12]);
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&[10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb]);
        }
        IpAddr::V6(source) => {
            header.extend_from_slice(&[0x21, 0, 36]);
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&[0; 16]);
            header.extend_from_slice(&[0x30, 0x39, 0x01, 0xbb]);
        }
    }
    header
}
