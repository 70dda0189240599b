//! What a bot's library puts into a request in place of what the vault makes: the name of the
//! credential where the API key belongs, a time, a nonce and a signature that are worth nothing.
//!
//! [`undress`] takes these off and leaves the rest as it stands, byte for byte and in its order.
//! It judges nothing: what it does not understand it leaves, and the reader refuses it.

mod form;
mod json;
mod token;

use vault_model::VenueRequest;

use crate::catalog::Catalog;
use crate::error::ReadError;

/// What stands before the name of a credential, where the API key belongs.
pub const PLACEHOLDER: &str = "countersign:";

/// [`PLACEHOLDER`] as a form may have it.
const ENCODED: &str = "countersign%3A";

/// The longest name taken, in bytes. What a name may be is for others to say.
const NAME_BYTES_MAX: usize = 128;

/// A request without what its sender's library added.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undressed {
    /// The name of the credential, without [`PLACEHOLDER`]: 1 to 128 printable ASCII characters,
    /// and not otherwise checked. Absent: the request names none, and can be open to everybody only.
    pub credential: Option<String>,
    /// The request as it is to be judged.
    pub request: VenueRequest,
}

/// Where the libraries of a venue put key, time, nonce and signature. What they have in other
/// headers needs no mention: no header goes on that the catalogue does not list.
#[derive(Clone, Copy, Debug)]
pub struct Placeholders {
    /// Headers with the API key, in lower case.
    pub key_headers: &'static [&'static str],
    /// Parameters with the API key.
    pub key_parameters: &'static [&'static str],
    /// Whether `Authorization: Bearer` has a token that names the API key.
    pub token: bool,
    /// Parameters of queries, forms and JSON objects that the vault makes anew.
    pub made_anew: &'static [&'static str],
}

/// Takes the placeholders off.
///
/// # Errors
///
/// [`ReadError::KeyNotPlaceholder`], [`ReadError::PlaceholdersDiffer`].
pub(crate) fn undress(
    catalog: &Catalog,
    places: &Placeholders,
    request: &VenueRequest,
) -> Result<Undressed, ReadError> {
    let form_body = form::of(&request.body);
    let mut found = Found(None);
    for (name, value) in &request.headers {
        if places.key_headers.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            found.add(name_of(value)?)?;
        } else if places.token && name.eq_ignore_ascii_case("authorization") {
            for text in token::names(value)? {
                found.add(name_of(&text)?)?;
            }
        }
    }
    for (name, value) in
        form::pairs(&request.query).chain(form_body.into_iter().flat_map(form::pairs))
    {
        if places.key_parameters.contains(&name) {
            found.add(name_of(value)?)?;
        }
    }

    let keeps = |name: &str| {
        catalog.signature.caller_headers.iter().any(|kept| name.eq_ignore_ascii_case(kept))
            || catalog.selects_environment(name)
    };
    let mut request = request.clone();
    request.headers.retain(|(name, _)| keeps(name));
    if found.0.is_some() {
        take_off(catalog, places, &mut request);
    }
    Ok(Undressed { credential: found.0, request })
}

/// Takes off the parameters that the vault makes anew, and a window that is wider than the vault
/// signs. A name that is there twice stays twice, for the reader to refuse: which of the two a venue
/// would heed is not known.
fn take_off(catalog: &Catalog, places: &Placeholders, request: &mut VenueRequest) {
    let window = catalog.signature.window.as_ref();
    let is_anew =
        |name: &str| places.made_anew.contains(&name) || places.key_parameters.contains(&name);
    let is_window = |name: &str| window.is_some_and(|window| window.name == name);
    let may_go = |name: &str| is_anew(name) || is_window(name);
    let is_wide = |value: &str| {
        window.is_some_and(|window| value.parse::<u64>().is_ok_and(|ms| ms > window.max_ms))
    };
    let goes = |name: &str, value: &str| is_anew(name) || (is_window(name) && is_wide(value));
    let form = form::of(&request.body);
    let counts = form::counts(&[&request.query, form.unwrap_or_default()], may_go);
    let once = |name: &str, value: &str| goes(name, value) && counts.get(name) == Some(&1);
    let query = form::without(&request.query, once);
    let body = match form {
        Some(form) => Some(form::without(form, once).into_bytes()),
        None => json::without(&request.body, places.made_anew),
    };
    request.query = query;
    if let Some(body) = body {
        request.body = body;
    }
}

/// The values of a parameter in the query or in the form of a request, as written.
pub(crate) fn values_of<'r>(request: &'r VenueRequest, name: &str) -> Vec<&'r str> {
    let body = form::of(&request.body);
    form::pairs(&request.query)
        .chain(body.into_iter().flat_map(form::pairs))
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value)
        .collect()
}

/// The one credential that a request names.
struct Found(Option<String>);

impl Found {
    fn add(&mut self, name: &str) -> Result<(), ReadError> {
        match &self.0 {
            Some(known) if known != name => return Err(ReadError::PlaceholdersDiffer),
            Some(_) => {}
            None => self.0 = Some(name.to_owned()),
        }
        Ok(())
    }
}

/// The name in a placeholder. Anything else may be a real key, of a bot that still holds a secret.
pub(crate) fn name_of(text: &str) -> Result<&str, ReadError> {
    let encoded = || {
        let (head, rest) = text.split_at_checked(ENCODED.len())?;
        head.eq_ignore_ascii_case(ENCODED).then_some(rest)
    };
    let name = text.strip_prefix(PLACEHOLDER).or_else(encoded);
    let fits = |name: &&str| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
    };
    name.filter(fits).ok_or(ReadError::KeyNotPlaceholder)
}

#[cfg(test)]
mod tests;
