//! From a catalogue as written to lookup tables; whatever the files say twice or refer to in
//! vain is an error here, so that nothing is left to find out while judging.

use std::collections::{BTreeMap, HashMap, HashSet};

use rustc_hash::FxHashMap;
use vault_model::{Class, Environment};

use super::binding::{self, Binding};
use super::raw::{self, BodyForm, Bound, OneOrMany, ParamsIn};
use super::table::{NameSet, Names, Table};
use super::{
    Binds, BodyForms, Catalog, Facts, Hosts, Items, Kind, Location, Operation, OrderTypeWord,
    Param, ProductRule, Role, Shape, Signature, TifWord, Window,
};
use crate::form;
use crate::glob::Glob;
use crate::key::KeyType;
use crate::plain;
use crate::value;

/// How long `string` and `text` values may be where the catalogue says nothing, in bytes.
const TEXT_MAX: usize = 64;
/// How many items arrays may have where the catalogue says nothing.
const ITEMS_MAX: usize = 20;
/// The domain of an operation that names none.
const DOMAIN: &str = "rest";

/// What concerns a venue as a whole, as written.
pub(super) struct RawHead {
    pub title: String,
    pub environments: BTreeMap<String, raw::Environment>,
    pub signature: raw::Signature,
    pub rights: Option<raw::Rights>,
    pub defaults: Option<raw::Defaults>,
    pub order_types: Vec<raw::OrderTypeWord>,
    pub tifs: Vec<raw::TifWord>,
    pub products: Vec<raw::ProductRule>,
}

/// What concerns a venue as a whole.
pub(super) struct Head {
    title: String,
    environments: HashMap<Environment, Hosts>,
    signature: Signature,
    rights: Vec<String>,
    defaults: Option<raw::Defaults>,
    order_types: HashMap<String, OrderTypeWord>,
    tifs: HashMap<String, TifWord>,
    products: Vec<ProductRule>,
}

pub(super) fn cited(sources: &BTreeMap<String, String>, source: &str) -> Result<(), String> {
    if sources.contains_key(source) {
        Ok(())
    } else {
        Err(format!("source {source} is not in [sources]"))
    }
}

pub(super) fn head(raw: RawHead, sources: &BTreeMap<String, String>) -> Result<Head, String> {
    let signature_sources =
        [Some(&raw.signature.source), raw.signature.client_order_id_source.as_ref()];
    for source in signature_sources.into_iter().flatten() {
        cited(sources, source).map_err(|what| format!("signature: {what}"))?;
    }
    for variant in &raw.signature.variant {
        cited(sources, &variant.source).map_err(|what| format!("signature.variant: {what}"))?;
    }
    if let Some(rights) = &raw.rights {
        cited(sources, &rights.source).map_err(|what| format!("rights: {what}"))?;
    }
    Ok(Head {
        title: raw.title,
        environments: environments(raw.environments)?,
        signature: signature(&raw.signature)?,
        rights: raw.rights.map(|rights| rights.names).unwrap_or_default(),
        defaults: raw.defaults,
        order_types: order_types(raw.order_types)?,
        tifs: tifs(raw.tifs)?,
        products: raw.products.into_iter().map(product_rule).collect(),
    })
}

/// Puts everything together.
pub(super) fn catalog(
    name: &str,
    hash: [u8; 32],
    sources: BTreeMap<String, String>,
    head: Head,
    shapes: Shapes,
    mut operations: Vec<Operation>,
) -> Result<Catalog, String> {
    operations.sort_by(|one, other| one.name.cmp(&other.name));
    let mut shapes = shapes.done;
    let mut names = Names::default();
    names.enter(&mut shapes);

    let signature = &head.signature;
    let rules: HashSet<Binds> = [signature.facts.binds]
        .into_iter()
        .chain(signature.variants.iter().map(|(_, facts)| facts.binds))
        .chain(operations.iter().filter_map(|operation| operation.binds))
        .collect();
    let domains: HashSet<&String> = operations.iter().map(|operation| &operation.domain).collect();
    let bindings = domains
        .into_iter()
        .flat_map(|domain| rules.iter().map(|&binds| Binding { domain: domain.clone(), binds }))
        .collect();
    let table = Table::new(&operations, bindings, names);
    Ok(Catalog {
        venue: name.to_owned(),
        title: head.title,
        hash,
        sources,
        signature: head.signature,
        rights: head.rights,
        operations,
        shapes,
        products: head.products,
        order_types: head.order_types,
        tifs: head.tifs,
        environments: head.environments,
        table,
    })
}

