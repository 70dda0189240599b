//! What is refused at the door, field by field.

use proptest::prelude::*;
use vault_model::{
    Class, Environment, OrderType, Product, Reading, Side, Symbols, TimeInForce, VenueRequest,
};
use vault_venue::{BODY_BYTES_MAX, KeyType, ReadError, Standing};

use crate::registry;

const LIVE: Standing<'static> = Standing {
    environment: Environment::Live,
    sites: None,
    venue_checks: false,
    rights: None,
    key_type: KeyType::Hmac,
};

fn okx(method: &str, path: &str, query: &str, body: &str) -> VenueRequest {
    VenueRequest {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: "www.okx.com".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: body.as_bytes().to_vec(),
        headers: Vec::new(),
    }
}

fn kraken(path: &str, body: &str) -> VenueRequest {
    VenueRequest { host: "api.kraken.com".to_owned(), ..okx("POST", path, "", body) }
}

fn read(request: &VenueRequest) -> Result<Reading, ReadError> {
    let registry = registry();
    let name = if request.host.contains("kraken") { "kraken" } else { "okx" };
    registry.venue(name).expect("listed").read(request, &LIVE)
}

const ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001"}"#;

fn order(body: &str) -> Result<Reading, ReadError> {
    read(&okx("POST", "/api/v5/trade/order", "", body))
}

fn balance() -> VenueRequest {
    okx("GET", "/api/v5/account/balance", "", "")
}

