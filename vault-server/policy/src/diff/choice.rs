//! What may stand in a place of an example: what both scopes let pass, or, in the dimension that the
//! example is about, what the wider one lets pass alone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vault_model::{Class, Mode, Name, OrderType, Product, TimeInForce, Timestamp};

use crate::document::{Country, ScopeDocument};
use crate::grant::Grant;
use crate::lattice::{Dimension, address, symbols_of, week};
use crate::rule::symbol::Symbol;

/// Two scopes and the dimension in which the first lets more pass.
#[derive(Clone, Copy)]
pub(super) struct Contrast<'a> {
    pub dimension: Dimension,
    pub more: &'a ScopeDocument,
    pub less: &'a ScopeDocument,
}

/// Something of a kind, or all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Touched<T> {
    Every,
    One(T),
}

impl<'a> Contrast<'a> {
    fn is_about(&self, dimension: Dimension) -> bool {
        self.dimension == dimension
    }

    pub fn both(&self) -> [&'a ScopeDocument; 2] {
        [self.more, self.less]
    }

    pub fn credentials(&self) -> Vec<Name> {
        self.members(Dimension::Credentials, &self.more.credentials, &self.less.credentials)
    }

    /// The mode in which more can be asked comes first.
    pub fn modes(&self) -> Vec<Mode> {
        let mut modes = self.members(Dimension::Modes, &self.more.modes, &self.less.modes);
        modes.sort_by_key(|mode| *mode != Mode::Sign);
        modes
    }

    pub fn classes(&self) -> Vec<Class> {
        let mut classes = self.members(Dimension::Classes, &self.more.classes, &self.less.classes);
        // Without a table of withdrawals their class cannot be granted.
        let is_new = self.less.withdrawal.is_none() && self.more.classes.contains(&Class::Withdraw);
        if is_new && !self.is_about(Dimension::Classes) {
            classes.push(Class::Withdraw);
        }
        CLASSES.iter().copied().filter(|class| classes.contains(class)).collect()
    }

    pub fn operations(&self) -> Vec<String> {
        self.members(Dimension::Operations, &self.more.operations, &self.less.operations)
    }

    pub fn address(&self) -> Option<IpAddr> {
        if self.is_about(Dimension::Network) {
            address::only(&self.more.network, &self.less.network)
        } else {
            address::both(&self.more.network, &self.less.network)
        }
    }

    /// `None` if the two have no country in common, `Some(None)` for an address of no known country.
    pub fn country(&self) -> Option<Option<Country>> {
        let (more, less) = (&self.more.network.countries, &self.less.network.countries);
        if self.is_about(Dimension::NetworkCountries) {
            return match (more, less) {
                (Some(more), Some(less)) => more.difference(less).next().map(|one| Some(*one)),
                (None, Some(less)) => {
                    let known = COUNTRIES.iter().filter_map(|word| word.parse::<Country>().ok());
                    Some(known.into_iter().find(|country| !less.contains(country)))
                }
                (_, None) => None,
            };
        }
        match (more, less) {
            (Some(more), Some(less)) => more.intersection(less).next().map(|one| Some(*one)),
            (Some(one), None) | (None, Some(one)) => one.iter().next().map(|one| Some(*one)),
            (None, None) => Some(None),
        }
    }

    pub fn moment(&self) -> Option<Timestamp> {
        let (more, less) = (self.more.hours.as_ref(), self.less.hours.as_ref());
        if more.is_none() && less.is_none() {
            return week::moment(
                Some(&crate::document::HoursDocument {
                    timezone: crate::document::Timezone(chrono_tz::UTC),
                    windows: "mon-fri 10:00-12:00".parse().into_iter().collect(),
                }),
                None,
                true,
            );
        }
        week::moment(more, less, !self.is_about(Dimension::Hours))
    }

    pub fn products(&self) -> Vec<Touched<Product>> {
        let all = PRODUCTS.iter().copied();
        let has = |grant: &Grant<Product>, product: &Product| match grant {
            Grant::Every => true,
            Grant::Only(products) => products.contains(product),
        };
        let (more, less) = (&self.more.products, &self.less.products);
        if self.is_about(Dimension::Products) {
            let mut products: Vec<_> = all
                .filter(|product| has(more, product) && !has(less, product))
                .map(Touched::One)
                .collect();
            if *more == Grant::Every && *less != Grant::Every {
                products.push(Touched::Every);
            }
            return products;
        }
        let mut products: Vec<_> = all
            .filter(|product| has(more, product) && has(less, product))
            .map(Touched::One)
            .collect();
        if *more == Grant::Every && *less == Grant::Every {
            products.push(Touched::Every);
        }
        products
    }

