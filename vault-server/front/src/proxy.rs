//! PROXY protocol, version 2: how a balancer names the peer that it passes on.
//!
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, section 2.2.
//!
//! ```text
//! 0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a | u8 version 2, command | u8 family, transport
//!     | u16 BE length of the rest | source | destination | ports | TLVs
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest header taken, in bytes.
const HEADER_BYTES_MAX: usize = 536;
/// Up to and with the length.
const PREFIX_BYTES: usize = 16;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Header {
    /// The balancer speaks for itself: a health check.
    Local,
    /// The peer that the balancer passes on.
    Peer(IpAddr),
}

/// Why a header is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the connection ended inside the proxy header")]
    Io(#[from] std::io::Error),
    #[error("not a proxy header of version 2 for tcp")]
    Malformed,
}

/// Reads one header and not a byte more.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, ProxyError> {
    let mut header = [0; HEADER_BYTES_MAX];
    stream.read_exact(&mut header[..PREFIX_BYTES]).await?;
    let end = header_bytes(&header[..PREFIX_BYTES]).ok_or(ProxyError::Malformed)?;
    stream.read_exact(&mut header[PREFIX_BYTES..end]).await?;
    parse(&header[..end]).ok_or(ProxyError::Malformed)
}

/// Length of the whole header, from its first 16 bytes.
fn header_bytes(prefix: &[u8]) -> Option<usize> {
    let length = prefix.strip_prefix(&SIGNATURE)?.get(2..4)?;
    let end = PREFIX_BYTES + usize::from(u16::from_be_bytes(length.try_into().ok()?));
    (end <= HEADER_BYTES_MAX).then_some(end)
}

fn parse(header: &[u8]) -> Option<Header> {
    let (&command, rest) = header.strip_prefix(&SIGNATURE)?.split_first()?;
    let (&family, rest) = rest.split_first()?;
    let rest = rest.get(2..)?;
    match command {
        LOCAL => return Some(Header::Local),
        PROXY => {}
        _ => return None,
    }
    let (source, rest) = match family {
        TCP_OVER_IPV4 => {
            let (source, rest) = rest.split_first_chunk::<4>()?;
            (IpAddr::from(Ipv4Addr::from(*source)), rest.get(4 + 4..)?)
        }
        TCP_OVER_IPV6 => {
            let (source, rest) = rest.split_first_chunk::<16>()?;
            (IpAddr::from(Ipv6Addr::from(*source)), rest.get(16 + 4..)?)
        }
        _ => return None,
    };
    let source = source.to_canonical();
    // Nobody connects from there; a policy must not be asked about it.
    if source.is_unspecified() || source.is_multicast() || !are_tlvs(rest) {
        return None;
    }
    Some(Header::Peer(source))
}

/// Whether `rest` is whole TLVs: `u8 type | u16 BE length | value`. What they say is not used.
fn are_tlvs(mut rest: &[u8]) -> bool {
    while let [_, high, low, tail @ ..] = rest {
        let Some(tail) = tail.get(usize::from(u16::from_be_bytes([*high, *low]))..) else {
            return false;
        };
        rest = tail;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HEADER_BYTES_MAX, Header, LOCAL, PROXY, ProxyError, SIGNATURE, read};

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn ipv4(tlvs: &[u8]) -> Vec<u8> {
        let addresses = [203, 0, 113, 7, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];
        header(PROXY, 0x11, &[&addresses, tlvs].concat())
    }

    fn parsed(mut bytes: &[u8]) -> Option<(Header, usize)> {
        let before = bytes.len();
        let header = futures_util::FutureExt::now_or_never(read(&mut bytes))
            .expect("a slice never waits")
            .ok()?;
        Some((header, before - bytes.len()))
    }

    #[test]
    fn reads_the_peer_and_nothing_after_the_header() {
        let bytes = [ipv4(&[]), b"hello".to_vec()].concat();

        let peer = Header::Peer([203, 0, 113, 7].into());
        assert_eq!(parsed(&bytes), Some((peer, 28)));
        let with_tlv = ipv4(&[0x04, 0, 2, 9, 9]);
        assert_eq!(parsed(&with_tlv), Some((peer, with_tlv.len())));
    }

    #[test]
    fn a_mapped_peer_is_its_ipv4_address() {
        let mut rest = [0; 36];
        rest[10..16].copy_from_slice(&[0xff, 0xff, 203, 0, 113, 7]);

        assert_eq!(
            parsed(&header(PROXY, 0x21, &rest)).map(|(header, _)| header),
            Some(Header::Peer([203, 0, 113, 7].into()))
        );
    }

    #[test]
    fn a_local_header_names_nobody() {
        assert_eq!(parsed(&header(LOCAL, 0, &[])), Some((Header::Local, 16)));
    }

    #[test]
    fn refuses_what_is_not_exactly_a_header() {
        let good = ipv4(&[]);
        let flipped = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let cases = [
            ("nothing", Vec::new()),
            ("version 1", b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 443\r\n".to_vec()),
            ("signature", flipped(0, 0)),
            ("version 3", flipped(12, 0x31)),
            ("command", flipped(12, 0x22)),
            ("udp", flipped(13, 0x12)),
            ("unix", flipped(13, 0x31)),
            ("unspecified family", flipped(13, 0x00)),
            ("address too short", flipped(15, 11)),
            ("source 0.0.0.0", header(PROXY, 0x11, &[0; 12])),
            ("half a tlv", ipv4(&[4, 0])),
            ("a tlv past the end", ipv4(&[4, 0, 2, 9])),
            ("too long", header(PROXY, 0x11, &[0; HEADER_BYTES_MAX - 15])),
        ];

        for (name, bytes) in cases {
            assert_eq!(parsed(&bytes), None, "{name}");
        }
        for end in 0..good.len() {
            assert_eq!(parsed(&good[..end]), None, "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_reads_past_the_length(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Some((_, taken)) = parsed(&bytes) {
                prop_assert!(taken <= HEADER_BYTES_MAX);
            }
            let with_signature = [&SIGNATURE[..], &bytes].concat();
            if let Some((_, taken)) = parsed(&with_signature) {
                let length = u16::from_be_bytes([with_signature[14], with_signature[15]]);
                prop_assert_eq!(taken, 16 + usize::from(length));
            }
        }

        #[test]
        fn reads_every_ipv4_peer(source in any::<[u8; 4]>(), rest in any::<[u8; 8]>()) {
            let address = std::net::Ipv4Addr::from(source);
            prop_assume!(!address.is_unspecified() && !address.is_multicast());
            let bytes = header(PROXY, 0x11, &[&source[..], &rest].concat());
            prop_assert_eq!(parsed(&bytes), Some((Header::Peer(address.into()), 28)));
        }
    }

    #[test]
    fn an_early_end_is_an_io_error() {
        let mut bytes: &[u8] = &SIGNATURE;
        let ended = futures_util::FutureExt::now_or_never(read(&mut bytes)).expect("never waits");

        assert!(matches!(ended, Err(ProxyError::Io(_))));
    }
}
