//! The rules on orders, caps, hours, countries, halts and withdrawals, each at its border.

mod band;
mod cumulative;
mod denial;
mod duplicate;
mod enforceable;
mod halt;
mod history;
mod hours;
mod order;
mod price;
mod quantity;
mod withdrawal;

use std::collections::BTreeSet;

use vault_model::{
    Asset, Class, ClockTime, Instrument, Intent, Leg, Member, Mode, Money, Name, OrderType, Pair,
    Product, Reading, Side, SizeUnit, Symbols, Timestamp, Transfer,
};
use vault_policy::{
    Cost, Country, Decision, Denial, Grant, Halts, History, Market, Question, Scope, ScopeDocument,
    Span, judge,
};

/// The venue of all of them.
const VENUE: &str = "okx";
/// A spot market priced in an asset that counts as a dollar.
const SPOT: &str = "BTC-USDT";
/// A linear contract of 0.01 BTC.
const SWAP: &str = "BTC-USDT-SWAP";
/// An inverse contract of 100 USD.
const INVERSE: &str = "BTC-USD-SWAP";
/// An option on 0.01 BTC.
const OPTION: &str = "BTC-USD-241227-60000-C";
/// A spot market priced in BTC.
const CROSS: &str = "ETH-BTC";
/// Now, on the vault's own clock: two days after it began.
const CLOCK: u64 = 2 * 86_400_000_000;
/// A second on it.
const SECOND: u64 = 1_000_000;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

fn span(text: &str) -> Span {
    text.parse().expect("a span")
}

fn asset(text: &str) -> Asset {
    text.parse().expect("an asset")
}

fn pair(text: &str) -> Pair {
    text.parse().expect("a pair")
}

fn instrument(symbol: &str, product: Product, names: [&str; 3], size: &str) -> Instrument {
    let [base, quote, reference] = names;
    Instrument {
        base: asset(base),
        contract_size: money(size),
        price_tick: None,
        product,
        quantity_step: None,
        quote: asset(quote),
        reference: pair(reference),
        size_unit: if product == Product::Inverse { SizeUnit::Quote } else { SizeUnit::Base },
        symbol: symbol.to_owned(),
        venue: name(VENUE),
    }
}

fn market() -> Market {
    let mut market = Market::default();
    for instrument in [
        instrument(SPOT, Product::Spot, ["BTC", "USDT", "BTC/USD"], "1"),
        instrument(SWAP, Product::Linear, ["BTC", "USDT", "BTC/USD"], "0.01"),
        instrument(INVERSE, Product::Inverse, ["BTC", "USD", "BTC/USD"], "100"),
        instrument(OPTION, Product::Option, ["BTC", "BTC", "BTC/USD"], "0.01"),
        instrument(CROSS, Product::Spot, ["ETH", "BTC", "ETH/BTC"], "1"),
    ] {
        market.approve(instrument);
    }
    market.set_price(pair("BTC/USD"), money("60000"));
    market.set_price(pair("ETH/BTC"), money("0.05"));
    market
}

fn member(class: Class) -> Member {
    Member {
        operation: format!("POST /{class}").into(),
        class,
        schema_sourced: true,
        intent: Intent {
            products: Some(Vec::new()),
            symbols: Symbols::Named(vec![SPOT.to_owned()]),
            legs: Vec::new(),
            client_order_id: None,
            client_order_ids: Vec::new(),
            transfers: Vec::new(),
        }
        .into(),
    }
}

/// The member after a change to what it would do.
fn with(mut member: Member, change: impl FnOnce(&mut Intent)) -> Member {
    change(&mut member);
    member
}

/// What trades, with these orders.
fn trade(legs: impl IntoIterator<Item = Leg>) -> Member {
    let legs: Vec<Leg> = legs.into_iter().collect();
    let symbols = legs.iter().filter_map(|leg| leg.symbol.clone()).collect();
    with(member(Class::Trade), |intent| {
        (intent.symbols, intent.legs) = (Symbols::Named(symbols), legs);
    })
}

/// What sets leverage or margin mode.
fn setting(leg: Leg) -> Member {
    with(member(Class::Account), |intent| intent.legs = vec![leg])
}

/// An order of a type at the spot market.
fn order(order_type: OrderType, side: Side, quantity: &str) -> Leg {
    Leg {
        product: Some(Product::Spot),
        symbol: Some(SPOT.to_owned()),
        side: Some(side),
        order_type: Some(order_type),
        quantity: Some(quantity.to_owned()),
        ..Leg::default()
    }
}

