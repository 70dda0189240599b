//! What an operation would do with given parameters: its legs, symbols and products.

use vault_model::{
    Class, Leg, MarginMode, Member, OrderType, Product, Symbols, TimeInForce, Transfer,
};

use crate::catalog::{Catalog, Items, Kind, Operation, Param, Role, Shape, SizeUnit, When};
use crate::content::{Content, Fields};
use crate::error::ReadError;
use crate::json::{Field, Value};
use crate::value;

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
        return Ok(unread(catalog, operation));
    };
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
    fn member(self, operation: &Operation) -> Member {
        let is_write = operation.class.is_write();
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
        let places = operation.class == Class::Trade && !self.amends;
        let moves = matches!(operation.class, Class::Transfer | Class::Withdraw);
        Member {
            operation: operation.name.clone(),
            class: operation.class,
            schema_sourced: true,
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
    /// It sets leverage or margin mode.
    is_setting: bool,
    /// The products on which its `reduce_only` binds; empty: all.
    binding_on: &'f [Product],
    /// What it moves: assets, amount, address.
    assets: Vec<String>,
    moved: Transfer,
    nested: Vec<(&'f Shape, &'f Value<'f>)>,
    /// Its own fields and those merged into it.
    fields: Vec<&'f Fields<'f>>,
}

impl<'f> Draft<'f> {
    /// Reads the fields of an object, and of objects merged into it.
    fn take(
        &mut self,
        catalog: &'f Catalog,
        shape: &'f Shape,
        fields: &'f Fields<'f>,
        ids: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        self.fields.push(fields);
        for field in fields {
            let Some(param) = shape.param(field) else {
                continue;
            };
            let Field { name, value, .. } = field;
            if let Some(implied) = param.implies {
                self.is_order = true;
                self.leg.order_type = Some(implied.order_type);
                self.leg.tif = self.leg.tif.or(implied.tif);
                self.leg.post_only = either(self.leg.post_only, implied.post_only);
            }
            if let (true, Some(inner), Value::Object(fields)) =
                (param.merge, shape_of(catalog, param), value)
            {
                self.take(catalog, inner, fields, ids)?;
            } else if param.legs {
                self.nested.extend(shape_of(catalog, param).map(|inner| (inner, value)));
            } else if let Some(role) = param.role {
                if role == Role::ReduceOnly {
                    self.binding_on = &param.products;
                }
                let said = Said { name, role, texts: Texts::of(&param.kind, value) };
                self.say(catalog, said, ids)?;
            }
        }
        Ok(())
    }

    fn say(
        &mut self,
        catalog: &Catalog,
        said: Said<'_>,
        ids: &mut Vec<String>,
    ) -> Result<(), ReadError> {
        let Said { name, role, texts } = said;
        let leg = &mut self.leg;
        let first = texts.clone().next();
        let owned = || first.map(str::to_owned);
        match role {
            Role::Symbol => leg.symbol = owned(),
            Role::Symbols => self.more_symbols.extend(texts.map(str::to_owned)),
            Role::Side => leg.side = first.and_then(value::side),
            Role::Type => {
                let word = first.and_then(|word| catalog.order_types.get(word));
                let word = word.ok_or(ReadError::OrderTypeUnknown)?;
                leg.order_type = Some(word.order_type);
                leg.tif = leg.tif.or(word.tif);
                leg.post_only = either(leg.post_only, word.post_only);
            }
            // Its own parameter says more than what the order type implies.
            Role::Tif => {
                let word = first.unwrap_or_default();
                if let Some(meaning) = catalog.tifs.get(word) {
                    leg.tif = Some(meaning.tif);
                    leg.post_only = either(leg.post_only, meaning.post_only);
                } else {
                    let tif = word.parse::<TimeInForce>();
                    let tif = tif.or_else(|_| word.to_ascii_uppercase().parse());
                    leg.tif = Some(tif.map_err(|_| ReadError::OrderTypeUnknown)?);
                }
            }
            Role::Quantity => leg.quantity = owned(),
            Role::QuoteQuantity => leg.quote_quantity = owned(),
            Role::Price => leg.price = owned(),
            Role::TriggerPrice => leg.trigger_price = owned(),
            Role::ReduceOnly => leg.reduce_only = first.map(|text| text == "true"),
            // A flag of its own, or `post` among a list of flags.
            Role::PostOnly => {
                let flags = texts.clone().flat_map(|text| text.split(','));
                let flag = flags.into_iter().any(|flag| matches!(flag, "true" | "post"));
                leg.post_only = either(leg.post_only, Some(flag));
            }
            // Two of them, one for each side: the larger counts.
            Role::Leverage => leg.leverage = larger(leg.leverage.take(), owned()),
            Role::MarginMode => {
                let mode = first.and_then(|word| catalog.margin_mode(name, word));
                leg.margin_mode = Some(mode.ok_or(ReadError::MarginModeUnknown)?);
            }
            // What cannot be read is no deadline.
            Role::Deadline => leg.deadline = first.and_then(value::deadline),
            Role::ClientOrderId => ids.extend(texts.map(str::to_owned)),
            Role::Address => self.moved.address = owned(),
            Role::Amount => self.moved.amount = owned(),
            Role::Asset => self.assets.extend(texts.map(str::to_owned)),
            Role::OrderId => {}
        }
        self.is_setting |= matches!(role, Role::Leverage | Role::MarginMode);
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

impl Draft<'_> {
    /// What the object moves: an amount of each asset that it names.
    fn transfers(&mut self) -> Vec<Transfer> {
        let moved = std::mem::take(&mut self.moved);
        if self.assets.is_empty() {
            return if moved == Transfer::default() { Vec::new() } else { vec![moved] };
        }
        let of = |asset| Transfer { asset: Some(asset), ..moved.clone() };
        std::mem::take(&mut self.assets).into_iter().map(of).collect()
    }
}

/// What one parameter says.
struct Said<'n> {
    name: &'n str,
    role: Role,
    texts: Texts<'n>,
}

/// The texts of a value: one for a scalar, several for a list.
#[derive(Clone)]
enum Texts<'v> {
    Items(&'v Kind, std::slice::Iter<'v, Value<'v>>),
    Parts(std::str::Split<'v, char>),
    Scalar(Option<&'v str>),
}

impl<'v> Texts<'v> {
    fn of(kind: &'v Kind, value: &'v Value<'v>) -> Self {
        match (kind, value) {
            (Kind::Array { items: Items::Scalars(kind), .. }, Value::Array(items)) => {
                Self::Items(kind, items.iter())
            }
            (Kind::Ids | Kind::Symbols, Value::Text(text)) => Self::Parts(text.split(',')),
            _ => Self::Scalar(value::scalar(kind, value)),
        }
    }
}

impl<'v> Iterator for Texts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        match self {
            Self::Items(kind, items) => items.find_map(|item| value::scalar(kind, item)),
            Self::Parts(parts) => parts.next(),
            Self::Scalar(text) => text.take(),
        }
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
    let mut draft = Draft {
        // What is inherited: symbol, side, deadline and settings. The rest of an order is its own.
        leg: Leg {
            symbol: outer.leg.symbol.clone(),
            side: outer.leg.side,
            leverage: outer.leg.leverage.clone(),
            margin_mode: outer.leg.margin_mode,
            deadline: outer.leg.deadline,
            ..Leg::default()
        },
        more_symbols: Vec::new(),
        is_leg: false,
        is_order: false,
        is_setting: false,
        binding_on: &[],
        assets: Vec::new(),
        moved: Transfer::default(),
        nested: Vec::new(),
        fields: Vec::new(),
    };
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
