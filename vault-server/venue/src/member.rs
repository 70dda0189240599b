//! What an operation would do with given parameters: its legs, symbols and products.

use vault_model::{Leg, Member, OrderType, Product, Symbols, TimeInForce};

use crate::catalog::{Catalog, Kind, Operation, Param, Role, Shape};
use crate::content::{Content, Fields};
use crate::error::ReadError;
use crate::json::Value;
use crate::value;

/// Reads an operation with its own schema. The content has been checked against it.
///
/// # Errors
///
/// [`ReadError::OrderTypeUnknown`] for an order whose type or time in force has no meaning here.
pub(crate) fn read(
    catalog: &Catalog,
    operation: &Operation,
    content: &Content,
) -> Result<Member, ReadError> {
    let Some(shape) = operation.shape.and_then(|index| catalog.shapes.get(index)) else {
        return Ok(unknown(operation));
    };
    let mut found = Found::default();
    for fields in &content.objects {
        collect(catalog, shape, fields, &Outer::default(), &mut found)?;
    }
    Ok(found.member(operation))
}

/// The member of an operation whose parameters are not known: it could touch anything.
pub(crate) fn unread(operation: &Operation) -> Member {
    Member {
        operation: operation.name.clone(),
        class: operation.class,
        schema_sourced: operation.schema_sourced(),
        products: None,
        symbols: Symbols::Every,
        legs: Vec::new(),
        client_order_id: None,
    }
}

/// The member of an operation without a schema. A read of this kind knows all parameters, and none
/// of them means anything here; a write could touch anything.
pub(crate) fn unknown(operation: &Operation) -> Member {
    let mut member = unread(operation);
    if !operation.class.is_write() {
        member.products = Some(Vec::new());
        member.symbols = Symbols::Named(Vec::new());
    }
    member
}

/// What an order of a batch takes over from the object around it.
#[derive(Clone, Default)]
struct Outer<'f> {
    leg: Leg,
    /// Every parameter further out, for the product rules.
    fields: Vec<&'f Fields>,
}

#[derive(Default)]
struct Found {
    legs: Vec<Leg>,
    /// A leg without symbol or product: it could be any.
    symbol_open: bool,
    product_open: bool,
    client_order_ids: Vec<String>,
}

impl Found {
    fn member(self, operation: &Operation) -> Member {
        let is_write = operation.class.is_write();
        let mut products: Vec<Product> = self.legs.iter().filter_map(|leg| leg.product).collect();
        products.sort();
        products.dedup();
        let mut symbols: Vec<String> = Vec::new();
        for symbol in self.legs.iter().filter_map(|leg| leg.symbol.as_ref()) {
            if !symbols.contains(symbol) {
                symbols.push(symbol.clone());
            }
        }
        // A write that names nothing touches everything; a read that names nothing reads nothing
        // that the rules of symbol and product are for.
        let nothing_named = is_write && self.legs.is_empty();
        let client_order_id = match self.client_order_ids.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        Member {
            operation: operation.name.clone(),
            class: operation.class,
            schema_sourced: true,
            products: (!self.product_open && !nothing_named).then_some(products),
            symbols: if is_write && (self.symbol_open || nothing_named) {
                Symbols::Every
            } else {
                Symbols::Named(symbols)
            },
            legs: if is_write { self.legs } else { Vec::new() },
            client_order_id,
        }
    }

    fn push(&mut self, catalog: &Catalog, mut leg: Leg, fields: &[&Fields]) {
        leg.product = product(catalog, leg.symbol.as_deref(), fields);
        self.symbol_open |= leg.symbol.is_none();
        self.product_open |= leg.product.is_none();
        self.legs.push(leg);
    }
}

