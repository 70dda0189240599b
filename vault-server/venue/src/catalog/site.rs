//! Sites: places of a venue with accounts of their own, such as another company of its group, or one
//! of two test networks. A key of one is unknown at the others, and is sent to none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::cited;
use super::raw;
use super::{Catalog, SocketKind};

/// The site of a credential for which none is stated.
pub const MAIN_SITE: &str = "main";

/// A place with accounts of its own.
#[derive(Debug)]
pub struct Site {
    /// Its name: what credentials say.
    pub name: String,
    /// Its hosts, without ports.
    pub hosts: Vec<String>,
    /// The key of its source.
    pub source: String,
}

/// The sites of one environment; none: all of its hosts know the same accounts.
#[derive(Debug, Default)]
pub struct Sites(Vec<Site>);

impl Sites {
    pub(super) fn new(
        raw: BTreeMap<String, raw::Site>,
        sources: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let mut sites = Vec::with_capacity(raw.len());
        for (name, raw::Site { hosts, source }) in raw {
            let within = |what: String| format!("site {name}: {what}");
            let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if name.is_empty() || !name.bytes().all(is_plain) {
                return Err(within("its name is not of a-z 0-9 -".to_owned()));
            }
            if hosts.is_empty() {
                return Err(within("no hosts".to_owned()));
            }
            cited(sources, &source).map_err(within)?;
            sites.push(Site { name, hosts, source });
        }
        Ok(Self(sites))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        self.0.iter()
    }

    /// Whether a credential can be of a site of this name. Every venue has the main one.
    pub fn has(&self, name: &str) -> bool {
        name == MAIN_SITE || self.0.iter().any(|site| site.name == name)
    }

    /// Whether a host is of one of these sites; none named: of the main one.
    pub fn serve(&self, names: &[String], host: &str) -> bool {
        let is_named = |name: &str| match names {
            [] => name == MAIN_SITE,
            names => names.iter().any(|known| known == name),
        };
        match self.0.as_slice() {
            [] => is_named(MAIN_SITE),
            sites => sites.iter().any(|site| is_named(&site.name) && site.has(host)),
        }
    }

    /// Whether two hosts are of one site.
    pub(crate) fn meet(&self, one: &str, other: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|site| site.has(one) && site.has(other))
    }
}

impl Site {
    fn has(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host)
    }
}

/// Refuses sites that leave a host out: no key could be used there. Hosts of market data alone are of
/// none.
pub(super) fn check(catalog: &Catalog) -> Result<(), String> {
    for (environment, hosts) in &catalog.environments {
        if hosts.sites.0.is_empty() {
            continue;
        }
        let within = |what: String| format!("environment {environment}: {what}");
        let mut known: BTreeSet<&str> = hosts.all().collect();
        for rule in catalog.sockets.iter().filter(|rule| rule.kind != SocketKind::Public) {
            if rule.environments.contains(environment) {
                known.extend(rule.hosts().iter().map(|host| name_of(host)));
            }
        }
        let of_any = |host: &str| hosts.sites.iter().any(|site| site.has(host));
        if let Some(host) = known.iter().find(|host| !of_any(host)) {
            return Err(within(format!("{host} is of no site")));
        }
        let mut listed = hosts.sites.iter().flat_map(|site| &site.hosts);
        if let Some(host) = listed.find(|host| !known.contains(host.as_str())) {
            return Err(within(format!("{host} is of a site, and takes no key")));
        }
        let default = hosts.rest.first().map_or("", String::as_str);
        if !hosts.sites.serve(&[], default) {
            return Err(within(format!(
                "{default} comes first, and is not of the site {MAIN_SITE}"
            )));
        }
    }
    Ok(())
}

/// A host of WebSockets without its port.
fn name_of(host: &str) -> &str {
    host.split_once(':').map_or(host, |(name, _)| name)
}
