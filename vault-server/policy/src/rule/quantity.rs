//! The rule of quantities: no order is larger than the scope says for its symbol, in the base asset.
//!
//! A size in the quote asset becomes one in the base asset by a division, which is not exact; so the
//! limit is turned into the quote asset instead, at the lowest of the reference price and what the
//! order states.

use rustc_hash::FxHashMap;
use vault_model::{Leg, Member, Money, Name, SizeUnit};

use super::order::orders;
use crate::cost::{Look, Unpriced, Worth, exact, positive};
use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(
    question: &Question<'_>,
    member: &Member,
    worth: &Worth<'_>,
) -> Result<(), Denial> {
    let Some(limits) = &question.scope.orders.max_quantity else {
        return Ok(());
    };
    for (leg, look) in orders(member).iter().zip(&worth.looks) {
        match fits(question, limits, leg, look) {
            Ok(true) => {}
            Ok(false) => return Err(Denial::QuantityTooLarge(question.outside(member))),
            Err(unpriced) => {
                return Err(unpriced.denial(question.outside(member), Denial::QuantityUnknown));
            }
        }
    }
    Ok(())
}

/// Whether an order is within the limit of its symbol.
fn fits(
    question: &Question<'_>,
    limits: &FxHashMap<Name, FxHashMap<String, Money>>,
    leg: &Leg,
    look: &Look<'_>,
) -> Result<bool, Unpriced> {
    let symbol = leg.symbol.as_deref().ok_or(Unpriced::Unknown)?;
    let limit = limits.get(question.reading.venue).and_then(|symbols| symbols.get(symbol));
    let Some(limit) = limit.copied() else {
        return Ok(false);
    };
    let quantity = positive(leg.quantity.as_deref())?;
    let quote_quantity = positive(leg.quote_quantity.as_deref())?;
    if quantity.is_none() && quote_quantity.is_none() {
        return Err(Unpriced::Unknown);
    }
    let instrument = look.instrument()?;
    let prices = [positive(leg.price.as_deref())?, positive(leg.trigger_price.as_deref())?];
    // The lower the price, the more of the base asset a size in the quote asset is.
    let in_quote = || {
        if leg.amends && leg.price.is_none() {
            // It keeps a price that nobody here knows.
            return Err(Unpriced::Unknown);
        }
        let lowest = prices.into_iter().flatten().fold(look.reference()?, Money::min);
        exact(limit.checked_mul(lowest))
    };
    if let Some(quantity) = quantity {
        let amount = look.amount(quantity)?;
        let limit = match instrument.size_unit {
            SizeUnit::Base => limit,
            SizeUnit::Quote => in_quote()?,
        };
        if amount > limit {
            return Ok(false);
        }
    }
    match quote_quantity {
        Some(quote_quantity) => Ok(quote_quantity <= in_quote()?),
        None => Ok(true),
    }
}
