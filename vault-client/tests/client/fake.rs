//! A vault in this process: a CA, a core identity, and services that check signatures.

mod market;
mod service;

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, SerialNumber,
};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use vault_client::v1::audit_service_server::AuditServiceServer;
use vault_client::v1::client_service_server::ClientServiceServer;
use vault_client::v1::credential_service_server::CredentialServiceServer;
use vault_client::v1::halt_service_server::HaltServiceServer;
use vault_client::v1::instrument_service_server::InstrumentServiceServer;
use vault_client::v1::price_service_server::PriceServiceServer;
use vault_client::v1::scope_service_server::ScopeServiceServer;
use vault_client::v1::seal_service_server::SealServiceServer;
use vault_client::v1::sign_service_server::SignServiceServer;
use vault_client::v1::{self, Role, SignedCommand};
use vault_proto::sealed::{TicketKey, ticket_signing_bytes};
use vault_proto::token::Token;
use zeroize::Zeroizing;

/// A vault that is running.
#[derive(Clone)]
pub struct Fake(Arc<Inner>);

struct Inner {
    address: String,
    ca_der: Vec<u8>,
    ca: Issuer<'static, KeyPair>,
    core: Ed25519KeyPair,
    state: Mutex<State>,
}

/// What the test sets, and what the vault was told.
pub struct State {
    /// Invitations: public key, name and role by token id.
    pub invitations: HashMap<Vec<u8>, (Vec<u8>, String, Role)>,
    /// Keys that were certified, as DER SubjectPublicKeyInfo; one for each answer.
    pub certified: Vec<Vec<u8>>,
    /// How long certificates last.
    pub lifetime: Duration,
    /// How much of that is over when they are issued.
    pub used_up: Duration,
    /// Breaks the connection instead of answering, so many times.
    pub breaks: u32,
    /// Answers the next calls with this.
    pub refusal: Option<Status>,
    /// Signs tickets with a key that is not the core's.
    pub forges_tickets: bool,
    /// Hands out a core key that is not the token's.
    pub other_core: bool,
    /// Commands that verified.
    pub commands: Vec<SignedCommand>,
    /// Serials of those who signed, beside `commands`.
    pub serials: Vec<Vec<u8>>,
    /// Secrets that opened: the metadata and the plain text.
    pub opened: Vec<(Vec<u8>, Vec<u8>)>,
    /// Sign requests, and the serial of each caller.
    pub signs: Vec<(v1::SignRequest, Vec<u8>)>,
    /// What Export answers.
    pub export: Vec<v1::ExportResponse>,
    /// What the list of credentials is; absent: it is refused.
    pub credentials: Option<Vec<v1::CredentialInfo>>,
    /// Scopes that are stored, by name; any other is there, and grants nothing.
    pub scopes: HashMap<String, v1::Scope>,
    /// Clients that are listed.
    pub clients: Vec<v1::ClientInfo>,
    /// How many a page of them has; absent: all.
    pub page_rows: Option<usize>,
    /// After so many pages there is the first of them again; 0: there is not.
    pub pages_in_a_ring: usize,
    /// Feeds that are listed.
    pub feeds: Vec<v1::FeedInfo>,
    /// Instruments that are stored.
    pub instruments: Vec<v1::Instrument>,
    /// What a replay answers, one after the other.
    pub replays: Vec<v1::GetReplayResponse>,
    tickets: HashMap<Vec<u8>, (TicketKey, v1::SealTicket)>,
}

pub const INSTANCE: [u8; 16] = [9; 16];

