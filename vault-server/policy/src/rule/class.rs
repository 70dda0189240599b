//! The rule of classes: an operation's class is granted, or the operation by its own name where
//! its class is `other`.

use vault_model::{Class, Member};

use crate::denial::{Denial, Outside};
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), fn(Outside) -> Denial> {
    match member.class {
        Class::Keys | Class::Withdraw => Err(Denial::ClassNotGrantable),
        Class::Other if question.scope.operations.contains(&*member.operation) => Ok(()),
        Class::Other => Err(Denial::OperationNotGranted),
        class if question.scope.classes.contains(&class) => Ok(()),
        _ => Err(Denial::ClassNotGranted),
    }
}
