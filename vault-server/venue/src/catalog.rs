//! Venue catalogues: what a venue's operations are, read once from `catalog/` and compiled into
//! lookup tables. Data only; how bytes are signed is in the scheme's file.

mod alike;
mod binding;
mod compile;
mod head;
mod index;
mod intake;
mod load;
mod own;
mod param;
mod raw;
mod set;
mod shapes;
mod site;
mod socket;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use vault_model::{Class, Environment, Intent, MarginMode, OrderType, Product, TimeInForce};

pub(crate) use intake::{BodyForms, Intake, Location};
pub use load::Part;
pub(crate) use load::venue_of;
pub(crate) use own::{AnswerRule, Ask, CancelRule, CheckRule, LookRule, Own, Parameters, TimeForm};
pub(crate) use param::{Implied, Items, Kind, Param, Role, Shape};
pub(crate) use set::Set;
pub use site::{MAIN_SITE, Site, Sites};
pub use socket::SocketKind;
pub(crate) use socket::{Address, SocketRule, is_handle, is_stream};
pub(crate) use table::Table;

use crate::glob::Glob;
use crate::key::KeyType;

/// Why a catalogue cannot be used. Catalogues are ours or the operator's own, so the words may
/// quote them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CatalogError {
    /// Parses as format 1, but contradicts itself.
    #[error("{file}: {what}")]
    Inconsistent {
        /// The venue, or the file of the part.
        file: String,
        /// What is wrong, and where.
        what: String,
    },
    /// Not format 1, or an entry that contradicts another: broken TOML, an unknown key, a wrong
    /// word, an operation stated twice.
    #[error("{file}:{line}:{column}: {what}")]
    Syntax {
        /// The file of the part.
        file: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

/// A compiled catalogue.
#[derive(Debug)]
pub struct Catalog {
    /// Venue name.
    pub venue: String,
    /// Name for people.
    pub title: String,
    /// SHA-256 of the file; of several parts: SHA-256 over the SHA-256 of each, in order.
    pub hash: [u8; 32],
    /// Citations by their keys.
    pub sources: BTreeMap<String, String>,
    /// Facts about the signature.
    pub signature: Signature,
    /// Where its answers have what is reported of them.
    pub response: ResponseFacts,
    /// What the venue calls the rights of a key; empty when it is not known.
    pub rights: Vec<String>,
    /// All operations, sorted by name.
    pub operations: Vec<Operation>,
    /// What can be subscribed to on WebSockets, sorted by name. No signature is for any of it.
    pub channels: Vec<Operation>,
    pub(crate) sockets: Vec<SocketRule>,
    pub(crate) own: Own,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) products: Vec<ProductRule>,
    pub(crate) sizes: Vec<SizeRule>,
    /// By the venue's word.
    margin_modes: FxHashMap<String, Vec<MarginModeWord>>,
    pub(crate) order_types: FxHashMap<String, OrderTypeWord>,
    pub(crate) tifs: FxHashMap<String, TifWord>,
    environments: FxHashMap<Environment, Hosts>,
    pub(crate) table: Table,
}

/// Facts about a venue's signature.
#[derive(Debug)]
pub struct Signature {
    /// Scheme name.
    pub scheme: String,
    /// What it binds, and how long it is good.
    pub facts: Facts,
    /// Other facts for some types of keys.
    pub variants: Vec<(KeyType, Facts)>,
    /// How query and body are signed, where they are signed as one text.
    pub joined: Option<Joined>,
    /// A parameter by which a caller may narrow the time in which a signature is good.
    pub window: Option<Window>,
    /// Whether a passphrase travels beside the signature.
    pub needs_passphrase: bool,
    /// Whether the venue wants strictly increasing nonces.
    pub nonce: bool,
    /// Types of keys that the venue takes.
    pub key_types: Vec<KeyType>,
    /// Whether the venue takes a client order id twice.
    pub client_order_id_reuse: Reuse,
    /// Parameters that a caller may never send.
    pub reserved: Vec<String>,
    /// Header names, in lower case, that a caller may send along.
    pub caller_headers: Vec<String>,
}

impl Signature {
    /// The facts for a type of key.
    pub fn facts(&self, key_type: KeyType) -> &Facts {
        self.variants.iter().find(|(of, _)| *of == key_type).map_or(&self.facts, |(_, facts)| facts)
    }
}

/// What the signature of a type of key binds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The parts that are signed.
    pub binds: Binds,
    /// How long a released signature can be used, in milliseconds; absent: without end.
    pub usable_ms: Option<u64>,
    /// The key of its source.
    pub source: String,
}

/// Which parts of a request are signed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Binds {
    /// The body.
    pub body: bool,
    /// The host.
    pub host: bool,
    /// The method.
    pub method: bool,
    /// The path.
    pub path: bool,
    /// The query.
    pub query: bool,
}

/// How query and body are signed as one text.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Joined {
    /// Both, the body after the query, without a boundary between them.
    Concatenated,
    /// One of them, and nothing says which.
    Either,
}

/// A parameter by which a caller narrows the time in which a signature is good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// The longest that a caller may ask for, in milliseconds.
    pub max_ms: u64,
}