fn signature(raw: &raw::Signature) -> Result<Signature, String> {
    let facts =
        Facts { binds: binds(&raw.binds), usable_ms: raw.usable_ms, source: raw.source.clone() };
    if raw.joined.is_some() && !(facts.binds.query && facts.binds.body) {
        return Err("signature: joined wants query and body bound".to_owned());
    }
    if let Some(header) =
        raw.caller_headers.iter().find(|header| header.to_ascii_lowercase() != **header)
    {
        return Err(format!("signature: caller header {header} is not in lower case"));
    }
    let key_types = key_types(&raw.key_types)?;
    let mut variants = Vec::new();
    for variant in &raw.variant {
        for key_type in self::key_types(&variant.key_types)? {
            if !key_types.contains(&key_type) {
                return Err(format!("signature.variant: {key_type} is not in key_types"));
            }
            let facts = Facts {
                binds: binds(&variant.binds),
                usable_ms: variant.usable_ms,
                source: variant.source.clone(),
            };
            variants.push((key_type, facts));
        }
    }
    Ok(Signature {
        scheme: raw.scheme.clone(),
        facts,
        variants,
        joined: raw.joined,
        window: raw
            .window
            .as_ref()
            .map(|window| Window { name: window.name.clone(), max_ms: window.max_ms }),
        needs_passphrase: raw.needs_passphrase,
        nonce: raw.nonce,
        key_types,
        client_order_id_reuse: raw.client_order_id_reuse,
        reserved: raw.reserved.clone(),
        caller_headers: raw.caller_headers.clone(),
    })
}

fn key_types(words: &[String]) -> Result<Vec<KeyType>, String> {
    words
        .iter()
        .map(|word| word.parse().map_err(|_| format!("signature: key type {word} is not known")))
        .collect()
}

fn binds(parts: &[Bound]) -> Binds {
    let has = |part| parts.contains(&part);
    Binds {
        body: has(Bound::Body),
        host: has(Bound::Host),
        method: has(Bound::Method),
        path: has(Bound::Path),
        query: has(Bound::Query),
    }
}

fn environments(
    raw: BTreeMap<String, raw::Environment>,
) -> Result<HashMap<Environment, Hosts>, String> {
    let mut environments = HashMap::new();
    for (word, hosts) in raw {
        let environment = word.parse::<Environment>().map_err(|_| format!("environment {word}"))?;
        if hosts.hosts.is_empty() {
            return Err(format!("environment {word}: no hosts"));
        }
        let routed = hosts.routes.iter().chain(&hosts.ws_routes);
        if let Some((prefix, _)) = routed.clone().find(|(prefix, hosts)| {
            !(prefix.starts_with('/') && prefix.ends_with('/')) || hosts.is_empty()
        }) {
            return Err(format!(
                "environment {word}: route {prefix} wants / at both ends, and hosts"
            ));
        }
        let mut all =
            hosts.hosts.iter().chain(&hosts.ws_hosts).chain(routed.flat_map(|(_, hosts)| hosts));
        if let Some(host) = all.find(|host| !plain::is_host(host)) {
            return Err(format!("environment {word}: {host} is no plain host name"));
        }
        let by_length = |routes: BTreeMap<String, Vec<String>>| {
            let mut routes: Vec<_> = routes.into_iter().collect();
            routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            routes
        };
        let hosts = Hosts {
            rest: hosts.hosts,
            ws: hosts.ws_hosts,
            headers: hosts.headers.into_iter().collect(),
            routes: by_length(hosts.routes),
            ws_routes: by_length(hosts.ws_routes),
        };
        environments.insert(environment, hosts);
    }
    if environments.contains_key(&Environment::Live) {
        Ok(environments)
    } else {
        Err("no live environment".to_owned())
    }
}

fn order_types(raw: Vec<raw::OrderTypeWord>) -> Result<HashMap<String, OrderTypeWord>, String> {
    let mut words = HashMap::new();
    for word in raw {
        let meaning =
            OrderTypeWord { order_type: word.order_type, tif: word.tif, post_only: word.post_only };
        if words.insert(word.venue.clone(), meaning).is_some() {
            return Err(format!("order type {}: stated twice", word.venue));
        }
    }
    Ok(words)
}

fn tifs(raw: Vec<raw::TifWord>) -> Result<HashMap<String, TifWord>, String> {
    let mut words = HashMap::new();
    for word in raw {
        let meaning = TifWord { tif: word.tif, post_only: word.post_only };
        if words.insert(word.venue.clone(), meaning).is_some() {
            return Err(format!("time in force {}: stated twice", word.venue));
        }
    }
    Ok(words)
}

