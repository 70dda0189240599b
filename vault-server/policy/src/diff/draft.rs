//! Fills in what a request says, so that it shows one difference.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use vault_model::{
    Asset, Class, Instrument, Intent, Leg, Member, Mode, Money, Name, OrderType, Pair, Product,
    Side, SizeUnit, TimeInForce, Timestamp, Transfer,
};

use super::choice::Contrast;
use super::search::Touch;
use super::terms::{Earlier, Terms, terms};
use super::{Before, Example, VenueFacts};
use crate::document::{Country, Span};
use crate::history::{Spend, Withdrawn};
use crate::lattice::cap::amounts;
use crate::lattice::{Dimension, addresses_of};
use crate::{id_key, order_key};

type Found = ControlFlow<Option<Box<Example>>>;

/// What a request has besides its orders.
pub(super) struct Draft<'a> {
    pub contrast: Contrast<'a>,
    pub credential: &'a Name,
    pub mode: Mode,
    pub address: IpAddr,
    pub country: Option<Country>,
    pub at: Timestamp,
    pub venue: VenueFacts,
    pub touch: Touch,
}

/// Makes the requests of a class.
pub(super) fn class(
    draft: &Draft<'_>,
    class: Class,
    ask: &mut dyn FnMut(Example) -> Found,
) -> Found {
    match class {
        Class::Account => settings(draft, ask),
        Class::Trade => orders(draft, ask),
        Class::Withdraw => withdrawals(draft, ask),
        class => {
            let operation = match class {
                Class::Public | Class::Read => "GET /example",
                Class::Cancel => "POST /example/cancel",
                _ => "POST /example",
            };
            ask(draft.example(operation, class, Vec::new()))
        }
    }
}

fn settings(draft: &Draft<'_>, ask: &mut dyn FnMut(Example) -> Found) -> Found {
    let setting = |leg: Leg| draft.example("POST /example/setting", Class::Account, vec![leg]);
    let symbol = draft.touch.symbol().map(str::to_owned);
    let leg = Leg { product: draft.touch.product(), symbol, ..Leg::default() };
    match draft.contrast.dimension {
        Dimension::OrdersMarginModes => {
            for mode in draft.contrast.margin_modes() {
                ask(setting(Leg { margin_mode: Some(mode), ..leg.clone() }))?;
            }
        }
        Dimension::OrdersMaxLeverage => {
            for terms in terms(draft) {
                let leverage = terms.leverage.map(|leverage| leverage.to_string());
                ask(setting(Leg { leverage, ..leg.clone() }))?;
            }
        }
        _ => {
            let plain = if leg.symbol.is_some() { vec![leg] } else { Vec::new() };
            ask(draft.example("POST /example/setting", Class::Account, plain))?;
        }
    }
    ControlFlow::Continue(())
}

fn orders(draft: &Draft<'_>, ask: &mut dyn FnMut(Example) -> Found) -> Found {
    let contrast = &draft.contrast;
    let about = |dimension: Dimension| contrast.dimension == dimension;
    let wanted = |dimension: Dimension| {
        !about(dimension) && contrast.both().iter().any(|scope| dimension.restricts(scope))
    };
    let (reduce, post) = (wanted(Dimension::OrdersReduceOnly), wanted(Dimension::OrdersPostOnly));
    let is_derivative =
        matches!(draft.touch.product(), Some(Product::Inverse | Product::Linear | Product::Option));
    if reduce && !is_derivative {
        return ControlFlow::Continue(());
    }
    let is_kept_once = draft.mode == Mode::Sign && draft.venue.takes_signatures_once;
    let terms = terms(draft);
    for order_type in contrast.types() {
        let has_limit = matches!(
            order_type,
            OrderType::Limit
                | OrderType::LimitMaker
                | OrderType::Other
                | OrderType::StopLimit
                | OrderType::TakeProfitLimit
        );
        let times: Vec<Option<TimeInForce>> = match has_limit {
            true if about(Dimension::OrdersTimeInForce) => {
                contrast.times_in_force().into_iter().map(Some).collect()
            }
            true => contrast.times_in_force().into_iter().take(1).map(Some).collect(),
            false => vec![None],
        };
        // A market order is never post-only; and one that is by its type shows no difference.
        let is_maker = order_type == OrderType::LimitMaker;
        if (post && !has_limit) || (about(Dimension::OrdersPostOnly) && is_maker) {
            continue;
        }
        for time in times {
            for terms in &terms {
                let leg = Leg {
                    product: draft.touch.product(),
                    symbol: draft.touch.symbol().map(str::to_owned),
                    side: Some(terms.side),
                    order_type: Some(order_type),
                    tif: time,
                    price: has_limit.then(|| terms.price.to_string()),
                    trigger_price: is_triggered(order_type).then(|| terms.price.to_string()),
                    reduce_only: reduce.then_some(true),
                    post_only: (post || is_maker).then_some(true),
                    leverage: terms.leverage.map(|leverage| leverage.to_string()),
                    margin_mode: terms.margin_mode,
                    // Where caps hold over signatures, they hold for orders that end soon.
                    deadline: is_kept_once.then(|| draft.at.plus(SOON)),
                    ..Leg::default()
                };
                if let Some(example) = order(draft, leg, terms) {
                    ask(example)?;
                }
            }
        }
    }
    ControlFlow::Continue(())
}

