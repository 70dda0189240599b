//! What orders are held to, on both sides of each border.

use super::*;

const SIZE: &str = "max_notional_usd = \"1000\"";
const SUM: &str = "[cumulative]\norders = [{ per = \"1m\", at_most = 10 }]";
const QUANTITY: &str = "[orders.max_quantity]\nokx = { BTC-USDT = \"1\" }";
const NOTHING: [&str; 0] = [];

#[test]
fn one_cap_of_either_kind_is_enough() {
    for (changes, expected) in [
        (&[(SIZE, "")][..], &[][..]),
        (&[(SIZE, ""), (SUM, "")], &["TRADE_WITHOUT_CAPS"]),
        (&[(SUM, "")], &["COUNT_UNLIMITED"]),
        (&[(SIZE, ""), (SUM, QUANTITY)], &["COUNT_UNLIMITED"]),
        (&[(SUM, QUANTITY)], &["COUNT_UNLIMITED"]),
        // Over signatures, counts are not to be had everywhere.
        (&[(SUM, ""), ("\"execute\"", "\"sign\"")], &[]),
        // Caps on orders belong to the class trade.
        (&[("\"read\", \"trade\", \"cancel\"", "\"read\"")], &["CAPS_WITHOUT_TRADE"]),
        (&[("\"read\", \"trade\", \"cancel\"", "\"read\""), (SUM, "")], &[]),
    ] {
        assert_eq!(said(&with_all(changes)), expected, "{changes:?}");
    }
}

#[test]
fn a_cap_of_nothing_is_said_whichever_it_is() {
    let sum = |text: &str| with(SUM, &format!("[cumulative]\n{text}"));
    for (text, expected) in [
        ("orders = [{ per = \"1m\", at_most = 0 }]", &["CAP_OF_ZERO"][..]),
        ("orders = [{ per = \"1m\", at_most = 1 }]", &[]),
        ("open_orders = 0", &["CAP_OF_ZERO"]),
        ("open_orders = 1", &[]),
        ("notional_usd = [{ per = \"1m\", at_most = 0 }]", &["CAP_OF_ZERO"]),
        ("notional_usd = [{ per = \"1m\", at_most = \"0.01\" }]", &[]),
    ] {
        assert_eq!(said(&sum(text)), expected, "{text}");
    }
    assert_eq!(said(&with(SIZE, "max_notional_usd = 0")), ["CAP_OF_ZERO"]);
}

#[test]
fn types_are_out_of_place_only_beside_the_rule_that_denies_them() {
    let types = |types: &str| format!("types = [{types}]");
    for (listed, rule, expected) in [
        ("\"TRAILING_STOP\"", SIZE, &["TYPE_NEVER_PRICED"][..]),
        ("\"OTHER\"", SIZE, &["TYPE_NEVER_PRICED"]),
        // Without a cap on notional nothing is priced.
        ("\"TRAILING_STOP\", \"OTHER\"", "", &[]),
        ("\"MARKET\"", SIZE, &[]),
        ("\"LIMIT\", \"STOP_LIMIT\", \"TAKE_PROFIT_LIMIT\"", "price_band = \"0.1\"", &[]),
        ("\"LIMIT\", \"STOP\"", "price_band = \"0.1\"", &["TYPE_NEVER_IN_BAND"]),
        ("\"TAKE_PROFIT\"", "price_band = \"0.1\"", &["TYPE_NEVER_IN_BAND"]),
        ("\"OTHER\"", "price_band = \"0.1\"", &["TYPE_NEVER_IN_BAND"]),
        ("\"TRAILING_STOP\"", "price_band = \"0.1\"", &["TYPE_NEVER_IN_BAND"]),
        ("\"MARKET\", \"STOP\", \"TAKE_PROFIT\"", "", &[]),
        ("\"MARKET\", \"STOP\", \"TAKE_PROFIT\"", "post_only = true", &["POST_ONLY_NEVER"]),
        ("\"MARKET\", \"LIMIT_MAKER\"", "post_only = true", &[]),
        ("\"STOP_LIMIT\"", "post_only = true", &[]),
        ("\"TAKE_PROFIT_LIMIT\"", "post_only = true", &[]),
        ("\"OTHER\"", "post_only = true", &[]),
    ] {
        let scope = with_all(&[("types = [\"LIMIT\"]", &types(listed)), (SIZE, rule)]);
        assert_eq!(said(&scope), expected, "{listed} beside {rule}");
    }
    let scope = with("types = [\"LIMIT\"]", "types = [\"OTHER\", \"TRAILING_STOP\", \"LIMIT\"]");
    let warnings = lint(&scope, &LintFacts::default());
    assert_eq!(warnings[0].remedy, "take OTHER, TRAILING_STOP out of orders.types");
}