fn collect<'f>(
    catalog: &Catalog,
    shape: &Shape,
    fields: &'f Fields,
    outer: &Outer<'f>,
    found: &mut Found,
) -> Result<(), ReadError> {
    // What is inherited: symbol and side. The rest of an order is its own.
    let mut leg = Leg { symbol: outer.leg.symbol.clone(), side: outer.leg.side, ..Leg::default() };
    let mut own_fields = vec![fields];
    own_fields.extend(&outer.fields);
    let mut more_symbols: Vec<String> = Vec::new();
    let mut is_leg = false;
    let mut is_order = false;
    let mut nested: Vec<(&Shape, &'f Value)> = Vec::new();

    for (name, field) in fields {
        let Some(param) = shape.params.get(name) else {
            continue;
        };
        if param.legs {
            nested.extend(shape_of(catalog, param).map(|inner| (inner, field)));
            continue;
        }
        let Some(role) = param.role else {
            continue;
        };
        let texts = texts(&param.kind, field);
        let first = texts.first().cloned();
        match role {
            Role::Symbol => {
                leg.symbol = first;
                is_leg = true;
            }
            Role::Symbols => {
                more_symbols = texts;
                is_leg = true;
            }
            Role::Side => {
                leg.side = first.as_deref().and_then(value::side);
                is_order = true;
            }
            Role::Type => {
                is_order = true;
                let word = first.as_ref().and_then(|word| catalog.order_types.get(word));
                let word = word.ok_or(ReadError::OrderTypeUnknown)?;
                leg.order_type = Some(word.order_type);
                leg.tif = leg.tif.or(word.tif);
                leg.post_only = either(leg.post_only, word.post_only);
            }
            Role::Tif => {
                // Its own parameter says more than what the order type implies.
                let word = first.unwrap_or_default().to_ascii_uppercase();
                let tif = word.parse::<TimeInForce>();
                leg.tif = Some(tif.map_err(|_| ReadError::OrderTypeUnknown)?);
            }
            Role::Quantity => {
                leg.quantity = first;
                is_order = true;
            }
            Role::QuoteQuantity => {
                leg.quote_quantity = first;
                is_order = true;
            }
            Role::Price => {
                leg.price = first;
                is_order = true;
            }
            Role::TriggerPrice => {
                leg.trigger_price = first;
                is_order = true;
            }
            Role::ReduceOnly => leg.reduce_only = first.map(|text| text == "true"),
            // A flag of its own, or `post` among a list of flags.
            Role::PostOnly => {
                let flag = texts.iter().any(|text| text == "true" || text == "post");
                leg.post_only = either(leg.post_only, Some(flag));
            }
            Role::Leverage => leg.leverage = first,
            Role::ClientOrderId => found.client_order_ids.extend(texts),
            Role::Address | Role::Amount | Role::Asset | Role::OrderId => {}
        }
    }
    if leg.order_type == Some(OrderType::Limit) && leg.post_only == Some(true) {
        leg.order_type = Some(OrderType::LimitMaker);
    }

    let inner = Outer { leg: leg.clone(), fields: own_fields.clone() };
    let has_nested = !nested.is_empty();
    // The object around a batch names the symbol for the orders in it and is no order itself.
    if is_order || (is_leg && !has_nested) {
        if more_symbols.is_empty() {
            found.push(catalog, leg, &own_fields);
        } else {
            for symbol in more_symbols {
                let leg = Leg { symbol: Some(symbol), ..leg.clone() };
                found.push(catalog, leg, &own_fields);
            }
        }
    }
    for (inner_shape, value) in nested {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        for item in items {
            if let Value::Object(fields) = item {
                let before = found.legs.len();
                collect(catalog, inner_shape, fields, &inner, found)?;
                if found.legs.len() == before {
                    // An order of which nothing is said but what it inherits.
                    found.push(catalog, inner.leg.clone(), &inner.fields);
                }
            }
        }
    }
    Ok(())
}

/// Whether one of two sayings is yes; absent when neither says anything.
fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one || other),
        (one, other) => one.or(other),
    }
}

fn shape_of<'c>(catalog: &'c Catalog, param: &Param) -> Option<&'c Shape> {
    match &param.kind {
        Kind::Array { items: crate::catalog::Items::Shape(index), .. } | Kind::Object(index) => {
            catalog.shapes.get(*index)
        }
        _ => None,
    }
}

/// The texts of a value: one for a scalar, several for a list.
fn texts(kind: &Kind, value: &Value) -> Vec<String> {
    match (kind, value) {
        (Kind::Array { items: crate::catalog::Items::Scalars(kind), .. }, Value::Array(items)) => {
            items.iter().filter_map(|item| value::scalar(kind, item)).map(str::to_owned).collect()
        }
        (Kind::Ids | Kind::Symbols, Value::Text(text)) => {
            text.split(',').map(str::to_owned).collect()
        }
        _ => value::scalar(kind, value).map(str::to_owned).into_iter().collect(),
    }
}

/// The product of a leg: that of the first rule which matches.
fn product(catalog: &Catalog, symbol: Option<&str>, fields: &[&Fields]) -> Option<Product> {
    let field = |name: &str| {
        fields.iter().find_map(|fields| {
            fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
        })
    };
    let text = |name: &str| match field(name) {
        Some(Value::Text(text) | Value::Number(text)) => Some(text.as_str()),
        Some(Value::Bool(true)) => Some("true"),
        Some(Value::Bool(false)) => Some("false"),
        _ => None,
    };
    let rule = catalog.products.iter().find(|rule| {
        rule.symbol.as_ref().is_none_or(|glob| symbol.is_some_and(|symbol| glob.matches(symbol)))
            && rule.values.iter().all(|(name, values)| {
                text(name).is_some_and(|text| values.iter().any(|value| value == text))
            })
            && rule.present.iter().all(|name| field(name).is_some())
    });
    rule.map(|rule| rule.product)
}
