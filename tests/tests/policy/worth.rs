//! The reference model's idea of what an order is worth at worst.

use vault_model::{Asset, Instrument, Leg, OrderType, Pair, Product, Side, SizeUnit};

use crate::case::Case;
use crate::fraction::{Fraction, fraction, is_positive, of, sayable, whole};

/// What is known of a leg's instrument.
pub struct Traded<'c> {
    pub instrument: &'c Instrument,
    case: &'c Case,
}

/// The approved instrument of a leg; what is traded on margin is the spot instrument.
pub fn traded<'c>(case: &'c Case, leg: &Leg) -> Option<Traded<'c>> {
    let (symbol, product) = (leg.symbol.as_ref()?, leg.product?);
    let product = if product == Product::Margin { Product::Spot } else { product };
    let mut known = case.instruments.iter();
    let instrument = known.find(|instrument| {
        instrument.venue.as_str() == case.reading.venue
            && instrument.symbol == *symbol
            && instrument.product == product
    })?;
    Some(Traded { instrument, case })
}

impl Traded<'_> {
    /// R: the reference price.
    pub fn reference(&self) -> Option<Fraction> {
        price(self.case, &self.instrument.reference)
    }

    pub fn contract_size(&self) -> Fraction {
        of(self.instrument.contract_size)
    }

    /// So much of the quote asset in USD; an option by what it is on is worth so much of the asset
    /// that this is priced in.
    fn in_usd(&self, amount: Fraction, by_reference: bool) -> Option<Fraction> {
        let own = &self.instrument.quote;
        let quote = if by_reference { &self.instrument.reference.quote } else { own };
        sayable(amount * self.usd(quote)?)
    }

    /// What one of an asset is in USD.
    fn usd(&self, quote: &Asset) -> Option<Fraction> {
        if quote.as_str() == "USD" || self.case.document.pricing.usd_par.contains(quote) {
            return Some(whole(1));
        }
        price(self.case, &Pair::new(quote.clone(), Asset::usd()))
    }
}

fn price(case: &Case, pair: &Pair) -> Option<Fraction> {
    case.prices.iter().find(|(known, _)| known == pair).map(|(_, price)| of(*price))
}

/// 1 + slippage.
fn beyond(case: &Case) -> Fraction {
    let slippage = case.document.pricing.slippage.map_or_else(|| fraction("0.05"), of);
    whole(1) + slippage
}

/// The notional of an order in USD at the worst price that it could fill at; `None` if nobody can
/// say.
pub fn notional(case: &Case, leg: &Leg) -> Option<Fraction> {
    let stated = |text: &Option<String>| text.as_deref().map(fraction);
    let (quantity, quote) = (stated(&leg.quantity), stated(&leg.quote_quantity));
    let (limit, trigger) = (stated(&leg.price), stated(&leg.trigger_price));
    // A number that is no amount or price at all makes the order one that nobody understands.
    if [&quantity, &quote, &limit, &trigger].into_iter().flatten().any(|it| !is_positive(it)) {
        return None;
    }
    if leg.product == Some(Product::Spread)
        || matches!(leg.order_type, Some(OrderType::Other | OrderType::TrailingStop))
    {
        return None;
    }
    let traded = traded(case, leg)?;

    let by_quantity = match quantity {
        None => None,
        Some(quantity) => {
            let amount = sayable(quantity * traded.contract_size())?;
            let is_option = traded.instrument.product == Product::Option;
            let amount = if traded.instrument.size_unit == SizeUnit::Quote {
                amount
            } else if is_option {
                sayable(amount * sayable(traded.reference()? * beyond(case))?)?
            } else {
                sayable(amount * worst_price(case, &traded, leg, limit.clone(), trigger.clone())?)?
            };
            Some(traded.in_usd(amount, is_option)?)
        }
    };
    let by_quote = match quote {
        None => None,
        // What is paid for an option says nothing of what it is on.
        Some(_) if traded.instrument.product == Product::Option => None,
        Some(quote) => {
            // At a limit it is a size in the base asset, and a better fill is worth more.
            let names_limit = leg.order_type.is_some_and(|it| it.as_str().contains("LIMIT"));
            if names_limit || leg.amends || limit.is_some() {
                let own = limit.clone()?;
                if own < worst_price(case, &traded, leg, limit, trigger)? {
                    return None;
                }
            }
            Some(traded.in_usd(quote, false)?)
        }
    };
    by_quantity.into_iter().chain(by_quote).max()
}

fn worst_price(
    case: &Case,
    traded: &Traded<'_>,
    leg: &Leg,
    limit: Option<Fraction>,
    trigger: Option<Fraction>,
) -> Option<Fraction> {
    use OrderType::{
        Limit, LimitMaker, Market, Other, Stop, StopLimit, TakeProfit, TakeProfitLimit,
        TrailingStop,
    };

    if leg.amends && limit.is_none() {
        // It keeps a price that nobody here knows.
        return None;
    }
    let reference = || sayable(traded.reference()? * beyond(case));
    // Lists of prices that it could fill at; the worst is the largest.
    let candidates: Vec<Fraction> = match (leg.order_type, leg.side) {
        (Some(Other | TrailingStop), _) => return None,
        (Some(Limit | LimitMaker | StopLimit | TakeProfitLimit), Some(Side::Buy)) => vec![limit?],
        (Some(Limit | LimitMaker), Some(Side::Sell)) => vec![limit?, reference()?],
        (Some(StopLimit | TakeProfitLimit), Some(Side::Sell)) => {
            vec![limit?, trigger?, reference()?]
        }
        (Some(Market), Some(_)) => vec![reference()?],
        (Some(Stop | TakeProfit), Some(_)) => {
            let own = [sayable(trigger? * beyond(case))?, reference()?];
            own.into_iter().chain(limit).collect()
        }
        (None, _) | (_, None) => {
            if let Some(Limit | LimitMaker | StopLimit | TakeProfitLimit) = leg.order_type {
                limit.as_ref()?;
            }
            if let Some(Stop | TakeProfit) = leg.order_type {
                trigger.as_ref()?;
            }
            let mut all = vec![reference()?];
            all.extend(limit);
            if let Some(trigger) = trigger {
                all.push(sayable(trigger * beyond(case))?);
            }
            all
        }
    };
    candidates.into_iter().max()
}
