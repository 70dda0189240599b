//! The catalogue loader: arbitrary texts, bundled catalogues with changed bytes, and what an
//! operator adds.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use vault_model::VenueRequest;
use vault_venue::{Catalog, CatalogError, KeyType, Part, Registry, VENUES, Venue};

use super::input::{self, Stand};
use super::mutate;
use super::request;

/// The venues whose whole catalogues are small enough to be read for every input.
const SMALL: &[&str] = &["coinbase", "kraken", "okx"];

/// Keys and words of the format.
pub fn words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let lines = VENUES.iter().flat_map(|(_, parts)| parts.iter()).flat_map(|p| p.text.lines());
        let code = lines.filter(|line| !line.starts_with('#') && line.len() < 160);
        // One line of each form, and every key.
        let form = |line: &str| line.split('"').step_by(2).collect::<String>();
        let mut forms = BTreeSet::new();
        let mut words = BTreeSet::new();
        for line in code {
            if forms.insert(form(line)) {
                words.insert(format!("\n{line}\n"));
            }
            let inner = line.split(['{', ',', '}']);
            words.extend(
                inner
                    .map(|text| text.trim().split('"').next().unwrap_or_default())
                    .filter(|text| text.len() > 2 && text.ends_with("= "))
                    .map(str::to_owned),
            );
        }
        words.into_iter().collect()
    })
}

/// A catalogue. Byte 0: 0 to 127, the rest is the text; else one of the bundled catalogues, with
/// the part that byte 1 chooses edited by the rest.
pub fn parse(data: &[u8]) {
    let [choice, rest @ ..] = data else {
        return;
    };
    if *choice < 128 {
        let text = String::from_utf8_lossy(rest);
        loaded("params", &[Part { file: "params.toml", text: &text }]);
        return;
    }
    let [which, edits @ ..] = rest else {
        return;
    };
    let (name, parts) = VENUES[usize::from(*choice) % VENUES.len()];
    let at = usize::from(*which) % parts.len();
    let text = mutate::edit(parts[at].text.as_bytes(), edits);
    let text = String::from_utf8_lossy(&text);
    let edited = Part { file: parts[at].file, text: &text };
    let is_head = |part: &&Part<'_>| part.text.contains("\n[signature]\n");
    let mut parts = parts.to_vec();
    if SMALL.contains(&name) {
        parts[at] = edited;
    } else {
        // The head and this part: the whole of it takes too long.
        parts = parts.iter().filter(is_head).filter(|p| p.file != edited.file).copied().collect();
        parts.push(edited);
    }
    loaded(name, &parts);
}

/// Loads a catalogue and checks what must hold of it, or of the error.
fn loaded(name: &'static str, parts: &[Part<'_>]) {
    let catalog = match Catalog::parse(name, parts) {
        Ok(catalog) => catalog,
        Err(error) => {
            check_error(name, parts, &error);
            assert_eq!(Catalog::parse(name, parts).err().as_ref(), Some(&error), "the same error");
            return;
        }
    };
    super::take();
    let mut names = BTreeSet::new();
    for operation in &catalog.operations {
        assert!(names.insert(operation.name.clone()), "{} is stated twice", operation.name);
        assert_eq!(*operation.name, format!("{} {}", operation.method, operation.path));
        let path = input::path(operation);
        assert!(catalog.operation(&operation.method, &path).is_some(), "{}", operation.name);
        assert!(catalog.citation(&operation.source).is_some(), "{}: no source", operation.name);
        assert_eq!(catalog.schema_source(operation).is_some(), operation.schema_sourced());
        let unknown = operation.rights.iter().find(|right| !catalog.rights.contains(right));
        assert_eq!(unknown, None, "{}", operation.name);
    }
    match Venue::load(name, parts) {
        Ok(venue) => {
            assert_eq!(venue.catalog.hash, catalog.hash);
            ask(&venue, venue.catalog.operations.iter().take(4).map(|o| o.name.to_string()));
        }
        Err(error) => {
            let words = format!("scheme {} is not known", catalog.signature.scheme);
            assert!(error.to_string().ends_with(&words), "{error}");
        }
    }
}

