//! The catalogues, the reader and the closure, in one binary: linking is most of the time.

mod catalog;
mod closure;
mod format;
mod read;
mod splits;

use std::sync::OnceLock;

use vault_venue::Registry;

/// The bundled catalogues, compiled once.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::bundled().expect("bundled catalogues are sound"))
}