fn product_rule(raw: raw::ProductRule) -> ProductRule {
    ProductRule {
        product: raw.product,
        symbol: raw.symbol.as_deref().map(Glob::new),
        values: raw.values.into_iter().collect(),
        present: raw.present.map(OneOrMany::into_vec).unwrap_or_default(),
        absent: raw.absent,
    }
}

type ShapeIndex = HashMap<String, usize>;

/// The shapes of a catalogue while they are compiled.
#[derive(Default)]
pub(super) struct Shapes {
    raw: BTreeMap<String, raw::Shape>,
    index: ShapeIndex,
    done: Vec<Shape>,
}

impl Shapes {
    /// Takes a shape as written.
    pub(super) fn add(&mut self, name: &str, raw: &raw::Shape) -> Result<(), String> {
        match self.raw.insert(name.to_owned(), raw.clone()) {
            None => Ok(()),
            Some(_) => Err("stated twice".to_owned()),
        }
    }

    /// Compiles all of them. An error names its shape.
    pub(super) fn resolve(&mut self) -> Result<(), (String, String)> {
        self.index = self.raw.keys().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        let mut flat = BTreeMap::new();
        for name in self.raw.keys() {
            let shape = flatten(name, &self.raw, 0).map_err(|what| (name.clone(), what))?;
            flat.insert(name.clone(), shape);
        }
        self.raw = flat;
        for (name, raw) in &self.raw {
            let shape =
                compile_shape(raw, &self.index, &self.raw).map_err(|what| (name.clone(), what))?;
            self.done.push(shape);
        }
        Ok(())
    }
}

/// How deep shapes may include shapes.
const INCLUDES_MAX: usize = 4;

/// A shape with what it includes. Its own parameters go before those that it takes over.
fn flatten(
    name: &str,
    all: &BTreeMap<String, raw::Shape>,
    depth: usize,
) -> Result<raw::Shape, String> {
    let mut shape = all.get(name).ok_or_else(|| format!("no shape {name}"))?.clone();
    if depth > INCLUDES_MAX {
        return Err("includes go too deep".to_owned());
    }
    for included in std::mem::take(&mut shape.include) {
        let other = flatten(&included, all, depth + 1)?;
        let own: HashSet<String> = shape.params.iter().map(|param| param.name.clone()).collect();
        shape.params.extend(other.params.into_iter().filter(|param| !own.contains(&param.name)));
        shape.one_of.extend(other.one_of);
        shape.only_one.extend(other.only_one);
    }
    Ok(shape)
}

fn compile_shape(
    raw: &raw::Shape,
    index: &ShapeIndex,
    all: &BTreeMap<String, raw::Shape>,
) -> Result<Shape, String> {
    let mut params = FxHashMap::default();
    let mut required = Vec::new();
    for param in &raw.params {
        let compiled =
            compile_param(param, index, all).map_err(|what| format!("{}: {what}", param.name))?;
        if param.required {
            required.push(param.name.clone());
        }
        if params.insert(param.name.clone(), compiled).is_some() {
            return Err(format!("{}: stated twice", param.name));
        }
    }
    required.sort();
    let mut listed = raw.one_of.iter().chain(&raw.only_one).flatten();
    if let Some(absent) = listed.find(|name| !params.contains_key(*name)) {
        return Err(format!("one_of or only_one: {absent} is no parameter"));
    }
    let is_composite = |param: &Param| matches!(param.kind, Kind::Array { .. } | Kind::Object(_));
    Ok(Shape {
        source: raw.source.clone(),
        is_composite: params.values().any(is_composite),
        has_legs: params
            .values()
            .any(|param| param.legs || param.merge || param.role.is_some_and(is_leg_role)),
        may_refuse: params.values().any(|param| param.refused || is_composite(param)),
        params,
        required,
        one_of: raw.one_of.clone(),
        only_one: raw.only_one.clone(),
        required_set: NameSet::default(),
        known_set: NameSet::default(),
    })
}