/// Whether a venue takes a client order id again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// Never.
    Never,
    /// Not while the earlier order is open.
    OpenOnly,
    /// Nobody knows.
    Unknown,
}

/// Where a venue's answers have what is reported of them: JSON pointers (RFC 6901), the first that
/// leads anywhere counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResponseFacts {
    /// The venue's id of an order.
    pub order_id: Vec<String>,
    /// The code of an error.
    pub error_code: Vec<String>,
}

/// Hosts of one environment, and the headers that select it.
#[derive(Debug)]
pub struct Hosts {
    /// REST hosts; the first is the default.
    pub rest: Vec<String>,
    /// WebSocket hosts.
    pub ws: Vec<String>,
    /// Headers that the vault adds.
    pub headers: Vec<(String, String)>,
    /// Path prefixes with REST hosts of their own, the longest first.
    pub(crate) routes: Vec<(String, Vec<String>)>,
    /// The same for WebSocket hosts.
    pub(crate) ws_routes: Vec<(String, Vec<String>)>,
    /// Which of them know which accounts.
    pub sites: Sites,
}

impl Hosts {
    /// The environment's headers, and of those that a caller asks for the others.
    pub(crate) fn headers_with<'h>(
        &'h self,
        asked: &'h [(String, String)],
    ) -> impl Iterator<Item = (String, String)> + 'h {
        let others = asked.iter().filter(|(name, _)| !self.sets(name));
        self.headers.iter().chain(others).cloned()
    }

    /// Whether a header selects the environment.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| name.eq_ignore_ascii_case(known))
    }

    /// All of them, some several times; of WebSockets those that operations live on.
    fn all(&self) -> impl Iterator<Item = &str> {
        let routed = self.routes.iter().chain(&self.ws_routes).flat_map(|(_, hosts)| hosts);
        self.rest.iter().chain(&self.ws).chain(routed).map(String::as_str)
    }

    /// The hosts on which an operation lives; the first is the default.
    pub fn of(&self, operation: &Operation) -> &[String] {
        let (routes, others) = if operation.is_socket() {
            (&self.ws_routes, &self.ws)
        } else {
            (&self.routes, &self.rest)
        };
        routes
            .iter()
            .find(|(prefix, _)| operation.path.starts_with(prefix))
            .map_or(others, |(_, hosts)| hosts)
    }
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// `METHOD path`.
    pub name: Arc<str>,
    /// An upper-case token.
    pub method: String,
    /// Path. `{x}` stands for any one segment.
    pub path: String,
    /// Class.
    pub class: Class,
    /// The key of its source.
    pub source: String,
    /// Rights of which it needs one, in the venue's words; empty: none is known.
    pub rights: Vec<String>,
    /// The product of its orders, where the operation says it.
    pub product: Option<Product>,
    /// The margin mode of its orders, where they state none.
    pub margin_mode: Option<MarginMode>,
    /// Whether its legs change orders that are there, and keep what they do not say.
    pub amends: bool,
    /// A WebSocket log-on.
    pub ws: bool,
    /// A request over a WebSocket, named by its path, with its parameters in a JSON object.
    pub rpc: bool,
    /// Whether it takes a signature. The API key alone opens one that does not.
    pub signed: bool,
    /// Where its answer has a capability that the vault keeps if it sends the request: a JSON
    /// pointer.
    pub held: Option<String>,
    /// Whether an answer may come without it: it prolongs what is there.
    pub may_lack_held: bool,
    /// Whether what it opens stays with the vault if the vault sends it: a capability that is
    /// [`held`](Self::held), or a WebSocket that bot and venue have through the vault only.
    pub kept: bool,
    /// Its parameter with a capability, of which the bot has a handle.
    pub handle: Option<String>,
    /// From `endpoint-classes.json`.
    pub tag: Option<String>,
    /// From `endpoint-classes.json`.
    pub note: Option<String>,
    /// From `endpoint-classes.json`.
    pub sensitive: Option<String>,
    /// Which parts of it a signature binds, where it differs from the venue's rule.
    pub(crate) binds: Option<Binds>,
    /// What is signed in one domain can never equal what is signed in another.
    pub(crate) domain: String,
    pub(crate) intake: Intake,
    pub(crate) shape: Option<usize>,
    /// What it could do where its parameters are not known.
    pub(crate) unread: Arc<Intent>,
}

impl Operation {
    /// Whether its schema is sourced.
    pub fn schema_sourced(&self) -> bool {
        self.shape.is_some()
    }

    /// Whether it goes over a WebSocket.
    pub fn is_socket(&self) -> bool {
        self.ws || self.rpc
    }

    /// Whether the API key alone opens it: who is given a signed request learns that key.
    pub fn is_disclosed(&self) -> bool {
        !self.signed && self.class != Class::Public
    }
}

#[derive(Debug)]
pub(crate) struct ProductRule {
    pub product: Product,
    pub when: When,
}

/// In what unit the quantity of some orders is.
#[derive(Debug)]
pub(crate) struct SizeRule {
    pub unit: SizeUnit,
    pub when: When,
}

