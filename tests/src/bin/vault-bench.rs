//! Measures Sign with durable logging on, against an empty tonic echo with the same TLS settings, in
//! alternating rounds of one run, driven by one load generator. Prints JSON on stdout.
//!
//! `cargo run --release -p vault-tests --bin vault-bench -- --connections 8 --streams 16 --seconds 3`

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tonic::codegen::http;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use vault_proto::v1;
use vault_proto::v1::sign_service_client::SignServiceClient;
use vault_tests::TestVault;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How much load, for how long.
#[derive(Clone, Copy)]
struct Load {
    connections: usize,
    streams: usize,
    seconds: u64,
    rounds: usize,
}

fn main() -> Result<(), Error> {
    let load = Load {
        connections: argument("--connections", 8)?,
        streams: argument("--streams", 16)?,
        seconds: argument("--seconds", 3)? as u64,
        rounds: argument("--rounds", 3)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(load))?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn argument(name: &str, default: usize) -> Result<usize, Error> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match (arguments.next(), arguments.next()) {
        (Some(_), Some(value)) => Ok(value.parse()?),
        (Some(_), None) => Err(format!("{name} wants a number").into()),
        _ => Ok(default),
    }
}

async fn measure(load: Load) -> Result<Value, Error> {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bench", vault_tests::OKX_SCOPE, &[]).await;
    let identity = bot.identity();
    let tls = Arc::new(client_tls(identity.folder())?);
    let sign_address: SocketAddr = identity.address().parse()?;
    let echo_address = start_echo()?;

    let mut rounds = Vec::new();
    let alone = Load { connections: 1, streams: 1, ..load };
    for _ in 0..load.rounds {
        for (scenario, load) in [("loaded", load), ("alone", alone)] {
            let echo = run(load, echo_address, echo_tls()?, |channel| {
                Box::pin(async move { echo(&mut tonic::client::Grpc::new(channel)).await })
            })
            .await?;
            let sign = run(load, sign_address, Arc::clone(&tls), |channel| {
                Box::pin(async move { sign(&mut SignServiceClient::new(channel)).await })
            })
            .await?;
            rounds.push((scenario, echo, sign));
        }
    }
    let summary = |wanted: &str| {
        let (echo, sign): (Vec<&Round>, Vec<&Round>) = rounds
            .iter()
            .filter(|(scenario, ..)| *scenario == wanted)
            .map(|(_, echo, sign)| (echo, sign))
            .unzip();
        let ratios: Vec<f64> =
            echo.iter().zip(&sign).map(|(echo, sign)| sign.per_second / echo.per_second).collect();
        json!({
            "echo": describe(&echo),
            "sign": describe(&sign),
            "sign_per_echo": { "median": median(&ratios), "all": ratios },
        })
    };
    Ok(json!({
        "what": "OKX order, HMAC-SHA256, mTLS, policy, closure, synced log",
        "connections": load.connections,
        "streams": load.streams,
        "seconds_per_round": load.seconds,
        "rounds": load.rounds,
        "cores": std::thread::available_parallelism()?.get(),
        "loaded": summary("loaded"),
        "alone": summary("alone"),
    }))
}

/// What one round of one server gave.
struct Round {
    per_second: f64,
    p50_us: u32,
    p99_us: u32,
    p999_us: u32,
}

