//! The policy tables: which there are, and how a row becomes a document and comes back.
//!
//! A document is RFC 8785 JSON, its integers below 2^53.

use std::fmt;

use serde::Serialize;
use vault_model::{HaltTarget, Name, Pair, Product, Serial};

use super::hex::Hex;
use super::row::{
    CertificateRow, ClientRow, CredentialRow, CredentialVersionRow, FeedRow, HaltRow,
    InstrumentRow, InviteRow, OperatorRow, ScopeRow,
};

/// The longest document, in bytes.
pub const DOC_BYTES_MAX: usize = 1_048_576;

/// Why a row cannot be stored, or is none.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Not JSON of this row.
    #[error("row document is malformed")]
    Malformed(#[from] serde_json::Error),
    /// An integer that other JSON readers would round.
    #[error("row has a number beyond 2^53")]
    Number,
    /// A client with an operator's role, or the other way round.
    #[error("role does not fit the row")]
    Role,
    /// Longer than [`DOC_BYTES_MAX`].
    #[error("row document is longer than {DOC_BYTES_MAX} bytes")]
    TooLong,
}

macro_rules! rows {
    ($($(#[$doc:meta])* $variant:ident = $table:literal, $row:ty;)+) => {
        /// A policy table. Ordered as their names are.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Table {
            $($(#[$doc])* $variant,)+
        }

        impl Table {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in the database.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $table,)+
                }
            }
        }

        /// A row of any policy table.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub enum Row {
            $($(#[$doc])* $variant($row),)+
        }

        $(impl From<$row> for Row {
            fn from(row: $row) -> Self {
                Self::$variant(row)
            }
        })+

        impl Row {
            /// Its table.
            pub fn table(&self) -> Table {
                match self {
                    $(Self::$variant(_) => Table::$variant,)+
                }
            }

            /// Reads a stored document.
            ///
            /// # Errors
            ///
            /// [`RowError::Malformed`].
            pub fn parse(table: Table, doc: &str) -> Result<Self, RowError> {
                Ok(match table {
                    $(Table::$variant => Self::$variant(serde_json::from_str(doc)?),)+
                })
            }

            /// Its document: RFC 8785 JSON.
            ///
            /// # Errors
            ///
            /// [`RowError`]: the row may not be stored.
            pub fn doc(&self) -> Result<String, RowError> {
                self.check_role()?;
                match self {
                    $(Self::$variant(row) => canonical(row),)+
                }
            }
        }
    };
}

rows! {
    /// Certificates.
    Certificate = "certificate", CertificateRow;
    /// Clients.
    Client = "client", ClientRow;
    /// Credentials.
    Credential = "credential", CredentialRow;
    /// Versions of credentials.
    CredentialVersion = "credential_version", CredentialVersionRow;
    /// Feeds of prices.
    Feed = "feed", FeedRow;
    /// Halts.
    Halt = "halt", HaltRow;
    /// Instruments.
    Instrument = "instrument", InstrumentRow;
    /// Invitations.
    Invite = "invite", InviteRow;
    /// Operators.
    Operator = "operator", OperatorRow;
    /// Scopes.
    Scope = "scope", ScopeRow;
}

impl Row {
    /// Its key.
    pub fn key(&self) -> RowKey {
        match self {
            Self::Certificate(row) => RowKey::Certificate(row.serial),
            Self::Client(row) => RowKey::Client(row.name.clone()),
            Self::Credential(row) => RowKey::Credential(row.name.clone()),
            Self::CredentialVersion(row) => {
                RowKey::CredentialVersion(row.credential.clone(), row.version)
            }
            Self::Feed(row) => RowKey::Feed(row.pair.clone()),
            Self::Halt(row) => RowKey::Halt(row.target.clone()),
            Self::Instrument(row) => row.key(),
            Self::Invite(row) => RowKey::Invite(row.token_id),
            Self::Operator(row) => RowKey::Operator(row.name.clone()),
            Self::Scope(row) => RowKey::Scope(row.name.clone()),
        }
    }

    fn check_role(&self) -> Result<(), RowError> {
        let fits = match self {
            Self::Client(row) => !row.role.is_operator(),
            Self::Operator(row) => row.role.is_operator(),
            _ => true,
        };
        if fits { Ok(()) } else { Err(RowError::Role) }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one row.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RowKey {
    /// By serial.
    Certificate(Serial),
    /// By name.
    Client(Name),
    /// By name.
    Credential(Name),
    /// By credential and version.
    CredentialVersion(Name, u32),
    /// By pair.
    Feed(Pair),
    /// By target.
    Halt(HaltTarget),
    /// By venue, product and symbol.
    Instrument(Name, Product, String),
    /// By the token's id.
    Invite(Hex<16>),
    /// By name.
    Operator(Name),
    /// By name.
    Scope(Name),
}

impl RowKey {
    /// The row's table.
    pub fn table(&self) -> Table {
        match self {
            Self::Certificate(_) => Table::Certificate,
            Self::Client(_) => Table::Client,
            Self::Credential(_) => Table::Credential,
            Self::CredentialVersion(..) => Table::CredentialVersion,
            Self::Feed(_) => Table::Feed,
            Self::Halt(_) => Table::Halt,
            Self::Instrument(..) => Table::Instrument,
            Self::Invite(_) => Table::Invite,
            Self::Operator(_) => Table::Operator,
            Self::Scope(_) => Table::Scope,
        }
    }

    /// The key as the database has it.
    pub fn text(&self) -> String {
        match self {
            Self::Certificate(serial) => serial.to_string(),
            Self::Client(name)
            | Self::Credential(name)
            | Self::Operator(name)
            | Self::Scope(name) => name.to_string(),
            // A name has no slash.
            Self::CredentialVersion(credential, version) => format!("{credential}/{version}"),
            Self::Feed(pair) => pair.to_string(),
            Self::Halt(target) => target.to_string(),
            // Neither have a name and a product.
            Self::Instrument(venue, product, symbol) => format!("{venue}/{product}/{symbol}"),
            Self::Invite(token_id) => token_id.to_string(),
        }
    }
}

/// Writes a document: RFC 8785 JSON that every reader reads alike.
pub(super) fn canonical<T: Serialize>(value: &T) -> Result<String, RowError> {
    let value = serde_json::to_value(value)?;
    check_numbers(&value)?;
    let doc = serde_jcs::to_string(&value)?;
    if doc.len() > DOC_BYTES_MAX {
        return Err(RowError::TooLong);
    }
    Ok(doc)
}

/// RFC 8785 writes numbers as doubles: a greater integer would come back as another one.
fn check_numbers(value: &serde_json::Value) -> Result<(), RowError> {
    match value {
        serde_json::Value::Number(number) => {
            let exact = match (number.as_i64(), number.as_u64()) {
                (Some(signed), _) => signed.unsigned_abs() <= INTEGER_MAX,
                (None, Some(unsigned)) => unsigned <= INTEGER_MAX,
                (None, None) => true,
            };
            if exact { Ok(()) } else { Err(RowError::Number) }
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(check_numbers),
        serde_json::Value::Object(fields) => fields.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}

const INTEGER_MAX: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{INTEGER_MAX, Row, RowError, Table};
    use crate::storage::sample::{rows, stored_rows};

    #[test]
    fn documents_read_back_byte_for_byte() {
        let mut tables = BTreeSet::new();
        for stored in stored_rows() {
            let row = Row::parse(stored.table, &stored.doc).expect("a row");
            assert_eq!(row.doc().expect("canonical"), stored.doc);
            assert_eq!(row.key().text(), stored.key);
            assert_eq!((row.table(), row.key().table()), (stored.table, stored.table));
            tables.insert(stored.table);
        }
        assert_eq!(tables.len(), Table::ALL.len(), "a golden row for every table");
    }

    #[test]
    fn tables_are_in_the_order_of_their_names() {
        assert!(Table::ALL.is_sorted_by_key(|table| table.as_str()));
        assert!(Table::ALL.is_sorted());
    }

    #[test]
    fn unknown_fields_are_refused_everywhere() {
        for stored in stored_rows() {
            let extra = stored.doc.replacen('{', "{\"extra\":1,", 1);
            assert!(Row::parse(stored.table, &extra).is_err(), "{}", stored.table);
            assert!(Row::parse(stored.table, "{}").is_err(), "{}", stored.table);
            assert!(Row::parse(stored.table, "").is_err(), "{}", stored.table);
        }
    }

    #[test]
    fn refuses_numbers_that_would_be_rounded_and_documents_that_are_too_long() {
        for row in rows() {
            if let Row::Scope(mut scope) = row {
                scope.revision = INTEGER_MAX;
                assert!(Row::from(scope.clone()).doc().is_ok());
                scope.revision = INTEGER_MAX + 1;
                assert!(matches!(Row::from(scope.clone()).doc(), Err(RowError::Number)));
                scope.revision = 1;
                scope.document = serde_json::json!({"a": [{"b": -9_007_199_254_740_993_i64}]});
                assert!(matches!(Row::from(scope.clone()).doc(), Err(RowError::Number)));
                scope.document = serde_json::json!("a".repeat(super::DOC_BYTES_MAX));
                assert!(matches!(Row::from(scope).doc(), Err(RowError::TooLong)));
            }
        }
    }

    #[test]
    fn a_decimal_text_has_one_form() {
        for stored in stored_rows().iter().filter(|row| row.table == Table::Credential) {
            for text in ["\"01\"", "\"+1\"", "\"\"", "\"18446744073709551616\"", "1", "\"-1\""] {
                let doc = stored.doc.replace("\"18446744073709551615\"", text);
                assert_ne!(doc, stored.doc);
                assert!(Row::parse(stored.table, &doc).is_err(), "{text}");
            }
        }
    }
}
