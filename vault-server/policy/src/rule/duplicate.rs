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
    if let Some(per) = question.scope.duplicates.order {
        let keys = &cost.order_keys;
        let comes_again = |(place, key): (usize, &u64)| {
            history.has_order(*key, per, clock) || keys[..place].contains(key)
        };
        if keys.iter().enumerate().any(comes_again) {
            return Err(Denial::DuplicateOrder);
        }
    }
    Ok(())
}
