//! Sites: a key of one is for none of the hosts of the others.

use vault_model::{Environment, Mode, VenueRequest};
use vault_venue::{Account, KeyType, Part, ReadError, Standing, StreamRequest, Venue};

use crate::{CAUTIOUS, registry};

fn of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn get(host: &str, path: &str, query: &str) -> VenueRequest {
    VenueRequest {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..VenueRequest::default()
    }
}

/// What becomes of a read of the open orders at a host, with a key of these sites.
fn at(
    venue: &str,
    environment: Environment,
    sites: Option<&[String]>,
    host: &str,
) -> Result<(), ReadError> {
    let (path, query) = match venue {
        "bybit" => ("/v5/order/realtime", "category=linear"),
        "binance" => ("/api/v3/openOrders", ""),
        _ => ("/api/v5/trade/orders-pending", ""),
    };
    let standing = Standing { environment, sites, ..CAUTIOUS };
    let venue = registry().venue(venue).expect("bundled");
    let request = get(host, path, query);
    let read = venue.read(&request, &standing).map(|_| ());
    assert_eq!(read, venue.read_in(Mode::Execute, &request, &standing).map(|_| ()));
    read
}

#[test]
fn a_key_is_read_for_hosts_of_its_own_site_alone() {
    use Environment::{Demo, Live};
    for (venue, environment, site, hosts) in [
        ("okx", Live, "main", &["www.okx.com"][..]),
        ("okx", Live, "eea", &["eea.okx.com"]),
        ("okx", Live, "us", &["us.okx.com", "app.okx.com"]),
        ("okx", Demo, "main", &["www.okx.com"]),
        ("okx", Demo, "eea", &["eea.okx.com"]),
        ("okx", Demo, "us", &["us.okx.com", "app.okx.com"]),
        ("bybit", Live, "main", &["api.bybit.com", "api.bytick.com"]),
        ("bybit", Live, "eu", &["api.bybit.eu"]),
        ("bybit", Live, "nl", &["api.bybit.nl"]),
        ("bybit", Live, "tr", &["api.bybit.tr"]),
        ("bybit", Live, "kz", &["api.bybit.kz"]),
        ("bybit", Live, "ge", &["api.bybitgeorgia.ge"]),
        ("bybit", Live, "ae", &["api.bybit.ae"]),
        ("bybit", Live, "id", &["api.bybit.id"]),
        ("bybit", Live, "jp", &["api.manepa.jp"]),
        ("bybit", Demo, "main", &["api-testnet.bybit.com"]),
        ("bybit", Demo, "demo", &["api-demo.bybit.com"]),
        ("bybit", Demo, "jp", &["api-testnet.manepa.jp"]),
        ("binance", Demo, "main", &["demo-api.binance.com"]),
        ("binance", Demo, "testnet", &["testnet.binance.vision", "api1.testnet.binance.vision"]),
    ] {
        let all = &registry().venue(venue).expect("bundled").catalog;
        let all = &all.hosts(environment).expect("there").rest;
        let own = of(&[site]);
        for host in all {
            let is_own = hosts.contains(&host.as_str());
            let said = if is_own { Ok(()) } else { Err(ReadError::HostElsewhere) };
            assert_eq!(at(venue, environment, Some(&own), host), said, "{venue} {site} {host}");
            if site == "main" {
                assert_eq!(at(venue, environment, Some(&[]), host), said, "{venue} {host}");
            }
            // Without a key there is nothing to keep from anybody.
            assert_eq!(at(venue, environment, None, host), Ok(()), "{venue} {host}");
        }
    }
}

#[test]
fn a_key_of_two_sites_is_for_both_and_one_of_no_known_site_for_none() {
    let live = Environment::Live;
    let both = of(&["eea", "main"]);
    for (host, said) in [
        ("www.okx.com", Ok(())),
        ("eea.okx.com", Ok(())),
        ("us.okx.com", Err(ReadError::HostElsewhere)),
        ("www.okx.example", Err(ReadError::HostUnknown)),
    ] {
        assert_eq!(at("okx", live, Some(&both), host), said, "{host}");
    }
    for (venue, host) in [("okx", "www.okx.com"), ("binance", "api.binance.com")] {
        let gone = at(venue, live, Some(&of(&["gone"])), host);
        assert_eq!(gone, Err(ReadError::HostElsewhere), "{venue}");
    }
}

#[test]
fn venues_of_one_company_have_no_sites() {
    for name in ["binance", "coinbase", "kraken"] {
        let venue = registry().venue(name).expect("bundled");
        let hosts = venue.catalog.hosts(Environment::Live).expect("live");
        assert_eq!(hosts.sites.iter().count(), 0, "{name}");
        for host in &hosts.rest {
            assert!(venue.serves(Environment::Live.into(), host), "{name} {host}");
            let main = of(&["main"]);
            let account = Account { environment: Environment::Live, sites: &main };
            assert!(venue.serves(account, host), "{name} {host}");
        }
    }
}

