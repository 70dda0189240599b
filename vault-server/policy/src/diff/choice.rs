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

#[cfg(test)]
mod tests {
    use vault_model::{Class, MarginMode, Mode, OrderType, Product, TimeInForce};

    use super::{COUNTRIES, Contrast, Touched};
    use crate::diff::tests::scope;
    use crate::document::ScopeDocument;
    use crate::lattice::Dimension;

    fn between<'a>(
        dimension: Dimension,
        more: &'a ScopeDocument,
        less: &'a ScopeDocument,
    ) -> Contrast<'a> {
        Contrast { dimension, more, less }
    }

    /// The products of an example: by their words, and `*` for one that touches every product.
    fn products(dimension: Dimension, more: &str, less: &str) -> Vec<String> {
        let of = |list: &str| scope(&format!("products = [{list}]"));
        let (more, less) = (of(more), of(less));
        let touched = between(dimension, &more, &less).products().into_iter();
        touched.map(|one: Touched<Product>| word(&one)).collect()
    }

    fn word<T: std::fmt::Display>(touched: &Touched<T>) -> String {
        match touched {
            Touched::Every => "*".to_owned(),
            Touched::One(one) => one.to_string(),
        }
    }

    /// The symbols of an example at okx, of scopes with these tables.
    fn symbols(dimension: Dimension, more: &str, less: &str) -> Vec<String> {
        let (more, less) = (scope(more), scope(less));
        let okx = "okx".parse().expect("a name");
        let touched = between(dimension, &more, &less).symbols(&okx).into_iter();
        touched.map(|one| word(&one)).collect()
    }

    #[test]
    fn lists_are_what_one_has_alone_or_what_both_have() {
        let more = scope("credentials = [\"a\", \"b\"]\nmodes = [\"execute\", \"sign\"]");
        let less = scope("credentials = [\"b\", \"c\"]\nmodes = [\"execute\", \"sign\"]");
        let of = |dimension| {
            let names = between(dimension, &more, &less).credentials();
            names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(Dimension::Credentials), ["a"]);
        assert_eq!(of(Dimension::Modes), ["b"]);
        let modes = between(Dimension::Credentials, &more, &less).modes();
        assert_eq!(modes, [Mode::Sign, Mode::Execute]);
    }

    #[test]
    fn every_product_is_touched_where_every_product_is_granted() {
        let about = |more, less| products(Dimension::Products, more, less);
        assert_eq!(about("\"option\", \"spot\"", "\"spot\""), ["option"]);
        assert_eq!(
            about("\"*\"", "\"spot\""),
            ["linear", "inverse", "margin", "option", "spread", "*"]
        );
        assert!(about("\"*\"", "\"*\"").is_empty() && about("\"spot\"", "\"*\"").is_empty());

        let beside = |more, less| products(Dimension::Symbols, more, less);
        assert_eq!(beside("\"spot\", \"linear\"", "\"linear\", \"option\""), ["linear"]);
        assert_eq!(beside("\"*\"", "\"spot\""), ["spot"]);
        assert_eq!(beside("\"spot\"", "\"*\""), ["spot"]);
        assert_eq!(
            beside("\"*\"", "\"*\""),
            ["spot", "linear", "inverse", "margin", "option", "spread", "*"]
        );
    }

    #[test]
    fn symbols_with_limits_come_first() {
        let list = |symbols: &str| format!("[symbols]\nokx = [{symbols}]\n");
        let limits = |limits: &str| format!("[orders.max_quantity]\nokx = {{ {limits} }}\n");
        let three = list("\"A-B\", \"C-D\", \"E-F\"");

        let about = |more: &str, less: &str| symbols(Dimension::Symbols, more, less);
        assert_eq!(about(&three, &list("\"C-D\"")), ["A-B", "E-F"]);
        assert_eq!(
            about(&list("\"*\""), &list("\"BTC-USDT\"")),
            ["ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "*"]
        );
        assert!(about(&three, &list("\"*\"")).is_empty());
        let seven = list("\"A\", \"B\", \"C\", \"D\", \"E\", \"F\", \"G\"");
        assert_eq!(about(&seven, ""), ["A", "B", "C", "D", "E"]);

        let limited = limits("E-F = \"1\"");
        let beside = |more: String, less: String| symbols(Dimension::Modes, &more, &less);
        let both = format!("{three}{limited}");
        assert_eq!(beside(both.clone(), both.clone()), ["E-F", "A-B", "C-D"]);
        assert_eq!(beside(both.clone(), list("\"*\"")), ["E-F", "A-B", "C-D"]);
        assert_eq!(beside(list("\"*\""), both.clone()), ["E-F", "A-B", "C-D"]);
        let every = format!("{}{limited}", list("\"*\""));
        assert_eq!(beside(every.clone(), every)[..3], ["E-F", "BTC-USDT", "ETH-USDT"]);
    }

    /// In the dimension of quantities those of which one scope lets through more, in another one
    /// those that both limit: what one does not list, it denies.
    #[test]
    fn limited_symbols_are_those_that_an_order_can_be_for() {
        let of = |limits: &str| scope(&format!("[orders.max_quantity]\nokx = {{ {limits} }}"));
        let (more, less) = (
            of("A = \"1\", B = \"5\", C = \"2\", D = \"1\""),
            of("A = \"1\", B = \"3\", D = \"4\""),
        );
        let okx = "okx".parse().expect("a name");
        let limited = |dimension, more: &ScopeDocument, less: &ScopeDocument| -> Vec<String> {
            let symbols = between(dimension, more, less).limited(&okx);
            symbols.iter().map(ToString::to_string).collect()
        };
        assert_eq!(limited(Dimension::OrdersMaxQuantity, &more, &less), ["B", "C"]);
        assert_eq!(limited(Dimension::Modes, &more, &less), ["A", "B", "D"]);
        assert_eq!(limited(Dimension::Modes, &scope(""), &less), ["A", "B", "D"]);
        assert_eq!(limited(Dimension::OrdersMaxQuantity, &scope(""), &less), ["A", "B", "D"]);
    }

    #[test]
    fn an_absent_list_has_everything() {
        let of = |lists: &str| scope(&format!("[orders]\n{lists}"));
        let (some, one, none) = (
            of("types = [\"LIMIT\", \"MARKET\"]\ntime_in_force = [\"GTC\", \"IOC\"]"),
            of("types = [\"LIMIT\"]\ntime_in_force = [\"IOC\"]\nmargin_modes = [\"cash\"]"),
            of(""),
        );
        let types = |more, less| between(Dimension::OrdersTypes, more, less).types();
        assert_eq!(types(&some, &one), [OrderType::Market]);
        assert!(types(&one, &some).is_empty());
        let beyond = types(&none, &some);
        assert!(!beyond.contains(&OrderType::Limit) && !beyond.contains(&OrderType::Market));
        assert_eq!(beyond.len(), OrderType::ALL.len() - 2);

        let beside = between(Dimension::Modes, &none, &one);
        assert_eq!(beside.types(), [OrderType::Limit]);
        assert_eq!(beside.times_in_force(), [TimeInForce::Ioc]);
        assert_eq!(beside.margin_modes(), [MarginMode::Cash]);
        let about = between(Dimension::OrdersTimeInForce, &some, &one);
        assert_eq!(
            (about.times_in_force(), about.types()),
            (vec![TimeInForce::Gtc], vec![OrderType::Limit])
        );
    }

    #[test]
    fn withdrawals_need_a_table_of_the_wider_scope_alone() {
        let table = "[withdrawal]\naddresses = []\nper_day = []";
        let withdraws = scope(&format!("classes = [\"read\", \"withdraw\"]\n{table}"));
        let reads = scope("classes = [\"cancel\", \"read\"]");
        let lists = scope(&format!("classes = [\"read\"]\n{table}"));
        let classes = |dimension, more, less| between(dimension, more, less).classes();
        assert_eq!(classes(Dimension::Classes, &withdraws, &reads), [Class::Withdraw]);
        let about = Dimension::WithdrawalAddresses;
        assert_eq!(classes(about, &withdraws, &reads), [Class::Read, Class::Withdraw]);
        // Here the class is closed, table or not.
        assert_eq!(classes(about, &withdraws, &lists), [Class::Read]);
        assert_eq!(classes(about, &lists, &reads), [Class::Read]);
        assert_eq!(classes(Dimension::Classes, &reads, &withdraws), [Class::Cancel]);
    }

    #[test]
    fn a_country_is_one_that_lets_in_where_the_other_does_not() {
        let of = |countries: &str| format!("[network]\ncountries = [{countries}]");
        let country = |dimension, more: &str, less: &str| {
            let country = between(dimension, &scope(more), &scope(less)).country();
            country.map(|country| country.map_or_else(String::new, |one| one.to_string()))
        };
        let (swiss, both, any) = (of("\"CH\""), of("\"CH\", \"SG\""), String::new());

        let about = |more: &str, less: &str| country(Dimension::NetworkCountries, more, less);
        assert_eq!(about(&both, &swiss).as_deref(), Some("SG"));
        assert_eq!(about(&any, &of("\"DE\", \"US\"")).as_deref(), Some("SG"));
        let named =
            of(&COUNTRIES.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "));
        assert_eq!(about(&any, &named).as_deref(), Some(""));
        assert_eq!(about(&swiss, &any), None);

        let beside = |more: &str, less: &str| country(Dimension::Modes, more, less);
        assert_eq!(beside(&both, &of("\"SG\", \"US\"")).as_deref(), Some("SG"));
        assert_eq!(beside(&swiss, &any).as_deref(), Some("CH"));
        assert_eq!(beside(&any, &swiss).as_deref(), Some("CH"));
        assert_eq!(beside(&any, &any).as_deref(), Some(""));
        assert_eq!(beside(&swiss, &of("\"SG\"")), None);
    }

    #[test]
    fn a_moment_is_in_the_hours_of_one_and_as_wanted_in_those_of_the_other() {
        let (always, week) =
            (scope(""), scope("[hours]\ntimezone = \"UTC\"\nwindows = [\"mon-fri 00:00-17:00\"]"));
        let moment = |dimension, more, less| {
            between(dimension, more, less).moment().map(|at| at.to_string())
        };
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(moment(Dimension::Hours, &always, &week), at("2026-01-05T17:00:00.000Z"));
        assert_eq!(moment(Dimension::Hours, &week, &always), None);
        assert_eq!(moment(Dimension::Modes, &always, &week), at("2026-01-05T00:00:00.000Z"));
        assert_eq!(moment(Dimension::Modes, &week, &always), at("2026-01-05T00:00:00.000Z"));
        // Where nobody asks, it is in the middle of the day.
        assert_eq!(moment(Dimension::Modes, &always, &always), at("2026-01-05T10:00:00.000Z"));
    }
}
