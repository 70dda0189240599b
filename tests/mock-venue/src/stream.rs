//! WebSockets, the venues' side: who hears what, and what goes wrong.
//!
//! Each venue reads its own messages ([`Talk`]) from the bytes that arrived, checks log-ons and orders
//! as strictly as its REST API, and tells whoever has asked for it of every order that changes,
//! wherever it was placed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming as HyperBody;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{broadcast, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::account::{Seat, Venue};
use crate::book::Order;
use crate::http::Incoming;
use crate::ledger::{Ledger, Moment};
use crate::server::halted;
use crate::{binance, bybit, kraken, okx};

/// Changes and disturbances that a slow connection may be behind.
const BEHIND_MAX: usize = 4_096;

/// What goes wrong with the WebSockets of a path, at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamFault {
    /// The venue closes with this code.
    Close(u16),
    /// Bytes that are no frame.
    Garbage,
    /// A text of so many bytes.
    Long(usize),
    /// The connection ends without a close.
    Reset,
    /// This text, whatever was asked for.
    Say(String),
    /// Nothing is read, answered or told for so long.
    Stall(Duration),
}

/// A text message that a venue got on a WebSocket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// The venue.
    pub venue: Venue,
    /// The header `host` of the handshake as it arrived.
    pub host: String,
    /// Path and query of the handshake as they arrived.
    pub target: String,
    /// The message as it arrived.
    pub text: String,
    /// The API key id whose signature or token in it was accepted, or whose log-on before; else empty.
    pub api_key: String,
    /// The venue's codes if it refused it.
    pub refused: Vec<String>,
    /// When it was judged, ms since the Unix epoch.
    pub at_ms: i64,
}

/// An order that has changed, and what its account holds now.
#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) venue: Venue,
    pub(crate) api_key: String,
    pub(crate) order: Order,
    /// Asset, free and locked.
    pub(crate) purses: Vec<(&'static str, String, String)>,
}

/// What a venue makes of one message.
#[derive(Default)]
pub(crate) struct Reaction {
    pub(crate) say: Vec<String>,
    /// The key id, if the message was accepted for one.
    pub(crate) api_key: String,
    /// Codes and reasons.
    pub(crate) refused: Vec<(String, String)>,
}

impl Reaction {
    pub(crate) fn say(text: impl ToString) -> Self {
        Self { say: vec![text.to_string()], ..Self::default() }
    }

    /// An answer that says no.
    pub(crate) fn refuse(text: impl ToString, code: impl ToString, reason: &str) -> Self {
        Self { refused: vec![(code.to_string(), reason.to_owned())], ..Self::say(text) }
    }

    pub(crate) fn by(self, api_key: &str) -> Self {
        Self { api_key: api_key.to_owned(), ..self }
    }
}

/// One WebSocket as its venue sees it.
pub(crate) trait Talk: Send {
    /// What it says first.
    fn greet(&mut self, _moment: Moment) -> Vec<String> {
        Vec::new()
    }

    /// Hears a message.
    fn hear(&mut self, seats: &mut [Seat], text: &str, moment: Moment) -> Reaction;

    /// What it says of a change.
    fn tell(&mut self, change: &Change, moment: Moment) -> Vec<String>;
}

/// Who listens, and what is to go wrong with them.
pub(crate) struct Hub {
    changes: broadcast::Sender<Change>,
    faults: broadcast::Sender<(String, StreamFault)>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            changes: broadcast::Sender::new(BEHIND_MAX),
            faults: broadcast::Sender::new(BEHIND_MAX),
        }
    }

    /// Tells everybody what has changed in the accounts.
    pub(crate) fn publish(&self, seats: &mut [Seat]) {
        for seat in seats {
            for order in seat.book.take_changes() {
                let purses = seat.book.purses().iter();
                let purses =
                    purses.map(|one| (one.asset, one.free.to_string(), one.locked.to_string()));
                // Nobody has to listen.
                let _ = self.changes.send(Change {
                    venue: seat.venue,
                    api_key: seat.api_key.clone(),
                    order,
                    purses: purses.collect(),
                });
            }
        }
    }

    /// Brings something about on every WebSocket whose target begins with `prefix`.
    pub(crate) fn disturb(&self, prefix: &str, fault: StreamFault) {
        let _ = self.faults.send((prefix.to_owned(), fault));
    }

    /// How many WebSockets stand.
    pub(crate) fn count(&self) -> usize {
        self.changes.receiver_count()
    }
}

/// The venue's side for a path; `None` if there is none, or its key opens nothing.
fn talk(seats: &[Seat], path: &str, query: &str) -> Option<(Venue, Box<dyn Talk>)> {
    match path {
        "/v2" => Some((Venue::Kraken, Box::new(kraken::stream::Talk::default()))),
        "/v5/private" | "/v5/trade" => {
            Some((Venue::Bybit, Box::new(bybit::stream::Talk::new(path == "/v5/trade"))))
        }
        _ if path.starts_with("/v5/public/") => {
            Some((Venue::Bybit, Box::new(bybit::stream::Talk::new(false))))
        }
        "/ws/v5/business" | "/ws/v5/private" | "/ws/v5/public" => {
            Some((Venue::Okx, Box::new(okx::stream::Talk::default())))
        }
        _ => Some((Venue::Binance, binance::stream::talk(seats, path, query)?)),
    }
}