#[test]
fn what_the_vault_asks_itself_goes_to_the_site_of_the_key() {
    let hosts = |name: &str, environment, sites: &[&str]| {
        let venue = registry().venue(name).expect("bundled");
        let sites = of(sites);
        let account = Account { environment, sites: &sites };
        let looks = venue.looks(account, None, None).expect("possible");
        let mut asked = venue.check(account, KeyType::Hmac);
        asked.extend(looks);
        let mut hosts: Vec<String> =
            asked.iter().map(|asked| asked.request().host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    };
    let (live, demo) = (Environment::Live, Environment::Demo);
    assert_eq!(hosts("okx", live, &[]), ["www.okx.com"]);
    assert_eq!(hosts("okx", live, &["eea"]), ["eea.okx.com"]);
    assert_eq!(hosts("okx", demo, &["us"]), ["us.okx.com"]);
    assert_eq!(hosts("bybit", live, &["nl"]), ["api.bybit.nl"]);
    assert_eq!(hosts("bybit", demo, &["demo"]), ["api-demo.bybit.com"]);
    assert_eq!(
        hosts("binance", demo, &["testnet"]),
        ["testnet.binance.vision", "testnet.binancefuture.com"]
    );
    assert!(hosts("okx", live, &["gone"]).is_empty());
}

#[test]
fn cancels_go_where_the_look_went() {
    let venue = registry().venue("bybit").expect("bundled");
    let sites = of(&["tr"]);
    let account = Account { environment: Environment::Live, sites: &sites };
    let look = venue.looks(account, None, None).expect("possible").remove(0);
    let said = |at: &str, value: &str| vault_venue::Reported {
        at: look.report_at().iter().position(|p| p.ends_with(at)).expect("asked for") as u32,
        row: 0,
        value: value.to_owned(),
    };
    let reported = vec![said("/retCode", "0"), said("/symbol", "BTCUSDT"), said("/orderId", "1")];
    let answer = vault_venue::Answer { status: 200, reported, cut: false };
    let step = venue.cancels(account, &look, &answer).expect("readable");
    assert!(!step.requests.is_empty());
    for cancel in &step.requests {
        assert_eq!(cancel.request().host, "api.bybit.tr");
    }
}

#[test]
fn an_order_on_a_websocket_is_judged_at_the_site_of_the_websocket() {
    let order = r#"{"id":"1","op":"order","args":[{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","sz":"1","px":"1"}]}"#;
    for (host, rest, site) in [
        ("ws.okx.com", "www.okx.com", "main"),
        ("wseea.okx.com:8443", "eea.okx.com", "eea"),
        ("wsus.okx.com", "us.okx.com", "us"),
        ("wseeapap.okx.com", "eea.okx.com", "eea"),
    ] {
        let socket = registry().socket(host, "/ws/v5/private", "").expect("served");
        let venue = registry().venue("okx").expect("bundled");
        let message = venue.read_message(&socket, order).expect("an order");
        let StreamRequest::Order { request, .. } = message.request else { panic!("no order") };
        assert_eq!(request.host, rest, "{host}");
        let environment = socket.environments[0];
        for named in ["main", "eea", "us"] {
            let sites = of(&[named]);
            let serves = venue.serves(Account { environment, sites: &sites }, socket.host());
            assert_eq!(serves, named == site, "{host} {named}");
            let standing = Standing { environment, sites: Some(&sites), ..CAUTIOUS };
            let read = venue.read_in(Mode::Execute, &request, &standing).map(|_| ());
            let said = if named == site { Ok(()) } else { Err(ReadError::HostElsewhere) };
            assert_eq!(read, said, "{host} {named}");
        }
    }
}

const HEAD: &str = r#"format = 1
venue = "made"
title = "Made up"
[sources]
docs = "made up for this test"
[signature]
scheme = "okx"
binds = ["method", "path", "query", "body"]
source = "docs"
client_order_id_reuse = "unknown"
[environments.live]
hosts = ["one.example", "two.example"]
ws_hosts = ["ws.example"]
routes = { "/f/" = ["f.example"] }
"#;

const SOCKETS: &str = r#"
[[socket]]
kind = "private"
environments = ["live"]
hosts = ["private.example:8443"]
paths = ["/ws"]
source = "docs"
[[socket]]
kind = "public"
environments = ["live"]
hosts = ["public.example"]
paths = ["/ws"]
source = "docs"
"#;

/// What is wrong with a catalogue with these sites.
fn fault(sites: &str) -> Option<String> {
    let text = format!("{HEAD}[environments.live.sites]\n{sites}\n{SOCKETS}");
    let parts = [Part { file: "made.toml", text: &text }];
    Venue::load("made", &parts).err().map(|error| error.to_string())
}

#[test]
fn sites_leave_no_host_out_and_name_none_that_is_not_there() {
    const REST: &str = r#""one.example", "f.example", "ws.example", "private.example""#;
    let main = |hosts: &str| format!(r#"main = {{ hosts = [{hosts}], source = "docs" }}"#);
    let with = |hosts: &str, other: &str| fault(&format!("{}\n{other}", main(hosts)));
    let two = r#"two = { hosts = ["two.example"], source = "docs" }"#;
    assert_eq!(with(REST, two), None);
    for (hosts, other, said) in [
        (REST, "", "two.example is of no site"),
        (r#""one.example", "f.example", "ws.example""#, two, "private.example is of no site"),
        (r#""one.example", "ws.example", "private.example""#, two, "f.example is of no site"),
        (&*format!(r#"{REST}, "x.example""#), two, "x.example is of a site"),
        (&*format!(r#"{REST}, "public.example""#), two, "public.example is of a site"),
        (REST, r#"two = { hosts = ["two.example"], source = "none" }"#, "source none"),
        (REST, r#"Two = { hosts = ["two.example"], source = "docs" }"#, "its name"),
        (REST, "two = { hosts = [], source = \"docs\" }", "no hosts"),
    ] {
        let fault = with(hosts, other).unwrap_or_default();
        assert!(fault.contains(said), "{said}: {fault}");
    }
    let elsewhere = format!("a = {{ hosts = [{REST}], source = \"docs\" }}\n{two}");
    let fault = fault(&elsewhere).unwrap_or_default();
    assert!(fault.contains("one.example comes first"), "{fault}");
}
