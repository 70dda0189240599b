//! The API key that a bearer token names. Nobody verifies the token: it says who is meant, as a
//! header with a placeholder does, and what it is signed with is worth nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::name_of;
use crate::error::ReadError;

/// The longest token read, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
struct Header {
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
}

/// What an `Authorization` header names as API key: the token itself where it is a placeholder,
/// else `kid` and `sub` of a JSON Web Token, at least one of them.
///
/// # Errors
///
/// [`ReadError::KeyNotPlaceholder`] for every other kind of authorisation.
pub(super) fn names(value: &str) -> Result<Vec<String>, ReadError> {
    read(value).filter(|names| !names.is_empty()).ok_or(ReadError::KeyNotPlaceholder)
}

fn read(value: &str) -> Option<Vec<String>> {
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    if name_of(token).is_ok() {
        return Some(vec![token.to_owned()]);
    }
    let mut parts = token.split('.');
    let header: Header = part(parts.next()?)?;
    let claims: Claims = part(parts.next()?)?;
    Some(header.kid.into_iter().chain(claims.sub).collect())
}

fn part<T: for<'t> Deserialize<'t>>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}
