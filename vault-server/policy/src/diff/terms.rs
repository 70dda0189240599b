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

#[cfg(test)]
mod tests {
    use super::{Earlier, terms};
    use crate::diff::tests::Sketch;
    use crate::lattice::Dimension;

    /// Each of the terms in a line: quantity at price, the reference if it is another, what is said
    /// beside them, and what was before.
    fn lines(dimension: Dimension, more: &str, less: &str) -> Vec<String> {
        let all = Sketch::new(dimension, more, less).draw(terms);
        let line = all.iter().map(|terms| {
            let mut line = format!("{} at {}", terms.quantity, terms.price);
            if terms.reference != terms.price {
                line += &format!(" of {}", terms.reference);
            }
            if let Some((asset, price)) = &terms.quote {
                let price = price.map_or_else(|| "par".to_owned(), |price| price.to_string());
                line += &format!(" {asset} {price}");
            }
            if let Some(leverage) = terms.leverage {
                line += &format!(" leverage {leverage}");
            }
            if let Some(mode) = terms.margin_mode {
                line += &format!(" {mode}");
            }
            line + &match &terms.earlier {
                Earlier::Nothing => String::new(),
                Earlier::Given(before) => format!("; {} ago {}", before.ago, before.words),
                Earlier::SameId(ago) => format!("; {ago} ago the id"),
                Earlier::SameOrder(ago) => format!("; {ago} ago the order"),
            }
        });
        line.collect()
    }

    const PLAIN: [&str; 4] = ["1 at 100", "0.01 at 100", "0.000001 at 100", "1 at 0.000001"];

    fn plain_with(beside: &str) -> Vec<String> {
        PLAIN.iter().map(|line| format!("{line}{beside}")).collect()
    }

    #[test]
    fn plain_terms_are_small_and_within_the_lower_limit() {
        assert_eq!(lines(Dimension::Credentials, "", ""), PLAIN);
        let of = |limit: &str| format!("[orders.max_quantity]\nokx = {{ BTC-USDT = \"{limit}\" }}");
        let limited =
            ["0.5 at 100", "1 at 100", "0.01 at 100", "0.000001 at 100", "0.5 at 0.000001"];
        assert_eq!(lines(Dimension::Credentials, &of("0.5"), &of("2")), limited);
        assert_eq!(lines(Dimension::Credentials, &of("2"), &of("0.5")), limited);
        // A limit of another symbol or venue is none of this one.
        let others = "[orders.max_quantity]\nokx = { A = \"3\" }\nkraken = { BTC-USDT = \"3\" }";
        assert_eq!(lines(Dimension::Credentials, others, ""), PLAIN);
    }

    #[test]
    fn orders_that_rest_were_there_before() {
        let open = |count: u32| format!("[cumulative]\nopen_orders = {count}");
        let before = "; 1m ago 3 orders that still rest";
        assert_eq!(lines(Dimension::CumulativeOpenOrders, &open(4), &open(3)), plain_with(before));
        assert_eq!(lines(Dimension::CumulativeOpenOrders, "", &open(3)), plain_with(before));
        assert_eq!(lines(Dimension::CumulativeOpenOrders, &open(4), &open(0)), PLAIN);
    }

    #[test]
    fn a_cap_that_the_other_keeps_too_is_not_used_up() {
        let orders = |caps: &str| format!("[cumulative]\norders = [{caps}]");
        let hour = "{ per = \"1h\", at_most = 9 }";
        let minute = "{ per = \"1m\", at_most = 5 }";
        let found = lines(
            Dimension::CumulativeOrders,
            &orders(hour),
            &orders(&format!("{hour}, {minute}")),
        );
        let expected =
            [plain_with("; 59s ago 5 orders"), plain_with("; 1s ago 5 orders"), plain_with("")];
        assert_eq!(found, expected.concat());
        let notional = |most: &str| {
            format!("[cumulative]\nnotional_usd = [{{ per = \"1h\", at_most = \"{most}\" }}]")
        };
        let found = lines(Dimension::CumulativeNotional, &notional("900"), &notional("500"));
        assert_eq!(found[..4], plain_with("; 3599s ago orders for 500 USD"));
        assert_eq!(found[4..8], plain_with("; 1s ago orders for 500 USD"));
        // And orders for all of either cap, where nothing may be spent before.
        for line in ["9 at 100", "1 at 900", "5 at 100", "1 at 500", "10 at 100", "1 at 501"] {
            assert!(found[12..].contains(&line.to_owned()), "{line}: {found:?}");
        }
    }

    #[test]
    fn what_may_not_come_again_comes_at_the_last_second() {
        let again = |what: &str, span: &str| format!("[duplicates]\n{what} = \"{span}\"");
        let found = lines(Dimension::DuplicatesClientOrderId, "", &again("client_order_id", "1m"));
        assert_eq!(found, plain_with("; 59s ago the id"));
        let found = lines(Dimension::DuplicatesOrder, "", &again("order", "1s"));
        assert_eq!(found, plain_with("; 1s ago the order"));
        assert!(lines(Dimension::DuplicatesOrder, "", "").is_empty());
    }