#[test]
fn products_are_out_of_place_only_beside_the_rule_that_denies_them() {
    let types = "types = [\"LIMIT\"]";
    for (products, rule, expected) in [
        ("[\"spot\"]", "reduce_only = true", &["REDUCE_ONLY_WITHOUT_POSITIONS"][..]),
        ("[\"margin\", \"spot\"]", "reduce_only = true", &["REDUCE_ONLY_WITHOUT_POSITIONS"]),
        ("[\"linear\", \"spot\"]", "reduce_only = true", &[]),
        ("[\"linear\"]", "reduce_only = true", &[]),
        ("[\"margin\", \"spot\"]", "", &[]),
        // One thing is said of a scope without products.
        ("[]", "reduce_only = true", &["PRODUCTS_NONE"]),
        ("[\"option\"]", "", &[]),
        ("[\"option\", \"spot\"]", "price_band = \"0.1\"", &["PRODUCT_NEVER_IN_BAND"]),
        ("[\"linear\", \"spot\"]", "price_band = \"0.1\"", &[]),
    ] {
        let scope = with_all(&[("[\"spot\"]", products), (types, &format!("{types}\n{rule}"))]);
        assert_eq!(said(&scope), expected, "{products} beside {rule}");
    }
}

#[test]
fn quantities_and_symbols_are_held_against_each_other() {
    let quantities = |limits: &str, symbols: &str| {
        let limits = format!("{SUM}\n[orders.max_quantity]\n{limits}");
        lint(&with_all(&[("okx = [\"BTC-USDT\"]", symbols), (SUM, &limits)]), &LintFacts::default())
    };
    let one = "okx = [\"BTC-USDT\"]";
    assert_eq!(quantities("okx = { BTC-USDT = \"1\" }", one), []);
    assert_eq!(
        codes(&quantities("okx = { BTC-USDT = \"1\" }", "okx = [\"*\"]")),
        ["SYMBOLS_EVERY"]
    );

    let warnings = quantities("okx = { BTC-USDT = \"1\", ETH-USDT = \"1\" }", one);
    assert_eq!(codes(&warnings), ["QUANTITY_NOT_GRANTED"]);
    assert!(warnings[0].words.starts_with("ETH-USDT at okx has"), "{}", warnings[0].words);

    let two = "okx = [\"BTC-USDT\", \"ETH-USDT\"]";
    let warnings = quantities("okx = { BTC-USDT = \"1\" }", two);
    assert_eq!(codes(&warnings), ["SYMBOL_WITHOUT_QUANTITY"]);
    assert!(warnings[0].words.starts_with("ETH-USDT at okx is"), "{}", warnings[0].words);

    // The same symbol at another venue is another one.
    let warnings = quantities("kraken = { BTC-USDT = \"1\" }", one);
    assert_eq!(codes(&warnings), ["QUANTITY_NOT_GRANTED", "SYMBOL_WITHOUT_QUANTITY"]);
}

fn instrument(venue: &str, symbol: &str, product: Product, [base, quote]: [&str; 2]) -> Instrument {
    Instrument {
        base: base.parse().expect("an asset"),
        contract_size: Money::ONE,
        price_tick: None,
        product,
        quantity_step: None,
        quote: quote.parse().expect("an asset"),
        reference: format!("{base}/{quote}").parse().expect("a pair"),
        size_unit: SizeUnit::Base,
        symbol: symbol.to_owned(),
        venue: venue.parse().expect("a name"),
    }
}

/// Instruments of which the quiet scope may touch the first alone.
fn approved() -> Vec<Instrument> {
    vec![
        instrument("okx", "BTC-USDT", Product::Spot, ["BTC", "USDT"]),
        instrument("okx", "BTC-USDT", Product::Linear, ["SOL", "EUR"]),
        instrument("okx", "ETH-USDT", Product::Spot, ["ETH", "CHF"]),
        instrument("kraken", "BTC-USDT", Product::Spot, ["XRP", "GBP"]),
    ]
}

/// What is said where these instruments and feeds are known.
fn told(document: &ScopeDocument, instruments: Vec<Instrument>, feeds: &[&str]) -> Vec<Warning> {
    let feeds = feeds.iter().map(|pair| pair.parse().expect("a pair")).collect();
    let facts = LintFacts { credentials: None, instruments: Some(instruments), feeds: Some(feeds) };
    lint(document, &facts)
}

