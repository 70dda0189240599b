//! Messages of bots on WebSockets: what [`Venue::read_message`] promises of whatever it takes.

use std::sync::OnceLock;

use serde::de::IgnoredAny;
use vault_model::{Class, Environment, Mode, Reading};
use vault_venue::{
    KeyType, Message, Opening, Registry, Socket, SocketKind, Standing, StreamRequest, Venue,
};

use super::input;

/// `host[:port]/path[?query]`, a line feed, and the message.
pub fn message(data: &[u8]) {
    let Some((address, text)) =
        std::str::from_utf8(data).ok().and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let registry: &Registry = input::registry();
    let (address, query) = address.split_once('?').unwrap_or((address, ""));
    let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let Ok(socket) = registry.socket(host, path, query) else {
        return;
    };
    let mark = if query.is_empty() { "" } else { "?" };
    assert_eq!(socket.url, format!("wss://{address}{mark}{query}"));
    assert_eq!(socket.handles.is_empty(), socket.kind != SocketKind::Listen);
    assert_eq!(matches!(socket.opening, Opening::Read(_)), socket.kind == SocketKind::Listen);
    let venue = registry.venue(socket.venue).expect("bundled");
    let _ = venue.message_id(text);
    let Ok(message) = venue.read_message(&socket, text) else {
        return;
    };
    super::take();
    assert_eq!(venue.read_message(&socket, text).as_ref(), Ok(&message), "read twice");
    assert_ne!(socket.kind, SocketKind::Listen, "nothing is said on these");
    for handle in &message.handles {
        assert!(
            (32..=64).contains(&handle.len()) && handle.bytes().all(|b| b.is_ascii_alphanumeric())
        );
        assert!(text.contains(&format!("\"{handle}\"")));
    }
    if let Some(id) = &message.id {
        assert_eq!(venue.message_id(text).as_ref(), Some(id));
        assert!(id.value.len() <= 66);
    }
    if text != "ping" {
        // A number may be too large for others, not a text in another form.
        serde_json::from_str::<IgnoredAny>(text).expect("JSON to others too");
    }
    match &message.request {
        StreamRequest::Open { public } => assert!(!public || message.handles.is_empty()),
        StreamRequest::Read { readings } => {
            assert!(!readings.is_empty());
            readings.iter().for_each(|reading| is_subscription(venue, reading));
        }
        StreamRequest::Logon { request, .. } => {
            assert_ne!(socket.kind, SocketKind::Public);
            assert_eq!(request.scheme, "wss");
            if let Ok(reading) = venue.read_in(Mode::Execute, request, &standing(&socket)) {
                assert_eq!(reading.stated.class, Class::Read);
            }
        }
        StreamRequest::Order { credential, signed, request } => {
            assert_ne!(socket.kind, SocketKind::Public);
            assert_eq!(credential.is_some(), *signed);
            let _ = venue.read_in(Mode::Execute, request, &standing(&socket));
            if !signed {
                is_spelled_again(venue, &socket, &message, &request.body);
            }
        }
    }
}

/// The message that is sent reads as the one that was judged.
fn is_spelled_again(venue: &Venue, socket: &Socket, message: &Message, body: &[u8]) {
    let sent = message.text(body).expect("its own body");
    let sent = std::str::from_utf8(&sent).expect("text");
    serde_json::from_str::<IgnoredAny>(sent).expect("JSON");
    assert_eq!(venue.read_message(socket, sent).as_ref(), Ok(message));
}

fn is_subscription(venue: &Venue, reading: &Reading) {
    assert_eq!(reading.stated.class, Class::Read);
    assert_eq!(reading.closure, std::slice::from_ref(&reading.stated));
    assert!(reading.stated.legs.is_empty());
    let name = &reading.stated.operation;
    assert!(venue.catalog.channel(name).is_some());
    // No signature is for it, so that none can be for something else.
    assert!(venue.catalog.operations.iter().all(|operation| operation.name != *name));
}

fn standing(socket: &Socket) -> Standing<'static> {
    Standing {
        environment: socket.environments.first().copied().unwrap_or(Environment::Live),
        sites: None,
        venue_checks: true,
        rights: None,
        key_type: if socket.venue == "binance" { KeyType::Ed25519 } else { KeyType::Hmac },
    }
}

pub fn words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let words = [
            "op",
            "args",
            "method",
            "params",
            "id",
            "req_id",
            "reqId",
            "header",
            "token",
            "channel",
            "subscribe",
            "unsubscribe",
            "ping",
            "login",
            "auth",
            "order",
            "batch-orders",
            "cancel-order",
            "order.create",
            "order.cancel-batch",
            "order.place",
            "add_order",
            "amend_order",
            "cancel_all",
            "SUBSCRIBE",
            "countersign:a",
            "apiKey",
            "instIdCode",
            "expTime",
            "executions",
            "orders",
            "wallet",
            "\"",
            "{}",
            "[]",
            "null",
            "1e-5",
        ];
        let handle = "h4ndLe".repeat(8);
        words.iter().map(|word| (*word).to_owned()).chain([handle]).collect()
    })
}
