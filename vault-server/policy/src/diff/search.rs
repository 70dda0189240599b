//! Looks for an example of a difference: makes requests out of the difference itself, and asks the
//! engine about each until one is answered differently, for that very dimension.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use vault_model::{Class, Mode, Name, Product, Symbols, Timestamp};

use super::choice::{Contrast, Touched};
use super::draft::{self, Draft};
use super::{DiffContext, Example, Finding, VenueFacts};
use crate::denial::Decision;
use crate::document::{Country, ScopeDocument};
use crate::lattice::Dimension;
use crate::rule::symbol::Symbol;
use crate::scope::Scope;

/// Finds an example that `more` allows and `less` denies for this dimension.
pub(super) fn find(
    dimension: Dimension,
    more: (&ScopeDocument, &Scope),
    less: (&ScopeDocument, &Scope),
    context: &DiffContext,
) -> Finding {
    let contrast = Contrast { dimension, more: more.0, less: less.0 };
    let frame = match Frame::new(contrast, context) {
        Ok(frame) => frame,
        Err(closed) if closed.is_empty() => return Finding::Unknown,
        Err(closed) => return Finding::Closed(closed),
    };
    let mut search =
        Search { contrast, more: more.1, less: less.1, tried: 0, codes: BTreeMap::new() };
    match frame.examples(&mut |example| search.ask(example)) {
        ControlFlow::Break(Some(example)) => Finding::Example(example),
        ControlFlow::Break(None) | ControlFlow::Continue(()) => search.without_example(&frame),
    }
}

/// So many requests are tried for one difference.
const TRIES_MAX: usize = 3_000;

struct Search<'a> {
    contrast: Contrast<'a>,
    more: &'a Scope,
    less: &'a Scope,
    tried: usize,
    /// Why requests were no examples: how often each code stood in the way.
    codes: BTreeMap<&'static str, usize>,
}

type Found = ControlFlow<Option<Box<Example>>>;

impl Search<'_> {
    fn ask(&mut self, example: Example) -> Found {
        self.tried += 1;
        let code = |decision| match decision {
            Decision::Allow(_) => None,
            Decision::Deny(denial) => Some(denial.code()),
        };
        let (more, less) = (code(example.judge(self.more)), code(example.judge(self.less)));
        match (more, less) {
            (None, Some(code)) if self.contrast.dimension.denies_with(code) => {
                return ControlFlow::Break(Some(Box::new(example)));
            }
            (Some(code), _) | (None, Some(code)) => *self.codes.entry(code).or_default() += 1,
            (None, None) => {}
        }
        if self.tried < TRIES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(None) }
    }

    /// What stood in the way most often.
    fn without_example(&self, frame: &Frame<'_>) -> Finding {
        if self.tried == 0 {
            return match frame.closed_subjects() {
                closed if closed.is_empty() => Finding::Unknown,
                closed => Finding::Closed(closed),
            };
        }
        let most = self.codes.iter().max_by_key(|(_, times)| **times);
        let closed: Vec<Dimension> = most
            .into_iter()
            .flat_map(|(code, _)| Dimension::of_code(code))
            .copied()
            .filter(|dimension| {
                *dimension != self.contrast.dimension
                    && self.contrast.both().iter().any(|scope| dimension.restricts(scope))
            })
            .collect();
        if closed.is_empty() { Finding::Unknown } else { Finding::Closed(closed) }
    }
}

/// What examples have in common, and what they may choose from.
struct Frame<'a> {
    contrast: Contrast<'a>,
    address: IpAddr,
    country: Option<Country>,
    at: Timestamp,
    modes: Vec<Mode>,
    places: Vec<(Name, VenueFacts)>,
    subjects: Vec<Subject>,
}

/// What a request is about.
enum Subject {
    Class(Class),
    Operation(String),
}

