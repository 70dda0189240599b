//! Scopes compiled for judging.

use std::collections::BTreeSet;

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};
use vault_model::{Asset, Class, MarginMode, Mode, Money, Name, OrderType, Product, TimeInForce};

use crate::document::{
    Country, CumulativeDocument, DuplicatesDocument, HoursDocument, NotionalCap, OrderCap,
    OrdersDocument, ScopeDocument, WithdrawalDocument,
};
use crate::grant::Grant;
use crate::lattice::forbids_logons;

/// A scope, compiled. See [`ScopeDocument`] for what it means.
#[derive(Clone, Debug)]
pub struct Scope {
    pub(crate) credentials: FxHashSet<Name>,
    pub(crate) classes: Vec<Class>,
    pub(crate) operations: FxHashSet<String>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) allowed_networks: Vec<IpNet>,
    pub(crate) denied_networks: Vec<IpNet>,
    pub(crate) countries: Option<BTreeSet<Country>>,
    pub(crate) orders: Orders,
    pub(crate) pricing: Pricing,
    pub(crate) cumulative: Cumulative,
    pub(crate) hours: Option<HoursDocument>,
    pub(crate) duplicates: DuplicatesDocument,
    pub(crate) withdrawal: Option<Withdrawal>,
    /// It says something of orders, or of how many there may be.
    pub(crate) judges_orders: bool,
    /// It says something that a log-on would pass.
    pub(crate) forbids_logons: bool,
    /// Absent: every product.
    products: Option<Vec<Product>>,
    symbols: FxHashMap<Name, Words>,
}

#[derive(Clone, Debug)]
enum Words {
    Every,
    Only(FxHashSet<String>),
}

/// What every order must be like. What is absent is not restricted.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub types: Option<BTreeSet<OrderType>>,
    pub time_in_force: Option<BTreeSet<TimeInForce>>,
    pub reduce_only: bool,
    pub post_only: bool,
    pub max_quantity: Option<FxHashMap<Name, FxHashMap<String, Money>>>,
    pub max_notional: Option<Money>,
    pub price_band: Option<Money>,
    pub max_leverage: Option<Money>,
    pub margin_modes: Option<BTreeSet<MarginMode>>,
}

/// How orders are turned into USD.
#[derive(Clone, Debug)]
pub(crate) struct Pricing {
    par: BTreeSet<Asset>,
    /// What a price is multiplied by to be as bad as it may get: 1 and the slippage. Absent if the
    /// slippage is no fraction.
    pub beyond: Option<Money>,
}

impl Pricing {
    /// Whether an asset counts as one USD.
    pub(crate) fn is_par(&self, asset: &Asset) -> bool {
        asset.as_str() == "USD" || self.par.contains(asset)
    }
}

/// How much there may be, each cap with its name.
#[derive(Clone, Debug)]
pub(crate) struct Cumulative {
    pub notional: Vec<(String, NotionalCap)>,
    pub orders: Vec<(String, OrderCap)>,
    pub open_orders: Option<u64>,
}

impl Cumulative {
    fn compile(document: &CumulativeDocument) -> Self {
        let notional = document.notional_usd.iter();
        let orders = document.orders.iter();
        Self {
            notional: notional.map(|cap| (format!("notional_usd/{}", cap.per), *cap)).collect(),
            orders: orders.map(|cap| (format!("orders/{}", cap.per), *cap)).collect(),
            open_orders: document.open_orders,
        }
    }
}

/// Where value may go, by venue and asset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Withdrawal {
    addresses: FxHashMap<Name, FxHashMap<String, FxHashSet<String>>>,
    per_day: FxHashMap<Name, FxHashMap<String, Money>>,
}

impl Withdrawal {
    fn compile(document: &WithdrawalDocument) -> Self {
        let mut compiled = Self::default();
        for listed in &document.addresses {
            let assets = compiled.addresses.entry(listed.venue.clone()).or_default();
            assets.entry(listed.asset.clone()).or_default().insert(listed.address.clone());
        }
        for cap in &document.per_day {
            let assets = compiled.per_day.entry(cap.venue.clone()).or_default();
            // Of two caps both hold, so the smaller counts.
            let least = assets.entry(cap.asset.clone()).or_insert(cap.at_most);
            *least = cap.at_most.min(*least);
        }
        compiled
    }

