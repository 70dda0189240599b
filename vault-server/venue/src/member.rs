//! What an operation would do with given parameters: its legs, symbols and products.

mod draft;

use std::sync::Arc;

use vault_model::{Class, Intent, Leg, MarginMode, Member, OrderType, Product, Symbols, Transfer};

use self::draft::Draft;
use crate::catalog::{Catalog, Items, Kind, Operation, Param, Role, Shape, SizeUnit, When};
use crate::content::{Content, Fields};
use crate::error::ReadError;
use crate::json::Value;

/// Reads an operation with its own schema. The content has been checked against it.
///
/// # Errors
///
/// [`ReadError::OrderTypeUnknown`] for an order whose type or time in force has no meaning here,
/// [`ReadError::MarginModeUnknown`] for a margin mode that has none.
pub(crate) fn read(
    catalog: &Catalog,
    operation: &Operation,
    content: &Content<'_>,
) -> Result<Member, ReadError> {
    let Some(shape) = operation.shape.and_then(|index| catalog.shapes.get(index)) else {
        return Ok(unread(operation));
    };
    Ok(with(operation, Arc::new(intent(catalog, operation, shape, content)?)))
}

/// What an operation of this shape would do. Of the operation nothing counts but what
/// [`crate::closure`] compares as its sense.
pub(crate) fn intent(
    catalog: &Catalog,
    operation: &Operation,
    shape: &Shape,
    content: &Content<'_>,
) -> Result<Intent, ReadError> {
    let mut found = Found {
        amends: operation.amends,
        is_write: operation.class.is_write(),
        margin_mode: operation.margin_mode,
        product: operation.product,
        ..Found::default()
    };
    for fields in &content.objects {
        collect(catalog, shape, fields, &Outer::default(), &mut found)?;
    }
    Ok(found.intent(operation.class))
}

/// The member of an operation that would do this.
pub(crate) fn with(operation: &Operation, intent: Arc<Intent>) -> Member {
    Member {
        operation: operation.name.clone(),
        class: operation.class,
        schema_sourced: operation.schema_sourced(),
        intent,
    }
}

/// The member of an operation whose parameters are not known.
pub(crate) fn unread(operation: &Operation) -> Member {
    with(operation, operation.unread.clone())
}