impl<'a> Frame<'a> {
    /// The dimensions in which the two have nothing in common, if there are any.
    fn new(contrast: Contrast<'a>, context: &DiffContext) -> Result<Self, Vec<Dimension>> {
        let mut closed = Vec::new();
        let (address, country) = (contrast.address(), contrast.country());
        let (modes, credentials) = (contrast.modes(), contrast.credentials());
        // Where the hours have nothing in common, what they do not bind is left.
        let at = contrast.moment().or_else(|| {
            let alone = ScopeDocument::new(contrast.more.name.clone());
            (contrast.dimension != Dimension::Hours)
                .then(|| Contrast { more: &alone, less: &alone, ..contrast }.moment())
                .flatten()
        });
        let mut ask = |is_closed: bool, dimension: Dimension| {
            if is_closed && dimension != contrast.dimension {
                closed.push(dimension);
            }
        };
        ask(credentials.is_empty(), Dimension::Credentials);
        ask(modes.is_empty(), Dimension::Modes);
        ask(address.is_none(), Dimension::Network);
        ask(country.is_none(), Dimension::NetworkCountries);
        let subjects = subjects(&contrast);
        ask(subjects.is_empty(), Dimension::Classes);
        match (address, country, at) {
            (Some(address), Some(country), Some(at)) if closed.is_empty() => Ok(Self {
                contrast,
                address,
                country,
                at,
                modes,
                places: places(&contrast, credentials, context),
                subjects,
            }),
            _ => Err(closed),
        }
    }

