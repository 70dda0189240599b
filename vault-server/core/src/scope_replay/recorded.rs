//! A request as the log has it, made into what policy judges; and what of it the log does not have.
//!
//! An entry holds the stated operation with its orders. It does not hold the rest of the closure, the
//! addresses of a withdrawal, and the products of a read that has none or several. What is missing is
//! marked, and never made up.

use std::collections::HashMap;
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use vault_model::{
    Class, ClockTime, Intent, Leg, Member, Mode, Money, Name, Pair, Product, Reading, Symbols,
    Timestamp,
};
use vault_policy::Spend;
use vault_venue::{Operation, Registry};

use super::glance::{Glance, Text};
use crate::history::{self, Signed};

/// One request of the log.
pub struct Recorded {
    pub index: u64,
    pub at: Timestamp,
    /// On the vault's own clock, where the entry says it.
    pub clock: Option<ClockTime>,
    pub client: Name,
    pub address: Option<IpAddr>,
    /// Whether it was signed.
    pub allowed: bool,
    /// Why not.
    pub reason: String,
    /// The scope that judged it, and its revision.
    pub scope: Option<(Name, u64)>,
    /// What was counted, if it was signed and that is asked for.
    pub spent: Option<Spend>,
    pub request: Content,
}

/// What was asked for.
pub enum Content {
    /// It was refused before it was read.
    Nothing,
    /// The entry says something that the present build does not know, such as this operation.
    Foreign(String),
    /// A request.
    Request(Box<Request>),
}

/// A request that was read.
pub struct Request {
    pub credential: Name,
    pub mode: Mode,
    pub takes_signatures_once: bool,
    /// Its closure is the stated operation alone.
    pub reading: Reading,
    /// Prices that the decision looked at.
    pub prices: Vec<(Pair, Money)>,
    pub missing: Missing,
}

/// What the entry does not say.
#[derive(Default)]
pub struct Missing {
    /// The signature was good for other operations than the stated one.
    pub closure: bool,
    /// The most dangerous of them, with what the catalogue says of it, and whether its product is known.
    pub widest: Option<(Reading, bool)>,
    /// The orders: what is refused may be logged without them.
    pub orders: bool,
    /// The product of a read: none, several or nobody knows.
    pub products: bool,
    /// Margin modes and client order ids: written with signatures alone.
    pub settings: bool,
    /// Where value goes.
    pub addresses: bool,
}

/// The operations of all venues by their names.
pub struct Operations<'r>(HashMap<&'static str, VenueOperations<'r>>);

struct VenueOperations<'r> {
    takes_signatures_once: bool,
    by_name: HashMap<&'r str, Known<'r>>,
}

struct Known<'r> {
    operation: &'r Operation,
    /// The hash of a closure that is this operation alone.
    alone: String,
}

impl<'r> Operations<'r> {
    /// Those of a registry.
    pub fn of(registry: &'r Registry) -> Self {
        let venues = registry.names().filter_map(|name| registry.venue(name));
        Self(
            venues
                .map(|venue| {
                    let known = |operation: &'r Operation| {
                        let hash = Sha256::new()
                            .chain_update(operation.name.as_bytes())
                            .chain_update(b"\n")
                            .finalize();
                        (&*operation.name, Known { operation, alone: hex::encode(hash) })
                    };
                    let operations = VenueOperations {
                        takes_signatures_once: venue.takes_signatures_once(),
                        by_name: venue.catalog.operations.iter().map(known).collect(),
                    };
                    (venue.name(), operations)
                })
                .collect(),
        )
    }
}

impl Recorded {
    /// Makes a request of an entry. What was counted is read only where it is asked for.
    pub fn new(
        index: u64,
        client: Name,
        glance: Glance<'_>,
        operations: &Operations<'_>,
        counts: bool,
    ) -> Self {
        let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
        let scope = glance.scope.as_ref().and_then(|name| name.as_str().parse().ok());
        let counts = counts && glance.is_allowed();
        let spent = if counts { spent(&glance) } else { None };
        let is_readable = spent.is_some() || !counts;
        Self {
            index,
            at: Timestamp(glance.ts),
            clock: glance.detail.clock.as_ref().and_then(|clock| clock.parse().ok()).map(ClockTime),
            client,
            address: glance.ip.as_ref().and_then(|ip| ip.as_str().parse().ok()),
            allowed: glance.is_allowed(),
            reason: text(&glance.reason).unwrap_or_default(),
            scope: scope.zip(glance.scope_rev),
            spent,
            request: match text(&glance.operation) {
                operation if glance.is_foreign => Content::Foreign(operation.unwrap_or_default()),
                None => Content::Nothing,
                Some(operation) => match request(glance, operations) {
                    Some(request) if is_readable => Content::Request(Box::new(request)),
                    _ => Content::Foreign(operation),
                },
            },
        }
    }
}

