//! What holds for every scope, however it came: as TOML, from a stored row, over the wire.

use std::collections::{BTreeMap, BTreeSet};

use vault_model::{Asset, Class, Money};

use super::{NotADocument, OrderCap, ScopeDocument, Span};
use crate::grant::Grant;
use crate::rule::network::check_network;

/// What of a scope is not as it has to be. It says where by our own keys, and nothing of the scope.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{dimension}: {fault}")]
pub struct Misfit {
    /// The key, with those of the tables around it: `orders.price_band`.
    pub dimension: &'static str,
    /// What is wrong.
    pub fault: NotADocument,
}

/// One step into a dimension, for those who can point at it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The key of a table.
    Key(String),
    /// An item of a list, by its place.
    Item(usize),
    /// An item of a list of texts.
    Word(String),
}

type Checked = Result<(), (Misfit, Vec<Step>)>;

fn misfit(dimension: &'static str, fault: NotADocument, at: Vec<Step>) -> Checked {
    Err((Misfit { dimension, fault }, at))
}

impl ScopeDocument {
    /// Checks what no type of a single field can say.
    ///
    /// # Errors
    ///
    /// The first [`Misfit`].
    pub fn check(&self) -> Result<(), Misfit> {
        self.check_places().map_err(|(misfit, _)| misfit)
    }

    /// The same, for those who can point at the place.
    pub(crate) fn check_places(&self) -> Checked {
        self.check_sizes()?;
        self.check_sense()
    }

    /// The same for one that is stored: an older version may have taken longer lists, and a vault that
    /// has them must open.
    pub(super) fn check_stored(&self) -> Result<(), Misfit> {
        self.check_sense().map_err(|(misfit, _)| misfit)
    }

    /// Checks that every list is one that can be judged and looked through. Lists of words, and of
    /// countries, are as long as there are such.
    fn check_sizes(&self) -> Checked {
        let withdrawal = self.withdrawal.as_ref();
        let limits = self.orders.max_quantity.as_ref();
        for (dimension, count, at_most) in [
            ("credentials", self.credentials.len(), ITEMS_MAX),
            ("operations", self.operations.len(), OPERATIONS_MAX),
            ("symbols", self.symbols.len(), ITEMS_MAX),
            ("network.allow", self.network.allow.len(), ITEMS_MAX),
            ("network.deny", self.network.deny.len(), ITEMS_MAX),
            ("orders.max_quantity", limits.map_or(0, BTreeMap::len), ITEMS_MAX),
            ("pricing.usd_par", self.pricing.usd_par.len(), ITEMS_MAX),
            ("hours.windows", self.hours.as_ref().map_or(0, |h| h.windows.len()), WINDOWS_MAX),
            ("withdrawal.addresses", withdrawal.map_or(0, |w| w.addresses.len()), ITEMS_MAX),
            ("withdrawal.per_day", withdrawal.map_or(0, |w| w.per_day.len()), ITEMS_MAX),
        ] {
            at_most_items(dimension, count, at_most, Vec::new())?;
        }
        for (venue, granted) in &self.symbols {
            if let Grant::Only(symbols) = granted {
                let at = vec![Step::Key(venue.to_string())];
                at_most_items("symbols", symbols.len(), SYMBOLS_MAX, at)?;
            }
        }
        for (venue, limits) in limits.into_iter().flatten() {
            let at = vec![Step::Key(venue.to_string())];
            at_most_items("orders.max_quantity", limits.len(), SYMBOLS_MAX, at)?;
        }
        Ok(())
    }

    fn check_sense(&self) -> Checked {
        self.check_classes()?;
        for operation in &self.operations {
            if !is_operation(operation) {
                let at = vec![Step::Word(operation.clone())];
                return misfit("operations", NotADocument::Operation, at);
            }
        }
        self.check_networks()?;
        self.check_orders()?;
        fraction("pricing.slippage", self.pricing.slippage)?;
        self.check_cumulative()?;
        self.check_duplicates()?;
        self.check_withdrawal()?;
        if self.shadow.as_ref() == Some(&self.name) {
            return misfit("shadow", NotADocument::Shadow, Vec::new());
        }
        Ok(())
    }

    fn check_classes(&self) -> Checked {
        for class in &self.classes {
            let fault = match class {
                Class::Keys => NotADocument::ClassKeys,
                Class::Other => NotADocument::ClassOther,
                Class::Withdraw if self.withdrawal.is_none() => NotADocument::ClassWithdraw,
                _ => continue,
            };
            return misfit("classes", fault, vec![Step::Word(class.to_string())]);
        }
        Ok(())
    }

    fn check_networks(&self) -> Checked {
        let network = &self.network;
        let allowed = network.allow.iter().map(|net| ("network.allow", net, network.allow_any));
        // Denying every address widens nothing.
        let denied = network.deny.iter().map(|net| ("network.deny", net, true));
        for (dimension, net, allow_any) in allowed.chain(denied) {
            if let Err(error) = check_network(*net, allow_any) {
                return misfit(dimension, error.into(), vec![Step::Word(net.to_string())]);
            }
        }
        Ok(())
    }