    #[test]
    fn leverage_and_margin_modes_are_those_of_the_wider() {
        let most = |most: &str| format!("[orders]\nmax_leverage = \"{most}\"");
        let leveraged = |more: &str, less: &str| lines(Dimension::OrdersMaxLeverage, more, less);
        assert_eq!(leveraged(&most("5"), &most("3")), plain_with(" leverage 5"));
        assert_eq!(leveraged("", &most("3")), plain_with(" leverage 4"));
        let modes = |modes: &str| format!("[orders]\nmargin_modes = [{modes}]");
        let found =
            lines(Dimension::OrdersMarginModes, &modes("\"cash\", \"cross\""), &modes("\"cash\""));
        assert_eq!(found, plain_with(" cross"));
    }

    #[test]
    fn sizes_are_over_one_limit_and_within_the_other() {
        let most = |most: &str| format!("[orders]\nmax_notional_usd = \"{most}\"");
        let found = lines(Dimension::OrdersMaxNotional, &most("300"), &most("100"));
        // All of the wider, the middle, and over the narrower by 1 and by as much again.
        let worth = |notional: &str, hundredth: &str, high: &str, higher: &str| {
            [
                format!("{hundredth} at 100"),
                format!("1 at {notional}"),
                format!("0.001 at {high}"),
                format!("0.000001 at {higher}"),
            ]
        };
        let expected = [
            worth("300", "3", "300000", "300000000"),
            worth("200", "2", "200000", "200000000"),
            worth("101", "1.01", "101000", "101000000"),
            worth("200", "2", "200000", "200000000"),
            worth("100", "1", "100000", "100000000"),
        ];
        assert_eq!(found, expected.concat());
        let unlimited = lines(Dimension::OrdersMaxNotional, "", &most("100"));
        assert_eq!(unlimited, expected[2..].concat());

        let of = |limit: &str| format!("[orders.max_quantity]\nokx = {{ BTC-USDT = \"{limit}\" }}");
        let at = |quantity: &str| {
            ["100", "1", "0.001", "0.000001", "0.000000001"]
                .map(|price| format!("{quantity} at {price}"))
        };
        let found = lines(Dimension::OrdersMaxQuantity, &of("7.5"), &of("5"));
        assert_eq!(found, [at("7.5"), at("6"), at("1")].concat());
    }

    #[test]
    fn prices_are_at_the_edge_of_the_band_and_never_nothing() {
        let band = |band: &str| format!("[orders]\nprice_band = \"{band}\"");
        let about = |more: &str, less: &str| lines(Dimension::OrdersPriceBand, more, less);
        let found = about(&band("0.05"), &band("0.01"));
        assert_eq!(found[..2], ["1 at 105 of 100", "1 at 95 of 100"]);
        assert_eq!(found.len(), 2 * PLAIN.len());
        let found = about("", &band("0.01"));
        assert_eq!(found[..2], ["1 at 102 of 100", "1 at 98 of 100"]);
        // At a band of all of the price the lower edge is no price.
        let found = about(&band("1"), &band("0.01"));
        assert_eq!(found[..2], ["1 at 200 of 100", "0.01 at 200 of 100"]);
        assert_eq!(found.len(), PLAIN.len());
    }

    #[test]
    fn slippage_shows_in_orders_just_under_a_limit() {
        let priced = |slippage: &str| {
            format!("[orders]\nmax_notional_usd = \"1000\"\n[pricing]\nslippage = \"{slippage}\"")
        };
        let found = lines(Dimension::PricingSlippage, &priced("0.02"), &priced("0.1"));
        assert_eq!(found, ["9.8 at 100", "9.79 at 100"]);
        // What comes to the limit itself is not over it.
        let found = lines(Dimension::PricingSlippage, &priced("0.2484"), &priced("0.25"));
        assert_eq!(found, ["8.01 at 100"]);
        let found = lines(Dimension::PricingSlippage, &priced("0.25"), &priced("0.3"));
        assert_eq!(found, ["8 at 100", "7.99 at 100"]);
        // Dearer prices alone let nothing more pass under a limit.
        assert!(lines(Dimension::PricingSlippage, &priced("0.1"), &priced("0.02")).is_empty());
    }

    #[test]
    fn assets_at_par_are_dearer_or_cheaper_by_the_day() {
        let par = |assets: &str| {
            format!("[orders]\nmax_notional_usd = \"1000\"\n[pricing]\nusd_par = [{assets}]")
        };
        let cheaper = lines(Dimension::PricingUsdPar, &par("\"USDT\""), &par(""));
        assert!(cheaper.contains(&"10 at 100 USDT 2".to_owned()), "{cheaper:?}");
        assert!(cheaper.contains(&"1 at 2000 USDT 1.01".to_owned()), "{cheaper:?}");
        assert_eq!(cheaper[cheaper.len() - 2..], ["1 at 100 USDT par", "1 at 1 USDT par"]);
        assert!(cheaper.iter().all(|line| line.contains(" USDT ")), "{cheaper:?}");
        let dearer = lines(Dimension::PricingUsdPar, &par(""), &par("\"USDT\""));
        assert!(dearer.contains(&"20 at 100 USDT 0.5".to_owned()), "{dearer:?}");
        assert!(dearer.contains(&"1 at 1000 USDT 0.99".to_owned()), "{dearer:?}");
        assert!(lines(Dimension::PricingUsdPar, &par("\"USDT\""), &par("\"USDT\"")).is_empty());
    }
}
