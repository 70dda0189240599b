//! What concerns a venue as a whole: hosts, signature, rights, and its words.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use vault_model::Environment;

use super::compile::cited;
use super::raw::{self, Bound, OneOrMany};
use super::{
    Binds, Facts, Hosts, MarginModeWord, OrderTypeWord, ProductRule, ResponseFacts, Signature,
    Sites, SizeRule, TifWord, When, Window,
};
use crate::glob::Glob;
use crate::key::KeyType;
use crate::plain;

/// What concerns a venue as a whole, as written.
pub(super) struct RawHead {
    pub title: String,
    pub environments: BTreeMap<String, raw::Environment>,
    pub signature: raw::Signature,
    pub response: Option<raw::Response>,
    pub rights: Option<raw::Rights>,
    pub defaults: Option<raw::Defaults>,
    pub order_types: Vec<raw::OrderTypeWord>,
    pub tifs: Vec<raw::TifWord>,
    pub products: Vec<raw::ProductRule>,
    pub sizes: Vec<raw::SizeRule>,
    pub margin_modes: Vec<raw::MarginModeWord>,
}

/// What concerns a venue as a whole.
pub(super) struct Head {
    pub title: String,
    pub environments: FxHashMap<Environment, Hosts>,
    pub signature: Signature,
    pub response: ResponseFacts,
    pub rights: Vec<String>,
    pub defaults: Option<raw::Defaults>,
    pub order_types: FxHashMap<String, OrderTypeWord>,
    pub tifs: FxHashMap<String, TifWord>,
    pub products: Vec<ProductRule>,
    pub sizes: Vec<SizeRule>,
    pub margin_modes: FxHashMap<String, Vec<MarginModeWord>>,
}

pub(super) fn head(raw: RawHead, sources: &BTreeMap<String, String>) -> Result<Head, String> {
    let signature_sources =
        [Some(&raw.signature.source), raw.signature.client_order_id_source.as_ref()];
    for source in signature_sources.into_iter().flatten() {
        cited(sources, source).map_err(|what| format!("signature: {what}"))?;
    }
    for variant in &raw.signature.variant {
        cited(sources, &variant.source).map_err(|what| format!("signature.variant: {what}"))?;
    }
    if let Some(rights) = &raw.rights {
        cited(sources, &rights.source).map_err(|what| format!("rights: {what}"))?;
    }
    if let Some(response) = &raw.response {
        cited(sources, &response.source).map_err(|what| format!("response: {what}"))?;
    }
    Ok(Head {
        title: raw.title,
        environments: environments(raw.environments, sources)?,
        signature: signature(&raw.signature)?,
        response: raw.response.map(response).transpose()?.unwrap_or_default(),
        rights: raw.rights.map(|rights| rights.names).unwrap_or_default(),
        defaults: raw.defaults,
        order_types: order_types(raw.order_types)?,
        tifs: tifs(raw.tifs)?,
        products: raw.products.into_iter().map(product_rule).collect(),
        sizes: raw.sizes.into_iter().map(size_rule).collect(),
        margin_modes: margin_modes(raw.margin_modes)?,
    })
}

fn signature(raw: &raw::Signature) -> Result<Signature, String> {
    let facts =
        Facts { binds: binds(&raw.binds), usable_ms: raw.usable_ms, source: raw.source.clone() };
    if raw.joined.is_some() && !(facts.binds.query && facts.binds.body) {
        return Err("signature: joined wants query and body bound".to_owned());
    }
    if let Some(header) =
        raw.caller_headers.iter().find(|header| header.to_ascii_lowercase() != **header)
    {
        return Err(format!("signature: caller header {header} is not in lower case"));
    }
    let key_types = key_types(&raw.key_types)?;
    let mut variants = Vec::new();
    for variant in &raw.variant {
        for key_type in self::key_types(&variant.key_types)? {
            if !key_types.contains(&key_type) {
                return Err(format!("signature.variant: {key_type} is not in key_types"));
            }
            let facts = Facts {
                binds: binds(&variant.binds),
                usable_ms: variant.usable_ms,
                source: variant.source.clone(),
            };
            variants.push((key_type, facts));
        }
    }
    Ok(Signature {
        scheme: raw.scheme.clone(),
        facts,
        variants,
        joined: raw.joined,
        window: raw
            .window
            .as_ref()
            .map(|window| Window { name: window.name.clone(), max_ms: window.max_ms }),
        needs_passphrase: raw.needs_passphrase,
        nonce: raw.nonce,
        key_types,
        client_order_id_reuse: raw.client_order_id_reuse,
        reserved: raw.reserved.clone(),
        caller_headers: raw.caller_headers.clone(),
    })
}

fn response(raw: raw::Response) -> Result<ResponseFacts, String> {
    let raw::Response { order_id, error_code, source: _ } = raw;
    for pointer in order_id.iter().chain(&error_code) {
        if !is_pointer(pointer) {
            return Err(format!("response: {pointer} is no JSON pointer to a member"));
        }
    }
    Ok(ResponseFacts { order_id, error_code })
}

