//! A collector that listens for real, and keeps what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::SOON;

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// It takes what it gets.
    Take,
    /// It reads, and says nothing.
    Hang,
    /// With this status line, and takes nothing.
    Refuse(&'static str),
}

pub struct Collector {
    address: SocketAddr,
    got: Arc<Got>,
}

#[derive(Default)]
struct Got {
    bodies: Mutex<Vec<Vec<u8>>>,
    heads: Mutex<Vec<String>>,
    more: Notify,
}

impl Collector {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let got = Arc::new(Got::default());
        let sink = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer, Arc::clone(&sink)));
            }
        });
        Self { address, got }
    }

    /// One that nobody answers at.
    pub async fn away() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        Self { address, got: Arc::default() }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All bytes that came, bodies and heads.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.got.bodies.lock().expect("whole").concat();
        bytes.extend(self.got.heads.lock().expect("whole").concat().into_bytes());
        bytes
    }

    pub fn heads(&self) -> Vec<String> {
        self.got.heads.lock().expect("whole").clone()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let bodies = self.got.bodies.lock().expect("whole");
        let decode = |body: &Vec<u8>| ExportTraceServiceRequest::decode(body.as_slice());
        bodies.iter().map(|body| decode(body).expect("OTLP")).collect()
    }

    pub fn resources(&self) -> Vec<Resource> {
        let requests = self.requests().into_iter().flat_map(|request| request.resource_spans);
        requests.map(|of_resource| of_resource.resource.expect("a resource")).collect()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.requests()
            .into_iter()
            .flat_map(|request| request.resource_spans)
            .flat_map(|of_resource| of_resource.scope_spans)
            .flat_map(|of_scope| of_scope.spans)
            .collect()
    }

    /// Waits until there are spans as they should be.
    pub async fn until(&self, holds: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let waited = async {
            loop {
                let more = self.got.more.notified();
                let spans = self.spans();
                if holds(&spans) {
                    return spans;
                }
                more.await;
            }
        };
        let waited = tokio::time::timeout(SOON, waited).await;
        waited.unwrap_or_else(|_| panic!("not in time: {:#?}", self.spans()))
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, got: Arc<Got>) {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.expect("read") == 0 {
            return;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).expect("text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    let whole = head_end + length.expect("a length");
    while bytes.len() < whole {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("read"), 0, "cut off");
    }
    got.heads.lock().expect("whole").push(head);
    let status = match answer {
        Answer::Hang => return std::future::pending().await,
        Answer::Refuse(status) => status,
        Answer::Take => {
            got.bodies.lock().expect("whole").push(bytes[head_end..whole].to_vec());
            "200 OK"
        }
    };
    got.more.notify_one();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // The vault may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
}
