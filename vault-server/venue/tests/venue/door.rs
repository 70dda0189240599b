//! The bounds of a request's parts, at the last value that is taken and the first that is not.

use vault_model::VenueRequest;
use vault_venue::{BODY_BYTES_MAX, Part, ReadError, Standing, Venue};

use crate::{CAUTIOUS, MADE, bare, made};

const CATALOG: &str = r#"
[shape.sided]
source = "docs"
params = [
  { name = "side", type = "string", required = true },
  { name = "outside", type = "string" },
]
[[operation]]
method = "POST"
path = "/sided"
class = "read"
source = "docs"
body = "json"
shape = "sided"
[[operation]]
method = "POST"
path = "/json"
class = "read"
source = "docs"
body = "json"
[[operation]]
method = "POST"
path = "/trade"
class = "trade"
source = "docs"
right = "trade"
body = "json"
[[operation]]
method = "GET"
path = "/query"
class = "read"
source = "docs"
[[operation]]
method = "PUT"
path = "/nothing"
class = "read"
source = "docs"
params_in = "none"
[[operation]]
method = "PUT"
path = "/either"
class = "read"
source = "docs"
params_in = "either"
body = "form"
[[operation]]
method = "PUT"
path = "/items/{id}"
class = "read"
source = "docs"
params_in = "none"
[[operation]]
method = "PUT"
path = "/items/{id}/{more}"
class = "read"
source = "docs"
params_in = "none"
[[operation]]
method = "PUT"
path = "/items/last"
class = "cancel"
source = "docs"
params_in = "none"
[[operation]]
method = "DELETE"
path = "/items/{id}"
class = "cancel"
source = "docs"
params_in = "none"
"#;

fn read(request: &VenueRequest) -> Result<String, ReadError> {
    let reading = made(CATALOG).read(request, &CAUTIOUS)?;
    Ok((*reading.stated.operation).to_owned())
}

#[test]
fn bodies_have_32_kib() {
    assert_eq!(BODY_BYTES_MAX, 32_768);
    let padded = |bytes: usize| VenueRequest {
        body: format!("{:bytes$}", "{}").into_bytes(),
        ..bare("POST", "/json")
    };
    assert!(read(&padded(32_768)).is_ok());
    assert_eq!(read(&padded(32_769)), Err(ReadError::BodyTooLarge));
}

#[test]
fn queries_have_8_kib() {
    let long = |bytes: usize| VenueRequest {
        query: format!("a={}", "1".repeat(bytes - 2)),
        ..bare("GET", "/query")
    };
    assert!(read(&long(8_192)).is_ok());
    assert_eq!(read(&long(8_193)), Err(ReadError::QueryMalformed));
}

#[test]
fn listed_headers_are_taken_once_and_plain() {
    let sent = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        read(&VenueRequest { headers: headers.collect(), ..bare("GET", "/query") })
    };
    let longest = "~".repeat(256);
    for value in ["", "a note!", &longest] {
        assert!(sent(&[("x-note", value)]).is_ok(), "{value}");
        assert!(sent(&[("X-Note", value)]).is_ok(), "{value}");
    }
    let longer = "~".repeat(257);
    for value in ["a\tb", "a\r\nb", "é", "\u{7f}", &longer] {
        assert_eq!(sent(&[("x-note", value)]), Err(ReadError::HeaderNotAllowed), "{value}");
    }
    assert_eq!(sent(&[("x-other", "1")]), Err(ReadError::HeaderNotAllowed));
    let twice = [("x-note", "1"), ("X-NOTE", "1")];
    assert_eq!(sent(&twice), Err(ReadError::HeaderNotAllowed));
}

