//! All venues that this build knows.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use vault_model::Environment;

use crate::catalog::{self, CatalogError, Part};
use crate::error::ReadError;
use crate::socket::{self, Socket};
use crate::venue::Venue;

macro_rules! part {
    ($file:literal) => {
        Part { file: $file, text: include_str!(concat!("../catalog/", $file)) }
    };
}

/// Venue names, and the files of their catalogues. A new venue, or a new file, is a line here.
pub const VENUES: &[(&str, &[Part<'static>])] = &[
    (
        "binance",
        &[
            part!("binance/algo.toml"),
            part!("binance/broker.toml"),
            part!("binance/coinm.toml"),
            part!("binance/earn.toml"),
            part!("binance/loan.toml"),
            part!("binance/margin.toml"),
            part!("binance/options.toml"),
            part!("binance/other.toml"),
            part!("binance/papi.toml"),
            part!("binance/papi_reads.toml"),
            part!("binance/portfolio.toml"),
            part!("binance/prediction.toml"),
            part!("binance/socket.toml"),
            part!("binance/spot.toml"),
            part!("binance/staking.toml"),
            part!("binance/stocks.toml"),
            part!("binance/sub_account.toml"),
            part!("binance/usdm.toml"),
            part!("binance/venue.toml"),
            part!("binance/wallet.toml"),
            part!("binance/ws_api.toml"),
            part!("binance/ws_futures.toml"),
        ],
    ),
    (
        "bybit",
        &[
            part!("bybit/account.toml"),
            part!("bybit/alpha.toml"),
            part!("bybit/asset.toml"),
            part!("bybit/broker.toml"),
            part!("bybit/earn.toml"),
            part!("bybit/legacy.toml"),
            part!("bybit/lending.toml"),
            part!("bybit/market.toml"),
            part!("bybit/order.toml"),
            part!("bybit/p2p.toml"),
            part!("bybit/position.toml"),
            part!("bybit/rfq.toml"),
            part!("bybit/socket.toml"),
            part!("bybit/spread.toml"),
            part!("bybit/strategy.toml"),
            part!("bybit/user.toml"),
            part!("bybit/venue.toml"),
        ],
    ),
    (
        "coinbase",
        &[
            part!("coinbase/advanced.toml"),
            part!("coinbase/venue.toml"),
            part!("coinbase/wallet.toml"),
        ],
    ),
    ("kraken", &[part!("kraken.toml")]),
    ("okx", &[part!("okx.toml")]),
];

/// Venues by name.
#[derive(Debug)]
pub struct Registry {
    venues: BTreeMap<&'static str, Venue>,
    /// REST hosts, and what they belong to.
    hosts: FxHashMap<String, (&'static str, Vec<Environment>)>,
}

impl Registry {
    /// Loads the catalogues that are part of this build.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] if one of them is broken: a test keeps that from happening.
    pub fn bundled() -> Result<Self, CatalogError> {
        Self::with_additions(&[])
    }

    /// Loads the catalogues that are part of this build, each with the parts that an operator adds
    /// to it. An addition brings new operations, and cannot change one that is there.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] names file, line and column.
    pub fn with_additions(additions: &[Part<'_>]) -> Result<Self, CatalogError> {
        let mut added: BTreeMap<String, Vec<Part<'_>>> = BTreeMap::new();
        for part in additions {
            added.entry(catalog::venue_of(part)?).or_default().push(*part);
        }
        let mut venues = BTreeMap::new();
        for &(name, parts) in VENUES {
            let mut parts = parts.to_vec();
            parts.extend(added.remove(name).unwrap_or_default());
            venues.insert(name, Venue::load(name, &parts)?);
        }
        match added.into_iter().next() {
            None => {
                check_socket_hosts(&venues)?;
                Ok(Self { hosts: hosts(&venues)?, venues })
            }
            Some((venue, parts)) => Err(CatalogError::Inconsistent {
                file: parts.first().map_or_else(String::new, |part| part.file.to_owned()),
                what: format!("this build knows no venue {venue}"),
            }),
        }
    }

    /// The venue of this name.
    pub fn venue(&self, name: &str) -> Option<&Venue> {
        self.venues.get(name)
    }

    /// The venue that has this REST host, and in which of its environments; live comes first. Takes
    /// the host as catalogues write it: lower case, no port, no dot at the end.
    pub fn venue_of_host(&self, host: &str) -> Option<(&Venue, Vec<Environment>)> {
        let (name, environments) = self.hosts.get(host)?;
        Some((self.venue(name)?, environments.clone()))
    }

    /// The WebSocket of a venue at an address, as catalogues write it: the host in lower case, with a
    /// port where that is not 443, the query without its question mark.
    ///
    /// # Errors
    ///
    /// [`ReadError::HostUnknown`] for a host that is no venue's, [`ReadError::OperationUnknown`] for a
    /// path and [`ReadError::QueryNotAllowed`] for a query that the host does not serve here.
    pub fn socket(&self, host: &str, path: &str, query: &str) -> Result<Socket, ReadError> {
        let found = self.venues.values().find_map(|venue| socket::find(venue, host, path, query));
        found.unwrap_or(Err(ReadError::HostUnknown))
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.venues.keys().copied()
    }
}

/// A host of WebSockets is one venue's, as a REST host is.
fn check_socket_hosts(venues: &BTreeMap<&'static str, Venue>) -> Result<(), CatalogError> {
    let mut owners: BTreeMap<&str, &'static str> = BTreeMap::new();
    for (&name, venue) in venues {
        for host in venue.catalog.sockets.iter().flat_map(|rule| rule.hosts()) {
            let owner = owners.entry(host).or_insert(name);
            if *owner != name {
                return Err(CatalogError::Inconsistent {
                    file: name.to_owned(),
                    what: format!("host {host} is {owner}'s"),
                });
            }
        }
    }
    Ok(())
}

/// Whose each REST host is. A host of two venues would be a guess which of them is meant.
fn hosts(
    venues: &BTreeMap<&'static str, Venue>,
) -> Result<FxHashMap<String, (&'static str, Vec<Environment>)>, CatalogError> {
    let mut hosts: FxHashMap<String, (&'static str, Vec<Environment>)> = FxHashMap::default();
    for (&name, venue) in venues {
        for (host, environment) in venue.catalog.rest_hosts() {
            let (owner, environments) =
                hosts.entry(host.to_owned()).or_insert_with(|| (name, Vec::new()));
            if *owner != name {
                return Err(CatalogError::Inconsistent {
                    file: name.to_owned(),
                    what: format!("host {host} is {owner}'s"),
                });
            }
            if !environments.contains(&environment) {
                environments.push(environment);
            }
        }
    }
    for (_, environments) in hosts.values_mut() {
        environments.sort_by_key(|environment| *environment != Environment::Live);
    }
    Ok(hosts)
}