const SOON: Duration = Duration::from_secs(30);

fn is_triggered(order_type: OrderType) -> bool {
    matches!(
        order_type,
        OrderType::Stop
            | OrderType::StopLimit
            | OrderType::TakeProfit
            | OrderType::TakeProfitLimit
            | OrderType::TrailingStop
    )
}

/// `None` where the numbers do not come out exactly.
fn order(draft: &Draft<'_>, leg: Leg, terms: &Terms) -> Option<Example> {
    const OPERATION: &str = "POST /example/order";
    let is_inverse = leg.product == Some(Product::Inverse);
    // Inverse contracts are counted in the quote asset.
    let quantity =
        if is_inverse { terms.quantity.checked_mul(terms.reference)? } else { terms.quantity };
    let leg = Leg { quantity: Some(quantity.to_string()), ..leg };
    let instrument = match (&leg.symbol, leg.product) {
        (Some(symbol), Some(product)) => {
            Some(instrument(draft.venue.name, symbol, product, terms.quote.as_ref())?)
        }
        _ => None,
    };
    let mut prices = Vec::new();
    if let Some(instrument) = &instrument {
        prices.push((instrument.reference.clone(), terms.reference));
    }
    if let Some((asset, Some(price))) = &terms.quote {
        prices.push((Pair::new(asset.clone(), Asset::usd()), *price));
    }
    let mut example = draft.example(OPERATION, Class::Trade, vec![leg]);
    example.instrument = instrument;
    example.prices = prices;
    example.before = match &terms.earlier {
        Earlier::Nothing => None,
        Earlier::Given(before) => Some(before.clone()),
        Earlier::SameId(ago) => {
            let id = "id-1".to_owned();
            let words = format!("an order with the client order id {id}, which comes again");
            let keys = vec![id_key(draft.credential, &id)];
            example.member.client_order_id = Some(id.clone());
            example.member.client_order_ids = vec![id];
            Some(Before { ago: *ago, spend: one_order(Vec::new(), keys), words })
        }
        Earlier::SameOrder(ago) => {
            let orders = example.member.legs.iter();
            let keys = orders.map(|leg| order_key(draft.credential, leg)).collect();
            let words = "the same order".to_owned();
            Some(Before { ago: *ago, spend: one_order(keys, Vec::new()), words })
        }
    };
    Some(example)
}

/// An order that costs nothing under any cap but by being there.
fn one_order(order_keys: Vec<u64>, id_keys: Vec<u64>) -> Spend {
    Spend { notional_usd: Some(Money::ZERO), order_keys, id_keys, ..Spend::default() }
}

