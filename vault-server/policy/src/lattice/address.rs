//! Networks as sets of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::document::NetworkDocument;

/// Whether every address that `one` lets in, `other` lets in.
pub(crate) fn is_within(one: &NetworkDocument, other: &NetworkDocument) -> bool {
    only(one, other).is_none()
}

/// An address that `one` lets in and `other` does not.
pub(crate) fn only(one: &NetworkDocument, other: &NetworkDocument) -> Option<IpAddr> {
    FAMILIES.into_iter().find_map(|family| {
        let beyond = subtract(open(one, family), &open(other, family));
        beyond.first().map(|span| family.address(span.0))
    })
}

/// An address that both let in.
pub(crate) fn both(one: &NetworkDocument, other: &NetworkDocument) -> Option<IpAddr> {
    FAMILIES.into_iter().find_map(|family| {
        let others = open(other, family);
        let meets = open(one, family).into_iter().find_map(|(first, last)| {
            let met = others.iter().find(|other| other.0 <= last && other.1 >= first)?;
            Some(first.max(met.0))
        });
        meets.map(|number| family.address(number))
    })
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Family {
    V4,
    V6,
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    fn number(self, address: IpAddr) -> Option<u128> {
        match (address, self) {
            (IpAddr::V4(address), Self::V4) => Some(u128::from(u32::from(address))),
            (IpAddr::V6(address), Self::V6) => Some(u128::from(address)),
            _ => None,
        }
    }

    fn address(self, number: u128) -> IpAddr {
        match self {
            // Numbers of this family come from 32 bits.
            Self::V4 => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            Self::V6 => Ipv6Addr::from(number).into(),
        }
    }
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
    Some((family.number(network.network())?, family.number(network.broadcast())?))
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
