//! Sizes, prices and what was there before: out of the limits that two scopes differ in.

use vault_model::{Asset, MarginMode, Money, Name, Side};

use super::Before;
use super::choice::Contrast;
use super::draft::{Draft, side};
use crate::document::{ScopeDocument, Span};
use crate::history::Spend;
use crate::lattice::Dimension;
use crate::lattice::cap::Cap;

/// What an order of an example says, and what was before it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub reference: Money,
    pub quantity: Money,
    pub price: Money,
    pub side: Side,
    pub leverage: Option<Money>,
    pub margin_mode: Option<MarginMode>,
    /// In what it is priced, if not in USD, and the reference price of that.
    pub quote: Option<(Asset, Option<Money>)>,
    pub earlier: Earlier,
}

/// What was given before.
#[derive(Clone, Debug)]
pub(super) enum Earlier {
    Nothing,
    Given(Before),
    /// The same client order id.
    SameId(Span),
    /// The same order.
    SameOrder(Span),
}

/// Terms that may show the difference, the plainest first.
pub(super) fn terms(draft: &Draft<'_>) -> Vec<Terms> {
    let contrast = &draft.contrast;
    let (more, less) = (contrast.more, contrast.less);
    let plain = plain(draft);
    let with = |change: &dyn Fn(&Terms) -> Terms| plain.iter().map(change).collect::<Vec<_>>();
    let sized = |sizes: Vec<(Money, Money)>| -> Vec<Terms> {
        let terms = |(reference, quantity)| of_size(contrast.dimension, reference, quantity);
        sizes.into_iter().map(terms).collect()
    };
    match contrast.dimension {
        Dimension::CumulativeNotional => {
            let (own, others) = (&more.cumulative.notional_usd, &less.cumulative.notional_usd);
            let mut all = after(&plain, own, others, |cap| {
                let spend = Spend { notional_usd: Some(cap.at_most), ..Spend::default() };
                (spend, format!("orders for {} USD", cap.at_most))
            });
            let limits = own.iter().chain(others).map(|cap| cap.at_most);
            all.extend(sized(
                limits.flat_map(|limit| sizes_of(Some(limit), Some(limit))).collect(),
            ));
            all
        }
        Dimension::CumulativeOpenOrders => {
            let open = less.cumulative.open_orders.unwrap_or_default();
            let mut all = plain.clone();
            if let (1.., Some(ago)) = (open, Span::seconds(60)) {
                let spend = Spend { resting: open, ..Spend::default() };
                let before = Before { ago, spend, words: format!("{open} orders that still rest") };
                let earlier = Earlier::Given(before);
                all = with(&|terms| Terms { earlier: earlier.clone(), ..terms.clone() });
            }
            all
        }
        Dimension::CumulativeOrders => {
            after(&plain, &more.cumulative.orders, &less.cumulative.orders, |cap| {
                let spend = Spend { orders: cap.at_most, ..Spend::default() };
                (spend, format!("{} orders", cap.at_most))
            })
        }
        Dimension::DuplicatesClientOrderId => again(less.duplicates.client_order_id)
            .map(|ago| with(&|terms| Terms { earlier: Earlier::SameId(ago), ..terms.clone() }))
            .unwrap_or_default(),
        Dimension::DuplicatesOrder => again(less.duplicates.order)
            .map(|ago| with(&|terms| Terms { earlier: Earlier::SameOrder(ago), ..terms.clone() }))
            .unwrap_or_default(),
        Dimension::OrdersMarginModes => {
            let modes = contrast.margin_modes();
            let of = |mode: &MarginMode| {
                with(&|terms| Terms { margin_mode: Some(*mode), ..terms.clone() })
            };
            modes.iter().flat_map(of).collect()
        }
        Dimension::OrdersMaxLeverage => {
            let (own, other) = (more.orders.max_leverage, less.orders.max_leverage);
            let leverages = own.or_else(|| other.and_then(|other| other.checked_add(Money::ONE)));
            let of = |leverage: Money| {
                with(&|terms| Terms { leverage: Some(leverage), ..terms.clone() })
            };
            leverages.map(of).unwrap_or_default()
        }
        Dimension::OrdersMaxNotional => {
            sized(sizes_of(more.orders.max_notional_usd, less.orders.max_notional_usd))
        }
        Dimension::OrdersMaxQuantity => quantities(draft),
        Dimension::OrdersPriceBand => banded(contrast, &plain),
        Dimension::PricingSlippage => {
            let limits = notional_limits(contrast).into_iter();
            sized(limits.flat_map(|limit| just_under(limit, contrast)).collect())
        }
        Dimension::PricingUsdPar => converted(contrast, sized),
        _ => plain,
    }
}

