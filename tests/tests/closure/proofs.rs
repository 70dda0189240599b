//! Pairs of different requests with one string-to-sign, each computed by ccxt's own `sign()`: the
//! one must be in the closure of the other, or it cannot be stated at all.
//!
//! `COUNTERSIGN_PROOFS=FILE` runs another file of the kind.

use serde_json::Value;
use vault_model::{Symbols, VenueRequest};
use vault_venue::{ReadError, Registry, Venue};

use crate::accepts::{Signed, Spelling, World, is_path_of};
use crate::catalog::{Catalogue, Operation};
use crate::enumerate::{standing, words};

/// What became of the two directions of a pair.
#[derive(Debug, Default, Eq, PartialEq)]
struct Counts {
    pairs: usize,
    /// Directions in which the other operation is in the closure.
    closed: usize,
    /// Directions that the vault refuses to read, since the stated operation does not know all that
    /// the other one wants.
    refused: usize,
    /// Pairs that are about a boundary inside the signed text.
    boundaries: usize,
}

#[test]
fn every_colliding_pair_is_in_one_closure() {
    let (file, is_own) = match std::env::var_os("COUNTERSIGN_PROOFS") {
        Some(file) => (file.into(), false),
        None => {
            let vectors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
            (vectors.join("confusion-proofs.json"), true)
        }
    };
    let text = std::fs::read_to_string(file).expect("readable");
    let pairs: Vec<Value> = serde_json::from_str(&text).expect("a list");
    let registry = Registry::bundled().expect("bundled catalogues are sound");

    let mut counts = Counts::default();
    let mut left_out = Vec::new();
    for pair in &pairs {
        let name = pair["name"].as_str().expect("a name");
        let venue = pair["venue"].as_str().expect("a venue");
        match registry.venue(venue) {
            Some(venue) => Pair { name, venue, catalogue: &Catalogue::load(venue.name()) }
                .check(pair, &mut counts),
            None => left_out.push(name),
        }
    }
    println!("{counts:?}\nleft out, {} of other venues: {left_out:#?}", left_out.len());
    if is_own {
        let expected = Counts { pairs: 15, closed: 20, refused: 6, boundaries: 2 };
        assert_eq!(counts, expected);
        assert_eq!(left_out.len(), 0);
    }
}

struct Pair<'p> {
    name: &'p str,
    venue: &'p Venue,
    catalogue: &'p Catalogue,
}

