//! Prices, feeds and instruments that are none, too many, or said before.

use std::time::SystemTime;

use vault_client::{Client, signed_command, v1};
use vault_tests::{Refused, TestVault, reason, wire};

use crate::channel;

const PUT: &str = "vault.v1.PriceService/Put";
const PUT_FEED: &str = "vault.v1.PriceService/PutFeed";

/// What is no decimal of ours, or one of more digits than any venue's.
const NO_DECIMALS: [&str; 17] = [
    "",
    " 1",
    "+1",
    ".5",
    "1.",
    "1,5",
    "0x1",
    "1e3",
    "1E30",
    "NaN",
    "inf",
    "-",
    "--1",
    "\u{ff11}",
    "1\0",
    "1000000000000000000",
    "0.0000000000000000001",
];

fn feed() -> v1::Feed {
    v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["pricer".to_owned(), "other".to_owned()],
        max_age: "1h".to_owned(),
        max_step: "0.02".to_owned(),
        step_every: "1m".to_owned(),
        agree_within: "0.01".to_owned(),
        anchor: "60000".to_owned(),
    }
}

fn instrument() -> v1::Instrument {
    v1::Instrument {
        venue: "okx".to_owned(),
        product: "inverse".to_owned(),
        symbol: "BTC-USD-SWAP".to_owned(),
        base: "BTC".to_owned(),
        quote: "USD".to_owned(),
        contract_size: "100".to_owned(),
        size_unit: "quote".to_owned(),
        reference: "BTC/USD".to_owned(),
        price_tick: "0.1".to_owned(),
        quantity_step: "1".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let mut wrong: Vec<(String, v1::Feed)> = Vec::new();
    let mut case = |what: &str, change: &dyn Fn(&mut v1::Feed)| {
        let mut feed = feed();
        change(&mut feed);
        wrong.push((what.to_owned(), feed));
    };
    for text in NO_DECIMALS.into_iter().chain(["0", "-0.01", "1", "2"]) {
        // An empty one is none, and then the anchor is one too many.
        case(&format!("max_step {text:?}"), &|feed| feed.max_step = text.to_owned());
        if !text.is_empty() {
            case(&format!("agree_within {text:?}"), &|feed| feed.agree_within = text.to_owned());
        }
        if !matches!(text, "1" | "2") {
            case(&format!("anchor {text:?}"), &|feed| feed.anchor = text.to_owned());
        }
    }
    case("an anchor of too many digits", &|feed| feed.anchor = "1.00000000000000001".to_owned());
    for text in ["", "0s", "01s", "-1s", "1.5h", "1", "s", "32d", "99999999999s", "1w", "1 s"] {
        case(&format!("max_age {text:?}"), &|feed| feed.max_age = text.to_owned());
        if !text.is_empty() {
            case(&format!("step_every {text:?}"), &|feed| feed.step_every = text.to_owned());
        }
    }
    let long = format!("{}/USD", "B".repeat(21));
    for text in
        ["", "BTC", "/", "BTC/", "/USD", "BTC/USD/X", "BTC/BTC", "B TC/USD", "\u{20bf}/USD", &long]
    {
        case(&format!("pair {text:?}"), &|feed| feed.pair = text.to_owned());
    }
    case("nobody", &|feed| feed.pricers.clear());
    case("alone", &|feed| feed.pricers.truncate(1));
    case("one twice", &|feed| feed.pricers = vec!["a".to_owned(); 2]);
    case("no name", &|feed| feed.pricers.push("../x".to_owned()));
    case("a crowd", &|feed| feed.pricers = (0..17).map(|number| format!("p{number}")).collect());
    for (what, feed) in wrong {
        let command = v1::PutFeedCommand { feed: Some(feed) };
        assert_eq!(reason(admin.put_feed(command).await), "BAD_FIELD", "{what}");
    }
    let none = v1::PutFeedCommand { feed: None };
    assert_eq!(reason(admin.put_feed(none).await), "BAD_FIELD");
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn prices() {
    let vault = TestVault::start().await;
    let pricer = Client::connect(vault.pricer("pricer").await).await.expect("connected");
    let put_feed = v1::PutFeedCommand { feed: Some(feed()) };
    vault.admin().await.put_feed(put_feed).await.expect("a feed");
    let put = async |pair: &str, price: &str| {
        let quote = v1::Quote { pair: pair.to_owned(), price: price.to_owned() };
        pricer.put_prices(vec![quote]).await.expect("answered").remove(0).reason
    };
    for text in NO_DECIMALS {
        assert_eq!(put("BTC/USD", text).await, "BAD_FIELD", "{text:?}");
    }
    for (price, expected) in [
        ("0", "PRICE_NOT_POSITIVE"),
        ("-0", "PRICE_NOT_POSITIVE"),
        ("-60000", "PRICE_NOT_POSITIVE"),
        ("60000.00000000000000001", "PRICE_NOT_EXACT"),
        ("999999999999999999", "PRICE_NOT_CONFIRMED"),
        ("0.0000000000001", "PRICE_NOT_CONFIRMED"),
    ] {
        assert_eq!(put("BTC/USD", price).await, expected, "{price}");
    }
    // What a pricer makes up is kept nowhere: neither a pair, nor an entry for each.
    let quote = |number: u32| v1::Quote { pair: format!("A{number}/USD"), price: "1".to_owned() };
    for hundred in 0..5 {
        let quotes = (0..200).map(|number| quote(200 * hundred + number)).collect();
        let answers = pricer.put_prices(quotes).await.expect("answered");
        assert!(answers.iter().all(|answer| answer.reason == "FEED_UNKNOWN"));
    }
    let refused = vault.log_entries().into_iter();
    let refused = refused.filter(|entry| entry.kind == vault_audit::EntryKind::PriceRefused);
    assert_eq!(refused.count(), 2, "one for the feed, one for what is none");

    let feeds =
        vault.admin().await.list_prices(v1::ListPricesCommand::default()).await.expect("a list");
    let [info] = feeds.feeds.as_slice() else { panic!("one feed: {feeds:?}") };
    assert_eq!((info.price.as_str(), info.accepted), ("", 0));
    assert_eq!(put("BTC/USD", "60000").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_and_a_feed_are_put_once() {
    let vault = TestVault::start().await;
    let (admin, pricer) = (vault.identity("admin"), vault.pricer("pricer").await);
    let operators = channel(&admin).await;
    let put = v1::PutFeedCommand { feed: Some(feed()) };
    let put = signed_command(&admin, PUT_FEED, &put, SystemTime::now()).expect("signed");
    let put = wire::request(Some(put));
    wire::call(&operators, PUT_FEED, put.clone()).await.expect("once");

    let to = vault.ready().bot;
    let clients = wire::channel(wire::tls(&pricer, Some(&pricer)), to, None).await;
    let clients = clients.expect("connected");
    let quote = |price: &str| {
        let quote = v1::Quote { pair: "BTC/USD".to_owned(), price: price.to_owned() };
        let command = v1::PutPricesCommand { quotes: vec![quote] };
        let command = signed_command(&pricer, PUT, &command, SystemTime::now());
        wire::request(Some(command.expect("signed")))
    };
    let earlier = quote("60000");
    for command in [&earlier, &quote("60500")] {
        wire::call(&clients, PUT, command.clone()).await.expect("once");
    }
    // Whoever has seen a price on its way cannot bring it back.
    let replayed = |outcome: Result<Vec<u8>, Refused>| outcome.expect_err("replayed").reason;
    assert_eq!(replayed(wire::call(&clients, PUT, earlier).await), "COMMAND_REPLAYED");
    assert_eq!(replayed(wire::call(&operators, PUT_FEED, put).await), "COMMAND_REPLAYED");
    let feeds =
        vault.admin().await.list_prices(v1::ListPricesCommand::default()).await.expect("a list");
    assert_eq!(feeds.feeds[0].price, "60500");
}

#[tokio::test(flavor = "multi_thread")]
async fn instruments() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let mut wrong: Vec<(String, v1::Instrument)> = Vec::new();
    let mut case = |what: &str, change: &dyn Fn(&mut v1::Instrument)| {
        let mut instrument = instrument();
        change(&mut instrument);
        wrong.push((what.to_owned(), instrument));
    };
    for text in NO_DECIMALS.into_iter().chain(["0", "0.0", "-1"]) {
        case(&format!("size {text:?}"), &|one| one.contract_size = text.to_owned());
        if !text.is_empty() {
            case(&format!("tick {text:?}"), &|one| one.price_tick = text.to_owned());
            case(&format!("step {text:?}"), &|one| one.quantity_step = text.to_owned());
        }
    }
    for text in ["", "Quote", "contracts"] {
        case(&format!("unit {text:?}"), &|one| one.size_unit = text.to_owned());
    }
    for text in ["", "margin", "INVERSE", "*", "bond"] {
        case(&format!("product {text:?}"), &|one| one.product = text.to_owned());
    }
    for text in ["", "*", "BTC USD", "BTC&x=1", "\u{20bf}", &"B".repeat(41)] {
        case(&format!("symbol {text:?}"), &|one| one.symbol = text.to_owned());
    }
    case("a size in the quote of a linear one", &|one| one.product = "linear".to_owned());
    case("no base", &|one| one.base.clear());
    case("a quote with a slash", &|one| one.quote = "U/D".to_owned());
    case("a reference to itself", &|one| one.reference = "BTC/BTC".to_owned());
    case("no reference", &|one| one.reference.clear());
    for reference in ["BTC/USDT", "ETH/USD", "USD/BTC"] {
        case(&format!("reference {reference}"), &|one| one.reference = reference.to_owned());
        for product in ["spot", "linear", "spread"] {
            case(&format!("{product} by {reference}"), &|one| {
                one.product = product.to_owned();
                one.size_unit = "base".to_owned();
                one.reference = reference.to_owned();
            });
        }
    }
    case("another venue", &|one| one.venue = "nowhere".to_owned());
    for (what, wrong) in wrong {
        // A sound one beside it is not taken either.
        let sound = v1::Instrument { symbol: "SOUND".to_owned(), ..instrument() };
        let command = v1::ImportInstrumentsCommand { instruments: vec![sound, wrong] };
        assert_eq!(reason(admin.import_instruments(command).await), "BAD_FIELD", "{what}");
    }
    let keys = vec![v1::InstrumentKey::default(); 2_001];
    let delete = v1::DeleteInstrumentsCommand { keys };
    assert_eq!(reason(admin.delete_instruments(delete).await), "BAD_FIELD");
    assert_eq!(vault.state_rev(), state_rev);

    // More than a message may have: refused before anything reads it, and the vault goes on.
    let large = v1::Instrument { symbol: "B".repeat(1 << 20), ..instrument() };
    let command = v1::ImportInstrumentsCommand { instruments: vec![large; 8] };
    let refused = admin.import_instruments(command).await;
    assert!(refused.is_err(), "{refused:?}");
    let command = v1::ListInstrumentsCommand::default();
    let list = vault.connect("admin").await.list_instruments(command).await.expect("a list");
    assert_eq!(list.instruments, []);
    assert_eq!(vault.state_rev(), state_rev);
}