/// Reads a few requests of some operations.
fn ask(venue: &Venue, names: impl Iterator<Item = String>) {
    for (at, name) in names.enumerate() {
        let operation = input::operation(venue, &name).expect("in the catalogue");
        let stand = Stand::of(venue, if at % 2 == 0 { 0 } else { 2 }, 0);
        let Some(hosts) = venue.catalog.hosts(stand.environment) else {
            return;
        };
        for (query, body) in
            [("", ""), ("symbol=BTCUSDT", ""), ("", r#"{"symbol":"BTCUSDT"}"#), ("", "[{}]")]
        {
            let request = VenueRequest {
                method: operation.method.clone(),
                scheme: if operation.is_socket() { "wss" } else { "https" }.to_owned(),
                host: hosts.of(operation).first().cloned().unwrap_or_default(),
                path: input::path(operation),
                query: query.to_owned(),
                body: body.as_bytes().to_vec(),
                headers: Vec::new(),
            };
            request::judge(venue, &request, &stand);
        }
    }
}

/// A place is one in the part that it names.
fn check_error(name: &str, parts: &[Part<'_>], error: &CatalogError) {
    match error {
        CatalogError::Inconsistent { file, what } => {
            assert!(file == name || parts.iter().any(|part| part.file == file), "{file}");
            assert!(!what.is_empty());
        }
        CatalogError::Syntax { file, line, column, what } => {
            let part = parts.iter().find(|part| part.file == file).expect("one of the parts");
            let text = part.text.split('\n').nth(line - 1).expect("a line of it");
            assert!((1..=text.chars().count() + 1).contains(column), "{line}:{column}");
            assert!(!what.is_empty());
        }
    }
}

/// What an operator adds. Byte 0 chooses the venue, whose head is written for the rest; from 128
/// the rest says it itself.
pub fn addition(data: &[u8]) {
    let [choice, text @ ..] = data else {
        return;
    };
    let name = VENUES[usize::from(*choice) % VENUES.len()].0;
    let mut added = String::new();
    if *choice < 128 {
        added = format!("format = 1\nvenue = \"{name}\"\n[sources]\nown = \"measured\"\n");
    }
    added.push_str(&String::from_utf8_lossy(text));
    let part = Part { file: "added.toml", text: &added };
    let registry = match Registry::with_additions(&[part]) {
        Ok(registry) => registry,
        Err(error) => {
            // It cannot be found at fault in the bundled files, but for what it says twice.
            let is_about_it = match &error {
                CatalogError::Syntax { file, .. } => file == part.file,
                CatalogError::Inconsistent { .. } => true,
            };
            assert!(is_about_it, "{error}");
            return;
        }
    };
    super::take();
    for known in input::registry().names() {
        let (before, after) = (input::venue(known), registry.venue(known).expect("still there"));
        if before.catalog.hash != after.catalog.hash {
            check_added(before, after);
        }
    }
}

/// An addition brings operations, and changes none that is there.
fn check_added(before: &Venue, after: &Venue) {
    let (old, new) = (&before.catalog, &after.catalog);
    assert_eq!(old.rights, new.rights);
    assert_eq!(old.signature.facts, new.signature.facts);
    assert_eq!(old.signature.variants, new.signature.variants);
    assert_eq!(old.signature.reserved, new.signature.reserved);
    assert_eq!(old.signature.window, new.signature.window);
    assert_eq!(old.signature.caller_headers, new.signature.caller_headers);
    assert!(new.operations.len() >= old.operations.len());
    for one in &old.operations {
        let other =
            new.operations.iter().find(|other| other.name == one.name).expect("still there");
        let facts = |operation: &vault_venue::Operation| {
            (
                operation.class,
                operation.rights.clone(),
                operation.product,
                operation.is_socket(),
                operation.signed,
                operation.source.clone(),
                operation.schema_sourced(),
            )
        };
        assert_eq!(facts(one), facts(other), "{}", one.name);
        for &key_type in KeyType::ALL {
            assert_eq!(old.binds(one, key_type), new.binds(other, key_type), "{}", one.name);
        }
        // A path that was this operation's is still this operation's.
        let path = input::path(one);
        let names = [old.operation(&one.method, &path), new.operation(&one.method, &path)]
            .map(|found| found.map(|operation| operation.name.clone()));
        assert_eq!(names[0], names[1], "{}", one.name);
    }
    let is_new = |name: &String| input::operation(before, name).is_none();
    let names: Vec<_> = new.operations.iter().map(|o| o.name.to_string()).filter(is_new).collect();
    ask(after, names.into_iter().take(4));
}
