//! The rule of symbols: a write or cancel touches granted symbols only. Reads are not restricted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use vault_model::{Member, Symbols};

use crate::denial::Denial;
use crate::judge::Question;

/// An instrument as its venue writes it: 1 to 40 of letters, digits, `-`, `/`, `_`, `.`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(String);

/// Not a symbol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a symbol is 1 to 40 of letters, digits, '-', '/', '_' and '.'")]
pub struct NotASymbol;

impl Symbol {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = NotASymbol;

    fn from_str(text: &str) -> Result<Self, NotASymbol> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'/' | b'_' | b'.');
        if (1..=40).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASymbol)
        }
    }
}

impl TryFrom<String> for Symbol {
    type Error = NotASymbol;

    fn try_from(text: String) -> Result<Self, NotASymbol> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    if !member.class.is_write() {
        return Ok(());
    }
    let grants = |symbol: &str| question.scope.grants_symbol(question.reading.venue, symbol);
    let grants_every = question.scope.grants_every_symbol(question.reading.venue);
    match &member.symbols {
        _ if grants_every => Ok(()),
        Symbols::Every => Err(Denial::EverySymbolNotGranted(question.outside(member))),
        // A write that names nothing could be about anything.
        Symbols::Named(symbols) if symbols.is_empty() => {
            Err(Denial::EverySymbolNotGranted(question.outside(member)))
        }
        Symbols::Named(symbols) if !symbols.iter().all(|symbol| grants(symbol)) => {
            Err(Denial::SymbolNotGranted(question.outside(member)))
        }
        Symbols::Named(_) => {
            // The list was made from the legs; a leg that is not in it must not slip through.
            let legs_fit = member
                .legs
                .iter()
                .all(|leg| leg.symbol.as_ref().is_some_and(|symbol| grants(symbol)));
            if legs_fit { Ok(()) } else { Err(Denial::SymbolNotGranted(question.outside(member))) }
        }
    }
}