fn compile_param(
    raw: &raw::Param,
    index: &ShapeIndex,
    shapes: &BTreeMap<String, raw::Shape>,
) -> Result<Param, String> {
    if !form::is_plain_name(&raw.name) {
        return Err("not a plain name".to_owned());
    }
    let nested = |items: &Option<String>| {
        let name = items.as_ref().ok_or("items is missing")?;
        let at = *index.get(name).ok_or_else(|| format!("no shape {name}"))?;
        // A role in an object that is no leg would be lost: policy would not see it.
        let lost = !raw.legs
            && !raw.merge
            && !raw.refused
            && shapes.get(name).is_some_and(|shape| {
                shape.params.iter().any(|p| p.role.is_some_and(is_leg_role) || p.legs)
            });
        if lost {
            return Err(format!("shape {name} has roles, so legs or merge is wanted"));
        }
        Ok(at)
    };
    let scalar = |kind: raw::Kind| scalar_kind(kind, raw);
    let kind = match raw.kind {
        raw::Kind::Array => {
            let items = match raw.of {
                Some(of) => Items::Scalars(Box::new(scalar(of)?)),
                None => Items::Shape(nested(&raw.items)?),
            };
            Kind::Array { items, max: raw.items_max.unwrap_or(ITEMS_MAX) }
        }
        raw::Kind::Object => Kind::Object(nested(&raw.items)?),
        kind => scalar(kind)?,
    };
    let composite = matches!(kind, Kind::Object(_) | Kind::Array { items: Items::Shape(_), .. });
    if raw.legs && !composite {
        return Err("legs wants an object or an array of them".to_owned());
    }
    if raw.merge && (raw.legs || !matches!(kind, Kind::Object(_))) {
        return Err("merge wants an object that is no leg of its own".to_owned());
    }
    if raw.repeats && !matches!(kind, Kind::Array { items: Items::Scalars(_), .. }) {
        return Err("repeats wants an array of scalars".to_owned());
    }
    if raw.refused && raw.role.is_some() {
        return Err("what is refused has no role".to_owned());
    }
    let patterns: Vec<Glob> = raw
        .pattern
        .clone()
        .map(OneOrMany::into_vec)
        .unwrap_or_default()
        .iter()
        .map(|pattern| Glob::new(pattern))
        .collect();
    if !patterns.is_empty() && !matches!(kind, Kind::Symbol | Kind::Symbols) {
        return Err("pattern is for symbols".to_owned());
    }
    if raw.role.is_some() && composite {
        return Err("objects have no role".to_owned());
    }
    let many = matches!(kind, Kind::Array { .. } | Kind::Symbols | Kind::Ids);
    let list_role = matches!(
        raw.role,
        None | Some(
            Role::Asset | Role::Symbols | Role::OrderId | Role::ClientOrderId | Role::PostOnly
        )
    );
    if many && !list_role {
        return Err("this role wants a single value".to_owned());
    }
    let decimal_role = matches!(
        raw.role,
        Some(
            Role::Quantity
                | Role::QuoteQuantity
                | Role::Price
                | Role::TriggerPrice
                | Role::Leverage
                | Role::Amount
        )
    );
    let decimal = match &kind {
        Kind::Decimal | Kind::SignedDecimal | Kind::Integer => true,
        Kind::Enum(words) => words.iter().all(|word| value::is_decimal(word, true)),
        _ => false,
    };
    if decimal_role && !decimal {
        return Err("this role wants a decimal".to_owned());
    }
    if raw.role == Some(Role::Symbol) && !matches!(kind, Kind::Symbol | Kind::Enum(_)) {
        return Err("this role wants a symbol".to_owned());
    }
    if raw.role == Some(Role::Side) {
        let sides = |words: &[String]| words.iter().all(|w| value::side(w).is_some());
        if !matches!(&kind, Kind::Enum(words) if sides(words)) {
            return Err("a side is an enum of buy and sell".to_owned());
        }
    }
    Ok(Param {
        kind,
        role: raw.role,
        constant: raw.constant.clone(),
        legs: raw.legs,
        merge: raw.merge,
        implies: raw.implies,
        refused: raw.refused,
        repeats: raw.repeats,
        patterns,
    })
}

/// Whether the role's value is part of a leg.
fn is_leg_role(role: Role) -> bool {
    !matches!(
        role,
        Role::Address | Role::Amount | Role::Asset | Role::OrderId | Role::ClientOrderId
    )
}

fn scalar_kind(kind: raw::Kind, raw: &raw::Param) -> Result<Kind, String> {
    let max = raw.max.unwrap_or(TEXT_MAX);
    Ok(match kind {
        raw::Kind::Array | raw::Kind::Object => return Err("of wants a scalar".to_owned()),
        raw::Kind::Bool => Kind::Bool,
        raw::Kind::Decimal => Kind::Decimal,
        raw::Kind::Enum if raw.values.is_empty() => return Err("values is missing".to_owned()),
        raw::Kind::Enum => Kind::Enum(raw.values.clone()),
        raw::Kind::Id => Kind::Id { max },
        raw::Kind::Ids => Kind::Ids,
        raw::Kind::Integer => Kind::Integer,
        // Prefixes make a price relative to the market, which no rule could judge.
        raw::Kind::Price if raw.prefixes.iter().any(|prefix| prefix != "-") => {
            return Err("price prefixes other than - are not supported".to_owned());
        }
        raw::Kind::Price if raw.prefixes.is_empty() => Kind::Decimal,
        raw::Kind::Price | raw::Kind::SignedDecimal => Kind::SignedDecimal,
        raw::Kind::String => Kind::String { max },
        raw::Kind::Symbol => Kind::Symbol,
        raw::Kind::Symbols => Kind::Symbols,
        raw::Kind::Text => Kind::Text { max },
        raw::Kind::Timestamp => Kind::Timestamp,
    })
}

