//! The rule of log-ons: behind a log-on orders go without signature, so none is granted beside rules
//! that every signature is judged by.

use vault_model::{Class, Member};

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    if member.class == Class::Logon && question.scope.forbids_logons {
        Err(Denial::LogonBypassesCaps(question.outside(member)))
    } else {
        Ok(())
    }
}
