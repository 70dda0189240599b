//! Where another operation finds its parameters in what was signed: in its own place, in the other
//! one, or nowhere.

use vault_model::Symbols;
use vault_venue::{ReadError, Venue};

use crate::neighbour::{
    CHECKED, JSON, MAYBE_SYMBOL, QUERY, SYMBOL, closure, json, load, params_only, paths, query,
    shape, symbols,
};
use crate::{CAUTIOUS, bare, neighbour};

const FORM: &str = "body = \"form\"";
const EITHER: &str = "params_in = \"either\"\nbody = \"form\"";
const BOTH: &str = "body = \"json_or_form\"";
const NOWHERE: &str = "params_in = \"none\"";

fn shapes() -> Vec<String> {
    vec![
        shape("one", &format!("params = [{SYMBOL}]")),
        shape("loose", &format!("params = [{MAYBE_SYMBOL}]")),
        shape("none", ""),
    ]
}

/// Shapes, and operations from path, place and shape.
fn parts(operations: &[(&str, &str, &str)]) -> Vec<String> {
    let operations =
        operations.iter().map(|(path, place, shape)| neighbour::operation(path, place, shape));
    shapes().into_iter().chain(operations).collect()
}

/// What query and body were is told apart: who reads the one does not find the other.
#[test]
fn a_place_of_its_own_has_its_own_text() {
    let venue = params_only(&parts(&[
        ("/either", EITHER, "one"),
        ("/form", FORM, "one"),
        ("/loose_form", FORM, "loose"),
        ("/loose_query", QUERY, "loose"),
        ("/nothing", NOWHERE, "none"),
        ("/query", QUERY, "one"),
    ]));
    let in_query = query("/query", "symbol=A");
    let cautious = closure(&venue, &in_query, &CAUTIOUS);
    assert_eq!(paths(&cautious), ["/either", "/loose_form", "/loose_query", "/nothing", "/query"]);
    assert_eq!(symbols(&cautious, "/loose_form"), Some(Symbols::Every));
    assert_eq!(symbols(&cautious, "/either"), neighbour::named("A"));
    let checked = closure(&venue, &in_query, &CHECKED);
    assert_eq!(paths(&checked), ["/either", "/loose_query", "/query"]);

    let in_body = json("/form", "symbol=A");
    let cautious = closure(&venue, &in_body, &CAUTIOUS);
    assert_eq!(paths(&cautious), ["/either", "/form", "/loose_form", "/loose_query", "/nothing"]);
    let checked = closure(&venue, &in_body, &CHECKED);
    assert_eq!(paths(&checked), ["/either", "/form", "/loose_form"]);

    let empty = closure(&venue, &query("/nothing", ""), &CHECKED);
    assert_eq!(paths(&empty), ["/loose_form", "/loose_query", "/nothing"]);
}

#[test]
fn one_text_for_both_places_is_found_in_both() {
    let operations = parts(&[
        ("/either", EITHER, "one"),
        ("/form", FORM, "one"),
        ("/nothing", NOWHERE, "none"),
        ("/query", QUERY, "one"),
    ]);
    for joined in ["concatenated", "either"] {
        let signature = format!("binds = [\"query\", \"body\"]\njoined = \"{joined}\"");
        let venue = load(&signature, &operations);
        for request in [query("/query", "symbol=A"), json("/form", "symbol=A")] {
            let checked = closure(&venue, &request, &CHECKED);
            assert_eq!(paths(&checked), ["/either", "/form", "/query"], "{joined}");
        }
    }
}

