//! What can be wrong with a scope's text.

use crate::document::NotADocument;

/// What is wrong with a scope, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct ScopeError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a scope.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Not a decimal.
    #[error(
        "expected a decimal in quotes, such as \"0.5\", with at most 18 digits before and behind the point"
    )]
    Decimal,
    /// A decimal as TOML's own floating-point number, which may be another one.
    #[error("write the decimal in quotes, such as \"0.5\": without them it would not be exact")]
    DecimalUnquoted,
    /// `"*"` beside other words.
    #[error("\"*\" stands alone")]
    EveryNotAlone,
    /// A key that has to be there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Not a name.
    #[error("a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")]
    Name,
    /// Not a symbol.
    #[error("a symbol is 1 to 40 of letters, digits, '-', '/', '_' and '.'")]
    Symbol,
    /// Not TOML.
    #[error("not valid TOML")]
    Syntax,
    /// A key that scopes do not have.
    #[error("unknown key; expected one of: {0}")]
    UnknownKey(&'static str),
    /// A value that does not fit, whatever its type.
    #[error(transparent)]
    Value(#[from] NotADocument),
    /// A word that does not belong there.
    #[error("expected one of: {0}")]
    Word(String),
    /// A value of another type.
    #[error("expected {0}")]
    WrongType(&'static str),
}