#[test]
fn text_stands_where_the_operation_reads_it() {
    let with = |method: &str, path: &str, query: &str, body: &str| {
        let body = body.as_bytes().to_vec();
        read(&VenueRequest { query: query.to_owned(), body, ..bare(method, path) })
    };
    assert_eq!(with("GET", "/query", "", "{}"), Err(ReadError::BodyNotAllowed));
    assert_eq!(with("GET", "/query", "a=1", "a=1"), Err(ReadError::BodyNotAllowed));
    assert_eq!(with("POST", "/json", "a=1", ""), Err(ReadError::QueryNotAllowed));
    assert_eq!(with("PUT", "/nothing", "a=1", ""), Err(ReadError::QueryNotAllowed));
    assert_eq!(with("PUT", "/nothing", "", "a=1"), Err(ReadError::BodyNotAllowed));
    assert_eq!(with("PUT", "/either", "a=1", "a=1"), Err(ReadError::BodyNotAllowed));
    for (query, body) in [("", ""), ("a=1", ""), ("", "a=1")] {
        assert!(with("PUT", "/either", query, body).is_ok(), "{query} {body}");
    }
    assert!(with("PUT", "/nothing", "", "").is_ok());
}

#[test]
fn the_end_of_a_name_is_no_name() {
    let sided = |body: &str| read(&VenueRequest { body: body.into(), ..bare("POST", "/sided") });
    let missing = Err(ReadError::ParameterMissing("side".to_owned()));
    assert_eq!(sided(r#"{"outside":"x"}"#), missing);
    assert_eq!(sided(""), missing);
    assert!(sided(r#"{"outside":"x","side":"y"}"#).is_ok());
}

#[test]
fn a_right_is_asked_for_where_one_is_needed() {
    let venue = made(CATALOG);
    let held = ["trade".to_owned()];
    let trade = bare("POST", "/trade");
    for rights in [None, Some(&held[..])] {
        assert!(venue.read(&trade, &Standing { rights, ..CAUTIOUS }).is_ok());
    }
    let none = Standing { rights: Some(&[]), ..CAUTIOUS };
    assert_eq!(venue.read(&trade, &none), Err(ReadError::RightNotHeld));
    assert!(venue.read(&bare("GET", "/query"), &none).is_ok());
}

#[test]
fn methods_and_paths_have_a_length() {
    let method = |letters: usize| read(&bare(&"A".repeat(letters), "/query"));
    assert_eq!(method(16), Err(ReadError::OperationUnknown));
    assert_eq!(method(17), Err(ReadError::MethodNotPlain));
    let path = |bytes: usize| read(&bare("GET", &format!("/{}", "a".repeat(bytes - 1))));
    assert_eq!(path(256), Err(ReadError::OperationUnknown));
    assert_eq!(path(257), Err(ReadError::PathNotPlain));
    let odd = read(&bare("GET", "/A9_.:-/z"));
    assert_eq!(odd, Err(ReadError::OperationUnknown));
}

#[test]
fn a_path_that_is_spelled_out_goes_before_a_template() {
    for (method, path, name) in [
        ("PUT", "/items/last", "PUT /items/last"),
        ("PUT", "/items/1", "PUT /items/{id}"),
        ("PUT", "/items/last/1", "PUT /items/{id}/{more}"),
        ("DELETE", "/items/last", "DELETE /items/{id}"),
    ] {
        assert_eq!(read(&bare(method, path)), Ok(name.to_owned()));
    }
    for (method, path) in [("POST", "/items/1"), ("DELETE", "/items/1/2"), ("PUT", "/things/1")] {
        assert_eq!(read(&bare(method, path)), Err(ReadError::OperationUnknown), "{method} {path}");
    }
    let id = |length: usize| read(&bare("PUT", &format!("/items/{}", "a".repeat(length))));
    assert!(id(64).is_ok());
    assert_eq!(id(65), Err(ReadError::OperationUnknown));
}

#[test]
fn hosts_of_a_catalogue_are_plain_names() {
    let load = |host: &str| {
        let text = MADE.replace("api.example", host);
        let parts = [Part { file: "venue.toml", text: &text }];
        Venue::load("made", &parts).is_ok()
    };
    let host = |bytes: usize| format!("{}.example", "a".repeat(bytes - 8));
    for plain in ["a", "api-2.example", "0.example", "x--y.example", &host(253)] {
        assert!(load(plain), "{plain}");
    }
    for odd in ["-a.example", "a-.example", "a.-b", "a..b", "a_b.example", "a/b", &host(254)] {
        assert!(!load(odd), "{odd}");
    }
}
