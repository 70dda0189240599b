//! Reads a request: checks every part of it against the catalogue, then says what it means.
//!
//! Nothing is normalised. A request is taken as it is, byte for byte, or refused.

use std::borrow::Cow;

use vault_model::{Environment, Member, Reading, VenueRequest};

use crate::catalog::{Catalog, Joined, Location, Operation, Shape, Signature};
use crate::closure;
use crate::content::{self, Content};
use crate::error::ReadError;
use crate::json::Value;
use crate::key::KeyType;
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
    /// Of these, those of which sites: as [`Sites::serve`](crate::Sites::serve) takes them. Absent: no
    /// credential is known, and a request to any of them is read.
    pub sites: Option<&'a [String]>,
    /// Whether its operator has declared that the venue refuses parameters it does not know, and
    /// that operations without a sourced schema do not take the request.
    pub venue_checks: bool,
    /// The rights it holds, in the venue's words; absent: all of them.
    pub rights: Option<&'a [String]>,
    /// The type of its key: at some venues it decides what a signature binds.
    pub key_type: KeyType,
}

impl Standing<'_> {
    /// Whether the key holds a right that an operation needs.
    pub(crate) fn opens(&self, operation: &Operation) -> bool {
        match self.rights {
            Some(held) if !operation.rights.is_empty() => {
                operation.rights.iter().any(|needed| held.contains(needed))
            }
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
    let (number, stated, written) = stated(catalog, request, standing)?;
    let closure = closure::closure(catalog, number, &stated, &written, request, standing);
    Ok(reading(venue, catalog, stated, closure))
}

/// As [`read`], for a request whose signature nobody gets but the venue: its closure is the stated
/// operation alone.
pub(crate) fn read_alone(
    venue: &'static str,
    catalog: &Catalog,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Result<Reading, ReadError> {
    let (_, stated, _) = stated(catalog, request, standing)?;
    let closure = vec![stated.clone()];
    Ok(reading(venue, catalog, stated, closure))
}

fn reading(
    venue: &'static str,
    catalog: &Catalog,
    stated: Member,
    closure: Vec<Member>,
) -> Reading {
    let closure_hash = closure::hash(&closure);
    Reading { venue, closure_hash, stated, closure, catalog_hash: catalog.hash }
}

/// The stated operation: its place among the operations, what it says, and its parameters as they
/// were written.
fn stated<'r>(
    catalog: &Catalog,
    request: &'r VenueRequest,
    standing: &Standing<'_>,
) -> Result<(usize, Member, Content<'r>), ReadError> {
    let (number, operation) = outer_parts(catalog, request, standing)?;
    if !standing.opens(operation) {
        return Err(ReadError::RightNotHeld);
    }
    let shape = operation.shape.and_then(|index| catalog.shapes.get(index));
    let written = parameters(catalog, operation, shape, request)?;
    let seen = seen(catalog, operation, shape, &written)?;
    let stated = member::read(catalog, operation, &seen)?;
    Ok((number, stated, written))
}

/// Checks method, path, scheme, host and headers; returns the operation that is stated, and its place
/// among the operations.
fn outer_parts<'c>(
    catalog: &'c Catalog,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Result<(usize, &'c Operation), ReadError> {
    if !plain::is_method(&request.method) {
        return Err(ReadError::MethodNotPlain);
    }
    if !plain::is_path(&request.path) {
        return Err(ReadError::PathNotPlain);
    }
    let hosts = catalog.hosts(standing.environment).ok_or(ReadError::EnvironmentUnknown)?;
    let number =
        catalog.number_of(&request.method, &request.path).ok_or(ReadError::OperationUnknown)?;
    let operation = catalog.operations.get(number).ok_or(ReadError::OperationUnknown)?;

    if request.scheme != if operation.is_socket() { "wss" } else { "https" } {
        return Err(ReadError::SchemeNotAllowed);
    }
    if !hosts.of(operation).contains(&request.host) {
        return Err(ReadError::HostUnknown);
    }
    if standing.sites.is_some_and(|sites| !hosts.sites.serve(sites, &request.host)) {
        return Err(ReadError::HostElsewhere);
    }

    let mut seen = std::collections::HashSet::new();
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let plain_value = value.len() <= HEADER_BYTES_MAX
            && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        // A header that selects the environment may say what the vault says anyway.
        let listed = catalog.signature.caller_headers.contains(&name)
            || hosts
                .headers
                .iter()
                .any(|(own, set)| own.eq_ignore_ascii_case(&name) && set == value);
        if !listed || !plain_value || !seen.insert(name) {
            return Err(ReadError::HeaderNotAllowed);
        }
    }
    Ok((number, operation))
}

