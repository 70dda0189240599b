//! OKX joins the parts of its string-to-sign without separators; here is shown that no string is
//! that of two requests.

use proptest::prelude::*;
use vault_model::{Environment, VenueRequest};
use vault_venue::{KeyType, Standing, Venue};

use crate::registry;

const CAUTIOUS: Standing<'static> = Standing {
    environment: Environment::Live,
    sites: None,
    venue_checks: false,
    rights: None,
    key_type: KeyType::Hmac,
};

/// All ways to read an OKX string-to-sign (behind its 24 bytes of time) as a request.
fn splits(venue: &Venue, string: &str) -> Vec<VenueRequest> {
    let mut found = Vec::new();
    for operation in &venue.catalog.operations {
        let Some(rest) = string.strip_prefix(operation.method.as_str()) else {
            continue;
        };
        let Some(rest) = rest.strip_prefix(operation.path.as_str()) else {
            continue;
        };
        let base = VenueRequest {
            method: operation.method.clone(),
            scheme: "https".to_owned(),
            host: "www.okx.com".to_owned(),
            path: operation.path.clone(),
            ..VenueRequest::default()
        };
        found.push(VenueRequest { body: rest.as_bytes().to_vec(), ..base.clone() });
        if let Some(query) = rest.strip_prefix('?') {
            for (at, _) in query.char_indices().chain([(query.len(), ' ')]) {
                let (query, body) = query.split_at(at);
                let body = body.as_bytes().to_vec();
                found.push(VenueRequest { query: query.to_owned(), body, ..base.clone() });
            }
        }
    }
    found
}

fn string_of(request: &VenueRequest) -> String {
    let mark = if request.query.is_empty() { "" } else { "?" };
    let body = String::from_utf8_lossy(&request.body);
    format!("{}{}{mark}{}{body}", request.method, request.path, request.query)
}

fn okx_tails() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        "([a-z]{1,3}=[a-zA-Z0-9/:.-]{0,4}&){0,3}[a-z]{1,3}=[a-zA-Z0-9/-]{0,4}"
            .prop_map(|query| (query, String::new())),
        r#"[ \[{]{0,2}("[a-z?/]{0,3}":"[a-z?/-]{0,5}",?){0,3}[}\]]{0,2}"#
            .prop_map(|body| (String::new(), body)),
        "[a-zA-Z0-9_./:{}\\[\\]\"? -]{0,12}".prop_map(|body| (String::new(), body)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn okx_strings_split_in_one_way_only(
        pick in any::<prop::sample::Index>(),
        (query, body) in okx_tails(),
    ) {
        let registry = registry();
        let okx = registry.venue("okx").expect("okx");
        let operation = pick.get(&okx.catalog.operations);
        let request = VenueRequest {
            method: operation.method.clone(),
            scheme: "https".to_owned(),
            host: "www.okx.com".to_owned(),
            path: operation.path.clone(),
            query,
            body: body.into_bytes(),
            headers: Vec::new(),
        };
        if okx.read(&request, &CAUTIOUS).is_ok() {
            for other in splits(okx, &string_of(&request)) {
                if okx.read(&other, &CAUTIOUS).is_ok() {
                    prop_assert_eq!(&other, &request);
                }
            }
        }
    }
}

/// The same by the catalogue alone: what lies between a path and a longer one that begins with it
/// is the beginning of no query and of no body; and no write reads a query, whose end could be
/// passed off as a body.
#[test]
fn no_okx_path_goes_on_as_a_query_or_a_body() {
    let registry = registry();
    let okx = registry.venue("okx").expect("okx");
    let mut prefixes = 0;
    for operation in &okx.catalog.operations {
        assert!(!operation.class.is_write() || operation.method == "POST" || operation.ws);
        for longer in &okx.catalog.operations {
            let Some(rest) = longer.path.strip_prefix(operation.path.as_str()) else {
                continue;
            };
            let Some(first) = rest.bytes().next() else {
                continue;
            };
            assert!(!b"?{[ \t\r\n".contains(&first), "{} {}", operation.name, longer.name);
            prefixes += 1;
            for (query, body) in [(rest, ""), ("", rest)] {
                let request = VenueRequest {
                    host: "www.okx.com".to_owned(),
                    query: query.to_owned(),
                    body: body.as_bytes().to_vec(),
                    method: operation.method.clone(),
                    scheme: "https".to_owned(),
                    path: operation.path.clone(),
                    headers: Vec::new(),
                };
                assert!(okx.read(&request, &CAUTIOUS).is_err(), "{}", operation.name);
            }
        }
    }
    assert!(prefixes > 0, "the catalogue has paths that begin with others");
}
