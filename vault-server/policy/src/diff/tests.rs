//! What examples are made of.

use std::ops::ControlFlow;

use vault_model::{Class, Mode, Money, OrderType, Product, SizeUnit, Symbols, TimeInForce};

use super::choice::Contrast;
use super::draft::{self, Draft};
use super::search::Touch;
use super::{Effect, Example, VenueFacts};
use crate::document::ScopeDocument;
use crate::lattice::Dimension;
use crate::{id_key, order_key};

/// A scope that says this and no more.
pub(super) fn scope(text: &str) -> ScopeDocument {
    let text = format!("name = \"s\"\n{text}\n");
    ScopeDocument::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const OKX: VenueFacts = VenueFacts { name: "okx", takes_signatures_once: false };
const KRAKEN: VenueFacts = VenueFacts { name: "kraken", takes_signatures_once: true };

/// A draft at a venue about one symbol, and everything that it makes of a class.
pub(super) struct Sketch {
    pub dimension: Dimension,
    pub more: ScopeDocument,
    pub less: ScopeDocument,
    pub mode: Mode,
    pub venue: VenueFacts,
    pub product: Product,
    pub symbol: &'static str,
}

impl Sketch {
    pub fn new(dimension: Dimension, more: &str, less: &str) -> Self {
        Self {
            dimension,
            more: scope(more),
            less: scope(less),
            mode: Mode::Sign,
            venue: OKX,
            product: Product::Spot,
            symbol: "BTC-USDT",
        }
    }

    pub fn draw<T>(&self, use_draft: impl FnOnce(&Draft<'_>) -> T) -> T {
        let contrast = Contrast { dimension: self.dimension, more: &self.more, less: &self.less };
        use_draft(&Draft {
            contrast,
            credential: &"main".parse().expect("a name"),
            mode: self.mode,
            address: "10.0.0.1".parse().expect("an address"),
            country: None,
            at: vault_model::Timestamp::from_millis(1_767_607_200_000),
            venue: self.venue,
            touch: Touch {
                products: Some(vec![self.product]),
                symbols: Symbols::Named(vec![self.symbol.to_owned()]),
            },
        })
    }

    fn make(&self, class: Class) -> Vec<Example> {
        let mut made = Vec::new();
        let mut keep = |example| {
            made.push(example);
            ControlFlow::Continue(())
        };
        let flow = self.draw(|draft| draft::class(draft, class, &mut keep));
        assert!(flow.is_continue());
        made
    }

    /// The orders by type, of the plainest terms.
    fn order(&self, order_type: OrderType) -> Example {
        let orders = self.make(Class::Trade);
        let wanted = |example: &&Example| example.member.legs[0].order_type == Some(order_type);
        orders.iter().find(wanted).expect("an order of the type").clone()
    }
}

/// Orders of this type are made, and say whether they are post-only.
fn types(orders: &[Example]) -> Vec<(OrderType, Option<bool>)> {
    let legs = orders.iter().map(|example| &example.member.legs[0]);
    let mut types: Vec<_> =
        legs.map(|leg| (leg.order_type.expect("a type"), leg.post_only)).collect();
    types.dedup();
    types
}

#[test]
fn effects_have_words() {
    assert_eq!((Effect::Closes.as_str(), Effect::Opens.as_str()), ("closes", "opens"));
}

#[test]
fn what_has_no_order_is_one_request() {
    let sketch = Sketch::new(Dimension::Credentials, "", "");
    for (class, operation) in [
        (Class::Public, "GET /example"),
        (Class::Read, "GET /example"),
        (Class::Cancel, "POST /example/cancel"),
        (Class::Logon, "POST /example"),
        (Class::Transfer, "POST /example"),
    ] {
        let [example] = &sketch.make(class)[..] else { panic!("one request of class {class}") };
        assert_eq!((&*example.member.operation, example.member.class), (operation, class));
        assert!(example.member.legs.is_empty() && example.before.is_none());
    }
}

#[test]
fn settings_say_what_is_set() {
    let set = |dimension, more: &str| -> Vec<(Option<String>, Option<String>)> {
        let made = Sketch::new(dimension, more, "").make(Class::Account);
        let legs = made.iter().map(|example| {
            assert_eq!(&*example.member.operation, "POST /example/setting");
            let leg = &example.member.legs[0];
            assert_eq!(leg.product, Some(Product::Spot));
            assert_eq!(leg.symbol.as_deref(), Some("BTC-USDT"));
            (leg.margin_mode.map(|mode| mode.to_string()), leg.leverage.clone())
        });
        legs.collect()
    };
    let modes = Sketch::new(
        Dimension::OrdersMarginModes,
        "[orders]\nmargin_modes = [\"cash\", \"cross\"]",
        "[orders]\nmargin_modes = [\"cash\"]",
    );
    let cross = modes.make(Class::Account);
    let [cross] = &cross[..] else { panic!("one margin mode is new: {cross:?}") };
    assert_eq!(cross.member.legs[0].margin_mode, Some(vault_model::MarginMode::Cross));
    let leveraged = set(Dimension::OrdersMaxLeverage, "[orders]\nmax_leverage = \"5\"");
    assert!(!leveraged.is_empty());
    assert!(leveraged.iter().all(|leg| *leg == (None, Some("5".to_owned()))), "{leveraged:?}");
    assert_eq!(set(Dimension::Credentials, ""), [(None, None)]);
}

#[test]
fn orders_say_what_their_type_needs() {
    let orders = Sketch::new(Dimension::Credentials, "", "").make(Class::Trade);
    let of_type = |order_type| {
        let mut legs = orders.iter().map(|example| &example.member.legs[0]);
        legs.find(|leg| leg.order_type == Some(order_type)).expect("an order of every type")
    };
    for order_type in OrderType::ALL.iter().copied() {
        let leg = of_type(order_type);
        use OrderType::{
            Limit, LimitMaker, Other, Stop, StopLimit, TakeProfit, TakeProfitLimit, TrailingStop,
        };
        let has_limit =
            matches!(order_type, Limit | LimitMaker | Other | StopLimit | TakeProfitLimit);
        let has_trigger =
            matches!(order_type, Stop | StopLimit | TakeProfit | TakeProfitLimit | TrailingStop);
        assert_eq!(leg.price.as_deref(), has_limit.then_some("100"), "{order_type}");
        assert_eq!(leg.tif, has_limit.then_some(TimeInForce::Gtc), "{order_type}");
        assert_eq!(leg.trigger_price.as_deref(), has_trigger.then_some("100"), "{order_type}");
        assert_eq!(leg.post_only, (order_type == LimitMaker).then_some(true), "{order_type}");
        assert_eq!((leg.reduce_only, leg.deadline), (None, None));
        assert_eq!((leg.quantity.as_deref(), leg.leverage.as_deref()), (Some("1"), None));
        assert_eq!((leg.product, leg.symbol.as_deref()), (Some(Product::Spot), Some("BTC-USDT")));
        assert_eq!(leg.side, Some(vault_model::Side::Buy));
    }
    // Other times in force only add to what is tried, but for where they are what differs.
    assert!(
        orders
            .iter()
            .all(|order| { matches!(order.member.legs[0].tif, None | Some(TimeInForce::Gtc)) })
    );
    let timed = Sketch::new(
        Dimension::OrdersTimeInForce,
        "[orders]\ntime_in_force = [\"FOK\", \"GTC\", \"IOC\"]",
        "[orders]\ntime_in_force = [\"GTC\"]",
    );
    let mut times: Vec<_> =
        timed.make(Class::Trade).iter().map(|order| order.member.legs[0].tif).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times, [None, Some(TimeInForce::Fok), Some(TimeInForce::Ioc)]);
}

#[test]
fn flags_that_both_ask_for_are_set() {
    let post = "[orders]\npost_only = true";
    use OrderType::{Limit, LimitMaker, Other, StopLimit, TakeProfitLimit};
    let set = types(&Sketch::new(Dimension::Symbols, post, post).make(Class::Trade));
    let limits = [Limit, LimitMaker, StopLimit, TakeProfitLimit, Other];
    assert_eq!(set, limits.map(|order_type| (order_type, Some(true))));
    let one = types(&Sketch::new(Dimension::Symbols, "", post).make(Class::Trade));
    assert_eq!(one, set);
    // Where the flag is what differs, it is not set, and no type says the same.
    let about = types(&Sketch::new(Dimension::OrdersPostOnly, "", post).make(Class::Trade));
    assert!(about.iter().all(|(order_type, flag)| *order_type != LimitMaker && flag.is_none()));
    assert_eq!(about.len(), OrderType::ALL.len() - 1);

    let reduce = "[orders]\nreduce_only = true";
    let of = |dimension, product| {
        let sketch = Sketch { product, ..Sketch::new(dimension, "", reduce) };
        let orders = sketch.make(Class::Trade);
        orders.first().map(|order| order.member.legs[0].reduce_only)
    };
    assert_eq!(of(Dimension::Symbols, Product::Linear), Some(Some(true)));
    assert_eq!(of(Dimension::Symbols, Product::Inverse), Some(Some(true)));
    // What is bought outright reduces nothing.
    assert_eq!(of(Dimension::Symbols, Product::Spot), None);
    assert_eq!(of(Dimension::OrdersReduceOnly, Product::Spot), Some(None));
    assert_eq!(of(Dimension::OrdersReduceOnly, Product::Linear), Some(None));
}

#[test]
fn signatures_that_are_taken_once_end_soon() {
    let lasts = |mode, venue| {
        let sketch = Sketch { mode, venue, ..Sketch::new(Dimension::Symbols, "", "") };
        let order = sketch.order(OrderType::Limit);
        order.member.legs[0].deadline.map(|deadline| deadline.millis() - order.at.millis())
    };
    assert_eq!(lasts(Mode::Sign, KRAKEN), Some(30_000));
    assert_eq!((lasts(Mode::Execute, KRAKEN), lasts(Mode::Sign, OKX)), (None, None));
}

#[test]
fn instruments_are_those_of_the_symbol() {
    let order = |product, symbol| {
        let sketch = Sketch { product, symbol, ..Sketch::new(Dimension::Symbols, "", "") };
        let order = sketch.order(OrderType::Limit);
        (order.instrument.clone().expect("an instrument"), order)
    };
    let (spot, _) = order(Product::Spot, "BTC-USDT");
    assert_eq!((spot.base.as_str(), spot.quote.as_str()), ("BTC", "USD"));
    assert_eq!((spot.product, spot.size_unit), (Product::Spot, SizeUnit::Base));
    assert_eq!((spot.symbol.as_str(), spot.venue.as_str()), ("BTC-USDT", "okx"));
    let (margin, _) = order(Product::Margin, "BTC-USDT");
    assert_eq!((margin.product, margin.size_unit), (Product::Spot, SizeUnit::Base));
    // Contracts that are counted in the quote asset, for 1 at 100.
    let (inverse, placed) = order(Product::Inverse, "BTC-USD");
    assert_eq!((inverse.product, inverse.size_unit), (Product::Inverse, SizeUnit::Quote));
    assert_eq!(placed.member.legs[0].quantity.as_deref(), Some("100"));
    // Nothing is priced in itself.
    let (dollars, _) = order(Product::Spot, "USD-USDT");
    assert_eq!((dollars.base.as_str(), dollars.quote.as_str()), ("BASE", "USD"));
    assert_eq!(placed.prices, [(inverse.reference, Money::whole(100))]);
}

#[test]
fn what_comes_again_was_there_before() {
    let main = "main".parse().expect("a name");
    let again = |dimension, less: &str| {
        let order = Sketch::new(dimension, "", less).order(OrderType::Limit);
        (order.before.clone().expect("something before"), order)
    };
    let (before, order) =
        again(Dimension::DuplicatesClientOrderId, "[duplicates]\nclient_order_id = \"1h\"");
    assert_eq!(before.ago.as_seconds(), 3_599);
    assert_eq!(before.spend.id_keys, [id_key(&main, "id-1")]);
    assert_eq!(order.member.client_order_ids, ["id-1"]);
    assert_eq!(order.member.client_order_id.as_deref(), Some("id-1"));
    assert!(before.spend.order_keys.is_empty());
    // It is no order that could not be priced.
    assert_eq!(before.spend.notional_usd, Some(Money::ZERO));

    let (before, order) = again(Dimension::DuplicatesOrder, "[duplicates]\norder = \"10s\"");
    assert_eq!(before.ago.as_seconds(), 9);
    assert_eq!(before.spend.order_keys, [order_key(&main, &order.member.legs[0])]);
    assert_eq!(before.spend.notional_usd, Some(Money::ZERO));
    assert!(before.spend.id_keys.is_empty() && order.member.client_order_ids.is_empty());
}

#[test]
fn withdrawals_go_where_both_let_them_or_where_one_does() {
    let table = |addresses: &[&str], at_most: &str| {
        let to = |address: &&str| {
            let (venue, address) = address.split_once('/').expect("venue/address");
            format!("{{ venue = \"{venue}\", asset = \"BTC\", address = \"{address}\" }}")
        };
        let addresses: Vec<String> = addresses.iter().map(to).collect();
        format!(
            "[withdrawal]\naddresses = [{}]\n\
             per_day = [{{ venue = \"okx\", asset = \"BTC\", at_most = \"{at_most}\" }}]\n",
            addresses.join(", ")
        )
    };
    let made = |dimension, more: &str, less: &str| -> Vec<String> {
        let made = Sketch::new(dimension, more, less).make(Class::Withdraw);
        let words = made.iter().map(|example| {
            let [transfer] = &example.member.transfers[..] else { panic!("one transfer") };
            let part = |text: &Option<String>| text.clone().expect("said");
            let before = example.before.as_ref().map_or_else(String::new, |before| {
                let [withdrawn] = &before.spend.withdrawn[..] else { panic!("one withdrawal") };
                format!(" after {} {}: {}", withdrawn.amount, withdrawn.venue, before.words)
            });
            assert_eq!(part(&transfer.asset), "BTC");
            format!("{} to {}{before}", part(&transfer.amount), part(&transfer.address))
        });
        words.collect()
    };
    let wide = table(&["okx/one", "okx/two", "kraken/three"], "3");
    let narrow = table(&["okx/one"], "2");

    assert_eq!(made(Dimension::WithdrawalAddresses, &wide, &narrow), ["2 to two"]);
    assert_eq!(made(Dimension::WithdrawalAddresses, &narrow, &wide), Vec::<String>::new());
    assert_eq!(made(Dimension::WithdrawalAddresses, &wide, ""), ["3 to one", "3 to two"]);
    assert_eq!(
        made(Dimension::WithdrawalPerDay, &wide, &narrow),
        ["3 to one", "1 to one after 2 okx: 2 BTC withdrawn"]
    );
    assert_eq!(made(Dimension::WithdrawalPerDay, &wide, ""), ["3 to one", "3 to two"]);
    assert_eq!(made(Dimension::Credentials, &wide, &narrow), ["2 to one"]);
    assert_eq!(made(Dimension::Credentials, &narrow, &wide), ["2 to one"]);
    assert_eq!(made(Dimension::Credentials, &wide, ""), ["3 to one", "3 to two"]);
}

#[test]
fn a_moment_is_told_on_the_clock_that_decides() {
    let hours = |zone: &str| format!("[hours]\ntimezone = \"{zone}\"\nwindows = []");
    let (berlin, tokyo) = (hours("Europe/Berlin"), hours("Asia/Tokyo"));
    let zone = |dimension, more: &str, less: &str| {
        let made = Sketch::new(dimension, more, less).make(Class::Read);
        made[0].hours.as_ref().map(|hours| hours.timezone.0.name())
    };
    assert_eq!(zone(Dimension::Hours, &berlin, &tokyo), Some("Asia/Tokyo"));
    assert_eq!(zone(Dimension::Symbols, &berlin, &tokyo), Some("Europe/Berlin"));
    assert_eq!(zone(Dimension::Symbols, "", &tokyo), Some("Asia/Tokyo"));
    assert_eq!(zone(Dimension::Symbols, "", ""), None);
}