/// `None` for what this build does not know.
fn request(mut glance: Glance<'_>, operations: &Operations<'_>) -> Option<Request> {
    let allowed = glance.is_allowed();
    let (venue, known) = operations.0.get_key_value(glance.venue.as_ref()?.as_str())?;
    let stated = known.by_name.get(glance.operation.as_ref()?.as_str())?;
    let credential: Name = glance.credential.as_ref()?.as_str().parse().ok()?;
    let class: Class = glance.class.as_ref()?.as_str().parse().ok()?;
    let mode: Mode = glance.mode.as_ref()?.as_str().parse().ok()?;
    let product: Option<Product> = match &glance.product {
        Some(word) => Some(word.as_str().parse().ok()?),
        None => None,
    };
    let mut prices = Vec::with_capacity(glance.prices.0.len());
    for (pair, price) in &glance.prices.0 {
        prices.push((pair.as_str().parse().ok()?, price.as_str().parse().ok()?));
    }

    let mut legs = std::mem::take(&mut glance.legs);
    let deadline = glance.detail.deadline.as_deref().and_then(|text| text.parse().ok());
    let deadline = deadline.map(Timestamp);
    let amends = glance.detail.amends().ok()?;
    for (leg, amends) in legs.iter_mut().zip(amends.into_iter().chain(std::iter::repeat(false))) {
        leg.amends = amends;
        leg.deadline = deadline;
    }
    if let Some(modes) = &glance.detail.margin_modes {
        for (leg, word) in legs.iter_mut().zip(history::parts(modes)) {
            leg.margin_mode = if word.is_empty() { None } else { Some(word.parse().ok()?) };
        }
    }

    let mut missing = Missing {
        orders: !allowed && class == Class::Trade && legs.is_empty(),
        settings: !allowed && class.is_write(),
        addresses: class == Class::Withdraw,
        products: !class.is_write()
            && product.is_none()
            && stated.operation.product.is_none()
            && stated.operation.schema_sourced(),
        ..Missing::default()
    };
    if mode == Mode::Sign {
        let hash = glance.closure_hash.as_ref().map(Text::as_str);
        missing.closure = hash != Some(stated.alone.as_str());
    }
    let stated = member(class, stated.operation, product, legs, &glance);
    if missing.closure
        && let Some(widest) = &glance.closure_widest
        && widest.as_str() != &*stated.operation
        && let Some(widest) = known.by_name.get(widest.as_str())
    {
        let product = widest.operation.product;
        let member = Member {
            operation: widest.operation.name.clone(),
            class: widest.operation.class,
            schema_sourced: widest.operation.schema_sourced(),
            intent: Intent {
                products: Some(product.into_iter().collect()),
                symbols: stated.symbols.clone(),
                legs: Vec::new(),
                client_order_id: None,
                client_order_ids: Vec::new(),
                transfers: Vec::new(),
            }
            .into(),
        };
        missing.widest = Some((alone(venue, member), product.is_some()));
    }
    Some(Request {
        credential,
        mode,
        takes_signatures_once: known.takes_signatures_once,
        reading: alone(venue, stated),
        prices,
        missing,
    })
}

/// The stated operation. Symbols and products of a write follow from its orders, as they did when it
/// was read.
fn member(
    class: Class,
    operation: &Operation,
    product: Option<Product>,
    legs: Vec<Leg>,
    glance: &Glance<'_>,
) -> Member {
    let mut products: Vec<Product> = legs.iter().filter_map(|leg| leg.product).collect();
    products.sort();
    products.dedup();
    let products = match product.or(operation.product) {
        Some(product) => Some(vec![product]),
        // Of a read: what lets the most pass.
        None if !class.is_write() => Some(Vec::new()),
        None if legs.is_empty() || legs.iter().any(|leg| leg.product.is_none()) => None,
        None => Some(products),
    };
    let mut symbols: Vec<String> = Vec::new();
    for symbol in legs.iter().filter_map(|leg| leg.symbol.as_ref()) {
        if !symbols.contains(symbol) {
            symbols.push(symbol.clone());
        }
    }
    let names_all = !legs.is_empty() && legs.iter().all(|leg| leg.symbol.is_some());
    let client_order_id = glance.client_order_id.as_ref().map(|id| id.as_str().to_owned());
    let client_order_ids = match (&glance.detail.client_order_ids, &client_order_id) {
        _ if class != Class::Trade || operation.amends => Vec::new(),
        (Some(list), _) => history::parts(list),
        (None, id) => id.iter().cloned().collect(),
    };
    Member {
        operation: operation.name.clone(),
        class,
        schema_sourced: operation.schema_sourced(),
        intent: Intent {
            products,
            symbols: if class.is_write() && !names_all {
                Symbols::Every
            } else {
                Symbols::Named(symbols)
            },
            legs,
            client_order_id,
            client_order_ids,
            transfers: Vec::new(),
        }
        .into(),
    }
}

/// A reading with one operation.
fn alone(venue: &'static str, member: Member) -> Reading {
    Reading {
        venue,
        closure: vec![member.clone()],
        stated: member,
        closure_hash: [0; 32],
        catalog_hash: [0; 32],
    }
}

/// What was counted; `None` if the entry does not say it as this build does.
fn spent(glance: &Glance<'_>) -> Option<Spend> {
    let credential: Name = glance.credential.as_ref()?.as_str().parse().ok()?;
    let signed = Signed {
        credential: &credential,
        legs: glance.legs.clone(),
        client_order_id: glance.client_order_id.as_ref().map(Text::as_str),
        notional: glance.notional.as_ref().map(Text::as_str),
        noted: &glance.detail,
    };
    // Entries without a clock are of vaults that knew no ends of orders.
    let at = glance.detail.clock.as_deref().map_or(Ok(0), history::number).ok()?;
    signed.spend(ClockTime(at)).ok()
}
