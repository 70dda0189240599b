//! The closure of a request: every operation of the catalogue that accepts the signed bytes.
//!
//! A signature authorises bytes, not intentions. An operation accepts a request if the parts that
//! the signature binds are its own, and every parameter that it requires is there with a legal
//! value; a part that is not bound may be anything at all. Parameters that it does not know do
//! not save us, and neither does a schema that nobody sourced, unless the operator has declared
//! that the venue checks (`venue_checks`). Operations that need a right which the key lacks are
//! out. Public operations are out too: they take no signature, so it opens nothing there.

use sha2::{Digest, Sha256};
use vault_model::{Class, Member, VenueRequest};

use crate::catalog::{Catalog, Location, Operation};
use crate::content::{self, Content};
use crate::member;
use crate::read::Standing;
use crate::shape::{self, Strictness};

/// Every operation that accepts what is signed for `request`, sorted by name, `stated` included.
pub(crate) fn closure(
    catalog: &Catalog,
    stated_operation: &Operation,
    stated: &Member,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Vec<Member> {
    let signed = Signed { catalog, request, standing };
    catalog
        .candidates(&request.method, &request.path)
        .filter_map(|operation| {
            if operation.name == stated_operation.name {
                Some(signed.stated(operation, stated))
            } else {
                signed.accepted_as(operation)
            }
        })
        .collect()
}

/// SHA-256 over the names of the operations, each followed by a line feed.
pub(crate) fn hash(closure: &[Member]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for member in closure {
        hasher.update(member.operation.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().into()
}

struct Signed<'s> {
    catalog: &'s Catalog,
    request: &'s VenueRequest,
    standing: &'s Standing<'s>,
}

/// What an operation finds where it reads its parameters.
enum Found {
    /// The place is not signed: anything at all.
    Anything,
    /// These, and whether there is signed text elsewhere that it does not know.
    These { content: Content, rest: bool },
}

impl Signed<'_> {
    /// Where query and body are one text, whoever holds the signature may cut it in two anywhere;
    /// a venue that ignores the odd end takes a request with a shorter value or without its last
    /// parameters. A venue that checks names refuses the odd end.
    fn is_cuttable(&self) -> bool {
        self.catalog.signature.joined && !self.standing.venue_checks
    }

    /// The stated operation as the holder of the signature could call it.
    fn stated(&self, operation: &Operation, stated: &Member) -> Member {
        let is_open = operation.location != Location::Nowhere && !self.is_bound(operation.location);
        if is_open || (self.is_cuttable() && operation.class.is_write()) {
            member::unread(operation)
        } else {
            stated.clone()
        }
    }

    fn accepted_as(&self, operation: &Operation) -> Option<Member> {
        if operation.class == Class::Public || !self.standing.opens(operation) {
            return None;
        }
        let Some(shape) = operation.shape.and_then(|index| self.catalog.shapes.get(index)) else {
            return (!self.standing.venue_checks).then(|| member::unknown(operation));
        };
        let (content, rest) = match self.found(operation) {
            Found::Anything => return Some(member::unread(operation)),
            Found::These { content, rest } => (content, rest),
        };
        if rest && self.standing.venue_checks {
            return None;
        }
        let lenient = Strictness {
            cuttable: self.is_cuttable(),
            optional: false,
            unknown: self.standing.venue_checks,
        };
        let fits = |how| {
            operation.array_max.is_some() == content.is_array
                && content
                    .objects
                    .iter()
                    .all(|fields| shape::check(self.catalog, shape, fields, how).is_ok())
        };
        if !fits(lenient) {
            return None;
        }
        if self.is_cuttable() && operation.class.is_write() {
            return Some(member::unread(operation));
        }
        // An optional parameter that we cannot read could be one that matters.
        let readable = fits(Strictness { optional: true, cuttable: false, unknown: false });
        let read = readable.then(|| member::read(self.catalog, operation, &content).ok()).flatten();
        Some(read.unwrap_or_else(|| member::unread(operation)))
    }

    fn is_bound(&self, location: Location) -> bool {
        match location {
            Location::Body => self.catalog.signature.binds_body,
            Location::Nowhere => true,
            Location::Query => self.catalog.signature.binds_query,
        }
    }

    fn found(&self, operation: &Operation) -> Found {
        let query = self.request.query.as_bytes();
        let body = self.request.body.as_slice();
        if !self.is_bound(operation.location) {
            return Found::Anything;
        }
        // Text in a place that is not signed can be left out, so it does not count.
        let signed_query = self.catalog.signature.binds_query && !query.is_empty();
        let signed_body = self.catalog.signature.binds_body && !body.is_empty();
        // At most one of the two has text, since the stated operation reads one place.
        let either = if query.is_empty() { body } else { query };
        let (own, rest) = match operation.location {
            Location::Nowhere => (&[][..], signed_query || signed_body),
            Location::Body | Location::Query if self.catalog.signature.joined => (either, false),
            Location::Body => (body, signed_query),
            Location::Query => (query, signed_body),
        };
        match content::parse(operation, own) {
            Ok(content) => Found::These { content, rest },
            // Text that is none of its parameters.
            Err(_) => Found::These { content: Content::none(), rest: true },
        }
    }
}
