//! The lattice against the engine, in every dimension: whatever one scope allows and another denies,
//! the comparison names, and the dimension that denies is among those it names.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use vault_model::{
    Class, ClockTime, Instrument, Intent, Leg, MarginMode, Member, Mode, Money, Name, OrderType,
    Product, Reading, Side, SizeUnit, Symbols, TimeInForce, Timestamp, Transfer,
};
use vault_policy::{
    Decision, Dimension, Grant, Halts, History, Market, Question, Scope, ScopeDocument, Spend,
    Withdrawn, compare, id_key, judge, order_key, testing,
};

/// Pairs of scopes, and questions about each: more than 100,000 in all.
const PAIRS: usize = 4_000;
const QUESTIONS: usize = 60;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).expect("31 bits") % sides
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    fn maybe<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        if self.roll(3) == 0 { None } else { Some(self.one(of)) }
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

/// A scope that lets pass whatever a scope can.
fn open() -> ScopeDocument {
    let mut scope = ScopeDocument::new(name("open"));
    scope.credentials = [name("one"), name("two")].into();
    scope.classes = Class::ALL.iter().copied().collect();
    for class in [Class::Keys, Class::Other, Class::Withdraw] {
        scope.classes.remove(&class);
    }
    scope.operations = ["POST /a".to_owned(), "POST /b".to_owned()].into();
    scope.modes = Mode::ALL.iter().copied().collect();
    scope.products = Grant::Every;
    scope.symbols = testing::VENUES.iter().map(|venue| (name(venue), Grant::Every)).collect();
    scope.network.allow = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a network")).into();
    scope.network.allow_any = true;
    scope
}

/// Takes some parts of another scope.
fn mix(scope: &mut ScopeDocument, other: &ScopeDocument, dice: &mut Dice, rarely: usize) {
    let mut takes = || dice.roll(rarely) == 0;
    macro_rules! take {
        ($($($field:ident).+),+ $(,)?) => {
            $(if takes() { scope.$($field).+ = other.$($field).+.clone(); })+
        };
    }
    take!(
        credentials,
        classes,
        operations,
        modes,
        products,
        symbols,
        network.allow,
        network.deny,
        network.countries,
        orders.types,
        orders.time_in_force,
        orders.reduce_only,
        orders.post_only,
        orders.max_quantity,
        orders.max_notional_usd,
        orders.price_band,
        orders.max_leverage,
        orders.margin_modes,
        pricing.usd_par,
        pricing.slippage,
        cumulative.notional_usd,
        cumulative.orders,
        cumulative.open_orders,
        hours,
        duplicates.client_order_id,
        duplicates.order,
    );
    if takes() {
        scope.withdrawal.clone_from(&other.withdrawal);
        if other.classes.contains(&Class::Withdraw) {
            scope.classes.insert(Class::Withdraw);
        }
    }
    if scope.withdrawal.is_none() {
        scope.classes.remove(&Class::Withdraw);
    }
    scope.check().expect("scopes that could be put");
}

/// All that a decision depends on but the scope.
struct Asked {
    credential: Name,
    mode: Mode,
    address: &'static str,
    country: Option<&'static str>,
    reading: Reading,
    market: Market,
    history: History,
    now: Timestamp,
    once: bool,
}

const CLOCK: ClockTime = ClockTime(90 * 86_400 * 1_000_000);

impl Asked {
    fn roll(dice: &mut Dice) -> Self {
        let credential = name(dice.one(&["one", "one", "two"]));
        let venue = dice.one(testing::VENUES);
        let members: Vec<Member> = (0..1 + dice.roll(6) / 5).map(|_| member(dice)).collect();
        let stated = members[0].clone();
        let mut market = Market::default();
        for symbol in testing::SYMBOLS {
            for product in [Product::Spot, Product::Linear, Product::Inverse, Product::Option] {
                if dice.roll(8) > 0 {
                    market.approve(instrument(venue, symbol, product, dice));
                }
            }
        }
        for (pair, prices) in [
            ("BTC/USD", ["100", "60000.25"]),
            ("BTC/USDT", ["100", "0.5"]),
            ("BTC/USDC", ["100", "120"]),
            ("USDT/USD", ["0.5", "1.01"]),
            ("USDC/USD", ["0.99", "2"]),
        ] {
            if dice.roll(8) > 0 {
                market.set_price(pair.parse().expect("a pair"), money(dice.one(&prices)));
            }
        }
        let mut history = History::default();
        let mut ages = [1u64, 9, 11, 59, 61, 89, 3_599, 86_399, 86_401, 2_678_399];
        ages.reverse();
        for age in ages {
            if dice.roll(6) == 0 {
                history.add(&spend(dice, venue, &credential, &stated, age));
            }
        }
        Self {
            mode: dice.one(Mode::ALL),
            address: dice.one(&["10.0.0.0", "10.0.0.1", "10.0.0.3", "2001:db8::1", "192.0.2.1"]),
            country: dice.maybe(&["CH", "DE", "US", "FR"]),
            reading: Reading {
                venue,
                stated,
                closure: members,
                closure_hash: [0; 32],
                catalog_hash: [0; 32],
            },
            market,
            history,
            now: Timestamp::from_millis(dice.roll(366 * 24 * 12) as i64 * 300_000),
            once: dice.roll(2) == 0,
            credential,
        }
    }

