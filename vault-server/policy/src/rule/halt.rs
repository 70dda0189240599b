//! The rule of halts: what an operator has stopped stays stopped.

use std::collections::BTreeMap;

use vault_model::{Class, HaltLevel, HaltTarget, Member, Name, Symbols};

use super::order::reduces;
use crate::denial::Denial;
use crate::judge::Question;
use crate::market::Market;

/// The halts in force.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Halts {
    by_target: BTreeMap<HaltTarget, HaltLevel>,
    /// The same once more, so that a request is held against those that can concern it alone.
    whole: Option<HaltLevel>,
    clients: BTreeMap<Name, HaltLevel>,
    credentials: BTreeMap<Name, HaltLevel>,
    symbols: BTreeMap<Name, BTreeMap<String, HaltLevel>>,
    venues: BTreeMap<Name, HaltLevel>,
}

impl Halts {
    /// Puts a halt in force; returns the level that the target had before.
    pub fn halt(&mut self, target: HaltTarget, level: HaltLevel) -> Option<HaltLevel> {
        match target.clone() {
            HaltTarget::All => self.whole = Some(level),
            HaltTarget::Client(name) => drop(self.clients.insert(name, level)),
            HaltTarget::Credential(name) => drop(self.credentials.insert(name, level)),
            HaltTarget::Symbol { venue, symbol } => {
                self.symbols.entry(venue).or_default().insert(symbol, level);
            }
            HaltTarget::Venue(name) => drop(self.venues.insert(name, level)),
        }
        self.by_target.insert(target, level)
    }

    /// Ends the halt of a target; returns the level that it had.
    pub fn resume(&mut self, target: &HaltTarget) -> Option<HaltLevel> {
        match target {
            HaltTarget::All => self.whole = None,
            HaltTarget::Client(name) => drop(self.clients.remove(name)),
            HaltTarget::Credential(name) => drop(self.credentials.remove(name)),
            HaltTarget::Symbol { venue, symbol } => {
                if let Some(symbols) = self.symbols.get_mut(venue) {
                    symbols.remove(symbol);
                    if symbols.is_empty() {
                        self.symbols.remove(venue);
                    }
                }
            }
            HaltTarget::Venue(name) => drop(self.venues.remove(name)),
        }
        self.by_target.remove(target)
    }

    /// All halts, sorted by target.
    pub fn iter(&self) -> impl Iterator<Item = (&HaltTarget, HaltLevel)> {
        self.by_target.iter().map(|(target, level)| (target, *level))
    }

    /// The strictest level that holds for a request, whatever symbols it touches.
    pub fn level(&self, client: &Name, credential: &Name, venue: &str) -> Option<HaltLevel> {
        let concerned = [
            self.whole.as_ref(),
            self.clients.get(client),
            self.credentials.get(credential),
            self.venues.get(venue),
        ];
        strictest(concerned.into_iter().flatten().copied())
    }

    /// The strictest level that holds for one operation because of the symbols that it touches.
    fn symbol_level(&self, venue: &str, member: &Member, market: &Market) -> Option<HaltLevel> {
        if !member.class.is_write() {
            return None;
        }
        let symbols = self.symbols.get(venue)?.iter();
        let concerned = symbols
            .filter(|(symbol, _)| touches(member, |named| market.is_same(venue, named, symbol)));
        strictest(concerned.map(|(_, level)| *level))
    }
}

impl FromIterator<(HaltTarget, HaltLevel)> for Halts {
    fn from_iter<I: IntoIterator<Item = (HaltTarget, HaltLevel)>>(all: I) -> Self {
        let mut halts = Self::default();
        for (target, level) in all {
            halts.halt(target, level);
        }
        halts
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
pub(crate) fn judge_member(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let symbol_level = question.halts.symbol_level(question.reading.venue, member, question.market);
    if symbol_level == Some(HaltLevel::Nothing) {
        return Err(Denial::HaltSymbol(question.outside(member)));
    }
    let is_halted = symbol_level.is_some() || question.halt_level().is_some();
    if is_halted && !is_harmless(member) {
        return Err(Denial::HaltNoNewRisk(question.outside(member)));
    }
    Ok(())
}

/// Whether an operation surely brings no new risk: it reads, cancels, or only reduces positions.
fn is_harmless(member: &Member) -> bool {
    match member.class {
        Class::Cancel | Class::Public | Class::Read => true,
        Class::Trade => {
            member.schema_sourced && !member.legs.is_empty() && member.legs.iter().all(reduces)
        }
        _ => false,
    }
}

/// Whether a write touches a market. One that names none could touch any.
fn touches(member: &Member, is_it: impl Fn(&str) -> bool) -> bool {
    let named = match &member.symbols {
        Symbols::Every => return true,
        Symbols::Named(named) => named,
    };
    let mut of_legs = member.legs.iter().map(|leg| leg.symbol.as_ref());
    named.is_empty()
        || named.iter().any(|named| is_it(named))
        || of_legs
            .any(|of_leg| of_leg.is_none_or(|of_leg| !named.contains(of_leg) && is_it(of_leg)))
}

fn strictest(levels: impl Iterator<Item = HaltLevel>) -> Option<HaltLevel> {
    levels.max_by_key(|level| match level {
        HaltLevel::NoNewRisk => 0,
        HaltLevel::Nothing => 1,
    })
}
