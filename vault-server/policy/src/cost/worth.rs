//! The worst price that an order could fill at, and what it is worth there.

use std::collections::BTreeMap;

use vault_model::{
    Asset, Instrument, Leg, Member, Money, OrderType, Pair, Product, Side, SizeUnit, TimeInForce,
};

use crate::denial::{Denial, Outside};
use crate::judge::Question;
use crate::market::Market;
use crate::scope::Pricing;

/// Why an order has no worth that could be held against a cap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unpriced {
    /// No admin approved the instrument.
    Instrument,
    /// There is no fresh price of this pair.
    Price(Pair),
    /// The order does not say enough, or the numbers do not fit.
    Unknown,
}

impl Unpriced {
    /// The denial of a rule for which `unknown` says that the order does not say enough.
    pub(crate) fn denial(self, outside: Outside, unknown: fn(Outside) -> Denial) -> Denial {
        match self {
            Self::Instrument => Denial::InstrumentUnknown(outside),
            Self::Price(pair) => Denial::PriceStale(outside, pair),
            Self::Unknown => unknown(outside),
        }
    }
}

/// What the orders of one operation are worth.
#[derive(Clone, Debug)]
pub(crate) struct Worth<'q> {
    pub orders: u64,
    pub resting: u64,
    /// In USD, all orders together.
    pub notional: Result<Money, Unpriced>,
    /// What the market knows of each order, in their order.
    pub looks: Vec<Look<'q>>,
}

impl<'q> Worth<'q> {
    /// Of an operation of class `trade`.
    pub(crate) fn of(question: &Question<'q>, member: &Member) -> Self {
        let pricer = Pricer::of(question);
        let mut notional = if member.legs.is_empty() {
            // Nobody knows what it orders.
            Err(Unpriced::Unknown)
        } else {
            Ok(Money::ZERO)
        };
        let looks: Vec<_> = member.legs.iter().map(|leg| pricer.look(leg)).collect();
        for (leg, look) in member.legs.iter().zip(&looks) {
            notional = notional.and_then(|sum| exact(sum.checked_add(pricer.notional(leg, look)?)));
        }
        let resting = member.legs.iter().filter(|leg| may_rest(leg)).count();
        Self { orders: count(member.legs.len()), resting: count(resting), notional, looks }
    }

    /// Of an operation that orders nothing.
    pub(crate) fn nothing() -> Self {
        Self { orders: 0, resting: 0, notional: Ok(Money::ZERO), looks: Vec::new() }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Whether an order may be at the venue after it was taken, where none was before.
fn may_rest(leg: &Leg) -> bool {
    // What waits for a trigger rests until then, whatever becomes of it after.
    let at_once = leg.trigger_price.is_none()
        && match leg.order_type {
            Some(OrderType::Market) => true,
            Some(OrderType::Limit | OrderType::LimitMaker) => {
                matches!(leg.tif, Some(TimeInForce::Fok | TimeInForce::Ioc))
            }
            _ => false,
        };
    !leg.amends && !at_once
}

/// A number that is stated, if it is above 0; `None` if none is stated.
pub(crate) fn positive(text: Option<&str>) -> Result<Option<Money>, Unpriced> {
    let Some(text) = text else {
        return Ok(None);
    };
    match text.parse::<Money>() {
        Ok(number) if !number.is_negative() && !number.is_zero() => Ok(Some(number)),
        _ => Err(Unpriced::Unknown),
    }
}

/// What the market knows of an order.
#[derive(Clone, Debug)]
pub(crate) struct Look<'q> {
    instrument: Result<&'q Instrument, Unpriced>,
    reference: Option<Money>,
}

impl<'q> Look<'q> {
    /// The instrument, as an admin approved it.
    pub(crate) fn instrument(&self) -> Result<&'q Instrument, Unpriced> {
        self.instrument.clone()
    }

    /// The reference price of the instrument.
    pub(crate) fn reference(&self) -> Result<Money, Unpriced> {
        let instrument = self.instrument()?;
        self.reference.ok_or_else(|| Unpriced::Price(instrument.reference.clone()))
    }

