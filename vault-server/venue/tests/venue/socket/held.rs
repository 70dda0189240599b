//! Capabilities that the vault keeps: listen keys, tokens, log-ons on its own WebSockets.

use vault_model::{Class, Environment, Mode, VenueRequest};
use vault_venue::{ReadError, Standing};

use super::handle;
use crate::{CAUTIOUS, registry};

fn request(host: &str, method: &str, path: &str, query: &str) -> VenueRequest {
    VenueRequest {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..VenueRequest::default()
    }
}

#[test]
fn what_the_vault_keeps_is_a_read_when_it_sends_and_a_log_on_when_the_bot_does() {
    for (venue, host, method, path, held) in [
        ("binance", "fapi.binance.com", "POST", "/fapi/v1/listenKey", Some("/listenKey")),
        ("binance", "dapi.binance.com", "POST", "/dapi/v1/listenKey", Some("/listenKey")),
        ("binance", "papi.binance.com", "POST", "/papi/v1/listenKey", Some("/listenKey")),
        ("binance", "eapi.binance.com", "POST", "/eapi/v1/listenKey", Some("/listenKey")),
        ("binance", "api.binance.com", "POST", "/sapi/v1/userDataStream", Some("/listenKey")),
        ("binance", "api.binance.com", "POST", "/api/v3/userDataStream", Some("/listenKey")),
        ("binance", "api.binance.com", "POST", "/sapi/v1/userListenToken", Some("/token")),
        ("binance", "fapi.binance.com", "PUT", "/fapi/v1/listenKey", Some("/listenKey")),
        ("binance", "papi.binance.com", "PUT", "/papi/v1/listenKey", Some("/listenKey")),
        (
            "kraken",
            "api.kraken.com",
            "POST",
            "/0/private/GetWebSocketsToken",
            Some("/result/token"),
        ),
    ] {
        let venue = registry().venue(venue).expect("bundled");
        let request = request(host, method, path, "");
        let class = |mode| venue.read_in(mode, &request, &CAUTIOUS).expect(path).stated.class;
        assert_eq!(
            (class(Mode::Execute), class(Mode::Sign)),
            (Class::Read, Class::Logon),
            "{path}"
        );
        // What prolongs one need not say it again.
        let held = held.map(|at| (at, method == "PUT"));
        assert_eq!(venue.hold(&request), held, "{path}");

        let plain = venue.read(&request, &CAUTIOUS).expect(path);
        assert_eq!(venue.read_in(Mode::Sign, &request, &CAUTIOUS), Ok(plain.clone()));
        let kept = venue.read_in(Mode::Execute, &request, &CAUTIOUS).expect(path);
        // Nothing but the class differs, and the stated operation is still one of the closure.
        assert!(kept.closure.contains(&kept.stated));
        assert_eq!(kept.closure_hash, plain.closure_hash);
        assert_eq!(kept.closure.len(), plain.closure.len());
    }
}

/// It ends the stream of everybody who has the same key.
#[test]
fn to_end_a_listen_key_is_a_log_on_either_way() {
    let venue = registry().venue("binance").expect("bundled");
    let request = request("fapi.binance.com", "DELETE", "/fapi/v1/listenKey", "");
    for mode in [Mode::Execute, Mode::Sign] {
        let reading = venue.read_in(mode, &request, &CAUTIOUS).expect("known");
        assert_eq!(reading.stated.class, Class::Logon);
    }
    assert_eq!(venue.hold(&request), None);
}

/// The venue makes a new one where the old one has run out, and the bot must not get that either.
#[test]
fn an_answer_to_what_has_a_handle_is_held_too() {
    let venue = registry().venue("binance").expect("bundled");
    for (host, method, path) in [
        ("fapi.binance.com", "POST", "/fapi/v1/listenKey"),
        ("fapi.binance.com", "PUT", "/fapi/v1/listenKey"),
        ("dapi.binance.com", "PUT", "/dapi/v1/listenKey"),
        ("eapi.binance.com", "PUT", "/eapi/v1/listenKey"),
        ("papi.binance.com", "PUT", "/papi/v1/listenKey"),
        ("api.binance.com", "PUT", "/api/v3/userDataStream"),
        ("api.binance.com", "PUT", "/sapi/v1/userDataStream"),
        ("api.binance.com", "PUT", "/sapi/v1/userDataStream/isolated"),
        ("api.binance.com", "PUT", "/sapi/v1/margin/listen-key"),
    ] {
        let request = VenueRequest {
            query: "listenKey=0123456789abcdef0123456789abcdef".to_owned(),
            ..request(host, method, path, "")
        };
        assert_eq!(venue.hold(&request), Some(("/listenKey", true)), "{method} {path}");
    }
}

#[test]
fn a_log_on_of_the_connection_stays_one() {
    let venue = registry().venue("binance").expect("bundled");
    let log_on = VenueRequest {
        scheme: "wss".to_owned(),
        ..request("ws-api.binance.com", "WS", "/ws-api/v3/session.logon", "")
    };
    let standing = Standing { key_type: vault_venue::KeyType::Ed25519, ..CAUTIOUS };
    let reading = venue.read_in(Mode::Execute, &log_on, &standing).expect("known");
    assert_eq!(reading.stated.class, Class::Logon);
}

#[test]
fn handles_stand_where_the_capability_would() {
    let venue = registry().venue("binance").expect("bundled");
    let handle = handle();
    let in_query =
        request("fapi.binance.com", "PUT", "/fapi/v1/listenKey", &format!("listenKey={handle}"));
    let in_body = VenueRequest {
        body: in_query.query.clone().into_bytes(),
        query: String::new(),
        ..in_query.clone()
    };
    for request in [&in_query, &in_body] {
        assert_eq!(venue.handles_in(request), [handle.as_str()]);
        assert!(venue.read(request, &CAUTIOUS).is_ok(), "its shape takes a handle");
    }
    let elsewhere = VenueRequest { path: "/fapi/v1/order".to_owned(), ..in_query.clone() };
    assert!(venue.handles_in(&elsewhere).is_empty());
    let bare = VenueRequest { query: String::new(), ..in_query };
    assert!(venue.handles_in(&bare).is_empty());
}

#[test]
fn the_longest_handle_fits_every_parameter_that_takes_one() {
    for name in registry().names() {
        let venue = registry().venue(name).expect("bundled");
        for operation in &venue.catalog.operations {
            let Some(parameter) = operation.handle.as_deref() else {
                continue;
            };
            let hosts = venue.catalog.hosts(Environment::Live).expect("live").of(operation);
            for length in [32, 64] {
                let mut query = format!("{parameter}={}", "aZ9".repeat(22).split_at(length).0);
                if operation.path.ends_with("/isolated") {
                    query.push_str("&symbol=BTCUSDT");
                }
                let request = request(&hosts[0], &operation.method, &operation.path, &query);
                let read = venue.read(&request, &CAUTIOUS);
                assert_eq!(read.map(|_| ()), Ok::<(), ReadError>(()), "{}", operation.name);
            }
        }
    }
}