    pub fn symbols(&self, venue: &Name) -> Vec<Touched<Symbol>> {
        let (more, less) = (symbols_of(self.more, venue), symbols_of(self.less, venue));
        let usual =
            || SYMBOLS.iter().filter_map(|symbol| symbol.parse::<Symbol>().ok()).map(Touched::One);
        let list = |symbols: Vec<Symbol>| -> Vec<Touched<Symbol>> {
            symbols.into_iter().take(SYMBOLS_MAX).map(Touched::One).collect()
        };
        if self.is_about(Dimension::Symbols) {
            return match (more, less) {
                (Grant::Only(more), Grant::Only(less)) => {
                    list(more.difference(less).cloned().collect())
                }
                (Grant::Every, Grant::Only(less)) => {
                    let others = usual().filter(|symbol| match symbol {
                        Touched::Every => true,
                        Touched::One(symbol) => !less.contains(symbol),
                    });
                    others.chain([Touched::Every]).collect()
                }
                (_, Grant::Every) => Vec::new(),
            };
        }
        // One that has a limit of its own is worth a try before those that have none.
        let limited = self.limited(venue);
        match (more, less) {
            (Grant::Every, Grant::Every) => {
                let limited = limited.into_iter().map(Touched::One);
                limited.chain(usual()).chain([Touched::Every]).collect()
            }
            (Grant::Only(one), Grant::Every) | (Grant::Every, Grant::Only(one)) => {
                let mut symbols: Vec<Symbol> = one.iter().cloned().collect();
                symbols.sort_by_key(|symbol| !limited.contains(symbol));
                list(symbols)
            }
            (Grant::Only(one), Grant::Only(other)) => {
                let mut symbols: Vec<Symbol> = one.intersection(other).cloned().collect();
                symbols.sort_by_key(|symbol| !limited.contains(symbol));
                list(symbols)
            }
        }
    }

    /// The symbols for which orders may be larger in one scope than in the other, or, in another
    /// dimension, for which both have a limit.
    fn limited(&self, venue: &Name) -> Vec<Symbol> {
        let of = |scope: &'a ScopeDocument| {
            scope.orders.max_quantity.as_ref().and_then(|quantities| quantities.get(venue))
        };
        let (more, less) = (of(self.more), of(self.less));
        let limits = more.or(less).into_iter().flatten();
        limits
            .filter(|(symbol, limit)| match (more, less) {
                (Some(_), Some(less)) if self.is_about(Dimension::OrdersMaxQuantity) => {
                    less.get(*symbol).is_none_or(|other| other < limit)
                }
                (Some(_), Some(less)) => less.contains_key(*symbol),
                _ => true,
            })
            .map(|(symbol, _)| symbol.clone())
            .collect()
    }

    pub fn types(&self) -> Vec<OrderType> {
        self.listed(
            Dimension::OrdersTypes,
            TYPES,
            self.more.orders.types.as_ref(),
            self.less.orders.types.as_ref(),
        )
    }

    pub fn times_in_force(&self) -> Vec<TimeInForce> {
        self.listed(
            Dimension::OrdersTimeInForce,
            TIMES_IN_FORCE,
            self.more.orders.time_in_force.as_ref(),
            self.less.orders.time_in_force.as_ref(),
        )
    }

    pub fn margin_modes(&self) -> Vec<vault_model::MarginMode> {
        self.listed(
            Dimension::OrdersMarginModes,
            vault_model::MarginMode::ALL,
            self.more.orders.margin_modes.as_ref(),
            self.less.orders.margin_modes.as_ref(),
        )
    }

    fn members<T: Clone + Ord>(
        &self,
        dimension: Dimension,
        more: &BTreeSet<T>,
        less: &BTreeSet<T>,
    ) -> Vec<T> {
        if self.is_about(dimension) {
            more.difference(less).cloned().collect()
        } else {
            more.intersection(less).cloned().collect()
        }
    }

    /// An absent list has everything.
    fn listed<T: Copy + Ord>(
        &self,
        dimension: Dimension,
        all: &[T],
        more: Option<&BTreeSet<T>>,
        less: Option<&BTreeSet<T>>,
    ) -> Vec<T> {
        let has =
            |list: Option<&BTreeSet<T>>, item: &T| list.is_none_or(|list| list.contains(item));
        let wanted = !self.is_about(dimension);
        all.iter().copied().filter(|item| has(more, item) && has(less, item) == wanted).collect()
    }
}

/// The classes, those first of which an example says most.
const CLASSES: &[Class] = &[
    Class::Trade,
    Class::Cancel,
    Class::Account,
    Class::Read,
    Class::Public,
    Class::Transfer,
    Class::Logon,
    Class::Withdraw,
];

const COUNTRIES: &[&str] = &["US", "DE", "SG", "JP", "GB", "CH", "FR", "AE"];

const PRODUCTS: &[Product] = &[
    Product::Spot,
    Product::Linear,
    Product::Inverse,
    Product::Margin,
    Product::Option,
    Product::Spread,
];

/// Where every symbol is granted, these are as good as any.
const SYMBOLS: &[&str] = &["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT"];

/// So many symbols of a list are tried.
const SYMBOLS_MAX: usize = 5;

const TIMES_IN_FORCE: &[TimeInForce] = &[
    TimeInForce::Gtc,
    TimeInForce::Ioc,
    TimeInForce::Fok,
    TimeInForce::Gtx,
    TimeInForce::Day,
    TimeInForce::Gtd,
];

const TYPES: &[OrderType] = &[
    OrderType::Limit,
    OrderType::Market,
    OrderType::LimitMaker,
    OrderType::Stop,
    OrderType::StopLimit,
    OrderType::TakeProfit,
    OrderType::TakeProfitLimit,
    OrderType::TrailingStop,
    OrderType::Other,
];
