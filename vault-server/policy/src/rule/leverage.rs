//! The rules of leverage and margin modes: no order or setting states more than the scope allows.
//! One that states none says nothing, but that what is bought on margin is on cross margin.

use vault_model::{Leg, MarginMode, Member, Money, Product};

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let Some(most) = question.scope.orders.max_leverage else {
        return Ok(());
    };
    let fits = |leg: &Leg| match &leg.leverage {
        // What is no number is more than any.
        Some(text) => text.parse::<Money>().is_ok_and(|leverage| leverage <= most),
        None => true,
    };
    if !member.class.is_write() || member.legs.iter().all(fits) {
        Ok(())
    } else {
        Err(Denial::LeverageTooHigh(question.outside(member)))
    }
}

pub(crate) fn judge_margin_mode(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let Some(listed) = &question.scope.orders.margin_modes else {
        return Ok(());
    };
    // Venues take an order on margin that names no mode as one on cross margin.
    let tacit = |leg: &Leg| (leg.product == Some(Product::Margin)).then_some(MarginMode::Cross);
    let fits = |leg: &Leg| {
        leg.margin_mode.or_else(|| tacit(leg)).is_none_or(|mode| listed.contains(&mode))
    };
    if !member.class.is_write() || member.legs.iter().all(fits) {
        Ok(())
    } else {
        Err(Denial::MarginModeNotAllowed(question.outside(member)))
    }
}