    pub(crate) fn lists(&self, venue: &str, asset: &str, address: &str) -> bool {
        let assets = self.addresses.get(venue);
        assets.and_then(|assets| assets.get(asset)).is_some_and(|listed| listed.contains(address))
    }

    /// The most of an asset that may leave a venue in 24 hours; absent: none.
    pub(crate) fn at_most(&self, venue: &str, asset: &str) -> Option<Money> {
        self.per_day.get(venue)?.get(asset).copied()
    }
}

impl Scope {
    /// Compiles a document.
    pub fn compile(document: &ScopeDocument) -> Self {
        let symbols = document.symbols.iter().map(|(venue, grant)| {
            let words = match grant {
                Grant::Every => Words::Every,
                Grant::Only(symbols) => {
                    Words::Only(symbols.iter().map(|symbol| symbol.as_str().to_owned()).collect())
                }
            };
            (venue.clone(), words)
        });
        Self {
            credentials: document.credentials.iter().cloned().collect(),
            classes: document.classes.iter().copied().collect(),
            operations: document.operations.iter().cloned().collect(),
            modes: document.modes.iter().copied().collect(),
            allowed_networks: document.network.allow.iter().copied().collect(),
            denied_networks: document.network.deny.iter().copied().collect(),
            countries: document.network.countries.clone(),
            orders: orders(&document.orders),
            pricing: Pricing {
                par: document.pricing.usd_par.clone(),
                beyond: Some(document.pricing.slippage_or_default())
                    .filter(|slippage| !slippage.is_negative())
                    .and_then(|slippage| Money::ONE.checked_add(slippage)),
            },
            cumulative: Cumulative::compile(&document.cumulative),
            hours: document.hours.clone(),
            duplicates: document.duplicates.clone(),
            withdrawal: document.withdrawal.as_ref().map(Withdrawal::compile),
            forbids_logons: forbids_logons(document),
            judges_orders: document.orders != OrdersDocument::default()
                || document.cumulative != CumulativeDocument::default(),
            products: match &document.products {
                Grant::Every => None,
                Grant::Only(products) => Some(products.iter().copied().collect()),
            },
            symbols: symbols.collect(),
        }
    }

    pub(crate) fn grants_every_product(&self) -> bool {
        self.products.is_none()
    }

    pub(crate) fn grants_product(&self, product: Product) -> bool {
        self.products.as_ref().is_none_or(|products| products.contains(&product))
    }

    pub(crate) fn grants_every_symbol(&self, venue: &str) -> bool {
        matches!(self.symbols.get(venue), Some(Words::Every))
    }

    pub(crate) fn grants_symbol(&self, venue: &str, symbol: &str) -> bool {
        match self.symbols.get(venue) {
            Some(Words::Every) => true,
            Some(Words::Only(symbols)) => symbols.contains(symbol),
            None => false,
        }
    }

    /// Whether an order that cannot be priced must be denied.
    pub(crate) fn needs_notional(&self) -> bool {
        self.orders.max_notional.is_some() || !self.cumulative.notional.is_empty()
    }
}

fn orders(document: &OrdersDocument) -> Orders {
    let max_quantity = document.max_quantity.as_ref().map(|venues| {
        let symbols = venues.iter().map(|(venue, symbols)| {
            let limits = symbols.iter().map(|(symbol, limit)| (symbol.to_string(), *limit));
            (venue.clone(), limits.collect())
        });
        symbols.collect()
    });
    Orders {
        types: document.types.clone(),
        time_in_force: document.time_in_force.clone(),
        reduce_only: document.reduce_only,
        post_only: document.post_only,
        max_quantity,
        max_notional: document.max_notional_usd,
        price_band: document.price_band,
        max_leverage: document.max_leverage,
        margin_modes: document.margin_modes.clone(),
    }
}
