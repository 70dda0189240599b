//! What can be wrong with a scope on the wire.

use vault_policy::Misfit;

/// A scope that is none. It names the dimension, and nothing of what came.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{dimension}: {problem}")]
pub struct WireError {
    /// The key, as in a scope's TOML: `orders.price_band`.
    pub dimension: &'static str,
    /// What it has to be.
    pub problem: String,
}

impl WireError {
    pub(crate) fn new(dimension: &'static str, problem: impl ToString) -> Self {
        Self { dimension, problem: problem.to_string() }
    }
}

impl From<Misfit> for WireError {
    fn from(misfit: Misfit) -> Self {
        Self::new(misfit.dimension, misfit.fault)
    }
}