    /// A quantity of the venue's, in the unit of the contract's size.
    pub(crate) fn amount(&self, quantity: Money) -> Result<Money, Unpriced> {
        let contract_size = self.instrument()?.contract_size;
        if contract_size == Money::ONE {
            return Ok(quantity);
        }
        exact(quantity.checked_mul(contract_size))
    }
}

/// Prices orders at one venue by the rules of one scope.
#[derive(Clone, Copy)]
pub(crate) struct Pricer<'q> {
    venue: &'q str,
    market: &'q Market,
    pricing: &'q Pricing,
}

impl<'q> Pricer<'q> {
    pub(crate) fn of(question: &Question<'q>) -> Self {
        Self {
            venue: question.reading.venue,
            market: question.market,
            pricing: &question.scope.pricing,
        }
    }

    /// Looks an order up in the market.
    fn look(&self, leg: &Leg) -> Look<'q> {
        let instrument = self.instrument(leg);
        let reference = instrument.as_ref().ok();
        let reference = reference.and_then(|known| self.market.price(&known.reference));
        Look { instrument, reference }
    }

    fn instrument(&self, leg: &Leg) -> Result<&'q Instrument, Unpriced> {
        let (Some(symbol), Some(product)) = (&leg.symbol, leg.product) else {
            return Err(Unpriced::Unknown);
        };
        if product == Product::Spread {
            return Err(Unpriced::Unknown);
        }
        self.market.instrument(self.venue, symbol, product).ok_or(Unpriced::Instrument)
    }

    /// What an order is worth in USD at the worst price that it could fill at.
    fn notional(&self, leg: &Leg, look: &Look<'_>) -> Result<Money, Unpriced> {
        let stated = Stated::of(leg)?;
        let instrument = look.instrument()?;
        if matches!(leg.order_type, Some(OrderType::Other | OrderType::TrailingStop)) {
            return Err(Unpriced::Unknown);
        }
        // What is paid for an option says nothing of what it is on, so that alone counts.
        let is_option = instrument.product == Product::Option;
        let by_quantity = stated.quantity.map(|quantity| {
            let amount = look.amount(quantity)?;
            match (is_option, instrument.size_unit) {
                (true, SizeUnit::Base) => exact(amount.checked_mul(self.beyond(look)?)),
                (true, SizeUnit::Quote) => Err(Unpriced::Unknown),
                (false, SizeUnit::Base) => {
                    exact(amount.checked_mul(self.worst_price(leg, &stated, look)?))
                }
                (false, SizeUnit::Quote) => Ok(amount),
            }
        });
        let by_quote = stated.quote_quantity.filter(|_| !is_option);
        let by_quote = by_quote.map(|quantity| self.paid(leg, &stated, look, quantity));
        let amount = match (by_quantity.transpose()?, by_quote.transpose()?) {
            (Some(one), Some(other)) => one.max(other),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return Err(Unpriced::Unknown),
        };
        let quote = if is_option { &instrument.reference.quote } else { &instrument.quote };
        if self.pricing.is_par(quote) {
            return Ok(amount);
        }
        let pair = Pair::new(quote.clone(), Asset::usd());
        match self.market.price(&pair) {
            Some(price) => exact(amount.checked_mul(price)),
            None => Err(Unpriced::Price(pair)),
        }
    }

    /// What an order is worth that is sized in the quote asset. At a limit that is a size in the base
    /// asset, which may fill at a better price: it is worth the stated size only where the limit is
    /// the worst price already.
    fn paid(
        &self,
        leg: &Leg,
        stated: &Stated,
        look: &Look<'_>,
        quantity: Money,
    ) -> Result<Money, Unpriced> {
        let has_limit = leg.amends
            || stated.price.is_some()
            || leg.order_type.is_some_and(OrderType::has_limit);
        if !has_limit {
            return Ok(quantity);
        }
        let worst = self.worst_price(leg, stated, look)?;
        let is_worst = stated.price.is_some_and(|limit| limit >= worst);
        if is_worst { Ok(quantity) } else { Err(Unpriced::Unknown) }
    }

    /// Notes the reference prices that an order's instrument has.
    pub(crate) fn see(&self, look: &Look<'_>, prices: &mut BTreeMap<Pair, Money>) {
        let Ok(instrument) = look.instrument else {
            return;
        };
        let reference = &instrument.reference;
        if let Some(price) = look.reference
            && !prices.contains_key(reference)
        {
            prices.insert(reference.clone(), price);
        }
        for quote in [&reference.quote, &instrument.quote] {
            if !self.pricing.is_par(quote) {
                let pair = Pair::new(quote.clone(), Asset::usd());
                if let Some(price) = self.market.price(&pair) {
                    prices.insert(pair, price);
                }
            }
        }
    }

    /// As far beyond the reference price as an order is taken to fill.
    fn beyond(&self, look: &Look<'_>) -> Result<Money, Unpriced> {
        self.slipped(look.reference()?)
    }

    fn slipped(&self, price: Money) -> Result<Money, Unpriced> {
        exact(self.pricing.beyond.and_then(|beyond| price.checked_mul(beyond)))
    }

    fn worst_price(&self, leg: &Leg, stated: &Stated, look: &Look<'_>) -> Result<Money, Unpriced> {
        use OrderType::{
            Limit, LimitMaker, Market, Other, Stop, StopLimit, TakeProfit, TakeProfitLimit,
            TrailingStop,
        };

        let Stated { price, trigger, .. } = *stated;
        if leg.amends && price.is_none() {
            // It keeps a price that nobody here knows.
            return Err(Unpriced::Unknown);
        }
        let limit = || price.ok_or(Unpriced::Unknown);
        let triggered_at = || trigger.ok_or(Unpriced::Unknown);
        let beyond = || self.beyond(look);
        match (leg.order_type, leg.side) {
            (Some(Other | TrailingStop), _) => Err(Unpriced::Unknown),
            (Some(Limit | LimitMaker | StopLimit | TakeProfitLimit), Some(Side::Buy)) => limit(),
            // What sells at its limit or better sells at the market if that is better.
            (Some(Limit | LimitMaker), Some(Side::Sell)) => Ok(limit()?.max(beyond()?)),
            (Some(StopLimit | TakeProfitLimit), Some(Side::Sell)) => {
                Ok(limit()?.max(triggered_at()?).max(beyond()?))
            }
            (Some(Market), Some(_)) => beyond(),
            (Some(Stop | TakeProfit), Some(_)) => {
                // Some venues let such an order state a limit as well.
                let worst = self.slipped(triggered_at()?)?.max(beyond()?);
                Ok(price.map_or(worst, |price| worst.max(price)))
            }
            (order_type, _) => {
                if order_type.is_some_and(OrderType::has_limit) {
                    limit()?;
                }
                if matches!(order_type, Some(Stop | TakeProfit)) {
                    triggered_at()?;
                }
                let mut worst = beyond()?;
                if let Some(price) = price {
                    worst = worst.max(price);
                }
                if let Some(trigger) = trigger {
                    worst = worst.max(self.slipped(trigger)?);
                }
                Ok(worst)
            }
        }
    }
}

/// The numbers of an order: each absent or above 0.
struct Stated {
    quantity: Option<Money>,
    quote_quantity: Option<Money>,
    price: Option<Money>,
    trigger: Option<Money>,
}

impl Stated {
    fn of(leg: &Leg) -> Result<Self, Unpriced> {
        Ok(Self {
            quantity: positive(leg.quantity.as_deref())?,
            quote_quantity: positive(leg.quote_quantity.as_deref())?,
            price: positive(leg.price.as_deref())?,
            trigger: positive(leg.trigger_price.as_deref())?,
        })
    }
}

/// A result that would have been rounded, or does not fit, is none.
pub(crate) fn exact(result: Option<Money>) -> Result<Money, Unpriced> {
    result.ok_or(Unpriced::Unknown)
}
