//! Listings of instruments. The texts are made up in the form that the venues document.

use proptest::prelude::{any, proptest};
use vault_model::{Instrument, Product, SizeUnit};
use vault_venue::listing::{self, Listing, ListingError};

fn read(venue: &str, json: &str) -> Result<Listing, ListingError> {
    listing::parse(venue, None, json.as_bytes())
}

fn listed(venue: &str, json: &str) -> Listing {
    read(venue, json).expect("a listing")
}

/// What one instrument says, in short.
fn short(one: &Instrument) -> String {
    let step = |step: Option<vault_model::Money>| step.map_or("-".to_owned(), |s| s.to_string());
    let unit = match one.size_unit {
        SizeUnit::Base => "base",
        SizeUnit::Quote => "quote",
    };
    format!(
        "{} {} {}/{} {} of {unit} by {} tick {} step {}",
        one.symbol,
        one.product,
        one.base,
        one.quote,
        one.contract_size,
        one.reference,
        step(one.price_tick),
        step(one.quantity_step)
    )
}

fn shorts(listing: &Listing) -> Vec<String> {
    listing.instruments.iter().map(short).collect()
}

/// An answer of OKX with these entries.
fn okx(entries: &[String]) -> String {
    format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, entries.join(","))
}

fn okx_swap(id: &str, kind: &str, value: &str, currency: &str, more: &str) -> String {
    let underlying = id.strip_suffix("-SWAP").unwrap_or(id);
    format!(
        r#"{{"instType":"SWAP","instId":"{id}","uly":"{underlying}","baseCcy":"","quoteCcy":"",
        "ctType":"{kind}","ctVal":"{value}","ctMult":"1","ctValCcy":"{currency}","settleCcy":"X",
        "tickSz":"0.1","lotSz":"0.01","state":"live"{more}}}"#
    )
}

#[test]
fn okx_sizes_contracts_by_their_kind() {
    let spot = r#"{"instType":"SPOT","instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","ctVal":"",
        "ctMult":"","state":"live","tickSz":"0.1","lotSz":"0.00000001"}"#;
    let option = r#"{"instType":"OPTION","instId":"BTC-USD-261225-60000-C","uly":"BTC-USD","ctVal":"1",
        "ctMult":"0.01","ctValCcy":"BTC","settleCcy":"BTC","state":"live","tickSz":"0.0001","lotSz":"1"}"#;
    let listing = listed(
        "okx",
        &okx(&[
            okx_swap("BTC-USDT-SWAP", "linear", "0.01", "BTC", ""),
            okx_swap("BTC-USD-SWAP", "inverse", "100", "USD", ""),
            spot.to_owned(),
            option.to_owned(),
        ]),
    );
    assert_eq!(
        shorts(&listing),
        [
            "BTC-USD-261225-60000-C option BTC/BTC 0.01 of base by BTC/USD tick 0.0001 step 1",
            "BTC-USD-SWAP inverse BTC/USD 100 of quote by BTC/USD tick 0.1 step 0.01",
            "BTC-USDT spot BTC/USDT 1 of base by BTC/USDT tick 0.1 step 0.00000001",
            "BTC-USDT-SWAP linear BTC/USDT 0.01 of base by BTC/USDT tick 0.1 step 0.01",
        ]
    );
    assert!(listing.skipped.is_empty() && !listing.is_partial);
    assert!(listing.instruments.iter().all(|one| one.venue.as_str() == "okx"));
}

