//! Halts of symbols, and what passes where new risk is stopped.

use vault_model::{Class, HaltLevel, Instrument, Leg, Product, Side};

use super::*;

fn halted(target: &str, level: HaltLevel) -> Bed {
    bed().with(|bed| {
        bed.halts.halt(target.parse().expect("a target"), level);
    })
}

fn reducing(product: Product) -> Leg {
    Leg { reduce_only: Some(true), product: Some(product), ..limit(Side::Sell, "1", "100") }
}

#[test]
fn orders_that_surely_reduce_pass_where_new_risk_is_stopped() {
    let target = format!("symbol:{VENUE}/{SPOT}");
    for target in ["all", "venue:okx", "credential:okx-main", "client:mm-1", &target] {
        let bed = halted(target, HaltLevel::NoNewRisk);
        for product in Product::ALL {
            let expected = match product {
                Product::Inverse | Product::Linear | Product::Option => "ALLOW",
                // A spot market has no position, and a venue no use for the flag.
                _ => "HALT_NO_NEW_RISK",
            };
            let member = trade([reducing(*product)]);
            assert_eq!(bed.code(member), expected, "{target} {product}");
        }
        let reducing = || reducing(Product::Linear);
        assert_eq!(bed.code(trade([reducing(), reducing()])), "ALLOW");
        for member in [
            trade([reducing(), limit(Side::Buy, "1", "1")]),
            trade([Leg { reduce_only: Some(false), ..reducing() }]),
            trade([Leg { reduce_only: None, ..reducing() }]),
            trade([Leg { product: None, ..reducing() }]),
            with(trade([reducing()]), |intent| intent.legs.clear()),
            Member { schema_sourced: false, ..trade([reducing()]) },
            Member { class: Class::Account, ..trade([reducing()]) },
        ] {
            assert_eq!(bed.code(member), "HALT_NO_NEW_RISK", "{target}");
        }
        for class in [Class::Cancel, Class::Public, Class::Read] {
            assert_eq!(bed.code(member(class)), "ALLOW", "{target} {class}");
        }
        // Each operation that the signature is good for.
        let sign = bed.with(|bed| bed.mode = Mode::Sign);
        let both = vec![trade([reducing()]), trade([limit(Side::Buy, "1", "1")])];
        assert_eq!(sign.code_of_all(both), "HALT_NO_NEW_RISK", "{target}");
    }
}

#[test]
fn a_symbol_that_is_halted_stops_what_touches_it() {
    let bed = halted(&format!("symbol:{VENUE}/{SPOT}"), HaltLevel::Nothing);
    let buy = |symbol| trade([at(symbol, Product::Spot, limit(Side::Buy, "1", "1"))]);
    assert_eq!(bed.code(buy(SPOT)), "HALT_NOTHING");
    assert_eq!(bed.code(member(Class::Cancel)), "HALT_NOTHING");
    assert_eq!(bed.code(trade([reducing(Product::Linear)])), "HALT_NOTHING");
    assert_eq!(bed.code(buy(CROSS)), "ALLOW");
    // Reads touch nothing.
    assert_eq!(bed.code(member(Class::Read)), "ALLOW");
    assert_eq!(bed.code(member(Class::Public)), "ALLOW");
    // What names no symbol could touch any, and what names it among others touches it.
    for symbols in [Symbols::Every, Symbols::Named(Vec::new())] {
        let every = with(member(Class::Cancel), |intent| intent.symbols = symbols);
        assert_eq!(bed.code(every), "HALT_NOTHING");
    }
    let both = [CROSS, SPOT].map(|symbol| at(symbol, Product::Spot, limit(Side::Buy, "1", "1")));
    assert_eq!(bed.code(trade(both)), "HALT_NOTHING");
    // A leg that the list forgot.
    let mut hidden = buy(SPOT);
    hidden.symbols = Symbols::Named(vec![CROSS.to_owned()]);
    assert_eq!(bed.code(hidden.clone()), "HALT_NOTHING");
    hidden.legs[0].symbol = None;
    assert_eq!(bed.code(hidden), "HALT_NOTHING");
}

#[test]
fn a_symbol_is_of_its_venue() {
    let bed = halted(&format!("symbol:kraken/{SPOT}"), HaltLevel::Nothing);
    assert_eq!(bed.code(trade([limit(Side::Buy, "1", "1")])), "ALLOW");
    let bed = halted("symbol:okx/XBT/USD", HaltLevel::Nothing);
    let buy = |symbol| trade([at(symbol, Product::Spot, limit(Side::Buy, "1", "1"))]);
    assert_eq!(bed.code(buy("XBT/USD")), "HALT_NOTHING");
    assert_eq!(bed.code(buy("XBT")), "ALLOW");
}

