//! The cases of `confusion.json`, end to end: each is asked of Execute, those of mode `execute`
//! through the proxy too, and what arrives at the venue is what was judged, byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use vault_client::v1;
use vault_client::{Client, ClientError, Executed};
use vault_mock_venue::Accepted;

use crate::bed::{Bed, execute};

/// Venues that the bed has.
const VENUES: [&str; 5] = ["binance", "bybit", "coinbase", "kraken", "okx"];

/// Parameters that the vault adds; a window it adds where the case states none.
const ADDED: [&str; 4] = ["nonce", "recvWindow", "signature", "timestamp"];

struct Case {
    id: String,
    venue: &'static str,
    is_execute: bool,
    is_allowed: bool,
    scope: Value,
    request: v1::VenueRequest,
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/confusion.json");
    let file: Value =
        serde_json::from_slice(&std::fs::read(path).expect("the cases")).expect("JSON");
    let lists = ["deny", "allow"].into_iter().flat_map(|list| file[list].as_array().cloned());
    // What goes over a socket is no request that Execute sends.
    lists
        .flatten()
        .filter(|case| case["scope"]["ws"] != true)
        .filter_map(|case| read(&case))
        .collect()
}

fn read(case: &Value) -> Option<Case> {
    let venue = VENUES.into_iter().find(|venue| case["venue"] == *venue)?;
    let request = &case["request"];
    let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().expect("headers").iter();
    Some(Case {
        id: case["id"].as_str().expect("an id").to_owned(),
        venue,
        is_execute: case["mode"] == "execute",
        is_allowed: case["expected"] == "allow",
        scope: case["scope"].clone(),
        request: v1::VenueRequest {
            method: text("method"),
            scheme: text("scheme"),
            host: text("host"),
            path: text("path"),
            query: text("query"),
            body: text("body").into_bytes(),
            headers: headers
                .map(|(name, value)| v1::Header {
                    name: name.clone(),
                    value: value.as_str().expect("a text").to_owned(),
                })
                .collect(),
        },
    })
}