#[test]
fn okx_skips_what_no_document_explains() {
    let state = |id: &str, state: &str| {
        okx_swap(id, "linear", "1", "A", "").replace(r#""live""#, &format!(r#""{state}""#))
    };
    let multiplied = okx_swap("M-USDT-SWAP", "linear", "1", "M", "")
        .replace(r#""ctMult":"1""#, r#""ctMult":"10""#);
    let listing = listed(
        "okx",
        &okx(&[
            state("A-USDT-SWAP", "suspend"),
            state("A-USDC-SWAP", "test"),
            state("A-EUR-SWAP", "post_only"),
            multiplied,
            okx_swap("C-USDT-SWAP", "linear", "1", "USDT", ""),
            okx_swap("D-USD-SWAP", "inverse", "1", "D", ""),
            okx_swap("E-USD-SWAP", "quanto", "1", "E", ""),
            okx_swap("NOPAIR", "linear", "1", "E", ""),
            okx_swap("O-USDT-SWAP", "linear", "", "O", "").replace(r#""live""#, r#""preopen""#),
            r#"{"instType":"MARGIN","instId":"BTC-USDT","state":"live"}"#.to_owned(),
            r#"{"instType":"EVENTS","instId":"BTC-ABOVE","state":"live"}"#.to_owned(),
            r#"{"instType":"SPOT","instId":"a b&c","state":"live"}"#.to_owned(),
        ]),
    );
    assert_eq!(shorts(&listing).len(), 1);
    let skipped: Vec<_> =
        listing.skipped.iter().map(|(symbol, why)| format!("{symbol}: {why}")).collect();
    assert_eq!(
        skipped,
        [
            "A-USDT-SWAP: not in trade",
            "A-USDC-SWAP: not in trade",
            "M-USDT-SWAP: of a contract multiplier that no document explains",
            "C-USDT-SWAP: its size is in another currency",
            "D-USD-SWAP: its size is in another currency",
            "E-USD-SWAP: of an unknown kind",
            "NOPAIR: its underlying is no pair",
            "O-USDT-SWAP: not complete before it opens",
            "BTC-USDT: on margin the spot instrument is traded",
            "BTC-ABOVE: of an unknown kind",
            "entry 12: its symbol is missing or not plain",
        ]
    );
}

/// An answer of Kraken with one pair and these fields besides.
fn kraken(name: &str, wsname: &str, more: &str) -> String {
    format!(
        r#"{{"error":[],"result":{{"{name}":{{"altname":"XBTUSD","wsname":"{wsname}",
        "aclass_base":"currency","base":"XXBT","aclass_quote":"currency","quote":"ZUSD","lot":"unit",
        "lot_decimals":8,"lot_multiplier":1,"tick_size":"0.1","status":"online"{more}}}}}}}"#
    )
}

