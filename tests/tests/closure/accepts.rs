//! Which operations accept signed bytes: the definition of the design, read a second time and
//! written down without looking at how the vault computes it. Slow and plain on purpose.
//!
//! An operation accepts a request if the parts that the signature binds are its own, and every
//! parameter that it requires is there with a legal value. A part that is not bound may be anything.
//! Parameters that it does not know are ignored, and an operation without a schema takes everything,
//! unless the venue is known to check.

use serde_json::Value;
use vault_model::VenueRequest;

use crate::catalog::{Catalogue, Items, Joined, Kind, Operation, Param, Parts, Place, Shape};

/// What is assumed of the venue and of the key.
#[derive(Clone, Copy)]
pub struct World<'w> {
    /// The venue refuses parameters it does not know and has no unsourced operation that accepts.
    pub checks: bool,
    /// Rights that the key holds; absent: all.
    pub rights: Option<&'w [String]>,
    pub key_type: &'w str,
    /// Where one text is signed, try to cut it in two at every place.
    pub cuts: bool,
    pub spelling: Spelling,
}

/// How an operation that is not the stated one reads numbers and free texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spelling {
    /// Any text but the empty one will do.
    Any,
    /// Numbers are whatever a parser of numbers takes (`01`, `1e0`, twenty digits), and texts may
    /// be longer than the catalogue says, and words in the other case: what the vault calls legal is how a request is stated to
    /// it, and no venue is known to be as strict.
    Wide,
}

/// What an operation finds where it reads its parameters.
#[derive(Clone, Debug, Default)]
struct Said {
    is_list: bool,
    objects: Vec<Fields>,
    /// Signed text that is no parameter of anything.
    has_odd: bool,
    /// Values are texts, as in a form.
    is_form: bool,
}

/// Parameters by number; names that no shape has are [`STRANGE`].
type Fields = Vec<(usize, Value)>;
const STRANGE: usize = usize::MAX;
/// The window, which every operation knows.
const WINDOW: usize = usize::MAX - 1;

/// The signed bytes of one request, read in every way in which an operation could.
pub struct Signed<'s> {
    catalogue: &'s Catalogue,
    stated: &'s Operation,
    request: &'s VenueRequest,
    world: World<'s>,
    parts: Parts,
    query: Readings,
    body: Readings,
    /// The query and the body as one text, where they are.
    joined: Readings,
    has_text: bool,
}

/// One text, read as a form and as JSON; several ways each, if it can be cut.
#[derive(Default)]
struct Readings {
    form: Vec<Said>,
    json: Vec<Said>,
    opens_json: bool,
    has_text: bool,
    /// Every name that stands in any of them, sorted.
    names: Vec<usize>,
}

impl<'s> Signed<'s> {
    pub fn new(
        catalogue: &'s Catalogue,
        stated: &'s Operation,
        request: &'s VenueRequest,
        world: World<'s>,
    ) -> Self {
        let query = request.query.clone();
        let body = String::from_utf8(request.body.clone()).expect("requests are text here");
        let has_text = !query.is_empty() || !body.is_empty();
        // A WebSocket request signs its parameters sorted, the API key among them.
        let text = if stated.rpc { sorted_with_api_key(&body) } else { format!("{query}{body}") };
        let joined = match catalogue.joined {
            Joined::Apart => Readings::default(),
            Joined::Concatenated => {
                let mut readings = Readings::of(catalogue, &text);
                if world.cuts {
                    readings.form.extend(cuts(catalogue, &text));
                }
                readings
            }
            Joined::Either => {
                let mut readings = Readings::of(catalogue, &text);
                // Digits at the front may belong to the receive window before them.
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                for cut in 1..=digits {
                    let shorter = Readings::of(catalogue, &text[cut..]);
                    readings.form.extend(shorter.form);
                    readings.json.extend(shorter.json);
                    readings.opens_json |= shorter.opens_json;
                }
                readings
            }
        };
        let joined = joined.with_names();
        let apart = catalogue.joined == Joined::Apart;
        let of = |text: &str| {
            if apart { Readings::of(catalogue, text).with_names() } else { Readings::default() }
        };
        Self {
            parts: catalogue.binds(stated, world.key_type),
            query: of(&query),
            body: of(&body),
            joined,
            has_text,
            catalogue,
            stated,
            request,
            world,
        }
    }

