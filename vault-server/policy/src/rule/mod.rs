//! The rules, one file each. A rule judges the request as a whole, or one operation of it.

pub(crate) mod class;
pub(crate) mod credential;
pub(crate) mod halt;
pub(crate) mod mode;
pub(crate) mod network;
pub(crate) mod product;
pub(crate) mod schema;
pub(crate) mod symbol;
