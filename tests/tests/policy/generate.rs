//! Makes questions out of small alphabets, so that rules meet and about half of them is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vault_model::{
    Class, ClockTime, HaltLevel, Intent, Leg, MarginMode, Member, Mode, Money, Name, OrderType,
    Product, Reading, Side, Symbols, TimeInForce, Timestamp, Transfer,
};
use vault_policy::{
    AmountCap, Grant, HoursDocument, NotionalCap, OrderCap, ScopeDocument, Span, WithdrawalAddress,
    WithdrawalDocument,
};

use crate::case::{Case, Past};
use crate::dice::Dice;
use crate::market;

pub const VENUE: &str = "okx";

const CLOCK: u64 = 40 * 86_400_000_000;
const SPANS: &[&str] = &["1s", "10s", "1m", "1h", "24h", "31d"];
const IDS: &[&str] = &["a", "b", "c", "d"];
const OPERATIONS: &[&str] = &["POST /order", "POST /batch", "PUT /order", "POST /other"];

fn read<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect(text)
}

/// One case.
pub fn case(dice: &mut Dice) -> Case {
    let document = document(dice);
    let mode = if dice.once_in(4) { Mode::Sign } else { Mode::Execute };
    let mut reading = reading(dice, mode);
    let now = now(dice);
    let steady_now = if dice.once_in(8) { now.minus(Duration::from_secs(3_600)) } else { now };
    let ends = ends(dice, steady_now);
    for member in std::iter::once(&mut reading.stated).chain(&mut reading.closure) {
        for leg in &mut member.legs {
            leg.deadline = if dice.once_in(60) { None } else { ends };
        }
    }
    let credential: Name = read(if dice.once_in(40) { "other" } else { "main" });
    let mut halts = Vec::new();
    while dice.once_in(16) {
        let target = dice.word(&[
            "all",
            "client:mm",
            "client:other",
            "venue:okx",
            "venue:kraken",
            "credential:main",
            "symbol:okx/BTC-USDT",
            "symbol:okx/BTC-USDT-SWAP",
            "symbol:kraken/BTC-USDT",
        ]);
        let level = *dice.pick(&[HaltLevel::NoNewRisk, HaltLevel::NoNewRisk, HaltLevel::Nothing]);
        let target = read(target);
        // A second halt of one target would take the first's place.
        if halts.iter().all(|(known, _)| *known != target) {
            halts.push((target, level));
        }
    }
    let past = past(dice, &reading);
    let ever: u64 = past.iter().map(|past| past.resting).sum();
    Case {
        document,
        client: read("mm"),
        credential,
        mode,
        address: read(dice.often("10.1.2.3", &["10.9.1.1", "11.0.0.1", "2001:db8::1"])),
        client_networks: match dice.below(20) {
            0 => vec![read("10.1.0.0/16"), read("2001:db8::/32")],
            1 if dice.once_in(3) => vec![read("10.2.0.0/16")],
            _ => Vec::new(),
        },
        halts,
        instruments: market::instruments().into_iter().filter(|_| !dice.once_in(30)).collect(),
        prices: market::prices().into_iter().filter(|_| !dice.once_in(30)).collect(),
        ended: if ever == 0 { 0 } else { dice.below(ever as usize + 1) as u64 },
        past,
        now,
        steady_now,
        clock: ClockTime(CLOCK),
        country: match dice.below(8) {
            0 => None,
            1 => Some(read("KP")),
            _ => Some(read("DE")),
        },
        takes_signatures_once: !dice.once_in(4),
        reading,
    }
}

/// When orders say that they end.
fn ends(dice: &mut Dice, now: Timestamp) -> Option<Timestamp> {
    let millis = match dice.below(10) {
        0 => return None,
        1 => -1,
        2 => 60_001,
        3 => 3_600_000,
        4 => 60_000,
        5 => 0,
        _ => 1 + dice.below(59_999) as i64,
    };
    Some(Timestamp(now.micros() + millis * 1_000))
}

