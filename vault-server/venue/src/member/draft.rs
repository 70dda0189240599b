//! What the parameters of one object say.

use vault_model::{Leg, Product, TimeInForce, Transfer};

use super::shape_of;
use crate::catalog::{Catalog, Items, Kind, Role, Shape};
use crate::content::Fields;
use crate::error::ReadError;
use crate::json::{Field, Value};
use crate::value;

/// One object of parameters, while it is read.
pub(super) struct Draft<'f> {
    pub leg: Leg,
    pub more_symbols: Vec<String>,
    /// It names an instrument.
    pub is_leg: bool,
    /// It says something that only an order has.
    pub is_order: bool,
    /// It sets leverage or margin mode.
    pub is_setting: bool,
    /// The products on which its `reduce_only` binds; empty: all.
    pub binding_on: &'f [Product],
    /// What it moves: assets, amount, address.
    assets: Vec<String>,
    moved: Transfer,
    pub nested: Vec<(&'f Shape, &'f Value<'f>)>,
    /// Its own fields and those merged into it.
    pub fields: Vec<&'f Fields<'f>>,
}

impl<'f> Draft<'f> {
    /// Begins with what is inherited.
    pub(super) fn new(leg: Leg) -> Self {
        Self {
            leg,
            more_symbols: Vec::new(),
            is_leg: false,
            is_order: false,
            is_setting: false,
            binding_on: &[],
            assets: Vec::new(),
            moved: Transfer::default(),
            nested: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Reads the fields of an object, and of objects merged into it.
    pub(super) fn take(
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
    pub(super) fn transfers(&mut self) -> Vec<Transfer> {
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
