//! Numbers for parameters of several shapes that are alike, so that what is found out about one of
//! them in a request holds for all.

use rustc_hash::FxHashMap;
use vault_model::Product;

use super::{Implied, Kind, Param, Role, Shape};
use crate::glob::Glob;

/// All that decides which values a parameter takes.
#[derive(Eq, Hash, PartialEq)]
struct Values {
    kind: Kind,
    role: Option<Role>,
    constant: Option<String>,
    patterns: Vec<Glob>,
}

/// All that decides what a text means, besides the name of its parameter. That the parameter takes it
/// has been checked.
#[derive(Eq, Hash, PartialEq)]
struct Meaning {
    kind: Kind,
    role: Option<Role>,
    implies: Option<Implied>,
    legs: bool,
    merge: bool,
    products: Vec<Product>,
}

/// Gives all parameters their numbers, from 1.
pub(super) fn number(shapes: &mut [Shape]) {
    let (mut values, mut meanings) = (FxHashMap::default(), FxHashMap::default());
    for param in shapes.iter_mut().flat_map(|shape| &mut shape.params) {
        // By name, so that a new field asks here whether it makes a difference.
        let Param {
            name: _,
            kind,
            required: _,
            role,
            constant,
            legs,
            merge,
            implies,
            refused: _,
            repeats: _,
            patterns,
            products,
            values: _,
            meaning: _,
        } = &*param;
        let taken = Values {
            kind: kind.clone(),
            role: *role,
            constant: constant.clone(),
            patterns: patterns.clone(),
        };
        let meant = Meaning {
            kind: read_as(kind),
            role: *role,
            implies: *implies,
            legs: *legs,
            merge: *merge,
            products: products.clone(),
        };
        let next = values.len() + 1;
        param.values = *values.entry(taken).or_insert(next);
        let next = meanings.len() + 1;
        param.meaning = *meanings.entry(meant).or_insert(next);
    }
}

/// A kind as far as it decides what a text means that it takes: a scalar is the text itself. What is no
/// text means the same only to parameters of one kind.
fn read_as(kind: &Kind) -> Kind {
    match kind {
        Kind::Array { .. } | Kind::Object(_) => kind.clone(),
        Kind::Ids | Kind::Symbols => Kind::Symbols,
        Kind::Bool
        | Kind::Decimal
        | Kind::Enum(_)
        | Kind::Id { .. }
        | Kind::Integer
        | Kind::SignedDecimal
        | Kind::String { .. }
        | Kind::Symbol
        | Kind::Text { .. }
        | Kind::Timestamp => Kind::Symbol,
    }
}
