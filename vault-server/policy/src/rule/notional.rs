//! The rule of notionals: under a cap on what orders are worth every order has a price, and those of
//! one request together are within the limit of one request.

use vault_model::Member;

use crate::cost::Worth;
use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member, worth: &Worth) -> Result<(), Denial> {
    if !question.scope.needs_notional() {
        return Ok(());
    }
    match &worth.notional {
        Ok(notional) if question.scope.orders.max_notional.is_none_or(|most| *notional <= most) => {
            Ok(())
        }
        Ok(_) => Err(Denial::NotionalTooLarge(question.outside(member))),
        Err(unpriced) => {
            Err(unpriced.clone().denial(question.outside(member), Denial::NotionalUnknown))
        }
    }
}
