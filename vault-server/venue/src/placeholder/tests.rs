use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vault_model::{Environment, VenueRequest};

use super::Undressed;
use crate::error::{ReadError, VenueError};
use crate::registry::Registry;

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> VenueRequest {
    let (front, query) = url.split_once('?').unwrap_or((url, ""));
    let (host, path) = front.split_once('/').expect("a path");
    VenueRequest {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: host.to_owned(),
        path: format!("/{path}"),
        query: query.to_owned(),
        body: body.as_bytes().to_vec(),
        headers: headers.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
    }
}

fn undress(request: &VenueRequest) -> Result<Undressed, ReadError> {
    let registry = Registry::bundled().expect("the catalogues load");
    let (venue, _) = registry.venue_of_host(&request.host).expect("a host");
    venue.undress(request)
}

/// Query and body that are left, of a request that names `main`.
fn left(request: &VenueRequest) -> (String, String) {
    let undressed = undress(request).expect("undressed");
    assert_eq!(undressed.credential.as_deref(), Some("main"));
    assert_eq!(undressed.request.headers, Vec::new());
    let Undressed { request: VenueRequest { query, body, .. }, .. } = undressed;
    (query, String::from_utf8(body).expect("text"))
}

const ORDER: &str = "api.binance.com/api/v3/order";
const BINANCE_KEY: &[(&str, &str)] = &[("x-mbx-apikey", "countersign:main"), ("user-agent", "x")];

#[test]
fn binance_loses_time_signature_and_a_wide_window_wherever_they_stand() {
    for (written, kept) in [
        ("timestamp=1&symbol=BTCUSDT&recvWindow=10000&signature=00", "symbol=BTCUSDT"),
        (
            "signature=a%2Bb&symbol=BTCUSDT&recvWindow=5000&timestamp=1",
            "symbol=BTCUSDT&recvWindow=5000",
        ),
        ("symbol=BTCUSDT&recvWindow=5001", "symbol=BTCUSDT"),
        ("apiKey=countersign%3Amain&symbol=BTCUSDT", "symbol=BTCUSDT"),
        ("timestamp=1&signature=0", ""),
        ("symbol=BTCUSDT", "symbol=BTCUSDT"),
    ] {
        let query = request("DELETE", &format!("{ORDER}?{written}"), BINANCE_KEY, "");
        assert_eq!(left(&query), (kept.to_owned(), String::new()), "{written}");
        let form = request("POST", ORDER, BINANCE_KEY, written);
        assert_eq!(left(&form), (String::new(), kept.to_owned()), "{written}");
    }
    let both =
        request("POST", &format!("{ORDER}?timestamp=1&signature=0"), BINANCE_KEY, "symbol=BTCUSDT");
    assert_eq!(left(&both), (String::new(), "symbol=BTCUSDT".to_owned()));
}

#[test]
fn what_is_not_understood_is_left_for_the_reader() {
    for written in [
        "symbol=BTCUSDT&timestamp=1&timestamp=2",
        "symbol=BTCUSDT&Timestamp=1",
        "symbol=BTCUSDT&%74imestamp=1",
        "symbol=BTCUSDT&recvWindow=0",
        "symbol=BTCUSDT&recvWindow=5e9",
        "symbol=BTCUSDT&xsignature=1",
        "symbol=BTCUSDT&&",
        "{\"timestamp\":1",
    ] {
        let form = request("POST", ORDER, BINANCE_KEY, written);
        assert_eq!(left(&form), (String::new(), written.to_owned()));
    }
    // One in each place are two.
    let both =
        request("POST", &format!("{ORDER}?timestamp=1"), BINANCE_KEY, "symbol=B&timestamp=2");
    assert_eq!(left(&both), ("timestamp=1".to_owned(), "symbol=B&timestamp=2".to_owned()));
}

#[test]
fn a_body_that_is_no_text_is_left() {
    let mut bytes = request("POST", &format!("{ORDER}?timestamp=1&symbol=B"), BINANCE_KEY, "");
    bytes.body = vec![0xff, b'&', 0xfe];
    let undressed = undress(&bytes).expect("undressed");
    assert_eq!(undressed.request.body, bytes.body);
    assert_eq!(undressed.request.query, "symbol=B");
}

#[test]
fn bybit_and_okx_keep_every_byte_of_their_parameters() {
    let bybit = [
        ("X-BAPI-API-KEY", "countersign:main"),
        ("X-BAPI-SIGN", "00"),
        ("X-BAPI-TIMESTAMP", "1"),
        ("X-BAPI-RECV-WINDOW", "60000"),
        ("Referer", "CCXT"),
    ];
    let body = r#"{"symbol": "BTCUSDT","timestamp":1}"#;
    let order = request("POST", "api.bybit.com/v5/order/create", &bybit, body);
    assert_eq!(left(&order), (String::new(), body.to_owned()));

    let okx = [
        ("ok-access-key", "countersign:main"),
        ("ok-access-sign", "00"),
        ("ok-access-timestamp", "t"),
        ("ok-access-passphrase", "p"),
        ("content-type", "application/json"),
    ];
    let body = r#"[{"instId":"BTC-USDT","tag":"x"}]"#;
    let order = request("POST", "www.okx.com/api/v5/trade/batch-orders", &okx, body);
    assert_eq!(left(&order), (String::new(), body.to_owned()));
}

