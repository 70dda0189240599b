//! WebSockets: their addresses, and what messages on them mean. The messages of ccxt.pro are in
//! `socket/ccxt_messages.json`, recorded by the script beside it.

mod attack;
mod ccxt;
mod held;
mod spell;
mod table;

use vault_model::{Class, Environment, Mode, Product, Reading};
use vault_venue::{
    KeyType, Message, Opening, ReadError, Socket, SocketKind, Standing, StreamRequest, Venue,
};

use crate::{CAUTIOUS, registry};

/// A handle as the vault makes them.
fn handle() -> String {
    "h4ndLe".repeat(8)
}

fn socket(host: &str, path: &str) -> Socket {
    registry().socket(host, path, "").expect("served")
}

fn venue(socket: &Socket) -> &'static Venue {
    registry().venue(socket.venue).expect("bundled")
}

fn read(socket: &Socket, text: &str) -> Result<Message, ReadError> {
    venue(socket).read_message(socket, text)
}

/// The reading of a request in a message, as the vault judges it.
fn judged(socket: &Socket, message: &Message) -> Result<Reading, ReadError> {
    let (StreamRequest::Order { request, .. } | StreamRequest::Logon { request, .. }) =
        &message.request
    else {
        panic!("no request: {message:?}");
    };
    let key_type = if socket.venue == "binance" { KeyType::Ed25519 } else { KeyType::Hmac };
    let standing = Standing { environment: socket.environments[0], key_type, ..CAUTIOUS };
    venue(socket).read_in(Mode::Execute, request, &standing)
}

fn okx() -> Socket {
    socket("ws.okx.com", "/ws/v5/private")
}

fn bybit() -> Socket {
    socket("stream.bybit.com", "/v5/trade")
}

fn binance() -> Socket {
    socket("ws-api.binance.com", "/ws-api/v3")
}

fn kraken() -> Socket {
    socket("ws-auth.kraken.com", "/v2")
}

#[test]
fn an_address_is_served_as_it_stands_or_not_at_all() {
    for (host, path, query, kind, environments) in [
        ("ws.okx.com", "/ws/v5/private", "", SocketKind::Private, &[Environment::Live][..]),
        ("ws.okx.com:8443", "/ws/v5/private", "", SocketKind::Private, &[Environment::Live]),
        ("ws.okx.com:8443", "/ws/v5/public", "", SocketKind::Public, &[Environment::Live]),
        (
            "wspap.okx.com:8443",
            "/ws/v5/private",
            "brokerId=9999",
            SocketKind::Private,
            &[Environment::Demo],
        ),
        ("stream.bybit.com", "/v5/trade", "", SocketKind::Private, &[Environment::Live]),
        (
            "stream.bybit.com",
            "/v5/public/linear",
            "",
            SocketKind::Public,
            &[Environment::Live, Environment::Demo],
        ),
        ("stream-demo.bybit.com", "/v5/private", "", SocketKind::Private, &[Environment::Demo]),
        ("ws-api.binance.com:9443", "/ws-api/v3", "", SocketKind::Rpc, &[Environment::Live]),
        ("stream.binance.com:9443", "/ws/3", "", SocketKind::Public, &[Environment::Live]),
        ("ws-auth.kraken.com", "/v2", "", SocketKind::Private, &[Environment::Live]),
    ] {
        let socket = registry().socket(host, path, query).expect(path);
        let mark = if query.is_empty() { "" } else { "?" };
        assert_eq!(socket.url, format!("wss://{host}{path}{mark}{query}"));
        assert_eq!((socket.kind, socket.environments.as_slice()), (kind, environments), "{host}");
        assert_eq!(socket.opening, Opening::Nothing);
        assert!(socket.handles.is_empty());
    }
    let demo = registry().socket("wspap.okx.com", "/ws/v5/private", "").expect("served");
    assert_eq!(demo.headers, [("x-simulated-trading".to_owned(), "1".to_owned())]);
    assert!(okx().headers.is_empty());
    for (host, path, query, error) in [
        ("www.okx.com", "/ws/v5/private", "", ReadError::HostUnknown),
        ("evil.example", "/ws/v5/private", "", ReadError::HostUnknown),
        ("ws.okx.com:443", "/ws/v5/private", "", ReadError::HostUnknown),
        ("ws.okx.com:8444", "/ws/v5/private", "", ReadError::HostUnknown),
        ("WS.okx.com", "/ws/v5/private", "", ReadError::HostUnknown),
        ("ws.okx.com.", "/ws/v5/private", "", ReadError::HostUnknown),
        ("ws.okx.com", "/ws/v5/private/", "", ReadError::OperationUnknown),
        ("ws.okx.com", "/ws/v5/Private", "", ReadError::OperationUnknown),
        ("ws.okx.com", "/ws/v5//private", "", ReadError::OperationUnknown),
        ("ws.okx.com", "/ws/v5/%70rivate", "", ReadError::OperationUnknown),
        ("ws.okx.com", "/ws/v5/private", "brokerId=9999", ReadError::QueryNotAllowed),
        ("wspap.okx.com", "/ws/v5/private", "brokerId=1", ReadError::QueryNotAllowed),
        ("stream-demo.bybit.com", "/v5/trade", "", ReadError::OperationUnknown),
        ("stream.bybit.com", "/v5/private", "max_active_time=1m", ReadError::QueryNotAllowed),
        ("stream.binance.com:9443", "/ws/btcusdt", "", ReadError::OperationUnknown),
        ("ws-api.binance.com", "/ws-api/v3/order.place", "", ReadError::OperationUnknown),
        ("ws-auth.kraken.com", "/", "", ReadError::OperationUnknown),
    ] {
        assert_eq!(registry().socket(host, path, query), Err(error), "{host}{path}?{query}");
    }
}

