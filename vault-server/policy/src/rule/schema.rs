//! The rule of schemas: a write whose parameters nobody sourced cannot be granted.

use vault_model::Member;

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    if member.class.is_write() && !member.schema_sourced {
        Err(Denial::SchemaNotSourced(question.outside(member)))
    } else {
        Ok(())
    }
}
