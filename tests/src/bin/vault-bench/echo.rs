//! The empty call that Sign is measured against: its own certificates, tonic on a multi-thread runtime,
//! nothing else. Not touched to win.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::codegen::http;
use tonic::transport::{Channel, Server};

use crate::Error;

/// Calls it.
pub(crate) async fn call(grpc: &mut tonic::client::Grpc<Channel>) -> Result<(), Error> {
    grpc.ready().await?;
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path = http::uri::PathAndQuery::from_static("/bench.Echo/Echo");
    grpc.unary(tonic::Request::new(()), path, codec).await?;
    Ok(())
}

/// One certificate for both ends: the echo trusts its own client.
pub(crate) fn identity() -> &'static (CertificateDer<'static>, Vec<u8>) {
    static IDENTITY: std::sync::OnceLock<(CertificateDer<'static>, Vec<u8>)> =
        std::sync::OnceLock::new();
    IDENTITY.get_or_init(|| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.der().clone(), key.serialize_der())
    })
}

/// Starts it, on threads of its own, as the vault is on its own processes.
pub(crate) fn start() -> Result<SocketAddr, Error> {
    let (certificate, key) = identity();
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
pub(crate) struct Echo;

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
