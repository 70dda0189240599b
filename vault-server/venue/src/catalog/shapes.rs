//! The parameters of operations.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::raw::{self, OneOrMany};
use super::{Items, Kind, Param, Role, Set, Shape};
use crate::form;
use crate::glob::Glob;
use crate::value;

/// How long `string` and `text` values may be where the catalogue says nothing, in bytes.
const TEXT_MAX: usize = 64;
/// How many parameters a shape may have.
const PARAMS_MAX: usize = 1_000;
/// How many items arrays may have where the catalogue says nothing.
pub(super) const ITEMS_MAX: usize = 20;

type ShapeIndex = HashMap<String, usize>;

/// The shapes of a catalogue while they are compiled.
#[derive(Default)]
pub(super) struct Shapes {
    pub raw: BTreeMap<String, raw::Shape>,
    pub index: ShapeIndex,
    pub done: Vec<Shape>,
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
    let mut params: Vec<Param> = Vec::new();
    let mut required = Vec::new();
    for param in &raw.params {
        let compiled =
            compile_param(param, index, all).map_err(|what| format!("{}: {what}", param.name))?;
        if param.required {
            required.push(param.name.clone());
        }
        if params.iter().any(|known| known.name == param.name) {
            return Err(format!("{}: stated twice", param.name));
        }
        params.push(compiled);
    }
    if params.len() > PARAMS_MAX {
        return Err(format!("more than {PARAMS_MAX} parameters"));
    }
    required.sort();
    let mut listed = raw.one_of.iter().chain(&raw.only_one).flatten();
    if let Some(absent) = listed.find(|name| !params.iter().any(|param| param.name == **name)) {
        return Err(format!("one_of or only_one: {absent} is no parameter"));
    }
    let is_composite = |param: &Param| matches!(param.kind, Kind::Array { .. } | Kind::Object(_));
    Ok(Shape {
        source: raw.source.clone(),
        is_composite: params.iter().any(is_composite),
        has_legs: params
            .iter()
            .any(|param| param.legs || param.merge || param.role.is_some_and(is_leg_role)),
        may_refuse: params.iter().any(|param| param.refused || is_composite(param)),
        params,
        by_number: Vec::new(),
        required,
        one_of: raw.one_of.clone(),
        only_one: raw.only_one.clone(),
        required_set: Set::default(),
        known_set: Set::default(),
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
    if !raw.products.is_empty() && raw.role != Some(Role::ReduceOnly) {
        return Err("products is for reduce_only".to_owned());
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
    if raw.role == Some(Role::Deadline) && !matches!(kind, Kind::String { .. }) {
        return Err("a deadline is a text".to_owned());
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
        name: raw.name.clone(),
        kind,
        required: raw.required,
        role: raw.role,
        constant: raw.constant.clone(),
        legs: raw.legs,
        merge: raw.merge,
        implies: raw.implies,
        refused: raw.refused,
        repeats: raw.repeats,
        patterns,
        products: raw.products.clone(),
        // Numbered when all shapes are known.
        values: 0,
        meaning: 0,
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
        raw::Kind::SignedDecimal => Kind::SignedDecimal,
        raw::Kind::String => Kind::String { max },
        raw::Kind::Symbol => Kind::Symbol,
        raw::Kind::Symbols => Kind::Symbols,
        raw::Kind::Text => Kind::Text { max },
        raw::Kind::Timestamp => Kind::Timestamp,
    })
}