/// Whether a request asks for a WebSocket.
pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
    // Some clients ask for `h2c` with every request.
    request
        .headers()
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a handshake. The WebSocket then has a task of its own, which ends with `stop`.
pub(crate) fn accept(
    request: &mut Request<HyperBody>,
    seen: &Incoming,
    ledger: &Arc<Ledger>,
    stop: watch::Receiver<bool>,
) -> Response<()> {
    let refused = |status| {
        let mut response = Response::new(());
        *response.status_mut() = status;
        response
    };
    let is = |name, value: &str| {
        let all = request.headers().get_all(name).iter();
        let all: Vec<_> = all.filter_map(|text| text.to_str().ok()).collect();
        matches!(all[..], [one] if one.eq_ignore_ascii_case(value))
    };
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let is_handshake = request.method() == Method::GET
        && is(UPGRADE, "websocket")
        && is(CONNECTION, "upgrade")
        && is(SEC_WEBSOCKET_VERSION, "13")
        && seen.body.is_empty();
    let Some(accept) = key.filter(|_| is_handshake) else {
        return refused(StatusCode::BAD_REQUEST);
    };
    let found = talk(ledger.books().seats(), &seen.path, &seen.query);
    let Some((venue, talk)) = found else { return refused(StatusCode::NOT_FOUND) };
    let upgrade = hyper::upgrade::on(request);
    let (host, target) = (seen.host.clone(), seen.target.clone());
    // From here on: who has the answer to the handshake misses nothing.
    let (changes, faults) = (ledger.hub.changes.subscribe(), ledger.hub.faults.subscribe());
    let line = Line { venue, host, target, talk, ledger: Arc::clone(ledger), changes, faults };
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let io = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
            line.serve(socket, stop).await;
        }
    });
    let mut response = refused(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// One WebSocket.
struct Line {
    venue: Venue,
    host: String,
    target: String,
    talk: Box<dyn Talk>,
    ledger: Arc<Ledger>,
    changes: broadcast::Receiver<Change>,
    faults: broadcast::Receiver<(String, StreamFault)>,
}

impl Line {
    async fn serve(mut self, mut socket: Socket, mut stop: watch::Receiver<bool>) {
        let greeting = self.talk.greet(self.ledger.moment());
        if say(&mut socket, greeting).await.is_err() {
            return;
        }
        loop {
            let done = tokio::select! {
                () = halted(&mut stop) => return,
                change = self.changes.recv() => match change {
                    Ok(change) if change.venue == self.venue => {
                        let told = self.talk.tell(&change, self.ledger.moment());
                        say(&mut socket, told).await
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                fault = self.faults.recv() => match fault {
                    Ok((prefix, fault)) if self.target.starts_with(&prefix) => {
                        suffer(&mut socket, fault).await
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let said = self.hear(&text);
                        say(&mut socket, said).await
                    }
                    Some(Ok(Message::Binary(_))) => {
                        socket.close(Some(close(1003))).await
                    }
                    // Pings are answered by the library.
                    Some(Ok(_)) => Ok(()),
                    Some(Err(_)) | None => return,
                },
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn hear(&mut self, text: &str) -> Vec<String> {
        let moment = self.ledger.moment();
        let mut books = self.ledger.books();
        let reaction = self.talk.hear(books.seats_mut(), text, moment);
        self.ledger.hub.publish(books.seats_mut());
        let refused = reaction.refused.iter().map(|(code, _)| code.clone()).collect();
        books.heard.push(Heard {
            venue: self.venue,
            host: self.host.clone(),
            target: self.target.clone(),
            text: text.to_owned(),
            api_key: reaction.api_key,
            refused,
            at_ms: moment.now_ms,
        });
        books.refuse(self.venue, reaction.refused);
        reaction.say
    }
}

async fn say(socket: &mut Socket, all: Vec<String>) -> Result<(), Error> {
    for text in all {
        socket.send(Message::text(text)).await?;
    }
    Ok(())
}

async fn suffer(socket: &mut Socket, fault: StreamFault) -> Result<(), Error> {
    match fault {
        StreamFault::Close(code) => socket.close(Some(close(code))).await,
        StreamFault::Garbage => {
            // Reserved bits, and a length that no frame has.
            socket.get_mut().write_all(&[0xff; 64]).await?;
            Ok(socket.get_mut().flush().await?)
        }
        StreamFault::Long(bytes) => socket.send(Message::text("x".repeat(bytes))).await,
        StreamFault::Reset => Err(Error::ConnectionClosed),
        StreamFault::Say(text) => socket.send(Message::text(text)).await,
        StreamFault::Stall(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

fn close(code: u16) -> CloseFrame {
    CloseFrame { code: code.into(), reason: "on demand".into() }
}
