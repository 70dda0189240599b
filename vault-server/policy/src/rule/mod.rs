//! The rules, one file each. A rule judges the request as a whole, or one operation of it, or what
//! it would all cost.

pub(crate) mod band;
pub(crate) mod class;
pub(crate) mod country;
pub(crate) mod credential;
pub(crate) mod cumulative;
pub(crate) mod duplicate;
pub(crate) mod halt;
pub(crate) mod hours;
pub(crate) mod leverage;
pub(crate) mod logon;
pub(crate) mod mode;
pub(crate) mod network;
pub(crate) mod notional;
pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod quantity;
pub(crate) mod schema;
pub(crate) mod symbol;
pub(crate) mod withdrawal;
