//! Requests as bots state them: whatever is read can be signed without a panic.

#![no_main]

use std::sync::OnceLock;

use vault_model::{Environment, VenueRequest};
use vault_venue::{Registry, Standing};

libfuzzer_sys::fuzz_target!(|data: (u8, Vec<u8>, Vec<u8>)| {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| Registry::bundled().expect("the catalogues read"));
    let (choice, text, body) = data;
    let name = if choice & 1 == 0 { "okx" } else { "kraken" };
    let venue = registry.venue(name).expect("a venue");
    let operations = &venue.catalog.operations;
    let operation = &operations[usize::from(choice) * 7 % operations.len()];
    let text = String::from_utf8_lossy(&text).into_owned();
    let request = VenueRequest {
        method: operation.method.clone(),
        scheme: "https".to_owned(),
        host: if choice & 1 == 0 { "www.okx.com" } else { "api.kraken.com" }.to_owned(),
        path: if choice & 2 == 0 { operation.path.clone() } else { text.clone() },
        query: if choice & 4 == 0 { String::new() } else { text },
        body,
        headers: Vec::new(),
    };
    let standing =
        Standing { environment: Environment::Live, venue_checks: choice & 8 == 0, rights: None };
    if let Ok(reading) = venue.read(&request, &standing) {
        let stated = &reading.stated.operation;
        assert!(reading.closure.iter().any(|member| member.operation == *stated));
    }
});
