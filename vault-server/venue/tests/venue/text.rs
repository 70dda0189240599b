//! The strict readers of JSON and form text, asked through operations without a schema, which take
//! any names and values of plain form.

use vault_model::VenueRequest;
use vault_venue::{ReadError, Venue};

use crate::{CAUTIOUS, bare, made};

const CATALOG: &str = r#"
[shape.one]
source = "docs"
params = [{ name = "a", type = "text", role = "client_order_id" }]
[shape.list]
source = "docs"
params = [
  { name = "a", type = "array", of = "integer", repeats = true },
  { name = "b", type = "string" },
]
[[operation]]
method = "POST"
path = "/json"
class = "read"
source = "docs"
body = "json"
[[operation]]
method = "POST"
path = "/one"
class = "read"
source = "docs"
body = "json"
shape = "one"
[[operation]]
method = "POST"
path = "/array"
class = "read"
source = "docs"
body = "json"
array = true
items_max = 3
shape = "one"
[[operation]]
method = "POST"
path = "/form"
class = "read"
source = "docs"
body = "form"
[[operation]]
method = "POST"
path = "/list"
class = "read"
source = "docs"
body = "form"
shape = "list"
[[operation]]
method = "POST"
path = "/both"
class = "read"
source = "docs"
body = "json_or_form"
[[operation]]
method = "GET"
path = "/query"
class = "read"
source = "docs"
[[operation]]
method = "WS"
path = "/rpc"
class = "read"
source = "docs"
rpc = true
[[operation]]
method = "WS"
path = "/rpc/one"
class = "read"
source = "docs"
rpc = true
shape = "one"
"#;

fn read(venue: &Venue, path: &str, text: &str) -> Result<Option<String>, ReadError> {
    let body = text.as_bytes().to_vec();
    let request = match path {
        "/query" => VenueRequest { query: text.to_owned(), ..bare("GET", path) },
        _ if path.starts_with("/rpc") => VenueRequest {
            scheme: "wss".to_owned(),
            host: "ws.example".to_owned(),
            body,
            ..bare("WS", path)
        },
        _ => VenueRequest { body, ..bare("POST", path) },
    };
    venue.read(&request, &CAUTIOUS).map(|reading| reading.stated.client_order_id.clone())
}

#[test]
fn json_is_taken_in_all_its_plain_forms() {
    let venue = made(CATALOG);
    for value in [
        "0",
        "-0",
        "10",
        "-12",
        "0.5",
        "10.05",
        "1e5",
        "1E5",
        "1e+5",
        "1e-05",
        "-0.5e10",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1 , 2]",
        "[[],{}]",
        "\"\"",
        "\"é\"",
        "{ \"b\" : 1 , \"c\" : [ true , false , null ] }",
    ] {
        assert!(read(&venue, "/json", &format!("{{\"a\":{value}}}")).is_ok(), "{value}");
        assert!(read(&venue, "/json", &format!("\r\n\t {{\"a\":{value} }} \n")).is_ok(), "{value}");
    }
    assert!(read(&venue, "/json", "{}").is_ok());
    assert!(read(&venue, "/json", "").is_ok());
}

#[test]
fn json_is_refused_in_every_other_form() {
    let venue = made(CATALOG);
    for value in [
        "-",
        "--1",
        "+1",
        "01",
        "-01",
        "00",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "1ee5",
        "1.5.5",
        "0x1",
        "tru",
        "truE",
        "True",
        "fals",
        "nul",
        "nil",
        "[1 2]",
        "[1,]",
        "[,1]",
        "[",
        "]",
        "{\"b\"}",
        "{\"b\":}",
        "{\"b\" 1}",
        "{\"b\":1,}",
        "{\"b\":1 \"c\":1}",
        "{,}",
        "{b:1}",
        "{1:1}",
        "{\"b\":1,\"b\":2}",
        "\"",
        "'a'",
        "\"\\x\"",
        "\"\\b\"",
        "\"\\t\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud83d\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\ud83d\\ue000\"",
        "\"\\ud83d\\ud83d\"",
        "\"\\udc00\"",
        "\"\\u007f\"",
        "\"\\u0085\"",
        "\"\u{85}\"",
        "\"\t\"",
    ] {
        let refused = read(&venue, "/json", &format!("{{\"a\":{value}}}"));
        assert_eq!(refused, Err(ReadError::BodyMalformed), "{value}");
    }
    for text in ["{\"a\":1", "{\"a\":1}}", "{\"a\":1}x", "{\"\\u0061\":1}", "1", "\"a\"", "[1]"] {
        assert_eq!(read(&venue, "/json", text), Err(ReadError::BodyMalformed), "{text}");
    }
}