#[test]
fn an_instrument_is_of_its_venue_and_symbol() {
    let missing = |instruments| codes(&told(&scope(QUIET), instruments, &["BTC/USDT", "USDT/USD"]));
    assert_eq!(missing(approved()), NOTHING);
    assert_eq!(missing(approved().split_off(1)), NOTHING, "the linear one has its symbol");
    assert_eq!(missing(approved().split_off(2)), ["INSTRUMENT_MISSING"]);
    assert_eq!(missing(approved().split_off(3)), ["INSTRUMENT_MISSING"]);
    assert_eq!(missing(Vec::new()), ["INSTRUMENT_MISSING"]);
    let warnings = told(&scope(QUIET), Vec::new(), &[]);
    let words = &warnings[0].words;
    assert!(words.starts_with("no instrument is approved for BTC-USDT at okx:"), "{words}");
}

#[test]
fn instruments_are_asked_for_where_something_is_measured_or_priced() {
    let types = "types = [\"LIMIT\"]";
    let band = format!("{types}\nprice_band = \"0.1\"");
    let notional = SUM.replace("orders = [{", "notional_usd = [{");
    for (changes, expected) in [
        (&[(SIZE, "")][..], &[][..]),
        (&[(SIZE, ""), (types, &band)], &["INSTRUMENT_MISSING"]),
        (&[(SIZE, ""), (SUM, &notional)], &["INSTRUMENT_MISSING"]),
        (&[(SIZE, ""), (SUM, &format!("{SUM}\n{QUANTITY}"))], &["INSTRUMENT_MISSING"]),
    ] {
        let warnings = told(&with_all(changes), Vec::new(), &[]);
        assert_eq!(codes(&warnings), expected, "{changes:?}");
    }
}

#[test]
fn feeds_are_asked_for_by_the_rule_that_needs_them() {
    let types = "types = [\"LIMIT\"]";
    let band = format!("{types}\nprice_band = \"0.1\"");
    let notional = SUM.replace("orders = [{", "notional_usd = [{");
    let without = |changes: &[(&str, &str)], feeds: &[&str]| {
        let warnings = told(&with_all(changes), approved(), feeds);
        let named = |warning: &Warning| {
            let (_, of) = warning.words.split_once("prices for ")?;
            let (pairs, _) = of.split_once(": orders that need one")?;
            Some(format!("{} {}: {pairs}", warning.code, warning.dimension))
        };
        warnings.iter().map(|warning| named(warning).expect("a feed")).collect::<Vec<_>>()
    };
    assert_eq!(without(&[], &["BTC/USDT"]), ["FEED_MISSING orders.max_notional_usd: USDT/USD"]);
    assert_eq!(
        without(&[(types, &band)], &[]),
        ["FEED_MISSING orders.max_notional_usd: BTC/USDT, USDT/USD"]
    );
    // A band is about the price of the instrument itself.
    let in_band = [(SIZE, ""), (types, &*band)];
    assert_eq!(without(&in_band, &[]), ["FEED_MISSING orders.price_band: BTC/USDT"]);
    assert_eq!(without(&in_band, &["BTC/USDT"]), NOTHING);
    assert_eq!(
        without(&[(SIZE, ""), (SUM, &notional)], &["USDT/USD"]),
        ["FEED_MISSING cumulative.notional_usd: BTC/USDT"]
    );
    // Quantities are measured, not priced.
    let measured = format!("{SUM}\n{QUANTITY}");
    assert_eq!(without(&[(SIZE, ""), (SUM, &measured)], &[]), NOTHING);
    // What is granted as a whole is all that is approved.
    assert_eq!(
        without(&[("[\"spot\"]", "[\"linear\"]")], &[]),
        ["FEED_MISSING orders.max_notional_usd: EUR/USD, SOL/EUR"]
    );
    let warnings = told(&with("[\"BTC-USDT\"]", "[\"*\"]"), approved(), &["BTC/USDT"]);
    assert_eq!(codes(&warnings), ["FEED_MISSING", "SYMBOLS_EVERY"]);
    let words = &warnings[0].words;
    assert!(words.contains("for CHF/USD, ETH/CHF, USDT/USD:"), "{words}");
}

#[test]
fn a_dollar_needs_no_feed() {
    let dollars = vec![instrument("okx", "BTC-USDT", Product::Spot, ["BTC", "USD"])];
    assert_eq!(told(&scope(QUIET), dollars.clone(), &["BTC/USD"]), []);
    assert_eq!(codes(&told(&scope(QUIET), dollars, &["BTC/USDT"])), ["FEED_MISSING"]);
    // Nor does what counts as one.
    let par = scope(&format!("{QUIET}\n[pricing]\nusd_par = [\"USDT\"]"));
    assert_eq!(told(&par, approved(), &["BTC/USDT"]), []);
    let other = scope(&format!("{QUIET}\n[pricing]\nusd_par = [\"USDC\"]"));
    assert_eq!(codes(&told(&other, approved(), &["BTC/USDT"])), ["FEED_MISSING"]);
}