pub(super) fn operation(
    raw: &raw::Operation,
    head: &Head,
    shapes: &Shapes,
) -> Result<Operation, String> {
    let is_path = plain::is_path(&raw.path)
        || (binding::is_template(&raw.path) && plain::is_path(&plain_instance(&raw.path)));
    if !plain::is_method(&raw.method) || !is_path {
        return Err("method or path is not plain".to_owned());
    }
    let rights = raw.right.clone().map(OneOrMany::into_vec).unwrap_or_default();
    if let Some(right) = rights.iter().find(|right| !head.rights.contains(right)) {
        return Err(format!("right {right} is not in [rights]"));
    }
    if raw.ws && raw.class != Class::Logon {
        return Err("ws is for log-ons".to_owned());
    }
    let signed = raw.signed.unwrap_or(raw.class != Class::Public);
    if signed && raw.class == Class::Public {
        return Err("public operations take no signature".to_owned());
    }
    let shape = match &raw.shape {
        None => None,
        Some(name) => Some(*shapes.index.get(name).ok_or_else(|| format!("no shape {name}"))?),
    };
    let (location, body) = places(raw, head.defaults)?;
    if raw.array && (!body.json || body.form || shape.is_none()) {
        return Err("array wants a JSON body and a shape".to_owned());
    }
    if location == Location::Nowhere {
        let takes =
            raw.shape.as_ref().and_then(|name| shapes.raw.get(name)).map_or(0, |s| s.params.len());
        if takes > 0 {
            return Err("has parameters, but reads them nowhere".to_owned());
        }
    }
    Ok(Operation {
        name: format!("{} {}", raw.method, raw.path).into(),
        method: raw.method.clone(),
        path: raw.path.clone(),
        class: raw.class,
        source: raw.source.clone(),
        rights,
        product: raw.product,
        ws: raw.ws,
        rpc: raw.rpc,
        signed,
        tag: raw.tag.clone(),
        note: raw.note.clone(),
        sensitive: raw.sensitive.clone(),
        binds: raw.binds.as_deref().map(binds),
        domain: raw.domain.clone().unwrap_or_else(|| DOMAIN.to_owned()),
        location,
        body,
        array_max: raw.array.then(|| raw.items_max.unwrap_or(ITEMS_MAX)),
        shape,
    })
}

/// A path template with a word in each of its places.
fn plain_instance(template: &str) -> String {
    let segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.unwrap_or(segment).to_owned()
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Where an operation reads its parameters, and in which form.
fn places(
    raw: &raw::Operation,
    defaults: Option<raw::Defaults>,
) -> Result<(Location, BodyForms), String> {
    const NO_BODY: BodyForms = BodyForms { form: false, json: false };
    if raw.rpc {
        if raw.params_in.is_some() || raw.body.is_some() || raw.array {
            return Err("an rpc has its parameters in a JSON object".to_owned());
        }
        return Ok((Location::Body, BodyForms { form: false, json: true }));
    }
    let defaults = defaults.filter(|_| raw.method != "GET");
    let location = match raw.params_in.or(defaults.and_then(|defaults| defaults.params_in)) {
        Some(ParamsIn::Body) => Location::Body,
        Some(ParamsIn::Either) => Location::Either,
        Some(ParamsIn::None) => Location::Nowhere,
        Some(ParamsIn::Query) => Location::Query,
        None if raw.method == "GET" => Location::Query,
        None => Location::Body,
    };
    let has_body = matches!(location, Location::Body | Location::Either);
    if raw.body.is_some() && !has_body {
        return Err("has a body form, but reads no parameters from the body".to_owned());
    }
    let body = match raw.body.or(defaults.and_then(|defaults| defaults.body)) {
        _ if !has_body => NO_BODY,
        Some(BodyForm::Form) => BodyForms { form: true, json: false },
        Some(BodyForm::Json) => BodyForms { form: false, json: true },
        Some(BodyForm::JsonOrForm) => BodyForms { form: true, json: true },
        None => return Err("body form is missing".to_owned()),
    };
    if location == Location::Either && body.json {
        return Err("query or body wants form text in both".to_owned());
    }
    Ok((location, body))
}
