//! A second reader of catalogue files, which shares no code with the vault's: plain TOML values in,
//! plain facts out. A key that it does not know fails the test, so that it cannot go blind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use vault_model::Class;

/// How long `string` and `text` values may be where a catalogue says nothing, in bytes.
const TEXT_MAX: usize = 64;
/// How many items a list may have where a catalogue says nothing.
const ITEMS_MAX: usize = 20;

const HEAD_KEYS: &str = "format venue title sources environments signature rights response defaults \
    order_type tif margin_mode product size shape operation answer check cancel_all socket channel";
const ENVIRONMENT_KEYS: &str = "hosts ws_hosts headers routes ws_routes sites";
const SIGNATURE_KEYS: &str = "scheme binds joined window usable_ms source needs_passphrase nonce \
    key_types client_order_id_reuse client_order_id_source reserved caller_headers variant";
const SHAPE_KEYS: &str = "source include params one_of only_one";
const PARAM_KEYS: &str = "name type required role values const max items of items_max \
    legs merge implies pattern refused repeats products";
const OPERATION_KEYS: &str = "method path class source right product margin_mode amends binds domain \
    signed rpc params_in body array items_max shape tag note sensitive ws \
    held kept handle";

/// One venue's catalogue.
pub struct Catalogue {
    pub venue: String,
    pub joined: Joined,
    pub key_types: Vec<String>,
    pub rights: Vec<String>,
    /// Parameters that only the vault sets.
    pub reserved: Vec<String>,
    /// The parameter by which a caller may narrow the time, known to every operation.
    pub window: Option<String>,
    /// Words for order types, and for times in force, that the vault understands.
    pub order_types: BTreeSet<String>,
    pub tifs: BTreeSet<String>,
    /// In the order of their names.
    pub operations: Vec<Operation>,
    pub shapes: Vec<Shape>,
    /// Every parameter name of every shape gets a number.
    pub names: HashMap<String, usize>,
    binds: Parts,
    variants: Vec<(Vec<String>, Parts)>,
    rest: Hosts,
    ws: Hosts,
}

struct Hosts {
    default: Vec<String>,
    routes: Vec<(String, Vec<String>)>,
}

/// How query and body stand in the signed text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Joined {
    Apart,
    Concatenated,
    Either,
}

/// What a signature covers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Parts {
    pub method: bool,
    pub host: bool,
    pub path: bool,
    pub query: bool,
    pub body: bool,
}

#[derive(Debug)]
pub struct Operation {
    pub name: String,
    pub method: String,
    pub path: String,
    pub class: Class,
    pub product: Option<String>,
    /// Any one of them suffices; empty: none is needed.
    pub rights: Vec<String>,
    /// Whether it takes a signature at all.
    pub signed: bool,
    /// Number of the domain: what is signed in one is never what is signed in another.
    pub domain: usize,
    pub ws: bool,
    pub rpc: bool,
    pub place: Place,
    pub takes_form: bool,
    pub takes_json: bool,
    /// The body is a list of at most so many objects.
    pub array_max: Option<usize>,
    pub shape: Option<usize>,
    binds: Option<Parts>,
}

/// Where an operation has its parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    Body,
    Either,
    Nowhere,
    Query,
}

#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub params: Vec<Param>,
    pub one_of: Vec<Vec<usize>>,
    pub only_one: Vec<Vec<usize>>,
}

impl Shape {
    /// The parameters that must be there.
    pub fn required(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(|param| param.required)
    }

    /// Whether nobody can state it, since it wants a parameter that callers may not send.
    pub fn is_out_of_reach(&self) -> bool {
        let is_refused = |id: &usize| self.params.iter().any(|p| p.id == *id && p.refused);
        self.required().any(|param| param.refused)
            || self.one_of.iter().any(|ids| ids.iter().all(is_refused))
    }
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub id: usize,
    pub kind: Kind,
    pub role: String,
    pub required: bool,
    pub refused: bool,
    pub repeats: bool,
    pub constant: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Bool,
    Decimal { signed: bool },
    Digits,
    Enum(Vec<String>),
    Id { max: usize },
    Ids,
    Integer,
    List { of: Items, max: usize },
    Object(usize),
    String { max: usize },
    Symbol(Vec<String>),
    Symbols(Vec<String>),
    Text { max: usize },
}