    fn judge(&self, scope: &Scope, halts: &Halts) -> Decision {
        judge(&Question {
            client: &self.credential,
            credential: &self.credential,
            mode: self.mode,
            address: self.address.parse().expect("an address"),
            reading: &self.reading,
            scope,
            client_networks: &[],
            halts,
            market: &self.market,
            history: &self.history,
            withdrawn: &self.history,
            now: self.now,
            steady_now: self.now,
            clock: CLOCK,
            country: self.country.map(|country| country.parse().expect("a country")),
            takes_signatures_once: self.once,
        })
    }
}

fn instrument(venue: &str, symbol: &str, product: Product, dice: &mut Dice) -> Instrument {
    let quote = dice.one(&["USD", "USDT", "USDC"]);
    Instrument {
        base: "BTC".parse().expect("an asset"),
        contract_size: money(dice.one(&["1", "0.01", "100"])),
        price_tick: None,
        product,
        quantity_step: None,
        quote: quote.parse().expect("an asset"),
        reference: format!("BTC/{quote}").parse().expect("a pair"),
        size_unit: if product == Product::Inverse { SizeUnit::Quote } else { SizeUnit::Base },
        symbol: symbol.to_owned(),
        venue: name(venue),
    }
}

fn spend(dice: &mut Dice, venue: &str, credential: &Name, stated: &Member, age: u64) -> Spend {
    let ids = stated.client_order_ids.iter().map(|id| id_key(credential, id));
    let orders = stated.legs.iter().map(|leg| order_key(credential, leg));
    Spend {
        at: ClockTime(CLOCK.0 - age * 1_000_000),
        until: ClockTime(CLOCK.0 - age * 1_000_000),
        orders: dice.roll(12) as u64,
        resting: dice.roll(4) as u64,
        notional_usd: dice.maybe(testing::AMOUNTS).map(money),
        order_keys: if dice.roll(2) == 0 { orders.collect() } else { Vec::new() },
        id_keys: if dice.roll(2) == 0 { ids.collect() } else { Vec::new() },
        withdrawn: dice
            .maybe(testing::AMOUNTS)
            .map(|amount| Withdrawn {
                venue: name(venue),
                asset: "BTC".to_owned(),
                amount: money(amount),
            })
            .into_iter()
            .collect(),
    }
}

fn member(dice: &mut Dice) -> Member {
    use Class::{Account, Cancel, Logon, Other, Public, Read, Trade, Withdraw};
    let class = dice.one(&[
        Trade,
        Trade,
        Trade,
        Trade,
        Account,
        Cancel,
        Logon,
        Other,
        Public,
        Read,
        Class::Transfer,
        Withdraw,
    ]);
    let product = dice.one(Product::ALL);
    let symbol = dice.one(&["BTC-USD", "ETH/USD", "XBT_F", "OTHER"]);
    let has_legs = matches!(class, Trade | Account) && dice.roll(12) > 0;
    let legs: Vec<Leg> = (0..if has_legs { 1 + dice.roll(5) / 4 } else { 0 })
        .map(|_| leg(dice, product, symbol))
        .collect();
    let ids: Vec<String> = (0..dice.roll(3)).map(|id| format!("id-{id}")).collect();
    let transfers = (0..if class == Withdraw { dice.roll(8) / 3 } else { 0 }).map(|_| Transfer {
        asset: dice.maybe(&["BTC", "BTC", "ETH2.S"]).map(str::to_owned),
        amount: Some(dice.one(&["0.5", "1", "100"]).to_owned()),
        address: Some(dice.one(&["bc1qexample", "cold storage", "elsewhere"]).to_owned()),
    });
    let transfers = transfers.collect();
    Member {
        operation: dice.one(&["POST /a", "POST /b", "POST /c"]).into(),
        class,
        schema_sourced: true,
        intent: Intent {
            products: if dice.roll(8) == 0 { None } else { Some(vec![product]) },
            symbols: match dice.roll(8) {
                0 => Symbols::Every,
                _ => Symbols::Named(vec![symbol.to_owned()]),
            },
            legs,
            client_order_id: None,
            client_order_ids: ids,
            transfers,
        }
        .into(),
    }
}

