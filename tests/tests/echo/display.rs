//! What errors say of themselves, made from random input: none of it is in their words.

use std::error::Error;
use std::fmt::Debug;

use vault_model::{
    Asset, Environment, HaltTarget, Money, Name, Pair, RequestId, Serial, VenueRequest,
};
use vault_policy::{ScopeDocument, Span};
use vault_venue::{KeyType, Registry, Standing};

use crate::{MARK, SHAPES, found};

/// An error with all that caused it says nothing of what was put in, in its own words or a debugger's.
#[track_caller]
fn is_silent<T: Debug, E: Error>(what: &str, input: &str, outcome: Result<T, E>) {
    let Err(error) = outcome else { return };
    let mut words = format!("{error:?}");
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        words += &format!("\n{error}");
        cause = error.source();
    }
    let around = found(words.as_bytes());
    assert_eq!(around, None, "{what} of {input:.60?}");
}

/// Shapes as they are, and in many surroundings: what a parser takes for the beginning of something.
fn inputs() -> Vec<String> {
    let around = [
        "{}",
        " {}",
        "{} ",
        "a{}",
        "{}/x",
        "x/{}",
        "{}:x",
        "venue:{}",
        "client:{}",
        "symbol:okx:{}",
        "0x{}",
        "1{}",
        "-{}",
        "1.{}",
        "1e{}",
        "\u{0}{}",
        "{}\u{0}",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut inputs = Vec::new();
    for shape in SHAPES {
        inputs.extend(around.iter().map(|frame| frame.replace("{}", shape.what)));
    }
    // And characters at random around the mark.
    for _ in 0..2_000 {
        let mut text = String::new();
        for place in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let code = (seed >> 33) as u32 % 0x250;
            text.extend(char::from_u32(code));
            if place == 3 {
                text.push_str(MARK);
            }
        }
        inputs.push(text);
    }
    inputs
}

#[test]
fn no_error_of_a_parser_repeats_its_input() {
    for input in inputs() {
        let text = input.as_str();
        is_silent("a name", text, text.parse::<Name>());
        is_silent("a request id", text, text.parse::<RequestId>());
        is_silent("a serial", text, text.parse::<Serial>());
        is_silent("an amount", text, text.parse::<Money>());
        is_silent("an asset", text, text.parse::<Asset>());
        is_silent("a pair", text, text.parse::<Pair>());
        is_silent("a target", text, text.parse::<HaltTarget>());
        is_silent("a span", text, text.parse::<Span>());
        is_silent("a token", text, vault_proto::token::Token::decode(text));
        is_silent("a network", text, vault_policy::parse_network(text, false));
        is_silent("an entry", text, vault_audit::Entry::from_line(text.as_bytes()));
        let quoted = serde_json::Value::from(text).to_string();
        for line in [
            format!(r#"{{"v":1,"type":{quoted}}}"#),
            format!(r#"{{"v":1,{quoted}:1}}"#),
            format!(r#"{{"v":1,"idx":0,"ts":{quoted}}}"#),
        ] {
            is_silent("an entry", &line, vault_audit::Entry::from_line(line.as_bytes()));
        }
    }
}

#[test]
fn no_error_of_the_reader_of_requests_repeats_one() {
    let registry = Registry::bundled().expect("the catalogues");
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks: false,
        rights: None,
        key_type: KeyType::Hmac,
    };
    for input in inputs() {
        let order = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit"}"#;
        let good = || VenueRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "www.okx.com".to_owned(),
            path: "/api/v5/trade/order".to_owned(),
            body: order.into(),
            ..VenueRequest::default()
        };
        let text = || input.clone();
        let quoted = serde_json::Value::from(text()).to_string();
        let requests = [
            VenueRequest { method: text(), ..good() },
            VenueRequest { scheme: text(), ..good() },
            VenueRequest { host: text(), ..good() },
            VenueRequest { path: text(), ..good() },
            VenueRequest { path: format!("/api/v5/{input}"), ..good() },
            VenueRequest { query: text(), ..good() },
            VenueRequest { body: text().into_bytes(), ..good() },
            VenueRequest { body: format!("{{{quoted}:{quoted}}}").into_bytes(), ..good() },
            VenueRequest { body: order.replace("\"BTC-USDT\"", &quoted).into_bytes(), ..good() },
            VenueRequest { headers: vec![(text(), text())], ..good() },
        ];
        let venue = registry.venue("okx").expect("bundled");
        for request in &requests {
            is_silent("a request", &input, venue.read(request, &standing));
        }
    }
}

#[test]
fn a_scopes_errors_name_its_keys_and_none_of_its_values() {
    let good = vault_tests::OKX_SCOPE;
    for input in inputs() {
        let value = toml::Value::from(input.as_str()).to_string();
        let keys = good.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        for changed in keys {
            let with_value = |line: &str| match line.split_once(" = ") {
                Some((key, _)) if key == changed => format!("{key} = {value}\n"),
                _ => format!("{line}\n"),
            };
            let text: String = good.lines().map(with_value).collect();
            is_silent("a scope", &input, ScopeDocument::from_toml(&text));
        }
    }
}
