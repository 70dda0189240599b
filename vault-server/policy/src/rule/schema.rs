//! The rule of schemas: a write whose parameters nobody sourced cannot be granted.

use vault_model::Member;

use crate::denial::{Denial, Outside};

pub(crate) fn judge(member: &Member) -> Result<(), fn(Outside) -> Denial> {
    if member.class.is_write() && !member.schema_sourced {
        Err(Denial::SchemaNotSourced)
    } else {
        Ok(())
    }
}