#[test]
fn kraken_loses_its_nonce_in_both_forms() {
    let headers = [("api-key", "countersign:main"), ("api-sign", "AA==")];
    for (body, kept) in [
        ("nonce=1&pair=XBTUSD", "pair=XBTUSD"),
        ("pair=XBTUSD&nonce=1", "pair=XBTUSD"),
        ("nonce=1", ""),
        (r#"{"nonce":"1","pair":"XBTUSD"}"#, r#"{"pair":"XBTUSD"}"#),
        (r#"{ "pair": "XBTUSD", "nonce": 1 }"#, r#"{ "pair": "XBTUSD" }"#),
        (r#"{"a":{"nonce":1}}"#, r#"{"a":{"nonce":1}}"#),
        (r#"{"nonce":1,"nonce":2}"#, r#"{"nonce":1,"nonce":2}"#),
    ] {
        let order = request("POST", "api.kraken.com/0/private/AddOrder", &headers, body);
        assert_eq!(left(&order), (String::new(), kept.to_owned()), "{body}");
    }
}

#[test]
fn a_form_of_nothing_but_nonces_is_gone_through_once() {
    let headers = [("api-key", "countersign:main"), ("api-sign", "AA==")];
    // To count them anew for each would take minutes.
    let body = ["nonce"; 180_000].join("&");
    let order = request("POST", "api.kraken.com/0/private/AddOrder", &headers, &body);
    assert_eq!(left(&order), (String::new(), body));
}

fn jwt(header: &str, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("Bearer {}.{}.{}", part(header), part(claims), part("signature"))
}

fn coinbase(authorization: &str) -> VenueRequest {
    let headers = [("Authorization", authorization)];
    request("GET", "api.coinbase.com/api/v3/brokerage/accounts?limit=1", &headers, "")
}

#[test]
fn coinbase_names_the_credential_in_its_token() {
    let (kid, sub) = (r#"{"kid":"countersign:main"}"#, r#"{"sub":"countersign:main","nbf":1}"#);
    for authorization in [
        jwt(kid, sub),
        jwt(kid, "{}"),
        jwt("{}", sub),
        "Bearer countersign:main".to_owned(),
        "bearer countersign%3Amain".to_owned(),
    ] {
        assert_eq!(left(&coinbase(&authorization)).0, "limit=1", "{authorization}");
    }
    let old = [("CB-ACCESS-KEY", "countersign:main"), ("CB-ACCESS-SIGN", "00")];
    assert_eq!(left(&request("GET", "api.coinbase.com/v2/accounts", &old, "")).0, "");
}

#[test]
fn a_token_of_another_key_is_refused() {
    let placeholder = r#"{"kid":"countersign:main"}"#;
    for authorization in [
        jwt("{}", "{}"),
        jwt(r#"{"kid":"organizations/a/apiKeys/b"}"#, "{}"),
        jwt(placeholder, r#"{"sub":"organizations/a/apiKeys/b"}"#),
        jwt(placeholder, "[]").replace("Bearer", "Basic"),
        jwt(placeholder, &format!(r#"{{"x":"{}"}}"#, "x".repeat(4096))),
        jwt(r#"{"kid":"countersign:main","kid":"countersign:main"}"#, "{}"),
        jwt("nothing", "{}"),
        "Bearer".to_owned(),
        "Bearer abc".to_owned(),
        "Basic YTpi".to_owned(),
        String::new(),
    ] {
        let refused = undress(&coinbase(&authorization));
        assert_eq!(refused, Err(ReadError::KeyNotPlaceholder), "{authorization}");
    }
    let two = jwt(placeholder, r#"{"sub":"countersign:other"}"#);
    assert_eq!(undress(&coinbase(&two)), Err(ReadError::PlaceholdersDiffer));
}

#[test]
fn a_key_that_is_no_placeholder_is_refused() {
    let long = format!("countersign:{}", "a".repeat(129));
    for value in [
        "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
        "",
        "countersign:",
        "countersign",
        "Countersign:main",
        "countersign:a b",
        long.as_str(),
    ] {
        for (url, header) in [
            (ORDER, "X-MBX-APIKEY"),
            ("api.bybit.com/v5/order/create", "x-bapi-api-key"),
            ("www.okx.com/api/v5/trade/order", "ok-access-key"),
            ("api.kraken.com/0/private/AddOrder", "API-Key"),
            ("api.coinbase.com/v2/accounts", "cb-access-key"),
        ] {
            let refused = undress(&request("POST", url, &[(header, value)], ""));
            assert_eq!(refused, Err(ReadError::KeyNotPlaceholder), "{header}: {value}");
        }
    }
    let parameter = request("GET", "api.bybit.com/v5/order/realtime?api_key=abc", &[], "");
    assert_eq!(undress(&parameter), Err(ReadError::KeyNotPlaceholder));
}

#[test]
fn two_credentials_in_one_request_are_refused() {
    let twice = [("x-mbx-apikey", "countersign:main"), ("x-mbx-apikey", "countersign:other")];
    assert_eq!(undress(&request("GET", ORDER, &twice, "")), Err(ReadError::PlaceholdersDiffer));
    let elsewhere = format!("{ORDER}?apiKey=countersign:other");
    let refused = undress(&request("GET", &elsewhere, BINANCE_KEY, ""));
    assert_eq!(refused, Err(ReadError::PlaceholdersDiffer));
}

#[test]
fn a_request_that_names_nobody_loses_its_headers_alone() {
    let url = "api.binance.com/api/v3/klines?symbol=BTCUSDT&timestamp=1";
    let bare = request("GET", url, &[("user-agent", "x"), ("cookie", "a=b")], "");
    let undressed = undress(&bare).expect("undressed");
    assert_eq!(undressed.credential, None);
    assert_eq!(undressed.request, VenueRequest { headers: Vec::new(), ..bare });
}

#[test]
fn a_header_that_selects_the_environment_stays_for_the_reader() {
    let registry = Registry::bundled().expect("the catalogues load");
    let (okx, environments) = registry.venue_of_host("www.okx.com").expect("okx");
    assert_eq!(environments, [Environment::Live, Environment::Demo]);
    let headers = [("OK-ACCESS-KEY", "countersign:main"), ("x-simulated-trading", "1")];
    let balance = request("GET", "www.okx.com/api/v5/account/balance", &headers, "");

    let Undressed { request: bare, .. } = okx.undress(&balance).expect("undressed");
    assert_eq!(okx.environment_of(&bare), Some(Environment::Demo));
    let read = |request: &VenueRequest, environment| {
        let standing = crate::Standing {
            environment,
            sites: None,
            venue_checks: false,
            rights: None,
            key_type: crate::KeyType::Hmac,
        };
        okx.read(request, &standing).map(|_| ())
    };
    assert_eq!(read(&bare, Environment::Live), Err(ReadError::HeaderNotAllowed));
    assert_eq!(read(&bare, Environment::Demo), Ok(()));
    let other = VenueRequest { headers: vec![("x-simulated-trading".into(), "0".into())], ..bare };
    assert_eq!(okx.environment_of(&other), None);
    assert_eq!(read(&other, Environment::Demo), Err(ReadError::HeaderNotAllowed));
}

#[test]
fn hosts_belong_to_one_venue() {
    let registry = Registry::bundled().expect("the catalogues load");
    let of = |host: &str| {
        registry.venue_of_host(host).map(|(venue, environments)| (venue.name(), environments))
    };
    assert_eq!(of("api.binance.com"), Some(("binance", vec![Environment::Live])));
    assert_eq!(of("fapi.binance.com"), Some(("binance", vec![Environment::Live])));
    assert_eq!(of("testnet.binancefuture.com"), Some(("binance", vec![Environment::Demo])));
    assert_eq!(of("api.kraken.com"), Some(("kraken", vec![Environment::Live])));
    for host in [
        "",
        "API.binance.com",
        "api.binance.com.",
        "api.binance.com:443",
        "ws-api.binance.com",
        "evil.com",
    ] {
        assert_eq!(of(host), None, "{host}");
    }
}

#[test]
fn an_open_request_has_no_key_and_nothing_else_is_open() {
    let registry = Registry::bundled().expect("the catalogues load");
    let open = |request: &VenueRequest, environment| {
        let (venue, _) = registry.venue_of_host(&request.host).expect("a host");
        venue.open_request(request, environment)
    };
    let klines = request("GET", "api.binance.com/api/v3/klines?symbol=BTCUSDT", &[], "");
    let sent = open(&klines, Environment::Live).expect("open");
    assert_eq!(sent.url, "https://api.binance.com/api/v3/klines?symbol=BTCUSDT");
    assert_eq!((sent.headers, sent.body, sent.signature), (vec![], vec![], vec![]));
    assert_eq!(sent.secrets, Vec::<String>::new());

    let demo = ("x-simulated-trading", "1");
    let ticker = request("GET", "www.okx.com/api/v5/market/ticker?instId=BTC-USDT", &[demo], "");
    let sent = open(&ticker, Environment::Demo).expect("open");
    assert_eq!(sent.headers, [(demo.0.to_owned(), demo.1.to_owned())]);

    for (closed, environment, error) in [
        (ORDER, Environment::Live, VenueError::RequestForm),
        // The API key alone opens it: that is no operation for everybody.
        ("api.binance.com/sapi/v1/margin/allPairs", Environment::Live, VenueError::RequestForm),
        ("api.binance.com/api/v3/nothing", Environment::Live, VenueError::RequestForm),
        ("api.kraken.com/0/public/Time", Environment::Demo, VenueError::EnvironmentUnknown),
    ] {
        assert_eq!(open(&request("GET", closed, &[], ""), environment), Err(error), "{closed}");
    }
}