/// The case's scope for a bot of its own. A list is written as TOML writes it.
fn scope(case: &Case) -> String {
    let list = |name: &str| case.scope.get(name).map_or(r#"["*"]"#.to_owned(), Value::to_string);
    let Case { id, venue, .. } = case;
    let mut orders = String::new();
    if let Some(types) = case.scope.get("order_types") {
        orders += &format!("types = {types}\n");
    }
    if let Some(most) = case.scope.get("max_notional_usd") {
        orders += &format!("max_notional_usd = \"{most}\"\n");
    }
    format!(
        "name = \"{id}\"\ncredentials = [\"{venue}-main\"]\nclasses = {}\nmodes = [\"execute\"]\n\
         products = {}\n[symbols]\n{venue} = {}\n[orders]\n{orders}[pricing]\n\
         usd_par = [\"USDC\", \"USDT\"]\nslippage = \"0\"\n[network]\nallow = [\"127.0.0.0/8\"]\n",
        case.scope["classes"],
        list("products"),
        list("symbols"),
    )
}

/// Bitcoin costs 60,000 USD, as the cases say.
async fn put_price(bed: &Bed) {
    let pricer = Client::connect(bed.vault.pricer("pricer").await).await.expect("connected");
    let feed = v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["pricer".to_owned()],
        max_age: "1h".to_owned(),
        max_step: "0.02".to_owned(),
        step_every: "1h".to_owned(),
        anchor: "60000".to_owned(),
        ..v1::Feed::default()
    };
    let command = v1::PutFeedCommand { feed: Some(feed) };
    bed.vault.admin().await.put_feed(command).await.expect("a feed");
    let quote = v1::Quote { pair: "BTC/USD".to_owned(), price: "60000".to_owned() };
    let answers = pricer.put_prices(vec![quote]).await.expect("answered");
    assert!(answers.iter().all(|answer| answer.accepted), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_gives_its_answer_end_to_end() {
    let bed = Bed::start(crate::bed::TRADER).await;
    put_price(&bed).await;
    let (mut executed, mut served, mut refused) = (0, 0, 0);
    for case in cases() {
        bed.vault.bot_identity(&case.id, &scope(&case), &[]).await;
        let bot = bed.vault.connect_bot(&case.id).await;
        let order = execute(&format!("{}-main", case.venue), case.request.clone());
        match bot.execute(order).await {
            Ok(Executed { .. }) => {
                served += 1;
                assert_arrived(&bed, &case);
            }
            Err(error) => {
                refused += 1;
                assert_refused(&bed, &case, &error);
            }
        }
        if case.is_execute {
            executed += 1;
            through_the_proxy(&bed, &case).await;
        }
    }
    assert!(executed >= 4 && served >= executed && refused > 20, "{executed} {served} {refused}");
    bed.vault.verify();
}

fn assert_refused(bed: &Bed, case: &Case, error: &ClientError) {
    let refusal = error.refusal().unwrap_or_else(|| panic!("{}: broken: {error:?}", case.id));
    // What Sign gives, Execute does.
    assert!(!case.is_allowed, "{}: {}", case.id, refusal.reason);
    assert_eq!(bed.mocks.arrived(), 0, "{}: refused, and sent", case.id);
}

/// Exactly one request has arrived, and it says what the case says and what the vault adds.
fn assert_arrived(bed: &Bed, case: &Case) {
    assert!(case.is_allowed || !case.is_execute, "{}: served", case.id);
    let seen = bed.mocks.seen();
    let [arrived] = seen.as_slice() else { panic!("{}: {seen:?}", case.id) };
    let stated = &case.request;
    assert_eq!(
        (&arrived.method, &arrived.host, &arrived.path),
        (&stated.method, &stated.host, &stated.path),
        "{}",
        case.id
    );
    let body = std::str::from_utf8(&stated.body).expect("texts");
    let stated = (without_added(&stated.query), without_added(body));
    assert_eq!(parameters(arrived, body), stated, "{}", case.id);
    bed.mocks.forget();
}

/// Query and body without what the vault adds before or behind.
fn parameters<'a>(arrived: &'a Accepted, stated_body: &str) -> (&'a str, &'a str) {
    if stated_body.starts_with(['{', '[']) {
        return (&arrived.query, &arrived.body);
    }
    (without_added(&arrived.query), without_added(&arrived.body))
}

/// The vault puts what it adds at the beginning or at the end, and nothing between.
fn without_added(form: &str) -> &str {
    let is_added = |pair: &str| ADDED.contains(&pair.split('=').next().unwrap_or_default());
    let mut form = form;
    while let Some((last_from, last)) = form
        .rfind('&')
        .map(|at| (at, &form[at + 1..]))
        .or_else(|| (!form.is_empty()).then_some((0, form)))
        .filter(|(_, last)| is_added(last))
    {
        debug_assert!(!last.is_empty());
        form = &form[..last_from];
    }
    while let Some((first, rest)) = form.split_once('&').filter(|(first, _)| is_added(first)) {
        debug_assert!(!first.is_empty());
        form = rest;
    }
    form
}

/// The same, as the bot's own library would write it.
async fn through_the_proxy(bed: &Bed, case: &Case) {
    let v1::VenueRequest { method, host, path, query, body, .. } = &case.request;
    let name = format!("countersign:{}-main", case.venue);
    let header = match case.venue {
        "binance" => format!("x-mbx-apikey: {name}"),
        "bybit" => format!("x-bapi-api-key: {name}"),
        "kraken" => format!("api-key: {name}"),
        "okx" => format!("ok-access-key: {name}"),
        _ => {
            let part = |text: String| URL_SAFE_NO_PAD.encode(text);
            let head = part(format!(r#"{{"alg":"ES256","kid":"{name}"}}"#));
            let claims = part(format!(r#"{{"sub":"{name}"}}"#));
            format!("authorization: Bearer {head}.{claims}.{}", part("none".to_owned()))
        }
    };
    let form = if body.is_empty() { "" } else { "\ncontent-type: application/json" };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let line = format!("{method} /https://{host}{path}{query} HTTP/1.1\n{header}{form}");
    let body = std::str::from_utf8(body).expect("texts");
    let answer = bed.http_of(&case.id, &line, body).await;
    assert_ne!(answer.status, 422, "{}: {}", case.id, String::from_utf8_lossy(&answer.body));
    assert!(answer.head.contains("countersign-entry"), "{}: {}", case.id, answer.head);
    assert_arrived(bed, case);
}