fn leg(dice: &mut Dice, product: Product, symbol: &str) -> Leg {
    let quantities = ["0.01", "0.5", "1", "1.5", "100", "60000.25", "0"];
    let prices = ["100", "99.5", "95", "105", "150", "60000.25", "0.01"];
    let order_type = dice.maybe(OrderType::ALL);
    let has_price = dice.roll(8) > 0 && order_type != Some(OrderType::Market);
    Leg {
        product: Some(product),
        symbol: Some(symbol.to_owned()),
        side: dice.maybe(&[Side::Buy, Side::Sell]),
        order_type,
        tif: dice.maybe(TimeInForce::ALL),
        quantity: dice.maybe(&quantities).map(str::to_owned),
        quote_quantity: (dice.roll(5) == 0).then(|| dice.one(&quantities).to_owned()),
        price: has_price.then(|| dice.one(&prices).to_owned()),
        trigger_price: (dice.roll(4) == 0).then(|| dice.one(&prices).to_owned()),
        reduce_only: dice.maybe(&[true, false]),
        post_only: dice.maybe(&[true, false]),
        leverage: dice.maybe(&["1", "2.5", "5", "x"]).map(str::to_owned),
        margin_mode: dice.maybe(MarginMode::ALL),
        amends: dice.roll(6) == 0,
        ..Leg::default()
    }
}

/// The dimensions of a denial's code that the two scopes differ in.
fn named(decision: &Decision, differing: &[Dimension]) -> bool {
    match decision {
        Decision::Allow(_) => false,
        Decision::Deny(denial) => {
            differing.iter().any(|dimension| dimension.denies_with(denial.code()))
        }
    }
}

#[test]
fn whatever_is_newly_allowed_is_called_widening() {
    let mut runner = TestRunner::deterministic();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let documents = testing::document();
    let mut generate = || documents.new_tree(&mut runner).expect("a document").current();
    let halts = Halts::default();
    let (mut opened, mut closed_alone) = (0usize, 0usize);
    let mut by_dimension: BTreeMap<Dimension, usize> = BTreeMap::new();

    let pricings = testing::pricing();
    let mut runner = TestRunner::deterministic();
    let withdrawals = testing::withdrawal();
    let mut others = TestRunner::deterministic();
    let mut withdrawal = || withdrawals.new_tree(&mut others).expect("a table").current();
    let mut pricing = || pricings.new_tree(&mut runner).expect("a pricing").current();

    for pair in 0..PAIRS {
        let mut a = open();
        let mut b;
        if pair % 4 == 0 {
            // How orders are priced shows under a cap alone.
            a.orders.max_notional_usd = Some(money(dice.one(&["1", "100", "150", "60000.25"])));
            a.pricing = pricing();
            b = a.clone();
            b.pricing = pricing();
        } else if pair % 4 == 1 {
            a.classes.insert(Class::Withdraw);
            a.withdrawal = Some(withdrawal());
            b = a.clone();
            let per_day = withdrawal().per_day;
            b.withdrawal.iter_mut().for_each(|table| table.per_day.clone_from(&per_day));
        } else {
            mix(&mut a, &generate(), &mut dice, 12);
            b = a.clone();
            mix(&mut b, &generate(), &mut dice, 12);
        }
        let change = compare(&a, &b);
        assert_eq!(compare(&b, &a).widened, change.narrowed);
        let (scope_a, scope_b) = (Scope::compile(&a), Scope::compile(&b));
        for _ in 0..QUESTIONS {
            let asked = Asked::roll(&mut dice);
            let (before, after) = (asked.judge(&scope_a, &halts), asked.judge(&scope_b, &halts));
            let (differing, denial) = match (before.is_allowed(), after.is_allowed()) {
                (false, true) => (&change.widened, before),
                (true, false) => (&change.narrowed, after),
                _ => continue,
            };
            assert!(
                named(&denial, differing),
                "{denial:?}, and not among {differing:?}\n{}\n{}",
                a.to_toml(),
                b.to_toml()
            );
            opened += 1;
            let Decision::Deny(denial) = denial else { unreachable!("one of them denies") };
            for dimension in Dimension::of_code(denial.code()) {
                if differing.contains(dimension) {
                    *by_dimension.entry(*dimension).or_default() += 1;
                    closed_alone += usize::from(differing.len() == 1);
                }
            }
        }
    }

    // The questions are worth something: in every dimension some were answered differently.
    let missing: Vec<_> =
        Dimension::ALL.iter().filter(|dimension| !by_dimension.contains_key(dimension)).collect();
    assert_eq!(missing, Vec::<&Dimension>::new(), "{by_dimension:?}");
    assert!(opened > 5_000 && closed_alone > 1_000, "{opened} {closed_alone}");
    assert!(by_dimension.values().all(|times| *times >= 5), "{by_dimension:?}");
}
