//! An HTTP client like any other: it has a certificate, a URL and headers, and knows nothing of the
//! vault.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};
use zeroize::Zeroizing;

use super::mismatch::{Mismatch, instead_of};

/// A client that shows one certificate to one server.
pub struct HttpClient {
    server: SocketAddr,
    tls: TlsConnector,
}

/// What the server answered.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl HttpClient {
    /// Takes certificate, key and CA from the files of an identity, as curl would.
    pub fn open(identity: &Path, server: SocketAddr) -> Result<Self, Mismatch> {
        let expected = "an identity whose files an HTTP client can use";
        let read = |name: &str| fs::read(identity.join(name)).map_err(instead_of(expected));
        let certificate =
            |name: &str| CertificateDer::from_pem_slice(&read(name)?).map_err(instead_of(expected));
        let key = Zeroizing::new(read("key.pem")?);
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(instead_of(expected))?;

        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca.pem")?).map_err(instead_of(expected))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(instead_of(expected))?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate("cert.pem")?], key)
            .map_err(instead_of(expected))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { server, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends a request without a body to a path of the server, over a connection of its own.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        (name, value): (&str, &str),
    ) -> Result<Answer, Mismatch> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.server.to_string())
            .header(name, value)
            .body(Empty::<Bytes>::new())
            .map_err(instead_of("an HTTP request"))?;
        let answer = timeout(ANSWER, self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(Mismatch::new("an answer over HTTP", "none in time")))
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>) -> Result<Answer, Mismatch> {
        let expected = "an answer over HTTP";
        let tcp = TcpStream::connect(self.server).await.map_err(instead_of(expected))?;
        tcp.set_nodelay(true).map_err(instead_of(expected))?;
        let name = ServerName::from(self.server.ip());
        let stream = self.tls.connect(name, tcp).await.map_err(instead_of(expected))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(instead_of(expected))?;
        // Its errors come out of the request as well; it ends with the sender.
        tokio::spawn(connection);

        let response = sender.send_request(request).await.map_err(instead_of(expected))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Mismatch::new(expected, error))?.to_bytes();
        let body =
            serde_json::from_slice(&body).map_err(instead_of("an answer over HTTP in JSON"))?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

const ANSWER: Duration = Duration::from_secs(15);
const BODY_BYTES_MAX: usize = 1 << 20;