/// What an operation could do whose parameters are not known: it could touch anything of its product.
/// A read that has no parameter for an instrument touches none.
pub(crate) fn unread_intent(
    class: Class,
    product: Option<Product>,
    shape: Option<&Shape>,
) -> Intent {
    let names_none = !class.is_write() && shape.is_none_or(|shape| !shape.has_legs);
    Intent {
        products: match product {
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
    fields: Vec<&'f Fields<'f>>,
}

#[derive(Default)]
struct Found {
    /// Every leg changes an order that is there.
    amends: bool,
    is_write: bool,
    /// The margin mode of every leg that states none.
    margin_mode: Option<MarginMode>,
    /// The product of every leg, where the operation says it.
    product: Option<Product>,
    legs: Vec<Leg>,
    transfers: Vec<Transfer>,
    /// A leg without symbol or product: it could be any.
    symbol_open: bool,
    product_open: bool,
    client_order_ids: Vec<String>,
}

impl Found {
    fn intent(self, class: Class) -> Intent {
        let is_write = class.is_write();
        let mut symbols: Vec<String> = Vec::with_capacity(self.legs.len());
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
        // What cancels or changes an order names it by the id that it has: that is no second order of
        // one id.
        let places = class == Class::Trade && !self.amends;
        let moves = matches!(class, Class::Transfer | Class::Withdraw);
        Intent {
            products: match self.product {
                // The operation is of one product, whatever it names.
                Some(product) => Some(vec![product]),
                None => (!self.product_open && !nothing_named).then(|| {
                    let of_legs = self.legs.iter().filter_map(|leg| leg.product);
                    let mut products: Vec<Product> = of_legs.collect();
                    products.sort();
                    products.dedup();
                    products
                }),
            },
            symbols: if is_write && (self.symbol_open || nothing_named) {
                Symbols::Every
            } else {
                Symbols::Named(symbols)
            },
            legs: if is_write { self.legs } else { Vec::new() },
            client_order_id,
            client_order_ids: if places { self.client_order_ids } else { Vec::new() },
            transfers: if moves { self.transfers } else { Vec::new() },
        }
    }

    fn push(
        &mut self,
        catalog: &Catalog,
        mut leg: Leg,
        binding_on: &[Product],
        fields: &[&Fields<'_>],
    ) {
        leg.product = self.product.or_else(|| product(catalog, leg.symbol.as_deref(), fields));
        leg.margin_mode = leg.margin_mode.or(self.margin_mode);
        leg.amends = self.amends;
        let binds = |product| product != Product::Spot && is_among(binding_on, product);
        if !leg.product.is_some_and(binds) {
            // At spot there is no position to reduce, and a flag that the venue may ignore is none.
            leg.reduce_only = None;
        }
        match size_unit(catalog, leg.symbol.as_deref(), fields) {
            SizeUnit::Base => {}
            SizeUnit::Quote => leg.quote_quantity = leg.quantity.take().or(leg.quote_quantity),
            // A number in an unknown unit would be judged as one in the usual unit. And no amendment
            // that changes the size may look like one that keeps it.
            SizeUnit::Unknown => {
                leg.amends &= leg.quantity.is_none() && leg.quote_quantity.is_none();
                (leg.quantity, leg.quote_quantity) = (None, None);
            }
        }
        self.symbol_open |= leg.symbol.is_none();
        self.product_open |= leg.product.is_none();
        // Most have one, and a leg is large.
        self.legs.reserve_exact(usize::from(self.legs.is_empty()));
        self.legs.push(leg);
    }
}

fn behind_trigger(order_type: OrderType) -> OrderType {
    match order_type {
        OrderType::Market => OrderType::Stop,
        OrderType::Limit | OrderType::LimitMaker => OrderType::StopLimit,
        other => other,
    }
}

fn collect<'f>(
    catalog: &'f Catalog,
    shape: &'f Shape,
    fields: &'f Fields<'f>,
    outer: &Outer<'f>,
    found: &mut Found,
) -> Result<(), ReadError> {
    // What is inherited: symbol, side, deadline and settings. The rest of an order is its own.
    let mut draft = Draft::new(Leg {
        symbol: outer.leg.symbol.clone(),
        side: outer.leg.side,
        leverage: outer.leg.leverage.clone(),
        margin_mode: outer.leg.margin_mode,
        deadline: outer.leg.deadline,
        ..Leg::default()
    });
    draft.take(catalog, shape, fields, &mut found.client_order_ids)?;
    draft.fields.extend(&outer.fields);
    found.transfers.extend(draft.transfers());
    let Draft {
        mut leg,
        more_symbols,
        is_leg,
        is_order,
        is_setting,
        binding_on,
        nested,
        fields,
        ..
    } = draft;
    if found.amends && shape.says(Role::PostOnly) {
        // A flag that the amendment could have stated is taken away by one that does not.
        leg.post_only = leg.post_only.or(Some(false));
    }
    if leg.order_type == Some(OrderType::Limit) && leg.post_only == Some(true) {
        leg.order_type = Some(OrderType::LimitMaker);
    }
    if leg.trigger_price.is_some() {
        // Behind a trigger it waits, and fills at another price.
        leg.order_type = leg.order_type.map(behind_trigger);
    }

    let inner = (!nested.is_empty()).then(|| Outer { leg: leg.clone(), fields: fields.clone() });
    // The object around a batch names the symbol for the orders in it and is no order itself. A write
    // that sets leverage or margin mode says so even where it names no symbol.
    let sets = is_setting && found.is_write;
    if is_order || ((is_leg || sets) && nested.is_empty()) {
        if more_symbols.is_empty() {
            found.push(catalog, leg, binding_on, &fields);
        } else {
            for symbol in more_symbols {
                let leg = Leg { symbol: Some(symbol), ..leg.clone() };
                found.push(catalog, leg, binding_on, &fields);
            }
        }
    }
    let Some(inner) = inner else {
        return Ok(());
    };
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
                    found.push(catalog, inner.leg.clone(), &[], &inner.fields);
                }
            }
        }
    }
    Ok(())
}

fn shape_of<'c>(catalog: &'c Catalog, param: &Param) -> Option<&'c Shape> {
    match &param.kind {
        Kind::Array { items: Items::Shape(index), .. } | Kind::Object(index) => {
            catalog.shapes.get(*index)
        }
        _ => None,
    }
}

/// The product of a leg: that of the first rule which matches.
fn product(catalog: &Catalog, symbol: Option<&str>, fields: &[&Fields<'_>]) -> Option<Product> {
    catalog.products.iter().find(|rule| holds(&rule.when, symbol, fields)).map(|rule| rule.product)
}

/// The unit of a leg's quantity: that of the first rule which matches.
fn size_unit(catalog: &Catalog, symbol: Option<&str>, fields: &[&Fields<'_>]) -> SizeUnit {
    let rule = catalog.sizes.iter().find(|rule| holds(&rule.when, symbol, fields));
    rule.map_or(SizeUnit::Base, |rule| rule.unit)
}

/// Whether a condition holds for a leg with these parameters in it and around it.
fn holds(when: &When, symbol: Option<&str>, fields: &[&Fields<'_>]) -> bool {
    let field = |name: &str| {
        fields.iter().find_map(|fields| {
            fields.iter().find(|field| field.name == name).map(|field| &field.value)
        })
    };
    let text = |name: &str| match field(name) {
        Some(Value::Text(text) | Value::Number(text)) => Some(&**text),
        Some(Value::Bool(true)) => Some("true"),
        Some(Value::Bool(false)) => Some("false"),
        _ => None,
    };
    when.symbol.as_ref().is_none_or(|glob| symbol.is_some_and(|symbol| glob.matches(symbol)))
        && when.values.iter().all(|(name, values)| {
            text(name).is_some_and(|text| values.iter().any(|value| value == text))
        })
        && when.present.iter().all(|name| field(name).is_some())
        && when.absent.iter().all(|name| field(name).is_none())
}

/// Whether a product is in a list; an empty one has all.
fn is_among(products: &[Product], product: Product) -> bool {
    products.is_empty() || products.contains(&product)
}