    fn check_orders(&self) -> Checked {
        let orders = &self.orders;
        for (venue, limits) in orders.max_quantity.iter().flatten() {
            let at = vec![Step::Key(venue.to_string())];
            if limits.is_empty() {
                return misfit("orders.max_quantity", NotADocument::Empty, at);
            }
            for (symbol, at_most) in limits {
                let at = [at.clone(), vec![Step::Key(symbol.to_string())]].concat();
                amount("orders.max_quantity", *at_most, at)?;
            }
        }
        if let Some(at_most) = orders.max_notional_usd {
            amount("orders.max_notional_usd", at_most, Vec::new())?;
        }
        fraction("orders.price_band", orders.price_band)?;
        if orders.max_leverage.is_some_and(|leverage| leverage < Money::ONE) {
            return misfit("orders.max_leverage", NotADocument::Leverage, Vec::new());
        }
        Ok(())
    }

    fn check_cumulative(&self) -> Checked {
        let cumulative = &self.cumulative;
        let spans = cumulative.notional_usd.iter().map(|cap| cap.per);
        windows("cumulative.notional_usd", spans)?;
        for (place, cap) in cumulative.notional_usd.iter().enumerate() {
            let at = vec![Step::Item(place), Step::Key("at_most".to_owned())];
            amount("cumulative.notional_usd", cap.at_most, at)?;
        }
        windows("cumulative.orders", cumulative.orders.iter().map(|cap| cap.per))?;
        for (place, OrderCap { at_most, .. }) in cumulative.orders.iter().enumerate() {
            let at = vec![Step::Item(place), Step::Key("at_most".to_owned())];
            count("cumulative.orders", *at_most, at)?;
        }
        count("cumulative.open_orders", cumulative.open_orders.unwrap_or(0), Vec::new())
    }

    fn check_duplicates(&self) -> Checked {
        for (dimension, span) in [
            ("duplicates.client_order_id", self.duplicates.client_order_id),
            ("duplicates.order", self.duplicates.order),
        ] {
            if span.is_some_and(|span| span > Span::DAY) {
                return misfit(dimension, NotADocument::SpanTooLong, Vec::new());
            }
        }
        Ok(())
    }

    fn check_withdrawal(&self) -> Checked {
        let Some(withdrawal) = &self.withdrawal else { return Ok(()) };
        for entry in &withdrawal.addresses {
            if entry.asset.parse::<Asset>().is_err() {
                return misfit("withdrawal.addresses", NotADocument::Asset, Vec::new());
            }
            if !is_address(&entry.address) {
                return misfit("withdrawal.addresses", NotADocument::Address, Vec::new());
            }
        }
        let mut assets = BTreeSet::new();
        for cap in &withdrawal.per_day {
            if cap.asset.parse::<Asset>().is_err() {
                return misfit("withdrawal.per_day", NotADocument::Asset, Vec::new());
            }
            amount("withdrawal.per_day", cap.at_most, Vec::new())?;
            if !assets.insert((&cap.venue, &cap.asset)) {
                return misfit("withdrawal.per_day", NotADocument::CapTwice, Vec::new());
            }
        }
        Ok(())
    }
}

fn at_most_items(dimension: &'static str, count: usize, at_most: usize, at: Vec<Step>) -> Checked {
    if count > at_most { misfit(dimension, NotADocument::TooMany { at_most }, at) } else { Ok(()) }
}

fn fraction(dimension: &'static str, value: Option<Money>) -> Checked {
    match value {
        Some(value) if value.is_negative() || value > Money::ONE => {
            misfit(dimension, NotADocument::Fraction, Vec::new())
        }
        _ => Ok(()),
    }
}

fn amount(dimension: &'static str, value: Money, at: Vec<Step>) -> Checked {
    if value.is_negative() { misfit(dimension, NotADocument::Negative, at) } else { Ok(()) }
}

fn count(dimension: &'static str, value: u64, at: Vec<Step>) -> Checked {
    if value > COUNT_MAX { misfit(dimension, NotADocument::Count, at) } else { Ok(()) }
}

/// Few windows, and each of them once.
fn windows(dimension: &'static str, spans: impl Iterator<Item = Span>) -> Checked {
    let mut seen = BTreeSet::new();
    for (place, span) in spans.enumerate() {
        if place >= CAPS_MAX {
            return misfit(dimension, NotADocument::CapsTooMany, vec![Step::Item(place)]);
        }
        if !seen.insert(span) {
            return misfit(dimension, NotADocument::CapTwice, vec![Step::Item(place)]);
        }
    }
    Ok(())
}

/// Whether a scope may grant the class by its word.
pub(crate) fn is_grantable(class: Class) -> bool {
    !matches!(class, Class::Keys | Class::Other)
}

/// Whether it is `METHOD path`, both plain.
fn is_operation(text: &str) -> bool {
    let path_fits = |path: &str| {
        path.starts_with('/')
            && path.len() <= 256
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:-".contains(&b))
    };
    text.split_once(' ').is_some_and(|(method, path)| {
        (1..=16).contains(&method.len())
            && method.bytes().all(|b| b.is_ascii_uppercase())
            && path_fits(path)
    })
}

/// Whether it is an address, or the name under which a venue keeps one.
fn is_address(text: &str) -> bool {
    (1..=200).contains(&text.len()) && !text.contains(char::is_control) && text.trim() == text
}

/// Of a list that has no limit of its own.
const ITEMS_MAX: usize = 1_000;
/// Each is granted by its name: far more than anybody looks through.
const OPERATIONS_MAX: usize = 500;
/// Of one venue: those that list everything write `*`.
const SYMBOLS_MAX: usize = 10_000;
/// Every write asks all of them.
const WINDOWS_MAX: usize = 100;
/// Caps of one kind: judging asks each of them.
const CAPS_MAX: usize = 16;
/// Far below 2^53, up to which canonical JSON has whole numbers.
const COUNT_MAX: u64 = 1_000_000_000;
