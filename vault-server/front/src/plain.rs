//! Whether an encoded [`SignRequest`] is written as we would write it.
//!
//! Nearly every one is, and then it goes to the core as it came: to decode it into a dozen texts and to
//! encode those again gives the same bytes. All others are decoded, and encoded anew. So the core sees
//! nothing that a stranger laid out: no unknown fields, no text that is none, nothing twice.
//!
//! A field is `u8 number << 3 | 2`, its length as a varint, and so many bytes: all fields here are of that
//! kind. Written as we write it, each comes once, in order, not empty (but for messages), and with a length
//! in as few bytes as it needs.

use bytes::Bytes;
use prost::{DecodeError, Message};
use vault_ipc::proto::v1::SignRequest;

/// What a field holds.
#[derive(Clone, Copy)]
enum Field {
    Bytes,
    /// Messages.
    Many(&'static [Field]),
    /// A message, at most once.
    One(&'static [Field]),
    /// UTF-8.
    Text,
}

/// By their numbers from 1 on.
const SIGN_REQUEST: &[Field] = &[Field::Text, Field::Text, Field::One(VENUE_REQUEST)];
const VENUE_REQUEST: &[Field] = &[
    Field::Text,
    Field::Text,
    Field::Text,
    Field::Text,
    Field::Text,
    Field::Bytes,
    Field::Many(HEADER),
];
const HEADER: &[Field] = &[Field::Text, Field::Text];

/// An encoded request as we would write it.
///
/// # Errors
///
/// It does not decode.
pub fn plain(message: Bytes) -> Result<Bytes, DecodeError> {
    if is_plain(&message, SIGN_REQUEST) {
        return Ok(message);
    }
    Ok(SignRequest::decode(message)?.encode_to_vec().into())
}

/// Whether bytes are a message of these fields as we would write it.
fn is_plain(mut bytes: &[u8], fields: &[Field]) -> bool {
    // The first field that may come.
    let mut first = 0;
    while let Some((&key, rest)) = bytes.split_first() {
        let place = usize::from(key >> 3).wrapping_sub(1);
        let Some(&field) = fields.get(place) else { return false };
        let Some((value, rest)) = value(rest) else { return false };
        if key & 7 != LENGTH_DELIMITED || place < first {
            return false;
        }
        let is_fit = match field {
            Field::Bytes => !value.is_empty(),
            Field::Many(fields) | Field::One(fields) => is_plain(value, fields),
            Field::Text => !value.is_empty() && std::str::from_utf8(value).is_ok(),
        };
        if !is_fit {
            return false;
        }
        first = if matches!(field, Field::Many(_)) { place } else { place + 1 };
        bytes = rest;
    }
    true
}

/// Splits off the length of a value and the value. `None` too for one of 2 MiB or more, which is longer
/// than a message may be.
fn value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *bytes {
        [a @ ..0x80, ref rest @ ..] => (usize::from(a), rest),
        [a, b @ 1..0x80, ref rest @ ..] => (low(a) | usize::from(b) << 7, rest),
        [a, b, c @ 1..0x80, ref rest @ ..] if b >= 0x80 => {
            (low(a) | low(b) << 7 | usize::from(c) << 14, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Of a byte of a varint that goes on.
fn low(byte: u8) -> usize {
    usize::from(byte & 0x7f)
}

const LENGTH_DELIMITED: u8 = 2;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use prost::Message as _;
    use vault_ipc::proto::v1::{Header, SignRequest, VenueRequest};

    use super::{SIGN_REQUEST, is_plain, plain};

    fn text() -> impl Strategy<Value = String> {
        "\\PC{0,200}"
    }

    fn request() -> impl Strategy<Value = SignRequest> {
        let headers = vec((text(), text()), 0..4);
        let body = vec(any::<u8>(), 0..20_000);
        let venue_request = (text(), text(), text(), (text(), text()), body, headers);
        let venue_request =
            venue_request.prop_map(|(method, scheme, host, path, body, headers)| {
                let headers =
                    headers.into_iter().map(|(name, value)| Header { name, value }).collect();
                let (path, query) = path;
                VenueRequest { method, scheme, host, path, query, body, headers }
            });
        let parts = (text(), text(), proptest::option::of(venue_request));
        parts.prop_map(|(request_id, credential, request)| SignRequest {
            request_id,
            credential,
            request,
        })
    }

    /// A change, and where.
    fn change() -> impl Strategy<Value = (proptest::sample::Index, u8, u8)> {
        (any::<proptest::sample::Index>(), 0..4_u8, any::<u8>())
    }

    fn full() -> SignRequest {
        let header = Header { name: "n".to_owned(), value: "v".to_owned() };
        SignRequest {
            request_id: "id".to_owned(),
            credential: "main".to_owned(),
            request: Some(VenueRequest {
                method: "POST".to_owned(),
                scheme: "https".to_owned(),
                host: "venue".to_owned(),
                path: "/order".to_owned(),
                query: "a=b".to_owned(),
                body: b"{}".to_vec(),
                headers: vec![header.clone(), Header::default(), header],
            }),
        }
    }

    proptest! {
        #[test]
        fn what_we_write_is_plain(request in request()) {
            let bytes = Bytes::from(request.encode_to_vec());
            prop_assert!(is_plain(&bytes, SIGN_REQUEST));
            prop_assert_eq!(plain(bytes.clone()).expect("decodes"), bytes);
        }

        /// What is passed on is what a decoder would have made of it, and nothing that has none is.
        #[test]
        fn whatever_comes_is_passed_on_as_we_would_write_it(
            request in request(),
            changes in vec(change(), 0..4),
        ) {
            let mut bytes = request.encode_to_vec();
            for (at, how, byte) in changes {
                let at = at.index(bytes.len() + 1);
                match how {
                    0 => bytes.insert(at, byte),
                    1 => bytes.truncate(at),
                    2 if at < bytes.len() => drop(bytes.remove(at)),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => bytes.push(byte),
                }
            }
            let expected = SignRequest::decode(bytes.as_slice()).map(|it| it.encode_to_vec());
            let found = plain(bytes.into());
            prop_assert_eq!(found.is_ok(), expected.is_ok());
            if let (Ok(found), Ok(expected)) = (found, expected) {
                prop_assert_eq!(found, expected);
            }
        }
    }

    /// Every short text there is of bytes that mean something, and every byte of a whole request changed
    /// to every other.
    #[test]
    fn nothing_is_plain_that_would_be_written_otherwise() {
        let judge = |bytes: &[u8]| {
            if is_plain(bytes, SIGN_REQUEST) {
                let request = SignRequest::decode(bytes).expect("decodes");
                assert_eq!(request.encode_to_vec(), bytes);
            }
        };
        let letters =
            [0, 1, 2, 3, 0x0a, 0x12, 0x1a, 0x22, 0x32, 0x3a, 0x42, 0x80, 0x81, b'a', 0xff];
        let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
        for _ in 0..4 {
            let longer =
                texts.iter().flat_map(|text| letters.map(|it| [&text[..], &[it]].concat()));
            texts = longer.collect();
            texts.iter().for_each(|text| judge(text));
        }
        let whole = full().encode_to_vec();
        assert!(is_plain(&whole, SIGN_REQUEST));
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                judge(&bytes);
            }
            judge(&whole[..at]);
        }
    }

    #[test]
    fn what_another_would_write_is_written_anew() {
        let whole = full().encode_to_vec();
        let of = |number: u8, value: &[u8]| {
            [&[number << 3 | 2, u8::try_from(value.len()).expect("short")], value].concat()
        };
        let other = SignRequest { request_id: "other".to_owned(), ..Default::default() };
        for (bytes, expected) in [
            // A field that we do not know, one that comes again, one that is empty, and another order.
            ([&whole[..], &of(9, b"x")].concat(), full()),
            ([&of(1, b"old")[..], &whole].concat(), full()),
            ([&of(1, b"")[..], &of(1, b"other")].concat(), other.clone()),
            ([of(2, b"main"), of(1, b"id"), whole[10..].to_vec()].concat(), full()),
            // A length in more bytes than it needs.
            (b"\x0a\x85\x00other".to_vec(), other),
        ] {
            assert!(!is_plain(&bytes, SIGN_REQUEST), "{bytes:?}");
            assert_eq!(plain(bytes.into()).expect("decodes"), expected.encode_to_vec());
        }
        for bad in [&b"\x0a\x02\xff\xff"[..], b"\x0a\x09a", b"\x08", b"\x0b", b"\x0a"] {
            assert!(plain(Bytes::from_static(bad)).is_err(), "{bad:?}");
        }
    }
}