    /// Whether an operation accepts them.
    pub fn is_accepted_by(&self, other: &Operation) -> bool {
        if std::ptr::eq(other, self.stated) {
            return true;
        }
        // What goes out without a signature opens nothing else, and a signature nothing open.
        if !self.stated.signed || !other.signed || other.domain != self.stated.domain {
            return false;
        }
        let holds = |right: &String| self.world.rights.is_none_or(|held| held.contains(right));
        if !other.rights.is_empty() && !other.rights.iter().any(holds) {
            return false;
        }
        // What is signed must be the other operation's own.
        if self.parts.method && other.method != self.request.method {
            return false;
        }
        if self.parts.path && !is_path_of(&other.path, &self.request.path) {
            return false;
        }
        if self.parts.host && !self.catalogue.hosts(other).contains(&self.request.host) {
            return false;
        }
        // The API key stands in the text of a WebSocket request and in no other text.
        if other.rpc && !self.stated.rpc {
            return false;
        }
        // Who reads JSON alone refuses a body that is none, even where nobody knows what it wants.
        let text = if self.catalogue.joined == Joined::Apart { &self.body } else { &self.joined };
        let is_json_alone = other.place == Place::Body && !other.takes_form && !other.rpc;
        if self.parts.body && is_json_alone && text.has_text && !text.opens_json {
            return false;
        }
        let Some(shape) = self.catalogue.shape(other) else {
            return !self.world.checks;
        };
        let is_open = match other.place {
            Place::Body => !self.parts.body,
            Place::Either => !self.parts.body || !self.parts.query,
            Place::Nowhere => false,
            Place::Query => !self.parts.query,
        };
        is_open || self.fits(other, shape)
    }

    fn fits(&self, other: &Operation, shape: &Shape) -> bool {
        if other.rpc {
            let body = self.request.body.as_slice();
            let body = if body.is_empty() { b"{}" } else { body };
            let value: Value = serde_json::from_slice(body).unwrap_or_default();
            return self.takes(other, shape, &json_said(self.catalogue, &value), false);
        }
        let signed_query = self.parts.query && !self.request.query.is_empty();
        let signed_body = self.parts.body && !self.request.body.is_empty();
        let joined = self.catalogue.joined != Joined::Apart;
        let (readings, elsewhere) = match other.place {
            Place::Nowhere => {
                let text = if joined { self.has_text } else { signed_query || signed_body };
                let nothing = Said { objects: vec![Vec::new()], ..Said::default() };
                return self.takes(other, shape, &nothing, text);
            }
            _ if joined => (&self.joined, false),
            Place::Body => (&self.body, signed_query),
            Place::Query => (&self.query, signed_body),
            Place::Either if self.request.query.is_empty() => (&self.body, false),
            Place::Either => (&self.query, signed_body),
        };
        let as_json = other.place != Place::Query
            && other.takes_json
            && (readings.opens_json || !other.takes_form);
        // A name that stands nowhere need not be looked for in every way.
        let stands = |id: usize| readings.names.contains(&id);
        if other.array_max.is_none() && !shape.required().all(|param| stands(param.id)) {
            return false;
        }
        let ways = if as_json { &readings.json } else { &readings.form };
        ways.iter().any(|said| self.takes(other, shape, said, elsewhere))
    }

    fn takes(&self, other: &Operation, shape: &Shape, said: &Said, elsewhere: bool) -> bool {
        // A read without a schema takes any name, so one that nobody knows proves nothing.
        let chosen = self.catalogue.shape(self.stated).is_some();
        let hides = !chosen
            || other.rpc && said.objects.iter().any(|fields| self.hides_names(shape, fields));
        if self.world.checks && ((elsewhere && chosen) || (said.has_odd && !hides)) {
            return false;
        }
        match other.array_max {
            Some(max) if !said.is_list || !(1..=max).contains(&said.objects.len()) => false,
            // A list where an object belongs says nothing to the operation.
            None if said.is_list => {
                !self.world.checks && self.has_all(shape, &Fields::new(), said.is_form, hides)
            }
            _ => said.objects.iter().all(|fields| self.has_all(shape, fields, said.is_form, hides)),
        }
    }

    /// The text over a WebSocket is not encoded: in a message whose operation takes any text for one
    /// of these, the others can stand inside that text.
    fn hides_names(&self, shape: &Shape, fields: &Fields) -> bool {
        let takes_text =
            |param: &Param| matches!(param.kind, Kind::String { .. } | Kind::Text { .. });
        self.stated.rpc
            && shape.params.iter().any(|param| {
                takes_text(param) && fields.iter().any(|(field, _)| *field == param.id)
            })
    }

    /// Whether everything that the shape requires is there, and, if the venue checks, nothing else.
    fn has_all(&self, shape: &Shape, fields: &Fields, is_form: bool, hides: bool) -> bool {
        let is_there = |id: usize| fields.iter().any(|(field, _)| *field == id);
        shape.required().all(|param| is_there(param.id))
            && shape.one_of.iter().all(|ids| ids.iter().any(|id| is_there(*id)))
            && shape.required().all(|param| self.is_legal_among(param, fields, is_form))
            && (!self.world.checks
                || hides
                || fields.iter().all(|(id, _)| {
                    *id == WINDOW || shape.params.iter().any(|param| param.id == *id)
                }))
    }

