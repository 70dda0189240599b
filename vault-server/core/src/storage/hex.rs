//! Public bytes that are written as lower-case hex in documents.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Not lower-case hex of the right length.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected lower-case hex of the right length")]
pub struct HexError;

/// `N` bytes, written as `2 * N` lower-case hex digits.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> FromStr for Hex<N> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let mut bytes = [0; N];
        hex::decode_to_slice(lower(text)?, &mut bytes).map_err(|_| HexError)?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = HexError;

    fn try_from(text: String) -> Result<Self, HexError> {
        text.parse()
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(bytes: Hex<N>) -> Self {
        bytes.to_string()
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hex({self})")
    }
}

/// Any number of bytes, written as lower-case hex digits.
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexBytes(pub Vec<u8>);

impl TryFrom<String> for HexBytes {
    type Error = HexError;

    fn try_from(text: String) -> Result<Self, HexError> {
        hex::decode(lower(&text)?).map(Self).map_err(|_| HexError)
    }
}

impl From<HexBytes> for String {
    fn from(bytes: HexBytes) -> Self {
        hex::encode(bytes.0)
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexBytes({})", hex::encode(&self.0))
    }
}

/// One value has one text: what is not lower case is not hex here.
fn lower(text: &str) -> Result<&str, HexError> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { Err(HexError) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::{Hex, HexBytes, HexError};

    #[test]
    fn reads_one_text_per_value() {
        assert_eq!("00ff".parse(), Ok(Hex([0, 255])));
        for text in ["", "00", "00ff00", "00FF", "00fg", " 00ff"] {
            assert_eq!(text.parse::<Hex<2>>(), Err(HexError), "{text:?}");
        }
        assert_eq!(HexBytes::try_from("0aff".to_owned()), Ok(HexBytes(vec![10, 255])));
        for text in ["0", "0A", "zz"] {
            assert_eq!(HexBytes::try_from(text.to_owned()), Err(HexError), "{text:?}");
        }
    }
}