/// Reads the parameters from the one place where the operation has them, as they were written,
/// without what narrows the window.
fn parameters<'r>(
    catalog: &Catalog,
    operation: &Operation,
    shape: Option<&Shape>,
    request: &'r VenueRequest,
) -> Result<Content<'r>, ReadError> {
    if request.body.len() > BODY_BYTES_MAX {
        return Err(ReadError::BodyTooLarge);
    }
    if request.query.len() > QUERY_BYTES_MAX {
        return Err(ReadError::QueryMalformed);
    }
    let location = operation.intake.location;
    let takes_query = matches!(location, Location::Query | Location::Either);
    let takes_body = matches!(location, Location::Body | Location::Either);
    if !takes_query && !request.query.is_empty() {
        return Err(ReadError::QueryNotAllowed);
    }
    if !(takes_body && (request.body.is_empty() || request.query.is_empty()))
        && !request.body.is_empty()
    {
        return Err(ReadError::BodyNotAllowed);
    }
    let in_body = !request.body.is_empty();
    let text = if in_body { request.body.as_slice() } else { request.query.as_bytes() };
    let mut written = content::parse(&catalog.table, operation.intake, text, in_body)?;

    if let Some(name) = reserved(&catalog.signature, &written) {
        return Err(ReadError::ParameterReserved(name.clone()));
    }
    if let Some(window) = &catalog.signature.window
        && let Some(value) = written.take(&window.name)
        && !is_window(&value, window.max_ms)
    {
        return Err(ReadError::ParameterValue(window.name.clone()));
    }
    if written.repeats_beyond(shape) {
        return Err(ReadError::ParameterDuplicate);
    }
    Ok(written)
}

/// The parameters as the operation reads them, checked against its shape.
fn seen<'w>(
    catalog: &Catalog,
    operation: &Operation,
    shape: Option<&Shape>,
    written: &'w Content<'w>,
) -> Result<Cow<'w, Content<'w>>, ReadError> {
    let Some(shape) = shape else {
        return if written.is_plain() {
            Ok(Cow::Borrowed(written))
        } else {
            Err(ReadError::BodyMalformed)
        };
    };
    if operation.intake.array_max.is_some() != written.is_array {
        return Err(ReadError::BodyMalformed);
    }
    let seen = written.seen_by(&catalog.table, shape);
    for fields in &seen.objects {
        shape::check(catalog, shape, fields, Strictness::STATED).map_err(misfit)?;
    }
    Ok(seen)
}

/// The reserved name that a caller has sent. Where the signed text can be cut inside a name, a name
/// that ends with a reserved one, or with that of the window, becomes it.
fn reserved<'c>(signature: &'c Signature, written: &Content<'_>) -> Option<&'c String> {
    let cuttable = signature.joined == Some(Joined::Concatenated);
    let window = signature.window.as_ref().map(|window| &window.name);
    let ends_with = |name: &String| {
        cuttable
            && written
                .objects
                .iter()
                .flatten()
                .any(|field| field.name != name.as_str() && field.name.ends_with(name.as_str()))
    };
    let names = &signature.reserved;
    names
        .iter()
        .find(|name| written.has(name))
        .or_else(|| names.iter().chain(window).find(|name| ends_with(name)))
}

/// Whether a value narrows the window: a whole number of milliseconds from 1 to the largest.
fn is_window(value: &Value<'_>, max_ms: u64) -> bool {
    let (Value::Text(text) | Value::Number(text)) = value else {
        return false;
    };
    let is_number = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    is_number && text.parse::<u64>().is_ok_and(|ms| (1..=max_ms).contains(&ms))
}

pub(crate) fn misfit(misfit: Misfit<'_>) -> ReadError {
    match misfit {
        Misfit::Missing(names) => ReadError::ParameterMissing(names.join(" or ")),
        Misfit::Refused(name) => ReadError::ParameterRefused(name.to_owned()),
        Misfit::Together(names) => ReadError::ParameterValue(names.join(" and ")),
        Misfit::Unknown => ReadError::ParameterUnknown,
        Misfit::Value(name) => ReadError::ParameterValue(name.to_owned()),
    }
}
