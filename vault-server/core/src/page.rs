//! Pages of a list: so many rows in the order of their keys, and a token at which the next page goes on.
//!
//! A list is answered on the thread that decides. What it does for one page is bounded, and between two
//! pages others have their turn. A token names the row that was looked at last: what comes or goes
//! between two pages moves no other row, so none is told twice, and none that was there all the time is
//! left out.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use prost::Message;

use crate::command::Method;
use crate::error::VaultError;

/// Which page of which list is asked for.
pub(crate) struct Page<'c> {
    list: Method,
    /// What narrows the list, as the command says it.
    filter: &'c str,
    rows: usize,
    after: Option<String>,
}

/// A row that was looked at.
pub(crate) struct Listed<M> {
    /// Its place in the order of the list.
    pub key: String,
    /// What the answer says of it, if it belongs into the list.
    pub message: Option<M>,
    /// How many rows were read for it, of all tables.
    pub read: usize,
}

impl<'c> Page<'c> {
    /// Takes a command's `page_size` and `page_token`.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`] for a token that is none of this list with this filter.
    pub fn new(
        list: Method,
        filter: &'c str,
        page_size: u32,
        page_token: &str,
    ) -> Result<Self, VaultError> {
        let rows = match usize::try_from(page_size) {
            Ok(0) | Err(_) => READ_MAX,
            Ok(rows) => rows.min(READ_MAX),
        };
        let mut page = Self { list, filter, rows, after: None };
        if !page_token.is_empty() {
            page.after = Some(page.read_token(page_token).ok_or(WRONG_TOKEN)?);
        }
        Ok(page)
    }

    /// The key after which the page begins.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`] if the token has none of this list.
    pub fn after<K>(&self, parse: impl FnOnce(&str) -> Option<K>) -> Result<Option<K>, VaultError> {
        self.after.as_deref().map(|text| parse(text).ok_or(WRONG_TOKEN)).transpose()
    }

    /// Fills the page; `rows` begin after [`Page::after`]. Returns what the answer says, and the token of
    /// the next page: empty if there is none.
    ///
    /// # Errors
    ///
    /// Those of a row.
    pub fn fill<M: Message>(
        &self,
        rows: impl Iterator<Item = Result<Listed<M>, VaultError>>,
    ) -> Result<(Vec<M>, String), VaultError> {
        let mut messages = Vec::new();
        let (mut read, mut bytes) = (0, 0);
        let mut last: Option<String> = None;
        for row in rows {
            let row = row?;
            let row_bytes = row.message.as_ref().map_or(0, Message::encoded_len);
            let is_full = messages.len() >= self.rows
                || read + row.read > READ_MAX
                || bytes + row_bytes > BYTES_MAX;
            if let Some(last) = last.as_deref().filter(|_| is_full) {
                return Ok((messages, self.token(last)));
            }
            read += row.read;
            bytes += row_bytes;
            messages.extend(row.message);
            last = Some(row.key);
        }
        Ok((messages, String::new()))
    }

    fn token(&self, last: &str) -> String {
        let parts = [self.list.name(), self.filter, last].join(SEPARATOR);
        BASE64_URL_SAFE_NO_PAD.encode(parts)
    }

    fn read_token(&self, token: &str) -> Option<String> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let rest = text.strip_prefix(self.list.name())?.strip_prefix(SEPARATOR)?;
        let last = rest.strip_prefix(self.filter)?.strip_prefix(SEPARATOR)?;
        Some(last.to_owned())
    }
}

impl<M> Listed<M> {
    /// A row for which no other is read.
    pub fn row(key: String, message: M) -> Self {
        Self { key, message: Some(message), read: 1 }
    }
}

const WRONG_TOKEN: VaultError =
    VaultError::Field("page_token is not one that the vault gave for this list and filter");
/// No name, venue, pair or target has it.
const SEPARATOR: &str = "\0";
/// Rows that are read for a page at most, but for those of its first row.
const READ_MAX: usize = 1_000;
/// What is in a page at most, but for its first row: an answer must fit into a frame.
const BYTES_MAX: usize = 512 << 10;

#[cfg(test)]
mod tests;
