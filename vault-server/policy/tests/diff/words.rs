//! What differences say.

use vault_policy::{DiffContext, Dimension, Effect, ScopeDocument, diff};

fn scope(text: &str) -> ScopeDocument {
    let text = format!("name = \"s\"\n{text}\n");
    ScopeDocument::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a change says in one direction, each dimension with its words.
fn words(a: &str, b: &str, effect: Effect) -> Vec<(Dimension, String)> {
    let all = diff(&scope(a), &scope(b), &DiffContext::default()).into_iter();
    let of_effect = all.filter(|difference| difference.effect == effect);
    of_effect.map(|difference| (difference.dimension, difference.words)).collect()
}

/// That a change opens this, in these words, and nothing else.
fn opens(a: &str, b: &str, dimension: Dimension, expected: &str) {
    assert_eq!(words(a, b, Effect::Opens), [(dimension, expected.to_owned())], "{a}\n{b}");
}

#[test]
fn lists_say_what_only_the_wider_has() {
    for (dimension, a, b, expected) in [
        (
            Dimension::Classes,
            "classes = [\"read\"]",
            "classes = [\"read\", \"cancel\", \"trade\"]",
            "cancel, trade",
        ),
        (
            Dimension::Credentials,
            "credentials = [\"one\"]",
            "credentials = [\"one\", \"two\"]",
            "two",
        ),
        (Dimension::Modes, "modes = [\"sign\"]", "modes = [\"execute\", \"sign\"]", "execute"),
        (Dimension::Operations, "", "operations = [\"POST /a\"]", "POST /a"),
        (
            Dimension::Products,
            "products = [\"spot\"]",
            "products = [\"spot\", \"linear\"]",
            "linear",
        ),
        (Dimension::Products, "", "products = [\"*\"]", "every product"),
        (
            Dimension::Products,
            "products = [\"spot\"]",
            "products = [\"*\"]",
            "every product, not only spot",
        ),
        (
            Dimension::Symbols,
            "[symbols]\nokx = [\"A\", \"B\"]\nkraken = [\"A\"]",
            "[symbols]\nokx = [\"A\", \"C\"]\nkraken = [\"A\"]",
            "C at okx",
        ),
        (
            Dimension::Symbols,
            "[symbols]\nokx = [\"A\"]",
            "[symbols]\nokx = [\"*\"]\nkraken = [\"*\"]",
            "every symbol at kraken; every symbol, not only A at okx",
        ),
        (
            Dimension::Network,
            "[network]\nallow = [\"10.0.0.0/24\"]",
            "[network]\nallow = [\"10.0.0.0/24\", \"10.1.0.0/24\"]",
            "10.1.0.0/24",
        ),
        (
            Dimension::Network,
            "[network]\nallow = [\"10.0.0.0/24\"]\ndeny = [\"10.0.0.1/32\", \"10.0.0.2/32\"]",
            "[network]\nallow = [\"10.0.0.0/24\"]\ndeny = [\"10.0.0.1/32\"]",
            "no longer denied: 10.0.0.2/32",
        ),
        (
            Dimension::Network,
            "[network]\nallow = [\"10.0.0.0/24\"]\ndeny = [\"10.0.0.1/32\"]",
            "[network]\nallow = [\"10.0.0.0/23\"]",
            "10.0.0.0/23; no longer denied: 10.0.0.1/32",
        ),
        (
            Dimension::NetworkCountries,
            "[network]\ncountries = [\"CH\"]",
            "[network]\ncountries = [\"CH\", \"SG\"]",
            "SG",
        ),
        (
            Dimension::NetworkCountries,
            "[network]\ncountries = [\"CH\", \"SG\"]",
            "",
            "any country, not only CH, SG",
        ),
        (
            Dimension::OrdersMarginModes,
            "[orders]\nmargin_modes = [\"cash\"]",
            "[orders]\nmargin_modes = [\"cash\", \"cross\"]",
            "cross",
        ),
        (
            Dimension::OrdersMarginModes,
            "[orders]\nmargin_modes = [\"cash\"]",
            "",
            "any margin mode, not only cash",
        ),
        (
            Dimension::OrdersTimeInForce,
            "[orders]\ntime_in_force = [\"GTC\"]",
            "",
            "any time in force, not only GTC",
        ),
        (Dimension::OrdersTypes, "[orders]\ntypes = []", "", "any order type, not only none"),
    ] {
        opens(a, b, dimension, expected);
    }
}

#[test]
fn limits_say_what_they_were_and_what_they_are() {
    let never = "[hours]\ntimezone = \"Europe/Berlin\"\nwindows = []";
    let noon = "[hours]\ntimezone = \"Europe/Berlin\"\nwindows = [\"mon-fri 12:00-13:00\", \"sat 12:00-13:00\"]";
    let capped = "[orders]\nmax_notional_usd = \"1\"\n";
    for (dimension, a, b, expected) in [
        (
            Dimension::CumulativeNotional,
            "[cumulative]\nnotional_usd = [{ per = \"1m\", at_most = \"5\" }, { per = \"1h\", at_most = \"50.5\" }]",
            "[cumulative]\nnotional_usd = [{ per = \"1m\", at_most = \"6\" }]",
            "5 USD per 1m, 50.5 USD per 1h -> 6 USD per 1m",
        ),
        (Dimension::CumulativeOpenOrders, "[cumulative]\nopen_orders = 3", "", "3 -> no limit"),
        (
            Dimension::CumulativeOrders,
            "[cumulative]\norders = [{ per = \"1m\", at_most = 5 }]",
            "",
            "5 per 1m -> no limit",
        ),
        (
            Dimension::DuplicatesClientOrderId,
            "[duplicates]\nclient_order_id = \"1h\"",
            "",
            "not within 1h -> not asked",
        ),
        (
            Dimension::DuplicatesOrder,
            "[duplicates]\norder = \"10s\"",
            "[duplicates]\norder = \"5s\"",
            "not within 10s -> not within 5s",
        ),
        (
            Dimension::Hours,
            never,
            noon,
            "never -> mon-fri 12:00-13:00, sat 12:00-13:00 Europe/Berlin",
        ),
        (Dimension::Hours, never, "", "never -> always"),
        (Dimension::OrdersMaxLeverage, "[orders]\nmax_leverage = \"3\"", "", "3 -> no limit"),
        (Dimension::OrdersMaxNotional, capped, "", "1 USD -> no limit"),
        (
            Dimension::OrdersMaxQuantity,
            "[orders.max_quantity]\nokx = { A = \"1\", B = \"2.5\" }",
            "",
            "1 of A at okx, 2.5 of B at okx -> no limit",
        ),
        (Dimension::OrdersPostOnly, "[orders]\npost_only = true", "", "required -> not required"),
        (
            Dimension::OrdersPriceBand,
            "[orders]\nprice_band = \"0.01\"",
            "[orders]\nprice_band = \"0.02\"",
            "0.01 -> 0.02",
        ),
        (
            Dimension::OrdersReduceOnly,
            "[orders]\nreduce_only = true",
            "",
            "required -> not required",
        ),
        (
            Dimension::WithdrawalPerDay,
            "",
            "[withdrawal]\naddresses = []\nper_day = [{ venue = \"okx\", asset = \"BTC\", at_most = \"2\" }]",
            "none -> 2 BTC from okx",
        ),
    ] {
        opens(a, b, dimension, expected);
    }
    // How orders are priced works both ways.
    let (slippage, par) = (
        format!("{capped}[pricing]\nslippage = \"0.1\""),
        format!("{capped}[pricing]\nslippage = \"0.1\"\nusd_par = [\"USDC\", \"USDT\"]"),
    );
    let other = format!("{capped}[pricing]\nslippage = \"0.02\"");
    for effect in [Effect::Opens, Effect::Closes] {
        let expected = [(Dimension::PricingSlippage, "0.1 -> 0.02".to_owned())];
        assert_eq!(words(&slippage, &other, effect), expected);
        let expected = [(Dimension::PricingUsdPar, "none -> USDC, USDT".to_owned())];
        assert_eq!(words(&slippage, &par, effect), expected);
    }
}

#[test]
fn withdrawals_say_where_they_go() {
    let to = |venue: &str, address: &str| {
        format!("{{ venue = \"{venue}\", asset = \"BTC\", address = \"{address}\" }}")
    };
    let table = |addresses: &str| format!("[withdrawal]\naddresses = [{addresses}]\nper_day = []");
    opens(
        &table(&to("okx", "one")),
        &table(&[to("okx", "one"), to("okx", "two"), to("kraken", "one")].join(", ")),
        Dimension::WithdrawalAddresses,
        "BTC to one from kraken, BTC to two from okx",
    );
    let logs_on = "classes = [\"logon\"]\n";
    opens(
        &format!("{logs_on}{}", table("")),
        logs_on,
        Dimension::WithdrawalAddresses,
        "no table of withdrawals, which keeps log-ons out",
    );
}

#[test]
fn of_a_long_list_six_are_shown() {
    let with = |count: usize| {
        let names: Vec<String> = (1..=count).map(|number| format!("\"c-{number}\"")).collect();
        format!("credentials = [{}]", names.join(", "))
    };
    opens("", &with(6), Dimension::Credentials, "c-1, c-2, c-3, c-4, c-5, c-6");
    opens("", &with(8), Dimension::Credentials, "c-1, c-2, c-3, c-4, c-5, c-6 and 2 more");
}

#[test]
fn what_closes_says_what_only_the_first_had() {
    let closes = |a, b| words(a, b, Effect::Closes);
    let list = closes("credentials = [\"one\", \"two\"]", "credentials = [\"one\", \"three\"]");
    assert_eq!(list, [(Dimension::Credentials, "two".to_owned())]);
    let limit = closes("", "[orders]\nmax_leverage = \"3\"");
    assert_eq!(limit, [(Dimension::OrdersMaxLeverage, "no limit -> 3".to_owned())]);
}
