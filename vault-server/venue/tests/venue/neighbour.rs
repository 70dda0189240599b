//! What a signed request means to the operations that accept it beside the stated one. The made-up
//! venue signs query and body and nothing else.

use vault_model::{Class, Member, Symbols, VenueRequest};
use vault_venue::{KeyType, Part, Standing, Venue};

use crate::{CAUTIOUS, MADE, bare};

pub(crate) const CHECKED: Standing<'static> = Standing { venue_checks: true, ..CAUTIOUS };

/// A shape of this name.
pub(crate) fn shape(name: &str, params: &str) -> String {
    format!("[shape.{name}]\nsource = \"docs\"\n{params}\n")
}

/// A write with a shape.
pub(crate) fn operation(path: &str, place: &str, shape: &str) -> String {
    format!(
        "[[operation]]\nmethod = \"POST\"\npath = \"{path}\"\nclass = \"trade\"\nsource = \"docs\"\n{place}\nshape = \"{shape}\"\n"
    )
}

pub(crate) const QUERY: &str = "params_in = \"query\"";
pub(crate) const JSON: &str = "body = \"json\"";

pub(crate) fn load(signature: &str, parts: &[String]) -> Venue {
    let signed = r#"binds = ["method", "path", "query", "body"]"#;
    let text = format!("{}{}", MADE.replace(signed, signature), parts.concat());
    Venue::load("made", &[Part { file: "made.toml", text: &text }]).expect("sound")
}

