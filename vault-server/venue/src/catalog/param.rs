//! Shapes: the parameters that an operation knows.

use serde::Deserialize;
use vault_model::{OrderType, Product, TimeInForce};

use super::Set;
use crate::glob::Glob;
use crate::json::Field;

#[derive(Debug)]
pub(crate) struct Shape {
    /// The key of its source.
    pub source: String,
    pub params: Vec<Param>,
    /// By the number of its name, the place of a parameter from 1, or 0. It ends with the last name that
    /// the shape knows.
    pub by_number: Vec<u16>,
    /// Names of the required ones, sorted.
    pub required: Vec<String>,
    /// At least one of each list.
    pub one_of: Vec<Vec<String>>,
    /// At most one of each list.
    pub only_one: Vec<Vec<String>>,
    /// The required ones, among all names of the catalogue.
    pub required_set: Set,
    /// All that it knows.
    pub known_set: Set,
    /// It has lists or objects.
    pub is_composite: bool,
    /// It has parameters that name an instrument or an order.
    pub has_legs: bool,
    /// It has parameters that no rule can judge, or objects that may have some.
    pub may_refuse: bool,
}

impl Shape {
    /// The parameter that a field is.
    pub(crate) fn param(&self, field: &Field<'_>) -> Option<&Param> {
        let place = usize::from(*self.by_number.get(field.number?)?);
        self.params.get(place.checked_sub(1)?)
    }

    /// Whether one of its parameters has this role.
    pub(crate) fn says(&self, role: Role) -> bool {
        self.params.iter().any(|param| param.role == Some(role))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub name: String,
    pub kind: Kind,
    pub required: bool,
    pub role: Option<Role>,
    pub constant: Option<String>,
    /// Every element is an order of its own.
    pub legs: bool,
    /// Its fields belong to the order around it.
    pub merge: bool,
    /// What its presence says about the order.
    pub implies: Option<Implied>,
    /// The venue knows it, and a caller may not send it: no rule could judge what it does.
    pub refused: bool,
    /// The venue takes the list as repeated names.
    pub repeats: bool,
    /// A symbol fits one of these; empty: any symbol.
    pub patterns: Vec<Glob>,
    /// The products for which the venue heeds a flag; empty: all.
    pub products: Vec<Product>,
    /// Parameters of one catalogue with the same number take the same values.
    pub values: usize,
    /// A text means the same to parameters of one name with the same number; what is no text, if they
    /// take the same values too.
    pub meaning: usize,
}

/// What the presence of a parameter says about its order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Implied {
    #[serde(rename = "type")]
    pub order_type: OrderType,
    #[serde(default)]
    pub tif: Option<TimeInForce>,
    #[serde(default)]
    pub post_only: Option<bool>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Kind {
    Array { items: Items, max: usize },
    Bool,
    Decimal,
    Enum(Vec<String>),
    Id { max: usize },
    Ids,
    Integer,
    Object(usize),
    SignedDecimal,
    String { max: usize },
    Symbol,
    Symbols,
    Text { max: usize },
    Timestamp,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Items {
    Scalars(Box<Kind>),
    Shape(usize),
}

/// What a parameter means for policy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Address,
    Amount,
    Asset,
    ClientOrderId,
    Deadline,
    Leverage,
    MarginMode,
    OrderId,
    PostOnly,
    Price,
    Quantity,
    QuoteQuantity,
    ReduceOnly,
    Side,
    Symbol,
    Symbols,
    Tif,
    TriggerPrice,
    Type,
}
