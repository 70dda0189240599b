//! From bytes to a request of a venue, and what venues' words are.
//!
//! ```text
//! byte 0   standing: bit 0 demo, 1 venue_checks, 2 to 4 key type, 5 rights are stated,
//!          6 the operation's second host
//! byte 1   rights that the key holds, one bit for each eighth of the venue's list
//! then     METHOD SP path [ "?" query ] [ LF body ]
//! ```
//!
//! An operation that the venue does not know becomes one that it knows, chosen by the bytes: so that
//! a change to the first line leads somewhere. Unknown ones are for the target `venue`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use vault_model::{Environment, VenueRequest};
use vault_venue::{KeyType, Operation, Registry, Standing, VENUES, Venue};

/// The bundled catalogues.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::bundled().expect("the catalogues read"))
}

/// A bundled venue.
pub fn venue(name: &str) -> &'static Venue {
    registry().venue(name).expect("a venue of this name")
}

/// Everything in quotes in a venue's catalogue: names of parameters, words of enums, and others.
pub fn words(venue: &str) -> &'static [String] {
    static WORDS: OnceLock<BTreeMap<&str, Vec<String>>> = OnceLock::new();
    let all = WORDS.get_or_init(|| {
        let mut all = BTreeMap::new();
        for &(name, parts) in VENUES {
            let quoted = |text: &'static str| text.split('"').skip(1).step_by(2);
            let lines = parts.iter().flat_map(|part| part.text.lines());
            let lines = lines.filter(|line| !line.starts_with('#'));
            let words: BTreeSet<&str> =
                lines.flat_map(quoted).filter(|word| (1..=40).contains(&word.len())).collect();
            all.insert(name, words.into_iter().map(str::to_owned).collect());
        }
        all
    });
    &all[venue]
}

/// An operation by its name.
pub fn operation<'v>(venue: &'v Venue, name: &str) -> Option<&'v Operation> {
    static INDEX: OnceLock<HashMap<(&str, String), usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let of = |venue: &'static str| {
            let operations =
                registry().venue(venue).into_iter().flat_map(|v| &v.catalog.operations);
            operations
                .enumerate()
                .map(move |(at, operation)| ((venue, operation.name.to_string()), at))
        };
        registry().names().flat_map(of).collect()
    });
    // Others than the bundled catalogues are small, or differ by what was added at their end.
    let at = index.get(&(venue.name(), name.to_owned()));
    at.and_then(|&at| venue.catalog.operations.get(at))
        .filter(|operation| *operation.name == *name)
        .or_else(|| venue.catalog.operations.iter().find(|operation| *operation.name == *name))
}

/// A path that an operation has, with something in the place of every `{x}`.
pub fn path(operation: &Operation) -> String {
    let segment = |segment| if is_variable(segment) { "abc-1" } else { segment };
    operation.path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Whether a path is an operation's own.
pub fn is_path_of(operation: &Operation, path: &str) -> bool {
    let (own, given) = (operation.path.split('/'), path.split('/'));
    own.clone().count() == given.clone().count()
        && own.zip(given).all(|(own, given)| own == given || is_variable(own))
}

fn is_variable(segment: &str) -> bool {
    segment.starts_with('{') && segment.ends_with('}')
}

/// FNV-1a: where the bytes choose one of many.
pub fn choice(bytes: &[u8], end: usize) -> usize {
    let mix = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    usize::try_from((hash >> 8) % (end.max(1) as u64)).unwrap_or(0)
}

/// What is known of the key, as the bytes say it.
#[derive(Debug)]
pub struct Stand {
    pub environment: Environment,
    pub venue_checks: bool,
    pub key_type: KeyType,
    pub rights: Option<Vec<String>>,
}

impl Stand {
    pub fn of(venue: &Venue, flags: u8, held: u8) -> Self {
        let environment = if flags & 1 == 0 { Environment::Live } else { Environment::Demo };
        let names = venue.rights().iter().enumerate();
        let held = names.filter(|(at, _)| held & (1 << (at % 8)) != 0);
        let key_types = KeyType::ALL;
        Self {
            // Most venues have no demo hosts, so the bit would waste half of the inputs.
            environment: if venue.has_environment(environment) {
                environment
            } else {
                Environment::Live
            },
            venue_checks: flags & 2 != 0,
            key_type: key_types[usize::from(flags >> 2 & 7) % key_types.len()],
            rights: (flags & 32 != 0).then(|| held.map(|(_, name)| name.clone()).collect()),
        }
    }

    pub fn standing(&self) -> Standing<'_> {
        Standing {
            environment: self.environment,
            sites: None,
            venue_checks: self.venue_checks,
            rights: self.rights.as_deref(),
            key_type: self.key_type,
        }
    }
}

/// A request of a venue out of an input; see the module.
pub fn read(venue: &Venue, data: &[u8]) -> Option<(VenueRequest, Stand)> {
    let [flags, held, text @ ..] = data else {
        return None;
    };
    let stand = Stand::of(venue, *flags, *held);
    let (line, body) = split(text, b'\n');
    let (name, query) = split(line, b'?');
    let query = String::from_utf8_lossy(query).into_owned();
    let words = String::from_utf8_lossy(name);
    let (method, own_path) = words.split_once(' ').unwrap_or((&words, ""));
    let operations = &venue.catalog.operations;
    let (operation, path) = match venue.catalog.operation(method, own_path) {
        Some(operation) => (operation, own_path.to_owned()),
        None => {
            let operation = operations.get(choice(name, operations.len()))?;
            (operation, path(operation))
        }
    };
    let hosts = venue.catalog.hosts(stand.environment)?.of(operation);
    let host = hosts.get(usize::from(flags >> 6 & 1)).or(hosts.first()).cloned();
    let request = VenueRequest {
        method: operation.method.clone(),
        scheme: if operation.is_socket() { "wss" } else { "https" }.to_owned(),
        host: host.unwrap_or_default(),
        path,
        query,
        body: body.to_vec(),
        headers: Vec::new(),
    };
    Some((request, stand))
}

/// What is before and after a byte.
pub fn split(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&b| b == byte) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}