impl Pair<'_> {
    fn check(&self, pair: &Value, counts: &mut Counts) {
        assert_eq!(pair["same_string_to_sign"], true, "{}", self.name);
        counts.pairs += 1;
        if pair["a"].get("url").is_none() {
            counts.boundaries += 1;
            return self.boundary(pair);
        }
        let (a, b) = (self.request(&pair["a"]), self.request(&pair["b"]));
        let (own, other) = (self.operation(&a), self.operation(&b));
        for (request, stated, other) in [(&a, own, other), (&b, other, own)] {
            let world = World {
                checks: false,
                rights: None,
                key_type: "hmac",
                cuts: false,
                spelling: Spelling::Wide,
            };
            // The reader alone: the bytes are the other operation's as well.
            let signed = Signed::new(self.catalogue, stated, request, world);
            assert!(signed.is_accepted_by(other), "{}: {}", self.name, words(request));

            match self.venue.read(request, &standing(&world)) {
                Ok(reading) => {
                    let mut names = reading.closure.iter().map(|member| &member.operation);
                    assert!(names.any(|name| **name == *other.name), "{}", self.name);
                    assert!(reading.widest().class >= other.class, "{}", self.name);
                    counts.closed += 1;
                }
                Err(ReadError::ParameterUnknown | ReadError::ParameterReserved(_)) => {
                    counts.refused += 1;
                }
                Err(error) => panic!("{}: {error}: {}", self.name, words(request)),
            }
        }
    }

    /// A pair that differs in where one part of the text ends and the next begins.
    fn boundary(&self, pair: &Value) {
        let checked = World {
            checks: true,
            rights: None,
            key_type: "hmac",
            cuts: false,
            spelling: Spelling::Wide,
        };
        let cautious = World { checks: false, ..checked };
        let part = |side: &str, part: &str| pair[side][part].as_str().unwrap_or_default();
        let operations = self.catalogue.operations.iter();
        if pair["a"].get("recv_window").is_some() {
            // A query that could lend its first digits to the window is not read, by any operation.
            let mut count = 0;
            for operation in operations.filter(|o| o.method == "GET" && o.signed && !o.ws) {
                let request = self.stated(operation, part("a", "query"), "");
                for world in [cautious, checked] {
                    let answer = self.venue.read(&request, &standing(&world));
                    assert!(answer.is_err(), "{}: {}", self.name, words(&request));
                }
                count += 1;
            }
            assert!(count > 20, "{}: {count} operations", self.name);
            return;
        }
        // A text in two places is not read.
        let mut count = 0;
        for operation in operations.filter(|o| !o.ws && !o.rpc) {
            let query = part("a", "query");
            let (body, _) = part("a", "body").split_once("&timestamp").expect("the vault's own");
            let request = self.stated(operation, query, body);
            for world in [cautious, checked] {
                let answer = self.venue.read(&request, &standing(&world));
                assert!(answer.is_err(), "{}: {}", self.name, words(&request));
            }
            count += 1;
        }
        assert!(count > 100, "{}: {count} operations", self.name);
        // And the whole order, which can be cut, is not believed to be what it says.
        let order = self.catalogue.operations.iter().find(|o| o.name == "POST /api/v3/order");
        let order = order.expect("the spot order");
        let (query, _) = part("b", "query").split_once("&timestamp").expect("the vault's own");
        let request = self.stated(order, query, "");
        let reading = self.venue.read(&request, &standing(&cautious)).expect("an order");
        let member = reading.closure.iter().find(|m| *m.operation == *order.name).expect("itself");
        assert_eq!((&member.symbols, member.legs.len()), (&Symbols::Every, 0), "{}", self.name);
        let reading = self.venue.read(&request, &standing(&checked)).expect("an order");
        let member = reading.closure.iter().find(|m| *m.operation == *order.name).expect("itself");
        assert_eq!(member.legs.len(), 1, "{}", self.name);
    }

    fn stated(&self, operation: &Operation, query: &str, body: &str) -> VenueRequest {
        VenueRequest {
            method: operation.method.clone(),
            scheme: "https".to_owned(),
            host: self.catalogue.hosts(operation)[0].clone(),
            path: operation.path.clone(),
            query: query.to_owned(),
            body: body.as_bytes().to_vec(),
            headers: Vec::new(),
        }
    }

    fn operation(&self, request: &VenueRequest) -> &Operation {
        let found = self
            .catalogue
            .operations
            .iter()
            .find(|o| o.method == request.method && is_path_of(&o.path, &request.path));
        found.unwrap_or_else(|| panic!("{}: {} is unknown", self.name, words(request)))
    }

    /// A request of the file without what the vault adds.
    fn request(&self, value: &Value) -> VenueRequest {
        let url = value["url"].as_str().expect("a URL").strip_prefix("https://").expect("https");
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (host, path) = place.split_once('/').expect("a path");
        let body = value["body"].as_str().unwrap_or_default();
        let body = match serde_json::from_str::<Value>(body) {
            Ok(Value::Object(fields)) => {
                let own = fields.into_iter().filter(|(name, _)| !self.is_the_vaults(name));
                Value::Object(own.collect()).to_string()
            }
            _ => self.without_the_vaults(body),
        };
        VenueRequest {
            method: value["method"].as_str().expect("a method").to_owned(),
            scheme: "https".to_owned(),
            host: host.to_owned(),
            path: format!("/{path}"),
            query: self.without_the_vaults(query),
            body: body.into_bytes(),
            headers: Vec::new(),
        }
    }

    fn is_the_vaults(&self, name: &str) -> bool {
        let window = self.catalogue.window.as_deref();
        window == Some(name) || self.catalogue.reserved.iter().any(|reserved| reserved == name)
    }

    fn without_the_vaults(&self, form: &str) -> String {
        let is_own =
            |pair: &&str| !self.is_the_vaults(pair.split_once('=').map_or(*pair, |(name, _)| name));
        form.split('&').filter(is_own).collect::<Vec<_>>().join("&")
    }
}
