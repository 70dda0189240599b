//! The rule of withdrawals: what leaves goes to an address that the scope lists, and no more of an
//! asset in 24 hours than it says.

use vault_model::{Class, Member, Money};

use super::cumulative::{room, wait};
use crate::cost::{Cost, positive};
use crate::denial::{Denial, Reached};
use crate::document::Span;
use crate::judge::Question;

pub(crate) fn judge_member(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let Some(withdrawal) =
        question.scope.withdrawal.as_ref().filter(|_| member.class == Class::Withdraw)
    else {
        return Ok(());
    };
    if member.transfers.is_empty() {
        return Err(Denial::WithdrawalUnknown(question.outside(member)));
    }
    for transfer in &member.transfers {
        let amount = positive(transfer.amount.as_deref()).ok().flatten();
        let (Some(asset), Some(address), Some(_)) = (&transfer.asset, &transfer.address, amount)
        else {
            return Err(Denial::WithdrawalUnknown(question.outside(member)));
        };
        if !withdrawal.lists(question.reading.venue, asset, address) {
            return Err(Denial::AddressNotAllowed(question.outside(member)));
        }
    }
    Ok(())
}

/// Judges the request as a whole, and notes what is left.
pub(crate) fn judge(question: &Question<'_>, cost: &mut Cost) -> Result<(), Denial> {
    let Some(withdrawal) = &question.scope.withdrawal else {
        return Ok(());
    };
    let per = Span::DAY;
    for leaving in &cost.withdrawn {
        let (venue, asset) = (leaving.venue.as_str(), leaving.asset.as_str());
        let at_most = withdrawal.at_most(venue, asset).unwrap_or(Money::ZERO);
        let history = question.withdrawn;
        let spent = history.withdrawn_within(venue, asset, per, question.clock);
        let after = spent.checked_add(leaving.amount);
        let Some(left) = after.and_then(|after| room(at_most, after)) else {
            let free_at = room(at_most, leaving.amount)
                .and_then(|room| history.withdrawn_free_at(venue, asset, room, per));
            let wait = wait(free_at, question.clock);
            return Err(Denial::AmountCapReached(Reached { per, wait }));
        };
        cost.limits_left.insert(format!("withdrawal/{venue}/{asset}"), left.to_string());
    }
    Ok(())
}
