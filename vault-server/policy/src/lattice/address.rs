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

#[cfg(test)]
mod tests {
    use super::{both, is_within, only, subtract};
    use crate::document::NetworkDocument;

    fn network(allow: &[&str], deny: &[&str]) -> NetworkDocument {
        let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().expect("a net")).collect();
        NetworkDocument { allow: nets(allow), deny: nets(deny), allow_any: true, countries: None }
    }

    fn first(address: Option<std::net::IpAddr>) -> String {
        address.map_or_else(|| "none".to_owned(), |address| address.to_string())
    }

    #[test]
    fn holes_leave_what_is_beside_them() {
        let span = vec![(5, 10)];
        for (hole, expected) in [
            ((0, 4), vec![(5, 10)]),
            ((11, 20), vec![(5, 10)]),
            ((0, 5), vec![(6, 10)]),
            ((10, 20), vec![(5, 9)]),
            ((5, 7), vec![(8, 10)]),
            ((7, 10), vec![(5, 6)]),
            ((7, 7), vec![(5, 6), (8, 10)]),
            ((5, 10), vec![]),
            ((0, 20), vec![]),
        ] {
            assert_eq!(subtract(span.clone(), &[hole]), expected, "{hole:?}");
        }
        let spans = vec![(0, 9), (20, 29)];
        assert_eq!(subtract(spans, &[(0, 3), (8, 21), (29, 40)]), [(4, 7), (22, 28)]);
        // At either end of all numbers.
        assert_eq!(subtract(vec![(0, u128::MAX)], &[(0, u128::MAX)]), []);
        assert_eq!(
            subtract(vec![(0, u128::MAX)], &[(0, 0), (u128::MAX, u128::MAX)]),
            [(1, u128::MAX - 1)]
        );
    }

    #[test]
    fn an_address_that_one_lets_in_alone() {
        let ten = network(&["10.0.0.0/30"], &[]);
        let upper = network(&["10.0.0.0/30"], &["10.0.0.0/31"]);
        assert_eq!(first(only(&ten, &upper)), "10.0.0.0");
        assert_eq!(first(only(&upper, &ten)), "none");
        assert_eq!(first(only(&ten, &network(&["10.0.0.0/31", "10.0.0.3/32"], &[]))), "10.0.0.2");
        assert_eq!(first(only(&network(&["10.0.0.0/29"], &[]), &ten)), "10.0.0.4");
        let six = network(&["2001:db8::/126"], &[]);
        assert_eq!(first(only(&six, &network(&["2001:db8::/127"], &[]))), "2001:db8::2");
        // A number of one family is no number of the other.
        assert_eq!(first(only(&six, &network(&["0.0.0.0/0"], &[]))), "2001:db8::");
        assert_eq!(first(only(&network(&["0.0.0.0/0"], &[]), &network(&["::/0"], &[]))), "0.0.0.0");
        assert!(is_within(&upper, &ten) && !is_within(&ten, &upper) && is_within(&ten, &ten));
    }

    #[test]
    fn an_address_that_both_let_in() {
        let net = |allow: &str| network(&[allow], &[]);
        let meet = |one: &str, other: &str| first(both(&net(one), &net(other)));
        assert_eq!(meet("10.0.0.0/30", "10.0.0.2/31"), "10.0.0.2");
        assert_eq!(meet("10.0.0.2/31", "10.0.0.0/30"), "10.0.0.2");
        assert_eq!(meet("10.0.0.0/31", "10.0.0.2/31"), "none");
        assert_eq!(meet("10.0.0.2/31", "10.0.0.0/31"), "none");
        assert_eq!(meet("2001:db8::/127", "2001:db8::1/128"), "2001:db8::1");
        assert_eq!(meet("2001:db8::/127", "10.0.0.0/8"), "none");
        // One address is enough, at whichever end.
        let (low, high) = (network(&["10.0.0.0/30"], &["10.0.0.3/32"]), net("10.0.0.2/31"));
        assert_eq!(first(both(&low, &high)), "10.0.0.2");
        assert_eq!(first(both(&high, &low)), "10.0.0.2");
    }
}
