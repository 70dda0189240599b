//! Venues of TLS and bytes, and an egress between them and two ends of channels.

use std::collections::{HashMap, VecDeque};
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use vault_ipc::proto::v1::Header;
use vault_ipc::{
    Barrier, BarrierDone, Dispatch, Health, Kind, Outcome, StreamCut, StreamDial, StreamEnd,
    StreamMessage, StreamReady, StreamSend, VenueBody, VenueEnd, VenueHead,
};

use crate::name::Names;
use crate::{EgressConfig, EgressError, Limits, Override};

pub(super) const HOST: &str = "api.venue.example";

/// What a venue does with a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// These bytes, then the next request.
    Say(Vec<u8>),
    /// Pieces that are flushed one by one.
    SayInPieces(Vec<Vec<u8>>),
    /// These bytes, then a FIN.
    SayAndClose(Vec<u8>),
    /// These bytes, then a RST.
    SayAndReset(Vec<u8>),
    /// Nothing for so long, then these bytes.
    Wait(Duration, Vec<u8>),
    /// Nothing for so long, then a FIN.
    WaitAndClose(Duration),
}

/// An answer in HTTP/1.1.
pub(super) fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

pub(super) fn ok(body: &str) -> Reply {
    Reply::Say(http("200 OK", "content-type: application/json\r\n", body))
}

type Answer = dyn Fn(usize, &str) -> Reply + Send + Sync;