#[derive(Clone, Debug)]
pub enum Items {
    Objects(usize),
    Scalars(Box<Kind>),
}

/// Where the catalogue files are.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vault-server/venue/catalog")
}

fn parts_of(venue: &str) -> Vec<Table> {
    let single = folder().join(format!("{venue}.toml"));
    let mut files = if single.exists() {
        vec![single]
    } else {
        let listing = std::fs::read_dir(folder().join(venue)).expect("a folder of the venue");
        listing.map(|entry| entry.expect("readable").path()).collect()
    };
    files.sort();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    let parse = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("readable");
        let table: Table = text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        only(&table, HEAD_KEYS, &file.display().to_string());
        table
    };
    files.iter().map(parse).collect()
}

fn only(table: &Table, known: &str, place: &str) {
    let known: BTreeSet<&str> = known.split_whitespace().collect();
    for key in table.keys() {
        assert!(known.contains(key.as_str()), "{place}: this reader does not know the key {key}");
    }
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).map(|value| value.as_str().expect("a text").to_owned())
}

fn must(table: &Table, key: &str) -> String {
    text(table, key).unwrap_or_else(|| panic!("{key} is missing in {table:?}"))
}

fn flag(table: &Table, key: &str) -> bool {
    table.get(key).is_some_and(|value| value.as_bool().expect("yes or no"))
}

fn number(table: &Table, key: &str) -> Option<usize> {
    table
        .get(key)
        .map(|value| usize::try_from(value.as_integer().expect("a number")).expect("fits"))
}

/// A text, a list of texts, or nothing.
fn texts(table: &Table, key: &str) -> Vec<String> {
    match table.get(key) {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            many.iter().map(|value| value.as_str().expect("a text").to_owned()).collect()
        }
        Some(other) => panic!("{key}: {other} is no text"),
    }
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    let list = table.get(key).map(|value| value.as_array().expect("a list"));
    list.into_iter().flatten().map(|value| value.as_table().expect("a table")).collect()
}

fn parts(words: &[String]) -> Parts {
    let has = |word: &str| words.iter().any(|bound| bound == word);
    Parts {
        method: has("method"),
        host: has("host"),
        path: has("path"),
        query: has("query"),
        body: has("body"),
    }
}

fn hosts(environment: &Table, list: &str, routes: &str) -> Hosts {
    let mut by_prefix = Vec::new();
    if let Some(routes) = environment.get(routes) {
        let routes = routes.as_table().expect("a table");
        by_prefix.extend(routes.keys().map(|prefix| (prefix.clone(), texts(routes, prefix))));
    }
    // The longest prefix first, so that the first that fits is the one.
    by_prefix.sort_by_key(|(prefix, _)| usize::MAX - prefix.len());
    Hosts { default: texts(environment, list), routes: by_prefix }
}

impl Hosts {
    fn of(&self, path: &str) -> &[String] {
        let route = self.routes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        route.map_or(&self.default, |(_, hosts)| hosts)
    }
}