/// A limit order at the spot market.
fn limit(side: Side, quantity: &str, price: &str) -> Leg {
    Leg { price: Some(price.to_owned()), ..order(OrderType::Limit, side, quantity) }
}

/// The same order elsewhere.
fn at(symbol: &str, product: Product, leg: Leg) -> Leg {
    Leg { symbol: Some(symbol.to_owned()), product: Some(product), ..leg }
}

/// What changes an order that is there.
fn amendment(price: Option<&str>, quantity: Option<&str>) -> Leg {
    Leg {
        product: Some(Product::Spot),
        symbol: Some(SPOT.to_owned()),
        price: price.map(str::to_owned),
        quantity: quantity.map(str::to_owned),
        amends: true,
        ..Leg::default()
    }
}

fn transfer(asset: &str, amount: &str, address: &str) -> Transfer {
    let text = |text: &str| Some(text.to_owned());
    Transfer { asset: text(asset), amount: text(amount), address: text(address) }
}

/// A client whose scope grants everything, sent by the vault itself.
#[derive(Clone)]
struct Bed {
    document: ScopeDocument,
    mode: Mode,
    market: Market,
    history: History,
    halts: Halts,
    now: Timestamp,
    steady_now: Timestamp,
    clock: ClockTime,
    country: Option<Country>,
    once: bool,
}

fn bed() -> Bed {
    let mut document = ScopeDocument::new(name("scope"));
    document.credentials = BTreeSet::from([name("okx-main")]);
    document.classes = Class::ALL.iter().copied().collect();
    document.modes = BTreeSet::from([Mode::Execute, Mode::Sign]);
    document.products = Grant::Every;
    document.symbols.insert(name(VENUE), Grant::Every);
    document.network.allow = BTreeSet::from(["10.0.0.0/8".parse().expect("a network")]);
    document.pricing.usd_par = BTreeSet::from([asset("USDT")]);
    Bed {
        document,
        mode: Mode::Execute,
        market: market(),
        history: History::default(),
        halts: Halts::default(),
        now: Timestamp(0),
        steady_now: Timestamp(0),
        clock: ClockTime(CLOCK),
        country: None,
        once: false,
    }
}

impl Bed {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same with another scope.
    fn scoped(self, change: impl FnOnce(&mut ScopeDocument)) -> Self {
        self.with(|bed| change(&mut bed.document))
    }

    fn ask<T>(&self, closure: Vec<Member>, ask: impl FnOnce(&Question<'_>) -> T) -> T {
        let reading = Reading {
            venue: VENUE,
            stated: closure[0].clone(),
            closure,
            closure_hash: [0; 32],
            catalog_hash: [0; 32],
        };
        ask(&Question {
            client: &name("mm-1"),
            credential: &name("okx-main"),
            mode: self.mode,
            address: "10.1.2.3".parse().expect("an address"),
            reading: &reading,
            scope: &Scope::compile(&self.document),
            client_networks: &[],
            halts: &self.halts,
            market: &self.market,
            history: &self.history,
            withdrawn: &self.history,
            now: self.now,
            steady_now: self.steady_now,
            clock: self.clock,
            country: self.country,
            takes_signatures_once: self.once,
        })
    }

    fn judge_all(&self, closure: Vec<Member>) -> Decision {
        self.ask(closure, judge)
    }

    fn code_of_all(&self, closure: Vec<Member>) -> &'static str {
        match self.judge_all(closure) {
            Decision::Allow(_) => "ALLOW",
            Decision::Deny(denial) => denial.code(),
        }
    }

    fn code(&self, member: Member) -> &'static str {
        self.code_of_all(vec![member])
    }

    fn denial(&self, member: Member) -> Denial {
        match self.judge_all(vec![member]) {
            Decision::Allow(_) => panic!("denied"),
            Decision::Deny(denial) => denial,
        }
    }

    fn cost_of_all(&self, closure: Vec<Member>) -> Cost {
        match self.judge_all(closure) {
            Decision::Allow(cost) => cost,
            Decision::Deny(denial) => panic!("allowed, not {}", denial.code()),
        }
    }

    fn cost(&self, member: Member) -> Cost {
        self.cost_of_all(vec![member])
    }

    /// What a leg is worth, as text; `-` if it has no price.
    fn worth(&self, leg: Leg) -> String {
        self.cost(trade([leg])).notional_usd.map_or("-".to_owned(), |worth| worth.to_string())
    }

    /// Sends it, and counts it at the bed's clock.
    fn spend(&mut self, member: Member) {
        let cost = self.cost(member);
        self.history.add(&cost.spend(self.clock));
    }
}
