//! What ccxt sends through the vault, undressed and read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use vault_model::{Class, Environment, SecretBytes, Timestamp, VenueRequest};
use vault_venue::{Key, KeyType, Moment, Registry, Standing, Undressed, Venue};

/// One request; see `tests/vectors/ccxt/calls.py`.
#[derive(Debug, Deserialize)]
pub struct Call {
    exchange: String,
    key_type: String,
    step: String,
    request: Sent,
}

#[derive(Debug, Deserialize)]
struct Sent {
    method: String,
    url: String,
    headers: BTreeMap<String, Option<String>>,
    body: Option<String>,
}

/// Marks of a library's signature: none of them may be left.
const MARKS: &[&str] = &["countersign", "signature=", "timestamp=", "nonce"];

/// What the classes of a step may be, in the order of its requests.
fn expected(step: &str) -> &'static [Class] {
    match step {
        "cancel_all_orders"
        | "cancel_order"
        | "cancel_orders"
        | "swap_cancel_all_orders"
        | "swap_cancel_order" => &[Class::Cancel],
        "create_limit" | "create_market" | "create_own_id" | "create_post_only" | "market_buy"
        | "swap_create_limit" | "swap_create_market" => &[Class::Trade],
        "set_leverage" | "set_margin_mode" => &[Class::Account],
        // Some look up the account or the network first.
        "withdraw" => &[Class::Read, Class::Withdraw],
        _ => &[Class::Public, Class::Read],
    }
}

/// Undresses, reads and signs every request; returns what did not go as it should.
pub fn judge(registry: &Registry, calls: &[Call]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for call in calls {
        if let Err(what) = one(registry, call) {
            let Call { exchange, key_type, step, request } = call;
            let url = request.url.split('?').next().unwrap_or_default();
            found.insert(format!("{exchange} {key_type} {step}: {} {url}: {what}", request.method));
        }
    }
    found.into_iter().collect()
}

fn one(registry: &Registry, call: &Call) -> Result<(), String> {
    let request = request(&call.request)?;
    let (venue, environments) = registry.venue_of_host(&request.host).ok_or("no such host")?;
    if environments.first() != Some(&Environment::Live) {
        return Err("host is not of the live environment".to_owned());
    }
    let key_type: KeyType = call.key_type.parse().map_err(|_| "key type")?;
    let is_signed = call
        .request
        .headers
        .values()
        .flatten()
        .any(|value| value.starts_with("countersign:") || value.starts_with("Bearer "));

    let undressed = venue.undress(&request).map_err(|error| format!("undress: {error}"))?;
    if undressed.credential.as_deref() != is_signed.then_some("main") {
        return Err(format!("credential {:?}", undressed.credential));
    }
    unchanged(&request, &undressed)?;
    let standing = Standing {
        environment: Environment::Live,
        sites: None,
        venue_checks: true,
        rights: None,
        key_type,
    };
    let read = venue.read(&undressed.request, &standing);
    let stated = read.map_err(|error| format!("read: {error}"))?.stated;
    if !expected(&call.step).contains(&stated.class) {
        return Err(format!("class {}", stated.class));
    }
    let names_market = stated.legs.first().is_none_or(|leg| leg.symbol.is_some());
    if stated.class == Class::Trade
        && (stated.legs.len() != 1 || stated.legs[0].side.is_none() || !names_market)
    {
        return Err(format!("legs {:?}", stated.legs));
    }
    if stated.class == Class::Trade && stated.legs[0].product.is_none() {
        return Err("no product".to_owned());
    }
    if !is_signed {
        let open = venue.open_request(&undressed.request, Environment::Live);
        let open = open.map_err(|error| format!("open: {error}"))?;
        let (path, query) = (&undressed.request.path, &undressed.request.query);
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("https://{}{path}{mark}{query}", request.host);
        return if open.url == url && open.secrets.is_empty() { Ok(()) } else { Err(open.url) };
    }
    signed_anew(venue, key_type, &undressed)
}

