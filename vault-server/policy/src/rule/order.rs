//! The rules of orders that need no price: there are some, of allowed types, that stay as long as
//! allowed, that only reduce, that never take.

use vault_model::{Class, Leg, Member, OrderType, Product, TimeInForce};

use crate::denial::Denial;
use crate::judge::Question;

/// The orders of an operation: settings have legs that are none.
pub(crate) fn orders(member: &Member) -> &[Leg] {
    if member.class == Class::Trade { &member.legs } else { &[] }
}

/// Whether a product has positions that an order could reduce.
pub(crate) fn has_positions(product: Option<Product>) -> bool {
    matches!(product, Some(Product::Inverse | Product::Linear | Product::Option))
}

/// Under rules on orders, what trades says what it orders.
pub(crate) fn judge_known(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let scope = question.scope;
    let is_judged = scope.judges_orders || scope.duplicates.order.is_some();
    if is_judged && member.class == Class::Trade && member.legs.is_empty() {
        return Err(Denial::OrderUnknown(question.outside(member)));
    }
    Ok(())
}

/// Every order is of a type that is listed. An order that is there keeps its type.
pub(crate) fn judge_type(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let Some(types) = &question.scope.orders.types else {
        return Ok(());
    };
    let fits = |leg: &Leg| match leg.order_type {
        Some(order_type) => types.contains(&order_type),
        None => leg.amends,
    };
    if orders(member).iter().all(fits) {
        Ok(())
    } else {
        Err(Denial::OrderTypeNotAllowed(question.outside(member)))
    }
}

/// How long an order stays. One that does not say so stays until it is cancelled, unless it goes at
/// once; an order that is there stays as long as it would have.
pub(crate) fn stay(leg: &Leg) -> Option<TimeInForce> {
    let goes = leg.amends || leg.order_type == Some(OrderType::Market);
    leg.tif.or((!goes).then_some(TimeInForce::Gtc))
}

/// Every order stays as long as is listed.
pub(crate) fn judge_time_in_force(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let Some(listed) = &question.scope.orders.time_in_force else {
        return Ok(());
    };
    let fits = |leg: &Leg| stay(leg).is_none_or(|tif| listed.contains(&tif));
    if orders(member).iter().all(fits) {
        Ok(())
    } else {
        Err(Denial::TimeInForceNotAllowed(question.outside(member)))
    }
}

/// Whether an order surely reduces a position: it says so, where there are positions.
pub(crate) fn reduces(leg: &Leg) -> bool {
    leg.reduce_only == Some(true) && has_positions(leg.product)
}

/// Every order only reduces, if the scope wants that.
pub(crate) fn judge_reduce_only(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    if !question.scope.orders.reduce_only || orders(member).iter().all(reduces) {
        Ok(())
    } else {
        Err(Denial::ReduceOnlyRequired(question.outside(member)))
    }
}

/// Every order never takes, if the scope wants that: one with a limit that says so, since venues let
/// a market order say it too. An order that is there stays what it was, if the amendment does not say
/// otherwise.
pub(crate) fn judge_post_only(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let says_so = |leg: &Leg| {
        leg.post_only == Some(true)
            || leg.order_type == Some(OrderType::LimitMaker)
            || leg.tif == Some(TimeInForce::Gtx)
            || (leg.amends && leg.post_only.is_none())
    };
    let fits = |leg: &Leg| leg.order_type.map_or(leg.amends, OrderType::has_limit) && says_so(leg);
    if !question.scope.orders.post_only || orders(member).iter().all(fits) {
        Ok(())
    } else {
        Err(Denial::PostOnlyRequired(question.outside(member)))
    }
}
