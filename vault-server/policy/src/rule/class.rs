//! The rule of classes: an operation's class is granted, or the operation by its own name where
//! its class is `other`. Withdrawals are granted beside a table that says where they go.

use vault_model::{Class, Member};

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    match member.class {
        Class::Keys => Err(Denial::ClassNotGrantable(question.outside(member))),
        Class::Withdraw if question.scope.withdrawal.is_none() => {
            Err(Denial::ClassNotGrantable(question.outside(member)))
        }
        Class::Other if question.scope.operations.contains(&*member.operation) => Ok(()),
        Class::Other => Err(Denial::OperationNotGranted(question.outside(member))),
        class if question.scope.classes.contains(&class) => Ok(()),
        _ => Err(Denial::ClassNotGranted(question.outside(member))),
    }
}