/// A venue on a thread of its own.
pub(super) struct Venue {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
pub(super) struct Seen {
    connections: usize,
    pub(super) requests: Vec<Vec<u8>>,
}

/// A certificate that vouches for itself, and its key.
pub(super) struct Identity {
    pub(super) pem: String,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    pub(super) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        Self {
            pem: made.cert.pem(),
            der: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    pub(super) fn acceptor(&self, alpn: &[&[u8]]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("an identity");
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Venue {
    /// Speaks HTTP/1.1. `answer` gets the number of the request, from 0, and its text.
    pub(super) fn plain(
        identity: &Identity,
        answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let acceptor = identity.acceptor(&[b"http/1.1"]);
        let answer: Arc<Answer> = Arc::new(answer);
        Self::start(move |socket, seen| {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    plain(stream, &seen, &*answer).await;
                }
            }
        })
    }

    /// Speaks HTTP/2; answers `wait` after each request with its path. Some paths are special.
    pub(super) fn framed(identity: &Identity, wait: Duration) -> Self {
        let acceptor = identity.acceptor(&[b"h2"]);
        Self::start(move |socket, seen| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    framed(stream, seen, wait).await;
                }
            }
        })
    }

    /// Speaks HTTP/1.1 for one request. Later connections end after `wait`, without TLS.
    pub(super) fn plain_once(identity: &Identity, wait: Duration) -> Self {
        let acceptor = identity.acceptor(&[b"http/1.1"]);
        Self::start(move |socket, seen| {
            let acceptor = acceptor.clone();
            async move {
                if seen.lock().expect("whole").connections > 1 {
                    tokio::time::sleep(wait).await;
                } else if let Ok(stream) = acceptor.accept(socket).await {
                    let answer = |_: usize, _: &str| Reply::SayAndClose(http("200 OK", "", "{}"));
                    plain(stream, &seen, &answer).await;
                }
            }
        })
    }

    /// Speaks HTTP/2 with wide windows. After the first head of a connection it reads nothing until the
    /// gate has a permit; then all, and notes `end` where the connection ends.
    pub(super) fn framed_behind(identity: &Identity, gate: &Arc<Semaphore>) -> Self {
        let (acceptor, gate) = (identity.acceptor(&[b"h2"]), Arc::clone(gate));
        Self::start(move |socket, seen| {
            let (acceptor, gate) = (acceptor.clone(), Arc::clone(&gate));
            async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let mut wide = h2::server::Builder::new();
                wide.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
                let Ok(mut connection) = wide.handshake::<_, Bytes>(stream).await else { return };
                // Dropped, they would be reset.
                let mut held = Vec::new();
                while let Some(Ok(accepted)) = connection.accept().await {
                    let head = accepted.0.uri().to_string().into_bytes();
                    held.push(accepted);
                    seen.lock().expect("whole").requests.push(head);
                    drop(gate.acquire().await);
                }
                seen.lock().expect("whole").requests.push(b"end".to_vec());
            }
        })
    }

    /// Takes connections and does as told with them.
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream, Arc<Mutex<Seen>>) -> F + Send + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (address_is, address) = std::sync::mpsc::channel();
        let counted = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let socket = TcpSocket::new_v4().expect("a socket");
                // Small, so that a large request cannot vanish into it.
                socket.set_recv_buffer_size(4096).expect("set");
                socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
                let listener: TcpListener = socket.listen(64).expect("listening");
                address_is.send(listener.local_addr().expect("an address")).expect("told");
                loop {
                    let (socket, _) = listener.accept().await.expect("a connection");
                    counted.lock().expect("whole").connections += 1;
                    tokio::spawn(serve(socket, Arc::clone(&counted)));
                }
            });
        });
        Self { address: address.recv().expect("an address"), seen }
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().expect("whole").connections
    }

    pub(super) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("whole");
        seen.requests.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect()
    }

    /// Waits until what it has seen is what is waited for.
    pub(super) fn wait_until(&self, what: &str, is_there: impl Fn(&[String]) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_there(&self.requests()) {
            assert!(Instant::now() < until, "{what} never came: {:?}", self.requests());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn plain(mut stream: TlsStream<TcpStream>, seen: &Mutex<Seen>, answer: &Answer) {
    let mut bytes = Vec::new();
    loop {
        while !is_whole(&bytes) {
            match stream.read_buf(&mut bytes).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
        let request = std::mem::take(&mut bytes);
        let text = String::from_utf8_lossy(&request).into_owned();
        let number = {
            let mut seen = seen.lock().expect("whole");
            seen.requests.push(request);
            seen.requests.len() - 1
        };
        let said = match answer(number, &text) {
            Reply::Say(said) => stream.write_all(&said).await,
            Reply::SayAndClose(said) => {
                let _ = stream.write_all(&said).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::SayAndReset(said) => {
                let _ = stream.write_all(&said).await;
                let _ = stream.flush().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = stream.get_ref().0.set_zero_linger();
                return;
            }
            Reply::SayInPieces(pieces) => {
                for piece in pieces {
                    if stream.write_all(&piece).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Ok(())
            }
            Reply::Wait(wait, said) => {
                tokio::time::sleep(wait).await;
                stream.write_all(&said).await
            }
            Reply::WaitAndClose(wait) => {
                tokio::time::sleep(wait).await;
                let _ = stream.shutdown().await;
                return;
            }
        };
        if said.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length"));
    bytes.len() >= head.len() + 4 + length
}

async fn framed(stream: TlsStream<TcpStream>, seen: Arc<Mutex<Seen>>, wait: Duration) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut text = format!("{} {}\r\n", head.method, head.uri);
            for (name, value) in &head.headers {
                text += &format!("{name}: {}\r\n", value.to_str().expect("text"));
            }
            text += "\r\n";
            let mut bytes = text.into_bytes();
            if head.uri.path() == "/unread" {
                // Its window stays shut.
                seen.lock().expect("whole").requests.push(bytes);
                tokio::time::sleep(Duration::from_secs(10)).await;
                return;
            }
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                bytes.extend_from_slice(&piece);
            }
            let path = head.uri.path().to_owned();
            seen.lock().expect("whole").requests.push(bytes);
            tokio::time::sleep(wait).await;
            if path == "/refused" {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                return;
            }
            let response = http::Response::builder().status(200).header("x-path", path.clone());
            let response = response.body(()).expect("a response");
            if let Ok(mut stream) = respond.send_response(response, false) {
                let _ = stream
                    .send_data(Bytes::from(format!("{{\"path\":\"{path}\"}}")), path != "/reset");
                if path == "/reset" {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream.send_reset(h2::Reason::INTERNAL_ERROR);
                }
            }
        });
    }
}

/// An egress on a thread of its own, and the far ends of its channels.
pub(super) struct Egress {
    core: UnixStream,
    front: Option<UnixStream>,
    thread: JoinHandle<Result<(), EgressError>>,
    outcomes: HashMap<u64, Outcome>,
    done: Vec<u64>,
    answers: HashMap<u64, Answered>,
    events: HashMap<u64, VecDeque<Event>>,
    ends: HashMap<u64, StreamEnd>,
    health: Option<Health>,
}

/// What the front is told of a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    End(StreamEnd),
    Message(StreamMessage),
    Ready(StreamReady),
}

impl Event {
    #[track_caller]
    pub(super) fn text(self) -> String {
        match self {
            Self::Message(StreamMessage { bytes, binary: false }) => {
                String::from_utf8(bytes).expect("text")
            }
            other => panic!("{other:?} is no text"),
        }
    }

    #[track_caller]
    pub(super) fn ends(self, code: u32, problem: &str) {
        assert_eq!(self, Self::End(StreamEnd { code, problem: problem.to_owned() }));
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    pub(super) head: Option<VenueHead>,
    pub(super) body: Vec<u8>,
    pub(super) end: Option<VenueEnd>,
}

impl Answered {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn status(&self) -> u32 {
        self.head.as_ref().map_or(0, |head| head.status)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let headers = &self.head.as_ref()?.headers;
        headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }
}

/// Everything that can be told of a request.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) answer: Answered,
    pub(super) outcome: Outcome,
}

