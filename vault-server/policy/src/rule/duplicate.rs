//! The rule of duplicates: within the scope's spans neither a client order id nor an order comes
//! twice.

use crate::cost::Cost;
use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, cost: &Cost) -> Result<(), Denial> {
    let (history, clock) = (question.history, question.clock);
    if let Some(per) = question.scope.duplicates.client_order_id {
        let twice =
            |ids: &[String]| ids.iter().enumerate().any(|(place, id)| ids[..place].contains(id));
        let is_used = cost.id_keys.iter().any(|key| history.has_id(*key, per, clock));
        if is_used || question.members().iter().any(|member| twice(&member.client_order_ids)) {
            return Err(Denial::DuplicateClientOrderId);
        }
    }
    if let (Some(per), Some(key)) = (question.scope.duplicates.order, cost.order_key)
        && history.has_order(key, per, clock)
    {
        return Err(Denial::DuplicateOrder);
    }
    Ok(())
}