impl Fake {
    /// Starts one on a port of its own. It ends with the runtime.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (ca, ca_der) = authority();
        let (chain, key) = server_certificate(&ca, &ca_der);
        let fake = Self(Arc::new(Inner {
            address,
            ca_der,
            ca,
            core: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes"),
            state: Mutex::new(State {
                invitations: HashMap::new(),
                certified: Vec::new(),
                lifetime: Duration::from_secs(24 * 3_600),
                used_up: Duration::ZERO,
                breaks: 0,
                refusal: None,
                forges_tickets: false,
                other_core: false,
                commands: Vec::new(),
                serials: Vec::new(),
                opened: Vec::new(),
                signs: Vec::new(),
                export: Vec::new(),
                credentials: None,
                scopes: HashMap::new(),
                clients: Vec::new(),
                feeds: Vec::new(),
                instruments: Vec::new(),
                page_rows: None,
                pages_in_a_ring: 0,
                replays: Vec::new(),
                tickets: HashMap::new(),
            }),
        }));
        tokio::spawn(serve(fake.clone(), listener, chain, key));
        fake
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no test panics with it")
    }

    pub fn core_public_key(&self) -> Vec<u8> {
        self.0.core.public_key().as_ref().to_vec()
    }

    /// A token for somebody new.
    pub fn token(&self, name: &str, role: Role) -> Token {
        let mut state = self.state();
        let id = [state.invitations.len() as u8 + 1; 16];
        let token = Token::new(
            id,
            Zeroizing::new([id[0]; 32]),
            Sha256::digest(&self.0.ca_der).into(),
            Sha256::digest(self.core_public_key()).into(),
            i64::MAX,
            self.address().to_owned(),
        );
        let invitation = (token.public_key().to_vec(), name.to_owned(), role);
        state.invitations.insert(id.to_vec(), invitation);
        token
    }

    fn ticket(&self, purpose: &str) -> v1::SealTicket {
        let key = TicketKey::generate();
        let mut state = self.state();
        let mut ticket = v1::SealTicket {
            id: vec![state.tickets.len() as u8 + 1; 16],
            purpose: purpose.to_owned(),
            public_key: key.public_key().to_vec(),
            expires_at_ms: i64::MAX,
            signature: Vec::new(),
            core_public_key: self.core_public_key(),
            instance_id: INSTANCE.to_vec(),
        };
        let forger = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).expect("32 bytes");
        let signer = if state.forges_tickets { &forger } else { &self.0.core };
        ticket.core_public_key = signer.public_key().as_ref().to_vec();
        ticket.signature = signer.sign(&ticket_signing_bytes(&ticket)).as_ref().to_vec();
        state.tickets.insert(ticket.id.clone(), (key, ticket.clone()));
        ticket
    }

    fn open(&self, ticket_id: &[u8], metadata: &[u8], sealed: &[u8]) -> Result<(), Status> {
        let mut state = self.state();
        let (key, ticket) =
            state.tickets.remove(ticket_id).ok_or_else(|| Status::not_found("no such ticket"))?;
        let plain = key
            .open(&ticket, metadata, sealed)
            .map_err(|_| Status::invalid_argument("does not open"))?;
        state.opened.push((metadata.to_vec(), plain.to_vec()));
        Ok(())
    }

    /// Certifies a CSR's key.
    fn issue(&self, csr: &[u8]) -> Vec<u8> {
        let mut csr =
            CertificateSigningRequestParams::from_der(&csr.into()).expect("a CSR with its proof");
        let mut state = self.state();
        let not_before = SystemTime::now() - state.used_up;
        csr.params.not_before = not_before.into();
        csr.params.not_after = (not_before + state.lifetime).into();
        csr.params.serial_number =
            Some(SerialNumber::from(vec![state.certified.len() as u8 + 1; 16]));
        csr.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = csr.signed_by(&self.0.ca).expect("signed");
        state.certified.push(spki(certificate.der()));
        certificate.der().to_vec()
    }

    /// Does what the core does with a command, and decodes its body.
    fn command<C: Message + Default>(
        &self,
        method: &str,
        caller: Option<&Peer>,
        command: Option<SignedCommand>,
    ) -> Result<C, Status> {
        let peer = caller
            .and_then(|peer| peer.certificate.clone())
            .ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let command = command.ok_or_else(|| Status::unauthenticated("no command"))?;
        let (serial, public_key) = serial_and_key(&peer);
        let message = vault_proto::command::signing_bytes(
            method,
            serial.as_slice().try_into().expect("16 bytes"),
            &command.nonce,
            command.expires_at_ms,
            &command.body,
        )
        .expect("short");
        let verified = if public_key.len() == 32 {
            UnparsedPublicKey::new(&ED25519, &public_key).verify(&message, &command.signature)
        } else {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &public_key)
                .verify(&message, &command.signature)
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let left_ms = command.expires_at_ms - now.as_millis() as i64;
        if command.method != method || verified.is_err() || !(1..=60_000).contains(&left_ms) {
            return Err(Status::unauthenticated("the command does not verify"));
        }
        let mut state = self.state();
        let body = C::decode(command.body.as_slice()).expect("its message");
        state.commands.push(command);
        state.serials.push(serial);
        match state.refusal.take() {
            Some(refusal) => Err(refusal),
            None => Ok(body),
        }
    }
}

