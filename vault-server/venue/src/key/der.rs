//! As much of DER as says what algorithm a private key is for, and how long an RSA modulus is. The
//! key itself is parsed by aws-lc-rs.
//!
//! ```text
//! PKCS#8 (RFC 5958)  SEQUENCE { INTEGER version, SEQUENCE { OID, parameters }, OCTET STRING key, .. }
//! PKCS#1 (RFC 8017)  SEQUENCE { INTEGER 0, INTEGER modulus, .. }
//! SEC 1  (RFC 5915)  SEQUENCE { INTEGER 1, OCTET STRING, [0] { OID curve } optional, .. }
//! ```

/// What a private key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Algorithm {
    Ed25519,
    /// None that a venue takes.
    Other,
    P256,
    Rsa,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const CONTEXT_0: u8 = 0xa0;

/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Whether a text is one sequence, with nothing behind it.
pub(super) fn is_one_sequence(der: &[u8]) -> bool {
    take(der, SEQUENCE).is_some_and(|(_, rest)| rest.is_empty())
}

/// The algorithm of a PKCS#8 key; `None` if it is none.
pub(super) fn pkcs8_algorithm(der: &[u8]) -> Option<Algorithm> {
    let (algorithm, _) = pkcs8(der)?;
    let (oid, parameters) = take(algorithm, OID)?;
    Some(match oid {
        ED25519 => Algorithm::Ed25519,
        EC_PUBLIC_KEY if take(parameters, OID).is_some_and(|(curve, _)| curve == P256) => {
            Algorithm::P256
        }
        RSA => Algorithm::Rsa,
        _ => Algorithm::Other,
    })
}

/// The algorithm of a SEC 1 key; `None` if it is none. Without a curve's name it is P-256 or broken.
pub(super) fn sec1_algorithm(der: &[u8]) -> Option<Algorithm> {
    let (key, _) = take(der, SEQUENCE)?;
    let (_, key) = take(key, INTEGER)?;
    let (_, key) = take(key, OCTET_STRING)?;
    let Some((parameters, _)) = take(key, CONTEXT_0) else { return Some(Algorithm::P256) };
    let is_p256 = take(parameters, OID).is_some_and(|(curve, _)| curve == P256);
    Some(if is_p256 { Algorithm::P256 } else { Algorithm::Other })
}

/// The key itself inside PKCS#8; `None` if it is none.
pub(super) fn pkcs8_key(der: &[u8]) -> Option<&[u8]> {
    pkcs8(der).map(|(_, key)| key)
}

/// How many bits the modulus of an RSA key in PKCS#8 has.
pub(super) fn pkcs8_rsa_bits(der: &[u8]) -> Option<usize> {
    pkcs1_rsa_bits(pkcs8_key(der)?)
}

/// How many bits the modulus of an RSA key in PKCS#1 has.
pub(super) fn pkcs1_rsa_bits(der: &[u8]) -> Option<usize> {
    let (key, _) = take(der, SEQUENCE)?;
    let (_, key) = take(key, INTEGER)?;
    let (modulus, _) = take(key, INTEGER)?;
    let first = modulus.iter().position(|&byte| byte != 0)?;
    let zeros = usize::try_from(modulus[first].leading_zeros()).ok()?;
    Some((modulus.len() - first) * 8 - zeros)
}

/// The algorithm's sequence and the key's octets.
fn pkcs8(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, _) = take(der, SEQUENCE)?;
    let (_, info) = take(info, INTEGER)?;
    let (algorithm, info) = take(info, SEQUENCE)?;
    let (key, _) = take(info, OCTET_STRING)?;
    Some((algorithm, key))
}

/// The contents of the value that a text begins with, if it has the tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, der) = der.split_first()?;
    if first != tag {
        return None;
    }
    let (&length, der) = der.split_first()?;
    let (length, der) = if length < 0x80 {
        (usize::from(length), der)
    } else {
        // No key that is taken has more than two bytes of length.
        let (bytes, der) = der.split_at_checked(usize::from(length & 0x7f))?;
        let length = match *bytes {
            [low] => usize::from(low),
            [high, low] => usize::from(u16::from_be_bytes([high, low])),
            _ => return None,
        };
        (length, der)
    };
    der.split_at_checked(length)
}
