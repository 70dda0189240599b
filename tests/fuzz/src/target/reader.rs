//! The strict readers of JSON and of forms, reached through a venue whose operations take anything.
//!
//! What they take must be read alike by others: JSON by `serde_json`, a form by the few lines below.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use vault_model::{Environment, VenueRequest};
use vault_venue::{KeyType, Part, Standing, Venue};

/// Reads without a schema, which know all parameters.
const CATALOG: &str = r#"format = 1
venue = "reader"
title = "Reads anything"
[sources]
docs = "made up for the fuzz targets"
[environments.live]
hosts = ["api.example"]
ws_hosts = ["ws.example"]
[signature]
scheme = "binance"
binds = ["query", "body"]
joined = "concatenated"
source = "docs"
client_order_id_reuse = "unknown"
reserved = ["timestamp", "signature", "apiKey"]
[[operation]]
method = "GET"
path = "/query"
class = "read"
source = "docs"
[[operation]]
method = "POST"
path = "/either"
class = "read"
source = "docs"
params_in = "either"
body = "form"
[[operation]]
method = "POST"
path = "/form"
class = "read"
source = "docs"
body = "form"
[[operation]]
method = "POST"
path = "/json"
class = "read"
source = "docs"
body = "json"
[[operation]]
method = "WS"
path = "/socket/ask"
class = "read"
source = "docs"
rpc = true
"#;

/// Names and values.
pub fn words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = r#"a=1 &b=%c3%a9 a[0]=1 {"a":1} ,"b":[1,2] ,"c":{"d":null} "\ud83d\ude00" 1e999 -0.0
                      {"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":1}}}}}}}} timestamp apiKey signature"#;
        text.split_whitespace().map(str::to_owned).collect()
    })
}

/// A text, read by the operation that the first byte chooses.
pub fn text(data: &[u8]) {
    static VENUE: OnceLock<Venue> = OnceLock::new();
    let venue = VENUE.get_or_init(|| {
        Venue::load("reader", &[Part { file: "reader.toml", text: CATALOG }]).expect("sound")
    });
    let [choice, text @ ..] = data else {
        return;
    };
    let operations = &venue.catalog.operations;
    let operation = &operations[usize::from(*choice) % operations.len()];
    let in_query = operation.path == "/query";
    let request = VenueRequest {
        method: operation.method.clone(),
        scheme: if operation.is_socket() { "wss" } else { "https" }.to_owned(),
        host: if operation.is_socket() { "ws.example" } else { "api.example" }.to_owned(),
        path: operation.path.clone(),
        query: if in_query { String::from_utf8_lossy(text).into_owned() } else { String::new() },
        body: if in_query { Vec::new() } else { text.to_vec() },
        headers: Vec::new(),
    };
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks: *choice & 0x80 != 0,
        rights: None,
        key_type: KeyType::Hmac,
    };
    if venue.read(&request, &standing).is_err() || text.is_empty() {
        return;
    }
    super::take();
    let names = match operation.path.as_str() {
        "/json" | "/socket/ask" => json(text),
        _ => form(if in_query { request.query.as_bytes() } else { text }),
    };
    for reserved in &venue.catalog.signature.reserved {
        assert!(!names.contains(reserved), "{reserved} is the vault's");
    }
}

/// The names of a text that the vault took as JSON.
fn json(text: &[u8]) -> BTreeSet<String> {
    match serde_json::from_slice::<Unique>(text) {
        Ok(Unique { names, depth }) => {
            assert!(depth <= 8, "{depth} levels");
            names
        }
        // We keep numbers as text; serde_json has no room for this one.
        Err(error) => {
            assert!(error.to_string().starts_with("number out of range"), "{error}");
            BTreeSet::new()
        }
    }
}

/// A JSON text whose objects have no name twice: its names, and how deep it is.
#[derive(Default)]
struct Unique {
    names: BTreeSet<String>,
    depth: usize,
}

impl Unique {
    fn take(&mut self, inner: Unique) {
        self.names.extend(inner.names);
        self.depth = self.depth.max(inner.depth);
    }
}

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique::default())
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Unique, E> {
        if text.chars().any(char::is_control) {
            return Err(E::custom("a control character"));
        }
        Ok(Unique::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut all = Unique::default();
        while let Some(item) = items.next_element::<Unique>()? {
            all.take(item);
        }
        all.depth += 1;
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut all = Unique::default();
        let mut own = BTreeSet::new();
        while let Some((name, value)) = members.next_entry::<String, Unique>()? {
            if !own.insert(name) {
                return Err(A::Error::custom("a name twice"));
            }
            all.take(value);
        }
        all.names.extend(own);
        all.depth += 1;
        Ok(all)
    }
}

/// The names of a text that the vault took as a form.
fn form(text: &[u8]) -> BTreeSet<String> {
    let text = std::str::from_utf8(text).expect("text");
    let mut names = BTreeSet::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').expect("a pair");
        assert!(!name.is_empty() && !name.contains(['%', '+', '"', ' ']), "{name:?}");
        assert!(names.insert(name.to_owned()), "{name} twice");
        let value = decoded(value);
        assert!(!value.contains(['&', '=', '%', '#', '+']), "{value:?}");
        assert!(!value.chars().any(char::is_control), "{value:?}");
    }
    names
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}
