//! Shadows: a second scope that judges the same requests beside the live one. It has no effect; where
//! its answer differs, the log says so.

use std::collections::HashMap;

use vault_model::Name;
use vault_policy::{Decision, Question};

use crate::vault::CompiledScope;

/// What a scope and its shadow say to one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Divided {
    /// The shadow's name.
    pub shadow: Name,
    /// Its revision.
    pub revision: u64,
    /// Why the live scope denies; absent: it allows.
    pub live: Option<&'static str>,
    /// Why the shadow denies; absent: it allows.
    pub shadow_says: Option<&'static str>,
}

impl Divided {
    /// Asks the shadow what the live scope was asked, and decided.
    pub(crate) fn judge(
        shadow: &CompiledScope,
        question: &Question<'_>,
        decision: &Decision,
    ) -> Self {
        let answer = vault_policy::judge(&Question { scope: &shadow.scope, ..*question });
        Self {
            shadow: shadow.document.name.clone(),
            revision: shadow.revision,
            live: denied(decision),
            shadow_says: denied(&answer),
        }
    }

    /// The code of the one that denies, if the other allows.
    pub fn diverged(&self) -> Option<&'static str> {
        match (self.live, self.shadow_says) {
            (Some(code), None) | (None, Some(code)) => Some(code),
            _ => None,
        }
    }
}

fn denied(decision: &Decision) -> Option<&'static str> {
    match decision {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => Some(denial.code()),
    }
}

/// The word for an answer in an entry.
pub fn word(denied: Option<&'static str>) -> &'static str {
    if denied.is_none() { "allow" } else { "deny" }
}

/// Since the start, for each scope that has a shadow: requests that the shadow judged, and those
/// that it answered otherwise.
#[derive(Debug, Default)]
pub struct Shadows(HashMap<Name, (u64, u64)>);

impl Shadows {
    /// One more request of a scope was judged by its shadow.
    pub fn count(&mut self, scope: &Name, diverged: bool) {
        let (judged, different) = match self.0.get_mut(scope) {
            Some(counts) => counts,
            None => self.0.entry(scope.clone()).or_default(),
        };
        *judged += 1;
        *different += u64::from(diverged);
    }

    /// Requests of a scope that its shadow judged, and those that it answered otherwise.
    pub fn counts(&self, scope: &Name) -> (u64, u64) {
        self.0.get(scope).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use vault_model::{Class, Mode};

    use super::{Divided, Shadows};
    use crate::remedy::sample::{Sample, request};

    /// What the sample's scope and its shadow say to a read in mode `execute`.
    fn divided(live: bool, shadow: bool) -> Divided {
        let mut sample = Sample::new(false);
        sample.rescope(|scope| {
            scope.modes.insert(Mode::Execute);
            if !live {
                scope.classes.clear();
            }
        });
        let other = {
            let mut other = Sample::new(false);
            other.rescope(|scope| {
                scope.name = "candidate".parse().expect("a name");
                scope.modes.insert(Mode::Execute);
                scope.classes.insert(Class::Trade);
                if !shadow {
                    scope.modes.clear();
                }
            });
            other.scope
        };
        let request = request("GET", "/orders", "symbol=BTCUSDT");
        let ground = sample.ground();
        let judged = sample.judged(&request, Mode::Execute);
        let reading = ground.venue.read(&request, &ground.standing()).expect("can be read");
        let question = ground.question(judged, &reading);
        Divided::judge(&other, &question, &vault_policy::judge(&question))
    }

    #[test]
    fn only_a_different_answer_diverges_and_the_reason_is_that_of_the_one_who_denies() {
        assert_eq!(divided(true, true).diverged(), None);
        // Both deny, each for its own reason: the bot would notice nothing.
        let both = divided(false, false);
        assert_eq!(
            (both.live, both.shadow_says),
            (Some("CLASS_NOT_GRANTED"), Some("MODE_NOT_GRANTED"))
        );
        assert_eq!(both.diverged(), None);
        assert_eq!(divided(true, false).diverged(), Some("MODE_NOT_GRANTED"));
        assert_eq!(divided(false, true).diverged(), Some("CLASS_NOT_GRANTED"));
        assert_eq!(divided(true, true).shadow.as_str(), "candidate");
    }

    #[test]
    fn counts_are_of_the_scope_that_has_the_shadow() {
        let mut shadows = Shadows::default();
        let (one, other) = ("one".parse().expect("a name"), "other".parse().expect("a name"));
        shadows.count(&one, false);
        shadows.count(&one, true);
        assert_eq!(shadows.counts(&one), (2, 1));
        assert_eq!(shadows.counts(&other), (0, 0));
    }
}