    fn is_legal_among(&self, param: &Param, fields: &Fields, is_form: bool) -> bool {
        let own = || fields.iter().filter(|(id, _)| *id == param.id).map(|(_, value)| value);
        // How many are too many is the venue's affair.
        if let (true, Kind::List { of: Items::Scalars(kind), .. }) = (param.repeats, &param.kind) {
            return own().count() > 0 && own().all(|value| self.is_taken(kind, value));
        }
        // Of two values of one name nobody knows which one the venue takes.
        own().any(|value| self.is_legal(param, value, is_form))
    }

    fn is_legal(&self, param: &Param, value: &Value, is_form: bool) -> bool {
        let parsed = match (&param.kind, value) {
            (Kind::List { .. } | Kind::Object(_), Value::String(text)) if is_form => {
                serde_json::from_str(text).unwrap_or_default()
            }
            _ => Value::Null,
        };
        let value = if parsed.is_null() { value } else { &parsed };
        match &param.kind {
            // What is no JSON to us may be some to the venue.
            Kind::List { .. } | Kind::Object(_) if value.is_string() => value != "",
            Kind::List { of, .. } => {
                let Value::Array(items) = value else {
                    return false;
                };
                items.iter().any(|item| match of {
                    Items::Objects(shape) => self.is_object_of(*shape, item),
                    Items::Scalars(kind) => self.is_taken(kind, item),
                })
            }
            Kind::Object(shape) => self.is_object_of(*shape, value),
            kind => {
                self.is_taken(kind, value)
                    && param.constant.as_ref().is_none_or(|wanted| {
                        scalar(value).is_some_and(|text| text.trim().eq_ignore_ascii_case(wanted))
                    })
            }
        }
    }

    /// Whether a venue may take a scalar for one of this kind.
    fn is_taken(&self, kind: &Kind, value: &Value) -> bool {
        let Some(text) = scalar(value).map(|text| text.trim().to_owned()) else {
            return false;
        };
        if text.is_empty() {
            return false;
        }
        match kind {
            Kind::Decimal { .. } | Kind::Digits | Kind::Integer => {
                self.world.spelling == Spelling::Any || is_number(&text)
            }
            Kind::Id { .. } | Kind::Ids | Kind::String { .. } | Kind::Text { .. } => true,
            Kind::Enum(words) => words.iter().any(|word| word.eq_ignore_ascii_case(&text)),
            Kind::Bool => is_legal_text(kind, &text.to_ascii_lowercase()),
            // A symbol of another script is one; the form of the product still counts.
            Kind::Symbol(patterns) => is_symbol_like(patterns, &text),
            Kind::Symbols(patterns) => {
                text.split(',').all(|text| is_symbol_like(patterns, text.trim()))
            }
            Kind::List { .. } | Kind::Object(_) => false,
        }
    }

    fn is_object_of(&self, shape: usize, value: &Value) -> bool {
        let said = json_said(self.catalogue, value);
        !said.is_list
            // What is inside a parameter is none of the parameters that the venue checks.
            && self.has_all(&self.catalogue.shapes[shape], &said.objects[0], false, true)
    }
}

impl Readings {
    fn of(catalogue: &Catalogue, text: &str) -> Self {
        let json = match serde_json::from_str::<Value>(text) {
            Ok(value) => json_said(catalogue, &value),
            Err(_) => {
                Said { objects: vec![Fields::new()], has_odd: !text.is_empty(), ..Said::default() }
            }
        };
        Self {
            form: vec![form_said(catalogue, &[text])],
            json: vec![json],
            opens_json: text.starts_with(['{', '[']),
            has_text: !text.is_empty(),
            names: Vec::new(),
        }
    }

    fn with_names(mut self) -> Self {
        let said = self.form.iter().chain(&self.json);
        self.names =
            said.flat_map(|said| said.objects.iter().flatten()).map(|(id, _)| *id).collect();
        self.names.sort_unstable();
        self.names.dedup();
        self
    }
}

/// Every way to cut a text into a query and a body.
fn cuts(catalogue: &Catalogue, text: &str) -> Vec<Said> {
    let places = (1..text.len()).filter(|&place| text.is_char_boundary(place));
    places.map(|place| form_said(catalogue, &[&text[..place], &text[place..]])).collect()
}

/// Reads a form as the most forgiving server would: what is no pair is ignored.
fn form_said(catalogue: &Catalogue, texts: &[&str]) -> Said {
    let mut said = Said { is_form: true, ..Said::default() };
    let mut fields = Fields::new();
    for pair in texts.iter().flat_map(|text| text.split('&')).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((name, value)) => {
                fields.push((number(catalogue, name), Value::String(decoded(value))));
            }
            None => said.has_odd = true,
        }
    }
    said.objects.push(fields);
    said
}

