//! The rule of credentials: the scope names the one that is to sign.

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>) -> Result<(), Denial> {
    if question.scope.credentials.contains(question.credential) {
        Ok(())
    } else {
        Err(Denial::CredentialNotGranted)
    }
}