#[test]
fn a_listen_key_opens_its_socket_by_a_handle() {
    let handle = handle();
    for (host, path, query, operation) in [
        ("fstream.binance.com", "/private/ws", format!("listenKey={handle}"), "/private/ws"),
        ("fstream.binance.com", &format!("/ws/{handle}"), String::new(), "/ws"),
        ("fstream.binance.com", &format!("/pm/ws/{handle}"), String::new(), "/pm/ws"),
        ("dstream.binance.com", &format!("/ws/{handle}"), String::new(), "/ws"),
        ("stream.binance.com:9443", &format!("/ws/{handle}"), String::new(), "/ws"),
    ] {
        let socket = registry().socket(host, path, &query).expect("served");
        assert_eq!(socket.kind, SocketKind::Listen);
        assert_eq!(socket.handles, [handle.as_str()]);
        let Opening::Read(reading) = &socket.opening else {
            panic!("it reads the account");
        };
        assert_eq!(&*reading.stated.operation, &format!("LISTEN {operation}"));
        assert_eq!((reading.stated.class, &reading.stated.products), (Class::Read, &None));
        assert_eq!(reading.closure, std::slice::from_ref(&reading.stated));
        // Nothing is said on it: what lists its streams would say the key.
        let list = r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#;
        assert_eq!(read(&socket, list), Err(ReadError::OperationUnknown));
    }
    for (path, query) in [
        ("/private/ws", "listenKey=short".to_owned()),
        ("/private/ws", format!("listenKey={handle}&listenKey={handle}")),
        ("/private/ws", format!("listenkey={handle}")),
        ("/private/ws", String::new()),
        (&*format!("/ws/{handle}"), format!("listenKey={handle}")),
    ] {
        assert!(registry().socket("fstream.binance.com", path, &query).is_err(), "{path}?{query}");
    }
}

#[test]
fn streams_in_an_address_are_public() {
    for (path, query) in
        [("/ws/btcusdt@trade", ""), ("/stream", "streams=btcusdt@trade/ethusdt@depth@100ms")]
    {
        let socket = registry().socket("stream.binance.com:9443", path, query).expect("served");
        assert_eq!((socket.kind, socket.opening), (SocketKind::Public, Opening::Public), "{path}");
    }
    let key = format!("streams=btcusdt@trade/{}", handle());
    assert!(registry().socket("stream.binance.com:9443", "/stream", &key).is_err());
}

#[test]
fn a_subscription_names_its_channels_and_products() {
    let private = socket("stream.bybit.com", "/v5/private");
    let readings = |text: &str| match read(&private, text).expect("known").request {
        StreamRequest::Read { readings } => readings,
        other => panic!("{other:?}"),
    };
    let both = readings(r#"{"op":"subscribe","args":["order.linear","wallet","order.linear"]}"#);
    let said: Vec<_> =
        both.iter().map(|one| (&*one.stated.operation, one.stated.products.clone())).collect();
    assert_eq!(
        said,
        [
            ("SUBSCRIBE /v5/private/order.linear", Some(vec![Product::Linear])),
            ("SUBSCRIBE /v5/private/wallet", Some(Vec::new())),
        ]
    );
    for reading in &both {
        assert_eq!(reading.stated.class, Class::Read);
        assert!(reading.stated.schema_sourced);
        assert_eq!(reading.closure, std::slice::from_ref(&reading.stated));
        let operation = &reading.stated.operation;
        let catalog = &venue(&private).catalog;
        assert!(catalog.channel(operation).is_some());
        assert!(catalog.operations.iter().all(|one| one.name != *operation));
    }
}
