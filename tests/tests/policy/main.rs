//! Scopes, judged: the engine against a reference model of another shape, named attacks through the
//! real readers, and the scopes of `docs/scopes.md` as they are written there.
//!
//! ```text
//! cargo test -p vault-tests --test policy
//! COUNTERSIGN_TRIPLES=1000000 COUNTERSIGN_SEED=7 cargo test -p vault-tests --test policy agree -- --no-capture
//! ```

mod agree;
mod case;
mod desk;
mod dice;
mod fraction;
mod generate;
mod market;
mod model;
mod page;
mod regressions;
mod shrink;
mod worth;
