//! What a venue's catalogue says of a credential's signatures.

use std::collections::BTreeSet;

use vault_model::{Class, Environment, VenueRequest};
use vault_policy::CredentialFacts;
use vault_venue::{KeyType, Operation, Venue};

/// What is known of a credential, for its venue.
pub struct Standing<'a> {
    pub environment: Environment,
    pub key_type: KeyType,
    /// Absent: all.
    pub rights: Option<&'a [String]>,
    pub venue_checks: bool,
}

/// Adds what the catalogue says.
pub fn add(facts: &mut CredentialFacts, venue: &Venue, standing: &Standing<'_>) {
    let binds = venue.catalog.signature.facts(standing.key_type).binds;
    facts.takes_signatures_once = venue.takes_signatures_once();
    facts.signs_path = binds.path && (binds.method || paths_are_enough(venue));
    facts.reads_can_be_signed = facts.signs_path || can_sign_a_read(venue, standing);
    let operations = &venue.catalog.operations;
    facts.disclosed = operations.iter().filter(|operation| operation.is_disclosed()).count();
}

/// Whether no two operations differ in their method alone.
fn paths_are_enough(venue: &Venue) -> bool {
    let mut paths = BTreeSet::new();
    let mut signed = venue.catalog.operations.iter().filter(|operation| operation.signed);
    signed.all(|operation| paths.insert(operation.path.as_str()))
}

/// Whether the signature of some read is good for reads alone. Where the path is not signed, that
/// depends on the parameters: a few usual ones are tried with each read until one passes.
fn can_sign_a_read(venue: &Venue, standing: &Standing<'_>) -> bool {
    let reads = || {
        let all = venue.catalog.operations.iter();
        all.filter(|operation| {
            operation.class == Class::Read
                && operation.signed
                && !operation.is_socket()
                && !operation.path.contains('{')
        })
    };
    PARAMETERS.iter().any(|parameters| {
        // Operations that take the same parameters are read alike: a few of them are enough.
        let mut read = 0;
        reads().any(|operation| {
            if read >= READS_MAX {
                return false;
            }
            match opens_reads_alone(venue, operation, parameters, standing) {
                Some(answer) => {
                    read += 1;
                    answer
                }
                None => false,
            }
        })
    })
}

/// `None` where the operation does not take these parameters.
fn opens_reads_alone(
    venue: &Venue,
    operation: &Operation,
    parameters: &str,
    standing: &Standing<'_>,
) -> Option<bool> {
    let hosts = venue.catalog.hosts(standing.environment)?;
    let is_query = operation.method == "GET";
    let request = VenueRequest {
        method: operation.method.clone(),
        scheme: "https".to_owned(),
        host: hosts.of(operation).first()?.clone(),
        path: operation.path.clone(),
        query: if is_query { parameters.to_owned() } else { String::new() },
        body: if is_query { Vec::new() } else { parameters.as_bytes().to_vec() },
        headers: Vec::new(),
    };
    let standing = vault_venue::Standing {
        environment: standing.environment,
        sites: None,
        venue_checks: standing.venue_checks,
        rights: standing.rights,
        key_type: standing.key_type,
    };
    let reading = venue.read(&request, &standing).ok()?;
    Some(reading.closure.iter().all(|member| !member.class.is_write()))
}

/// Usual parameters of reads, with which most venues take one or another.
const PARAMETERS: &[&str] = &[
    "category=spot&symbol=BTCUSDT",
    "accountType=UNIFIED",
    "symbol=BTCUSDT&limit=10",
    "symbol=BTCUSDT&startTime=1700000000000&endTime=1700000001000&limit=10",
    "symbol=BTCUSDT",
    "asset=BTC",
    "coin=BTC",
    "limit=10",
    "",
];

/// So many reads that take the same parameters are tried.
const READS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use vault_venue::Registry;

    use super::{Environment, KeyType, Standing, can_sign_a_read, paths_are_enough};

    fn reads(venue: &str, venue_checks: bool, rights: Option<&[String]>) -> bool {
        let registry = Registry::bundled().expect("catalogues");
        let venue = registry.venue(venue).expect("a venue");
        let key_type = venue.key_types().first().copied().unwrap_or(KeyType::Hmac);
        let standing = Standing { environment: Environment::Live, key_type, rights, venue_checks };
        can_sign_a_read(venue, &standing)
    }

    #[test]
    fn reads_at_binance_are_good_for_writes_and_at_others_not() {
        assert!(!reads("binance", false, None));
        for venue in ["coinbase", "kraken", "okx"] {
            assert!(reads(venue, false, None), "{venue}");
        }
    }

    #[test]
    fn a_path_alone_tells_the_operations_of_kraken_apart() {
        let registry = Registry::bundled().expect("catalogues");
        let enough = |venue| paths_are_enough(registry.venue(venue).expect("a venue"));
        assert!(enough("kraken"));
        assert!(!enough("binance"));
    }

    #[test]
    fn what_bybit_refuses_decides_there() {
        assert!(!reads("bybit", false, None));
        assert!(reads("bybit", true, None));
    }
}