#[test]
fn kraken_has_one_instrument_for_each_name() {
    let listing = listed("kraken", &kraken("XXBTZUSD", "XBT/USD", ""));
    assert_eq!(
        shorts(&listing),
        ["XBT/USD", "XBTUSD", "XXBTZUSD"].map(|name| format!(
            "{name} spot XBT/USD 1 of base by XBT/USD tick 0.1 step 0.00000001"
        ))
    );
    let once = listed("kraken", &kraken("XBTUSD", "XBT/USD", ""));
    assert_eq!(once.instruments.len(), 2);

    for (from, to, why) in [
        (r#""online""#, r#""cancel_only""#, "not in trade"),
        (r#""aclass_base":"currency""#, r#""aclass_base":"tokenized_asset""#, "not of currencies"),
        (r#""wsname":"XBT/USD","#, "", "without a wsname, so of unknown assets"),
    ] {
        let listing = listed("kraken", &kraken("XXBTZUSD", "XBT/USD", "").replace(from, to));
        assert_eq!(listing.skipped, [("XXBTZUSD".to_owned(), why)]);
        assert!(listing.instruments.is_empty());
    }
    for (places, step) in [("0", "1"), ("1", "0.1"), ("18", "0.000000000000000001")] {
        let text = kraken("A", "A/B", "")
            .replace(r#""lot_decimals":8"#, &format!(r#""lot_decimals":{places}"#));
        let step_is = listed("kraken", &text).instruments[0].quantity_step;
        assert_eq!(step_is.map(|step| step.to_string()).as_deref(), Some(step));
    }
    for places in ["19", "99999999999999999999", "-1", "1.5", r#""8""#] {
        let text = kraken("A", "A/B", "")
            .replace(r#""lot_decimals":8"#, &format!(r#""lot_decimals":{places}"#));
        assert!(read("kraken", &text).is_err(), "{places}");
    }
    let doubled = kraken("A", "A/B", "").replace(r#""lot_multiplier":1"#, r#""lot_multiplier":2"#);
    assert_eq!(listed("kraken", &doubled).instruments[0].contract_size.to_string(), "2");
}

const STEPS: &str = r#""filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10","minPrice":"1"},
    {"filterType":"LOT_SIZE","stepSize":"0.001"}]"#;

fn binance(list: &str, entries: &[String]) -> String {
    format!(r#"{{"timezone":"UTC","rateLimits":[],"{list}":[{}]}}"#, entries.join(","))
}

fn binance_symbol(symbol: &str, more: &str) -> String {
    format!(
        r#"{{"symbol":"{symbol}","pair":"BTCUSD","baseAsset":"BTC","quoteAsset":"USD",{more},{STEPS}}}"#
    )
}

#[test]
fn binance_entries_say_their_product() {
    let spot = binance_symbol("BTCUSD", r#""status":"TRADING""#);
    let linear = binance_symbol("BTCUSDT", r#""status":"TRADING","contractType":"PERPETUAL""#);
    let inverse = binance_symbol(
        "BTCUSD_PERP",
        r#""contractStatus":"TRADING","contractType":"PERPETUAL","contractSize":100"#,
    );
    for (entry, expected) in [
        (&spot, "BTCUSD spot BTC/USD 1 of base by BTC/USD tick 0.1 step 0.001"),
        (&linear, "BTCUSDT linear BTC/USD 1 of base by BTC/USD tick 0.1 step 0.001"),
        (&inverse, "BTCUSD_PERP inverse BTC/USD 100 of quote by BTC/USD tick 0.1 step 0.001"),
    ] {
        let listing = listed("binance", &binance("symbols", std::slice::from_ref(entry)));
        assert_eq!(shorts(&listing), [expected]);
    }
    let option = format!(
        r#"{{"symbol":"BTC-261225-60000-C","underlying":"BTCUSDT","strikePrice":"60000","unit":1,
        "quoteAsset":"USDT","contractType":"EUROPEAN","side":"CALL",{STEPS}}}"#
    );
    let text = |contracts: &str| {
        format!(r#"{{"optionContracts":[{contracts}],"optionSymbols":[{option}]}}"#)
    };
    let contract = r#"{"baseAsset":"BTC","quoteAsset":"USDT","underlying":"BTCUSDT"}"#;
    assert_eq!(
        shorts(&listed("binance", &text(contract))),
        ["BTC-261225-60000-C option BTC/USDT 1 of base by BTC/USDT tick 0.1 step 0.001"]
    );
    assert_eq!(listed("binance", &text("")).skipped.len(), 1);
}

#[test]
fn binance_skips_what_is_not_in_trade_and_takes_no_step_of_nothing() {
    let entries = [
        binance_symbol("A", r#""status":"BREAK""#),
        binance_symbol("B", r#""status":"SETTLING","contractType":"PERPETUAL""#),
        binance_symbol("C", r#""status":"TRADING","contractType":"""#),
        binance_symbol(
            "D",
            r#""contractStatus":"DELIVERED","contractType":"PERPETUAL","contractSize":1"#,
        ),
        binance_symbol("币安人生USDT", r#""status":"TRADING""#),
        binance_symbol("E", r#""status":"TRADING""#)
            .replace(r#""quoteAsset":"USD""#, r#""quoteAsset":"BTC""#),
        binance_symbol("F", r#""status":"TRADING""#).replace("0.10", "0.00"),
    ];
    let listing = listed("binance", &binance("symbols", &entries));
    assert_eq!(shorts(&listing), ["F spot BTC/USD 1 of base by BTC/USD tick - step 0.001"]);
    let names: Vec<_> = listing.skipped.iter().map(|(symbol, _)| symbol.as_str()).collect();
    assert_eq!(names, ["A", "B", "C", "D", "entry 5", "E"]);
}

fn bybit(category: &str, cursor: &str, entries: &[String]) -> String {
    format!(
        r#"{{"retCode":0,"retMsg":"OK","result":{{"category":"{category}","nextPageCursor":"{cursor}",
        "list":[{}]}}}}"#,
        entries.join(",")
    )
}

fn bybit_entry(symbol: &str, quote: &str, more: &str) -> String {
    format!(
        r#"{{"symbol":"{symbol}","status":"Trading","baseCoin":"BTC","quoteCoin":"{quote}",{more}
        "priceFilter":{{"tickSize":"0.5"}},
        "lotSizeFilter":{{"qtyStep":"1","basePrecision":"0.000001"}}}}"#
    )
}

#[test]
fn bybit_contracts_are_what_their_type_says() {
    let linear = bybit_entry("BTCUSDT", "USDT", r#""contractType":"LinearPerpetual","#);
    let inverse = bybit_entry("BTCUSD", "USD", r#""contractType":"InversePerpetual","#);
    // An answer to a baseCoin has both, whatever the category.
    let mixed = [linear, inverse, bybit_entry("X", "USD", r#""contractType":"Quanto","#)];
    let both = listed("bybit", &bybit("linear", "", &mixed));
    assert_eq!(
        shorts(&both),
        [
            "BTCUSD inverse BTC/USD 1 of quote by BTC/USD tick 0.5 step 1",
            "BTCUSDT linear BTC/USDT 1 of base by BTC/USDT tick 0.5 step 1",
        ]
    );
    assert_eq!(both.skipped, [("X".to_owned(), "of an unknown kind")]);
    for (category, expected) in [
        ("spot", "A spot BTC/USDT 1 of base by BTC/USDT tick 0.5 step 0.000001"),
        ("option", "A option BTC/USDT 1 of base by BTC/USDT tick 0.5 step 1"),
    ] {
        let listing = listed("bybit", &bybit(category, "page", &[bybit_entry("A", "USDT", "")]));
        assert_eq!(shorts(&listing), [expected]);
        assert!(listing.is_partial);
    }
    let closed = bybit_entry("A", "USDT", "").replace("Trading", "Closed");
    assert_eq!(listed("bybit", &bybit("spot", "", &[closed])).skipped.len(), 1);
    assert_eq!(
        listed("bybit", &bybit("spread", "", &[bybit_entry("A", "USDT", "")])).skipped.len(),
        1
    );
}

#[test]
fn coinbase_futures_have_their_own_size() {
    let flags =
        r#""is_disabled":false,"trading_disabled":false,"cancel_only":false,"view_only":false"#;
    let spot = format!(
        r#"{{"product_id":"BTC-USD","product_type":"SPOT","status":"online","base_currency_id":"BTC",
        "quote_currency_id":"USD","price_increment":"0.01","base_increment":"0.00000001",{flags}}}"#
    );
    let future = format!(
        r#"{{"product_id":"BIT-26APR24-CDE","product_type":"FUTURE","status":"","base_currency_id":"",
        "quote_currency_id":"USD","price_increment":"5","base_increment":"1",{flags},
        "future_product_details":{{"contract_size":"0.01","contract_root_unit":"BTC"}}}}"#
    );
    let off = spot.replace(r#""view_only":false"#, r#""view_only":true"#).replace("BTC-USD", "OFF");
    let share = spot.replace("SPOT", "EQUITY").replace("BTC-USD", "AAPL");
    let gone = spot.replace("online", "delisted").replace("BTC-USD", "GONE");
    let text = format!(r#"{{"products":[{spot},{future},{off},{share},{gone}],"num_products":5}}"#);
    let listing = listed("coinbase", &text);
    assert_eq!(
        shorts(&listing),
        [
            "BIT-26APR24-CDE linear BTC/USD 0.01 of base by BTC/USD tick 5 step 1",
            "BTC-USD spot BTC/USD 1 of base by BTC/USD tick 0.01 step 0.00000001",
        ]
    );
    assert_eq!(listing.skipped.len(), 3);

    let linear = listing::parse("coinbase", Some(Product::Linear), text.as_bytes()).expect("reads");
    assert_eq!(linear.instruments.len(), 1);
    assert!(linear.skipped.contains(&("BTC-USD".to_owned(), "of another product")));
    assert_eq!(
        listing::parse("coinbase", Some(Product::Inverse), text.as_bytes()),
        Err(ListingError::Product(Product::Inverse))
    );
}

#[test]
fn a_contract_of_no_size_is_refused() {
    let entry = "BTC-USDT-SWAP".to_owned();
    for (value, error) in [
        ("0", ListingError::ContractSize { entry: entry.clone(), field: "ctVal" }),
        ("0.000", ListingError::ContractSize { entry: entry.clone(), field: "ctVal" }),
        ("-1", ListingError::Decimal { entry: entry.clone(), field: "ctVal" }),
        ("", ListingError::Decimal { entry: entry.clone(), field: "ctVal" }),
        ("1e2", ListingError::Decimal { entry: entry.clone(), field: "ctVal" }),
        ("NaN", ListingError::Decimal { entry: entry.clone(), field: "ctVal" }),
        ("1000000000000000000", ListingError::Decimal { entry: entry.clone(), field: "ctVal" }),
        ("0.0000000000000000001", ListingError::Decimal { entry, field: "ctVal" }),
    ] {
        let text = okx(&[okx_swap("BTC-USDT-SWAP", "linear", value, "BTC", "")]);
        assert_eq!(read("okx", &text), Err(error), "{value}");
    }
    let contract = |size: &str| {
        let more = format!(
            r#""contractStatus":"TRADING","contractType":"PERPETUAL","contractSize":{size}"#
        );
        read("binance", &binance("symbols", &[binance_symbol("B", &more)]))
    };
    for size in ["0", "0.5", "-100", "1e2", "99999999999999999999", "null", "true"] {
        assert!(contract(size).is_err(), "{size}");
    }
    assert!(contract("18446744073709551615").is_ok());
    // The product of two exact sizes may be none.
    let option = r#"{"instType":"OPTION","instId":"O","uly":"BTC-USD","ctVal":"0.0000000001",
        "ctMult":"0.000000001","ctValCcy":"BTC","settleCcy":"BTC","state":"live"}"#;
    assert!(matches!(read("okx", &okx(&[option.to_owned()])), Err(ListingError::Decimal { .. })));
}

#[test]
fn a_symbol_is_listed_once() {
    let twice = okx_swap("BTC-USDT-SWAP", "linear", "1", "BTC", "");
    assert_eq!(
        read("okx", &okx(&[twice.clone(), twice])),
        Err(ListingError::Duplicate("BTC-USDT-SWAP".to_owned()))
    );
    let pair = |name: &str| {
        let text = kraken(name, "XBT/USD", "");
        let from = text.find(&format!("\"{name}\"")).expect("the pair");
        text[from..text.len() - 2].to_owned()
    };
    let both = format!(r#"{{"error":[],"result":{{{},{}}}}}"#, pair("AB"), pair("BA"));
    assert_eq!(read("kraken", &both), Err(ListingError::Duplicate("XBT/USD".to_owned())));
}

#[test]
fn a_listing_of_another_venue_is_told_from_ones_own() {
    let all = [
        ("binance", binance("symbols", &[binance_symbol("B", r#""status":"TRADING""#)])),
        ("bybit", bybit("spot", "", &[bybit_entry("A", "USDT", "")])),
        ("coinbase", r#"{"products":[{"product_id":"BTC-USD"}]}"#.to_owned()),
        ("kraken", kraken("XXBTZUSD", "XBT/USD", "")),
        ("okx", okx(&[okx_swap("BTC-USDT-SWAP", "linear", "1", "BTC", "")])),
    ];
    for (venue, _) in &all {
        for (other, text) in all.iter().filter(|(other, _)| other != venue) {
            let error = read(venue, text).expect_err("another venue's");
            assert!(
                matches!(error, ListingError::Form { looks_like: Some(like), .. } if like == *other),
                "{other} for {venue}: {error}"
            );
            assert!(error.to_string().ends_with(&format!("it looks like one of {other}")));
        }
    }
    assert_eq!(read("ftx", "{}"), Err(ListingError::VenueUnknown));
    for (venue, text) in [
        ("okx", r#"{"code":"50011","msg":"secret words","data":[]}"#),
        ("bybit", r#"{"retCode":10001,"retMsg":"secret words","result":{}}"#),
        ("kraken", r#"{"error":["EGeneral:secret words"]}"#),
    ] {
        let error = read(venue, text).expect_err("an error");
        assert!(matches!(error, ListingError::ErrorAnswer(name) if name == venue));
        assert!(!error.to_string().contains("secret"));
    }
    for text in ["", "[", "{\"a\":1}x", "\u{0}"] {
        assert!(matches!(read("okx", text), Err(ListingError::NotJson { .. })), "{text}");
    }
    for text in ["null", "[]", "7", r#"{"code":0,"data":[]}"#, r#"{"code":"0","data":{}}"#] {
        assert!(matches!(read("okx", text), Err(ListingError::Form { .. })), "{text}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_named() {
    let text = okx(&[okx_swap("BTC-USDT-SWAP", "linear", "1", "BTC", "")]);
    for (from, field) in [
        (r#""state":"live""#, "state"),
        (r#""ctType":"linear","#, "ctType"),
        (r#""ctVal":"1","#, "ctVal"),
        (r#""uly":"BTC-USDT","#, "uly"),
    ] {
        let without = text.replace(from, if from.ends_with(',') { "" } else { r#""x":1"# });
        let error = read("okx", &without).expect_err("a field is missing");
        assert_eq!(error, ListingError::Field { entry: "BTC-USDT-SWAP".to_owned(), field });
    }
    let nowhere = text.replace("0.01", "a b&c");
    let error = read("okx", &nowhere).expect_err("no decimal").to_string();
    assert!(error.contains("lotSz") && !error.contains("a b&c"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        for venue in ["binance", "bybit", "coinbase", "kraken", "okx"] {
            let _ = listing::parse(venue, None, &bytes);
        }
    }

    #[test]
    fn no_damage_to_a_listing_makes_it_panic(at in 0usize..2000, byte in any::<u8>(), which in 0usize..5) {
        let future = r#"{"products":[{"product_id":"B","product_type":"FUTURE","quote_currency_id":"USD",
            "future_product_details":{"contract_size":"0.01","contract_root_unit":"BTC"}}]}"#;
        let option = r#"{"optionContracts":[{"baseAsset":"BTC","underlying":"U"}],"optionSymbols":[{"symbol":"O",
            "underlying":"U","strikePrice":"1","unit":1,"quoteAsset":"USDT","filters":[]}]}"#;
        let all = [
            ("binance", option.to_owned()),
            ("bybit", bybit("linear", "x", &[bybit_entry("A", "USDT", r#""contractType":"LinearFutures","#)])),
            ("coinbase", future.to_owned()),
            ("kraken", kraken("XXBTZUSD", "XBT/USD", "")),
            ("okx", okx(&[okx_swap("BTC-USD-SWAP", "inverse", "100", "USD", "")])),
        ];
        let (venue, text) = &all[which];
        let mut bytes = text.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(listing) = listing::parse(venue, None, &bytes) {
            for one in &listing.instruments {
                assert!(!one.contract_size.is_zero() && !one.contract_size.is_negative());
            }
        }
    }
}
