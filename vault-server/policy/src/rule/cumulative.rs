//! The rules of what adds up: notional and orders in windows that slide, and orders that may rest.
//!
//! They hold over what can happen, not over what was signed: where a venue may take one signature
//! twice, or at any time, only what the vault sends itself is counted.

use std::time::Duration;

use vault_model::{Class, ClockTime, Leg, Member, Mode, Money};

use crate::cost::{Cost, LASTS_MAX, until};
use crate::denial::{Denial, Reached};
use crate::judge::Question;

/// Whether a cap that counts is one that the vault can keep.
pub(crate) fn judge_enforceable(question: &Question<'_>) -> Result<(), Denial> {
    if question.mode == Mode::Execute {
        return Ok(());
    }
    let caps = &question.scope.cumulative;
    let in_windows = !caps.notional.is_empty() || !caps.orders.is_empty();
    let holds = |member: &Member| question.takes_signatures_once && ends_soon(question, member);
    let is_bound = |member: &&Member| match member.class {
        // The vault is never told what became of orders that it did not send.
        Class::Trade => caps.open_orders.is_some() || (in_windows && !holds(member)),
        // No venue ends the signature of a withdrawal.
        Class::Withdraw => question.scope.withdrawal.is_some(),
        _ => false,
    };
    match question.members().iter().find(is_bound) {
        Some(member) => Err(Denial::CapNotEnforceable(question.outside(member))),
        None => Ok(()),
    }
}

/// Whether every order ends before long, by its own word: signatures that stay good could be kept,
/// and sent all in one window.
fn ends_soon(question: &Question<'_>, member: &Member) -> bool {
    // An end that is over is one that the vault cannot measure: its clock may be ahead.
    let is_soon = |end| end > question.steady_now && until(question.steady_now, end) <= LASTS_MAX;
    let is_soon = |leg: &Leg| leg.deadline.is_some_and(is_soon);
    !member.legs.is_empty() && member.legs.iter().all(is_soon)
}

/// Judges the request as a whole, and notes what is left. What orders nothing passes, also where a
/// cap is reached.
pub(crate) fn judge(question: &Question<'_>, cost: &mut Cost) -> Result<(), Denial> {
    if cost.orders == 0 {
        return Ok(());
    }
    let (history, clock) = (question.history, question.clock);
    let caps = &question.scope.cumulative;
    for (name, cap) in &caps.notional {
        let spent = history.notional_within(cap.per, clock);
        // Orders that cannot be priced were denied before.
        let own = cost.notional_usd.unwrap_or(Money::whole(u64::MAX));
        let after = spent.checked_add(own);
        let Some(left) = after.and_then(|after| room(cap.at_most, after)) else {
            let free_at =
                room(cap.at_most, own).and_then(|room| history.notional_free_at(room, cap.per));
            let wait = wait(free_at, clock);
            return Err(Denial::NotionalCapReached(Reached { per: cap.per, wait }));
        };
        cost.limits_left.insert(name.clone(), left.to_string());
    }
    for (name, cap) in &caps.orders {
        let spent = history.orders_within(cap.per, clock);
        let after = spent.saturating_add(cost.orders);
        let Some(left) = cap.at_most.checked_sub(after) else {
            let free_at = cap
                .at_most
                .checked_sub(cost.orders)
                .and_then(|room| history.orders_free_at(room, cap.per));
            let wait = wait(free_at, clock);
            return Err(Denial::OrderRateReached(Reached { per: cap.per, wait }));
        };
        cost.limits_left.insert(name.clone(), left.to_string());
    }
    if let Some(at_most) = caps.open_orders
        && cost.resting > 0
    {
        let after = history.resting().saturating_add(cost.resting);
        let Some(left) = at_most.checked_sub(after) else {
            return Err(Denial::OpenOrdersReached);
        };
        cost.limits_left.insert("open_orders".to_owned(), left.to_string());
    }
    Ok(())
}

/// What is left of a limit; `None` if it is passed.
pub(super) fn room(at_most: Money, amount: Money) -> Option<Money> {
    at_most.checked_sub(amount).filter(|left| !left.is_negative())
}

/// How long it is until then.
pub(super) fn wait(free_at: Option<ClockTime>, clock: ClockTime) -> Option<Duration> {
    free_at.map(|free_at| Duration::from_micros(free_at.0.saturating_sub(clock.0)))
}
