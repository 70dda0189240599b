//! The rule of networks: a request comes from an allowed address that is not denied; a client's
//! own networks narrow that further.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::denial::Denial;
use crate::judge::Question;
use crate::scope::Scope;

/// Why a text is not a network that can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// A network of every address, not asked for.
    #[error("a network of every address wants allow_any = true")]
    Any,
    /// Bits behind the prefix.
    #[error("the address has bits behind its prefix")]
    HostBits,
    /// An IPv4 address in IPv6 clothes.
    #[error("write IPv4 networks as IPv4, not mapped into IPv6")]
    Mapped,
    /// Not an address or network.
    #[error("expected an address or a network such as 10.0.0.0/8 or 2001:db8::/32, without zone")]
    Syntax,
}

/// Reads a network, or an address as a network of one. `allow_any` lets networks of every address
/// pass.
///
/// # Errors
///
/// See [`NetworkError`].
pub fn parse_network(text: &str, allow_any: bool) -> Result<IpNet, NetworkError> {
    let network = match text.split_once('/') {
        None => IpNet::from(address(text)?),
        Some((head, prefix)) => {
            let plain = !prefix.starts_with('+') && (prefix == "0" || !prefix.starts_with('0'));
            let prefix = prefix.parse::<u8>().ok().filter(|_| plain).ok_or(NetworkError::Syntax)?;
            IpNet::new(address(head)?, prefix).map_err(|_| NetworkError::Syntax)?
        }
    };
    check_network(network, allow_any)?;
    Ok(network)
}

/// The standard library's reader: no zones, and no leading zeros, which some read as octal.
fn address(text: &str) -> Result<IpAddr, NetworkError> {
    text.parse().map_err(|_| NetworkError::Syntax)
}

pub(crate) fn check_network(network: IpNet, allow_any: bool) -> Result<(), NetworkError> {
    if let IpNet::V6(v6) = network
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(NetworkError::Mapped);
    }
    if network.trunc() != network {
        return Err(NetworkError::HostBits);
    }
    if network.prefix_len() == 0 && !allow_any {
        return Err(NetworkError::Any);
    }
    Ok(())
}

pub(crate) fn judge(question: &Question<'_>) -> Result<(), Denial> {
    admits(question.scope, question.client_networks, question.address)
}

/// Judges an address alone: for calls that carry no request to a venue.
///
/// # Errors
///
/// The [`Denial`] of the networks that keep it out.
pub fn admits(scope: &Scope, client_networks: &[IpNet], address: IpAddr) -> Result<(), Denial> {
    // A dual-stack listener reports IPv4 peers as mapped addresses.
    let address = address.to_canonical();
    let within = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
    if within(&scope.denied_networks) {
        return Err(Denial::NetworkDenied);
    }
    if !within(&scope.allowed_networks) {
        return Err(Denial::NetworkNotAllowed);
    }
    if !client_networks.is_empty() && !within(client_networks) {
        return Err(Denial::ClientNetworkNotAllowed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{NetworkError, parse_network};

    #[test]
    fn networks_are_canonical() {
        for text in ["10.0.0.0/8", "127.0.0.1", "2001:db8::/32", "::1/128"] {
            assert!(parse_network(text, false).is_ok(), "{text}");
        }
        for (text, error) in [
            ("10.0.0.1/8", NetworkError::HostBits),
            ("0.0.0.0/0", NetworkError::Any),
            ("::/0", NetworkError::Any),
            ("::ffff:10.0.0.0/104", NetworkError::Mapped),
            ("::ffff:10.0.0.1", NetworkError::Mapped),
            ("fe80::1%eth0/64", NetworkError::Syntax),
            ("fe80::1%1", NetworkError::Syntax),
            ("10.0.0.0/33", NetworkError::Syntax),
            ("10.0.0.0/+8", NetworkError::Syntax),
            ("10.0.0.0/08", NetworkError::Syntax),
            ("10.0.0.0/", NetworkError::Syntax),
            ("010.0.0.0/8", NetworkError::Syntax),
            ("localhost", NetworkError::Syntax),
            ("", NetworkError::Syntax),
        ] {
            assert_eq!(parse_network(text, false), Err(error), "{text}");
        }
        assert!(parse_network("0.0.0.0/0", true).is_ok());
    }
}
