//! Every message of ccxt.pro is understood.

use serde::Deserialize;
use vault_model::{Class, Environment};
use vault_venue::{Opening, SocketKind, StreamRequest};

use super::{judged, read};
use crate::registry;

#[derive(Deserialize)]
struct Recorded {
    messages: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    venue: String,
    call: String,
    url: String,
    text: Option<String>,
}

/// A word for what a message is.
fn kind(request: &StreamRequest) -> &'static str {
    match request {
        StreamRequest::Open { public: true } => "public",
        StreamRequest::Open { public: false } => "ping",
        StreamRequest::Read { .. } => "read",
        StreamRequest::Logon { .. } => "logon",
        StreamRequest::Order { .. } => "order",
    }
}

#[test]
fn every_message_of_ccxt_is_what_its_call_says() {
    let recorded = include_str!("ccxt_messages.json");
    let recorded: Recorded = serde_json::from_str(recorded).expect("records");
    let mut counted = [0; 5];
    for Record { venue, call, url, text } in recorded.messages {
        let address = url.strip_prefix("wss://").expect("a WebSocket");
        let (host, rest) = address.split_once('/').expect("a path");
        let host = host.strip_suffix(":443").unwrap_or(host);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let socket = registry().socket(host, &format!("/{path}"), query).expect(&url);
        assert_eq!(socket.venue, venue.trim_end_matches(" demo"), "{url}");
        let environment =
            if venue.ends_with("demo") { Environment::Demo } else { Environment::Live };
        assert!(socket.environments.contains(&environment), "{url}");
        let Some(text) = text else {
            // Its address says it all, or what was said before.
            let is_listening = matches!(socket.opening, Opening::Read(_));
            assert_eq!(is_listening, socket.kind == SocketKind::Listen, "{url}");
            assert!(is_listening || socket.kind == SocketKind::Rpc, "{url}");
            continue;
        };
        let message = read(&socket, &text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let expected = match call.as_str() {
            "ping" => "ping",
            _ if text.contains(r#""op":"login""#) || text.contains(r#""op":"auth""#) => "logon",
            _ if text.contains("subscribe.signature") => "logon",
            "watch_ticker" | "watch_trades" | "watch_order_book" | "watch_ohlcv" => "public",
            call if call.starts_with("watch_") => "read",
            _ => "order",
        };
        assert_eq!(kind(&message.request), expected, "{text}");
        let kinds = ["public", "ping", "read", "logon", "order"];
        let at = kinds.iter().position(|one| *one == expected).expect("listed");
        counted[at] += 1;
        assert_eq!(!message.handles.is_empty(), text.contains("h4ndLe"), "{text}");

        let has_id = ["\"id\":", "\"req_id\":", "\"reqId\":"].iter().any(|id| text.contains(id));
        assert_eq!(message.id.is_some(), has_id, "{text}");
        match &message.request {
            StreamRequest::Logon { credential, .. } => {
                assert_eq!(credential, "desk");
                let reading = judged(&socket, &message).expect(&text);
                assert_eq!(reading.stated.class, Class::Read, "{text}");
            }
            StreamRequest::Order { credential, signed, .. } => {
                assert_eq!(*signed, socket.venue == "binance");
                assert_eq!(credential.as_deref(), signed.then_some("desk"));
                let class = judged(&socket, &message).expect(&text).stated.class;
                let expected = match call.as_str() {
                    call if call.starts_with("fetch_") => Class::Read,
                    call if call.starts_with("cancel_") => Class::Cancel,
                    _ => Class::Trade,
                };
                assert_eq!(class, expected, "{text}");
            }
            _ => {}
        }
    }
    // Of every kind some, so that none is passed over.
    assert!(counted.iter().all(|count| *count >= 2), "{counted:?}");
}
