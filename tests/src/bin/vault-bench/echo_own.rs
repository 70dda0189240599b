//! The empty call on the vault's own runtime and HTTP stack: one thread, hyper's HTTP/2 with the
//! front's settings, and the same handler as the pinned echo behind tonic's routes. It has no gate,
//! no turns and no other process behind it: what Sign costs beyond it is the vault's.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::PrivateKeyDer;
use tonic::service::Routes;
use vault_front::Limits;

use crate::Error;
use crate::echo::{Echo, identity};

/// Starts it, on a thread of its own.
pub(crate) fn start() -> Result<SocketAddr, Error> {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server_tls()?));
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let routes = Routes::new(Echo).prepare();
            let limits = Arc::new(Limits::default());
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, routes) = (acceptor.clone(), routes.clone());
                tokio::spawn(serve(stream, acceptor, routes, Arc::clone(&limits)));
            }
        });
    });
    Ok(address)
}

/// As `vault-server/front/src/serve.rs` does.
async fn serve(
    stream: tokio::net::TcpStream,
    acceptor: tokio_rustls::TlsAcceptor,
    routes: Routes,
    limits: Arc<Limits>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    // How it ends is the client's affair.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_connection_window_size(limits.connection_window_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_concurrent_streams(limits.streams)
        .max_frame_size(limits.frame_bytes)
        .max_header_list_size(limits.header_list_bytes)
        .max_local_error_reset_streams(limits.local_error_reset_streams)
        .max_pending_accept_reset_streams(limits.pending_accept_reset_streams)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .await;
}

/// As the pinned echo's.
fn server_tls() -> Result<rustls::ServerConfig, Error> {
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
    Ok(config)
}