#[test]
fn an_order_is_read_to_the_last_field() {
    let body = ORDER.replace('}', r#","clOrdId":"b15"}"#);
    let reading = order(&body).expect("an order");

    let stated = &reading.stated;
    assert_eq!(&*stated.operation, "POST /api/v5/trade/order");
    assert_eq!(stated.class, Class::Trade);
    assert_eq!(stated.products, Some(vec![Product::Spot]));
    assert_eq!(stated.symbols, Symbols::Named(vec!["BTC-USDT".to_owned()]));
    assert_eq!(stated.client_order_id.as_deref(), Some("b15"));
    let [leg] = stated.legs.as_slice() else { panic!("one leg") };
    assert_eq!(leg.product, Some(Product::Spot));
    assert_eq!(leg.side, Some(Side::Buy));
    assert_eq!(leg.order_type, Some(OrderType::Limit));
    assert_eq!(leg.tif, Some(TimeInForce::Gtc));
    assert_eq!(leg.quantity.as_deref(), Some("0.001"));
    assert_eq!(leg.price.as_deref(), Some("60000"));
    assert_eq!(reading.venue, "okx");
    assert_eq!(reading.closure, std::slice::from_ref(stated));
}

#[test]
fn every_order_of_a_batch_is_a_leg() {
    let two = format!("[{ORDER},{}]", ORDER.replace("BTC-USDT", "DOGE-USDT"));
    let reading = read(&okx("POST", "/api/v5/trade/batch-orders", "", &two)).expect("a batch");

    let symbols = Symbols::Named(vec!["BTC-USDT".to_owned(), "DOGE-USDT".to_owned()]);
    assert_eq!(reading.stated.symbols, symbols);
    assert_eq!(reading.stated.legs.len(), 2);

    let path = "/api/v5/trade/batch-orders";
    assert_eq!(read(&okx("POST", path, "", "[]")), Err(ReadError::ArrayLength));
    assert_eq!(read(&okx("POST", path, "", ORDER)), Err(ReadError::BodyMalformed));
    assert_eq!(read(&okx("POST", path, "", "[1]")), Err(ReadError::BodyMalformed));
    assert_eq!(order(&two), Err(ReadError::BodyMalformed));
    let many = format!("[{}]", vec![ORDER; 21].join(","));
    assert_eq!(read(&okx("POST", path, "", &many)), Err(ReadError::ArrayLength));
}

#[test]
fn cancels_name_their_symbol_and_product() {
    let body = r#"{"instId":"BTC-USDT","ordId":"312269865356374016"}"#;
    let reading = read(&okx("POST", "/api/v5/trade/cancel-order", "", body)).expect("a cancel");

    assert_eq!(reading.stated.class, Class::Cancel);
    assert_eq!(reading.stated.symbols, Symbols::Named(vec!["BTC-USDT".to_owned()]));
    assert_eq!(reading.stated.products, Some(vec![Product::Spot]));
}

#[test]
fn orders_of_a_kraken_batch_inherit_the_pair() {
    let body = r#"{"pair":"XBTUSD","orders":[{"ordertype":"limit","price":"1","type":"buy","volume":"1"},{"ordertype":"market","type":"sell","volume":"2"}]}"#;
    let reading = read(&kraken("/0/private/AddOrderBatch", body)).expect("a batch");

    assert_eq!(reading.stated.symbols, Symbols::Named(vec!["XBTUSD".to_owned()]));
    let symbols: Vec<_> = reading.stated.legs.iter().map(|leg| leg.symbol.as_deref()).collect();
    assert_eq!(symbols, [Some("XBTUSD"), Some("XBTUSD")]);
    assert_eq!(reading.stated.legs[1].side, Some(Side::Sell));
    assert_eq!(reading.stated.products, Some(vec![Product::Spot]));
}

#[test]
fn leverage_makes_a_kraken_order_a_margin_order() {
    let spot = "pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.001";
    let product = |body: &str| {
        read(&kraken("/0/private/AddOrder", body)).expect("an order").stated.products.clone()
    };
    assert_eq!(product(spot), Some(vec![Product::Spot]));
    assert_eq!(product(&format!("{spot}&leverage=5")), Some(vec![Product::Margin]));
}

#[test]
fn orders_without_a_size_are_refused() {
    // At Kraken volume 0 means "the whole position".
    for zero in ["0", "0.0", "0.000000000000000000"] {
        let body = format!("pair=XBTUSD&type=sell&ordertype=market&volume={zero}&leverage=2");
        let refused = read(&kraken("/0/private/AddOrder", &body));
        assert_eq!(refused, Err(ReadError::ParameterValue("volume".to_owned())), "{zero}");
    }
}

#[test]
fn order_types_without_meaning_are_refused() {
    let body = "pair=XBTUSD&type=buy&ordertype=stop-loss&price=60000&volume=0.001";
    assert_eq!(read(&kraken("/0/private/AddOrder", body)), Err(ReadError::OrderTypeUnknown));
    assert_eq!(order(&ORDER.replace("limit", "mmp")), Err(ReadError::OrderTypeUnknown));
}

#[test]
fn writes_that_name_nothing_touch_everything() {
    let reading = read(&kraken("/0/private/CancelAll", "")).expect("cancels all");
    assert_eq!(reading.stated.symbols, Symbols::Every);
    assert_eq!(reading.stated.products, None);

    let reading = read(&kraken("/0/private/CancelOrder", "txid=OYVGEW-VYV5B-UUEXSK")).expect("one");
    assert_eq!(reading.stated.symbols, Symbols::Every);

    // An amendment finds its order by id: a leg of unknown symbol and product.
    let amend = "txid=OYVGEW-VYV5B-UUEXSK&order_qty=1";
    let reading = read(&kraken("/0/private/AmendOrder", amend)).expect("an amendment");
    assert_eq!(reading.stated.legs[0].quantity.as_deref(), Some("1"));
    assert_eq!(reading.stated.symbols, Symbols::Every);
    assert_eq!(reading.stated.products, None);

    let reading = read(&kraken("/0/private/Balance", "")).expect("a read");
    assert_eq!(reading.stated.symbols, Symbols::Named(Vec::new()));
    assert_eq!(reading.stated.products, Some(Vec::new()));
}

#[test]
fn methods_paths_schemes_and_hosts_are_exact() {
    use ReadError::*;
    for (change, error) in [
        (
            &(|r: &mut VenueRequest| r.method = "get".into()) as &dyn Fn(&mut VenueRequest),
            MethodNotPlain,
        ),
        (&|r| r.method = "GET ".into(), MethodNotPlain),
        (&|r| r.method = String::new(), MethodNotPlain),
        (&|r| r.method = "POST".into(), OperationUnknown),
        (&|r| r.path = "/api/v5/account/%62alance".into(), PathNotPlain),
        (&|r| r.path = "/api/v5/account/../account/balance".into(), PathNotPlain),
        (&|r| r.path = "/api/v5//account/balance".into(), PathNotPlain),
        (&|r| r.path = "/api/v5/account/balance/".into(), PathNotPlain),
        (&|r| r.path = "/api/v5/account/balance?a=1".into(), PathNotPlain),
        (&|r| r.path = "/api/v5/account/balance\r\nX: 1".into(), PathNotPlain),
        (&|r| r.path = "/api/v5/account/Balance".into(), OperationUnknown),
        (&|r| r.scheme = "http".into(), SchemeNotAllowed),
        (&|r| r.scheme = "HTTPS".into(), SchemeNotAllowed),
        (&|r| r.scheme = "wss".into(), SchemeNotAllowed),
        (&|r| r.host = "www.okx.com.evil.example".into(), HostUnknown),
        (&|r| r.host = "WWW.OKX.COM".into(), HostUnknown),
        (&|r| r.host = "www.okx.com:443".into(), HostUnknown),
        (&|r| r.host = "ws.okx.com".into(), HostUnknown),
        (&|r| r.headers = vec![("X-HTTP-Method-Override".into(), "POST".into())], HeaderNotAllowed),
        (&|r| r.headers = vec![("x-simulated-trading".into(), "1".into())], HeaderNotAllowed),
    ] {
        let mut request = balance();
        change(&mut request);
        assert_eq!(read(&request), Err(error), "{request:?}");
    }
    assert!(read(&balance()).is_ok());
}

#[test]
fn parameters_have_one_place() {
    assert_eq!(
        read(&okx("POST", "/api/v5/trade/order", "instId=BTC-USDT", ORDER)),
        Err(ReadError::QueryNotAllowed)
    );
    assert_eq!(
        read(&okx("GET", "/api/v5/account/balance", "ccy=BTC", "{}")),
        Err(ReadError::BodyNotAllowed)
    );
    assert_eq!(
        read(&VenueRequest { query: "asset=XBT".into(), ..kraken("/0/private/Balance", "") }),
        Err(ReadError::QueryNotAllowed)
    );
}

#[test]
fn queries_are_strict() {
    for query in ["a", "a=1&", "%61=1", "a=1+2", "a=%00", "a=%26", "a=%ff", "a=1#", "a=\r\n", "ä=1"]
    {
        let request = okx("GET", "/api/v5/account/balance", query, "");
        assert_eq!(read(&request), Err(ReadError::QueryMalformed), "{query:?}");
    }
    let twice = okx("GET", "/api/v5/account/balance", "ccy=BTC&ccy=ETH", "");
    assert_eq!(read(&twice), Err(ReadError::ParameterDuplicate));
    let comma = okx("GET", "/api/v5/account/positions", "instType=SWAP&instId=A%2CB", "");
    assert!(read(&comma).is_ok());
}

#[test]
fn bodies_are_strict() {
    for body in [
        &ORDER.replace("\"sz\"", "\"sz\":\"1\",\"sz\""),
        &format!("{ORDER} x"),
        &format!("{ORDER}{ORDER}"),
        &ORDER.replace("\"instId\"", "\"inst\\u0049d\""),
        &ORDER.replace("0.001", "0.001\\n"),
        &ORDER.replace("\"0.001\"", "NaN"),
        &ORDER.replace("\"0.001\"", "01"),
        "instId=BTC-USDT",
        "null",
    ] {
        assert_eq!(order(body), Err(ReadError::BodyMalformed), "{body}");
    }
    let mut raw = okx("POST", "/api/v5/trade/order", "", ORDER);
    raw.body.push(0xff);
    assert_eq!(read(&raw), Err(ReadError::BodyMalformed));
    raw.body = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(read(&raw), Err(ReadError::BodyTooLarge));
    // Whitespace is part of what is signed, and no offence.
    assert!(order(&ORDER.replace(':', " : ")).is_ok());
}

#[test]
fn quantities_are_plain_decimals() {
    let sized = |size: &str| order(&ORDER.replace("\"0.001\"", size));
    let forty = format!("\"{}\"", "1".repeat(40));
    for size in [
        "\"1e9\"", "1e9", "\"NaN\"", "\"-1\"", "-1", "\"01\"", "\"\"", "\" 1\"", "\"1,0\"", "null",
        "true", "[1]", "{}", &forty,
    ] {
        assert_eq!(sized(size), Err(ReadError::ParameterValue("sz".into())), "{size}");
    }
    let leg = sized("0.0010").expect("a number").stated.legs.remove(0);
    assert_eq!(leg.quantity.as_deref(), Some("0.0010"));
}

#[test]
fn schemas_are_closed() {
    assert_eq!(
        order(&ORDER.replace("\"sz\"", "\"attachAlgoOrds\":[{\"sz\":\"50\"}],\"sz\"")),
        Err(ReadError::ParameterUnknown)
    );
    assert_eq!(
        order(&ORDER.replace("\"side\":\"buy\",", "")),
        Err(ReadError::ParameterMissing("side".into()))
    );
    assert_eq!(
        order(&ORDER.replace("\"buy\"", "\"both\"")),
        Err(ReadError::ParameterValue("side".into()))
    );
    assert_eq!(
        order(&ORDER.replace("BTC-USDT", "BTC USDT")),
        Err(ReadError::ParameterValue("instId".into()))
    );
    assert_eq!(order(""), Err(ReadError::ParameterMissing("instId".into())));
    assert_eq!(
        read(&kraken("/0/private/AddOrder", "")),
        Err(ReadError::ParameterMissing("ordertype".into()))
    );
    let cancel = okx("POST", "/api/v5/trade/cancel-order", "", r#"{"instId":"BTC-USDT"}"#);
    assert_eq!(read(&cancel), Err(ReadError::ParameterMissing("ordId or clOrdId".into())));
    assert_eq!(
        read(&kraken("/0/private/AddOrder", "close%5Bordertype%5D=market")),
        Err(ReadError::BodyMalformed)
    );
}

#[test]
fn the_nonce_is_the_vaults() {
    for body in ["nonce=18446744073709551615", "asset=XBT&nonce=1", "otp=1", r#"{"nonce":"1"}"#] {
        let error = read(&kraken("/0/private/Balance", body)).expect_err("reserved");
        assert_eq!(error.code(), "PARAMETER_RESERVED", "{body}");
    }
}

#[test]
fn log_ons_go_to_socket_hosts_alone() {
    let mut log_on = okx("GET", "/users/self/verify", "", "");
    assert_eq!(read(&log_on), Err(ReadError::SchemeNotAllowed));
    log_on.scheme = "wss".to_owned();
    assert_eq!(read(&log_on), Err(ReadError::HostUnknown));
    log_on.host = "ws.okx.com".to_owned();
    let reading = read(&log_on).expect("a log-on");
    assert_eq!(reading.stated.class, Class::Logon);
    assert_eq!(reading.stated.symbols, Symbols::Every);
}

#[test]
fn kraken_has_no_demo() {
    let registry = registry();
    let demo = Standing { environment: Environment::Demo, ..LIVE };
    let kraken_venue = registry.venue("kraken").expect("kraken");
    assert_eq!(
        kraken_venue.read(&kraken("/0/private/Balance", ""), &demo),
        Err(ReadError::EnvironmentUnknown)
    );
}

fn mutated(seed: VenueRequest) -> impl Strategy<Value = VenueRequest> {
    let keep = |text: String| prop_oneof![3 => Just(text), 1 => any::<String>()];
    (
        keep(seed.method),
        keep(seed.scheme),
        keep(seed.host),
        keep(seed.path),
        prop_oneof![Just(seed.query), any::<String>(), "[a-c=&%0-9]{0,20}"],
        prop_oneof![
            Just(seed.body.clone()),
            prop::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\",:a-c0-9\\\\u.-]{0,60}".prop_map(String::into_bytes),
            (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(at, byte)| {
                let mut body = seed.body.clone();
                if !body.is_empty() {
                    let at = at.index(body.len());
                    body[at] = byte;
                }
                body
            }),
        ],
        prop::collection::vec((any::<String>(), any::<String>()), 0..2),
    )
        .prop_map(|(method, scheme, host, path, query, body, headers)| VenueRequest {
            method,
            scheme,
            host,
            path,
            query,
            body,
            headers,
        })
}

fn seeds() -> impl Strategy<Value = VenueRequest> {
    prop_oneof![
        mutated(balance()),
        mutated(okx("POST", "/api/v5/trade/order", "", ORDER)),
        mutated(okx("POST", "/api/v5/trade/batch-orders", "", &format!("[{ORDER}]"))),
        mutated(kraken("/0/private/AddOrder", "pair=XBTUSD&type=buy&ordertype=market&volume=1")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whatever comes in, reading and signing return.
    #[test]
    fn arbitrary_bytes_never_panic(request in seeds()) {
        use vault_model::{SecretBytes, Timestamp};
        use vault_venue::{Key, Moment};

        let registry = registry();
        let secret = SecretBytes::new(b"kQH5HW/8p1uGOVjbgWA7Fg==".to_vec());
        let passphrase = SecretBytes::new(b"phrase".to_vec());
        let key = Key {
            api_key: "key",
            secret: &secret,
            passphrase: Some(&passphrase),
            key_type: KeyType::Hmac,
            private_key: None,
        };
        let moment = Moment {
            unique: [7; 16],
            at: Timestamp(0),
            nonce: Some(1),
            environment: Environment::Live,
            disclose_passphrase: true,
        };
        for name in registry.names() {
            let venue = registry.venue(name).expect("listed");
            let _ = venue.sign(&request, &key, &moment);
            if let Ok(reading) = venue.read(&request, &LIVE) {
                prop_assert!(reading.closure.contains(&reading.stated));
                prop_assert!(venue.sign(&request, &key, &moment).is_ok());
            }
        }
    }
}