#[test]
fn a_reader_of_both_places_is_open_where_one_of_them_is_not_signed() {
    let other = shape("other", r#"params = [{ name = "asset", type = "id", required = true }]"#);
    let mut operations =
        parts(&[("/either", EITHER, "other"), ("/form", FORM, "other"), ("/query", QUERY, "one")]);
    operations.push(other);
    let venue = load("binds = [\"query\"]", &operations);
    let closure = closure(&venue, &query("/query", "symbol=A"), &CHECKED);
    assert_eq!(paths(&closure), ["/either", "/form", "/query"]);
    assert_eq!(symbols(&closure, "/either"), Some(Symbols::Every));
}

/// JSON is no text of `name=value` pairs, and no such text is JSON; no text at all is neither.
#[test]
fn json_and_form_text_are_not_taken_for_each_other() {
    let free = "[[operation]]\nmethod = \"POST\"\npath = \"/unsourced\"\nclass = \"trade\"\nsource = \"docs\"\nbody = \"json\"\n";
    let mut operations = parts(&[
        ("/json", JSON, "one"),
        ("/loose_json", JSON, "loose"),
        ("/loose_query", QUERY, "loose"),
        ("/query", QUERY, "one"),
    ]);
    operations.push(free.to_owned());
    let venue = load("binds = [\"query\", \"body\"]\njoined = \"either\"", &operations);
    let form = closure(&venue, &query("/query", "symbol=A"), &CAUTIOUS);
    assert_eq!(paths(&form), ["/loose_query", "/query"]);
    let body = closure(&venue, &json("/json", r#"{"symbol":"A"}"#), &CAUTIOUS);
    assert_eq!(paths(&body), ["/json", "/loose_json", "/loose_query", "/unsourced"]);
    assert_eq!(symbols(&body, "/loose_query"), Some(Symbols::Every));
    let empty = closure(&venue, &query("/loose_query", ""), &CAUTIOUS);
    assert_eq!(paths(&empty), ["/loose_json", "/loose_query", "/unsourced"]);
}

/// The window is the venue's own parameter: it takes no operation out of a closure, wherever and
/// however it is written.
#[test]
fn the_window_is_known_to_every_operation() {
    let venue: Venue = load(
        "binds = [\"query\", \"body\"]\njoined = \"either\"\nwindow = { name = \"window\", max_ms = 9 }",
        &parts(&[
            ("/both", BOTH, "one"),
            ("/form", FORM, "one"),
            ("/json", JSON, "one"),
            ("/query", QUERY, "one"),
        ]),
    );
    for request in [query("/query", "symbol=A&window=9"), json("/form", "window=9&symbol=A")] {
        assert_eq!(paths(&closure(&venue, &request, &CHECKED)), ["/both", "/form", "/query"]);
    }
    for path in ["/both", "/json"] {
        let request = json(path, r#"{"symbol":"A","window":9}"#);
        let closure = closure(&venue, &request, &CHECKED);
        assert!(paths(&closure).contains(&"/both"), "{path}");
        assert!(paths(&closure).contains(&"/json"), "{path}");
    }
    let wide = json("/json", r#"{"symbol":"A","window":true}"#);
    let refused = venue.read(&wide, &CHECKED);
    assert_eq!(refused, Err(ReadError::ParameterValue("window".to_owned())));
}

/// Where the path is signed and the method is not, every method of the path is a neighbour.
#[test]
fn an_unsigned_method_is_any_method_of_the_path() {
    let empty = |method: &str, path: &str| {
        neighbour::operation(path, NOWHERE, "none").replace("\"POST\"", &format!("\"{method}\""))
    };
    let mut operations = shapes();
    for (method, path) in [
        ("DELETE", "/items/{id}"),
        ("PUT", "/items/{id}"),
        ("PUT", "/items/{id}/more"),
        ("PUT", "/things/{id}"),
        ("DELETE", "/all"),
        ("POST", "/all"),
    ] {
        operations.push(empty(method, path));
    }
    for (binds, items, all) in [
        (r#"binds = ["path", "query", "body"]"#, vec!["DELETE", "PUT"], vec!["DELETE", "POST"]),
        (r#"binds = ["method", "path", "query", "body"]"#, vec!["PUT"], vec!["POST"]),
    ] {
        let venue = load(binds, &operations);
        let names = |method: &str, path: &str| -> Vec<String> {
            let members = closure(&venue, &bare(method, path), &CAUTIOUS);
            members.iter().map(|member| (*member.operation).to_owned()).collect()
        };
        let of = |methods: Vec<&str>, path: &str| -> Vec<String> {
            methods.iter().map(|method| format!("{method} {path}")).collect()
        };
        assert_eq!(names("PUT", "/items/1"), of(items, "/items/{id}"), "{binds}");
        assert_eq!(names("POST", "/all"), of(all, "/all"), "{binds}");
        assert_eq!(names("PUT", "/things/1"), ["PUT /things/{id}"], "{binds}");
    }
}