/// Only whole pairs are gone, and what is left is in its order.
fn unchanged(request: &VenueRequest, undressed: &Undressed) -> Result<(), String> {
    let bare = &undressed.request;
    if (&bare.method, &bare.scheme, &bare.host, &bare.path)
        != (&request.method, &request.scheme, &request.host, &request.path)
    {
        return Err("another operation".to_owned());
    }
    if !bare.headers.is_empty() {
        return Err(format!("headers {:?}", bare.headers));
    }
    let (before, after) = (text(&request.body)?, text(&bare.body)?);
    for left in [&bare.query, &after] {
        if let Some(mark) = MARKS.iter().find(|mark| left.contains(*mark)) {
            return Err(format!("{mark} is left in {left}"));
        }
    }
    if before.trim_start().starts_with(['{', '[']) && !before.contains("nonce") && before != after {
        return Err("another body".to_owned());
    }
    for (before, after) in [(&request.query, &bare.query), (&before, &after)] {
        if before.trim_start().starts_with(['{', '[']) {
            continue;
        }
        let mut pairs = before.split('&');
        let in_order =
            after.is_empty() || after.split('&').all(|pair| pairs.any(|other| other == pair));
        if !in_order {
            return Err(format!("{after} is not in {before}"));
        }
    }
    Ok(())
}

/// The vault signs what is left, and every text that authorises is known as a secret.
fn signed_anew(venue: &Venue, key_type: KeyType, undressed: &Undressed) -> Result<(), String> {
    let (secret, passphrase) =
        (secret(venue.name(), key_type), SecretBytes::new(b"the-phrase".to_vec()));
    let Some(secret) = secret else { return Ok(()) };
    let key = Key {
        api_key: "the-key",
        secret: &secret,
        passphrase: venue.needs_passphrase().then_some(&passphrase),
        key_type,
        private_key: None,
    };
    let moment = Moment {
        at: Timestamp(1_795_000_000_000_000),
        nonce: Some(1_795_000_000_000_000),
        environment: Environment::Live,
        disclose_passphrase: true,
        unique: [7; 16],
    };
    let signed = venue.sign(&undressed.request, &key, &moment);
    let signed = signed.map_err(|error| format!("sign: {error}"))?;
    let body = text(&signed.body)?;
    let headers: String = signed.headers.iter().map(|(_, value)| format!("{value}\n")).collect();
    let whole = format!("{}\n{headers}{body}", signed.url);
    if signed.secrets.is_empty()
        || !signed.secrets.iter().any(|secret| whole.contains(secret.as_str()))
    {
        return Err("no secrets".to_owned());
    }
    let content_type = signed.headers.iter().find(|(name, _)| name == "Content-Type");
    let content_type = content_type.map(|(_, value)| value.as_str());
    let wanted = match body.as_bytes().first() {
        None => return Ok(()),
        Some(b'{' | b'[') => "application/json",
        Some(_) => "application/x-www-form-urlencoded",
    };
    if content_type == Some(wanted) { Ok(()) } else { Err(format!("{content_type:?} for {body}")) }
}

/// A secret of the venue's form, where one can be made up.
fn secret(venue: &str, key_type: KeyType) -> Option<SecretBytes> {
    let text = match (venue, key_type) {
        ("kraken", _) => "c2VjcmV0c2VjcmV0",
        (_, KeyType::Hmac) => "secret",
        _ => return None,
    };
    Some(SecretBytes::new(text.as_bytes().to_vec()))
}

/// As the front hands it on: header names in lower case, and a bare question mark is no query.
fn request(sent: &Sent) -> Result<VenueRequest, String> {
    let rest = sent.url.strip_prefix("https://").ok_or("no https")?;
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    let at = front.find('/').ok_or("no path")?;
    let (host, path) = front.split_at(at);
    let headers = sent.headers.iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| (name.to_ascii_lowercase(), value.clone()))
    });
    Ok(VenueRequest {
        method: sent.method.clone(),
        scheme: "https".to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: sent.body.clone().unwrap_or_default().into_bytes(),
        headers: headers.collect(),
    })
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "not text".to_owned())
}

/// How many requests there are of each class of ccxt.
pub fn counts(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.exchange.as_str()).or_default() += 1;
    }
    counts
}

/// Of the operations that each class of ccxt must have asked for, those that it has not.
pub fn missing(calls: &[Call], must: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let made: BTreeSet<String> = calls
        .iter()
        .map(|call| {
            let url = call.request.url.strip_prefix("https://").unwrap_or_default();
            let url = url.split('?').next().unwrap_or_default();
            format!("{} {} {url}", call.exchange, call.request.method)
        })
        .collect();
    let wanted = must.iter().flat_map(|(exchange, operations)| {
        operations.iter().map(move |operation| format!("{exchange} {operation}"))
    });
    wanted.filter(|one| !made.contains(one)).collect()
}
