//! The rule of price bands: what an order may fill at is near the reference price. Only a limit
//! price bounds that.

use vault_model::{Leg, Member, Money, Product};

use super::order::orders;
use crate::cost::{Look, Unpriced, Worth, exact};
use crate::denial::Denial;
use crate::judge::Question;

/// What the band says of an order.
enum Place {
    Inside,
    Outside,
    /// Nothing bounds what it may fill at.
    Unbounded,
}

pub(crate) fn judge(
    question: &Question<'_>,
    member: &Member,
    worth: &Worth<'_>,
) -> Result<(), Denial> {
    let Some(band) = question.scope.orders.price_band else {
        return Ok(());
    };
    for (leg, look) in orders(member).iter().zip(&worth.looks) {
        match place(band, leg, look) {
            Ok(Place::Inside) => {}
            Ok(Place::Outside) => {
                return Err(Denial::PriceOutsideBand(question.outside(member)));
            }
            Ok(Place::Unbounded) => {
                return Err(Denial::PriceBandUnbounded(question.outside(member)));
            }
            Err(unpriced) => {
                return Err(unpriced.denial(question.outside(member), Denial::PriceOutsideBand));
            }
        }
    }
    Ok(())
}

fn place(band: Money, leg: &Leg, look: &Look<'_>) -> Result<Place, Unpriced> {
    let is_bounded = match leg.order_type {
        Some(order_type) => order_type.has_limit() && (leg.price.is_some() || leg.amends),
        // It keeps its type and, if it states no other, its price.
        None => leg.amends,
    };
    // What an option costs says nothing of the price of what it is on.
    if !is_bounded || leg.product == Some(Product::Option) {
        return Ok(Place::Unbounded);
    }
    if leg.price.is_none() && leg.trigger_price.is_none() {
        return Ok(Place::Inside);
    }
    let reference = look.reference()?;
    let reach = exact(reference.checked_mul(band))?;
    let lowest = exact(reference.checked_sub(reach))?;
    let highest = exact(reference.checked_add(reach))?;
    for text in [&leg.price, &leg.trigger_price].into_iter().flatten() {
        let price: Money = text.parse().map_err(|_| Unpriced::Unknown)?;
        if price < lowest || price > highest {
            return Ok(Place::Outside);
        }
    }
    Ok(Place::Inside)
}
