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
        return Ok(unread(catalog, operation));
    };
    let mut found = Found { product: operation.product, ..Found::default() };
    for fields in &content.objects {
        collect(catalog, shape, fields, &Outer::default(), &mut found)?;
    }
    Ok(found.member(operation))
}

/// The member of an operation whose parameters are not known: it could touch anything of its
/// product. A read that has no parameter for an instrument touches none.
pub(crate) fn unread(catalog: &Catalog, operation: &Operation) -> Member {
    let shape = operation.shape.and_then(|index| catalog.shapes.get(index));
    let names_none = !operation.class.is_write() && shape.is_none_or(|shape| !shape.has_legs);
    Member {
        operation: operation.name.clone(),
        class: operation.class,
        schema_sourced: operation.schema_sourced(),
        products: match operation.product {
            Some(product) => Some(vec![product]),
            None => names_none.then(Vec::new),
        },
        symbols: if names_none { Symbols::Named(Vec::new()) } else { Symbols::Every },
        legs: Vec::new(),
        client_order_id: None,
        client_order_ids: Vec::new(),
        transfers: Vec::new(),
    }
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
    /// The product of every leg, where the operation says it.
    product: Option<Product>,
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
            products: match self.product {
                // The operation is of one product, whatever it names.
                Some(product) => Some(vec![product]),
                None => (!self.product_open && !nothing_named).then_some(products),
            },
            symbols: if is_write && (self.symbol_open || nothing_named) {
                Symbols::Every
            } else {
                Symbols::Named(symbols)
            },
            legs: if is_write { self.legs } else { Vec::new() },
            client_order_id,
            client_order_ids: self.client_order_ids,
            transfers: Vec::new(),
        }
    }

    fn push(&mut self, catalog: &Catalog, mut leg: Leg, fields: &[&Fields]) {
        leg.product = self.product.or_else(|| product(catalog, leg.symbol.as_deref(), fields));
        self.symbol_open |= leg.symbol.is_none();
        self.product_open |= leg.product.is_none();
        self.legs.push(leg);
    }
}

/// One object of parameters, while it is read.
struct Draft<'f> {
    leg: Leg,
    more_symbols: Vec<String>,
    /// It names an instrument.
    is_leg: bool,
    /// It says something that only an order has.
    is_order: bool,
    nested: Vec<(&'f Shape, &'f Value)>,
    /// Its own fields and those merged into it.
    fields: Vec<&'f Fields>,
}

impl<'f> Draft<'f> {
    /// Reads the fields of an object, and of objects merged into it.
    fn take(
        &mut self,
        catalog: &'f Catalog,
        shape: &'f Shape,
        fields: &'f Fields,
        ids: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        self.fields.push(fields);
        for (name, field) in fields {
            let Some(param) = shape.params.get(name) else {
                continue;
            };
            if let Some(implied) = param.implies {
                self.is_order = true;
                self.leg.order_type = Some(implied.order_type);
                self.leg.tif = self.leg.tif.or(implied.tif);
                self.leg.post_only = either(self.leg.post_only, implied.post_only);
            }
            if let (true, Some(inner), Value::Object(fields)) =
                (param.merge, shape_of(catalog, param), field)
            {
                self.take(catalog, inner, fields, ids)?;
            } else if param.legs {
                self.nested.extend(shape_of(catalog, param).map(|inner| (inner, field)));
            } else if let Some(role) = param.role {
                self.say(catalog, role, texts(&param.kind, field), ids)?;
            }
        }
        Ok(())
    }

    fn say(
        &mut self,
        catalog: &Catalog,
        role: Role,
        texts: Vec<String>,
        ids: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        let leg = &mut self.leg;
        let first = texts.first().cloned();
        match role {
            Role::Symbol => leg.symbol = first,
            Role::Symbols => self.more_symbols.extend(texts),
            Role::Side => leg.side = first.as_deref().and_then(value::side),
            Role::Type => {
                let word = first.as_ref().and_then(|word| catalog.order_types.get(word));
                let word = word.ok_or(ReadError::OrderTypeUnknown)?;
                leg.order_type = Some(word.order_type);
                leg.tif = leg.tif.or(word.tif);
                leg.post_only = either(leg.post_only, word.post_only);
            }
            // Its own parameter says more than what the order type implies.
            Role::Tif => {
                let word = first.unwrap_or_default();
                if let Some(meaning) = catalog.tifs.get(&word) {
                    leg.tif = Some(meaning.tif);
                    leg.post_only = either(leg.post_only, meaning.post_only);
                } else {
                    let tif = word.to_ascii_uppercase().parse::<TimeInForce>();
                    leg.tif = Some(tif.map_err(|_| ReadError::OrderTypeUnknown)?);
                }
            }
            Role::Quantity => leg.quantity = first,
            Role::QuoteQuantity => leg.quote_quantity = first,
            Role::Price => leg.price = first,
            Role::TriggerPrice => leg.trigger_price = first,
            Role::ReduceOnly => leg.reduce_only = first.map(|text| text == "true"),
            // A flag of its own, or `post` among a list of flags.
            Role::PostOnly => {
                let flag = texts.iter().any(|text| text == "true" || text == "post");
                leg.post_only = either(leg.post_only, Some(flag));
            }
            // Two of them, one for each side: the larger counts.
            Role::Leverage => leg.leverage = larger(leg.leverage.take(), first),
            Role::ClientOrderId => ids.extend(texts),
            Role::Address | Role::Amount | Role::Asset | Role::OrderId => {}
        }
        self.is_leg |= matches!(role, Role::Symbol | Role::Symbols);
        self.is_order |= matches!(
            role,
            Role::Side
                | Role::Type
                | Role::Quantity
                | Role::QuoteQuantity
                | Role::Price
                | Role::TriggerPrice
        );
        Ok(())
    }
}

fn collect<'f>(
    catalog: &'f Catalog,
    shape: &'f Shape,
    fields: &'f Fields,
    outer: &Outer<'f>,
    found: &mut Found,
) -> Result<(), ReadError> {
    let mut draft = Draft {
        // What is inherited: symbol and side. The rest of an order is its own.
        leg: Leg { symbol: outer.leg.symbol.clone(), side: outer.leg.side, ..Leg::default() },
        more_symbols: Vec::new(),
        is_leg: false,
        is_order: false,
        nested: Vec::new(),
        fields: Vec::new(),
    };
    draft.take(catalog, shape, fields, &mut found.client_order_ids)?;
    draft.fields.extend(&outer.fields);
    let Draft { mut leg, more_symbols, is_leg, is_order, nested, fields } = draft;
    if leg.order_type == Some(OrderType::Limit) && leg.post_only == Some(true) {
        leg.order_type = Some(OrderType::LimitMaker);
    }

    let inner = Outer { leg: leg.clone(), fields: fields.clone() };
    // The object around a batch names the symbol for the orders in it and is no order itself.
    if is_order || (is_leg && nested.is_empty()) {
        if more_symbols.is_empty() {
            found.push(catalog, leg, &fields);
        } else {
            for symbol in more_symbols {
                let leg = Leg { symbol: Some(symbol), ..leg.clone() };
                found.push(catalog, leg, &fields);
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

/// The larger of two decimals. They have no leading zeros, so a longer whole part is a larger
/// number, and of two whole parts of one length the larger comes later.
fn larger(one: Option<String>, other: Option<String>) -> Option<String> {
    let size = |text: &String| (text.split('.').next().map_or(0, str::len), text.clone());
    [one, other].into_iter().flatten().max_by_key(size)
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
            && rule.absent.iter().all(|name| field(name).is_none())
    });
    rule.map(|rule| rule.product)
}