fn describe(rounds: &[&Round]) -> Value {
    let of = |pick: fn(&Round) -> f64| {
        median(&rounds.iter().map(|round| pick(round)).collect::<Vec<_>>())
    };
    json!({
        "per_second": of(|round| round.per_second).round(),
        "p50_us": of(|round| round.p50_us.into()),
        "p99_us": of(|round| round.p99_us.into()),
        "p999_us": of(|round| round.p999_us.into()),
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Drives `call` in a closed loop over all connections and streams.
async fn run(
    load: Load,
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    call: fn(Channel) -> BoxFuture<'static, Result<(), Error>>,
) -> Result<Round, Error> {
    let mut channels = Vec::new();
    for _ in 0..load.connections {
        channels.push(connect(address, Arc::clone(&tls)).await?);
    }
    for channel in &channels {
        call(channel.clone()).await?;
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(load.seconds);
    let mut tasks = Vec::new();
    for channel in channels {
        for _ in 0..load.streams {
            let channel = channel.clone();
            tasks.push(tokio::spawn(async move {
                let mut latencies = Vec::with_capacity(65_536);
                while Instant::now() < end {
                    let sent = Instant::now();
                    call(channel.clone()).await?;
                    latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                Ok::<_, Error>(latencies)
            }));
        }
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.append(&mut task.await??);
    }
    let per_second = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    Ok(Round { per_second, p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999) })
}

async fn sign(client: &mut SignServiceClient<Channel>) -> Result<(), Error> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let request = v1::SignRequest {
        request_id: format!("bench-{}-{number}", std::process::id()),
        credential: "okx-main".to_owned(),
        request: Some(v1::VenueRequest {
            method: "POST".to_owned(),
            scheme: String::new(),
            host: "www.okx.com".to_owned(),
            path: "/api/v5/trade/order".to_owned(),
            query: String::new(),
            body: ORDER.to_vec(),
            headers: Vec::new(),
        }),
    };
    let response = client.sign(request).await?.into_inner();
    if response.receipt.is_none() {
        return Err("a signature without a receipt".into());
    }
    Ok(())
}

const ORDER: &[u8] = br#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001"}"#;

async fn echo(grpc: &mut tonic::client::Grpc<Channel>) -> Result<(), Error> {
    grpc.ready().await?;
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = http::uri::PathAndQuery::from_static("/bench.Echo/Echo");
    grpc.unary(tonic::Request::new(()), path, codec).await?;
    Ok(())
}

async fn connect(address: SocketAddr, tls: Arc<rustls::ClientConfig>) -> Result<Channel, Error> {
    let connector = tower::service_fn(move |_: Uri| {
        let tls = tokio_rustls::TlsConnector::from(Arc::clone(&tls));
        async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::from(address.ip());
            let stream = tls.connect(name, stream).await?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("https://bench.invalid");
    Ok(endpoint.connect_with_connector(connector).await?)
}

fn client_tls(folder: &Path) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem"))?)?;
    let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem"))?];
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
    with_h2(roots, chain, key)
}

fn with_h2(
    roots: rustls::RootCertStore,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

// --- The echo: its own certificates, tonic on a multi-thread runtime, nothing else. ---

/// One certificate for both ends: the echo trusts its own client.
fn echo_identity() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static IDENTITY: std::sync::OnceLock<(CertificateDer<'static>, Vec<u8>)> =
        std::sync::OnceLock::new();
    IDENTITY.get_or_init(|| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.der().clone(), key.serialize_der())
    })
}

fn echo_tls() -> Result<Arc<rustls::ClientConfig>, Error> {
    let (certificate, key) = echo_identity();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone())?;
    let key = PrivateKeyDer::Pkcs8(key.clone().into());
    Ok(Arc::new(with_h2(roots, vec![certificate.clone()], key)?))
}

fn start_echo() -> Result<SocketAddr, Error> {
    let (certificate, key) = echo_identity();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone())?;
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    )
    .build()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::Pkcs8(key.clone().into()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    // On threads of its own, as the vault is on its own processes.
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let (streams, incoming) = tokio::sync::mpsc::channel(64);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, streams) = (acceptor.clone(), streams.clone());
                    tokio::spawn(async move {
                        let _ = stream.set_nodelay(true);
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = streams.send(Ok::<_, std::io::Error>(stream)).await;
                        }
                    });
                }
            });
            let incoming = tokio_stream::wrappers::ReceiverStream::new(incoming);
            Server::builder()
                .add_service(Echo)
                .serve_with_incoming(incoming)
                .await
                .expect("the echo serves");
        });
    });
    Ok(address)
}

/// Answers every call with nothing.
#[derive(Clone)]
struct Echo;

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl tower::Service<http::Request<tonic::body::Body>> for Echo {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            let mut grpc = tonic::server::Grpc::new(codec);
            let answer = tower::service_fn(|_: tonic::Request<()>| async {
                Ok::<_, tonic::Status>(tonic::Response::new(()))
            });
            Ok(grpc.unary(answer, request).await)
        })
    }
}