impl Catalogue {
    /// Reads the files of a venue.
    pub fn load(venue: &str) -> Self {
        let files = parts_of(venue);
        let head = files.iter().find(|file| file.contains_key("signature")).expect("one head");
        let signature = head["signature"].as_table().expect("a table");
        only(signature, SIGNATURE_KEYS, "signature");
        let live = head["environments"]["live"].as_table().expect("a table");
        only(live, ENVIRONMENT_KEYS, "environments.live");

        let mut raw_shapes: BTreeMap<String, &Table> = BTreeMap::new();
        for file in &files {
            let shapes = file.get("shape").map(|shapes| shapes.as_table().expect("a table"));
            for (name, shape) in shapes.into_iter().flatten() {
                let shape = shape.as_table().expect("a table");
                only(shape, SHAPE_KEYS, &format!("shape {name}"));
                assert!(raw_shapes.insert(name.clone(), shape).is_none(), "shape {name} twice");
            }
        }
        let mut names = HashMap::new();
        let order: Vec<String> = raw_shapes.keys().cloned().collect();
        let shapes =
            order.iter().map(|name| shape(name, &raw_shapes, &order, &mut names)).collect();

        let defaults = head.get("defaults").map(|d| d.as_table().expect("a table").clone());
        let defaults = defaults.unwrap_or_default();
        let mut domains = Vec::new();
        let mut operations: Vec<Operation> = files
            .iter()
            .flat_map(|file| tables(file, "operation"))
            .map(|raw| operation(raw, &defaults, &order, &mut domains))
            .collect();
        operations.sort_by(|a, b| a.name.cmp(&b.name));

        let word = |key: &str| {
            tables(head, key).into_iter().map(|word| must(word, "venue")).collect::<BTreeSet<_>>()
        };
        let mut tifs = word("tif");
        tifs.extend(["GTC", "IOC", "FOK", "GTD", "gtc", "ioc", "fok", "gtd"].map(str::to_owned));
        let window =
            signature.get("window").map(|window| must(window.as_table().expect("a table"), "name"));
        let rights =
            head.get("rights").map(|rights| texts(rights.as_table().expect("a table"), "names"));
        Self {
            venue: venue.to_owned(),
            joined: match signature.get("joined").map(Value::as_str) {
                None => Joined::Apart,
                Some(Some("concatenated")) => Joined::Concatenated,
                Some(Some("either")) => Joined::Either,
                Some(_) => panic!("joined is neither concatenated nor either"),
            },
            key_types: texts(signature, "key_types"),
            rights: rights.unwrap_or_default(),
            reserved: texts(signature, "reserved"),
            window,
            order_types: word("order_type"),
            tifs,
            operations,
            shapes,
            names,
            binds: parts(&texts(signature, "binds")),
            variants: tables(signature, "variant")
                .into_iter()
                .map(|variant| (texts(variant, "key_types"), parts(&texts(variant, "binds"))))
                .collect(),
            rest: hosts(live, "hosts", "routes"),
            ws: hosts(live, "ws_hosts", "ws_routes"),
        }
    }

    /// What a signature by this type of key covers, where it is made or checked for an operation.
    pub fn binds(&self, operation: &Operation, key_type: &str) -> Parts {
        let variant = self.variants.iter().find(|(types, _)| types.iter().any(|t| t == key_type));
        operation.binds.unwrap_or(variant.map_or(self.binds, |(_, parts)| *parts))
    }

    /// The hosts at which an operation answers.
    pub fn hosts(&self, operation: &Operation) -> &[String] {
        if operation.ws || operation.rpc { &self.ws } else { &self.rest }.of(&operation.path)
    }

    /// The shape of an operation.
    pub fn shape(&self, operation: &Operation) -> Option<&Shape> {
        operation.shape.map(|index| &self.shapes[index])
    }
}

fn shape(
    name: &str,
    raw: &BTreeMap<String, &Table>,
    order: &[String],
    names: &mut HashMap<String, usize>,
) -> Shape {
    let table = raw.get(name).unwrap_or_else(|| panic!("no shape {name}"));
    let mut whole = Shape::default();
    for included in texts(table, "include") {
        let other = shape(&included, raw, order, names);
        for param in other.params {
            whole.params.retain(|known| known.name != param.name);
            whole.params.push(param);
        }
        whole.one_of.extend(other.one_of);
        whole.only_one.extend(other.only_one);
    }
    for raw in tables(table, "params") {
        only(raw, PARAM_KEYS, &format!("shape {name}"));
        let param = param(raw, order, names);
        whole.params.retain(|known| known.name != param.name);
        whole.params.push(param);
    }
    let lists = |key: &str| -> Vec<Vec<usize>> {
        let lists = table.get(key).map(|lists| lists.as_array().expect("a list"));
        let id = |value: &Value| names[value.as_str().expect("a name")];
        let ids = |list: &Value| list.as_array().expect("a list").iter().map(id).collect();
        lists.into_iter().flatten().map(ids).collect()
    };
    whole.one_of.extend(lists("one_of"));
    whole.only_one.extend(lists("only_one"));
    whole
}

