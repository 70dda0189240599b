//! Requests to venues that cannot be read in one way only.

use prost::Message as _;
use tonic::Code;
use vault_audit::EntryKind;
use vault_client::v1;
use vault_tests::{
    KRAKEN_SCOPE, TestVault, kraken_balance, kraken_order, kraken_post, okx_balance, okx_order,
    okx_order_body, okx_post, order, reason, wire,
};

use crate::{channel, with_bot};

fn okx_query(query: &str) -> v1::VenueRequest {
    v1::VenueRequest { query: query.to_owned(), ..okx_balance() }
}

fn okx_path(path: &str) -> v1::VenueRequest {
    v1::VenueRequest { path: path.to_owned(), ..okx_balance() }
}

fn body(body: impl Into<Vec<u8>>) -> v1::VenueRequest {
    okx_post("/api/v5/trade/order", body)
}

/// An order whose `sz` is this JSON.
fn sized(size: &str) -> v1::VenueRequest {
    body(okx_order_body("BTC-USDT", "1").replace(r#""sz":"1""#, &format!(r#""sz":{size}"#)))
}

fn header(name: &str, value: &str) -> v1::VenueRequest {
    let headers = vec![v1::Header { name: name.to_owned(), value: value.to_owned() }];
    v1::VenueRequest { headers, ..okx_balance() }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_okx() {
    let (vault, bot) = with_bot().await;
    let state_rev = vault.state_rev();
    let good = okx_order_body("BTC-USDT", "1");
    let forty_digits = format!("\"{}\"", "1".repeat(40));
    let twice = good.replace(r#""sz":"1""#, r#""sz":"1","sz":"2""#);
    let escaped_name = good.replace("\"instId\"", r#""inst\u0049d""#);
    let mut not_utf8 = good.clone().into_bytes();
    let at = not_utf8.iter().position(|&byte| byte == b'U').expect("BTC-USDT");
    not_utf8[at] = 0xff;
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));

    for (what, request, expected) in [
        ("a duplicate parameter in a query", okx_query("ccy=BTC&ccy=ETH"), "PARAMETER_DUPLICATE"),
        ("a duplicate parameter in a body", body(twice), "BODY_MALFORMED"),
        ("a percent-encoded path", okx_path("/api/v5/account/%62alance"), "PATH_NOT_PLAIN"),
        ("an encoded slash", okx_path("/api/v5/account%2fbalance"), "PATH_NOT_PLAIN"),
        ("an encoded name in a query", okx_query("%63cy=BTC"), "QUERY_MALFORMED"),
        ("an escaped name in a body", body(escaped_name), "BODY_MALFORMED"),
        ("a dot segment", okx_path("/api/v5/account/../account/balance"), "PATH_NOT_PLAIN"),
        ("a single dot", okx_path("/api/v5/./account/balance"), "PATH_NOT_PLAIN"),
        ("an empty segment", okx_path("/api/v5//account/balance"), "PATH_NOT_PLAIN"),
        ("a slash at the end", okx_path("/api/v5/account/balance/"), "PATH_NOT_PLAIN"),
        ("a query in the path", okx_path("/api/v5/account/balance?a=1"), "PATH_NOT_PLAIN"),
        ("no path", okx_path(""), "PATH_NOT_PLAIN"),
        ("a path in upper case", okx_path("/API/v5/account/balance"), "OPERATION_UNKNOWN"),
        ("an exponent", sized("\"1e9\""), "PARAMETER_VALUE"),
        ("an exponent as a number", sized("1e9"), "PARAMETER_VALUE"),
        ("NaN", sized("NaN"), "BODY_MALFORMED"),
        ("NaN as text", sized("\"NaN\""), "PARAMETER_VALUE"),
        ("infinity", sized("\"Infinity\""), "PARAMETER_VALUE"),
        ("a negative size", sized("\"-1\""), "PARAMETER_VALUE"),
        ("a negative number", sized("-1"), "PARAMETER_VALUE"),
        ("forty digits", sized(&forty_digits), "PARAMETER_VALUE"),
        ("a leading zero", sized("\"01\""), "PARAMETER_VALUE"),
        ("a sign", sized("\"+1\""), "PARAMETER_VALUE"),
        ("a blank", sized("\" 1\""), "PARAMETER_VALUE"),
        ("other digits", sized("\"\u{661}\""), "PARAMETER_VALUE"),
        ("nothing", sized("\"\""), "PARAMETER_VALUE"),
        ("null", sized("null"), "PARAMETER_VALUE"),
        ("CRLF in a path", okx_path("/api/v5/account/balance\r\nx: y"), "PATH_NOT_PLAIN"),
        ("CRLF in a query", okx_query("ccy=BTC\r\nx: y"), "QUERY_MALFORMED"),
        ("CRLF in a header", header("expTime", "1\r\nx: y"), "HEADER_NOT_ALLOWED"),
        ("a header of the venue's", header("OK-ACCESS-KEY", "k"), "HEADER_NOT_ALLOWED"),
        ("CRLF in a value", body(good.replace("limit", "limit\\r\\n")), "BODY_MALFORMED"),
        ("bytes that are not UTF-8", body(not_utf8), "BODY_MALFORMED"),
        ("a byte order mark", body([b"\xef\xbb\xbf", good.as_bytes()].concat()), "BODY_MALFORMED"),
        ("a body of 33 kB", body(vec![b' '; 33 << 10]), "BODY_TOO_LARGE"),
        ("a deep body", body(deep), "BODY_MALFORMED"),
        ("two documents", body(format!("{good}{good}")), "BODY_MALFORMED"),
        ("a batch that is none", body(format!("[{good}]")), "BODY_MALFORMED"),
        ("no body", body(""), "PARAMETER_MISSING"),
        ("a form", body("instId=BTC-USDT"), "BODY_MALFORMED"),
        ("a parameter too many", body(good.replace('{', r#"{"more":"1","#)), "PARAMETER_UNKNOWN"),
        ("a parameter too few", body(good.replace(r#""side":"buy","#, "")), "PARAMETER_MISSING"),
        ("an unknown order type", body(good.replace("limit", "elp")), "ORDER_TYPE_UNKNOWN"),
        (
            "a body with a read",
            v1::VenueRequest { body: b"{}".into(), ..okx_balance() },
            "BODY_NOT_ALLOWED",
        ),
        (
            "a query with an order",
            v1::VenueRequest { query: "a=1".into(), ..okx_order("BTC-USDT", "1") },
            "QUERY_NOT_ALLOWED",
        ),
        (
            "another host",
            v1::VenueRequest { host: "www.okx.com.evil.example".into(), ..okx_balance() },
            "HOST_UNKNOWN",
        ),
        (
            "a host with a port",
            v1::VenueRequest { host: "www.okx.com:444".into(), ..okx_balance() },
            "HOST_UNKNOWN",
        ),
        (
            "the other venue's host",
            v1::VenueRequest { host: "api.kraken.com".into(), ..okx_balance() },
            "HOST_UNKNOWN",
        ),
        (
            "plain HTTP",
            v1::VenueRequest { scheme: "http".into(), ..okx_balance() },
            "SCHEME_NOT_ALLOWED",
        ),
        (
            "a method in lower case",
            v1::VenueRequest { method: "get".into(), ..okx_balance() },
            "METHOD_NOT_PLAIN",
        ),
        (
            "CRLF in a method",
            v1::VenueRequest { method: "GET\r\n".into(), ..okx_balance() },
            "METHOD_NOT_PLAIN",
        ),
        (
            "another method",
            v1::VenueRequest { method: "DELETE".into(), ..okx_balance() },
            "OPERATION_UNKNOWN",
        ),
        ("an unknown operation", okx_path("/api/v5/account/more"), "OPERATION_UNKNOWN"),
    ] {
        let error = bot.sign(order("okx-main", request)).await.expect_err(what);
        let refusal = error.refusal().unwrap_or_else(|| panic!("{what}: {error:?}"));
        assert_eq!(refusal.reason, expected, "{what}: {refusal:?}");
        assert!(refusal.entry_index.is_some(), "{what}");
        assert!(!refusal.message.contains("evil") && refusal.message.is_ascii(), "{what}");
    }

    assert_eq!(vault.state_rev(), state_rev);
    let entries = vault.log_entries();
    assert!(entries.iter().all(|entry| entry.kind != EntryKind::Sign), "nothing was signed");
    vault.verify();
    bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("it still signs");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_kraken() {
    let vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let bot = vault.bot("bot", KRAKEN_SCOPE, &[]).await;
    for (what, request, expected) in [
        ("a duplicate", kraken_post("Balance", "asset=XBT&asset=ETH"), "PARAMETER_DUPLICATE"),
        ("a nonce", kraken_post("Balance", "nonce=18446744073709551615"), "PARAMETER_RESERVED"),
        ("an encoded nonce", kraken_post("Balance", "n%6fnce=1"), "BODY_MALFORMED"),
        ("a one-time password", kraken_post("Balance", "otp=1"), "PARAMETER_RESERVED"),
        ("a nonce in JSON", kraken_post("Balance", r#"{"nonce":"1"}"#), "PARAMETER_RESERVED"),
        ("an encoded path", kraken_post("B%61lance", ""), "PATH_NOT_PLAIN"),
        ("a dot segment", kraken_post("../private/Balance", ""), "PATH_NOT_PLAIN"),
        ("an exponent", kraken_order("XBTUSD", "1e9"), "PARAMETER_VALUE"),
        ("a negative volume", kraken_order("XBTUSD", "-1"), "PARAMETER_VALUE"),
        ("NaN", kraken_order("XBTUSD", "NaN"), "PARAMETER_VALUE"),
        ("forty digits", kraken_order("XBTUSD", &"9".repeat(40)), "PARAMETER_VALUE"),
        ("CRLF", kraken_order("XBTUSD", "1\r\n"), "BODY_MALFORMED"),
        ("encoded CRLF", kraken_order("XBTUSD", "1%0d%0a"), "BODY_MALFORMED"),
        ("a plus", kraken_order("XBTUSD", "1+1"), "BODY_MALFORMED"),
        (
            "a query",
            v1::VenueRequest { query: "a=1".into(), ..kraken_balance() },
            "QUERY_NOT_ALLOWED",
        ),
    ] {
        let refused = bot.sign(order("kraken-main", request)).await;
        assert_eq!(reason(refused), expected, "{what}");
    }
    assert!(vault.log_entries().iter().all(|entry| entry.kind != EntryKind::Sign));
    bot.sign(order("kraken-main", kraken_balance())).await.expect("it still signs");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_surrounds_the_request() {
    let (vault, bot) = with_bot().await;
    let state_rev = vault.state_rev();
    for id in ["", "a b", "a/b", "\u{e4}", "a\r\n", &"a".repeat(65)] {
        let mut order = order("okx-main", okx_balance());
        order.request_id = Some(id.to_owned());
        assert_eq!(reason(bot.sign(order).await), "BAD_FIELD", "request_id {id:?}");
    }

    let channel = channel(&vault.identity("bot")).await;
    let sign = async |bytes: Vec<u8>| {
        wire::call(&channel, "vault.v1.SignService/Sign", bytes).await.expect_err("refused")
    };
    let empty =
        v1::SignRequest { request_id: "r".into(), credential: "okx-main".into(), request: None };
    assert_eq!(sign(empty.encode_to_vec()).await.reason, "BAD_FIELD");
    for garbage in [vec![0xff; 100], vec![0x0a, 0x7f], b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let refused = sign(garbage).await;
        assert!(matches!(refused.code, Code::Internal | Code::InvalidArgument), "{refused:?}");
    }
    let not_utf8 = [&[0x0a, 0x02, 0xff, 0xfe][..], &empty.encode_to_vec()].concat();
    let refused = sign(not_utf8).await;
    assert!(matches!(refused.code, Code::Internal | Code::InvalidArgument), "{refused:?}");

    // 100 kB never get as far as the core.
    let large = v1::SignRequest {
        request: Some(okx_post("/api/v5/trade/order", vec![b' '; 100_000])),
        ..empty
    };
    let refused = sign(large.encode_to_vec()).await;
    assert_eq!(refused.code, Code::OutOfRange, "{refused:?}");
    assert!(refused.message.contains("too large"), "{refused:?}");
    assert_eq!(vault.state_rev(), state_rev);
    bot.sign(order("okx-main", okx_balance())).await.expect("it still signs");
}
