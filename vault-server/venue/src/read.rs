//! Reads a request: checks every part of it against the catalogue, then says what it means.
//!
//! Nothing is normalised. A request is taken as it is, byte for byte, or refused.

use vault_model::{Environment, Reading, VenueRequest};

use crate::catalog::{Catalog, Location, Operation};
use crate::closure;
use crate::content::{self, Content};
use crate::error::ReadError;
use crate::member;
use crate::plain;
use crate::shape::{self, Misfit, Strictness};

/// The longest body taken, in bytes.
pub const BODY_BYTES_MAX: usize = 32 * 1024;

/// The longest query taken, in bytes.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// The longest header value taken, in bytes.
const HEADER_BYTES_MAX: usize = 256;

/// What is known about the credential that a request would be signed with.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Which hosts it is for.
    pub environment: Environment,
    /// Whether its operator has declared that the venue refuses parameters it does not know, and
    /// that operations without a sourced schema do not take the request.
    pub venue_checks: bool,
    /// The rights it holds, in the venue's words; absent: all of them.
    pub rights: Option<&'a [String]>,
}

impl Standing<'_> {
    /// Whether the key holds the right that an operation needs.
    pub(crate) fn opens(&self, operation: &Operation) -> bool {
        match (&operation.right, self.rights) {
            (Some(needed), Some(held)) => held.contains(needed),
            _ => true,
        }
    }
}

pub(crate) fn read(
    venue: &'static str,
    catalog: &Catalog,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Result<Reading, ReadError> {
    let operation = outer_parts(catalog, request, standing)?;
    if !standing.opens(operation) {
        return Err(ReadError::RightNotHeld);
    }
    let content = parameters(catalog, operation, request)?;
    let stated = member::read(catalog, operation, &content)?;
    let closure = closure::closure(catalog, operation, &stated, request, standing);
    Ok(Reading {
        venue,
        closure_hash: closure::hash(&closure),
        stated,
        closure,
        catalog_hash: catalog.hash,
    })
}

/// Checks method, path, scheme, host and headers; returns the operation that is stated.
fn outer_parts<'c>(
    catalog: &'c Catalog,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Result<&'c Operation, ReadError> {
    if !plain::is_method(&request.method) {
        return Err(ReadError::MethodNotPlain);
    }
    if !plain::is_path(&request.path) {
        return Err(ReadError::PathNotPlain);
    }
    let hosts = catalog.hosts(standing.environment).ok_or(ReadError::EnvironmentUnknown)?;
    let operation =
        catalog.operation(&request.method, &request.path).ok_or(ReadError::OperationUnknown)?;

    let (scheme, hosts) = if operation.ws { ("wss", &hosts.ws) } else { ("https", &hosts.rest) };
    if request.scheme != scheme {
        return Err(ReadError::SchemeNotAllowed);
    }
    if !hosts.contains(&request.host) {
        return Err(ReadError::HostUnknown);
    }

    let mut seen = std::collections::HashSet::new();
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let plain_value = value.len() <= HEADER_BYTES_MAX
            && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let listed = catalog.signature.caller_headers.contains(&name);
        if !listed || !plain_value || !seen.insert(name) {
            return Err(ReadError::HeaderNotAllowed);
        }
    }
    Ok(operation)
}

/// Reads the parameters from the one place where the operation has them.
fn parameters(
    catalog: &Catalog,
    operation: &Operation,
    request: &VenueRequest,
) -> Result<Content, ReadError> {
    if request.body.len() > BODY_BYTES_MAX {
        return Err(ReadError::BodyTooLarge);
    }
    if request.query.len() > QUERY_BYTES_MAX {
        return Err(ReadError::QueryMalformed);
    }
    if operation.location != Location::Query && !request.query.is_empty() {
        return Err(ReadError::QueryNotAllowed);
    }
    if operation.location != Location::Body && !request.body.is_empty() {
        return Err(ReadError::BodyNotAllowed);
    }
    let text = match operation.location {
        Location::Body => request.body.as_slice(),
        Location::Nowhere => &[],
        Location::Query => request.query.as_bytes(),
    };
    let content = content::parse(operation, text)?;

    if let Some(name) = catalog.signature.reserved.iter().find(|name| content.has(name)) {
        return Err(ReadError::ParameterReserved(name.clone()));
    }
    match operation.shape.and_then(|index| catalog.shapes.get(index)) {
        Some(shape) => {
            if operation.array_max.is_some() != content.is_array {
                return Err(ReadError::BodyMalformed);
            }
            for fields in &content.objects {
                shape::check(catalog, shape, fields, Strictness::STATED).map_err(misfit)?;
            }
        }
        None if !content.is_plain() => return Err(ReadError::BodyMalformed),
        None => {}
    }
    Ok(content)
}

fn misfit(misfit: Misfit) -> ReadError {
    match misfit {
        Misfit::Missing(name) => ReadError::ParameterMissing(name),
        Misfit::Unknown => ReadError::ParameterUnknown,
        Misfit::Value(name) => ReadError::ParameterValue(name),
    }
}
