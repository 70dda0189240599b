//! How long it takes to read a request and compute its closure, per venue.
//!
//! `cargo run --release -p vault-venue --example closure`

use std::time::{Duration, Instant};

use vault_model::{Environment, VenueRequest};
use vault_venue::{KeyType, Registry, Standing};

/// How long each request is asked for.
const ROUND: Duration = Duration::from_millis(300);

struct Case {
    venue: &'static str,
    key_type: KeyType,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    query: &'static str,
    body: &'static str,
}

const CASES: &[Case] = &[
    Case {
        venue: "binance",
        key_type: KeyType::Hmac,
        method: "POST",
        host: "api.binance.com",
        path: "/api/v3/order",
        query: "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000",
        body: "",
    },
    Case {
        venue: "binance",
        key_type: KeyType::Hmac,
        method: "GET",
        host: "api.binance.com",
        path: "/api/v3/openOrders",
        query: "symbol=BTCUSDT",
        body: "",
    },
    Case {
        venue: "binance",
        key_type: KeyType::Hmac,
        method: "GET",
        host: "api.binance.com",
        path: "/api/v3/account",
        query: "",
        body: "",
    },
    Case {
        venue: "bybit",
        key_type: KeyType::Hmac,
        method: "POST",
        host: "api.bybit.com",
        path: "/v5/order/create",
        query: "",
        body: r#"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"60000"}"#,
    },
    Case {
        venue: "coinbase",
        key_type: KeyType::Es256,
        method: "GET",
        host: "api.coinbase.com",
        path: "/api/v3/brokerage/accounts",
        query: "limit=250",
        body: "",
    },
    Case {
        venue: "okx",
        key_type: KeyType::Hmac,
        method: "POST",
        host: "www.okx.com",
        path: "/api/v5/trade/order",
        query: "",
        body: r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001"}"#,
    },
    Case {
        venue: "kraken",
        key_type: KeyType::Hmac,
        method: "POST",
        host: "api.kraken.com",
        path: "/0/private/AddOrder",
        query: "",
        body: "ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
    },
];

#[allow(clippy::print_stdout)] // What the program is for.
fn main() {
    let registry = Registry::bundled().expect("bundled catalogues are sound");
    println!(
        "{:<9} {:<34} {:>7} {:>8} {:>10}",
        "venue", "operation", "assume", "closure", "us/read"
    );
    for case in CASES {
        for venue_checks in [false, true] {
            measure(&registry, case, venue_checks);
        }
    }
}

#[allow(clippy::print_stdout)]
fn measure(registry: &Registry, case: &Case, venue_checks: bool) {
    let request = VenueRequest {
        method: case.method.to_owned(),
        scheme: "https".to_owned(),
        host: case.host.to_owned(),
        path: case.path.to_owned(),
        query: case.query.to_owned(),
        body: case.body.as_bytes().to_vec(),
        headers: Vec::new(),
    };
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks,
        rights: None,
        key_type: case.key_type,
    };
    let Some(venue) = registry.venue(case.venue) else {
        return;
    };
    let size = match venue.read(&request, &standing) {
        Ok(reading) => reading.closure.len(),
        Err(error) => return println!("{:<9} {}: {error}", case.venue, case.path),
    };
    let begun = Instant::now();
    let mut reads = 0_u32;
    while begun.elapsed() < ROUND {
        for _ in 0..50 {
            let _ = std::hint::black_box(venue.read(std::hint::black_box(&request), &standing));
        }
        reads += 50;
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / f64::from(reads);
    let name = format!("{} {}", case.method, case.path);
    let assume = if venue_checks { "checks" } else { "-" };
    println!("{:<9} {name:<34} {assume:>7} {size:>8} {micros:>10.1}", case.venue);
}