impl State {
    /// The newest command of this method, decoded.
    pub fn last<C: Message + Default>(&self, method: &str) -> Option<C> {
        let command = self.commands.iter().rev().find(|command| command.method == method)?;
        Some(C::decode(command.body.as_slice()).expect("its message"))
    }
}

/// A refusal as the front makes them.
pub fn refusal(code: Code, reason: &str, message: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, vault_proto::ERROR_DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

fn authority() -> (Issuer<'static, KeyPair>, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "test CA");
    let certificate = params.self_signed(&key).expect("signed");
    (Issuer::new(params, key), certificate.der().to_vec())
}

fn server_certificate(ca: &Issuer<'_, KeyPair>, ca_der: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = params.signed_by(&key, ca).expect("signed");
    (vec![leaf.der().to_vec(), ca_der.to_vec()], key.serialize_der())
}

/// SubjectPublicKeyInfo of a certificate.
pub fn spki(certificate: &[u8]) -> Vec<u8> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).expect("a certificate");
    parsed.public_key().raw.to_vec()
}

fn serial_and_key(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).expect("a certificate");
    let serial = vault_model::Serial::from_der_integer(parsed.raw_serial()).expect("16 bytes");
    (serial.0.to_vec(), parsed.public_key().subject_public_key.data.to_vec())
}

async fn serve(fake: Fake, listener: TcpListener, chain: Vec<Vec<u8>>, key: Vec<u8>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(fake.0.ca_der.clone().into()).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    )
    .allow_unauthenticated()
    .build()
    .expect("a verifier");
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            chain.into_iter().map(Into::into).collect(),
            rustls_pki_types::PrivatePkcs8KeyDer::from(key).into(),
        )
        .expect("its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (sender, connections) = tokio::sync::mpsc::channel::<io::Result<Connection>>(16);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(tcp).await {
                    let _ = sender.send(Ok(Connection::new(stream))).await;
                }
            });
        }
    });
    tonic::transport::Server::builder()
        .add_service(AuditServiceServer::new(fake.clone()))
        .add_service(ClientServiceServer::new(fake.clone()))
        .add_service(CredentialServiceServer::new(fake.clone()))
        .add_service(HaltServiceServer::new(fake.clone()))
        .add_service(InstrumentServiceServer::new(fake.clone()))
        .add_service(PriceServiceServer::new(fake.clone()))
        .add_service(ScopeServiceServer::new(fake.clone()))
        .add_service(SealServiceServer::new(fake.clone()))
        .add_service(SignServiceServer::new(fake))
        .serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(connections))
        .await
        .expect("serves");
}

/// Who is at the other end of a connection, and a way to break it.
#[derive(Clone)]
pub struct Peer {
    certificate: Option<Vec<u8>>,
    broken: Arc<AtomicBool>,
}

struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

impl Connection {
    fn new(stream: TlsStream<TcpStream>) -> Self {
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
        Self { stream, peer: Peer { certificate, broken: Arc::default() } }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.peer.broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
