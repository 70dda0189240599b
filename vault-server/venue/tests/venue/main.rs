//! The catalogues, the reader and the closure, in one binary: linking is most of the time.

mod attack;
mod cancel_all;
mod catalog;
mod closure;
mod door;
mod format;
mod judged;
mod leg;
mod listing;
mod neighbour;
mod place;
mod read;
mod rights;
mod site;
mod socket;
mod splits;
mod text;
mod value;

use std::sync::OnceLock;

use vault_model::{Environment, VenueRequest};
use vault_venue::{KeyType, Part, Registry, Standing, Venue};

/// The bundled catalogues, compiled once.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::bundled().expect("bundled catalogues are sound"))
}

/// What every venue of [`made`] begins with: it signs all parts, so a request is one operation.
const MADE: &str = r##"format = 1
venue = "made"
title = "Made up"
[sources]
docs = "made up for this test"
[environments.live]
hosts = ["api.example"]
ws_hosts = ["ws.example"]
[signature]
scheme = "okx"
binds = ["method", "path", "query", "body"]
source = "docs"
client_order_id_reuse = "unknown"
reserved = ["stamp"]
caller_headers = ["x-note"]
[rights]
names = ["trade"]
source = "docs"
"##;

/// A made-up venue with this catalogue.
fn made(text: &str) -> Venue {
    let text = format!("{MADE}{text}");
    let parts = [Part { file: "made.toml", text: &text }];
    Venue::load("made", &parts).expect("sound")
}

/// A request to it without parameters.
fn bare(method: &str, path: &str) -> VenueRequest {
    VenueRequest {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: "api.example".to_owned(),
        path: path.to_owned(),
        ..VenueRequest::default()
    }
}

const CAUTIOUS: Standing<'static> = Standing {
    environment: Environment::Live,
    sites: None,
    venue_checks: false,
    rights: None,
    key_type: KeyType::Hmac,
};