/// Around the edges of windows, and of the hours that a change of clocks makes and takes.
fn now(dice: &mut Dice) -> Timestamp {
    let seconds = match dice.below(3) {
        // 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC: Berlin; 2026-03-08 07:00 UTC: New York.
        0 => *dice.pick(&[1_774_746_000, 1_792_890_000, 1_772_953_200]),
        _ => 1_767_225_600 + 1_800 * dice.below(2 * 24 * 365) as i64,
    };
    let edge = *dice.pick(&[-1, 0, 1, 59_999, 60_000, 1_800_000, 3_599_999, 3_600_000]);
    Timestamp::from_millis(seconds * 1_000 + edge)
}

fn some_of<T: Copy + Ord>(dice: &mut Dice, all: &[T]) -> BTreeSet<T> {
    all.iter().copied().filter(|_| !dice.once_in(10)).collect()
}

fn document(dice: &mut Dice) -> ScopeDocument {
    let mut document = ScopeDocument::new(read("scope"));
    if !dice.once_in(40) {
        document.credentials.insert(read("main"));
    }
    if dice.once_in(2) {
        document.credentials.insert(read("other"));
    }
    let grantable = [
        Class::Public,
        Class::Read,
        Class::Cancel,
        Class::Trade,
        Class::Trade,
        Class::Account,
        Class::Logon,
        Class::Transfer,
        Class::Withdraw,
    ];
    document.classes = some_of(dice, &grantable);
    document.operations = some_of(dice, &["POST /other"]).into_iter().map(str::to_owned).collect();
    document.modes = some_of(dice, &[Mode::Execute, Mode::Execute, Mode::Sign, Mode::Sign]);
    document.products = match dice.below(3) {
        0 => Grant::Only(some_of(dice, &[Product::ALL, Product::ALL].concat())),
        _ => Grant::Every,
    };
    let symbols = match dice.below(3) {
        0 => {
            let twice = [market::SYMBOLS, market::SYMBOLS].concat();
            Grant::Only(some_of(dice, &twice).into_iter().map(read).collect())
        }
        _ => Grant::Every,
    };
    document.symbols.insert(read(dice.often(VENUE, &["kraken"])), symbols);
    document.network.allow = [read("10.0.0.0/8"), read("2001:db8::/32")].into();
    if dice.once_in(3) {
        document.network.deny = [read("10.9.0.0/16")].into();
    }
    if dice.once_in(12) {
        document.network.countries =
            Some(some_of(dice, &["DE", "DE", "CH"]).into_iter().map(read).collect());
    }
    orders(dice, &mut document);
    cumulative(dice, &mut document);
    if dice.once_in(10) {
        let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"];
        let windows = [
            "mon-fri 00:00-24:00",
            "sat-sun 01:00-03:00",
            "mon-sun 09:00-17:30",
            "fri-mon 22:00-24:00",
            "sun 02:30-03:00",
            "wed 00:00-00:01",
            "sun-sat 06:00-20:00",
        ];
        document.hours = Some(HoursDocument {
            timezone: read(dice.word(&zones)),
            windows: windows.iter().filter(|_| dice.once_in(2)).map(|text| read(text)).collect(),
        });
    }
    if dice.once_in(5) {
        document.duplicates.client_order_id = Some(read(dice.word(&SPANS[..5])));
    }
    if dice.once_in(5) {
        document.duplicates.order = Some(read(dice.word(&SPANS[..5])));
    }
    if dice.once_in(2) {
        document.withdrawal = Some(withdrawal(dice));
    }
    document
}

