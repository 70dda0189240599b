//! The rule of products: every product that an operation touches is granted.

use vault_model::Member;

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let scope = question.scope;
    if scope.grants_every_product() {
        return Ok(());
    }
    let Some(products) = &member.products else {
        return Err(Denial::EveryProductNotGranted(question.outside(member)));
    };
    // A leg without product could be of any.
    let legs = member.legs.iter().map(|leg| leg.product);
    if products
        .iter()
        .copied()
        .map(Some)
        .chain(legs)
        .all(|p| p.is_some_and(|p| scope.grants_product(p)))
    {
        Ok(())
    } else {
        Err(Denial::ProductNotGranted(question.outside(member)))
    }
}