fn json_said(catalogue: &Catalogue, value: &Value) -> Said {
    let fields = |value: &Value| -> Option<Fields> {
        let object = value.as_object()?;
        Some(object.iter().map(|(name, v)| (number(catalogue, name), v.clone())).collect())
    };
    let (objects, is_list) = match value {
        Value::Array(items) => (items.iter().map(fields).collect::<Option<Vec<_>>>(), true),
        value => (fields(value).map(|fields| vec![fields]), false),
    };
    match objects {
        Some(objects) => Said { is_list, objects, ..Said::default() },
        None => Said { objects: vec![Fields::new()], has_odd: true, ..Said::default() },
    }
}

fn number(catalogue: &Catalogue, name: &str) -> usize {
    match catalogue.names.get(name) {
        _ if catalogue.window.as_deref() == Some(name) => WINDOW,
        Some(number) => *number,
        None => STRANGE,
    }
}

/// Percent-decoding; what is no escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `apiKey=…&a=…&b=…`, sorted by name: what Binance's WebSocket API signs.
fn sorted_with_api_key(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let object = value.as_object().cloned().unwrap_or_default();
    let mut pairs: Vec<(String, String)> = object
        .iter()
        .map(|(name, value)| (name.clone(), scalar(value).unwrap_or_default()))
        .collect();
    pairs.push(("apiKey".to_owned(), "key".to_owned()));
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Whether a path is that of an operation, whose segments may be `{anything}`.
pub fn is_path_of(template: &str, path: &str) -> bool {
    let plain = |segment: &str| {
        (1..=64).contains(&segment.len())
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    template.split('/').count() == path.split('/').count()
        && template.split('/').zip(path.split('/')).all(|(wanted, segment)| {
            wanted == segment || (wanted.starts_with('{') && plain(segment))
        })
}

/// The text of a scalar, whatever JSON type it was written in.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// Whether the value is legal for a kind of scalar.
pub fn is_legal_scalar(kind: &Kind, value: &Value) -> bool {
    scalar(value).is_some_and(|text| is_legal_text(kind, &text))
}

/// Whether the text is legal for a kind of scalar.
pub fn is_legal_text(kind: &Kind, text: &str) -> bool {
    let each = |legal: &dyn Fn(&str) -> bool| text.split(',').all(legal);
    let all = |extra: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
    let id = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let symbol = |patterns: &[String], text: &str| {
        (1..=40).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-/_.".contains(c))
            && (patterns.is_empty()
                || patterns.iter().any(|p| fits_pattern(p.as_bytes(), text.as_bytes())))
    };
    match kind {
        Kind::Bool => text == "true" || text == "false",
        Kind::Decimal { signed } => is_decimal(text, *signed),
        Kind::Digits => {
            text.len() <= 20 && !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
        }
        Kind::Enum(words) => words.iter().any(|word| word == text),
        Kind::Id { max } => text.len() <= *max && id(text),
        Kind::Ids => each(&id),
        Kind::Integer => is_decimal(text, false) && !text.contains('.'),
        Kind::List { .. } | Kind::Object(_) => false,
        Kind::String { max } => (1..=*max).contains(&text.len()) && all("_-.:/,@~*() "),
        Kind::Symbol(patterns) => symbol(patterns, text),
        Kind::Symbols(patterns) => each(&|text| symbol(patterns, text)),
        Kind::Text { max } => {
            (1..=*max).contains(&text.len())
                && !text.chars().any(|c| c.is_control() || "&=%#+".contains(c))
        }
    }
}

fn is_symbol_like(patterns: &[String], text: &str) -> bool {
    let plain: String =
        text.chars().map(|c| if c.is_ascii() { c.to_ascii_uppercase() } else { 'A' }).collect();
    patterns.is_empty()
        || patterns.iter().any(|pattern| fits_pattern(pattern.as_bytes(), plain.as_bytes()))
}

/// Whether some parser of numbers takes the text.
fn is_number(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)) && text.parse::<f64>().is_ok()
}

fn is_decimal(text: &str, signed: bool) -> bool {
    let text = text.strip_prefix('-').filter(|_| signed).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |part: &str| (1..=18).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole.len() == 1 || !whole.starts_with('0'))
}

/// `*` is one or more letters and digits, `#` one digit, anything else itself.
pub fn fits_pattern(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), Some((c, tail))) if c.is_ascii_alphanumeric() => {
            fits_pattern(rest, tail) || fits_pattern(pattern, tail)
        }
        (Some((b'#', rest)), Some((c, tail))) if c.is_ascii_digit() => fits_pattern(rest, tail),
        (Some((b'*' | b'#', _)), _) => false,
        (Some((wanted, rest)), Some((c, tail))) if wanted == c => fits_pattern(rest, tail),
        _ => false,
    }
}
