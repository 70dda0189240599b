//! From a catalogue as written to lookup tables; whatever the file says twice or refers to in
//! vain is an error here, so that nothing is left to find out while judging.

use std::collections::{BTreeMap, HashMap, HashSet};

use vault_model::{Class, Environment};

use super::raw::{self, BodyForm, OneOrMany, ParamsIn, Part};
use super::{
    BodyForms, Catalog, Hosts, Items, Kind, Location, Operation, OrderTypeWord, Param, ProductRule,
    Role, Shape, Signature, bound_key,
};
use crate::form;
use crate::glob::Glob;
use crate::plain;
use crate::value;

/// How long `string` and `text` values may be where the catalogue says nothing, in bytes.
const TEXT_MAX: usize = 64;
/// How many items arrays may have where the catalogue says nothing.
const ITEMS_MAX: usize = 20;

pub(super) fn compile(name: &str, file: raw::File, hash: [u8; 32]) -> Result<Catalog, String> {
    if file.format != 1 {
        return Err(format!("format {} is not known", file.format));
    }
    if file.venue != name {
        return Err(format!("is called {}", file.venue));
    }
    let cited = |source: &str, by: &str| {
        if file.sources.contains_key(source) {
            Ok(())
        } else {
            Err(format!("{by}: source {source} is not in [sources]"))
        }
    };

    cited(&file.signature.source, "signature")?;
    if let Some(source) = &file.signature.client_order_id_source {
        cited(source, "signature.client_order_id_source")?;
    }
    let rights = match &file.rights {
        Some(rights) => {
            cited(&rights.source, "rights")?;
            rights.names.clone()
        }
        None => Vec::new(),
    };
    for (name, shape) in &file.shape {
        cited(&shape.source, &format!("shape {name}"))?;
    }
    for operation in &file.operation {
        cited(&operation.source, &format!("{} {}", operation.method, operation.path))?;
    }

    let signature = signature(&file.signature)?;
    let (shapes, shape_index) = shapes(&file.shape)?;
    let operations = operations(&file.operation, &shape_index, &file.shape, &rights)?;

    let mut by_name = HashMap::new();
    let mut by_bound: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        let key = (operation.method.clone(), operation.path.clone());
        if by_name.insert(key, index).is_some() {
            return Err(format!("{}: stated twice", operation.name));
        }
        by_bound
            .entry(bound_key(&signature, &operation.method, &operation.path))
            .or_default()
            .push(index);
    }
    for bucket in by_bound.values_mut() {
        bucket.sort_by(|&a, &b| operations[a].name.cmp(&operations[b].name));
    }

    Ok(Catalog {
        venue: file.venue,
        title: file.title,
        hash,
        sources: file.sources.clone(),
        signature,
        rights,
        shapes,
        products: file.product.into_iter().map(product_rule).collect(),
        order_types: order_types(file.order_type)?,
        environments: environments(file.environments)?,
        by_name,
        by_bound,
        operations,
    })
}