fn orders(dice: &mut Dice, document: &mut ScopeDocument) {
    let rules = &mut document.orders;
    if dice.once_in(7) {
        rules.types = Some(some_of(dice, OrderType::ALL));
    }
    if dice.once_in(7) {
        rules.time_in_force = Some(some_of(dice, TimeInForce::ALL));
    }
    rules.reduce_only = dice.once_in(40);
    rules.post_only = dice.once_in(30);
    if dice.once_in(10) {
        let mut limits = BTreeMap::new();
        for symbol in market::SYMBOLS {
            if !dice.once_in(8) {
                limits.insert(read(symbol), dice.money(&["0.01", "0.5", "1", "5"]));
            }
        }
        rules.max_quantity = Some([(read(VENUE), limits)].into());
    }
    if dice.once_in(4) {
        let caps = ["60", "63", "600", "5000", "60000", "1000000", "30000000", "1000000000"];
        rules.max_notional_usd = Some(dice.money(&caps));
    }
    if dice.once_in(16) {
        rules.price_band = Some(dice.money(&["0", "0.01", "0.05", "0.5", "1"]));
    }
    if dice.once_in(6) {
        rules.max_leverage = Some(dice.money(&["1", "5", "20", "100"]));
    }
    if dice.once_in(6) {
        rules.margin_modes = Some(some_of(dice, MarginMode::ALL));
    }
    let pricing = &mut document.pricing;
    if !dice.once_in(5) {
        pricing.usd_par.insert(read("USDT"));
    }
    if dice.once_in(2) {
        let slippages = ["0", "0.01", "0.5", "1", "0.000000000000000001"];
        pricing.slippage = Some(dice.money(&slippages));
    }
}

fn cumulative(dice: &mut Dice, document: &mut ScopeDocument) {
    let caps = &mut document.cumulative;
    while dice.once_in(6) {
        caps.notional_usd.push(NotionalCap {
            per: read(dice.word(SPANS)),
            at_most: dice.money(&["100", "1059.99", "1060", "60000", "5000000", "1000000000"]),
        });
    }
    while dice.once_in(6) {
        caps.orders.push(OrderCap { per: read(dice.word(SPANS)), at_most: dice.below(16) as u64 });
    }
    if dice.once_in(12) {
        caps.open_orders = Some(dice.below(10) as u64);
    }
}

fn withdrawal(dice: &mut Dice) -> WithdrawalDocument {
    let mut rules = WithdrawalDocument::default();
    for (venue, asset, address) in
        [(VENUE, "BTC", "cold"), (VENUE, "USDT", "cold"), ("kraken", "BTC", "cold")]
    {
        if !dice.once_in(8) {
            rules.addresses.insert(WithdrawalAddress {
                venue: read(venue),
                asset: asset.to_owned(),
                address: address.to_owned(),
            });
        }
        if !dice.once_in(8) {
            let at_most = dice.money(&["1", "2", "2.5", "100"]);
            rules.per_day.insert(AmountCap {
                venue: read(venue),
                asset: asset.to_owned(),
                at_most,
            });
        }
    }
    rules
}

fn reading(dice: &mut Dice, mode: Mode) -> Reading {
    let class = match dice.below(60) {
        0 => Class::Public,
        1..=3 => Class::Read,
        4..=6 => Class::Cancel,
        7 | 8 => Class::Account,
        9 => Class::Logon,
        10 => Class::Transfer,
        11..=14 => Class::Withdraw,
        15 => Class::Keys,
        16 | 17 => Class::Other,
        _ => Class::Trade,
    };
    let first = member(dice, class);
    let mut closure = vec![first.clone()];
    // A closure of one is what most venues have; wide ones are denied for one reason or other.
    while closure.len() < 4 && dice.once_in(if mode == Mode::Sign { 3 } else { 6 }) {
        let next = if dice.once_in(2) {
            // The same parameters, read as another operation.
            Member {
                operation: format!("{} {}", first.operation, closure.len()).into(),
                ..first.clone()
            }
        } else {
            let class = *dice.pick(&[class, class, Class::Read, Class::Cancel, Class::Trade]);
            member(dice, class)
        };
        closure.push(next);
    }
    let stated = closure[dice.below(closure.len())].clone();
    closure.sort_by(|one, other| one.operation.cmp(&other.operation));
    if dice.once_in(500) {
        closure.clear();
    }
    Reading { venue: VENUE, stated, closure, closure_hash: [0; 32], catalog_hash: [0; 32] }
}