impl Told {
    /// `PROBLEM sent attempts`.
    #[track_caller]
    pub(super) fn is(&self, problem: &str, sent: bool, attempts: u32) {
        let Outcome { problem: code, sent: was_sent, attempts: times, .. } = &self.outcome;
        assert_eq!((code.as_str(), *was_sent, *times), (problem, sent, attempts));
        let end = self.answer.end.as_ref().expect("an end");
        assert_eq!((end.problem.as_str(), end.sent), (problem, sent));
    }
}

impl Egress {
    pub(super) fn new(venue: &Venue, identity: &Identity) -> Self {
        Self::with(&[(HOST, venue.address, Some(&identity.pem))], Names::Nobody, |_| {})
    }

    pub(super) fn with(
        hosts: &[(&str, SocketAddr, Option<&str>)],
        names: Names,
        change: impl FnOnce(&mut EgressConfig),
    ) -> Self {
        let (core, ours) = UnixStream::pair().expect("a pair");
        let (front, theirs) = UnixStream::pair().expect("a pair");
        let overrides = hosts
            .iter()
            .map(|(host, connect, pem)| Override {
                host: (*host).to_owned(),
                connect: *connect,
                roots_pem: pem.map(|pem| pem.as_bytes().to_vec()),
            })
            .collect();
        let mut config = EgressConfig {
            core: ours,
            front: theirs,
            limits: Limits::default(),
            roots_pem: None,
            sources: HashMap::new(),
            overrides,
        };
        change(&mut config);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime.expect("a runtime"), crate::serve::serve(config, names))
        });
        for stream in [&core, &front] {
            stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        }
        Self {
            core,
            front: Some(front),
            thread,
            outcomes: HashMap::new(),
            done: Vec::new(),
            answers: HashMap::new(),
            events: HashMap::new(),
            ends: HashMap::new(),
            health: None,
        }
    }

    pub(super) fn dispatch(&mut self, correlation: u64, dispatch: &Dispatch) {
        vault_ipc::write(&mut self.core, Kind::Dispatch, correlation, dispatch).expect("written");
    }

    pub(super) fn barrier(&mut self, id: u64) {
        let barrier = Barrier { id, cut_serials: Vec::new() };
        vault_ipc::write(&mut self.core, Kind::Barrier, 0, &barrier).expect("written");
    }

    pub(super) fn wait_for_barrier(&mut self, id: u64) {
        while !self.done.contains(&id) {
            self.hear_core();
        }
    }

    pub(super) fn outcome(&mut self, correlation: u64) -> Outcome {
        loop {
            if let Some(outcome) = self.outcomes.remove(&correlation) {
                return outcome;
            }
            self.hear_core();
        }
    }

    pub(super) fn has_outcome(&self, correlation: u64) -> bool {
        self.outcomes.contains_key(&correlation)
    }

    fn hear_core(&mut self) {
        let frame = vault_ipc::read(&mut self.core).expect("read").expect("a frame");
        match frame.kind {
            Kind::Outcome => {
                let outcome = frame.message().expect("an outcome");
                let twice = self.outcomes.insert(frame.correlation, outcome);
                assert!(twice.is_none(), "one outcome each");
            }
            Kind::BarrierDone => self.done.push(frame.message::<BarrierDone>().expect("one").id),
            Kind::Health => self.health = Some(frame.message().expect("health")),
            Kind::Usage => {}
            Kind::StreamEnd => {
                let twice = self.ends.insert(frame.correlation, frame.message().expect("an end"));
                assert!(twice.is_none(), "one end each");
            }
            other => panic!("{other:?} to the core"),
        }
    }

    pub(super) fn answer(&mut self, correlation: u64) -> Answered {
        loop {
            if self.answers.get(&correlation).is_some_and(|answer| answer.end.is_some()) {
                return self.answers.remove(&correlation).expect("seen");
            }
            self.hear_front();
        }
    }

    fn hear_front(&mut self) {
        let front = self.front.as_mut().expect("a front");
        let frame = vault_ipc::read(front).expect("read").expect("a frame");
        let event = match frame.kind {
            Kind::StreamEnd => Event::End(frame.message().expect("an end")),
            Kind::StreamMessage => Event::Message(frame.message().expect("a message")),
            Kind::StreamReady => Event::Ready(frame.message().expect("ready")),
            Kind::VenueBody | Kind::VenueEnd | Kind::VenueHead => {
                let answer = self.answers.entry(frame.correlation).or_default();
                assert!(answer.end.is_none(), "nothing comes after the end");
                match frame.kind {
                    Kind::VenueBody => {
                        let piece = frame.message::<VenueBody>().expect("a piece").bytes;
                        assert!(answer.head.is_some() && (1..=65_536).contains(&piece.len()));
                        answer.body.extend(piece);
                    }
                    Kind::VenueEnd => answer.end = Some(frame.message().expect("an end")),
                    _ => {
                        let twice = answer.head.replace(frame.message().expect("a head"));
                        assert!(twice.is_none(), "one head each");
                    }
                }
                return;
            }
            other => panic!("{other:?} to the front"),
        };
        self.events.entry(frame.correlation).or_default().push_back(event);
    }

    /// The next that the front is told of a WebSocket.
    pub(super) fn event(&mut self, correlation: u64) -> Event {
        loop {
            let next = self.events.get_mut(&correlation).and_then(VecDeque::pop_front);
            if let Some(event) = next {
                return event;
            }
            self.hear_front();
        }
    }

    /// How the core is told that a WebSocket has ended.
    pub(super) fn end(&mut self, correlation: u64) -> StreamEnd {
        loop {
            if let Some(end) = self.ends.remove(&correlation) {
                return end;
            }
            self.hear_core();
        }
    }

    /// How many events of a WebSocket the front has been told that nobody has asked for yet.
    pub(super) fn events_left(&self, correlation: u64) -> usize {
        self.events.get(&correlation).map_or(0, VecDeque::len)
    }

    /// What the core is told next of how venues are.
    pub(super) fn health(&mut self) -> Health {
        loop {
            if let Some(health) = self.health.take() {
                return health;
            }
            self.hear_core();
        }
    }

    pub(super) fn dial(&mut self, correlation: u64, dial: &StreamDial) {
        vault_ipc::write(&mut self.core, Kind::StreamDial, correlation, dial).expect("written");
    }

    /// Dials, and waits until it stands.
    pub(super) fn stand(&mut self, correlation: u64, dial: &StreamDial) {
        self.dial(correlation, dial);
        let event = self.event(1_000 + correlation);
        assert!(matches!(&event, Event::Ready(ready) if ready.latency_us > 0), "{event:?}");
    }

    pub(super) fn stream_send(&mut self, correlation: u64, send: &StreamSend) {
        vault_ipc::write(&mut self.core, Kind::StreamSend, correlation, send).expect("written");
    }

    pub(super) fn say(&mut self, correlation: u64, text: &str) {
        self.stream_send(correlation, &StreamSend { text: text.into(), ..StreamSend::default() });
    }

    pub(super) fn cut(&mut self, correlation: u64) {
        let cut = StreamCut::default();
        vault_ipc::write(&mut self.core, Kind::StreamCut, correlation, &cut).expect("written");
    }

    /// Sends one and hears all about it.
    pub(super) fn send(&mut self, correlation: u64, dispatch: &Dispatch) -> Told {
        self.dispatch(correlation, dispatch);
        self.told(correlation)
    }

    pub(super) fn told(&mut self, correlation: u64) -> Told {
        Told { answer: self.answer(1_000 + correlation), outcome: self.outcome(correlation) }
    }

    pub(super) fn drop_front(&mut self) {
        self.front = None;
    }

    /// Waits until there is something for the core, and leaves it unread.
    pub(super) fn leave_unread(&mut self) {
        self.core.read_exact(&mut [0; 1]).expect("a frame");
    }

    /// Whether it ends when the core does, and in order.
    pub(super) fn ends_with_the_core(self) -> bool {
        let mut front = self.front.expect("a front");
        drop(self.core);
        matches!(front.read(&mut [0; 1]), Ok(0)) && self.thread.join().expect("no panic").is_ok()
    }
}

/// A request for the front's call `1000 + correlation`.
pub(super) fn get(correlation: u64, path: &str) -> Dispatch {
    Dispatch {
        front_correlation: 1_000 + correlation,
        venue: "example".into(),
        credential: "alpha".into(),
        class: "read".into(),
        method: "GET".into(),
        url: format!("https://{HOST}{path}"),
        timeout_ms: 60_000,
        order_id_at: vec!["/orderId".into()],
        error_code_at: vec!["/code".into()],
        ..Dispatch::default()
    }
}

pub(super) fn post(correlation: u64, path: &str, body: &[u8]) -> Dispatch {
    let headers = vec![Header { name: "x-signature".into(), value: "AbC=".into() }];
    Dispatch {
        method: "POST".into(),
        class: "trade".into(),
        headers,
        body: body.to_vec(),
        ..get(correlation, path)
    }
}

/// A WebSocket for the front's call `1000 + correlation`.
pub(super) fn dial(correlation: u64, path: &str) -> StreamDial {
    StreamDial {
        front_correlation: 1_000 + correlation,
        venue: "example".into(),
        credential: "alpha".into(),
        url: format!("wss://{HOST}:9443{path}"),
        timeout_ms: 60_000,
        ..StreamDial::default()
    }
}