fn signature(raw: &raw::Signature) -> Result<Signature, String> {
    let binds = |part| raw.binds.contains(&part);
    if raw.joined && !(binds(Part::Query) && binds(Part::Body)) {
        return Err("signature: joined wants query and body bound".to_owned());
    }
    if let Some(header) =
        raw.caller_headers.iter().find(|header| header.to_ascii_lowercase() != **header)
    {
        return Err(format!("signature: caller header {header} is not in lower case"));
    }
    Ok(Signature {
        scheme: raw.scheme.clone(),
        binds_method: binds(Part::Method),
        binds_host: binds(Part::Host),
        binds_path: binds(Part::Path),
        binds_query: binds(Part::Query),
        binds_body: binds(Part::Body),
        joined: raw.joined,
        usable_ms: raw.usable_ms,
        needs_passphrase: raw.needs_passphrase,
        nonce: raw.nonce,
        key_types: raw.key_types.clone(),
        client_order_id_reuse: raw.client_order_id_reuse,
        reserved: raw.reserved.clone(),
        caller_headers: raw.caller_headers.clone(),
    })
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
        if let Some(host) = hosts.hosts.iter().chain(&hosts.ws_hosts).find(|h| !plain::is_host(h)) {
            return Err(format!("environment {word}: {host} is no plain host name"));
        }
        let headers = hosts.headers.into_iter().collect();
        let hosts = Hosts { rest: hosts.hosts, ws: hosts.ws_hosts, headers };
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

fn product_rule(raw: raw::ProductRule) -> ProductRule {
    ProductRule {
        product: raw.product,
        symbol: raw.symbol.as_deref().map(Glob::new),
        values: raw.values.into_iter().collect(),
        present: match raw.present {
            None => Vec::new(),
            Some(OneOrMany::One(name)) => vec![name],
            Some(OneOrMany::Many(names)) => names,
        },
    }
}

type ShapeIndex = HashMap<String, usize>;

fn shapes(raw: &BTreeMap<String, raw::Shape>) -> Result<(Vec<Shape>, ShapeIndex), String> {
    let index: ShapeIndex =
        raw.keys().enumerate().map(|(index, name)| (name.clone(), index)).collect();
    let mut shapes = Vec::with_capacity(raw.len());
    for (name, shape) in raw {
        let mut params = HashMap::new();
        let mut required = Vec::new();
        for param in &shape.params {
            let compiled = compile_param(param, &index, raw)
                .map_err(|what| format!("shape {name}, {}: {what}", param.name))?;
            if param.required {
                required.push(param.name.clone());
            }
            if params.insert(param.name.clone(), compiled).is_some() {
                return Err(format!("shape {name}, {}: stated twice", param.name));
            }
        }
        required.sort();
        if let Some(absent) = shape.one_of.iter().flatten().find(|p| !params.contains_key(*p)) {
            return Err(format!("shape {name}, one_of: {absent} is no parameter"));
        }
        shapes.push(Shape { params, required, one_of: shape.one_of.clone() });
    }
    Ok((shapes, index))
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
            && shapes.get(name).is_some_and(|shape| {
                shape.params.iter().any(|p| p.role.is_some_and(is_leg_role) || p.legs)
            });
        if lost {
            return Err(format!("shape {name} has roles, so legs = true is wanted"));
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
    if raw.role.is_some() && composite {
        return Err("objects have no role".to_owned());
    }
    let many = matches!(kind, Kind::Array { .. } | Kind::Symbols | Kind::Ids);
    let list_role = matches!(
        raw.role,
        None | Some(Role::Symbols | Role::OrderId | Role::ClientOrderId | Role::PostOnly)
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
    Ok(Param { kind, role: raw.role, constant: raw.constant.clone(), legs: raw.legs })
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

fn operations(
    raw: &[raw::Operation],
    index: &ShapeIndex,
    shapes: &BTreeMap<String, raw::Shape>,
    rights: &[String],
) -> Result<Vec<Operation>, String> {
    let rights: HashSet<&str> = rights.iter().map(String::as_str).collect();
    raw.iter()
        .map(|raw| {
            let name = format!("{} {}", raw.method, raw.path);
            operation(raw, &name, index, shapes, &rights).map_err(|what| format!("{name}: {what}"))
        })
        .collect()
}

fn operation(
    raw: &raw::Operation,
    name: &str,
    index: &ShapeIndex,
    shapes: &BTreeMap<String, raw::Shape>,
    rights: &HashSet<&str>,
) -> Result<Operation, String> {
    if !plain::is_method(&raw.method) || !plain::is_path(&raw.path) {
        return Err("method or path is not plain".to_owned());
    }
    if let Some(right) = raw.right.as_deref().filter(|right| !rights.contains(right)) {
        return Err(format!("right {right} is not in [rights]"));
    }
    if raw.ws && raw.class != Class::Logon {
        return Err("ws is for log-ons".to_owned());
    }
    let shape = match &raw.shape {
        None => None,
        Some(shape) => Some(*index.get(shape).ok_or_else(|| format!("no shape {shape}"))?),
    };
    let location = match raw.params_in {
        Some(ParamsIn::Body) => Location::Body,
        Some(ParamsIn::None) => Location::Nowhere,
        Some(ParamsIn::Query) => Location::Query,
        None if raw.method == "GET" => Location::Query,
        None => Location::Body,
    };
    if raw.body.is_some() && location != Location::Body {
        return Err("has a body form, but reads no parameters from the body".to_owned());
    }
    let body = match raw.body {
        Some(BodyForm::Form) => BodyForms { form: true, json: false },
        Some(BodyForm::Json) => BodyForms { form: false, json: true },
        Some(BodyForm::JsonOrForm) => BodyForms { form: true, json: true },
        None if location == Location::Body => return Err("body form is missing".to_owned()),
        None => BodyForms { form: false, json: false },
    };
    if raw.array && (!body.json || body.form || shape.is_none()) {
        return Err("array wants a JSON body and a shape".to_owned());
    }
    if location == Location::Nowhere {
        let takes = raw.shape.as_ref().and_then(|s| shapes.get(s)).map_or(0, |s| s.params.len());
        if takes > 0 {
            return Err("has parameters, but reads them nowhere".to_owned());
        }
    }
    Ok(Operation {
        name: name.to_owned(),
        method: raw.method.clone(),
        path: raw.path.clone(),
        class: raw.class,
        right: raw.right.clone(),
        ws: raw.ws,
        tag: raw.tag.clone(),
        note: raw.note.clone(),
        sensitive: raw.sensitive.clone(),
        location,
        body,
        array_max: raw.array.then(|| raw.items_max.unwrap_or(ITEMS_MAX)),
        shape,
    })
}
