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
//! decided by them, for all operations that read alike at once, before any value is looked at.

mod findings;

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use vault_model::{Member, VenueRequest};

use self::findings::Findings;
use crate::catalog::{Binds, Catalog, Intake, Joined, Kind, Location, Operation, Set, Shape};
use crate::content::{self, Content};
use crate::json::Field;
use crate::member;
use crate::read::Standing;
use crate::shape::{self, Strictness};

/// Every operation that accepts what is signed for `request`, sorted by name, `stated` included.
/// `stated_number` is its place among the operations, `content` the parameters as they were written.
pub(crate) fn closure(
    catalog: &Catalog,
    stated_number: usize,
    stated: &Member,
    content: &Content<'_>,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Vec<Member> {
    let Some(stated_operation) =
        catalog.operations.get(stated_number).filter(|operation| operation.signed)
    else {
        return vec![stated.clone()];
    };
    let signed = Signed::new(catalog, stated_operation, content, request, standing);
    let (domain, binds) = (&stated_operation.domain, signed.binds);
    let (method, path) = (&request.method, &request.path);
    let mut others = catalog.table.candidates(&catalog.operations, domain, binds, method, path);
    let is_candidate = others.remove(stated_number);
    if is_candidate && others.is_empty() {
        return vec![signed.stated(stated_operation, stated)];
    }

    // For each way to read the text: the operations that read it so, and what they find.
    let names = Names::of(&signed, content);
    let ways = catalog.table.index.by_intake.iter();
    let ways: Vec<_> = ways
        .filter(|(_, alike)| alike.meets(&others))
        .map(|(intake, alike)| (alike, signed.found(*intake, &names)))
        .filter(|(_, found)| !matches!(found, Found::Nothing))
        .collect();
    let mut open: Vec<(usize, Option<&Found<'_>>)> = Vec::with_capacity(16);
    for (alike, found) in &ways {
        if let Some(possible) = signed.possible(alike, found) {
            let numbers = Set::common([alike, &others, possible]);
            open.extend(numbers.map(|number| (number, Some(found))));
        }
    }
    open.extend(is_candidate.then_some((stated_number, None)));
    open.sort_unstable_by_key(|(number, _)| *number);

    let hosts = catalog.hosts(standing.environment);
    let mut findings = Findings::new(catalog, content);
    if let Some(shape) = signed.shape(stated_operation)
        && let Cow::Borrowed(_) = content.seen_by(&catalog.table, shape)
    {
        findings.know(stated_operation, shape, &stated.intent);
    }
    let accept = |(number, found): (usize, Option<&Found<'_>>)| {
        let operation = catalog.operations.get(number)?;
        let Some(found) = found else {
            return Some(signed.stated(operation, stated));
        };
        let is_on_host = || hosts.is_some_and(|hosts| hosts.of(operation).contains(&request.host));
        let bound = operation.signed && (!binds.host || is_on_host());
        if bound { signed.accepted_as(operation, found, &mut findings) } else { None }
    };
    let mut members = Vec::with_capacity(open.len());
    members.extend(open.into_iter().filter_map(accept));
    members
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
    content: &'s Content<'s>,
    /// The signed text of the query and of the body, where the stated operation is no `rpc`.
    query: &'s [u8],
    body: &'s [u8],
}

/// The names of some parameters.
#[derive(Clone)]
struct Names {
    /// Those that count as there.
    present: Set,
    /// Those that are there.
    written: Set,
    /// One of them is known to no operation.
    strangers: bool,
    /// The numbers of all operations that could accept such names: some of them may not.
    possible: Set,
}

impl Names {
    fn of(signed: &Signed<'_>, content: &Content<'_>) -> Self {
        let table = &signed.catalog.table;
        let fields = || content.objects.iter().flatten();
        let written: Set = fields().filter_map(|field| field.number).collect();
        let strangers = fields().any(|field| field.number.is_none());
        let present = if signed.is_cuttable {
            table.ends(fields().map(|field| field.name))
        } else {
            written.clone()
        };
        let mut possible = table.index.satisfied_by(&present);
        // What can hide in a value is asked for one by one.
        if signed.refuses() && !signed.is_rpc {
            if strangers {
                possible.clear();
            }
            table.index.keep_knowing(&mut possible, &written);
        }
        Self { present, written, strangers, possible }
    }
}

/// What operations of one intake find where they read their parameters.
enum Found<'s> {
    /// The place is not signed: anything at all.
    Anything,
    /// A text that they cannot read at all.
    Nothing,
    /// These parameters, and whether there is signed text that they do not know.
    Parameters { content: Cow<'s, Content<'s>>, names: Cow<'s, Names>, rest: bool },
}

impl<'s> Signed<'s> {
    fn new(
        catalog: &'s Catalog,
        stated: &Operation,
        content: &'s Content<'s>,
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
            // Text in a place that is not signed can be left out, so it does not count.
            query: if binds.query { request.query.as_bytes() } else { &[] },
            body: if binds.body { request.body.as_slice() } else { &[] },
        }
    }

    /// The stated operation as the holder of the signature could call it.
    fn stated(&self, operation: &Operation, stated: &Member) -> Member {
        let location = operation.intake.location;
        let is_open = location != Location::Nowhere && !self.is_bound(location);
        if is_open || (self.is_cuttable && operation.class.is_write()) {
            member::unread(operation)
        } else {
            stated.clone()
        }
    }

    /// Of the operations that read alike, those that could accept what they find: nothing where none
    /// can.
    fn possible<'f>(&self, alike: &'f Set, found: &'f Found<'_>) -> Option<&'f Set> {
        match found {
            Found::Anything => Some(alike),
            Found::Nothing => None,
            Found::Parameters { rest: true, .. } if self.refuses() => None,
            Found::Parameters { names, .. } => Some(&names.possible),
        }
    }

    /// Whether what an operation does not know is refused: the venue checks. A caller could add a
    /// name that nobody knows to a request that takes any, and so take every other operation out.
    fn refuses(&self) -> bool {
        self.standing.venue_checks && self.is_sourced
    }

    fn shape(&self, operation: &Operation) -> Option<&'s Shape> {
        operation.shape.and_then(|index| self.catalog.shapes.get(index))
    }

    fn accepted_as(
        &self,
        operation: &Operation,
        found: &Found<'_>,
        findings: &mut Findings<'s>,
    ) -> Option<Member> {
        // The text for a WebSocket has the API key in it, which no caller's parameter may be.
        if (operation.rpc && !self.is_rpc) || !self.standing.opens(operation) {
            return None;
        }
        match (found, self.shape(operation)) {
            (Found::Nothing, _) => None,
            (_, None) if self.standing.venue_checks => None,
            (_, None) | (Found::Anything, _) => Some(member::unread(operation)),
            (Found::Parameters { content, names, rest }, Some(shape)) => {
                self.fits(operation, shape, content, names, *rest, findings)
            }
        }
    }

    /// The operation with these parameters, if it accepts them.
    fn fits(
        &self,
        operation: &Operation,
        shape: &'s Shape,
        content: &Content<'_>,
        names: &Names,
        rest: bool,
        findings: &mut Findings<'s>,
    ) -> Option<Member> {
        let checks = self.standing.venue_checks;
        let several = operation.intake.array_max.is_some();
        if !several && !shape.required_set.is_within(&names.present) {
            return None;
        }
        let refuses = self.refuses();
        let knows_names = refuses && !self.can_hide(operation, shape, content);
        let is_strange = names.strangers || !names.written.is_within(&shape.known_set);
        if (refuses && rest) || (knows_names && is_strange) {
            return None;
        }
        // What requires nothing takes anything, where nothing is checked.
        let takes_all = !checks && !several && shape.required.is_empty() && shape.one_of.is_empty();
        let content = content.seen_by(&self.catalog.table, shape);
        if several == content.is_array && !self.is_cuttable && findings.are_of(&content) {
            let intent = findings.intent(operation, shape, takes_all, knows_names)?;
            return Some(member::with(operation, intent));
        }
        let lenient = Strictness {
            cuttable: self.is_cuttable,
            optional: false,
            stated: false,
            unknown: knows_names,
        };
        let fits = |how| {
            several == content.is_array
                && content
                    .objects
                    .iter()
                    .all(|fields| shape::check(self.catalog, shape, fields, how).is_ok())
        };
        if !takes_all && !fits(lenient) {
            return None;
        }
        if self.is_cuttable && operation.class.is_write() {
            return Some(member::unread(operation));
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
        Some(read.unwrap_or_else(|| member::unread(operation)))
    }

    /// The text of a request over a WebSocket is not encoded, so in another message several
    /// parameters of this one can stand inside one value that takes any text.
    fn can_hide(&self, operation: &Operation, shape: &Shape, content: &Content<'_>) -> bool {
        let takes_any_text = |field: &Field<'_>| {
            let kind = shape.param(field).map(|param| &param.kind);
            matches!(kind, Some(Kind::String { .. } | Kind::Text { .. }))
        };
        self.is_rpc && operation.rpc && content.objects.iter().flatten().any(takes_any_text)
    }

    fn is_bound(&self, location: Location) -> bool {
        match location {
            Location::Body => self.binds.body,
            Location::Either => self.binds.body && self.binds.query,
            Location::Nowhere => true,
            Location::Query => self.binds.query,
        }
    }

    fn found<'f>(&'f self, intake: Intake, stated: &'f Names) -> Found<'f> {
        let Intake { body: forms, location, rpc, .. } = intake;
        if !self.is_bound(location) {
            return Found::Anything;
        }
        let same = |rest| Found::Parameters {
            content: Cow::Borrowed(self.content),
            names: Cow::Borrowed(stated),
            rest,
        };
        let joined = self.catalog.signature.joined;
        if self.is_rpc {
            // A REST operation finds the API key among the parameters.
            return if !rpc && self.refuses() { Found::Nothing } else { same(!rpc) };
        }
        let (query, body) = (self.query, self.body);
        // At most one of the two has text, since the stated operation reads one place.
        let either = if query.is_empty() { body } else { query };
        let (own, rest) = match location {
            Location::Nowhere => (&[][..], !query.is_empty() || !body.is_empty()),
            Location::Body | Location::Either | Location::Query if joined.is_some() => {
                (either, false)
            }
            Location::Body => (body, !query.is_empty()),
            Location::Either => (either, false),
            Location::Query => (query, !body.is_empty()),
        };
        if rest && self.refuses() {
            return Found::Nothing;
        }
        let is_json = matches!(own.trim_ascii_start().first(), Some(b'{' | b'['));
        let in_body = location == Location::Body;
        // Who reads JSON refuses a body that is none: no text of `name=value` pairs is one.
        if in_body && !forms.form && !own.is_empty() && !is_json {
            return Found::Nothing;
        }
        let own_is_form = !in_body || (forms.form && !is_json);
        if own == either && !own.is_empty() && own_is_form == self.content.is_form {
            return same(rest);
        }
        // Else it is text that is none of its parameters.
        let (content, rest) = content::parse(&self.catalog.table, intake, own, true)
            .map_or_else(|_| (Content::none(), true), |content| (content, rest));
        let names = Names::of(self, &content);
        Found::Parameters { content: Cow::Owned(content), names: Cow::Owned(names), rest }
    }
}