/// The unit of a quantity.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SizeUnit {
    /// The base asset, or contracts: what a quantity usually is.
    Base,
    /// The quote currency.
    Quote,
    /// Nobody can tell.
    Unknown,
}

/// A condition on a leg: its symbol, and the parameters in it and around it.
#[derive(Debug)]
pub(crate) struct When {
    pub symbol: Option<Glob>,
    pub values: Vec<(String, Vec<String>)>,
    pub present: Vec<String>,
    pub absent: Vec<String>,
}

/// What a venue's word for a margin mode means: in one parameter, or in all.
#[derive(Clone, Debug)]
pub(crate) struct MarginModeWord {
    pub param: Option<String>,
    pub mode: MarginMode,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderTypeWord {
    pub order_type: OrderType,
    pub tif: Option<TimeInForce>,
    pub post_only: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TifWord {
    pub tif: TimeInForce,
    pub post_only: Option<bool>,
}

impl Catalog {
    /// Reads a catalogue of format 1. `name` is what the venue must be called in it.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] names the place.
    pub fn parse(name: &str, parts: &[Part<'_>]) -> Result<Self, CatalogError> {
        load::load(name, parts)
    }

    /// The operation of this method and path.
    pub fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        self.operations.get(self.number_of(method, path)?)
    }

    /// Its place among the operations.
    pub(crate) fn number_of(&self, method: &str, path: &str) -> Option<usize> {
        self.table.named(&self.operations, method, path)
    }

    /// The channel of this name, such as `SUBSCRIBE /ws/v5/private/orders`.
    pub fn channel(&self, name: &str) -> Option<&Operation> {
        let at = self.channels.binary_search_by(|channel| (*channel.name).cmp(name)).ok()?;
        self.channels.get(at)
    }

    /// The hosts of an environment; absent when the venue has no such environment.
    pub fn hosts(&self, environment: Environment) -> Option<&Hosts> {
        self.environments.get(&environment)
    }

    /// The hosts of all WebSockets, with a port where that is not 443; some several times.
    pub fn socket_hosts(&self) -> impl Iterator<Item = &str> {
        self.sockets.iter().flat_map(SocketRule::hosts).map(String::as_str)
    }

    /// Whether a header selects one of the environments.
    pub(crate) fn selects_environment(&self, name: &str) -> bool {
        self.environments.values().any(|hosts| hosts.sets(name))
    }

    /// The environment whose headers are all among these, where it has any.
    pub(crate) fn environment_of(&self, headers: &[(String, String)]) -> Option<Environment> {
        let has = |(name, value): &(String, String)| {
            headers.iter().any(|(own, set)| own.eq_ignore_ascii_case(name) && set == value)
        };
        let mut selecting = self.environments.iter().filter(|(_, hosts)| !hosts.headers.is_empty());
        selecting.find(|(_, hosts)| hosts.headers.iter().all(has)).map(|(one, _)| *one)
    }

    /// All REST hosts, each with its environment; one may come more than once.
    pub(crate) fn rest_hosts(&self) -> impl Iterator<Item = (&str, Environment)> {
        self.environments.iter().flat_map(|(environment, hosts)| {
            let routed = hosts.routes.iter().flat_map(|(_, hosts)| hosts);
            hosts.rest.iter().chain(routed).map(|host| (host.as_str(), *environment))
        })
    }

    /// Which parts of an operation the signature of a key binds.
    pub fn binds(&self, operation: &Operation, key_type: KeyType) -> Binds {
        operation.binds.unwrap_or(self.signature.facts(key_type).binds)
    }

    /// Whether what is signed for one operation, with the same parameters, can be the very text
    /// that is signed for the other, as far as method, host and path go.
    pub fn bound_alike(&self, one: &Operation, other: &Operation, key_type: KeyType) -> bool {
        let binds = self.binds(one, key_type);
        let hosts_alike = || {
            self.environments
                .values()
                .any(|hosts| hosts.of(one).iter().any(|host| hosts.of(other).contains(host)))
        };
        one.domain == other.domain
            && binds == self.binds(other, key_type)
            && one.rpc == other.rpc
            && (!binds.method || one.method == other.method)
            && (!binds.path || one.path == other.path)
            && (!binds.host || hosts_alike())
    }

    /// The margin mode that a parameter's word means: its own meaning goes before that of all.
    pub(crate) fn margin_mode(&self, param: &str, word: &str) -> Option<MarginMode> {
        let words = self.margin_modes.get(word)?;
        let of = |param: Option<&str>| words.iter().find(|word| word.param.as_deref() == param);
        of(Some(param)).or_else(|| of(None)).map(|word| word.mode)
    }

    /// The citation behind a key of `[sources]`.
    pub fn citation(&self, source: &str) -> Option<&str> {
        self.sources.get(source).map(String::as_str)
    }

    /// The citation of an operation's schema; absent where nobody sourced it.
    pub fn schema_source(&self, operation: &Operation) -> Option<&str> {
        let shape = self.shapes.get(operation.shape?)?;
        self.citation(&shape.source)
    }
}