fn member(dice: &mut Dice, class: Class) -> Member {
    let has_legs = match class {
        Class::Trade => !dice.once_in(40),
        Class::Account | Class::Other => !dice.once_in(3),
        _ => false,
    };
    let count = if has_legs { *dice.pick(&[1, 1, 1, 1, 2, 3, 4]) } else { 0 };
    let amends = has_legs && class == Class::Trade && dice.once_in(6);
    let legs: Vec<Leg> = (0..count)
        .map(|_| match class {
            Class::Trade => order(dice, amends),
            _ => setting(dice),
        })
        .collect();
    let is_write = class.is_write();
    let symbols = match legs.iter().map(|leg| leg.symbol.clone()).collect::<Option<BTreeSet<_>>>() {
        Some(symbols) if !symbols.is_empty() => Symbols::Named(symbols.into_iter().collect()),
        Some(_) if class == Class::Cancel && !dice.once_in(3) => {
            Symbols::Named(vec![dice.word(market::SYMBOLS).to_owned()])
        }
        _ if is_write => Symbols::Every,
        _ => Symbols::Named(Vec::new()),
    };
    let products = match legs.iter().map(|leg| leg.product).collect::<Option<BTreeSet<_>>>() {
        Some(products) if !products.is_empty() => Some(products.into_iter().collect()),
        // A leg without product could be of any.
        None => None,
        _ if dice.once_in(5) => None,
        _ => Some(dice.pick(&[vec![], vec![Product::Spot], vec![Product::Linear]]).clone()),
    };
    let ids: Vec<String> = if class == Class::Trade && !amends && dice.once_in(2) {
        legs.iter().map(|_| dice.word(IDS).to_owned()).collect()
    } else {
        Vec::new()
    };
    Member {
        operation: match class {
            Class::Trade => dice.word(OPERATIONS).into(),
            Class::Other => dice.word(&["POST /other", "POST /other", "POST /unlisted"]).into(),
            class => format!("POST /{class}").into(),
        },
        class,
        schema_sourced: !dice.once_in(40),
        intent: Intent {
            products,
            symbols,
            client_order_id: (ids.len() == 1).then(|| ids[0].clone()),
            client_order_ids: ids,
            legs,
            transfers: match class {
                Class::Withdraw | Class::Transfer => transfers(dice),
                _ => Vec::new(),
            },
        }
        .into(),
    }
}

/// A leg that is an order, or changes one.
fn order(dice: &mut Dice, amends: bool) -> Leg {
    let (symbol, product) = *dice.pick(market::TRADED);
    let some = |dice: &mut Dice, text: &str| Some(text.to_owned()).filter(|_| !dice.once_in(60));
    let order_type = match dice.below(if amends { 3 } else { 60 }) {
        0 => None,
        1..=50 => Some(*dice.pick(&[OrderType::Limit, OrderType::LimitMaker, OrderType::Market])),
        _ => Some(*dice.pick(OrderType::ALL)),
    };
    let is_limit = order_type.is_none_or(|it| it.as_str().contains("LIMIT"));
    let is_behind = order_type
        .is_some_and(|it| it.as_str().contains("STOP") || it.as_str().contains("TAKE_PROFIT"));
    let prices = ["0.01", "57000", "59400", "60000", "60000.1", "63000", "0.05", "1000000"];
    let price = |dice: &mut Dice| match dice.below(80) {
        0 => "0".to_owned(),
        1 => "-1".to_owned(),
        2 => "60000.000000000000000001".to_owned(),
        _ => dice.word(&prices).to_owned(),
    };
    let by_quote = dice.once_in(8);
    let quantity = match dice.below(80) {
        0 => "0".to_owned(),
        1 => "-5".to_owned(),
        2 => "0.000000000000000001".to_owned(),
        3 => "999999999999999999".to_owned(),
        _ => dice.word(&["0.001", "0.001", "0.01", "0.5", "1", "5", "100"]).to_owned(),
    };
    let has_quantity = if amends { !dice.once_in(3) } else { !by_quote || dice.once_in(8) };
    Leg {
        product: Some(product).filter(|_| !dice.once_in(60)),
        symbol: some(dice, symbol),
        side: if dice.once_in(if amends { 2 } else { 30 }) {
            None
        } else {
            Some(*dice.pick(Side::ALL))
        },
        order_type,
        tif: if dice.once_in(3) { Some(*dice.pick(TimeInForce::ALL)) } else { None },
        quantity: Some(quantity).filter(|_| has_quantity),
        quote_quantity: by_quote
            .then(|| dice.word(&["10", "59.99", "60", "1000", "600000", "0"]).to_owned()),
        price: (if is_limit { !dice.once_in(20) } else { dice.once_in(12) }).then(|| price(dice)),
        trigger_price: (if is_behind { !dice.once_in(8) } else { dice.once_in(30) })
            .then(|| price(dice)),
        reduce_only: *dice.pick(&[None, None, Some(false), Some(true), Some(true)]),
        post_only: *dice.pick(&[None, None, Some(false), Some(true), Some(true)]),
        amends,
        ..setting_of(dice)
    }
}