pub(crate) fn params_only(parts: &[String]) -> Venue {
    load(r#"binds = ["query", "body"]"#, parts)
}

pub(crate) fn query(path: &str, query: &str) -> VenueRequest {
    VenueRequest { query: query.to_owned(), ..bare("POST", path) }
}

pub(crate) fn json(path: &str, body: &str) -> VenueRequest {
    VenueRequest { body: body.as_bytes().to_vec(), ..bare("POST", path) }
}

pub(crate) fn closure(
    venue: &Venue,
    request: &VenueRequest,
    standing: &Standing<'_>,
) -> Vec<Member> {
    venue.read(request, standing).expect("can be read").closure
}

/// Their paths alone: every operation here is a `POST`, or a `WS`.
pub(crate) fn paths(closure: &[Member]) -> Vec<&str> {
    closure.iter().filter_map(|member| member.operation.split(' ').nth(1)).collect()
}

pub(crate) fn symbols(closure: &[Member], path: &str) -> Option<Symbols> {
    let member = closure.iter().find(|member| member.operation.ends_with(path))?;
    Some(member.symbols.clone())
}

pub(crate) fn named(symbol: &str) -> Option<Symbols> {
    Some(Symbols::Named(vec![symbol.to_owned()]))
}

pub(crate) const SYMBOL: &str =
    r#"{ name = "symbol", type = "symbol", required = true, role = "symbol" }"#;
pub(crate) const MAYBE_SYMBOL: &str = r#"{ name = "symbol", type = "symbol", role = "symbol" }"#;

#[test]
fn a_list_is_for_those_that_take_lists_and_those_that_take_anything() {
    let venue = params_only(&[
        shape("one", &format!("params = [{SYMBOL}]")),
        shape("loose", &format!("params = [{MAYBE_SYMBOL}]")),
        operation("/batch", &format!("{JSON}\narray = true"), "one"),
        operation("/batch2", &format!("{JSON}\narray = true"), "one"),
        operation("/loose", JSON, "loose"),
        operation("/one", JSON, "one"),
    ]);
    let batch = json("/batch", r#"[{"symbol":"A"}]"#);
    let cautious = closure(&venue, &batch, &CAUTIOUS);
    assert_eq!(paths(&cautious), ["/batch", "/batch2", "/loose"]);
    assert_eq!(symbols(&cautious, "/batch2"), named("A"));
    assert_eq!(symbols(&cautious, "/loose"), Some(Symbols::Every));
    assert_eq!(paths(&closure(&venue, &batch, &CHECKED)), ["/batch", "/batch2"]);

    let one = json("/one", r#"{"symbol":"A"}"#);
    assert_eq!(paths(&closure(&venue, &one, &CAUTIOUS)), ["/loose", "/one"]);
}

#[test]
fn values_that_another_does_not_take_keep_it_out() {
    let venue = params_only(&[
        shape("one", &format!("params = [{SYMBOL}]")),
        shape(
            "enum",
            r#"params = [{ name = "symbol", type = "enum", values = ["B"], required = true, role = "symbol" }]"#,
        ),
        shape(
            "either",
            &format!(
                "params = [{SYMBOL}, {{ name = \"id\", type = \"id\" }}, {{ name = \"cid\", type = \"id\" }}]\none_of = [[\"id\", \"cid\"]]"
            ),
        ),
        shape(
            "any",
            "params = [{ name = \"id\", type = \"id\" }, { name = \"symbol\", type = \"symbol\" }]\none_of = [[\"id\", \"symbol\"]]",
        ),
        operation("/any", QUERY, "any"),
        operation("/either", QUERY, "either"),
        operation("/enum", QUERY, "enum"),
        operation("/one", QUERY, "one"),
    ]);
    for standing in [CAUTIOUS, CHECKED] {
        let beside = |text: &str| closure(&venue, &query("/one", text), &standing);
        assert_eq!(paths(&beside("symbol=A")), ["/any", "/one"]);
        assert_eq!(paths(&beside("symbol=B")), ["/any", "/enum", "/one"]);
    }
    let both = query("/either", "symbol=A&cid=1");
    assert_eq!(paths(&closure(&venue, &both, &CAUTIOUS)), ["/any", "/either", "/one"]);
    assert_eq!(paths(&closure(&venue, &both, &CHECKED)), ["/either"]);
}

#[test]
fn an_optional_value_that_cannot_be_read_could_mean_anything() {
    let venue = params_only(&[
        shape("text", &format!("params = [{SYMBOL}, {{ name = \"size\", type = \"string\" }}]")),
        shape(
            "size",
            &format!(
                "params = [{SYMBOL}, {{ name = \"size\", type = \"decimal\", role = \"quantity\" }}]"
            ),
        ),
        operation("/size", QUERY, "size"),
        operation("/text", QUERY, "text"),
    ]);
    for standing in [CAUTIOUS, CHECKED] {
        // Some parser takes `01`, and what it then means nobody knows.
        for size in ["x", "01", "1e0"] {
            let odd = closure(&venue, &query("/text", &format!("symbol=A&size={size}")), &standing);
            assert_eq!(symbols(&odd, "/size"), Some(Symbols::Every), "{size}");
            assert!(odd[0].legs.is_empty());
        }
        // A size of nothing is refused where it is stated, and judged where it is not.
        for size in ["1", "0"] {
            let read =
                closure(&venue, &query("/text", &format!("symbol=A&size={size}")), &standing);
            assert_eq!(symbols(&read, "/size"), named("A"));
            assert_eq!(read[0].legs[0].quantity.as_deref(), Some(size));
        }
    }
}

#[test]
fn what_no_rule_can_judge_could_mean_anything_however_deep() {
    let part = |name: &str| {
        format!(
            "params = [{SYMBOL}, {{ name = \"all\", type = \"bool\" }}, {{ name = \"part\", type = \"object\", items = \"{name}\" }}, {{ name = \"parts\", type = \"array\", items = \"{name}\" }}]"
        )
    };
    let venue = params_only(&[
        shape(
            "inner",
            "params = [{ name = \"all\", type = \"bool\" }, { name = \"x\", type = \"integer\" }]",
        ),
        shape(
            "inner_refused",
            "params = [{ name = \"all\", type = \"bool\", refused = true }, { name = \"x\", type = \"integer\" }]",
        ),
        shape("plain", &part("inner")),
        shape(
            "refusing",
            &part("inner_refused").replacen("\"bool\"", "\"bool\", refused = true", 1),
        ),
        operation("/plain", JSON, "plain"),
        operation("/refusing", JSON, "refusing"),
    ]);
    for (more, is_judged) in [
        ("", true),
        (r#","part":{"x":1}"#, true),
        (r#","parts":[{"x":1},{}]"#, true),
        (r#","all":true"#, false),
        (r#","part":{"all":true}"#, false),
        (r#","parts":[{"x":1},{"all":false}]"#, false),
    ] {
        let request = json("/plain", &format!("{{\"symbol\":\"A\"{more}}}"));
        for standing in [CAUTIOUS, CHECKED] {
            let closure = closure(&venue, &request, &standing);
            let expected = if is_judged { named("A") } else { Some(Symbols::Every) };
            assert_eq!(symbols(&closure, "/refusing"), expected, "{more}");
            assert_eq!(symbols(&closure, "/plain"), named("A"));
        }
    }
}

/// A venue may read the first or the last of two.
#[test]
fn a_name_that_is_there_twice_could_mean_either() {
    let venue = params_only(&[
        shape(
            "list",
            r#"params = [{ name = "symbol", type = "array", of = "symbol", repeats = true, required = true }]"#,
        ),
        shape("one", &format!("params = [{SYMBOL}]")),
        shape("maybe", &format!("params = [{MAYBE_SYMBOL}]")),
        shape(
            "enum",
            r#"params = [{ name = "symbol", type = "enum", values = ["B"], required = true }]"#,
        ),
        operation("/enum", QUERY, "enum"),
        operation("/list", QUERY, "list"),
        operation("/maybe", QUERY, "maybe"),
        operation("/one", QUERY, "one"),
    ]);
    for standing in [CAUTIOUS, CHECKED] {
        let twice = closure(&venue, &query("/list", "symbol=A&symbol=B"), &standing);
        assert_eq!(paths(&twice), ["/enum", "/list", "/maybe", "/one"]);
        for path in ["/maybe", "/one"] {
            assert_eq!(symbols(&twice, path), Some(Symbols::Every), "{path}");
        }
        let other = closure(&venue, &query("/list", "symbol=A&symbol=C"), &standing);
        assert_eq!(paths(&other), ["/list", "/maybe", "/one"]);
        let once = closure(&venue, &query("/list", "symbol=A"), &standing);
        assert_eq!(symbols(&once, "/one"), named("A"));
    }
}

#[test]
fn requests_over_a_socket_are_one_anothers_neighbours() {
    let socket = |path: &str| operation(path, "rpc = true", "one").replace("\"POST\"", "\"WS\"");
    let venue = params_only(&[
        shape("one", &format!("params = [{SYMBOL}]")),
        shape("other", r#"params = [{ name = "asset", type = "string", required = true }]"#),
        socket("/ws/a"),
        socket("/ws/b"),
        operation("/json", JSON, "one"),
        operation("/other", JSON, "other"),
    ]);
    let text = r#"{"symbol":"A"}"#;
    let frame = VenueRequest {
        method: "WS".to_owned(),
        scheme: "wss".to_owned(),
        host: "ws.example".to_owned(),
        ..json("/ws/a", text)
    };
    // REST finds the API key among the parameters, which a venue that checks refuses.
    assert_eq!(paths(&closure(&venue, &frame, &CHECKED)), ["/ws/a", "/ws/b"]);
    assert_eq!(paths(&closure(&venue, &frame, &CAUTIOUS)), ["/json", "/ws/a", "/ws/b"]);
    for standing in [CAUTIOUS, CHECKED] {
        assert_eq!(paths(&closure(&venue, &json("/json", text), &standing)), ["/json"]);
    }
}

/// Who may cut a signed text may begin to read it inside a name.
#[test]
fn the_end_of_a_name_is_a_name_where_the_text_can_be_cut() {
    let parts = [
        shape(
            "long",
            r#"params = [{ name = "clientId", type = "id", required = true }, { name = "symbol", type = "symbol" }]"#,
        ),
        shape("short", r#"params = [{ name = "Id", type = "id", required = true }]"#),
        shape("other", r#"params = [{ name = "client", type = "id", required = true }]"#),
        shape(
            "both",
            r#"params = [{ name = "Id", type = "id" }, { name = "x", type = "id" }]
one_of = [["Id", "x"]]"#,
        ),
        operation("/both", QUERY, "both"),
        operation("/long", QUERY, "long"),
        operation("/other", QUERY, "other"),
        operation("/short", QUERY, "short"),
    ];
    let request = query("/long", "clientId=1&symbol=A");
    let joined = load("binds = [\"query\", \"body\"]\njoined = \"concatenated\"", &parts);
    assert_eq!(paths(&closure(&joined, &request, &CAUTIOUS)), ["/both", "/long", "/short"]);
    assert_eq!(paths(&closure(&joined, &request, &CHECKED)), ["/long"]);
    let apart = params_only(&parts);
    assert_eq!(paths(&closure(&apart, &request, &CAUTIOUS)), ["/long"]);
}

/// Of a whole catalogue's names, however many.
#[test]
fn each_of_many_names_is_told_from_the_others() {
    let count = 150;
    let name = |at: usize| format!("{{ name = \"p{at:03}\", type = \"integer\" }}");
    let every: Vec<_> = (0..count).map(name).collect();
    let mut parts = vec![
        shape(
            "every",
            &format!("params = [{}]\none_of = [[\"p000\", \"p001\"]]", every.join(", ")),
        ),
        operation("/every", QUERY, "every"),
    ];
    for at in 0..count {
        let param = name(at).replace(" }", ", required = true }");
        parts.push(shape(&format!("s{at}"), &format!("params = [{param}]")));
        parts.push(operation(&format!("/p{at:03}"), QUERY, &format!("s{at}")));
    }
    let venue = params_only(&parts);
    for (one, other) in [(1, 2), (1, 63), (0, 64), (1, 65), (0, 127), (0, 128), (1, 149)] {
        let request = query("/every", &format!("p{one:03}=1&p{other:03}=1"));
        let closure = closure(&venue, &request, &CAUTIOUS);
        assert_eq!(paths(&closure), ["/every", &format!("/p{one:03}"), &format!("/p{other:03}")]);
        assert!(closure.iter().all(|member| member.class == Class::Trade));
    }
    let one = query("/p064", "p064=1");
    assert_eq!(paths(&closure(&venue, &one, &CHECKED)), ["/p064"]);
    let two = query("/every", "p000=1&p064=1");
    assert_eq!(paths(&closure(&venue, &two, &CHECKED)), ["/every"]);
}

/// What a venue's parser takes is not what we ask of a caller: `01` is a number to many.
#[test]
fn another_operation_is_taken_to_read_generously() {
    let long = format!("\"{}\"", "a".repeat(65));
    let kinds: [(&str, &str, &[&str], &[&str]); 10] = [
        ("bool", "\"bool\"", &["true", "\"FALSE\"", "\"True\""], &["\"yes\"", "1", "\"\"", "null"]),
        (
            "decimal",
            "\"decimal\"",
            &[
                "1",
                "[1]",
                "\"01\"",
                "\"1e0\"",
                "\"1E-2\"",
                "\"-1\"",
                "\".5\"",
                "11111111111111111111.0",
            ],
            &[
                "\"\"", "\"x\"", "\"1x\"", "\"-\"", "\"e\"", "\"inf\"", "true", "null", "[\"x\"]",
                "{}",
            ],
        ),
        ("integer", "\"integer\"", &["\"1.0\"", "-1"], &["\"1,0\"", "false"]),
        ("time", "\"timestamp\"", &["\"1e3\"", "1"], &["\"now\""]),
        ("id", "\"id\"", &["\"a b\"", "1", "true", "false", &long], &["\"\"", "null", "[]"]),
        ("ids", "\"ids\"", &["\"a, b\"", "1", "[\"a\"]"], &["\"\"", "{}"]),
        ("string", "\"string\"", &["\"é\"", "1", &long], &["\"\"", "null"]),
        ("symbol", "\"symbol\"", &["\"a b\"", "1", "true", "\"é\""], &["\"\"", "null"]),
        ("word", r#""enum", values = ["One", "2"]"#, &["\"ONE\"", "2"], &["\"two\"", "1"]),
        ("list", r#""array", of = "integer""#, &["[1]", "[\"01\",2.0]"], &["[]", "[true]", "1"]),
    ];
    let mut parts = vec![
        operation("/free", JSON, "").replace("shape = \"\"\n", ""),
        shape("inner", r#"params = [{ name = "a", type = "integer", required = true }]"#),
        shape(
            "object",
            r#"params = [{ name = "v", type = "object", items = "inner", required = true }]"#,
        ),
        operation("/object", JSON, "object"),
    ];
    for (name, kind, ..) in &kinds {
        let param = format!("{{ name = \"v\", required = true, type = {kind} }}");
        parts.push(shape(name, &format!("params = [{param}]")));
        parts.push(operation(&format!("/{name}"), JSON, name));
    }
    let venue = params_only(&parts);
    let takes = |path: &str, value: &str| {
        let request = json("/free", &format!("{{\"v\":{value}}}"));
        paths(&closure(&venue, &request, &CHECKED)).contains(&path)
    };
    for (name, _, taken, refused) in &kinds {
        let path = format!("/{name}");
        for value in *taken {
            assert!(takes(&path, value), "{name} takes {value}");
        }
        for value in *refused {
            assert!(!takes(&path, value), "{name} refuses {value}");
        }
    }
    assert!(takes("/object", r#"{"a":"01"}"#));
    for value in ["{}", r#"{"a":"x"}"#, "[]", "1"] {
        assert!(!takes("/object", value), "{value}");
    }
}

#[test]
fn the_head_of_a_value_is_a_value_where_the_text_can_be_cut() {
    let list = |of: &str| {
        format!(
            "params = [{{ name = \"list\", type = \"array\", of = \"{of}\", required = true }}]"
        )
    };
    let parts = [
        shape("texts", &list("text")),
        shape("numbers", &list("integer")),
        operation("/numbers", "body = \"form\"", "numbers"),
        operation("/texts", "body = \"form\"", "texts"),
    ];
    let joined = load("binds = [\"query\", \"body\"]\njoined = \"concatenated\"", &parts);
    for text in [r#"list=["a","12x"]"#, r#"list=["a","x2"]"#] {
        let request = json("/texts", text);
        let cautious = closure(&joined, &request, &CAUTIOUS);
        // What is left of a list after a cut is nobody's JSON, and maybe somebody's list.
        assert!(paths(&cautious).contains(&"/numbers"), "{text}");
        assert_eq!(paths(&closure(&joined, &request, &CHECKED)), ["/texts"]);
        assert_eq!(paths(&closure(&params_only(&parts), &request, &CAUTIOUS)), ["/texts"]);
    }
}

#[test]
fn a_fixed_value_is_the_same_word_for_another() {
    let fixed = |value: &str| {
        format!(
            "params = [{{ name = \"v\", type = \"string\", const = \"{value}\", required = true }}]"
        )
    };
    let venue = params_only(&[
        shape("any", "params = [{ name = \"v\", type = \"string\", required = true }]"),
        shape("one", &fixed("one")),
        shape("two", &fixed("two")),
        operation("/any", QUERY, "any"),
        operation("/one", QUERY, "one"),
        operation("/two", QUERY, "two"),
    ]);
    for word in ["one", "ONE"] {
        let request = query("/any", &format!("v={word}"));
        assert_eq!(paths(&closure(&venue, &request, &CHECKED)), ["/any", "/one"], "{word}");
    }
}

/// The text of a request over a socket is not encoded: several parameters can be one value.
#[test]
fn over_a_socket_a_free_text_can_hold_other_parameters() {
    let socket = |path: &str, shape: &str| {
        operation(path, "rpc = true", shape).replace("\"POST\"", "\"WS\"")
    };
    let note = r#"{ name = "note", type = "text", required = true }"#;
    let venue = params_only(&[
        shape("both", &format!("params = [{SYMBOL}, {note}]")),
        shape("note", &format!("params = [{note}]")),
        shape("one", &format!("params = [{SYMBOL}]")),
        operation("/both", JSON, "both"),
        operation("/note", JSON, "note"),
        socket("/ws/both", "both"),
        socket("/ws/note", "note"),
        socket("/ws/one", "one"),
    ]);
    let text = r#"{"symbol":"A","note":"x"}"#;
    let frame = VenueRequest {
        method: "WS".to_owned(),
        scheme: "wss".to_owned(),
        host: "ws.example".to_owned(),
        ..json("/ws/both", text)
    };
    assert_eq!(paths(&closure(&venue, &frame, &CHECKED)), ["/ws/both", "/ws/note"]);
    assert_eq!(paths(&closure(&venue, &json("/both", text), &CHECKED)), ["/both"]);
}

#[test]
fn a_read_with_a_value_that_cannot_be_read_touches_what_it_could_name() {
    let params = |size: &str, more: &str| {
        format!(
            "params = [{{ name = \"asset\", type = \"string\", required = true }}, {{ name = \"size\", type = \"{size}\" }}{more}]"
        )
    };
    let read =
        |path: &str, shape: &str| operation(path, QUERY, shape).replace("\"trade\"", "\"read\"");
    let venue = params_only(&[
        shape("text", &params("string", "")),
        shape("assets", &params("decimal", "")),
        shape("instruments", &params("decimal", &format!(", {MAYBE_SYMBOL}"))),
        read("/text", "text"),
        read("/assets", "assets"),
        read("/instruments", "instruments"),
        operation("/write", QUERY, "assets"),
    ]);
    let odd = closure(&venue, &query("/text", "asset=A&size=x"), &CHECKED);
    assert_eq!(symbols(&odd, "/assets"), Some(Symbols::Named(Vec::new())));
    assert_eq!(symbols(&odd, "/instruments"), Some(Symbols::Every));
    assert_eq!(symbols(&odd, "/write"), Some(Symbols::Every));
}

/// What is left of a list after a cut is no list any more, and may be one to another.
#[test]
fn a_number_could_be_the_rest_of_a_list_where_the_text_can_be_cut() {
    let parts = [
        operation("/free", JSON, "").replace("shape = \"\"\n", ""),
        shape(
            "list",
            r#"params = [{ name = "v", type = "array", of = "integer", required = true }]"#,
        ),
        operation("/list", JSON, "list"),
    ];
    let joined = load("binds = [\"query\", \"body\"]\njoined = \"concatenated\"", &parts);
    let request = json("/free", r#"{"v":5}"#);
    assert_eq!(paths(&closure(&joined, &request, &CAUTIOUS)), ["/free", "/list"]);
    assert_eq!(paths(&closure(&params_only(&parts), &request, &CAUTIOUS)), ["/free"]);
}

#[test]
fn what_a_type_of_key_leaves_unsigned_can_be_anything() {
    let venue = load(
        r#"binds = ["query", "body"]
joined = "concatenated"
key_types = ["hmac", "legacy-hmac"]
variant = [{ key_types = ["legacy-hmac"], binds = ["method"], source = "docs" }]"#,
        &[
            shape("one", &format!("params = [{SYMBOL}]")),
            shape("other", r#"params = [{ name = "asset", type = "string", required = true }]"#),
            operation("/one", QUERY, "one"),
            operation("/other", QUERY, "other"),
        ],
    );
    let legacy = Standing { key_type: KeyType::LegacyHmac, ..CHECKED };
    let closure = closure(&venue, &query("/one", "symbol=A"), &legacy);
    assert_eq!(paths(&closure), ["/one", "/other"]);
    assert_eq!(symbols(&closure, "/other"), Some(Symbols::Every));
}