/// Whether a text is a JSON pointer (RFC 6901) that leads somewhere: `/` and a name, as often as
/// need be, with `~` as `~0` or `~1` alone.
pub(super) fn is_pointer(text: &str) -> bool {
    let is_token = |token: &str| {
        let escapes_fit = token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        !token.is_empty() && escapes_fit && token.bytes().all(|b| b.is_ascii_graphic())
    };
    text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_token))
}

fn key_types(words: &[String]) -> Result<Vec<KeyType>, String> {
    words
        .iter()
        .map(|word| word.parse().map_err(|_| format!("signature: key type {word} is not known")))
        .collect()
}

pub(super) fn binds(parts: &[Bound]) -> Binds {
    let has = |part| parts.contains(&part);
    Binds {
        body: has(Bound::Body),
        host: has(Bound::Host),
        method: has(Bound::Method),
        path: has(Bound::Path),
        query: has(Bound::Query),
    }
}

fn environments(
    raw: BTreeMap<String, raw::Environment>,
    sources: &BTreeMap<String, String>,
) -> Result<FxHashMap<Environment, Hosts>, String> {
    let mut environments = FxHashMap::default();
    for (word, hosts) in raw {
        let environment = word.parse::<Environment>().map_err(|_| format!("environment {word}"))?;
        if hosts.hosts.is_empty() {
            return Err(format!("environment {word}: no hosts"));
        }
        let routed = hosts.routes.iter().chain(&hosts.ws_routes);
        if let Some((prefix, _)) = routed.clone().find(|(prefix, hosts)| {
            !(prefix.starts_with('/') && prefix.ends_with('/')) || hosts.is_empty()
        }) {
            return Err(format!(
                "environment {word}: route {prefix} wants / at both ends, and hosts"
            ));
        }
        let mut all =
            hosts.hosts.iter().chain(&hosts.ws_hosts).chain(routed.flat_map(|(_, hosts)| hosts));
        if let Some(host) = all.find(|host| !plain::is_host(host)) {
            return Err(format!("environment {word}: {host} is no plain host name"));
        }
        let by_length = |routes: BTreeMap<String, Vec<String>>| {
            let mut routes: Vec<_> = routes.into_iter().collect();
            routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            routes
        };
        let sites = Sites::new(hosts.sites, sources)
            .map_err(|what| format!("environment {word}: {what}"))?;
        let hosts = Hosts {
            rest: hosts.hosts,
            ws: hosts.ws_hosts,
            headers: hosts.headers.into_iter().collect(),
            routes: by_length(hosts.routes),
            ws_routes: by_length(hosts.ws_routes),
            sites,
        };
        environments.insert(environment, hosts);
    }
    if environments.contains_key(&Environment::Live) {
        Ok(environments)
    } else {
        Err("no live environment".to_owned())
    }
}

fn order_types(raw: Vec<raw::OrderTypeWord>) -> Result<FxHashMap<String, OrderTypeWord>, String> {
    let mut words = FxHashMap::default();
    for word in raw {
        let meaning =
            OrderTypeWord { order_type: word.order_type, tif: word.tif, post_only: word.post_only };
        if words.insert(word.venue.clone(), meaning).is_some() {
            return Err(format!("order type {}: stated twice", word.venue));
        }
    }
    Ok(words)
}

fn tifs(raw: Vec<raw::TifWord>) -> Result<FxHashMap<String, TifWord>, String> {
    let mut words = FxHashMap::default();
    for word in raw {
        let meaning = TifWord { tif: word.tif, post_only: word.post_only };
        if words.insert(word.venue.clone(), meaning).is_some() {
            return Err(format!("time in force {}: stated twice", word.venue));
        }
    }
    Ok(words)
}

fn margin_modes(
    raw: Vec<raw::MarginModeWord>,
) -> Result<FxHashMap<String, Vec<MarginModeWord>>, String> {
    let mut words: FxHashMap<String, Vec<MarginModeWord>> = FxHashMap::default();
    for raw::MarginModeWord { venue, mode, param } in raw {
        let meanings = words.entry(venue.clone()).or_default();
        if meanings.iter().any(|meaning| meaning.param == param) {
            return Err(format!("margin mode {venue}: stated twice"));
        }
        meanings.push(MarginModeWord { param, mode });
    }
    Ok(words)
}

fn product_rule(raw: raw::ProductRule) -> ProductRule {
    ProductRule {
        product: raw.product,
        when: when(raw.symbol, raw.values, raw.present, raw.absent),
    }
}

fn size_rule(raw: raw::SizeRule) -> SizeRule {
    SizeRule { unit: raw.unit, when: when(raw.symbol, raw.values, raw.present, raw.absent) }
}

fn when(
    symbol: Option<String>,
    values: BTreeMap<String, Vec<String>>,
    present: Option<OneOrMany>,
    absent: Vec<String>,
) -> When {
    When {
        symbol: symbol.as_deref().map(Glob::new),
        values: values.into_iter().collect(),
        present: present.map(OneOrMany::into_vec).unwrap_or_default(),
        absent,
    }
}