#[test]
fn a_market_is_halted_under_all_of_its_names() {
    let alias = "XXBTZUSDT";
    let bed = halted(&format!("symbol:{VENUE}/{SPOT}"), HaltLevel::Nothing);
    let buy = |symbol, product| trade([at(symbol, product, limit(Side::Buy, "1", "1"))]);
    // Nothing says yet that it is the same.
    assert_eq!(bed.code(buy(alias, Product::Spot)), "ALLOW");

    let known = bed.market.instrument(VENUE, SPOT, Product::Spot).expect("approved").clone();
    let named = |symbol: &str| Instrument { symbol: symbol.to_owned(), ..known.clone() };
    let both = bed.clone().with(|bed| bed.market.approve(named(alias)));
    assert_eq!(both.code(buy(alias, Product::Spot)), "HALT_NOTHING");
    assert_eq!(both.code(buy(alias, Product::Margin)), "HALT_NOTHING");
    assert_eq!(both.code(buy(CROSS, Product::Spot)), "ALLOW");
    // And the other way round.
    let target = format!("symbol:{VENUE}/{alias}").parse().expect("a target");
    let other = both.with(|bed| {
        bed.halts = Halts::default();
        bed.halts.halt(target, HaltLevel::Nothing);
    });
    assert_eq!(other.code(buy(SPOT, Product::Spot)), "HALT_NOTHING");
    assert_eq!(other.code(buy(CROSS, Product::Spot)), "ALLOW");
    // A venue's own way to name markets tells of names that nobody approved.
    let name = vault_venue::market_name("kraken").expect("it has several");
    let halted_there = halted(&format!("symbol:{VENUE}/XXBTZUSD"), HaltLevel::Nothing);
    assert_eq!(halted_there.code(buy("BTC/USD", Product::Spot)), "ALLOW");
    let told = halted_there.with(|bed| bed.market.name_by(VENUE, name));
    assert_eq!(told.code(buy("BTC/USD", Product::Spot)), "HALT_NOTHING");
    assert_eq!(told.code(buy("XBTUSD", Product::Margin)), "HALT_NOTHING");
    assert_eq!(told.code(buy("BTC/EUR", Product::Spot)), "ALLOW");
    assert!(told.market.knows(VENUE, SPOT) && !told.market.knows(VENUE, "NOSUCH"));
    // A future has its assets in common with others that end on other days.
    let future = |symbol: &str| Instrument { product: Product::Linear, ..named(symbol) };
    let futures = halted(&format!("symbol:{VENUE}/A-250627"), HaltLevel::Nothing).with(|bed| {
        bed.market.approve(future("A-250627"));
        bed.market.approve(future("A-250926"));
    });
    assert_eq!(futures.code(buy("A-250926", Product::Linear)), "ALLOW");
}

#[test]
fn the_strictest_of_several_halts_holds() {
    let symbol = format!("symbol:{VENUE}/{SPOT}");
    let nothing = halted(&symbol, HaltLevel::Nothing).with(|bed| {
        bed.halts.halt("all".parse().expect("a target"), HaltLevel::NoNewRisk);
    });
    assert_eq!(nothing.code(trade([limit(Side::Buy, "1", "1")])), "HALT_NOTHING");
    let cross = at(CROSS, Product::Spot, limit(Side::Buy, "1", "1"));
    assert_eq!(nothing.code(trade([cross])), "HALT_NO_NEW_RISK");
    let all = halted(&symbol, HaltLevel::NoNewRisk).with(|bed| {
        bed.halts.halt("all".parse().expect("a target"), HaltLevel::Nothing);
    });
    assert_eq!(all.code(member(Class::Read)), "HALT_NOTHING");
    let resumed = nothing.with(|bed| {
        bed.halts.resume(&symbol.parse().expect("a target"));
    });
    assert_eq!(resumed.code(trade([limit(Side::Buy, "1", "1")])), "HALT_NO_NEW_RISK");
    assert_eq!(resumed.code(member(Class::Cancel)), "ALLOW");
}

#[test]
fn halts_can_be_listed() {
    let mut halts = Halts::default();
    assert_eq!(halts.iter().count(), 0);
    halts.halt("venue:okx".parse().expect("a target"), HaltLevel::NoNewRisk);
    let listed: Vec<_> = halts.iter().map(|(target, level)| (target.to_string(), level)).collect();
    assert_eq!(listed, [("venue:okx".to_owned(), HaltLevel::NoNewRisk)]);
}
