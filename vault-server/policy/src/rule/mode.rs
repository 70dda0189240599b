//! The rule of modes: the scope grants the way to the venue.

use crate::denial::Denial;
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>) -> Result<(), Denial> {
    if question.scope.modes.contains(&question.mode) { Ok(()) } else { Err(Denial::ModeNotGranted) }
}
