//! Who is at the other end: certificate and address, as facts for the core to judge.

use std::net::IpAddr;

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};
use vault_ipc::{Caller, Listener};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::address::canonical_bytes;

/// Length of a serial in the frames, in bytes.
const SERIAL_BYTES: usize = 16;

/// What the front knows of a peer.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    address: IpAddr,
    certificate: Option<Certificate>,
    /// [`Facts::caller`], for calls that come all the time.
    encoded_caller: Option<Bytes>,
    listener: Listener,
    via: String,
}

/// The parts of a client certificate that name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Certificate {
    /// SHA-256 of the DER.
    fingerprint: [u8; 32],
    /// Whose it is, as its URI says, so that all certificates of one are one; without one, the serial.
    holder: Vec<u8>,
    is_operator: bool,
    serial: [u8; SERIAL_BYTES],
}

impl Certificate {
    /// Names a certificate; `None` if it is not one or its serial is longer than 16 bytes.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let serial = padded(certificate.raw_serial())?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let uri = names.and_then(|names| {
            names.value.general_names.iter().find_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            })
        });
        Some(Self {
            fingerprint: Sha256::digest(der).into(),
            holder: uri.map_or_else(|| serial.to_vec(), |uri| uri.as_bytes().to_vec()),
            is_operator: uri.is_some_and(is_operator),
            serial,
        })
    }
}

/// Whether a name that our CA gives is an operator's: `spiffe://DOMAIN/operator/NAME`.
fn is_operator(uri: &str) -> bool {
    let path = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    path.is_some_and(|(_, path)| path.starts_with("operator/"))
}

/// DER writes an integer with as few bytes as its sign allows: a zero goes before a high bit, and
/// leading zeros of ours go. Undone here.
fn padded(raw: &[u8]) -> Option<[u8; SERIAL_BYTES]> {
    let first = raw.iter().position(|byte| *byte != 0).unwrap_or(raw.len());
    let digits = &raw[first..];
    let mut serial = [0; SERIAL_BYTES];
    serial.get_mut(SERIAL_BYTES.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(serial)
}

impl Facts {
    /// `address` is the peer's own; `via` is "direct" or the balancer that vouched for it.
    pub(crate) fn new(
        address: IpAddr,
        via: String,
        listener: Listener,
        certificate: Option<Certificate>,
    ) -> Self {
        let address = address.to_canonical();
        let mut facts = Self { address, certificate, encoded_caller: None, listener, via };
        facts.encoded_caller = facts.caller().map(|caller| caller.encode_to_vec().into());
        facts
    }

    /// Canonical.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// 4 or 16 bytes.
    pub(crate) fn address_bytes(&self) -> Vec<u8> {
        canonical_bytes(self.address)
    }

    /// 16 bytes; `None` on the enrol listener.
    pub(crate) fn serial(&self) -> Option<&[u8]> {
        self.certificate.as_ref().map(|certificate| certificate.serial.as_slice())
    }

    /// Who counts as one client or operator; `None` on the enrol listener.
    pub(crate) fn holder(&self) -> Option<&[u8]> {
        self.certificate.as_ref().map(|certificate| certificate.holder.as_slice())
    }

    /// Name of a client; `None` for whoever is none.
    pub(crate) fn client(&self) -> Option<&str> {
        let uri = std::str::from_utf8(self.holder()?).ok()?;
        let (_, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        path.strip_prefix("client/")
    }

    /// Whether the certificate says so. The core judges it anew.
    pub(crate) fn is_operator(&self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.is_operator)
    }

    pub(crate) fn listener(&self) -> Listener {
        self.listener
    }

    pub(crate) fn via(&self) -> &str {
        &self.via
    }

    /// As the core wants it; `None` for a peer without a certificate.
    pub(crate) fn caller(&self) -> Option<Caller> {
        let certificate = self.certificate.as_ref()?;
        Some(Caller {
            serial: certificate.serial.to_vec(),
            fingerprint: certificate.fingerprint.to_vec(),
            address: self.address_bytes(),
            via: self.via.clone(),
            listener: self.listener.into(),
        })
    }

    /// As [`Facts::caller`], encoded.
    pub(crate) fn encoded_caller(&self) -> Option<Bytes> {
        self.encoded_caller.clone()
    }

    #[cfg(test)]
    pub(crate) fn for_test(serial: [u8; SERIAL_BYTES]) -> Self {
        Self::of_certificate(Listener::Bot, serial, false)
    }

    #[cfg(test)]
    pub(crate) fn for_test_at(listener: Listener, is_operator: bool) -> Self {
        Self::of_certificate(listener, [1; SERIAL_BYTES], is_operator)
    }

    #[cfg(test)]
    fn of_certificate(listener: Listener, serial: [u8; SERIAL_BYTES], is_operator: bool) -> Self {
        let holder = serial.to_vec();
        let certificate = Certificate { fingerprint: [0; 32], holder, is_operator, serial };
        Self::new([127, 0, 0, 1].into(), "direct".to_owned(), listener, Some(certificate))
    }
}

#[cfg(test)]
mod tests {
    use super::{Certificate, Facts, padded};
    use vault_ipc::Listener;

    #[test]
    fn a_client_is_called_what_its_certificate_says() {
        let mut facts = Facts::for_test([1; 16]);
        assert_eq!(facts.client(), None);
        for (uri, client) in [
            ("spiffe://vault.test/client/mm-1", Some("mm-1")),
            ("spiffe://vault.test/operator/admin", None),
            ("spiffe://vault.test", None),
            ("https://vault.test/client/mm-1", None),
        ] {
            let certificate = facts.certificate.as_mut().expect("one");
            certificate.holder = uri.as_bytes().to_vec();
            assert_eq!(facts.client(), client, "{uri}");
        }
        let nobody = Facts::new([127, 0, 0, 1].into(), String::new(), Listener::Enroll, None);
        assert_eq!(nobody.client(), None);
    }

    #[test]
    fn a_serial_is_sixteen_bytes_however_der_writes_it() {
        let mut high = [0xff; 17];
        high[0] = 0;

        assert_eq!(padded(&high), Some([0xff; 16]));
        assert_eq!(padded(&[1, 2]).map(|serial| serial[13..].to_vec()), Some(vec![0, 1, 2]));
        assert_eq!(padded(&[]), Some([0; 16]));
        assert_eq!(padded(&[1; 17]), None);
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        assert_eq!(Certificate::read(&[]), None);
        assert_eq!(Certificate::read(&[0x30, 0x03, 1, 2, 3]), None);
    }
}
