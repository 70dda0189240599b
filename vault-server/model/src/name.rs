//! Names and identifiers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a name, a serial or a request id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// Not `[a-z0-9][a-z0-9._-]{0,62}`.
    #[error("a name is 1 to 63 of a-z, 0-9, '.', '_' and '-', and begins with a letter or digit")]
    Name,
    /// Not `[A-Za-z0-9_-]{1,64}`.
    #[error("a request id is 1 to 64 of A-Z, a-z, 0-9, '_' and '-'")]
    RequestId,
    /// Not 32 hex digits.
    #[error("a serial is 32 hex digits")]
    Serial,
}

/// The name of a client, operator, credential or scope: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(NameError::Name) }
    }
}

fn is_name(text: &str) -> bool {
    let head_fits =
        text.as_bytes().first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest_fits = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
    head_fits && rest_fits && text.len() <= 63
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if is_name(&text) { Ok(Self(text)) } else { Err(NameError::Name) }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id a client gives a request, by which a retry is recognised: `[A-Za-z0-9_-]{1,64}`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct RequestId(String);

impl RequestId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_request_id(text) { Ok(Self(text.to_owned())) } else { Err(NameError::RequestId) }
    }
}

fn is_request_id(text: &str) -> bool {
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    fits && !text.is_empty() && text.len() <= 64
}

impl TryFrom<String> for RequestId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if is_request_id(&text) { Ok(Self(text)) } else { Err(NameError::RequestId) }
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate's serial number: 16 bytes, written as 32 lower-case hex digits.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(pub [u8; 16]);

impl Serial {
    /// From big-endian bytes as a certificate has them: leading zeros may be missing, and one
    /// extra zero byte may stand before them.
    pub fn from_der_integer(bytes: &[u8]) -> Option<Self> {
        let first = bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len());
        let digits = &bytes[first..];
        let start = 16usize.checked_sub(digits.len())?;
        let mut serial = [0; 16];
        serial[start..].copy_from_slice(digits);
        Some(Self(serial))
    }
}

impl FromStr for Serial {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut serial = [0; 16];
        hex::decode_to_slice(text, &mut serial).map_err(|_| NameError::Serial)?;
        Ok(Self(serial))
    }
}

impl TryFrom<String> for Serial {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        hex::encode(serial.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, NameError, RequestId, Serial};

    #[test]
    fn takes_plain_names_only() {
        assert!("mm-okx.1_a".parse::<Name>().is_ok());
        for text in ["", "-a", "A", "a b", "a/b", "a\n", &"a".repeat(64)] {
            assert_eq!(text.parse::<Name>(), Err(NameError::Name), "{text:?}");
        }
    }

    #[test]
    fn takes_plain_request_ids_only() {
        assert!("01J_x-Z".parse::<RequestId>().is_ok());
        for text in ["", "a b", "a.b", &"a".repeat(65)] {
            assert_eq!(text.parse::<RequestId>(), Err(NameError::RequestId), "{text:?}");
        }
    }

    #[test]
    fn reads_serials_of_certificates() {
        let serial = Serial::from_der_integer(&[0, 0xff, 1]).expect("short serial");

        assert_eq!(serial.to_string(), "0000000000000000000000000000ff01");
        assert_eq!(serial.to_string().parse(), Ok(serial));
        assert_eq!(Serial::from_der_integer(&[1; 17]), None);
    }
}