fn param(raw: &Table, order: &[String], names: &mut HashMap<String, usize>) -> Param {
    let name = must(raw, "name");
    let next = names.len();
    let id = *names.entry(name.clone()).or_insert(next);
    let shape = || {
        let wanted = must(raw, "items");
        order.iter().position(|name| *name == wanted).unwrap_or_else(|| panic!("no shape {wanted}"))
    };
    let kind = match must(raw, "type").as_str() {
        "array" => {
            let of = match text(raw, "of") {
                Some(word) => Items::Scalars(Box::new(scalar(&word, raw))),
                None => Items::Objects(shape()),
            };
            Kind::List { of, max: number(raw, "items_max").unwrap_or(ITEMS_MAX) }
        }
        "object" => Kind::Object(shape()),
        word => scalar(word, raw),
    };
    Param {
        name,
        id,
        kind,
        role: text(raw, "role").unwrap_or_default(),
        required: flag(raw, "required"),
        refused: flag(raw, "refused"),
        repeats: flag(raw, "repeats"),
        constant: text(raw, "const"),
    }
}

fn scalar(word: &str, raw: &Table) -> Kind {
    let max = number(raw, "max").unwrap_or(TEXT_MAX);
    match word {
        "bool" => Kind::Bool,
        "decimal" => Kind::Decimal { signed: false },
        "signed_decimal" => Kind::Decimal { signed: true },
        "enum" => Kind::Enum(texts(raw, "values")),
        "id" => Kind::Id { max },
        "ids" => Kind::Ids,
        "integer" => Kind::Integer,
        "string" => Kind::String { max },
        "symbol" => Kind::Symbol(texts(raw, "pattern")),
        "symbols" => Kind::Symbols(texts(raw, "pattern")),
        "text" => Kind::Text { max },
        "timestamp" => Kind::Digits,
        other => panic!("no type {other}"),
    }
}

fn number_of(word: String, words: &mut Vec<String>) -> usize {
    words.iter().position(|known| *known == word).unwrap_or_else(|| {
        words.push(word);
        words.len() - 1
    })
}

fn operation(
    raw: &Table,
    defaults: &Table,
    order: &[String],
    domains: &mut Vec<String>,
) -> Operation {
    let (method, path) = (must(raw, "method"), must(raw, "path"));
    let name = format!("{method} {path}");
    only(raw, OPERATION_KEYS, &name);
    let rpc = flag(raw, "rpc");
    let default = |key: &str| if method == "GET" { None } else { text(defaults, key) };
    let place = text(raw, "params_in").or_else(|| default("params_in"));
    let place = match place.as_deref() {
        Some("body") => Place::Body,
        Some("either") => Place::Either,
        Some("none") => Place::Nowhere,
        Some("query") => Place::Query,
        Some(other) => panic!("{name}: params_in {other}"),
        None if method == "GET" => Place::Query,
        None => Place::Body,
    };
    let place = if rpc { Place::Body } else { place };
    let form = text(raw, "body").or_else(|| text(defaults, "body"));
    let form = if rpc { Some("json".to_owned()) } else { form };
    let form = form.filter(|_| matches!(place, Place::Body | Place::Either));
    let shape = text(raw, "shape").map(|wanted| {
        order
            .iter()
            .position(|s| *s == wanted)
            .unwrap_or_else(|| panic!("{name}: no shape {wanted}"))
    });
    let is_array = flag(raw, "array");
    let class: Class = must(raw, "class").parse().unwrap_or_else(|_| panic!("{name}: class"));
    let signed = raw.get("signed").map(|signed| signed.as_bool().expect("yes or no"));
    Operation {
        // Market data takes no signature.
        signed: signed.unwrap_or(class != Class::Public),
        class,
        product: text(raw, "product"),
        rights: texts(raw, "right"),
        domain: number_of(text(raw, "domain").unwrap_or_else(|| "rest".to_owned()), domains),
        ws: flag(raw, "ws"),
        rpc,
        place,
        takes_form: matches!(form.as_deref(), Some("form" | "json_or_form")),
        takes_json: matches!(form.as_deref(), Some("json" | "json_or_form")),
        array_max: is_array.then(|| number(raw, "items_max").unwrap_or(ITEMS_MAX)),
        shape,
        binds: raw.get("binds").map(|_| parts(&texts(raw, "binds"))),
        name,
        method,
        path,
    }
}
