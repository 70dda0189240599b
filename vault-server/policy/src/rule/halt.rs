//! The rule of halts: what an operator has stopped stays stopped.

use std::collections::BTreeMap;

use vault_model::{Class, HaltLevel, HaltTarget, Member, Name};

use crate::denial::{Denial, Outside};
use crate::judge::Question;

/// The halts in force.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Halts(BTreeMap<HaltTarget, HaltLevel>);

impl Halts {
    /// Puts a halt in force; returns the level that the target had before.
    pub fn halt(&mut self, target: HaltTarget, level: HaltLevel) -> Option<HaltLevel> {
        self.0.insert(target, level)
    }

    /// Ends the halt of a target; returns the level that it had.
    pub fn resume(&mut self, target: &HaltTarget) -> Option<HaltLevel> {
        self.0.remove(target)
    }

    /// All halts, sorted by target.
    pub fn iter(&self) -> impl Iterator<Item = (&HaltTarget, HaltLevel)> {
        self.0.iter().map(|(target, level)| (target, *level))
    }

    /// The strictest level that holds for a request.
    pub fn level(&self, client: &Name, credential: &Name, venue: &str) -> Option<HaltLevel> {
        let concerned = self.0.iter().filter(|(target, _)| match target {
            HaltTarget::All => true,
            HaltTarget::Client(name) => name == client,
            HaltTarget::Credential(name) => name == credential,
            HaltTarget::Venue(name) => name.as_str() == venue,
        });
        concerned.map(|(_, level)| *level).max_by_key(|level| match level {
            HaltLevel::NoNewRisk => 0,
            HaltLevel::Nothing => 1,
        })
    }
}

impl FromIterator<(HaltTarget, HaltLevel)> for Halts {
    fn from_iter<I: IntoIterator<Item = (HaltTarget, HaltLevel)>>(halts: I) -> Self {
        Self(halts.into_iter().collect())
    }
}

/// Judges a request as a whole.
pub(crate) fn judge(question: &Question<'_>) -> Result<(), Denial> {
    match question.halt_level() {
        Some(HaltLevel::Nothing) => Err(Denial::HaltNothing),
        Some(HaltLevel::NoNewRisk) | None => Ok(()),
    }
}

/// Judges one operation of it.
pub(crate) fn judge_member(
    question: &Question<'_>,
    member: &Member,
) -> Result<(), fn(Outside) -> Denial> {
    let harmless = matches!(member.class, Class::Public | Class::Read | Class::Cancel);
    if question.halt_level().is_some() && !harmless { Err(Denial::HaltNoNewRisk) } else { Ok(()) }
}