/// What an admin would have approved for such a symbol.
fn instrument(
    venue: &str,
    symbol: &str,
    product: Product,
    quote: Option<&(Asset, Option<Money>)>,
) -> Option<Instrument> {
    let quote = quote.map_or_else(Asset::usd, |(asset, _)| asset.clone());
    let head = symbol.split(['-', '/', '_', '.']).next().unwrap_or_default();
    let base: Asset = head.parse().or_else(|_| "BASE".parse()).ok()?;
    let base = if base == quote { "BASE".parse().ok()? } else { base };
    Some(Instrument {
        reference: Pair::new(base.clone(), quote.clone()),
        base,
        contract_size: Money::ONE,
        price_tick: None,
        product: if product == Product::Margin { Product::Spot } else { product },
        quantity_step: None,
        quote,
        size_unit: if product == Product::Inverse { SizeUnit::Quote } else { SizeUnit::Base },
        symbol: symbol.to_owned(),
        venue: venue.parse().ok()?,
    })
}

fn withdrawals(draft: &Draft<'_>, ask: &mut dyn FnMut(Example) -> Found) -> Found {
    let contrast = &draft.contrast;
    let (more, less) = (contrast.more, contrast.less);
    let (limits, other_limits) =
        (amounts(more.withdrawal.as_ref()), amounts(less.withdrawal.as_ref()));
    let about_addresses = contrast.dimension == Dimension::WithdrawalAddresses;
    for to in addresses_of(more).filter(|to| to.venue.as_str() == draft.venue.name) {
        // Where the other has no table, all of this one is new.
        let is_in_both = addresses_of(less).any(|other| other == to)
            || (less.withdrawal.is_none() && !about_addresses);
        let Some(limit) = limits.get(&(&to.venue, to.asset.as_str())) else { continue };
        let other_limit = other_limits.get(&(&to.venue, to.asset.as_str()));
        if is_in_both == about_addresses {
            continue;
        }
        let amount = match (contrast.dimension, other_limit) {
            (Dimension::WithdrawalPerDay, _) | (_, None) => *limit,
            (_, Some(other)) => *limit.min(other),
        };
        let withdrawal = |amount: Money, before: Option<Before>| {
            let mut example =
                draft.example("POST /example/withdrawal", Class::Withdraw, Vec::new());
            example.member.transfers = vec![Transfer {
                asset: Some(to.asset.clone()),
                amount: Some(amount.to_string()),
                address: Some(to.address.clone()),
            }];
            example.before = before;
            example
        };
        ask(withdrawal(amount, None))?;
        // And after the other limit was used up, what is left of this one.
        let used = other_limit.filter(|_| contrast.dimension == Dimension::WithdrawalPerDay);
        let left = used.and_then(|used| Some((*used, limit.checked_sub(*used)?)));
        if let (Some((used, left)), Some(ago)) = (left, Span::seconds(3_600)) {
            let withdrawn =
                Withdrawn { venue: to.venue.clone(), asset: to.asset.clone(), amount: used };
            let words = format!("{used} {} withdrawn", to.asset);
            let spend = Spend { withdrawn: vec![withdrawn], ..Spend::default() };
            ask(withdrawal(left, Some(Before { ago, spend, words })))?;
        }
    }
    ControlFlow::Continue(())
}

impl Draft<'_> {
    /// A request with these orders, and without anything before it.
    pub(super) fn example(&self, operation: &str, class: Class, legs: Vec<Leg>) -> Example {
        // Of two clocks the moment is told on the one that decides.
        let hours = match self.contrast.dimension {
            Dimension::Hours => self.contrast.less.hours.as_ref(),
            _ => self.contrast.more.hours.as_ref().or(self.contrast.less.hours.as_ref()),
        };
        Example {
            credential: self.credential.clone(),
            mode: self.mode,
            address: self.address,
            country: self.country,
            at: self.at,
            venue: self.venue.name,
            takes_signatures_once: self.venue.takes_signatures_once,
            member: Member {
                operation: operation.into(),
                class,
                schema_sourced: true,
                intent: Intent {
                    products: self.touch.products.clone(),
                    symbols: self.touch.symbols.clone(),
                    legs,
                    client_order_id: None,
                    client_order_ids: Vec::new(),
                    transfers: Vec::new(),
                }
                .into(),
            },
            instrument: None,
            prices: Vec::new(),
            before: None,
            hours: hours.cloned(),
        }
    }
}

/// Which way orders of examples go: for slippage the way that it matters.
pub(super) fn side(dimension: Dimension) -> Side {
    if dimension == Dimension::PricingSlippage { Side::Sell } else { Side::Buy }
}