#[test]
fn objects_and_lists_nest_eight_deep_together() {
    let venue = made(CATALOG);
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"a\":{}1{}}}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert!(read(&venue, "/json", &nested(open, close, 7)).is_ok(), "{open}");
        let refused = read(&venue, "/json", &nested(open, close, 8));
        assert_eq!(refused, Err(ReadError::BodyMalformed), "{open}");
    }
}

#[test]
fn escapes_become_what_they_stand_for() {
    let venue = made(CATALOG);
    for (written, meant) in [
        (r#"plain"#, "plain"),
        (r#"\"q\""#, "\"q\""),
        (r#"a\\b"#, "a\\b"),
        (r#"a\/b"#, "a/b"),
        (r#"\u0041\u00e9\u20AC"#, "Aé€"),
        (r#"\ud800\udc00\uD83D\uDE00\udbff\udffd"#, "\u{10000}😀\u{10fffd}"),
        (r#"naïve 😀"#, "naïve 😀"),
    ] {
        let read = read(&venue, "/one", &format!("{{\"a\":\"{written}\"}}"));
        assert_eq!(read, Ok(Some(meant.to_owned())), "{written}");
    }
}

/// Several venues sign names and values as text, where `&` and `=` would make new pairs.
#[test]
fn names_and_values_are_plain_however_deep() {
    let venue = made(CATALOG);
    for text in [
        r#"{"a b":1}"#,
        r#"{"":1}"#,
        r#"{"1a":1}"#,
        r#"{"a":"x=y"}"#,
        r#"{"a":{"b c":1}}"#,
        r#"{"a":{"b":"x&y"}}"#,
        r#"{"a":["x","y%"]}"#,
        r#"{"a":[{"b":"+"}]}"#,
        r#"[{"a":"x#"}]"#,
        r#"[{"a":1},{"b=":1}]"#,
    ] {
        assert_eq!(read(&venue, "/json", text), Err(ReadError::BodyMalformed), "{text}");
    }
    for raw in ["{\"a\":\"\t\"}", "{\"a\":\"\u{7f}\"}"] {
        assert_eq!(read(&venue, "/one", raw), Err(ReadError::BodyMalformed), "{raw:?}");
    }
    assert!(read(&venue, "/json", r#"{"a":{"b":["x",1,null,true]}}"#).is_ok());
}

#[test]
fn what_is_the_vaults_is_refused_however_deep() {
    let venue = made(CATALOG);
    for (path, text) in [
        ("/json", r#"{"stamp":1}"#),
        ("/json", r#"{"a":{"stamp":1}}"#),
        ("/json", r#"{"a":[1,{"b":{"stamp":"1"}}]}"#),
        ("/json", r#"[{"a":1},{"stamp":1}]"#),
        ("/form", "a=1&stamp=1"),
        ("/query", "stamp="),
    ] {
        let refused = read(&venue, path, text);
        assert_eq!(refused, Err(ReadError::ParameterReserved("stamp".to_owned())), "{text}");
    }
    assert!(read(&venue, "/json", r#"{"a":"stamp","stamps":1}"#).is_ok());
}

#[test]
fn a_list_is_taken_where_the_operation_may_have_one() {
    let venue = made(CATALOG);
    let list = |count: usize| format!("[{}]", vec![r#"{"a":"x"}"#; count].join(","));
    for (count, fits) in [(0, false), (1, true), (2, true), (3, true), (4, false)] {
        let read = read(&venue, "/array", &list(count));
        assert_eq!(read.is_ok(), fits, "{count}");
        assert!(fits || read == Err(ReadError::ArrayLength), "{count}");
    }
    assert_eq!(read(&venue, "/array", r#"{"a":"x"}"#), Err(ReadError::BodyMalformed));
    assert_eq!(read(&venue, "/array", ""), Err(ReadError::BodyMalformed));
    assert_eq!(read(&venue, "/one", &list(1)), Err(ReadError::BodyMalformed));
    // Nobody knows what an operation without a schema takes.
    assert!(read(&venue, "/json", &list(1)).is_ok());
    assert!(read(&venue, "/json", "[]").is_ok());
}

/// Two orders of one request have two ids, and no cap can be held by either.
#[test]
fn of_several_ids_none_is_the_requests() {
    let venue = made(CATALOG);
    let two = r#"[{"a":"x"},{"a":"y"}]"#;
    assert_eq!(read(&venue, "/array", two), Ok(None));
    assert_eq!(read(&venue, "/array", r#"[{"a":"x"}]"#), Ok(Some("x".to_owned())));
}

/// Over a socket the values become a text of `name=value` pairs.
#[test]
fn a_request_over_a_socket_has_plain_scalars_alone() {
    let venue = made(CATALOG);
    for path in ["/rpc", "/rpc/one"] {
        for text in [
            r#"{"a":["x"]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":null}"#,
            r#"{"a":"x&y"}"#,
            r#"{"a b":1}"#,
            "[]",
            r#"[{"a":"x"}]"#,
            "a=x",
        ] {
            assert_eq!(read(&venue, path, text), Err(ReadError::BodyMalformed), "{path} {text}");
        }
        assert!(read(&venue, path, r#"{"a":"x"}"#).is_ok(), "{path}");
    }
    assert!(read(&venue, "/rpc", r#"{"a":1,"b":true,"c":"x"}"#).is_ok());
}

#[test]
fn the_first_byte_says_which_form_a_body_has() {
    let venue = made(CATALOG);
    for text in [r#"{"a":1}"#, r#" [{"a":1}]"#, "a=1", "a=[1]", "[a]=1"] {
        let read = read(&venue, "/both", text);
        assert_eq!(read.is_ok(), text != "[a]=1", "{text}");
    }
    assert_eq!(read(&venue, "/form", r#"{"a":1}"#), Err(ReadError::BodyMalformed));
    assert_eq!(read(&venue, "/form", "[]"), Err(ReadError::BodyMalformed));
    assert_eq!(read(&venue, "/json", "a=1"), Err(ReadError::BodyMalformed));
    assert_eq!(read(&venue, "/one", "a=1"), Err(ReadError::BodyMalformed));
}

#[test]
fn forms_have_plain_names_and_values() {
    let venue = made(CATALOG);
    let name = |length: usize| format!("{}=1", "n".repeat(length));
    for (path, error) in
        [("/query", ReadError::QueryMalformed), ("/form", ReadError::BodyMalformed)]
    {
        for text in [
            "a=",
            "e=1",
            "ex9=1",
            "a.b_c-d[0]=1",
            "Z9=1",
            &name(64),
            "a=-._~!*'(),:@/[]",
            "a=%22%7B%7D%7b",
            "a=%E2%82%ac",
        ] {
            assert!(read(&venue, path, text).is_ok(), "{path} {text}");
        }
        for text in [
            "=1",
            "_=1",
            "-=1",
            ".=1",
            "[=1",
            "]=1",
            "1a=1",
            "e9=1",
            "a:b=1",
            "é=1",
            "a",
            "a&b=1",
            "a=1&",
            "a=%2",
            "a=%x0",
            "a=%80",
            "a=%3D",
            "a=%0A",
            "a=\\",
            "a=<",
            "a=;",
            &name(65),
        ] {
            assert_eq!(read(&venue, path, text), Err(error.clone()), "{path} {text}");
        }
    }
    // A query has the marks of JSON encoded.
    assert!(read(&venue, "/form", r#"a={"b":[1]}"#).is_ok());
    assert_eq!(read(&venue, "/query", r#"a={"b":[1]}"#), Err(ReadError::QueryMalformed));
}

#[test]
fn a_name_is_repeated_where_the_operation_takes_a_list() {
    let venue = made(CATALOG);
    for text in ["a=1", "a=1&a=2", "a=1&a=2&a=3", "a=1&b=1", "a=1&b=true"] {
        assert!(read(&venue, "/list", text).is_ok(), "{text}");
    }
    let refused = read(&venue, "/list", "a=1&a=x");
    assert_eq!(refused, Err(ReadError::ParameterValue("a".to_owned())));
    assert_eq!(read(&venue, "/list", "a=1&b=1&b=2"), Err(ReadError::ParameterDuplicate));
    assert_eq!(read(&venue, "/form", "a=1&b=2&a=1"), Err(ReadError::ParameterDuplicate));
    assert!(read(&venue, "/form", "a=1&b=1").is_ok());
}
