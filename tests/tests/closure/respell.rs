//! The same number, word or name in another spelling does not take an operation out of a closure:
//! what the vault calls legal is how a request is stated, not all that a venue would read.

use vault_model::{Class, Environment, VenueRequest};
use vault_venue::{KeyType, Registry, Standing};

use crate::catalog::{Catalogue, Kind};
use crate::enumerate::words;
use crate::generate::{Dice, Fill, Generator};

/// Another spelling of a value of this kind, where there is one.
fn respell(kind: &Kind, value: &str, way: usize) -> Option<String> {
    match (kind, way) {
        (Kind::Enum(_) | Kind::Bool, 4) if value.chars().any(char::is_lowercase) => {
            Some(value.to_ascii_uppercase())
        }
        (Kind::Enum(_) | Kind::Bool, 4) => Some(value.to_ascii_lowercase()),
        (Kind::Decimal { .. } | Kind::Integer | Kind::Digits, 0) => Some(format!("0{value}")),
        // More digits than eighteen: Binance documents twenty.
        (Kind::Decimal { .. } | Kind::Integer, 1) => Some("10000000000000000000".to_owned()),
        (Kind::Decimal { .. }, 2) if !value.contains('e') => Some(format!("{value}e0")),
        (Kind::Id { .. } | Kind::String { .. } | Kind::Text { .. }, 3) => {
            Some(format!("{value}{}", "x".repeat(9000 / 64)))
        }
        _ => None,
    }
}

const WAYS: [&str; 5] =
    ["a zero in front", "twenty digits", "an exponent", "more letters", "the other case"];

/// A read whose schema nobody sourced carries anything, so it can carry another operation's order.
fn check(name: &str) -> usize {
    let registry = Registry::bundled().expect("bundled catalogues are sound");
    let venue = registry.venue(name).expect("a venue of this build");
    let catalogue = Catalogue::load(name);
    let generator = Generator::new(&catalogue);
    let mut dice = Dice::new(1);
    let key_type = *KeyType::ALL
        .iter()
        .find(|key_type| key_type.as_str() == catalogue.key_types[0])
        .expect("a key type of the vault");
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks: true,
        rights: None,
        key_type,
    };
    let carriers = catalogue
        .operations
        .iter()
        .filter(|o| o.signed && o.class == Class::Read && o.shape.is_none() && o.method == "GET");
    let carriers: Vec<_> = carriers.take(3).collect();
    let mut respelled = 0;
    let mut lost = Vec::new();
    for other in catalogue.operations.iter().filter(|o| o.class > Class::Read) {
        let Some(shape) = catalogue.shape(other) else {
            continue;
        };
        for (carrier, way) in carriers.iter().flat_map(|c| (0..WAYS.len()).map(move |w| (c, w))) {
            let Some(request) = generator.request(&mut dice, carrier, Fill::For(other)) else {
                continue;
            };
            let is_open_to = |request: &VenueRequest| {
                let reading = venue.read(request, &standing).ok()?;
                Some(reading.closure.iter().any(|member| *member.operation == *other.name))
            };
            if is_open_to(&request) != Some(true) {
                continue;
            }
            for param in shape.required() {
                let mut again = request.clone();
                let pairs = request.query.split('&').map(|pair| match pair.split_once('=') {
                    Some((name, value)) if name == param.name => {
                        let value = respell(&param.kind, value, way).unwrap_or_default();
                        format!("{name}={value}")
                    }
                    _ => pair.to_owned(),
                });
                again.query = pairs.collect::<Vec<_>>().join("&");
                if again.query.contains(&format!("{}=&", param.name))
                    || again.query.ends_with(&format!("{}=", param.name))
                {
                    continue;
                }
                match is_open_to(&again) {
                    Some(true) => respelled += 1,
                    Some(false) => {
                        lost.push(format!("{}: {}: {}", WAYS[way], other.name, words(&again)));
                    }
                    // Not read: nothing is signed.
                    None => {}
                }
            }
        }
    }
    lost.sort_by_key(String::len);
    let shown = lost.iter().take(12).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(lost.is_empty(), "{name}: {} lost, {respelled} kept\n{shown}", lost.len());
    respelled
}

#[test]
fn a_binance_value_in_another_spelling_is_still_a_value() {
    assert!(check("binance") > 100);
}

#[test]
fn a_bybit_value_in_another_spelling_is_still_a_value() {
    // Queries and JSON bodies never meet, so only what reads a query counts.
    check("bybit");
}