/// Small orders near the reference price.
fn plain(draft: &Draft<'_>) -> Vec<Terms> {
    let dimension = draft.contrast.dimension;
    let limits = draft.contrast.both().into_iter().filter_map(|scope| limit(draft, scope));
    let least = limits.min();
    let sizes = least.into_iter().chain(decimals(&["1", "0.01", "0.000001"]));
    let hundred = Money::whole(100);
    let mut all: Vec<Terms> = sizes.map(|quantity| of_size(dimension, hundred, quantity)).collect();
    // What is worth next to nothing is under every cap.
    let trifle = decimals(&["0.000001"]).next();
    all.extend(trifle.map(|price| of_size(dimension, price, least.unwrap_or(Money::ONE))));
    all
}

fn of_size(dimension: Dimension, reference: Money, quantity: Money) -> Terms {
    Terms {
        reference,
        quantity,
        price: reference,
        side: side(dimension),
        leverage: None,
        margin_mode: None,
        quote: None,
        earlier: Earlier::Nothing,
    }
}

fn decimals(texts: &'static [&'static str]) -> impl Iterator<Item = Money> {
    texts.iter().filter_map(|text| text.parse().ok())
}

/// The largest quantity of the symbol.
fn limit(draft: &Draft<'_>, scope: &ScopeDocument) -> Option<Money> {
    let venue: Name = draft.venue.name.parse().ok()?;
    let symbols = scope.orders.max_quantity.as_ref()?.get(&venue)?;
    let symbol = draft.touch.symbol()?.parse().ok()?;
    symbols.get(&symbol).copied()
}

/// Reference prices and quantities that come to more than the lower of two limits, and, if they can,
/// to no more than the other.
fn sizes_of(own: Option<Money>, other: Option<Money>) -> Vec<(Money, Money)> {
    let half = || decimals(&["0.5"]).next();
    let middle = || own?.checked_add(other?)?.checked_mul(half()?);
    let above = || other?.checked_add(Money::ONE);
    let twice = || other?.checked_mul(Money::whole(2));
    let targets = [own, middle(), above(), twice(), other];
    let mut sizes = Vec::new();
    for target in targets.into_iter().flatten() {
        let of_hundred = decimals(&["0.01"]).next().and_then(|part| target.checked_mul(part));
        sizes.extend(of_hundred.map(|quantity| (Money::whole(100), quantity)));
        sizes.push((target, Money::ONE));
        // A high price for little, where quantities are limited.
        let high = target.checked_mul(Money::whole(1_000));
        sizes.extend(high.zip(decimals(&["0.001"]).next()));
        let higher = target.checked_mul(Money::whole(1_000_000));
        sizes.extend(higher.zip(decimals(&["0.000001"]).next()));
    }
    sizes
}

/// What follows on the use of a cap of the narrower scope that the wider one does not have.
fn after<C: Cap>(
    plain: &[Terms],
    own: &[C],
    others: &[C],
    used: impl Fn(&C) -> (Spend, String),
) -> Vec<Terms> {
    let mut all = Vec::new();
    for cap in others.iter().filter(|cap| !own.iter().any(|own| own.implies(**cap))) {
        let (spend, words) = used(cap);
        // At the far end of its window, where shorter ones do not see it, and then at once.
        let ends = [cap.per().as_seconds().saturating_sub(1).max(1), 1];
        for ago in ends.into_iter().filter_map(Span::seconds) {
            let before = Before { ago, spend: spend.clone(), words: words.clone() };
            let earlier = Earlier::Given(before);
            let then = plain.iter().cloned();
            all.extend(then.map(|terms| Terms { earlier: earlier.clone(), ..terms }));
        }
    }
    // Where nothing may be used, it takes nothing before.
    all.extend(plain.iter().cloned());
    all
}

/// The last second at which something may not come again.
fn again(span: Option<Span>) -> Option<Span> {
    span.and_then(|span| Span::seconds(span.as_seconds().saturating_sub(1).max(1)))
}

