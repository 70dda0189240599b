//! What would change the answer to a request whose signature authorises too much.

use std::fmt;

use vault_model::Mode;

use crate::denial::Denial;
use crate::judge::{Question, Rule, decide};

/// One thing that would make the vault say yes. Each of them alone does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// The vault sends the request itself, so that nobody else holds the signature.
    Execute {
        /// Whether the scope grants the mode already.
        granted: bool,
    },
    /// The credential states these rights and no others: true only if the key really lacks the rest.
    Rights(Vec<String>),
    /// The credential assumes that the venue refuses what it does not know.
    VenueChecks,
}

impl fmt::Display for Remedy {
    /// As machines read it: `execute`, `rights=a,b`, `assume=venue_checks`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execute { .. } => f.write_str("execute"),
            Self::Rights(rights) => write!(f, "rights={}", rights.join(",")),
            Self::VenueChecks => f.write_str("assume=venue_checks"),
        }
    }
}

impl Remedy {
    fn words(&self) -> String {
        match self {
            Self::Execute { granted: true } => "Execute may serve the request".to_owned(),
            Self::Execute { granted: false } => {
                "Execute may serve the request, once the scope grants the mode execute".to_owned()
            }
            Self::Rights(rights) if rights.is_empty() => {
                "a key that has none of the venue's rights, imported with none, would do".to_owned()
            }
            Self::Rights(rights) => format!(
                "a key that has only the rights {} at the venue, imported with just these, would do",
                rights.join(", ")
            ),
            Self::VenueChecks => {
                "a credential imported with assume venue_checks would do".to_owned()
            }
        }
    }
}

/// What people can do about a denial for which `remedies` were looked for.
pub fn hint(denial: &Denial, remedies: &[Remedy]) -> String {
    let is_stated = denial.outside().is_none_or(|outside| outside.stated);
    if is_stated && remedies.is_empty() {
        return denial.advice();
    }
    let head = if matches!(denial, Denial::CapNotEnforceable(_)) {
        "a cap that counts holds over a signature only where the venue takes it once and every order states a deadline, at most 60 s ahead (Kraken)"
    } else if is_stated {
        "the signature would authorise more than the request says"
    } else {
        "the signature would authorise this operation too"
    };
    let words = remedies.iter().map(Remedy::words);
    std::iter::once(head.to_owned()).chain(words).collect::<Vec<_>>().join("; ")
}

/// Whether the vault could send the stated operation itself: every rule passes but that of modes,
/// whose answer is in the remedy.
pub fn execute_remedy(question: &Question<'_>) -> Option<Remedy> {
    let alone = Question { mode: Mode::Execute, ..*question };
    let granted = question.scope.modes.contains(&Mode::Execute);
    decide(&alone, Some(Rule::Mode)).is_ok().then_some(Remedy::Execute { granted })
}
