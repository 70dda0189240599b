//! Compares scopes, dimension by dimension: what a change widens, and what it narrows.
//!
//! A dimension is a set of what it grants; a change widens it if the new set is not within the
//! old one. The comparison never calls a widening change narrowing. It may call a change widening
//! that opens nothing, because another dimension stays closed.

use std::net::IpAddr;

use ipnet::IpNet;
use vault_model::Name;

use crate::document::{NetworkDocument, ScopeDocument};
use crate::grant::Grant;
use crate::rule::symbol::Symbol;

/// A dimension of scopes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Dimension {
    /// `classes`
    Classes,
    /// `credentials`
    Credentials,
    /// `modes`
    Modes,
    /// `network`
    Network,
    /// `operations`
    Operations,
    /// `products`
    Products,
    /// `symbols`
    Symbols,
}

impl Dimension {
    /// The key in a scope document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classes => "classes",
            Self::Credentials => "credentials",
            Self::Modes => "modes",
            Self::Network => "network",
            Self::Operations => "operations",
            Self::Products => "products",
            Self::Symbols => "symbols",
        }
    }
}

/// What a change does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Comparison {
    /// Dimensions that grant something that they did not grant before.
    pub widened: Vec<Dimension>,
    /// Dimensions that no longer grant something.
    pub narrowed: Vec<Dimension>,
}

/// Compares two scopes.
pub fn compare(old: &ScopeDocument, new: &ScopeDocument) -> Comparison {
    Comparison { widened: beyond(new, old), narrowed: beyond(old, new) }
}

/// Whether the new scope grants anything that the old one does not.
pub fn widens(old: &ScopeDocument, new: &ScopeDocument) -> bool {
    !compare(old, new).widened.is_empty()
}

/// Whether the old scope grants anything that the new one does not.
pub fn narrows(old: &ScopeDocument, new: &ScopeDocument) -> bool {
    !compare(old, new).narrowed.is_empty()
}

/// The dimensions in which `one` is not within `other`.
fn beyond(one: &ScopeDocument, other: &ScopeDocument) -> Vec<Dimension> {
    let nothing = Grant::default();
    let symbols_of = |scope: &'_ ScopeDocument, venue: &Name| -> Grant<Symbol> {
        scope.symbols.get(venue).unwrap_or(&nothing).clone()
    };
    let symbols_within =
        one.symbols.iter().all(|(venue, grant)| grant.is_within(&symbols_of(other, venue)));
    let within = [
        (Dimension::Classes, one.classes.is_subset(&other.classes)),
        (Dimension::Credentials, one.credentials.is_subset(&other.credentials)),
        (Dimension::Modes, one.modes.is_subset(&other.modes)),
        (Dimension::Network, is_network_within(&one.network, &other.network)),
        (Dimension::Operations, one.operations.is_subset(&other.operations)),
        (Dimension::Products, one.products.is_within(&other.products)),
        (Dimension::Symbols, symbols_within),
    ];
    within.into_iter().filter(|(_, within)| !within).map(|(dimension, _)| dimension).collect()
}

/// Whether every address that `one` lets in, `other` lets in.
fn is_network_within(one: &NetworkDocument, other: &NetworkDocument) -> bool {
    [Family::V4, Family::V6].into_iter().all(|family| {
        let beyond = subtract(open(one, family), &open(other, family));
        beyond.is_empty()
    })
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

/// Addresses as numbers, first and last.
type Span = (u128, u128);

/// The addresses of a family that are allowed and not denied.
fn open(network: &NetworkDocument, family: Family) -> Vec<Span> {
    let spans = |networks: &std::collections::BTreeSet<IpNet>| -> Vec<Span> {
        networks.iter().filter_map(|network| span(*network, family)).collect()
    };
    subtract(spans(&network.allow), &spans(&network.deny))
}

fn span(network: IpNet, family: Family) -> Option<Span> {
    let number = |address: IpAddr| match (address, family) {
        (IpAddr::V4(address), Family::V4) => Some(u128::from(u32::from(address))),
        (IpAddr::V6(address), Family::V6) => Some(u128::from(address)),
        _ => None,
    };
    Some((number(network.network())?, number(network.broadcast())?))
}

/// What is in `spans` and in none of `holes`.
fn subtract(spans: Vec<Span>, holes: &[Span]) -> Vec<Span> {
    holes.iter().fold(spans, |spans, &(hole_first, hole_last)| {
        let mut left = Vec::with_capacity(spans.len());
        for (first, last) in spans {
            if hole_last < first || hole_first > last {
                left.push((first, last));
                continue;
            }
            if first < hole_first {
                left.push((first, hole_first - 1));
            }
            if hole_last < last {
                left.push((hole_last + 1, last));
            }
        }
        left
    })
}