/// What a leg says of leverage and margin.
fn setting_of(dice: &mut Dice) -> Leg {
    Leg {
        leverage: dice
            .once_in(4)
            .then(|| dice.word(&["1", "3", "5", "5.5", "20", "125"]).to_owned()),
        margin_mode: dice.once_in(4).then(|| *dice.pick(MarginMode::ALL)),
        ..Leg::default()
    }
}

/// A leg that sets something and orders nothing.
fn setting(dice: &mut Dice) -> Leg {
    let (symbol, product) = *dice.pick(market::TRADED);
    Leg { product: Some(product), symbol: Some(symbol.to_owned()), ..setting_of(dice) }
}

fn transfers(dice: &mut Dice) -> Vec<Transfer> {
    let count = *dice.pick(&[0, 1, 1, 1, 1, 1, 1, 2]);
    let text = |dice: &mut Dice, texts: &[&str]| {
        Some(dice.word(texts).to_owned()).filter(|_| !dice.once_in(20))
    };
    (0..count)
        .map(|_| Transfer {
            asset: text(dice, &["BTC", "BTC", "USDT", "USDT", "DOGE"]),
            amount: text(dice, &["0.5", "1", "1.5", "2", "0", "-1"]),
            address: text(dice, &["cold", "cold", "cold", "cold", "hot"]),
        })
        .collect()
}

/// What was allowed before: at the edges of windows, and now and then the very order that is asked.
fn past(dice: &mut Dice, reading: &Reading) -> Vec<Past> {
    let mut past = Vec::new();
    while past.len() < 6 && !dice.once_in(4) {
        let span: Span = read(dice.word(SPANS));
        let ago = match dice.below(4) {
            0 => span.as_micros() - 1,
            1 => span.as_micros(),
            2 => span.as_micros() + 1,
            _ => dice.below(3) as u64,
        };
        let member = dice.pick(&[Some(&reading.stated), reading.closure.first(), None]).cloned();
        let mut placed = Vec::new();
        if let Some(member) = member.filter(|member| member.class == Class::Trade)
            && dice.once_in(4)
        {
            let credential: Name = read(dice.often("main", &["other"]));
            let orders = member.legs.iter().filter(|leg| !leg.amends);
            placed.extend(orders.map(|leg| (credential.clone(), leg.clone())));
        }
        let lasts = if dice.once_in(4) { dice.below(60_000_001) as u64 } else { 0 };
        past.push(Past {
            at: ClockTime(CLOCK - ago),
            until: ClockTime(CLOCK - ago + lasts),
            orders: dice.below(4) as u64,
            resting: dice.below(3) as u64,
            notional_usd: (!dice.once_in(12)).then(|| dice.money(&["0", "40", "999.99", "1000"])),
            placed,
            ids: if dice.once_in(3) {
                vec![(read(dice.often("main", &["other"])), dice.word(IDS).to_owned())]
            } else {
                Vec::new()
            },
            withdrawn: if dice.once_in(4) {
                let asset = dice.word(&["BTC", "USDT"]).to_owned();
                let venue = read(dice.often(VENUE, &["kraken"]));
                vec![(venue, asset, dice.money(&["0.5", "1"]))]
            } else {
                Vec::new()
            },
        });
    }
    past.sort_by_key(|past| past.at);
    past
}

impl Dice {
    /// Usually the first.
    fn often<'t>(&mut self, usual: &'t str, rare: &[&'t str]) -> &'t str {
        if self.once_in(30) { self.word(rare) } else { usual }
    }

    fn money(&mut self, texts: &[&str]) -> Money {
        read(self.word(texts))
    }
}
