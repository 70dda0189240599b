//! The closure of a request: every operation of the catalogue that accepts the signed bytes.
//!
//! A signature authorises bytes, not intentions. An operation accepts a request if the parts that
//! the signature binds are its own, and every parameter that it requires is there with a legal
//! value; a part that is not bound may be anything at all. Parameters that it does not know do
//! not save us, and neither does a schema that nobody sourced, unless the operator has declared
//! that the venue checks (`venue_checks`). Operations that need a right which the key lacks are
//! out. Operations that take no signature are out too: it opens nothing there.
//!
//! It is asked for with every request, so what can be decided by sets of parameter names alone is
//! decided by them, before any value is looked at.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use vault_model::{Member, VenueRequest};

use crate::catalog::{Binding, Binds, Catalog, Joined, Kind, Location, NameSet, Operation, Shape};
use crate::content::{self, Content};
use crate::member;
use crate::read::Standing;
use crate::shape::{self, Strictness};

/// Every operation that accepts what is signed for `request`, sorted by name, `stated` included.
/// `content` are the parameters as they were written.
pub(crate) fn closure(
    catalog: &Catalog,
    stated_operation: &Operation,
    stated: &Member,
    content: &Content,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Vec<Member> {
    if !stated_operation.signed {
        return vec![stated.clone()];
    }
    let signed = Signed::new(catalog, stated_operation, content, request, standing);
    let binding = Binding { domain: stated_operation.domain.clone(), binds: signed.binds };
    let hosts = catalog.hosts(standing.environment);
    catalog
        .table
        .candidates(&catalog.operations, &binding, &request.method, &request.path)
        .into_iter()
        .filter_map(|index| {
            let operation = catalog.operations.get(index)?;
            if std::ptr::eq(operation, stated_operation) {
                return Some(signed.stated(operation, stated));
            }
            let is_on_host =
                || hosts.is_some_and(|hosts| hosts.of(operation).contains(&request.host));
            let bound = operation.signed && (!signed.binds.host || is_on_host());
            if bound { signed.accepted_as(operation) } else { None }
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

/// Where query and body are one text, whoever holds the signature may cut it in two anywhere; a
/// venue that ignores the odd end takes a request with a shorter value, without its last parameters
/// or with the end of a name for a name. A venue that checks names refuses that.
fn is_cuttable(catalog: &Catalog, standing: &Standing<'_>) -> bool {
    catalog.signature.joined == Some(Joined::Concatenated) && !standing.venue_checks
}

/// What was signed.
struct Signed<'s> {
    catalog: &'s Catalog,
    standing: &'s Standing<'s>,
    binds: Binds,
    is_cuttable: bool,
    /// The stated operation is a request over a WebSocket.
    is_rpc: bool,
    /// Its schema is sourced, so the caller had to choose its parameters among those it knows.
    is_sourced: bool,
    /// Its parameters, as they were written.
    content: &'s Content,
    names: Names,
    /// The signed text of the query and of the body, where the stated operation is no `rpc`.
    query: &'s [u8],
    body: &'s [u8],
}

/// The names of the signed parameters.
struct Names {
    /// Those that count as there.
    present: NameSet,
    /// Those that are there.
    written: NameSet,
    /// One of them is known to no operation.
    strangers: bool,
}

impl Names {
    fn of(catalog: &Catalog, content: &Content, cuttable: bool) -> Self {
        let names = || content.objects.iter().flatten().map(|(name, _)| name.as_str());
        let (written, strangers) = catalog.table.set(names());
        let present = if cuttable { catalog.table.ends(names()) } else { written.clone() };
        Self { present, written, strangers }
    }
}

/// What an operation finds where it reads its parameters.
enum Found<'s> {
    /// The place is not signed: anything at all.
    Anything,
    /// The parameters as the stated operation wrote them, and whether more was signed.
    Same { rest: bool },
    /// Others, and whether there is signed text elsewhere that it does not know.
    Other { content: Cow<'s, Content>, rest: bool },
    /// A text that it cannot read at all.
    Nothing,
}

impl<'s> Signed<'s> {
    fn new(
        catalog: &'s Catalog,
        stated: &Operation,
        content: &'s Content,
        request: &'s VenueRequest,
        standing: &'s Standing<'s>,
    ) -> Self {
        let binds = catalog.binds(stated, standing.key_type);
        let is_cuttable = is_cuttable(catalog, standing);
        Self {
            catalog,
            standing,
            binds,
            is_cuttable,
            is_rpc: stated.rpc,
            is_sourced: stated.schema_sourced(),
            content,
            names: Names::of(catalog, content, is_cuttable),
            // Text in a place that is not signed can be left out, so it does not count.
            query: if binds.query { request.query.as_bytes() } else { &[] },
            body: if binds.body { request.body.as_slice() } else { &[] },
        }
    }

    /// The stated operation as the holder of the signature could call it.
    fn stated(&self, operation: &Operation, stated: &Member) -> Member {
        let is_open = operation.location != Location::Nowhere && !self.is_bound(operation.location);
        if is_open || (self.is_cuttable && operation.class.is_write()) {
            member::unread(self.catalog, operation)
        } else {
            stated.clone()
        }
    }

    fn accepted_as(&self, operation: &Operation) -> Option<Member> {
        // The text for a WebSocket has the API key in it, which no caller's parameter may be.
        if (operation.rpc && !self.is_rpc) || !self.standing.opens(operation) {
            return None;
        }
        let Some(shape) = operation.shape.and_then(|index| self.catalog.shapes.get(index)) else {
            let takes_any =
                !self.standing.venue_checks && !matches!(self.found(operation), Found::Nothing);
            return takes_any.then(|| member::unread(self.catalog, operation));
        };
        // Most operations want a parameter that is not there.
        let same = self.is_rpc || self.catalog.signature.joined == Some(Joined::Concatenated);
        if same
            && self.is_bound(operation.location)
            && operation.array_max.is_none()
            && !shape.required_set.is_within(&self.names.present)
        {
            return None;
        }
        match self.found(operation) {
            Found::Anything => Some(member::unread(self.catalog, operation)),
            Found::Nothing => None,
            Found::Same { rest } => self.fits(operation, shape, self.content, &self.names, rest),
            Found::Other { content, rest } => {
                let names = Names::of(self.catalog, &content, self.is_cuttable);
                self.fits(operation, shape, &content, &names, rest)
            }
        }
    }

    /// The operation with these parameters, if it accepts them.
    fn fits(
        &self,
        operation: &Operation,
        shape: &Shape,
        content: &Content,
        names: &Names,
        rest: bool,
    ) -> Option<Member> {
        let checks = self.standing.venue_checks;
        let several = operation.array_max.is_some();
        if !several && !shape.required_set.is_within(&names.present) {
            return None;
        }
        // A caller could add a name that nobody knows to a request that takes any, and so take
        // every other operation out.
        let refuses = checks && self.is_sourced;
        let knows_names = refuses && !self.can_hide(operation, shape, content);
        let is_strange = names.strangers || !names.written.is_within(&shape.known_set);
        if (refuses && rest) || (knows_names && is_strange) {
            return None;
        }
        let lenient = Strictness {
            cuttable: self.is_cuttable,
            optional: false,
            stated: false,
            unknown: knows_names,
        };
        let content = content.seen_by(shape);
        let fits = |how| {
            several == content.is_array
                && content
                    .objects
                    .iter()
                    .all(|fields| shape::check(self.catalog, shape, fields, how).is_ok())
        };
        // What requires nothing takes anything, where nothing is checked.
        let takes_all = !checks && !several && shape.required.is_empty() && shape.one_of.is_empty();
        if !takes_all && !fits(lenient) {
            return None;
        }
        if self.is_cuttable && operation.class.is_write() {
            return Some(member::unread(self.catalog, operation));
        }
        // An optional parameter that we cannot read, or that no rule can judge, could be one that
        // matters.
        let readable =
            fits(Strictness { optional: true, cuttable: false, stated: false, unknown: false })
                && !content.repeats_beyond(Some(shape))
                && !(shape.may_refuse
                    && content
                        .objects
                        .iter()
                        .any(|fields| shape::has_refused(self.catalog, shape, fields)));
        let read = readable.then(|| member::read(self.catalog, operation, &content).ok()).flatten();
        Some(read.unwrap_or_else(|| member::unread(self.catalog, operation)))
    }

    /// The text of a request over a WebSocket is not encoded, so in another message several
    /// parameters of this one can stand inside one value that takes any text.
    fn can_hide(&self, operation: &Operation, shape: &Shape, content: &Content) -> bool {
        let takes_any_text = |name: &String| {
            let kind = shape.params.get(name).map(|param| &param.kind);
            matches!(kind, Some(Kind::String { .. } | Kind::Text { .. }))
        };
        let names = || content.objects.iter().flatten().map(|(name, _)| name);
        self.is_rpc && operation.rpc && names().any(takes_any_text)
    }

    fn is_bound(&self, location: Location) -> bool {
        match location {
            Location::Body => self.binds.body,
            Location::Either => self.binds.body && self.binds.query,
            Location::Nowhere => true,
            Location::Query => self.binds.query,
        }
    }

    fn found(&self, operation: &Operation) -> Found<'s> {
        if !self.is_bound(operation.location) {
            return Found::Anything;
        }
        let joined = self.catalog.signature.joined;
        if self.is_rpc {
            // A REST operation finds the API key among the parameters.
            return Found::Same { rest: !operation.rpc };
        }
        let (query, body) = (self.query, self.body);
        // At most one of the two has text, since the stated operation reads one place.
        let either = if query.is_empty() { body } else { query };
        let (own, rest) = match operation.location {
            Location::Nowhere => (&[][..], !query.is_empty() || !body.is_empty()),
            Location::Body | Location::Either | Location::Query if joined.is_some() => {
                (either, false)
            }
            Location::Body => (body, !query.is_empty()),
            Location::Either => (either, false),
            Location::Query => (query, !body.is_empty()),
        };
        let is_json = matches!(own.trim_ascii_start().first(), Some(b'{' | b'['));
        let in_body = operation.location == Location::Body;
        // Who reads JSON refuses a body that is none: no text of `name=value` pairs is one.
        if in_body && !operation.body.form && !own.is_empty() && !is_json {
            return Found::Nothing;
        }
        let own_is_form = !in_body || (operation.body.form && !is_json);
        if own == either && !own.is_empty() && own_is_form == self.content.is_form {
            return Found::Same { rest };
        }
        match content::parse(operation, own, true) {
            Ok(content) => Found::Other { content: Cow::Owned(content), rest },
            // Text that is none of its parameters.
            Err(_) => Found::Other { content: Cow::Owned(Content::none()), rest: true },
        }
    }
}
