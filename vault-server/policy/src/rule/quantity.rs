//! The rule of quantities: no order is larger than the scope says for its symbol, in the base asset.
//!
//! A size in the quote asset becomes one in the base asset by a division, which is not exact; so the
//! limit is turned into the quote asset instead, at the reference price.

use std::collections::HashMap;

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
    limits: &HashMap<Name, HashMap<String, Money>>,
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
    let at = |price: Money| exact(limit.checked_mul(price));
    if let Some(quantity) = quantity {
        let amount = look.amount(quantity)?;
        let limit = match instrument.size_unit {
            SizeUnit::Base => limit,
            SizeUnit::Quote => at(look.reference()?)?,
        };
        if amount > limit {
            return Ok(false);
        }
    }
    if let Some(quote_quantity) = quote_quantity {
        // The lower the price, the more of the base asset it is.
        let reference = look.reference()?;
        let price = positive(leg.price.as_deref())?;
        if quote_quantity > at(price.map_or(reference, |price| price.min(reference)))? {
            return Ok(false);
        }
    }
    Ok(true)
}