    /// Makes requests, one after the other, until one is taken or no more are wanted.
    fn examples(&self, ask: &mut dyn FnMut(Example) -> Found) -> Found {
        for subject in &self.subjects {
            for mode in &self.modes {
                for (credential, venue) in &self.places {
                    for touch in self.touches(subject, venue) {
                        let base = Draft {
                            contrast: self.contrast,
                            credential,
                            mode: *mode,
                            address: self.address,
                            country: self.country,
                            at: self.at,
                            venue: *venue,
                            touch,
                        };
                        match subject {
                            Subject::Class(class) => draft::class(&base, *class, ask)?,
                            Subject::Operation(name) => {
                                ask(base.example(name, Class::Other, Vec::new()))?;
                            }
                        }
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// What stands in the way where not one request could be made.
    fn closed_subjects(&self) -> Vec<Dimension> {
        let mut closed = Vec::new();
        let symbols = |venue: &VenueFacts| match venue.name.parse() {
            Ok(venue) => self.contrast.symbols(&venue),
            Err(_) => Vec::new(),
        };
        let mut ask = |is_closed: bool, dimension: Dimension| {
            if is_closed && dimension != self.contrast.dimension {
                closed.push(dimension);
            }
        };
        ask(self.contrast.products().is_empty(), Dimension::Products);
        ask(self.places.iter().all(|(_, venue)| symbols(venue).is_empty()), Dimension::Symbols);
        ask(self.contrast.types().is_empty(), Dimension::OrdersTypes);
        ask(self.contrast.times_in_force().is_empty(), Dimension::OrdersTimeInForce);
        closed
    }

    fn touches(&self, subject: &Subject, venue: &VenueFacts) -> Vec<Touch> {
        let named = || -> Vec<Touch> {
            let venue = venue.name.parse::<Name>();
            let symbols = venue.map(|venue| self.contrast.symbols(&venue)).unwrap_or_default();
            let products = self.contrast.products();
            let touch = |product: &Touched<Product>, symbol: &Touched<Symbol>| Touch {
                products: match product {
                    Touched::Every => None,
                    Touched::One(product) => Some(vec![*product]),
                },
                symbols: match symbol {
                    Touched::Every => Symbols::Every,
                    Touched::One(symbol) => Symbols::Named(vec![symbol.to_string()]),
                },
            };
            symbols
                .iter()
                .flat_map(|symbol| products.iter().map(move |product| touch(product, symbol)))
                .collect()
        };
        let nothing = Touch { products: Some(Vec::new()), symbols: Symbols::Named(Vec::new()) };
        let everything = Touch { products: None, symbols: Symbols::Every };
        match subject {
            Subject::Class(Class::Public | Class::Read) => {
                let products = self.contrast.products().into_iter();
                let of_products = products.map(|product| Touch {
                    products: match product {
                        Touched::Every => None,
                        Touched::One(product) => Some(vec![product]),
                    },
                    symbols: Symbols::Named(Vec::new()),
                });
                std::iter::once(nothing).chain(of_products).collect()
            }
            Subject::Class(Class::Trade) => named(),
            Subject::Class(Class::Account | Class::Cancel) => named(),
            Subject::Class(_) | Subject::Operation(_) => {
                let mut touches = vec![nothing, everything];
                touches.extend(named());
                touches
            }
        }
    }
}

/// What a request touches.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub products: Option<Vec<Product>>,
    pub symbols: Symbols,
}

impl Touch {
    /// The product, if it is one.
    pub fn product(&self) -> Option<Product> {
        match self.products.as_deref() {
            Some([product]) => Some(*product),
            _ => None,
        }
    }

    /// The symbol, if it is one.
    pub fn symbol(&self) -> Option<&str> {
        match &self.symbols {
            Symbols::Named(symbols) => symbols.first().map(String::as_str),
            Symbols::Every => None,
        }
    }
}

/// What requests about a difference are about, the most telling first.
fn subjects(contrast: &Contrast<'_>) -> Vec<Subject> {
    let classes = contrast.classes();
    let of = |wanted: &[Class]| -> Vec<Subject> {
        let classes = classes.iter().copied().filter(|class| wanted.contains(class));
        classes.map(Subject::Class).collect()
    };
    match contrast.dimension {
        Dimension::Operations => {
            contrast.operations().into_iter().map(Subject::Operation).collect()
        }
        Dimension::Classes => of(Class::ALL),
        Dimension::OrdersMarginModes | Dimension::OrdersMaxLeverage => {
            of(&[Class::Account, Class::Trade])
        }
        Dimension::WithdrawalAddresses => of(&[Class::Withdraw, Class::Logon]),
        Dimension::WithdrawalPerDay => of(&[Class::Withdraw]),
        dimension if dimension.is_about_orders() => of(&[Class::Trade]),
        dimension => {
            let all = match dimension {
                Dimension::Hours => [Class::Public, Class::Read, Class::Cancel].as_slice(),
                Dimension::Symbols => &[Class::Public, Class::Read],
                _ => &[],
            };
            let wanted: Vec<Class> =
                Class::ALL.iter().copied().filter(|class| !all.contains(class)).collect();
            let operations = contrast.operations().into_iter().map(Subject::Operation);
            of(&wanted).into_iter().chain(operations).collect()
        }
    }
}

/// Credentials, each with a venue that it is of, or may be of.
fn places(
    contrast: &Contrast<'_>,
    credentials: Vec<Name>,
    context: &DiffContext,
) -> Vec<(Name, VenueFacts)> {
    let mut places = Vec::new();
    for credential in credentials {
        let known = context.credentials.get(&credential);
        for venue in &context.venues {
            if known.is_none_or(|known| known.as_str() == venue.name) {
                places.push((credential.clone(), *venue));
            }
        }
    }
    // A venue that a scope speaks of is better than one that it does not.
    let spoken_of = |venue: &VenueFacts| {
        contrast
            .both()
            .iter()
            .filter(|scope| scope.symbols.keys().any(|name| name.as_str() == venue.name))
            .count()
    };
    places.sort_by_key(|(_, venue)| std::cmp::Reverse(spoken_of(venue)));
    places.truncate(PLACES_MAX);
    places
}

/// So many pairs of credential and venue are tried.
const PLACES_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vault_model::Class;

    use super::{ControlFlow, Search, TRIES_MAX};
    use crate::diff::choice::Contrast;
    use crate::diff::tests::Sketch;
    use crate::lattice::Dimension;
    use crate::scope::Scope;

    /// Both scopes deny everything, so that one request after the other is no example.
    #[test]
    fn a_search_ends_and_counts_what_stood_in_the_way() {
        let sketch = Sketch::new(Dimension::Credentials, "", "");
        let (more, less) = (Scope::compile(&sketch.more), Scope::compile(&sketch.less));
        let mut search = Search {
            contrast: Contrast {
                dimension: sketch.dimension,
                more: &sketch.more,
                less: &sketch.less,
            },
            more: &more,
            less: &less,
            tried: 0,
            codes: BTreeMap::new(),
        };
        let mut ask =
            || search.ask(sketch.draw(|draft| draft.example("GET /a", Class::Read, Vec::new())));
        for _ in 1..TRIES_MAX {
            assert!(matches!(ask(), ControlFlow::Continue(())));
        }
        assert!(matches!(ask(), ControlFlow::Break(None)));
        assert_eq!(search.codes, [("NETWORK_NOT_ALLOWED", TRIES_MAX)].into());
    }
}