fn quantities(draft: &Draft<'_>) -> Vec<Terms> {
    let (own, other) = (limit(draft, draft.contrast.more), limit(draft, draft.contrast.less));
    let above = other.and_then(|other| other.checked_add(Money::ONE));
    let sizes = own.into_iter().chain(above).chain([Money::ONE]);
    let dimension = draft.contrast.dimension;
    sizes
        .flat_map(|quantity| {
            let references = decimals(&["100", "1", "0.001", "0.000001", "0.000000001"]);
            references.map(move |reference| of_size(dimension, reference, quantity))
        })
        .collect()
}

/// Limits as far from the reference as the wider band lets them be.
fn banded(contrast: &Contrast<'_>, plain: &[Terms]) -> Vec<Terms> {
    let (own, other) = (contrast.more.orders.price_band, contrast.less.orders.price_band);
    let away = |reference: Money, band: Money| reference.checked_mul(band);
    let mut all = Vec::new();
    for terms in plain {
        let reference = terms.reference;
        let beyond = || away(reference, other?)?.checked_add(Money::ONE);
        let distance = own.and_then(|own| away(reference, own)).or_else(beyond);
        let prices = distance.into_iter().flat_map(|distance| {
            [reference.checked_add(distance), reference.checked_sub(distance)]
        });
        let prices = prices.flatten().filter(|price| *price > Money::ZERO);
        all.extend(prices.map(|price| Terms { price, ..terms.clone() }));
    }
    all
}

/// What the two scopes let requests cost, in one way or the other.
fn notional_limits(contrast: &Contrast<'_>) -> Vec<Money> {
    let mut limits: Vec<Money> = contrast
        .both()
        .iter()
        .flat_map(|scope| {
            let caps = scope.cumulative.notional_usd.iter().map(|cap| cap.at_most);
            caps.chain(scope.orders.max_notional_usd)
        })
        .collect();
    limits.sort_unstable();
    limits.dedup();
    limits
}

/// Orders that are under a limit with the slippage of the one, and over it with that of the other.
fn just_under(limit: Money, contrast: &Contrast<'_>) -> Vec<(Money, Money)> {
    let beyond =
        |scope: &ScopeDocument| Money::ONE.checked_add(scope.pricing.slippage_or_default());
    let (Some(own), Some(other)) = (beyond(contrast.more), beyond(contrast.less)) else {
        return Vec::new();
    };
    let hundred = Money::whole(100);
    // Tenths of a percent of the limit, at a price of 100.
    let steps = (400..=1_000u64).rev().filter_map(|step| {
        let part = decimals(&["0.00001"]).next()?.checked_mul(Money::whole(step))?;
        let quantity = limit.checked_mul(part)?;
        let notional = quantity.checked_mul(hundred)?;
        let fits = notional.checked_mul(own)? <= limit && notional.checked_mul(other)? > limit;
        fits.then_some((hundred, quantity))
    });
    steps.take(2).collect()
}

/// Orders in an asset that is at par in one scope alone: at a price that makes it dearer in the
/// narrower one, or that is not known at all.
fn converted(
    contrast: &Contrast<'_>,
    sized: impl Fn(Vec<(Money, Money)>) -> Vec<Terms>,
) -> Vec<Terms> {
    let (own, other) = (&contrast.more.pricing.usd_par, &contrast.less.pricing.usd_par);
    let limits = notional_limits(contrast);
    let doubled = limits.iter().filter_map(|limit| limit.checked_mul(Money::whole(2)));
    let targets: Vec<Money> = limits.iter().copied().chain(doubled).collect();
    let mut all = Vec::new();
    for (asset, prices) in own
        .difference(other)
        .map(|asset| (asset, ["2", "1.01"]))
        .chain(other.difference(own).map(|asset| (asset, ["0.5", "0.99"])))
    {
        for price in prices.iter().filter_map(|price| price.parse::<Money>().ok()) {
            let sizes = targets.iter().flat_map(|target| sizes_of(Some(*target), None)).collect();
            let quote = Some((asset.clone(), Some(price)));
            let terms = sized(sizes).into_iter();
            all.extend(terms.map(|terms| Terms { quote: quote.clone(), ..terms }));
        }
        // At par no price is needed.
        let small = sized(vec![(Money::whole(100), Money::ONE), (Money::ONE, Money::ONE)]);
        let quote = Some((asset.clone(), None));
        all.extend(small.into_iter().map(|terms| Terms { quote: quote.clone(), ..terms }));
    }
    all
}
